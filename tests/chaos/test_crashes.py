from __future__ import annotations

import pytest

from tests.chaos.boundaries import HandledWalk
from tests.chaos.crashes import SCENARIOS, Scenario, cuts_of, name_of, pairs_of, walk_once, wrong_with
from tests.chaos.world import MakeWalk

# As in Lambda: a call in which nothing was counted is nothing to warn of.
pytestmark = [
    pytest.mark.filterwarnings("ignore:No application metrics"),
    # A killed process closes nothing.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

#: One cut in so many is made here, all of them by ``make prove``.
ONE_IN = 400
#: Two cuts in one walk are made here in these alone.
TWICE_CUT = frozenset({"plain", "every wait"})
#: Every kind of call that a function makes.
CALLS = {
    "s3.HeadObject",
    "s3.GetObject",
    "s3.PutObject",
    "s3.CopyObject",
    "s3.ListObjectVersions",
    "dynamodb.GetItem",
    "dynamodb.PutItem",
    "dynamodb.Query",
    "dynamodb.UpdateItem",
    "dynamodb.TransactWriteItems",
    "dynamodb.TransactGetItems",
    "dynamodb.BatchGetItem",
    "eventbridge.PutEvents",
    "sfn.StartExecution",
    "sqs.ChangeMessageVisibility",
    "sqs.GetQueueAttributes",
    "sqs.SendMessageBatch",
    "secrets-manager.GetSecretValue",
    "POST /ims/token/v3",
    "POST /v1/mask-objects",
    "POST /v1/fill-masked-areas",
    "POST /v2/remove-background",
    "POST /sensei/mask",
    "GET /v1/status/…",
    "GET /v2/status/…",
    "GET /sensei/status/…",
    "GET /results/…",
}
_seen: set[str] = set()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))
@pytest.mark.xdist_group("crashes")
def test_a_process_killed_at_any_call_breaks_no_promise(make_walk: MakeWalk, scenario: Scenario) -> None:
    plain = walk_once(make_walk, scenario)
    assert plain.verdict.breaches == ()
    assert plain.ends in scenario.ends
    _seen.update(plain.passed)
    number = SCENARIOS.index(scenario)
    singles = [(cut,) for cut in cuts_of(plain.passed)[3 * number :: ONE_IN]]
    pairs = pairs_of(plain.passed, 1, scenario.name) if scenario.name in TWICE_CUT else []
    for cuts in (*singles, *pairs):
        walked = walk_once(make_walk, scenario, *cuts)
        where = name_of(scenario, plain.passed, *cuts)
        assert walked.verdict.breaches == (), where
        assert not wrong_with(scenario, walked, plain.passed, *cuts), where


@pytest.mark.xdist_group("crashes")
def test_every_kind_of_call_is_a_crash_point() -> None:
    assert _seen == CALLS


def test_a_photo_through_the_deployed_handlers_reports_its_calls(make_walk: MakeWalk) -> None:
    reported: list[tuple[str, str]] = []
    walk = HandledWalk(make_walk(), lambda name, moment: reported.append((name, moment)))
    walk.invoke("report_progress", {})
    assert reported[0][1] == "before"
    assert [name for name, moment in reported if moment == "before"] == [
        name for name, moment in reported if moment == "after"
    ]
