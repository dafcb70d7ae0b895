"""Any photo with anything odd about it: its pixels, its stand, its colours and its tags stay, as other readers see them.

A part of all combinations; ``make prove`` goes through every one.
"""

from __future__ import annotations

import pytest

from tests.unit.imaging.any_file import Spec, faults, specs

#: Has no divisor in common with the counts of anything that is combined.
_STEP = 83


@pytest.mark.parametrize("spec", list(specs())[::_STEP], ids=str)
def test_another_reader_finds_what_was_in_the_photo(spec: Spec) -> None:
    assert not faults(spec)
