"""Sending a paid request: what Adobe counts is what the ledger says, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from cleanplate.adobe.client import AdobeClient
from cleanplate.adobe.errors import (
    AdobeUnavailableError,
    CredentialsRefusedError,
    ForeignLinkError,
    InputLinkRefusedError,
    PostOutcomeUnknownError,
    RequestRefusedError,
)
from cleanplate.adobe.routes import ROUTES, Request, Route
from cleanplate.adobe.tokens import Credentials
from cleanplate.errors import (
    DeadlinePassedError,
    PostponedError,
)
from cleanplate.models import AdobeJob, Job
from cleanplate.services import Services
from cleanplate.steps.submit import MAX_REFUSALS, send
from tests.integration.conftest import client_for
from tests.integration.steps.walk import Walk
from tests.stage import KilledError

POST = "POST /v1/mask-objects"
OBJECTS = ROUTES["mask-objects"]


def request_once(walk: Walk, job: Job, services: Services | None = None) -> Job:
    """Send the request as one call of one function does."""
    return send(
        walk.stage.job(job.job_id),
        "mask",
        route=OBJECTS,
        status="masking",
        make_request=lambda: Request(image_url="http://127.0.0.1:1/dog.jpg"),
        services=services or walk.stage.services,
        slot_at=0.0,
    )


def request(walk: Walk, job: Job) -> Job:
    """Send the request as often as the waiting room lets the photo in."""
    for _ in range(300):
        try:
            return request_once(walk, job)
        except PostponedError as later:
            walk.stage.clock.now = max(walk.stage.clock() + 20, later.until)
    raise AssertionError("it was postponed for ever")


def rule(walk: Walk, action: Any, **more: Any) -> None:
    walk.adobe.add_rules({"route": POST, "fault": action, **more})


def agreed(walk: Walk) -> int:
    """Return the number of POSTs, which Adobe and the ledger count alike."""
    at_adobe = sum(walk.posts().values())
    assert at_adobe == walk.posts_in_the_ledger()
    return at_adobe


def test_a_job_is_bought_once_however_often_it_is_wanted(walk: Walk) -> None:
    job = walk.stage.claim()
    first = request(walk, job)
    assert [request(walk, job), request(walk, job)] == [first, first]
    (kept,) = first.adobe_requests.values()
    assert kept.adobe_job is not None
    assert (kept.attempts, kept.refusals, kept.lease_until) == (1, 0, 0)
    assert kept.check_at > walk.stage.clock()
    assert not first.possible_duplicate
    assert agreed(walk) == 1


def test_the_intent_is_written_before_adobe_hears_of_it(walk: Walk) -> None:
    job = walk.stage.claim()
    with pytest.raises(KilledError), walk.stage.killed("dynamodb.TransactWriteItems", when="after"):
        request_once(walk, job)
    assert walk.posts() == {}
    assert walk.stage.job(job.job_id).adobe_requests["mask"].attempts == 1


@pytest.mark.parametrize("action", ["lost_answer", "reset_in_body", {"do": "error", "status": 504}, "broken_json"])
def test_a_post_with_a_lost_answer_is_repeated_once_and_marked(walk: Walk, action: Any) -> None:
    job = walk.stage.claim()
    rule(walk, action, times=1)
    with pytest.raises(PostponedError):
        request_once(walk, job)
    with pytest.raises(PostponedError):
        request_once(walk, job)
    assert agreed(walk) == 1
    asked = request(walk, job)
    assert asked.adobe_requests["mask"].attempts == 2
    assert asked.possible_duplicate
    assert agreed(walk) == 2


def test_a_post_whose_answer_is_lost_twice_is_not_repeated(walk: Walk) -> None:
    job = walk.stage.claim()
    rule(walk, "lost_answer")
    with pytest.raises(PostOutcomeUnknownError):
        request(walk, job)
    with pytest.raises(PostOutcomeUnknownError):
        request(walk, job)
    assert agreed(walk) == 2
    assert walk.jobs_at_adobe() == {"mask-objects": 2}


def test_a_crash_after_the_post_leaves_one_more_try_after_the_lease(walk: Walk) -> None:
    job = walk.stage.claim()
    with pytest.raises(KilledError), walk.stage.killed("dynamodb.UpdateItem"):
        request_once(walk, job)
    walk.stage.clock.pass_by(100)
    with pytest.raises(PostponedError):
        request_once(walk, job)
    assert agreed(walk) == 1
    assert request(walk, job).possible_duplicate
    assert agreed(walk) == 2


def test_no_failure_buys_a_job_again_that_the_ledger_knows(walk: Walk) -> None:
    """GIVEN a POST whose job was kept WHEN the rate limiter fails right after THEN the job is known and not a duplicate."""
    job = walk.stage.claim()
    services = walk.stage.services

    class Broken:
        def __getattr__(self, name: str) -> Any:
            if name in {"record_success", "expected", "learn"}:
                raise KilledError(name)
            return getattr(services.limiter, name)

    with pytest.raises(KilledError):
        request_once(walk, job, replace(services, limiter=Broken()))  # type: ignore[arg-type]
    asked = request(walk, job)
    assert asked.adobe_requests["mask"].check_at > walk.stage.clock()
    assert not asked.possible_duplicate
    assert agreed(walk) == 1


@pytest.mark.parametrize("retry_after", [7, None])
def test_a_429_closes_the_gate_for_everybody_and_costs_no_attempt(walk: Walk, retry_after: float | None) -> None:
    job, other = walk.stage.claim(), walk.stage.claim("cat.jpg")
    rule(walk, {"do": "too_many_requests", "retry_after": retry_after}, times=1)
    with pytest.raises(PostponedError) as later:
        request_once(walk, job)
    assert later.value.until >= walk.stage.clock() + (retry_after or 1)
    with pytest.raises(PostponedError):
        request_once(walk, other)
    assert agreed(walk) == 1
    assert request(walk, job).adobe_requests["mask"].refusals == 1
    assert not walk.stage.job(job.job_id).possible_duplicate
    request(walk, other)
    assert agreed(walk) == 3


@pytest.mark.parametrize("status", [500, 502, 503, 408])
def test_an_outage_is_waited_out_and_may_have_made_a_job(walk: Walk, status: int) -> None:
    job = walk.stage.claim()
    rule(walk, {"do": "error", "status": status, "shape": "html"}, times=3)
    asked = request(walk, job)
    assert (asked.adobe_requests["mask"].attempts, asked.adobe_requests["mask"].refusals) == (1, 3)
    # Adobe retries 502, 503 and 504 inside: one of its own tries may have made a job.
    assert asked.possible_duplicate is (status != 408)
    assert agreed(walk) == 4


def test_an_outage_without_end_is_given_up_by_name(walk: Walk) -> None:
    job = walk.stage.claim()
    rule(walk, {"do": "error", "status": 502, "shape": "html"})
    with pytest.raises(AdobeUnavailableError):
        request(walk, job)
    assert agreed(walk) == MAX_REFUSALS + 1
    assert walk.stage.job(job.job_id).adobe_requests["mask"].attempts == 0


def test_patience_with_limits_does_not_use_up_the_patience_with_outages(walk: Walk) -> None:
    job = walk.stage.claim()
    rule(walk, {"do": "too_many_requests", "retry_after": 1}, times=MAX_REFUSALS + 2)
    rule(walk, {"do": "error", "status": 503}, times=1)
    assert request(walk, job).adobe_requests["mask"].refusals == MAX_REFUSALS + 3


def test_where_nobody_listens_nothing_was_bought(walk: Walk) -> None:
    job = walk.stage.claim()
    nobody = replace(walk.stage.services, make_adobe=lambda: client_for("http://127.0.0.1:1"))
    with pytest.raises(PostponedError):
        request_once(walk, job, nobody)
    kept = walk.stage.job(job.job_id).adobe_requests["mask"]
    assert (kept.attempts, kept.refusals, kept.outages) == (0, 0, 1)
    assert request(walk, job).adobe_requests["mask"].attempts == 1
    assert walk.posts() == {"mask-objects": 1}


@pytest.mark.parametrize("action", ["token_refused", {"do": "error", "status": 503}])
def test_only_what_was_sent_to_adobe_counts_as_a_post(walk: Walk, action: Any) -> None:
    """GIVEN that no token is to be had THEN nothing is sent, no slot is taken, and the record says so."""
    job = walk.stage.claim()
    walk.adobe.add_rules(
        {"route": "POST /ims/*", "fault": {"do": "error", "status": 401} if action == "token_refused" else action}
    )
    with pytest.raises((PostponedError, CredentialsRefusedError)):
        request_once(walk, job)
    assert agreed(walk) == 0
    assert sum(walk.stage.services.limiter.state().day_counts.values()) == 0


def test_a_post_that_is_sent_again_for_its_token_counts_twice(walk: Walk) -> None:
    rule(walk, "token_refused", times=1)
    asked = request_once(walk, walk.stage.claim()).adobe_requests["mask"]
    assert (asked.attempts, asked.refusals) == (1, 1)
    assert agreed(walk) == 2


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ({"do": "error", "status": 400, "shape": "B"}, RequestRefusedError),
        ({"do": "error", "status": 403, "shape": "A", "message": "Api Key is invalid"}, None),
        ("token_refused", CredentialsRefusedError),
    ],
)
def test_a_refusal_ends_it_at_once_and_costs_nothing(walk: Walk, action: Any, error: Any) -> None:
    job = walk.stage.claim()
    rule(walk, action)
    with pytest.raises(error or Exception) as raised:
        request_once(walk, job)
    assert not isinstance(raised.value, PostponedError)
    assert walk.stage.job(job.job_id).adobe_requests["mask"].attempts == 0
    assert walk.jobs_at_adobe() == {}


def test_wrong_credentials_cost_nothing_and_a_corrected_secret_is_enough(walk: Walk) -> None:
    wrong = replace(
        walk.stage.services, make_adobe=lambda: client_for(walk.adobe.url, lambda _: Credentials("no", "nothing"))
    )
    job = walk.stage.claim()
    with pytest.raises(CredentialsRefusedError):
        request_once(walk, job, wrong)
    assert walk.posts() == {}
    assert not request(walk, job).possible_duplicate


def test_a_secret_that_cannot_be_read_is_not_a_lost_answer(walk: Walk) -> None:
    def unreadable(_: bool) -> Credentials:
        raise AdobeUnavailableError("The Adobe secret could not be read.")

    services = replace(walk.stage.services, make_adobe=lambda: client_for(walk.adobe.url, unreadable))
    job = walk.stage.claim()
    with pytest.raises(PostponedError):
        request_once(walk, job, services)
    assert walk.stage.job(job.job_id).adobe_requests["mask"].attempts == 0


def test_a_link_that_adobe_could_not_read_is_signed_again_once(walk: Walk) -> None:
    once, twice = walk.stage.claim(), walk.stage.claim("cat.jpg")
    gone = {"do": "error", "status": 410, "shape": "B"}
    rule(walk, gone, times=1)
    assert request(walk, once).adobe_requests["mask"].refusals == 1
    rule(walk, gone)
    with pytest.raises(InputLinkRefusedError):
        request(walk, twice)
    assert agreed(walk) == 4


def test_a_request_to_wait_uses_up_no_second_link(walk: Walk) -> None:
    job = walk.stage.claim()
    rule(walk, "too_many_requests", times=1)
    rule(walk, {"do": "error", "status": 410, "shape": "B"}, times=1)
    sent = request(walk, job).adobe_requests["mask"]
    assert (sent.adobe_job is not None, sent.refusals, sent.refused_links) == (True, 2, 1)
    assert agreed(walk) == 3


def test_a_job_with_a_foreign_link_is_not_bought_again_by_itself(walk: Walk) -> None:
    job = walk.stage.claim()
    rule(walk, {"do": "foreign_status_link", "keep_id": False})
    with pytest.raises(ForeignLinkError):
        request_once(walk, job)
    with pytest.raises(PostponedError):
        request_once(walk, job)
    assert agreed(walk) == 1


def test_a_slot_after_the_photos_deadline_ends_it(walk: Walk) -> None:
    job = walk.stage.claim()
    rule(walk, {"do": "too_many_requests", "retry_after": 86_400})
    walk.stage.clock.pass_by(3600)
    with pytest.raises(DeadlinePassedError):
        request_once(walk, job)


def test_however_many_deliveries_run_at_once_one_of_them_sends(walk: Walk) -> None:
    job = walk.stage.claim()
    rule(walk, {"do": "delay", "seconds": 0.2})

    def one(_: int) -> str:
        try:
            request_once(walk, job, walk.stage.services)
        except PostponedError:
            return "waits"
        return "sent"

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(one, range(6)))
    assert "sent" in outcomes
    assert agreed(walk) == 1
    assert not request(walk, job).possible_duplicate


def test_a_slow_delivery_does_not_wipe_out_what_a_quick_one_is_sending(walk: Walk) -> None:
    """GIVEN a delivery that read the job before another began to send WHEN it is given a later slot
    THEN a third delivery still sees that somebody is sending."""
    job = walk.stage.claim()
    stale = walk.stage.job(job.job_id)
    walk.stage.ledger.begin_request(stale, "mask", route="mask-objects", status="masking", now=walk.stage.clock())
    services = walk.stage.services
    services.limiter.close_gate(5, "test")
    with pytest.raises(PostponedError):
        send(
            stale,
            "mask",
            route=OBJECTS,
            status="masking",
            make_request=lambda: Request(image_url="http://127.0.0.1:1/dog.jpg"),
            services=services,
            slot_at=0.0,
        )
    walk.stage.clock.pass_by(10)
    with pytest.raises(PostponedError):
        request_once(walk, job)
    assert walk.posts() == {}


def test_the_first_check_is_planned_with_a_slot_where_polls_count(make_walk: Callable[..., Walk]) -> None:
    walk = make_walk(COUNT_POLLS="true", REQUESTS_PER_MINUTE="60", REQUESTS_PER_DAY="9000")
    asked = request(walk, walk.stage.claim()).adobe_requests["mask"]
    assert asked.check_at == asked.slot_at > asked.submitted_at
    assert asked.deadline_at == asked.submitted_at + 900


@pytest.mark.parametrize("answered_after", [0.0, 1.5, 8.0])
@pytest.mark.parametrize("polls_count", ["true", "false"])
def test_the_first_check_counts_from_adobes_answer(
    make_walk: Callable[..., Walk], monkeypatch: pytest.MonkeyPatch, answered_after: float, polls_count: str
) -> None:
    """GIVEN status requests that take slots THEN it counts from there as long as its slot holds."""
    walk = make_walk(COUNT_POLLS=polls_count, REQUESTS_PER_MINUTE="60", REQUESTS_PER_DAY="9000")
    submit = AdobeClient.submit

    def slowly(client: AdobeClient, route: Route, body: Request) -> AdobeJob:
        job = submit(client, route, body)
        walk.stage.clock.pass_by(answered_after)
        return job

    monkeypatch.setattr(AdobeClient, "submit", slowly)
    asked = request(walk, walk.stage.claim()).adobe_requests["mask"]
    if polls_count == "false":
        assert asked.check_at - asked.submitted_at == pytest.approx(6.0, abs=0.01)
    else:
        assert asked.slot_at <= asked.check_at <= asked.slot_at + 2
        assert asked.check_at >= min(asked.submitted_at + 6, asked.slot_at + 2)
