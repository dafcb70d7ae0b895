"""Ask Adobe about a job's asks and say how they stand. The answer that says succeeded is the last one asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from aws_lambda_powertools import Logger

from cleanplate.adobe.routes import FILL, ROUTES
from cleanplate.aws.metrics import Measure, count
from cleanplate.errors import (
    AccessRefusedError,
    AdobeJobFailedError,
    AdobeUnavailableError,
    AnswerUnreadableError,
    CredentialsRefusedError,
    DeadlinePassedError,
    JobMovedOnError,
    RateLimitedError,
    RequestRefusedError,
)
from cleanplate.models import TERMINAL, AdobeJob, Answer, Ask, Job
from cleanplate.rate_limit.polling import next_wait, whole_seconds
from cleanplate.services import Tools
from cleanplate.steps.mask_selection import choose_masks
from cleanplate.steps.submit import take_slot, with_check
from cleanplate.steps.work_files import fill_name, keep_answer, kept_answer, read_plan, work_key

logger = Logger(child=True)

Step = Literal["mask", "fill"]

#: So many refusals in a row, and a job that was paid for is given up: one alone may be Adobe's own trouble.
_MAX_REFUSALS = 5


def check_job(job_id: str, step: Step, tools: Tools, *, waited: float = 0.0) -> dict[str, Any]:
    """``{"state": "pending", "wait_seconds": n}``, or ``succeeded``, or ``failed`` with Adobe's words.

    ``waiting`` is a fill that could not be sent yet: its slot is ``wait_seconds`` away.
    ``waited`` is the last wait in seconds. Raises :class:`DeadlinePassedError`, and the errors of a request that can
    never be answered (:class:`AdobeJobGoneError`, :class:`CredentialsRefusedError` …).
    """
    job = tools.read_job(job_id)
    if job.status in TERMINAL:
        raise JobMovedOnError(f"Job {job_id} has already ended as {job.status}.")
    if step == "fill" and not _is_sent(job, tools):
        return _say("waiting")
    due: list[float] = []
    for ask in _asks(job, step):
        answer = _ask_adobe(job, ask, waited, tools)
        if answer is None:
            due.append(tools.read_job(job_id).asks[ask.name].check_at)
        elif answer.state == "failed":
            words = f"{answer.error_code}: {answer.message}" if answer.error_code else answer.message
            return _say("failed", error=AdobeJobFailedError.__name__, cause=words)
    if due:
        return _say("pending", wait_seconds=whole_seconds(max(due) - tools.clock()))
    wait = _wait_for_fill(tools.read_job(job_id), tools) if step == "mask" else 0
    return _say("waiting", wait_seconds=wait) if wait else _say("succeeded")


def _is_sent(job: Job, tools: Tools) -> bool:
    """Whether every window of the plan has its job at Adobe; a plan that is gone is for the next step to name."""
    plan = read_plan(job, tools)
    asks = [job.asks.get(fill_name(number)) for number in range(1, len(plan["windows"]) + 1)] if plan else []
    return all(ask and ask.adobe_job for ask in asks)


def _wait_for_fill(job: Job, tools: Tools) -> int:
    """Take the fill's slot before the step that needs it, so that it is not begun in vain; seconds until its time."""
    name, ask = fill_name(1), job.asks.get(fill_name(1))
    if (ask and ask.attempts) or not _has_something_to_fill(job, tools):
        return 0
    slot = take_slot(job, name, route=FILL, status="filling", tools=tools)
    return slot.wait_seconds(tools.pacer.now())


def _has_something_to_fill(job: Job, tools: Tools) -> bool:
    if job.own_mask:
        return True
    answer = kept_answer(tools.storage, job, "mask")
    return answer is not None and bool(choose_masks(answer.masks, job.options).masks)


def _say(state: str, **more: object) -> dict[str, Any]:
    return {"state": state, "wait_seconds": 0, **more}


def _asks(job: Job, step: Step) -> list[Ask]:
    """The asks that are not finished; a fill that only has a slot is of a plan that turned out to need none."""
    unfinished = (ask for name, ask in sorted(job.asks.items()) if name.startswith(step) and not ask.finished_at)
    return [ask for ask in unfinished if ask.adobe_job or step == "mask"]


def _ask_adobe(job: Job, ask: Ask, waited: float, tools: Tools) -> Answer | None:
    """Adobe's last word on one ask, or None while there is none; when to ask next is then in the ledger."""
    if ask.adobe_job is None:
        raise JobMovedOnError(f"Job {job.job_id} has no job at Adobe for its {ask.name} request.")
    if not _has_turn(job, ask, tools):
        return None
    refusals = 0
    try:
        answer = kept_answer(tools.storage, job, ask.name) or _get_status(job, ask, ask.adobe_job, tools)
    except (AccessRefusedError, CredentialsRefusedError, RequestRefusedError) as error:
        refusals = ask.outages + 1
        if refusals >= _MAX_REFUSALS:
            raise
        logger.warning("status request refused", extra={"error_message": str(error)})
        answer = Answer("pending", error.reason)
    now = tools.clock()
    asked = replace(ask, polls=ask.polls + 1, outages=refusals, slot_at=0.0)
    if answer.state == "pending":
        wait = _wait(asked, answer, waited, tools)
        tools.ledger.note_poll(job, with_check(asked, now + wait, tools), now=now)
        return None
    if answer.state == "succeeded":
        keep_answer(tools.storage, job, ask.name, answer)
        asked = replace(asked, finished_at=now)
        seen_at = now - ask.submitted_at
        tools.pacer.learn(ask.route, seen_at, pending_at=max(0.0, seen_at - waited) if ask.polls else 0.0)
    tools.ledger.note_poll(job, asked, now=now)
    return answer


def _has_turn(job: Job, ask: Ask, tools: Tools) -> bool:
    """Status requests take slots too where they count towards Adobe's limits; the next one is then noted."""
    if not tools.pacer.limits.polls_count:
        return True
    now = tools.clock()
    # What was never asked about may be ready all the same, however late it is.
    if ask.polls and now >= ask.deadline_at:
        raise DeadlinePassedError("No slot came free to ask Adobe about the job before its deadline.")
    slot = tools.pacer.reserve("poll", route=ask.route, instead_of=ask.slot_at)
    if slot.granted and slot.wait_seconds(tools.pacer.now()) == 0:
        return True
    later = replace(ask, check_at=slot.at, slot_at=slot.at if slot.granted else 0.0)
    tools.ledger.note_poll(job, later, now=now)
    return False


def _get_status(job: Job, ask: Ask, adobe_job: AdobeJob, tools: Tools) -> Answer:
    try:
        answer = tools.adobe.ask(ROUTES[ask.route], adobe_job, work_key=work_key(job.job_id, "mask.png"))
    except (AdobeUnavailableError, AnswerUnreadableError, RateLimitedError) as error:
        # Asking is free, and the job is paid: the deadline decides how long it is worth it.
        logger.warning("status request failed", extra={"error_message": str(error)})
        return Answer("pending", error.reason, retry_after=getattr(error, "retry_after", None))
    count(Measure.ADOBE_POLLS)
    if answer.word == "too_many_requests":
        count(Measure.THROTTLED)
        tools.pacer.close_gate(answer.retry_after, "429")
    return answer


def _wait(ask: Ask, answer: Answer, waited: float, tools: Tools) -> int:
    now = tools.clock()
    if now >= ask.deadline_at:
        raise DeadlinePassedError(
            f"Adobe's job was still '{answer.word}' {now - ask.submitted_at:.0f} s after it was sent."
        )
    return next_wait(
        polls_done=ask.polls,
        last_wait=waited,
        elapsed=now - ask.submitted_at,
        expected=tools.pacer.expected(ask.route),
        retry_after=answer.retry_after,
        deadline=ask.deadline_at - ask.submitted_at,
        jitter=tools.random(),
    )
