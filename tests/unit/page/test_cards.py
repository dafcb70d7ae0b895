"""What a card says of a photo, and the commands on it: each is a request that is taken."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from cleanplate.page.cards import card_of, facts_of
from cleanplate.uploads.options import parse_options


def manifest(outcome: str, **more: Any) -> dict[str, Any]:
    return {
        "photo": {"bucket": "uploads", "key": "shoot/dog's.jpg"},
        "outcome": outcome,
        "options": {"remove": ["dog"], "grow": 20},
        "result": {"key": "shoot/dog's.jpg", "bytes": 1_234_567, "media_type": "image/jpeg"},
        "review": {"mask": {"key": "shoot/dog's.jpg.mask.png"}},
        "ended_at": 1.0,
        **more,
    }


@pytest.mark.parametrize(
    ("outcome", "wanted"),
    [
        (manifest("cleaned"), {"options": {"remove": ["dog"], "grow": 20}}),
        (manifest("cleaned", options={"remove": [], "grow": None}), {"options": {"grow": "auto"}}),
        (manifest("failed"), {}),
        (manifest("mask_ready"), {"approve": True}),
    ],
    ids=["cleaned", "own mask", "failed", "mask ready"],
)
def test_a_cards_command_is_a_request_that_is_taken(outcome: dict[str, Any], wanted: dict[str, Any]) -> None:
    ((_, command),) = card_of(outcome, "shoot/", bus="default").commands
    (entry,) = json.loads(shlex.split(command)[-1])
    detail = json.loads(entry["Detail"])
    assert detail == {"bucket": "uploads", "key": "shoot/dog's.jpg", **wanted}
    assert parse_options(detail.get("options", {}), source="The request") is not None


def test_a_photo_with_its_own_mask_names_nothing_to_remove() -> None:
    assert ("remove", "dog") in facts_of(manifest("cleaned"))
    assert "remove" not in dict(facts_of(manifest("cleaned", options={"remove": [], "grow": None})))
