from __future__ import annotations

import pytest

from local.paths import ROOT
from tests.chaos.mutants import BUGS, caught
from tests.chaos.world import MakeWalk

#: A bug for each kind of check is planted here, all of them by ``make prove``: one that is found where a process is
#: killed, one by a case of duplicates, by a fault of Adobe's, by a plain walk, and in the template.
PLANTED_HERE = (
    "intent not written",
    "a key of the results for anybody: two photos of one result",
    "a fill that nobody has approved",
    "States.ALL swallowed",
    "visibility timeout too short",
)


@pytest.mark.filterwarnings("ignore:No application metrics")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", PLANTED_HERE)
@pytest.mark.xdist_group("planted")
def test_a_mutant_is_caught_by_its_check(make_walk: MakeWalk, name: str) -> None:
    (bug,) = [bug for bug in BUGS if bug.name == name]
    assert not caught(make_walk, bug)


def test_the_page_of_the_proof_names_each_bug_and_what_caught_it() -> None:
    lines = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert rows[rows.index("| bug | caught by |") + 1 :] == [f"| {bug.name} | {bug.caught_by} |" for bug in BUGS]
