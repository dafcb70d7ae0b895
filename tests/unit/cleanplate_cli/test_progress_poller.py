"""What `make run` and `make up` say of the stack's own report."""

from __future__ import annotations

from typing import Any

import pytest

from cleanplate_cli.progress_poller import in_words

NOTHING: dict[str, Any] = {
    "photos": 0,
    "waiting": 0,
    "in_work": 0,
    "cleaned": 0,
    "nothing_to_remove": 0,
    "failed": 0,
    "not_yet_seen": 0,
    "done_in_seconds": 0,
    "held": [],
}


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ({}, ""),
        ({"photos": 1, "cleaned": 1}, "1 photo: 1 cleaned"),
        (
            {"photos": 5, "waiting": 2, "in_work": 1, "nothing_to_remove": 1, "failed": 1, "done_in_seconds": 40},
            "5 photos: 2 waiting, 1 in work, 1 nothing to remove, 1 failed; the last is done in about 40 s",
        ),
        (
            {"photos": 1, "in_work": 1, "not_yet_seen": 3, "held": ["Adobe asked to wait."]},
            "1 photo: 3 not yet seen, 1 in work. Adobe asked to wait.",
        ),
    ],
)
def test_a_report_is_one_line(report: dict[str, Any], words: str) -> None:
    assert in_words({**NOTHING, **report}) == words
