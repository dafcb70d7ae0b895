"""By when something must have been heard of an open job: pure arithmetic; who is late is ended by the sweeper.

The time is generous. A job that is late by it has lost whoever should have ended it: the queue and the state machine
have deadlines and repeats of their own, all shorter than ``SLACK``.
"""

from __future__ import annotations

from collections.abc import Iterator

from cleanplate.jobs.reuse import review_ends_at
from cleanplate.models import TERMINAL, AdobeRequest, Job

#: Seconds past a deadline; every repeat of the last steps fits in (saving a result, at worst: 11 times 310 s and pauses).
SLACK = 5400.0
#: Seconds in which an ended job's outcome is published by whoever ended it, or by the step's own repeats.
TO_ANNOUNCE = 3600.0


def due_at(job: Job) -> float | None:
    """Return when the job is late, or its review over, in seconds since the epoch; None where nothing more is to come of it.

    While Adobe works, it is the request's own deadline that counts; while the photo waits for its slot, which may take
    days, the photo's. Nothing that is merely repeated moves it: each move costs writes to the index, see ``ledger``.
    """
    if job.status == "mask_ready" and job.published:
        return review_ends_at(job)
    if job.status in TERMINAL:
        return None if job.published else float(job.outcome.get("ended_at", job.claimed_at)) + TO_ANNOUNCE
    sent = [max(request.deadline_at, request.check_at) for request in job.adobe_requests.values() if request.adobe_job]
    unsent = [request for request in job.adobe_requests.values() if not request.adobe_job]
    if not sent or any(_waits(request) for request in unsent):
        return max([job.deadline_at, *sent]) + SLACK
    # Not before the run has had its time: it may have been given asks of an earlier one.
    return max([job.claimed_at, *sent, *_leases(unsent)]) + SLACK


def _waits(request: AdobeRequest) -> bool:
    """Return whether its slot at Adobe is still to come: never begun, refused for now, or put off."""
    return not request.intent_at or bool(request.slot_at)


def _leases(adobe_requests: list[AdobeRequest]) -> Iterator[float]:
    """Return when each lease of a POST on its way ends: until then its caller may still be alive."""
    return (request.lease_until for request in adobe_requests)
