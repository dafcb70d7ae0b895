"""Sending one paid request: take a slot, write the intent, POST, keep Adobe's job. In this order, always."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cleanplate.adobe.routes import Request, Route
from cleanplate.aws.metrics import Measure, count
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
from cleanplate.models import TERMINAL, Ask, Job, JobStatus
from cleanplate.rate_limit.polling import DEFAULT_EXPECTED, first_wait, wait_after_refusal
from cleanplate.rate_limit.reservations import Slot
from cleanplate.services import Tools

#: What was not sent, or certainly made no job, for reasons that pass: an answer that is unreadable is IMS's here, as that
#: of a POST counts as lost.
_OUTAGE = (AdobeUnavailableError, AnswerUnreadableError)
#: So many refusals (502, no connection …) in a row are an outage that the photo does not wait out.
MAX_REFUSALS = 10
#: Before a POST with a lost answer is sent once more. Seconds.
_LOST_ANSWER_WAIT = 5.0
#: A request is sent a moment after its slot was taken. Seconds; less than what rounds to a wait.
_TIME_TO_BEGIN = 0.4


def send(
    job: Job, name: str, *, route: Route, status: JobStatus, make_request: Callable[[], Request], tools: Tools
) -> Job:
    """Have Adobe's job for the ask ``name``, sending the POST only where there is none yet.

    Raises :class:`PostponedError` where it is not its turn, and the error itself where the photo must fail.
    """
    if name in job.asks and job.asks[name].adobe_job:
        return job
    job = _take_turn(job, name, route=route, status=status, tools=tools)
    request = make_request()
    ask = tools.ledger.begin_ask(job, name, route=route.name, status=status, now=tools.clock())
    if ask.adobe_job:
        return tools.read_job(job.job_id)
    count(Measure.ADOBE_POSTS)
    try:
        adobe_job = tools.adobe.submit(route, request)
    except AnswerLostError as error:
        until = tools.clock() + _LOST_ANSWER_WAIT
        tools.ledger.note_answer_lost(job, ask, now=tools.clock(), until=until)
        raise PostponedError(str(error), until) from error
    except ForeignLinkError:
        # A job was made and paid, only its link is unusable: the intent stays, so that nobody sends it again.
        raise
    except AdobeError as error:
        raise _after_refusal(job, ask, error, route=route, tools=tools) from error
    now = tools.clock()
    sent = replace(
        ask,
        adobe_job=adobe_job,
        submitted_at=now,
        deadline_at=now + tools.ask_deadline(status),
        check_at=now + first_wait(DEFAULT_EXPECTED),
        outages=0,
    )
    # Before anything else that can fail: what the ledger does not know is paid for again.
    job = tools.ledger.note_adobe_job(job, sent, now=now)
    tools.pacer.note_success(route.name)
    # An early look tells something only against what was learnt already.
    jitter = tools.random() if tools.pacer.has_learnt(route.name) else 1.0
    wait = first_wait(tools.pacer.expected(route.name), jitter=jitter)
    return tools.ledger.note_poll(job, with_check(job.asks[name], now + wait, tools), now=now)


def with_check(ask: Ask, at: float, tools: Tools) -> Ask:
    """The ask with its next status request at ``at`` or, where those take slots too, at the first slot after it."""
    slot = tools.pacer.reserve("poll", route=ask.route, not_before=at, instead_of=ask.slot_at)
    return replace(ask, check_at=max(at, slot.at), slot_at=slot.at if slot.granted else 0.0)


def take_slot(job: Job, name: str, *, route: Route, status: JobStatus, tools: Tools) -> Slot:
    """The pacer's slot for a request that is about to be made, or its place in the queue; kept in the ledger."""
    return _reserve(job, name, route, status, tools, not_before=tools.pacer.now() + _TIME_TO_BEGIN)[1]


def await_turn(job: Job, name: str, *, route: Route, status: JobStatus, tools: Tools) -> None:
    """Raise :class:`PostponedError` where a request that stands in line has to go on waiting.

    For a message that comes back only to see whether its turn has come: nothing is read but its place.
    """
    slot = take_slot(job, name, route=route, status=status, tools=tools)
    if not _is_now(slot, tools):
        raise _not_yet(job, slot)


def _reserve(
    job: Job, name: str, route: Route, status: JobStatus, tools: Tools, *, not_before: float = 0.0
) -> tuple[Job, Slot]:
    ask = job.asks.get(name, Ask(name))
    # A photo that brings its mask is new at its first fill, and must not go before those that are in work.
    is_new = status == "masking" or (job.own_mask is not None and name == "fill-1")
    slot = tools.pacer.reserve(
        "mask" if is_new else "fill",
        route=route.name,
        urgent=job.options.urgent,
        ticket=ask.ticket,
        instead_of=ask.slot_at,
        not_before=not_before,
    )
    kept = slot.at if slot.granted else 0.0
    # A slot that is used at once needs no memory.
    if (kept, slot.ticket) != (ask.slot_at, ask.ticket) and (not_before or not _is_now(slot, tools)):
        job = _keep_slot(job, replace(ask, slot_at=kept, ticket=slot.ticket), tools)
    return job, slot


def _take_turn(job: Job, name: str, *, route: Route, status: JobStatus, tools: Tools) -> Job:
    now = tools.clock()
    ask = job.asks.get(name, Ask(name))
    if ask.attempts and now < ask.lease_until:
        raise _postponed(job, "The request is being sent by another call.", look_again_at(ask, now))
    job, slot = _reserve(job, name, route, status, tools)
    if not _is_now(slot, tools):
        raise _not_yet(job, slot)
    return job


def _not_yet(job: Job, slot: Slot) -> Exception:
    return _postponed(job, f"Its turn at Adobe has not come yet ({slot.reason or 'slot'}).", slot.at)


def _is_now(slot: Slot, tools: Tools) -> bool:
    return slot.granted and slot.wait_seconds(tools.pacer.now()) == 0


def _keep_slot(job: Job, ask: Ask, tools: Tools) -> Job:
    try:
        return tools.ledger.note_slot(job, ask, slot_at=ask.slot_at, ticket=ask.ticket, now=tools.clock())
    except JobMovedOnError:
        current = tools.read_job(job.job_id)
        if current.run != job.run or current.status in TERMINAL:
            raise
        # Another call has begun to send this very request: the slot is not needed.
        return current


def _after_refusal(job: Job, ask: Ask, error: AdobeError, *, route: Route, tools: Tools) -> Exception:
    now = tools.clock()
    outages = ask.outages + 1 if isinstance(error, _OUTAGE) else 0
    tools.ledger.withdraw_ask(job, replace(ask, outages=outages), now=now)
    if isinstance(error, RateLimitedError):
        count(Measure.THROTTLED)
        return _postponed(job, str(error), tools.pacer.close_gate(error.retry_after, "429"))
    if isinstance(error, _OUTAGE) and ask.outages < MAX_REFUSALS:
        tools.pacer.note_unavailable(route.name)
        return _postponed(job, str(error), now + wait_after_refusal(ask.outages, tools.random()))
    if isinstance(error, InputLinkRefusedError) and not ask.refusals:
        # Once more with a link that is signed afresh.
        return _postponed(job, str(error), now + wait_after_refusal(0, tools.random()))
    return error


def _postponed(job: Job, why: str, until: float) -> Exception:
    if until > job.deadline_at:
        return DeadlinePassedError(f"The photo's turn would come after its deadline. {why}")
    return PostponedError(why, until)
