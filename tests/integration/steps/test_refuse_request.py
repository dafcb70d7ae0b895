"""Which of several stacks on one bus answers a request that cannot be carried out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from cleanplate.errors import InvalidRequestError
from cleanplate.steps.refuse_request import describe_refusal, refuse_request
from tests.integration.steps.walk import Walk
from tests.stage import UPLOADS

OTHERS = "the-uploads-of-another-stack"


def take_requests(walk: Walk, name: str, buckets: Sequence[Any]) -> None:
    """Make the rules of one stack, as the template makes them."""
    for ending, named in (("requested", buckets), ("stray", [{"exists": False}, {"anything-but": buckets}])):
        pattern = {"detail-type": ["Photo Cleaning Requested"], "detail": {"bucket": named}}
        walk.stage.events.put_rule(Name=f"{name}-{ending}", EventPattern=json.dumps(pattern))


def answers(walk: Walk, detail: Any) -> int:
    """Return how often the stack answered."""
    body = json.dumps({"detail-type": "Photo Cleaning Requested", "id": "1", "detail": detail})
    before = len(walk.stage.published("Request Refused"))
    assert refuse_request(body, InvalidRequestError("No."), walk.stage.services)
    return len(walk.stage.published("Request Refused")) - before


def test_a_stack_answers_what_names_its_own_bucket(walk: Walk) -> None:
    take_requests(walk, "a", [OTHERS])
    take_requests(walk, "b", [UPLOADS])
    assert answers(walk, {"bucket": UPLOADS}) == 1


def test_a_stack_leaves_another_stacks_request_alone(walk: Walk) -> None:
    take_requests(walk, "a", [UPLOADS])
    take_requests(walk, "b", ["and-one-more", OTHERS])
    assert answers(walk, {"bucket": OTHERS, "key": 7}) == 0


@pytest.mark.parametrize("detail", [{}, {"bucket": "of-nobody"}, {"bucket": 7}, {"bucket": [UPLOADS]}, "words", None])
@pytest.mark.parametrize(("name", "answered"), [("a", 1), ("z", 0)])
def test_the_first_of_two_stacks_answers_for_nobodys_bucket(walk: Walk, detail: Any, name: str, answered: int) -> None:
    take_requests(walk, name, [UPLOADS])
    take_requests(walk, "m", [OTHERS])
    assert answers(walk, detail) == answered


def test_half_characters_keep_no_request_from_its_answer() -> None:
    detail = {"key": "dog\ud800.jpg", "correlation_id": "\udfff"}
    refusal = describe_refusal({"id": "1", "detail": detail}, InvalidRequestError("No."))
    json.dumps(refusal, ensure_ascii=False).encode()
    assert refusal["request"] == {"key": "dog?.jpg", "correlation_id": "?"}


def test_other_peoples_rules_do_not_count(walk: Walk) -> None:
    take_requests(walk, "z", [UPLOADS])
    for name, pattern in {
        "a1": {"detail-type": ["Photo Cleaning Requested"]},
        "a2": {"source": ["aws.s3"], "detail": {"bucket": {"name": [OTHERS]}}},
        "a3": {"detail-type": ["Photo Cleaned"], "detail": {"photo": {"bucket": [OTHERS]}}},
    }.items():
        walk.stage.events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    walk.stage.events.put_rule(Name="a4", ScheduleExpression="rate(1 hour)")
    assert answers(walk, {}) == 1


def test_a_stack_that_no_rule_names_answers_by_itself(walk: Walk) -> None:
    assert answers(walk, {}) == 1
