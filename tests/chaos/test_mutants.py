from __future__ import annotations

import pytest

from local.paths import ROOT
from tests.chaos.mutants import BUGS, Bug, caught
from tests.chaos.world import MakeWalk

#: One bug in so many is planted here, all of them by ``make prove``.
ONE_IN = 5


@pytest.mark.filterwarnings("ignore:No application metrics")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("bug", BUGS[::ONE_IN], ids=lambda bug: bug.name.replace(" ", "-"))
@pytest.mark.xdist_group("planted")
def test_a_mutant_is_caught_by_its_check(make_walk: MakeWalk, bug: Bug) -> None:
    assert not caught(make_walk, bug)


def test_the_page_of_the_proof_names_each_bug_and_what_caught_it() -> None:
    lines = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert rows[rows.index("| bug | caught by |") + 1 :] == [f"| {bug.name} | {bug.caught_by} |" for bug in BUGS]
