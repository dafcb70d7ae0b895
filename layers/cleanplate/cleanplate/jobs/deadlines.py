"""Deadlines of open jobs: the sweeper fails a job that has not moved on by its deadline. Pure arithmetic.

The time is generous. A job that is late by it has lost whoever should have ended it: the queue and the state machine
have deadlines and repeats of their own, all shorter than ``SLACK``.
"""

from __future__ import annotations

import math

from cleanplate.jobs.reuse import review_ends_at
from cleanplate.models import TERMINAL, AdobeRequest, Job

#: Seconds past a deadline; every repeat of the last steps fits in (saving a result, at worst: 11 times 310 s and pauses).
SLACK = 5400.0
#: Seconds in which an ended job's outcome is published by whoever ended it, or by the step's own repeats.
TO_ANNOUNCE = 7200.0
#: Times are rounded up to so many seconds: each move costs writes to the index, and few are then left.
STEP = 1800.0


def due_at(job: Job) -> float | None:
    """Return when the job is late, or its review over, in seconds since the epoch; None where nothing more is to come of it.

    While Adobe works, it is the request's own deadline that counts; while the photo waits for a slot, which may take
    days, the photo's.
    """
    if job.status == "mask_ready" and job.published:
        return review_ends_at(job)
    if job.status not in TERMINAL:
        return rounded_up(_open_until(job) + SLACK)
    if job.published:
        return None
    # Mostly as it was while the job was open.
    ended_at = float(job.outcome.get("ended_at", job.claimed_at))
    return rounded_up(min(_open_until(job) + SLACK, ended_at + TO_ANNOUNCE))


def rounded_up(at: float) -> float:
    """Return the next time at which a job may be late."""
    return math.ceil(at / STEP) * STEP


def _open_until(job: Job) -> float:
    sent = [max(request.deadline_at, request.check_at) for request in job.adobe_requests.values() if request.adobe_job]
    unsent = [request for request in job.adobe_requests.values() if not request.adobe_job]
    if not sent or any(_waits(request) for request in unsent):
        return max([job.deadline_at, *sent])
    # Not before the run has had its time: it may have been given asks of an earlier one.
    return max([job.claimed_at, *sent, *(max(request.slot_at, request.lease_until) for request in unsent)])


def _waits(request: AdobeRequest) -> bool:
    """Return whether it has no slot and was not begun, or was refused: when its slot comes is not known."""
    return not request.intent_at and not request.slot_at
