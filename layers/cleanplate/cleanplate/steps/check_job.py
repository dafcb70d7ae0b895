"""Ask Adobe about a job's requests until they are done with. The answer that says succeeded is the last one asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypedDict

from aws_lambda_powertools import Logger

from cleanplate.adobe.answers import PROMPT_UNSAFE
from cleanplate.adobe.errors import (
    AccessRefusedError,
    AdobeError,
    AdobeJobFailedError,
    AdobeJobGoneError,
    AdobeUnavailableError,
    AnswerUnreadableError,
    CredentialsRefusedError,
    DownloadFailedError,
    InputLinkRefusedError,
    PromptRefusedError,
    RateLimitedError,
    RequestRefusedError,
)
from cleanplate.adobe.routes import ROUTES
from cleanplate.aws.metrics import Metric, count
from cleanplate.errors import (
    DeadlinePassedError,
    JobMovedOnError,
    NotApprovedError,
    NotReadyError,
    NotSentError,
)
from cleanplate.jobs.ledger import MAX_ATTEMPTS
from cleanplate.models import TERMINAL, AdobeJob, AdobeRequest, Answer, Job
from cleanplate.rate_limit.polling import next_wait, whole_seconds
from cleanplate.rate_limit.state import EARLY
from cleanplate.services import Services
from cleanplate.steps.fetch_pictures import fetch_pictures
from cleanplate.steps.mask_again import is_to_be_sent_again, send_mask_again
from cleanplate.steps.mask_selection import choose_masks
from cleanplate.steps.submit import take_slot, with_check
from cleanplate.steps.work_files import fill_name, read_plan, stored_answer, work_key

logger = Logger(child=True)

Step = Literal["mask", "fill"]

#: So many refusals in a row, and a job that was paid for is given up: one alone may be Adobe's own trouble.
_MAX_REFUSALS = 5
#: So often is a picture fetched, each time by links of another status request.
_MAX_DOWNLOADS = 3
#: Seconds that the next step takes to prepare the fill, before it needs its slot; a larger function pays for waiting longer.
_TIME_TO_PREPARE = 0.5
#: To be waited for by the machine takes two of its states, which cost as much as so long a call of so small a function.
#: Seconds.
_SHORT = 15.0
#: Adobe may not know a job at every place at once; so long after its POST that passes for a delay. Seconds.
_SETTLED = 60.0


class Standing(TypedDict):
    """How a job stands, and when to come back, in seconds."""

    state: Literal["pending", "waiting", "review", "succeeded"]
    wait_seconds: float


def wait_for_job(job_id: str, step: Step, services: Services, *, waited: float = 0.0) -> None:
    """Return when the mask is there and the slot of its fill has come, or when the fill is there.

    A short wait is taken in this very call. Raises as :func:`check_job` and :func:`raise_unless_done` do.
    """
    until = services.clock() + _SHORT
    while (standing := check_job(job_id, step, services, waited=waited))["state"] != "succeeded":
        waited = standing["wait_seconds"]
        if services.clock() + waited > until or standing["state"] == "review" or _is_unsent(standing, step):
            raise_unless_done(standing, step)
        services.sleep(waited)
        if standing["state"] == "waiting":
            return


def raise_unless_done(standing: Standing, step: Step) -> None:
    """Tell the machine by an error where to go on.

    :class:`NotReadyError`: to wait; :class:`NotSentError`: to send the fill; :class:`NotApprovedError`: to end with the mask.
    """
    if standing["state"] == "review":
        raise NotApprovedError("Somebody has to approve the mask first.")
    if _is_unsent(standing, step):
        raise NotSentError("The fill is not at Adobe yet.")
    if standing["state"] != "succeeded":
        raise NotReadyError(str(whole_seconds(standing["wait_seconds"])))


def _is_unsent(standing: Standing, step: Step) -> bool:
    return step == "fill" and standing["state"] == "waiting"


def check_job(job_id: str, step: Step, services: Services, *, waited: float = 0.0) -> Standing:
    """Ask Adobe once about what is not finished and due to be asked about, and say how the step stands.

    ``review`` is a mask that somebody has to approve first. ``waiting`` is a fill that could not be sent yet: its slot
    is ``wait_seconds`` away.
    ``waited`` is the last wait in seconds. Raises :class:`DeadlinePassedError`, and the errors of a request that can
    never be answered (:class:`AdobeJobFailedError`, :class:`AdobeJobGoneError`, :class:`CredentialsRefusedError` …).
    """
    job = services.read_job(job_id)
    if job.status in TERMINAL:
        raise JobMovedOnError(f"Job {job_id} has already ended as {job.status}.")
    if step == "fill" and not _is_sent(job, services):
        return {"state": "waiting", "wait_seconds": 0}
    if step == "mask" and is_to_be_sent_again(job):
        return _pending(send_mask_again(job, services), services)
    due: list[float] = []
    for name in _unfinished(job, step):
        answer: Answer | None = None
        if services.clock() + EARLY >= job.adobe_requests[name].check_at:
            job, answer = _request_status(job, job.adobe_requests[name], waited, services)
        if answer is None:
            due.append(job.adobe_requests[name].check_at)
        elif answer.state == "failed":
            return _after_failure(job, name, answer, step, services)
    if due:
        return _pending(max(due), services)
    if step == "mask" and job.awaits_review and _has_something_to_fill(job, services):
        return {"state": "review", "wait_seconds": 0}
    wait = _wait_for_fill(job, services) if step == "mask" else 0
    return {"state": "waiting" if wait else "succeeded", "wait_seconds": wait}


def _after_failure(job: Job, name: str, answer: Answer, step: Step, services: Services) -> Standing:
    """Send the request once more, with a link that is signed again, where the link was at fault; else raise why it failed."""
    if _may_be_sent_again(job, name, answer):
        job = _give_back(job, name, services)
        if step == "mask":
            return _pending(send_mask_again(job, services), services)
        # By the step before this one.
        return {"state": "waiting", "wait_seconds": 0}
    words = f"{answer.error_code}: {answer.message}" if answer.error_code else answer.message
    raise _error_of(answer)(words)


def _pending(due: float, services: Services) -> Standing:
    return {"state": "pending", "wait_seconds": max(EARLY, due - services.clock())}


def _is_sent(job: Job, services: Services) -> bool:
    """Return whether every window of the plan has its job at Adobe; a plan that is gone is for the next step to name."""
    plan = read_plan(job, services)
    numbers = range(1, len(plan.windows) + 1) if plan else ()
    fills = [job.adobe_requests.get(fill_name(number)) for number in numbers]
    return all(request and request.adobe_job for request in fills)


def _wait_for_fill(job: Job, services: Services) -> float:
    """Take the fill's slot before the step that needs it, so that it is not begun in vain; seconds until its time."""
    name, request = fill_name(1), job.adobe_requests.get(fill_name(1))
    if (request and request.attempts) or not _has_something_to_fill(job, services):
        return 0.0
    _, wait = take_slot(job, name, route=ROUTES[job.options.fill_route], services=services, ahead=_TIME_TO_PREPARE)
    if round(wait) and services.clock() + wait > job.deadline_at:
        raise DeadlinePassedError("The fill's turn would come after the photo's deadline.")
    return wait


def _has_something_to_fill(job: Job, services: Services) -> bool:
    if job.own_mask:
        return True
    answer = stored_answer(services.storage, job, "mask")
    return answer is not None and bool(choose_masks(answer.masks, job.options).masks)


def _may_be_sent_again(job: Job, name: str, answer: Answer) -> bool:
    return answer.input_unread and job.adobe_requests[name].attempts < MAX_ATTEMPTS


def _error_of(answer: Answer) -> type[AdobeError]:
    """Return what a failed job's own words make of its photo."""
    if answer.error_code == PROMPT_UNSAFE:
        return PromptRefusedError
    return InputLinkRefusedError if answer.input_unread else AdobeJobFailedError


def _give_back(job: Job, name: str, services: Services) -> Job:
    """Make a request whose job has failed one that is still to be sent; it counts as sent once all the same."""
    request = job.adobe_requests[name]
    cleared = replace(request, adobe_job=None, lease_until=0.0, submitted_at=0.0, deadline_at=0.0, check_at=0.0)
    return services.ledger.record_poll(job, cleared, now=services.clock())


def _unfinished(job: Job, step: Step) -> list[str]:
    """Return the requests that are not finished; a fill that only has a slot is of a plan that turned out to need none."""
    return [
        name
        for name, request in sorted(job.adobe_requests.items())
        if name.startswith(step) and not request.finished_at and (request.adobe_job or step == "mask")
    ]


def _request_status(job: Job, request: AdobeRequest, waited: float, services: Services) -> tuple[Job, Answer | None]:
    """Return Adobe's last word on one request, or None while there is none; when to ask next is then in the job."""
    if request.adobe_job is None:
        raise JobMovedOnError(f"Job {job.job_id} has no job at Adobe for its {request.name} request.")
    if (later := _without_slot(job, request, services)) is not None:
        return later, None
    answer, request = _ask_and_keep(job, request, request.adobe_job, services)
    now = services.clock()
    asked = replace(request, polls=request.polls + answer.requests, slot_at=0.0)
    if answer.state == "pending":
        wait = _wait(asked, answer, waited, services)
        return services.ledger.record_poll(job, with_check(asked, now + wait, services), now=now), None
    if answer.state == "succeeded":
        asked = replace(asked, finished_at=now)
        seen_at = now - request.submitted_at
        services.limiter.observe(
            request.route, seen_at, pending_at=max(0.0, seen_at - waited) if request.polls else 0.0
        )
    return services.ledger.record_poll(job, asked, now=now), answer


def _ask_and_keep(
    job: Job, request: AdobeRequest, adobe_job: AdobeJob, services: Services
) -> tuple[Answer, AdobeRequest]:
    """Return Adobe's answer, whose pictures are then in our bucket, and the request with what was refused in a row."""
    if request.name == "mask" and (stored := stored_answer(services.storage, job, request.name)) is not None:
        return stored, replace(request, outages=0)
    try:
        answer = _get_status(job, request, adobe_job, services)
        if answer.state == "succeeded":
            answer = fetch_pictures(job, request.name, answer, services)
    except (AccessRefusedError, CredentialsRefusedError, RequestRefusedError) as error:
        if request.outages + 1 >= _MAX_REFUSALS:
            raise
        logger.warning("status request refused", extra={"error_message": str(error)})
        return Answer("pending", error.reason), replace(request, outages=request.outages + 1)
    except DownloadFailedError as error:
        if request.failed_downloads + 1 >= _MAX_DOWNLOADS:
            raise
        logger.warning("the next status request brings fresh links", extra={"error_message": str(error)})
        return Answer("pending", error.reason), replace(request, failed_downloads=request.failed_downloads + 1)
    return answer, replace(request, outages=0)


def _without_slot(job: Job, request: AdobeRequest, services: Services) -> Job | None:
    """Return the job with the next slot, where none is free for a status request now; None where it may go.

    Status requests take slots where they count towards Adobe's limits.
    """
    if not services.limiter.limits.polls_count:
        return None
    now = services.clock()
    # What was never asked about may be ready all the same, however late it is.
    if request.polls and now >= request.deadline_at:
        raise DeadlinePassedError("No slot came free to ask Adobe about the job before its deadline.")
    slot = services.limiter.reserve("poll", route=request.route, instead_of=request.slot_at)
    if slot.granted and slot.wait_seconds(services.limiter.now()) == 0:
        return None
    later = replace(request, check_at=slot.at, slot_at=slot.at if slot.granted else 0.0)
    return services.ledger.record_poll(job, later, now=now)


def _get_status(job: Job, request: AdobeRequest, adobe_job: AdobeJob, services: Services) -> Answer:
    try:
        answer = services.adobe.get_status(ROUTES[request.route], adobe_job, work_key=work_key(job.job_id, "mask.png"))
    except AdobeJobGoneError as error:
        if services.clock() >= min(request.submitted_at + _SETTLED, request.deadline_at):
            raise
        answer = Answer("pending", error.reason)
    except (AdobeUnavailableError, AnswerUnreadableError, RateLimitedError) as error:
        # Asking is free, and the job is paid: the deadline decides how long it is worth it.
        logger.warning("status request failed", extra={"error_message": str(error)})
        retry_after, sent = getattr(error, "retry_after", None), getattr(error, "requests", 0)
        answer = Answer("pending", error.reason, retry_after=retry_after, requests=sent)
    count(Metric.ADOBE_POLLS, answer.requests)
    for _ in range(answer.requests - 1):
        # What a call repeats by itself counts at Adobe like the first; without a call where polls do not count.
        services.limiter.reserve("poll", route=request.route)
    if answer.word == "too_many_requests":
        count(Metric.THROTTLED)
        services.limiter.close_gate(answer.retry_after, "429")
    return answer


def _wait(request: AdobeRequest, answer: Answer, waited: float, services: Services) -> int:
    now = services.clock()
    if now >= request.deadline_at:
        raise DeadlinePassedError(
            f"Adobe's job was still '{answer.word}' {now - request.submitted_at:.0f} s after it was sent."
        )
    return next_wait(
        polls_done=request.polls,
        last_wait=waited,
        elapsed=now - request.submitted_at,
        expected=services.limiter.expected(request.route),
        retry_after=answer.retry_after,
        deadline=request.deadline_at - request.submitted_at,
        jitter=services.random(),
    )
