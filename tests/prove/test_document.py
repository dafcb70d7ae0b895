from __future__ import annotations

from tests.prove.document import PAGE, page
from tests.prove.faults import FAULTS


def test_the_page_of_outcomes_is_the_one_that_the_catalogue_makes() -> None:
    """If this fails: ``python -m tests.prove.document`` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_fault_and_every_reason_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert {fault.what for fault in FAULTS if fault.what not in text} == set()
    assert {fault.expected.reason for fault in FAULTS if f"{fault.expected.reason}" not in text} == set()


def test_no_outcome_is_left_open() -> None:
    """GIVEN the page THEN each line has an outcome, a number of jobs and a word on duplicates."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    bodies = [row for row in rows if row[0] != "fault"]
    assert len(bodies) > 60
    for _, often, route, outcome, paid, twice, says in bodies:
        assert outcome.startswith(("cleaned", "nothing_to_remove", "failed: `"))
        assert any(letter.isdigit() for letter in paid)
        assert twice in {"possible", "no"}
        assert often
        assert route
        assert says
