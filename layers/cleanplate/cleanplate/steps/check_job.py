"""Wait for Adobe's jobs: request their status when it is due, and store the pictures of what is ready."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

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
    DownloadTooLargeError,
    ForeignLinkError,
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
    MaskUnusableError,
    NotApprovedError,
    NotReadyError,
    NotSentError,
)
from cleanplate.jobs.ledger import MAX_ATTEMPTS
from cleanplate.models import AdobeJob, AdobeRequest, Answer, Job
from cleanplate.rate_limit.polling import next_wait, whole_seconds
from cleanplate.rate_limit.state import EARLY
from cleanplate.services import Services
from cleanplate.steps.fates import recorded_fate
from cleanplate.steps.fetch_pictures import fetch_pictures
from cleanplate.steps.mask_again import is_to_be_sent_again, send_mask_again
from cleanplate.steps.mask_selection import choose_masks
from cleanplate.steps.submit import take_slot, with_check
from cleanplate.steps.work_files import fill_name, read_plan, stored_answer, work_key

logger = Logger(child=True)

Step = Literal["mask", "fill"]

#: Refusals in a row before a job that was paid for is given up: a single one may be a passing fault at Adobe.
_MAX_REFUSALS = 5
#: Attempts to fetch a picture, each with the links of another status request.
_MAX_DOWNLOADS = 3
#: After these nobody asks again; after others, such as a key that is refused, another run may.
_GIVEN_UP = (
    AdobeJobGoneError,
    DeadlinePassedError,
    DownloadFailedError,
    DownloadTooLargeError,
    ForeignLinkError,
    MaskUnusableError,
    RequestRefusedError,
)
#: Seconds that the next step takes to prepare the fill, before it needs its slot; a larger function pays for waiting longer.
_TIME_TO_PREPARE = 0.5
#: Seconds up to which a wait is taken in the call itself. A longer one is the state machine's: it takes two transitions,
#: which cost as much as a call of this small function that lasts so long.
_LONGEST_SLEEP = 15.0
#: Seconds after a POST in which a status of 404 is taken for a delay: Adobe may not know a job everywhere at once.
_UNKNOWN_AT_FIRST = 60.0


def wait_for_job(job_id: str, step: Step, services: Services, *, waited: float = 0.0) -> None:
    """Return when Adobe's mask is stored and the slot of its fill has come, or when every fill is stored.

    ``waited`` is how long the machine has waited since the last call, in seconds. Three errors tell the state machine where
    to go instead of on to the next step:

    - :class:`NotReadyError`: wait for as many seconds as its text says, and call this again
    - :class:`NotSentError`: send the fill, for the first time or once more
    - :class:`NotApprovedError`: end the run with its mask, which somebody has to approve

    Every other error is why the photo fails.
    """
    until = services.clock() + _LONGEST_SLEEP
    job, wait = check_job(job_id, step, services, waited=waited)
    while wait:
        _sleep(wait, until, services)
        job, wait = check_job(job_id, step, services, waited=wait)
    if step == "mask" and (wait := reserve_fill(job, services)):
        _sleep(wait, until, services)


def _sleep(seconds: float, until: float, services: Services) -> None:
    """Sleep where that ends before ``until``; raise :class:`NotReadyError` where it does not."""
    if services.clock() + seconds > until:
        raise NotReadyError(str(whole_seconds(seconds)))
    services.sleep(seconds)


def check_job(job_id: str, step: Step, services: Services, *, waited: float = 0.0) -> tuple[Job, float]:
    """Request once the status of what is unfinished and due; return the job and the seconds until the next check.

    0 means that everything of this step is stored. ``waited`` is the last wait in seconds. Raises as :func:`wait_for_job`
    does, but for :class:`NotReadyError`.
    """
    job = services.read_open_job(job_id)
    if step == "fill" and not _is_sent(job, services):
        raise NotSentError("The fill is not at Adobe yet.")
    if step == "mask" and is_to_be_sent_again(job):
        return job, _until(send_mask_again(job, services), services)
    due: list[float] = []
    for name in _unfinished(job, step):
        answer: Answer | None = None
        if services.clock() + EARLY >= job.adobe_requests[name].check_at:
            with recorded_fate(job, [name], "given_up", services, after=_GIVEN_UP):
                job, answer = _request_status(job, job.adobe_requests[name], waited, services)
        if answer is None:
            due.append(job.adobe_requests[name].check_at)
        elif answer.state == "failed":
            return _send_again(job, name, answer, step, services)
    if due:
        return job, _until(max(due), services)
    if step == "mask" and job.awaits_review and _has_something_to_fill(job, services):
        raise NotApprovedError("Somebody has to approve the mask first.")
    return job, 0.0


def _send_again(job: Job, name: str, answer: Answer, step: Step, services: Services) -> tuple[Job, float]:
    """Send a request once more, with links that are signed again, where Adobe's job failed for the link.

    Raises why the job failed where that would not help. A fill is sent by the step before: :class:`NotSentError`.
    """
    if not answer.input_unread or job.adobe_requests[name].attempts >= MAX_ATTEMPTS:
        raise _error_of(answer)
    job = _give_back(job, name, services)
    if step == "fill":
        raise NotSentError("Adobe could not read the picture of the fill.")
    return job, _until(send_mask_again(job, services), services)


def _until(due: float, services: Services) -> float:
    return max(EARLY, due - services.clock())


def _is_sent(job: Job, services: Services) -> bool:
    """Return whether every window of the plan has its job at Adobe; a plan that is gone is for the next step to name."""
    plan = read_plan(job, services)
    numbers = range(1, len(plan.windows) + 1) if plan else ()
    fills = [job.adobe_requests.get(fill_name(number)) for number in numbers]
    return all(request and request.adobe_job for request in fills)


def reserve_fill(job: Job, services: Services) -> float:
    """Take the slot of the fill, so that the next step, a larger function, is not called in vain; return the seconds until
    then.
    """
    name, request = fill_name(1), job.adobe_requests.get(fill_name(1))
    if (request and request.attempts) or not _has_something_to_fill(job, services):
        return 0.0
    _, wait = take_slot(job, name, route=ROUTES[job.options.fill_route], services=services, ahead=_TIME_TO_PREPARE)
    if round(wait) and services.clock() + wait > job.deadline_at:
        raise DeadlinePassedError("The slot of the fill would come after the photo's deadline.")
    return wait


def _has_something_to_fill(job: Job, services: Services) -> bool:
    if job.own_mask:
        return True
    answer = stored_answer(services.storage, job, "mask")
    return answer is not None and bool(choose_masks(answer.masks, job.options).masks)


def _error_of(answer: Answer) -> AdobeError:
    """Return the error for a job that failed at Adobe, with Adobe's words."""
    words = f"{answer.error_code}: {answer.message}" if answer.error_code else answer.message
    if answer.error_code == PROMPT_UNSAFE:
        return PromptRefusedError(words)
    return InputLinkRefusedError(words) if answer.input_unread else AdobeJobFailedError(words)


def _give_back(job: Job, name: str, services: Services) -> Job:
    """Make a request unsent again after its job has failed; the POST still counts as an attempt."""
    request = job.adobe_requests[name]
    cleared = replace(request, adobe_job=None, lease_until=0.0, submitted_at=0.0, deadline_at=0.0, check_at=0.0)
    return services.ledger.record_poll(job, cleared, now=services.clock())


def _unfinished(job: Job, step: Step) -> list[str]:
    """Return the names of the requests that are not finished.

    A fill without a job is not among them: its slot was taken before the plan turned out not to need it.
    """
    return [
        name
        for name, request in sorted(job.adobe_requests.items())
        if name.startswith(step) and not request.finished_at and (request.adobe_job or step == "mask")
    ]


def _request_status(job: Job, request: AdobeRequest, waited: float, services: Services) -> tuple[Job, Answer | None]:
    """Return Adobe's answer about one request, or None while it is pending: the time of the next check is then in the job."""
    if request.adobe_job is None:
        raise JobMovedOnError(f"Job {job.job_id} has no job at Adobe for its {request.name} request.")
    if (later := _without_slot(job, request, services)) is not None:
        return later, None
    answer, request = _get_and_store(job, request, request.adobe_job, services)
    now = services.clock()
    asked = replace(request, polls=request.polls + answer.requests, slot_at=0.0)
    if answer.state == "pending":
        wait = _wait(asked, answer, waited, services)
        return services.ledger.record_poll(job, with_check(asked, now + wait, services), now=now), None
    if answer.state == "failed":
        asked = replace(asked, fate="failed")
    if answer.state == "succeeded":
        asked = replace(asked, finished_at=now, fate="")
        seen_at = now - request.submitted_at
        services.limiter.observe(
            request.route, seen_at, pending_at=max(0.0, seen_at - waited) if request.polls else 0.0
        )
    return services.ledger.record_poll(job, asked, now=now), answer


def _get_and_store(
    job: Job, request: AdobeRequest, adobe_job: AdobeJob, services: Services
) -> tuple[Answer, AdobeRequest]:
    """Return Adobe's answer, its pictures stored in the work bucket, and the request with its counts of failed attempts."""
    if request.name == "mask" and (stored := stored_answer(services.storage, job, request.name)) is not None:
        return stored, replace(request, outages=0)
    try:
        answer = _get_status(job, request, adobe_job, services)
        if answer.state == "succeeded":
            answer = fetch_pictures(job, request, answer, services)
    except (AccessRefusedError, CredentialsRefusedError, RequestRefusedError) as error:
        if request.outages + 1 >= _MAX_REFUSALS:
            raise
        logger.warning("status request refused", extra={"error_message": str(error)})
        return Answer("pending", error.reason), replace(request, outages=request.outages + 1)
    except DownloadFailedError as error:
        if request.failed_downloads + 1 >= _MAX_DOWNLOADS:
            raise
        logger.warning(
            "download failed; the next status request brings fresh links", extra={"error_message": str(error)}
        )
        return Answer("pending", error.reason), replace(request, failed_downloads=request.failed_downloads + 1)
    return answer, replace(request, outages=0)


def _without_slot(job: Job, request: AdobeRequest, services: Services) -> Job | None:
    """Return the job with a later check where a status request has no slot now; None where it may be sent.

    Status requests need slots only where they count towards Adobe's limits.
    """
    if not services.limiter.limits.polls_count:
        return None
    now = services.clock()
    # A job that was never checked may be ready, however late it is.
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
        if services.clock() >= min(request.submitted_at + _UNKNOWN_AT_FIRST, request.deadline_at):
            raise
        answer = Answer("pending", error.reason)
    except (AdobeUnavailableError, AnswerUnreadableError, RateLimitedError) as error:
        # A status request is free and the job is paid, so it is repeated until the deadline.
        logger.warning("status request failed", extra={"error_message": str(error)})
        retry_after, sent = getattr(error, "retry_after", None), getattr(error, "requests", 0)
        answer = Answer("pending", error.reason, retry_after=retry_after, requests=sent)
    count(Metric.ADOBE_POLLS, answer.requests)
    for _ in range(answer.requests - 1):
        # Requests that the HTTP client repeated count at Adobe as well.
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
