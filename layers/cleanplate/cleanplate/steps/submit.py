"""Sending one paid request: take a slot, write the intent, POST, keep Adobe's job. In this order, always."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cleanplate.adobe.routes import Request, Route
from cleanplate.aws.metrics import Metric, count
from cleanplate.errors import (
    AdobeError,
    AdobeUnavailableError,
    AnswerLostError,
    AnswerUnreadableError,
    DeadlinePassedError,
    ForeignLinkError,
    InputLinkRefusedError,
    JobMovedOnError,
    PostponedError,
    RateLimitedError,
)
from cleanplate.jobs.ledger import look_again_at
from cleanplate.models import TERMINAL, AdobeRequest, Job, JobStatus
from cleanplate.rate_limit.polling import DEFAULT_EXPECTED, first_wait, wait_after_refusal
from cleanplate.rate_limit.state import Slot
from cleanplate.services import Services

#: What was not sent, or made no job that Adobe tells of, for reasons that pass: an answer that is unreadable is IMS's
#: here, as that of a POST counts as lost.
_OUTAGE = (AdobeUnavailableError, AnswerUnreadableError)
#: So many refusals (502, no connection …) in a row are an outage that the photo does not wait out.
MAX_REFUSALS = 10
#: Before a POST with a lost answer is sent once more. Seconds.
_LOST_ANSWER_WAIT = 5.0
#: A request is sent a moment after its slot was taken. Seconds; less than what rounds to a wait.
_TIME_TO_BEGIN = 0.4


def send(
    job: Job, name: str, *, route: Route, status: JobStatus, make_request: Callable[[], Request], services: Services
) -> Job:
    """Have Adobe's job for the ask ``name``, sending the POST only where there is none yet.

    Raises :class:`PostponedError` where it is not its turn, and the error itself where the photo must fail.
    """
    if name in job.adobe_requests and job.adobe_requests[name].adobe_job:
        return job
    job = _claim_slot(job, name, route=route, status=status, services=services)
    body = make_request()
    job = services.ledger.begin_request(job, name, route=route.name, status=status, now=services.clock())
    request = job.adobe_requests[name]
    if request.adobe_job:
        return job
    count(Metric.ADOBE_POSTS)
    try:
        adobe_job = services.adobe.submit(route, body)
    except AnswerLostError as error:
        until = services.clock() + _LOST_ANSWER_WAIT
        services.ledger.record_answer_lost(job, request, now=services.clock(), until=until)
        raise PostponedError(str(error), until) from error
    except ForeignLinkError:
        # A job was made and paid, only its link is unusable: the intent stays, so that nobody sends it again.
        raise
    except AdobeError as error:
        raise _after_refusal(job, request, error, route=route, services=services) from error
    now = services.clock()
    sent = replace(
        request,
        adobe_job=adobe_job,
        submitted_at=now,
        deadline_at=now + services.request_deadline(status),
        check_at=now + first_wait(DEFAULT_EXPECTED),
        outages=0,
    )
    # Before anything else that can fail: what the ledger does not know is paid for again.
    job = services.ledger.record_adobe_job(job, sent, now=now)
    services.limiter.record_success(route.name)
    # An early look tells something only against what was learnt already.
    jitter = services.random() if services.limiter.has_observed(route.name) else 1.0
    wait = first_wait(services.limiter.expected(route.name), jitter=jitter)
    return services.ledger.record_poll(job, with_check(job.adobe_requests[name], now + wait, services), now=now)


def with_check(request: AdobeRequest, at: float, services: Services) -> AdobeRequest:
    """The ask with its next status request at ``at`` or, where those take slots too, at the first slot after it."""
    slot = services.limiter.reserve("poll", route=request.route, not_before=at, instead_of=request.slot_at)
    return replace(request, check_at=max(at, slot.at), slot_at=slot.at if slot.granted else 0.0)


def take_slot(job: Job, name: str, *, route: Route, status: JobStatus, services: Services) -> Slot:
    """The pacer's slot for a request that is about to be made, or its place in the queue; kept in the ledger."""
    return _reserve(job, name, route, status, services, not_before=services.limiter.now() + _TIME_TO_BEGIN)[1]


def await_slot(job: Job, name: str, *, route: Route, status: JobStatus, services: Services) -> None:
    """Raise :class:`PostponedError` where a request that stands in line has to go on waiting.

    For a message that comes back only to see whether its turn has come: nothing is read but its place.
    """
    slot = take_slot(job, name, route=route, status=status, services=services)
    if not _is_now(slot, services):
        raise _not_yet(job, slot)


def _reserve(
    job: Job, name: str, route: Route, status: JobStatus, services: Services, *, not_before: float = 0.0
) -> tuple[Job, Slot]:
    request = job.adobe_requests.get(name, AdobeRequest(name))
    # A photo that brings its mask is new at its first fill, and must not go before those that are in work.
    is_new = status == "masking" or (job.own_mask is not None and name == "fill-1")
    slot = services.limiter.reserve(
        "mask" if is_new else "fill",
        route=route.name,
        urgent=job.options.urgent,
        ticket=request.ticket,
        instead_of=request.slot_at,
        not_before=not_before,
    )
    kept = slot.at if slot.granted else 0.0
    # A slot that is used at once needs no memory.
    if (kept, slot.ticket) != (request.slot_at, request.ticket) and (not_before or not _is_now(slot, services)):
        job = _keep_slot(job, replace(request, slot_at=kept, ticket=slot.ticket), services)
    return job, slot


def _claim_slot(job: Job, name: str, *, route: Route, status: JobStatus, services: Services) -> Job:
    now = services.clock()
    request = job.adobe_requests.get(name, AdobeRequest(name))
    if request.attempts and now < request.lease_until:
        raise _postponed(job, "The request is being sent by another call.", look_again_at(request, now))
    job, slot = _reserve(job, name, route, status, services)
    if not _is_now(slot, services):
        raise _not_yet(job, slot)
    return job


def _not_yet(job: Job, slot: Slot) -> Exception:
    return _postponed(job, f"Its turn at Adobe has not come yet ({slot.reason or 'slot'}).", slot.at)


def _is_now(slot: Slot, services: Services) -> bool:
    return slot.granted and slot.wait_seconds(services.limiter.now()) == 0


def _keep_slot(job: Job, request: AdobeRequest, services: Services) -> Job:
    try:
        return services.ledger.record_slot(
            job, request, slot_at=request.slot_at, ticket=request.ticket, now=services.clock()
        )
    except JobMovedOnError:
        current = services.read_job(job.job_id)
        if current.run != job.run or current.status in TERMINAL:
            raise
        # Another call has begun to send this very request: the slot is not needed.
        return current


def _after_refusal(
    job: Job, request: AdobeRequest, error: AdobeError, *, route: Route, services: Services
) -> Exception:
    now = services.clock()
    outages = request.outages + 1 if isinstance(error, _OUTAGE) else 0
    unsure = request.unsure + (isinstance(error, AdobeUnavailableError) and error.job_may_exist)
    services.ledger.withdraw_request(job, replace(request, outages=outages, unsure=unsure), now=now)
    if isinstance(error, RateLimitedError):
        count(Metric.THROTTLED)
        return _postponed(job, str(error), services.limiter.close_gate(error.retry_after, "429"))
    if isinstance(error, _OUTAGE) and request.outages < MAX_REFUSALS:
        services.limiter.record_unavailable(route.name)
        return _postponed(job, str(error), now + wait_after_refusal(request.outages, services.random()))
    if isinstance(error, InputLinkRefusedError) and not request.refusals:
        # Once more with a link that is signed afresh.
        return _postponed(job, str(error), now + wait_after_refusal(0, services.random()))
    return error


def _postponed(job: Job, why: str, until: float) -> Exception:
    if until > job.deadline_at:
        return DeadlinePassedError(f"The photo's turn would come after its deadline. {why}")
    return PostponedError(why, until)
