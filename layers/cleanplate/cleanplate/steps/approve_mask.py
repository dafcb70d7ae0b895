"""Approve a mask: begin another run of the job, which fills it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from cleanplate.errors import NoMaskWaitsError
from cleanplate.jobs.reuse import approved_run, reusable_requests
from cleanplate.models import Job, Options, Photo
from cleanplate.outcomes import expire_review
from cleanplate.services import Services
from cleanplate.uploads.identity import job_id
from cleanplate.uploads.messages import Upload


def job_to_approve(photo: Photo, services: Services) -> Job:
    """Return the photo's newest job; raises :class:`NoMaskWaitsError` where none of its masks can be approved."""
    job = newest_job(photo, services)
    if job is None:
        raise NoMaskWaitsError(f"No mask of {photo.key} waits for approval.")
    if job.awaits_review and job.status in {"claimed", "masking"}:
        raise NoMaskWaitsError(f"The mask of {photo.key} is not ready yet.")
    return job


def newest_job(photo: Photo, services: Services) -> Job | None:
    """Return the job that owns the photo's result key, if it is of this upload; None otherwise."""
    owner = services.ledger.owners.owner(services.result_key(photo))
    job = services.ledger.get(owner) if owner else None
    return job if job and photo.is_same_upload(job.photo) else None


def is_done_by(job: Job, options: Options, own_mask: Photo | None) -> bool:
    """Return whether a job has these options and this mask; two masks of the same content are the same."""
    mine, theirs = job.own_mask, own_mask
    if (mine.etag if mine else "") != (theirs.etag if theirs else ""):
        return False
    kept = {"review": False, "urgent": False}
    if mine and job.job_id != job_id(job.photo, job.options, mine):
        # The mask replaced Adobe's in a review, where ``invert`` no longer counts.
        kept["invert"] = False
    return replace(job.options, **kept) == replace(options, **kept)  # type: ignore[arg-type]


def answers_review(job: Job, own_mask: Photo | None) -> bool:
    """Return whether a mask beside the photo answers the job's review, also one that has expired."""
    return own_mask is not None and job.awaits_review and job.status in {"mask_ready", "failed"}


def approve(
    job: Job,
    upload: Upload,
    services: Services,
    *,
    deadline_at: float,
    options: Options | None = None,
    own_mask: Photo | None = None,
) -> Job:
    """Return the job in its next run, which fills its mask or ``own_mask``; as failed where the mask is no longer kept.

    ``options`` are the job's own where none are given.
    """
    now = services.clock()
    if own_mask is None and not any(request.name == "mask" for request in reusable_requests(job, now)):
        return expire_review(job, services)
    return services.ledger.reclaim(
        job,
        request_id=upload.request_id,
        correlation_id=upload.correlation_id,
        now=now,
        deadline_at=deadline_at,
        prepare=partial(approved_run, options=options or job.options, own_mask=own_mask),
    )
