from __future__ import annotations

from tests.chaos.document import PAGE, _listed, page
from tests.chaos.faults import FAULTS, Fault


def test_the_page_of_outcomes_is_the_one_that_the_catalogue_makes() -> None:
    """If this fails: run ``python -m tests.chaos.document``."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_fault_stands_on_a_line_with_its_outcome() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()

    def stands(fault: Fault) -> bool:
        head, _, last = fault.what.rpartition(" ")
        reason = fault.expected.reason
        words = (head, last, fault.says, f"`{reason}`" if reason else fault.expected.outcome)
        return any(all(word in line for word in words) for line in lines)

    assert [fault.name for fault in FAULTS if not stands(fault)] == []


def test_faults_that_differ_in_their_last_word_share_a_row() -> None:
    assert _listed(["403 in shape B", "410", "403 in shape C", "a list"]) == "403 in shape B, C; 410; a list"


def test_no_outcome_is_left_open() -> None:
    """GIVEN the page THEN each line has an outcome, a number of jobs and a word on duplicates."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    bodies = [row for row in rows if row[0] != "fault"]
    assert len(bodies) > 60
    for _, often, route, outcome, paid, twice, says in bodies:
        assert outcome.startswith(("cleaned", "nothing_to_remove", "mask_ready", "failed: `"))
        assert any(letter.isdigit() for letter in paid)
        assert twice in {"possible", "no"}
        assert often
        assert route
        assert says
