"""What of a failed run another run may use, so that it is not paid for again: pure policy."""

from __future__ import annotations

from dataclasses import replace

from cleanplate.models import AdobeRequest, Job, Options, Photo

#: Adobe's result links are good for an hour at least; what it is still at work on is waited for only well within it. Seconds.
ANSWER_SECONDS = 3000.0
#: What was fetched lies in the work bucket: masks for 24 days, fills for a day, less what a run may take. Seconds.
MASK_KEPT_SECONDS = 12 * 86_400.0
FILL_KEPT_SECONDS = 20 * 3600.0


def reusable_requests(job: Job, now: float) -> list[AdobeRequest]:
    """Return the requests of an ended run whose answers another run may use, or may still wait for."""
    good = [
        request if request.finished_at else _awaited_again(request, now)
        for request in job.adobe_requests.values()
        if _is_of_use(request, now)
    ]
    # A fill belongs to the mask that it was made with.
    return good if job.own_mask or any(request.name == "mask" for request in good) else []


def next_run(job: Job, now: float) -> Job:
    """Return the job with the requests that its next run begins with, and with the spent ones as earlier ones.

    A POST whose outcome is unknown goes over as it is: its lease is waited out, and it is sent once more at most, in all
    runs together.
    """
    kept = {request.name: request for request in reusable_requests(job, now)}
    for request in job.adobe_requests.values():
        if request.name not in kept and request.attempts and request.adobe_job is None:
            kept[request.name] = replace(request, slot_at=0.0, outages=0)
    spent = [
        request
        for name, request in job.adobe_requests.items()
        if name not in kept and request.attempts + request.refusals
    ]
    return replace(job, adobe_requests=kept, earlier_requests=(*job.earlier_requests, *spent))


def approved_run(job: Job, now: float, *, options: Options, own_mask: Photo | None) -> Job:
    """Return the job as the run begins with it that fills the mask which was looked at: Adobe's, or ``own_mask`` in its
    place.
    """
    options = replace(options, review=False)
    if own_mask is None:
        return replace(next_run(job, now), options=options)
    # The mask is looked at once more, and Adobe's is of no more use. It shows what is to go, whatever was inverted before.
    options = replace(options, invert=False)
    spent = (*job.earlier_requests, *job.adobe_requests.values())
    return replace(job, options=options, own_mask=own_mask, facts={}, adobe_requests={}, earlier_requests=spent)


def review_ends_at(job: Job) -> float:
    """Return until when the mask of a job that waits for approval is kept for its fill, in seconds since the epoch."""
    request = job.adobe_requests.get("mask")
    return (request.finished_at if request else job.claimed_at) + MASK_KEPT_SECONDS


def _is_of_use(request: AdobeRequest, now: float) -> bool:
    """Return whether what came of a request is still kept, or may still come of it."""
    if request.fate or not request.adobe_job:
        return False
    if request.finished_at:
        return now - request.finished_at < (MASK_KEPT_SECONDS if request.name == "mask" else FILL_KEPT_SECONDS)
    return now - request.submitted_at < ANSWER_SECONDS


def _awaited_again(request: AdobeRequest, now: float) -> AdobeRequest:
    """Asked about at once, and given as long as it was given at first."""
    return replace(
        request,
        check_at=request.submitted_at,
        deadline_at=now + (request.deadline_at - request.submitted_at),
        slot_at=0.0,
    )
