"""Offer a mask for approval: put it and a preview of what it removes into the results bucket."""

from __future__ import annotations

import io

from cleanplate import imaging
from cleanplate.aws.storage import SavedObject
from cleanplate.jobs.reuse import review_ends_at
from cleanplate.models import Job
from cleanplate.outcomes import conclude, hold_result_key
from cleanplate.services import Services
from cleanplate.steps.read_masks import photo_opener, read_masks
from cleanplate.steps.work_files import Plan

_WHAT_TO_DO = (
    "Look at the preview. To approve the mask: cleanplate approve, an event with approve: true, or put the mask, edited "
    "or not, beside the photo in the uploads bucket."
)


def offer_mask(job: Job, services: Services) -> tuple[Plan, Job | None]:
    """End the run as ``mask_ready``; return the job, or None with the plan where no mask is chosen or all is black."""
    plan, masks = read_masks(job, services)
    if not masks:
        return plan, None
    review = imaging.draw_review(
        photo_opener(job, services), imaging.PhotoFacts.from_dict(job.facts), masks, job.options
    )
    if review is None:
        return plan, None
    mask, preview = _save(job, review, services)
    found = {
        "masks": plan.masks,
        "labels_seen": plan.labels_seen,
        "message": "The mask waits for approval; its fill is not paid for yet.",
        "what_to_do": _WHAT_TO_DO,
        "review": {"mask": mask.describe(), "preview": preview.describe(), "expires_at": review_ends_at(job)},
    }
    return plan, conclude(job, "mask_ready", found, services)


def _save(job: Job, review: imaging.Review, services: Services) -> tuple[SavedObject, SavedObject]:
    keys = services.review_keys(job.photo)
    for key in keys:
        services.ledger.owners.take(job, key, now=services.clock())
    hold_result_key(job, services)
    mask, preview = (
        services.storage.save_result(key, io.BytesIO(content), media_type=media_type, job_id=job.job_id)
        for key, content, media_type in zip(
            keys, (review.mask, review.preview), ("image/png", "image/jpeg"), strict=True
        )
    )
    return mask, preview
