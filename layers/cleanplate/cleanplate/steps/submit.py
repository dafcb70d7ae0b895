"""Sending one paid request: prepare it, take a slot, write the intent, POST, keep Adobe's job. In this order, always."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cleanplate.adobe.errors import (
    AdobeError,
    AdobeUnavailableError,
    AnswerLostError,
    AnswerUnreadableError,
    ForeignLinkError,
    InputLinkRefusedError,
    RateLimitedError,
)
from cleanplate.adobe.routes import Request, Route
from cleanplate.aws.metrics import Metric, count
from cleanplate.errors import DeadlinePassedError, PostponedError
from cleanplate.jobs.ledger import check_not_in_flight
from cleanplate.models import AdobeJob, AdobeRequest, Job, JobStatus
from cleanplate.rate_limit.polling import wait_after_refusal
from cleanplate.services import Services

#: What was not sent, or made no job that Adobe tells of, for reasons that pass: an answer that is unreadable is IMS's
#: here, as that of a POST counts as lost.
_OUTAGE = (AdobeUnavailableError, AnswerUnreadableError)
#: So many refusals (502, no connection …) in a row are an outage that the photo does not wait out.
MAX_REFUSALS = 10
#: Adobe takes about so long to answer a POST, and its job begins then. Seconds.
_POST_TAKES = 0.3
#: A slot for the first check holds at least so long after its time, as an answer may take longer. Seconds.
_SLOT_HOLDS = 2.0
#: Before a POST with a lost answer is sent once more. Seconds.
_LOST_ANSWER_WAIT = 5.0
#: A slot so near is waited for in the call itself; one further off in the waiting room or by the machine. Seconds.
_PATIENCE = 1.5


def send(
    job: Job,
    name: str,
    *,
    route: Route,
    status: JobStatus,
    make_request: Callable[[], Request],
    services: Services,
    slot_at: float | None = None,
) -> Job:
    """Return the job with Adobe's for the request ``name``, sending the POST only where there is none yet.

    ``slot_at`` is the slot that a new photo was let in with; one with 0 must find one at once, and one in work, with None,
    stands in nobody's line. Raises :class:`PostponedError` where it has no slot yet, or why it must fail.
    """
    request = job.adobe_requests.get(name, AdobeRequest(name))
    if request.adobe_job:
        return job
    check_not_in_flight(request, services.clock())
    # Before the slot is taken: what this needs may take longer than a slot holds.
    body = make_request()
    _sign_in(job, request, route, services)
    if slot_at is not None:
        take_turn(job, route=route, slot_at=slot_at, services=services)
    else:
        job = _await_slot(job, name, route, services)
    wait = services.limiter.first_wait(route.name, services.random())
    check = with_check(AdobeRequest("", route=route.name), services.clock() + _POST_TAKES + wait, services)
    job = services.ledger.begin_request(job, name, route=route.name, status=status, now=services.clock())
    request = job.adobe_requests[name]
    if request.adobe_job:
        return job
    adobe_job = _post(job, request, route, body, services)
    now = services.clock()
    sent = replace(
        request,
        adobe_job=adobe_job,
        submitted_at=now,
        deadline_at=now + services.request_deadline(status),
        check_at=_first_check_at(check, now + wait, services),
        slot_at=check.slot_at,
        outages=0,
        refusals=request.refusals + adobe_job.requests - 1,
    )
    # Before anything else that can fail: what the ledger does not know is paid for again.
    job = services.ledger.record_adobe_job(job, sent, now=now)
    services.limiter.record_success(route.name)
    return job


def _sign_in(job: Job, request: AdobeRequest, route: Route, services: Services) -> None:
    try:
        services.adobe.sign_in()
    except AdobeError as error:
        raise _after_refusal(job, request, error, route=route, services=services) from error


def _post(job: Job, request: AdobeRequest, route: Route, body: Request, services: Services) -> AdobeJob:
    """Send the POST; what came of one without a job is in the ledger when it raises why."""
    count(Metric.ADOBE_POSTS)
    try:
        return services.adobe.submit(route, body)
    except AnswerLostError as error:
        until = services.clock() + _LOST_ANSWER_WAIT
        # Until then nobody sends it again; from then on it may be sent once more.
        lost = replace(request, refusals=request.refusals + error.requests, lease_until=until)
        services.ledger.record_poll(job, lost, now=services.clock())
        raise PostponedError(str(error), until) from error
    except ForeignLinkError:
        # A job was made and paid, only its link is unusable: the intent stays, so that nobody sends it again.
        raise
    except AdobeError as error:
        raise _after_refusal(job, request, error, begun=True, route=route, services=services) from error


def _first_check_at(check: AdobeRequest, best: float, services: Services) -> float:
    if not services.limiter.limits.polls_count:
        return best
    return max(check.check_at, min(best, check.check_at + _SLOT_HOLDS))


def with_check(request: AdobeRequest, at: float, services: Services) -> AdobeRequest:
    """Return the request with its next status request at ``at`` or, where those take slots too, at the first slot after it."""
    slot = services.limiter.reserve("poll", route=request.route, not_before=at, instead_of=request.slot_at)
    return replace(request, check_at=max(at, slot.at), slot_at=slot.at if slot.granted else 0.0)


def take_turn(job: Job, *, route: Route, slot_at: float, services: Services) -> float:
    """Take a new photo's slot and wait for it, a moment at most; return when it is.

    Without ``slot_at`` it may only go where nobody waits. Raises :class:`PostponedError` where it has to wait.
    """
    now = services.clock()
    if not slot_at and services.room.lease().until > now:
        raise _postponed(job, "Other photos wait for a slot at Adobe.", now)
    within = services.limiter.limits.near if slot_at else _PATIENCE
    slot = services.limiter.reserve("mask", route=route.name, within=within, instead_of=slot_at)
    if not slot.granted:
        raise _postponed(job, f"No slot at Adobe is free ({slot.reason}).", now)
    services.sleep(max(0.0, slot.at - services.limiter.now()))
    return slot.at


def take_slot(job: Job, name: str, *, route: Route, services: Services, ahead: float = 0.0) -> tuple[Job, float]:
    """Take the slot of a photo in work, kept in the ledger if it is not for now; return for how long it must wait.

    ``ahead`` is how long the request takes to prepare, which may be done before the slot. Seconds.
    """
    request = job.adobe_requests.get(name, AdobeRequest(name))
    now = services.limiter.now()
    slot = services.limiter.reserve("fill", route=route.name, instead_of=request.slot_at, not_before=now + ahead)
    held, wait = slot.at if slot.granted else 0.0, slot.at - now
    if held != request.slot_at and (ahead or wait > _PATIENCE):
        job = services.ledger.record_slot(job, replace(request, slot_at=held), now=services.clock())
    return job, max(0.0, wait - ahead) if slot.granted else max(1.0, wait)


def _await_slot(job: Job, name: str, route: Route, services: Services) -> Job:
    job, wait = take_slot(job, name, route=route, services=services)
    if wait > _PATIENCE:
        raise _postponed(job, "Its slot at Adobe has not come yet.", services.clock() + wait)
    services.sleep(wait)
    return job


def _after_refusal(
    job: Job, request: AdobeRequest, error: AdobeError, *, route: Route, services: Services, begun: bool = False
) -> Exception:
    """Record what came of a POST that made no job, or of getting the token for one; return what to raise."""
    now = services.clock()
    outages = request.outages + 1 if isinstance(error, _OUTAGE) else 0
    unsure = request.unsure + (isinstance(error, AdobeUnavailableError) and error.job_may_exist)
    is_link = isinstance(error, InputLinkRefusedError)
    counted = replace(request, outages=outages, unsure=unsure, refused_links=request.refused_links + is_link)
    if begun:
        services.ledger.withdraw_request(job, counted, sent=error.requests, now=now)
    elif counted != request:
        services.ledger.record_slot(job, counted, now=now)
    if isinstance(error, RateLimitedError):
        count(Metric.THROTTLED)
        return _postponed(job, str(error), services.limiter.close_gate(error.retry_after, "429"))
    if isinstance(error, _OUTAGE) and request.outages < MAX_REFUSALS:
        services.limiter.record_unavailable(route.name)
        return _postponed(job, str(error), now + wait_after_refusal(request.outages, services.random()))
    if is_link and not request.refused_links:
        # Once more with a link that is signed again.
        return _postponed(job, str(error), now + wait_after_refusal(0, services.random()))
    return error


def _postponed(job: Job, why: str, until: float) -> Exception:
    if until > job.deadline_at:
        return DeadlinePassedError(f"The next slot at Adobe comes after the photo's deadline. {why}")
    return PostponedError(why, until)
