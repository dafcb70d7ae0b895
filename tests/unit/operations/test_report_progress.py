"""What a report says: counts, pace, what holds photos up, and when the last will be done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cleanplate.aws import clients
from cleanplate.errors import UnknownFolderError
from cleanplate.jobs.folder_counts import FolderCounts
from cleanplate.operations.report_progress import clock_time, describe_pace, done_by, report_progress
from cleanplate.rate_limit import breakers, reservations
from cleanplate.rate_limit.limits import RateLimits
from cleanplate.rate_limit.pace import Pace
from cleanplate.rate_limit.state import FILL_ROUTE, Kind, RateLimitState, fresh
from tests.aws import client_as_new
from tests.stage import UPLOADS, Stage
from tests.unit.cleanplate_cli.test_forecast import SCENES, Played, play

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

NOON = 1_800_014_400.0
LIMITS = RateLimits(per_minute=60, per_day=9000, polls_count=False)


@pytest.fixture
def queue(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> SQSClient:
    sqs: SQSClient = client_as_new("sqs")
    url = sqs.create_queue(QueueName="uploads")["QueueUrl"]
    monkeypatch.setattr(clients, "sqs", lambda: sqs)
    stage.settings = replace(stage.settings, uploads_queue_url=url)
    return sqs


def worked(requests: int, limits: RateLimits, state: RateLimitState, now: float) -> tuple[RateLimitState, float]:
    """The state after so many fills at full speed, and the time then."""
    for _ in range(requests):
        state, slot = reservations.reserve(state, limits, now, "fill", route=FILL_ROUTE)
        now = max(now, slot.at)
    return state, now


# --- counts ---


def test_a_report_says_how_many_photos_stand_where(stage: Stage, queue: Any) -> None:
    jobs = [stage.claim(f"x/{number}.jpg") for number in range(4)]
    stage.claim("y/dog.jpg")
    stage.ledger.begin_request(jobs[0], "mask", route="mask-objects", status="masking", now=stage.clock())
    stage.ledger.finish(jobs[1], "cleaned", {}, now=stage.clock())
    stage.ledger.finish(jobs[2], "failed", {"reason": "NotAPhotoError"}, now=stage.clock())
    queue.send_message(QueueUrl=stage.settings.uploads_queue_url, MessageBody="message")
    for folder in ("x/", "x"):
        report = report_progress({"folder": folder}, stage.services)
        counts = {
            name: report[name] for name in ("photos", "waiting", "in_work", "cleaned", "nothing_to_remove", "failed")
        }
        assert counts == {
            "photos": 4, "waiting": 1, "in_work": 1, "cleaned": 1, "nothing_to_remove": 0, "failed": 1,
        }  # fmt: skip
        assert report["failed_for"] == {"NotAPhotoError": 1}
        assert (report["bucket"], report["folder"], report["not_yet_seen"]) == (UPLOADS, "x/", 1)
        assert report["done_at"] > clock_time(stage.clock())
        assert report["done_in_seconds"] > 0
    assert report_progress({}, stage.services)["photos"] == 5
    assert report_progress({"bucket": UPLOADS}, stage.services)["folder"] is None


def test_where_all_are_done_there_is_nothing_to_wait_for(stage: Stage, queue: Any) -> None:
    stage.ledger.finish(stage.claim("x/1.jpg"), "cleaned", {}, now=stage.clock())
    report = report_progress({"folder": "x/"}, stage.services)
    assert (report["done_at"], report["done_in_seconds"], report["held"]) == (None, 0, [])


def test_an_empty_uploads_bucket_is_no_error(stage: Stage, queue: Any) -> None:
    assert report_progress({}, stage.services)["photos"] == 0


@pytest.mark.parametrize("asked", [{"folder": "nope/"}, {"folder": ""}, {"bucket": "nobodys"}])
def test_a_folder_not_seen_yet_has_zeros_and_a_sentence(stage: Stage, queue: Any, asked: dict[str, str]) -> None:
    stage.claim("x/1.jpg")
    report = report_progress(asked, stage.services)
    assert (report["photos"], report["cleaned"], report["failed"], report["done_at"]) == (0, 0, 0, None)
    assert "has been seen" in report["answer"]
    assert report_progress({"folder": "x/"}, stage.services)["answer"] == ""


@pytest.mark.parametrize("asked", [{"folder": 5}, {"bucket": {}}, {"foldr": "x/"}, {"prefix": "x/"}])
def test_a_question_that_makes_no_sense_is_refused(stage: Stage, queue: Any, asked: dict[str, Any]) -> None:
    stage.claim("x/1.jpg")
    with pytest.raises(UnknownFolderError):
        report_progress(asked, stage.services)


def test_a_report_costs_a_few_calls(stage: Stage, queue: Any) -> None:
    for number in range(20):
        stage.claim(f"x/{number}.jpg")
    services, calls = stage.services, []
    stage.dynamodb.meta.events.register("before-call.dynamodb", lambda model, **_: calls.append(model.name))
    report_progress({"folder": "x/"}, services)
    assert calls == ["BatchGetItem", "GetItem"]


# --- when ---


def test_the_last_photo_is_done_when_its_slot_comes(stage: Stage) -> None:
    state = fresh(LIMITS, NOON)
    soon = done_by(state, LIMITS, NOON, FolderCounts(waiting=1))
    later = done_by(state, LIMITS, NOON, FolderCounts(waiting=300))
    assert 10 < soon - NOON < 30
    # Two requests each, at 58 a minute.
    assert later - NOON == pytest.approx(300 * 2 * LIMITS.spacing, rel=0.05)
    assert soon < done_by(state, LIMITS, NOON, FolderCounts(waiting=200, in_work=100)) < later
    assert done_by(state, LIMITS, NOON, FolderCounts(waiting=200), 100) == later


def reported(run: Played) -> Iterator[float]:
    """Yield when a run will be done, as reported at each twentieth of its time."""
    state = fresh(LIMITS, NOON)
    ahead: list[tuple[float, Kind]] = [*((at, "mask") for at in run.masks), *((at, "fill") for at in run.fills)]
    ahead.sort(reverse=True)
    for part in range(20):
        now = NOON + part / 20 * run.ended[-1]
        while ahead and NOON + ahead[-1][0] <= now:
            at, kind = ahead.pop()
            route = FILL_ROUTE if kind == "fill" else "mask-objects"
            state, _ = reservations.reserve(state, LIMITS, NOON + at, kind, route=route)
        begun, ended = (sum(NOON + at <= now for at in times) for times in (run.begun, run.ended))
        counts = FolderCounts(waiting=len(run.ended) - begun, in_work=begun - ended)
        yield done_by(state, LIMITS, now, counts) - NOON


@pytest.mark.parametrize("scene", ["long fills", "short fills", "very long fills"])
@pytest.mark.parametrize("photos", [60, 300])
def test_half_is_right_where_processors_are_slower_than_the_limit(scene: str, photos: int) -> None:
    """Of reports at any time of a run, within a fifth of its whole time."""
    runs = [play(SCENES[scene], photos, seed) for seed in range(3)]
    right = [abs(end - run.ended[-1]) <= 0.2 * run.ended[-1] for run in runs for end in reported(run)]
    assert sum(right) >= 0.6 * len(right)


def test_at_the_limit_the_pace_of_late_changes_nothing() -> None:
    state, now = worked(300, LIMITS, fresh(LIMITS, NOON), NOON)
    assert state.pace.seconds_between(now) == pytest.approx(LIMITS.spacing, rel=0.05)
    counts = FolderCounts(waiting=500, in_work=10)
    assert done_by(state, LIMITS, now, counts) == done_by(replace(state, pace=Pace()), LIMITS, now, counts)


def test_what_went_slowly_before_a_pause_says_nothing_of_now() -> None:
    state, now = fresh(LIMITS, NOON), NOON
    steps: list[tuple[Kind, str]] = [("mask", "mask-objects"), ("fill", FILL_ROUTE)]
    for _ in range(20):
        for kind, route in steps:
            now += 10
            state, _ = reservations.reserve(state, LIMITS, now, kind, route=route)
    counts = FolderCounts(waiting=100)
    assert done_by(state, LIMITS, now, counts) - now == pytest.approx(100 * 2 * 10, rel=0.02)
    later = now + 100
    assert done_by(state, LIMITS, later, counts) - later == pytest.approx(100 * 2 * LIMITS.spacing, rel=0.15)


def test_a_folder_of_days_is_forecast_in_days() -> None:
    done = done_by(fresh(LIMITS, NOON), LIMITS, NOON, FolderCounts(waiting=45_000))
    assert (done - NOON) / 86_400 == pytest.approx(9, abs=1)


def test_a_route_out_of_order_is_waited_for() -> None:
    state = fresh(LIMITS, NOON)
    for _ in range(8):
        state = breakers.unavailable(state, NOON, FILL_ROUTE)
    until = state.breakers[FILL_ROUTE].until
    assert done_by(state, LIMITS, NOON, FolderCounts(waiting=1)) > until > NOON


# --- the pace, in words ---


def test_nothing_is_held_where_nothing_is_wrong() -> None:
    report = describe_pace(fresh(LIMITS, NOON), LIMITS, NOON)
    assert report == {
        "held": [],
        "requests_per_minute": {"now": 0.0, "limit": 58.1},
        "requests_per_day": {"used": 0, "limit": 9000},
        "daily_budget": None,
    }


def test_at_full_speed_the_report_says_so() -> None:
    state, now = worked(120, LIMITS, fresh(LIMITS, NOON), NOON)
    report = describe_pace(state, LIMITS, now)
    assert report["requests_per_minute"]["now"] == pytest.approx(58.1, rel=0.1)
    assert report["requests_per_day"]["used"] == 120
    assert 10 < describe_pace(state, LIMITS, now + 40)["requests_per_minute"]["now"] < 45
    assert describe_pace(state, LIMITS, now + 70)["requests_per_minute"]["now"] == 0


def test_a_closed_gate_says_until_when() -> None:
    state = breakers.close(fresh(LIMITS, NOON), LIMITS, NOON, NOON + 90, "429")
    (held,) = describe_pace(state, LIMITS, NOON)["held"]
    assert held == f"Adobe asked to wait (429); requests go on at {clock_time(NOON + 90)}."
    assert describe_pace(state, LIMITS, NOON + 91)["held"] == []


def test_an_open_breaker_names_its_route() -> None:
    state = fresh(LIMITS, NOON)
    for _ in range(8):
        state = breakers.unavailable(state, NOON, "mask-objects")
    (held,) = describe_pace(state, LIMITS, NOON)["held"]
    assert "mask-objects does not answer" in held


def test_a_spent_budget_says_that_tomorrow_is_another_day() -> None:
    limits = replace(LIMITS, daily_budget=10)
    state, now = worked(10, limits, fresh(limits, NOON), NOON)
    report = describe_pace(state, limits, now)
    assert report["daily_budget"] == {"spent": 10, "cap": 10}
    (held,) = report["held"]
    assert held.endswith("T00:00:00Z.")
    assert describe_pace(state, limits, NOON + 86_400)["daily_budget"] == {"spent": 0, "cap": 10}


def test_a_day_that_is_full_says_so() -> None:
    limits = replace(LIMITS, per_day=60)
    state, now = worked(60, limits, fresh(limits, NOON), NOON)
    (held,) = describe_pace(state, limits, now)["held"]
    assert held.startswith("The day's 60 requests are used up")


def test_no_limit_per_day_is_none() -> None:
    limits = replace(LIMITS, per_day=None)
    assert describe_pace(fresh(limits, NOON), limits, NOON)["requests_per_day"] == {"used": 0, "limit": None}
