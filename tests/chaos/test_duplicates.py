from __future__ import annotations

import pytest

from tests.chaos.duplicates import CASES, Case, try_case
from tests.chaos.world import MakeWalk

#: One case in so many is tried here, all of them by ``make prove``.
ONE_IN = 6


@pytest.mark.parametrize("case", CASES[::ONE_IN], ids=lambda case: case.name.replace(" ", "-"))
@pytest.mark.xdist_group("duplicates")
def test_whatever_comes_twice_or_in_another_order_is_one_photo_paid_once(make_walk: MakeWalk, case: Case) -> None:
    verdict, wrong = try_case(make_walk, case)
    assert verdict.breaches == ()
    assert not wrong
