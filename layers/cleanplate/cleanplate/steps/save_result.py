"""The last step: put the fill into the original, write the result, publish the outcome."""

from __future__ import annotations

from cleanplate import imaging
from cleanplate.aws.storage import SavedObject
from cleanplate.errors import WorkGoneError
from cleanplate.models import TERMINAL, Job
from cleanplate.outcomes import Ending, conclude, hold_result_key, publish
from cleanplate.services import Services
from cleanplate.steps.fates import fills_of_use, masks_of_use
from cleanplate.steps.offer_mask import offer_mask
from cleanplate.steps.read_masks import photo_opener
from cleanplate.steps.work_files import Plan, fill_name, picture_key, read_plan


def save_result(job_id: str, services: Services) -> Ending:
    """Write the result and its manifest, end the record, publish the outcome; safe to repeat."""
    job = services.read_job(job_id)
    if job.status in TERMINAL:
        return {"outcome": publish(job, services).status}
    plan: Plan | None
    if job.awaits_review:
        with masks_of_use(job, services):
            plan, offered = offer_mask(job, services)
        if offered:
            return {"outcome": offered.status}
    else:
        plan = read_plan(job, services)
    with fills_of_use(job, services):
        if plan is None:
            raise WorkGoneError("The plan of what to fill is no longer kept.")
        composed = _compose(job, plan, services) if plan.windows else None
    found = {"masks": plan.masks, "labels_seen": plan.labels_seen}
    if composed:
        saved = _save(job, composed, services)
        filled = {"hole": plan.hole, "fill": plan.fill, "notes": _notes(job, composed)}
        job = conclude(job, "cleaned", {**found, **filled, "result": saved.describe()}, services)
    else:
        hold_result_key(job, services)
        saved = services.storage.sha256_of(
            services.storage.pass_on(job.photo, services.result_key(job.photo), job_id=job.job_id)
        )
        why = "No mask matched what is to be removed; the original is passed on."
        job = conclude(job, "nothing_to_remove", {**found, "message": why, "result": saved.describe()}, services)
    return {"outcome": job.status}


def _compose(job: Job, plan: Plan, services: Services) -> imaging.Composed:
    hole = services.storage.read_work(plan.hole)
    if hole is None:
        raise WorkGoneError("The hole to fill is no longer kept.")
    return imaging.compose(
        photo_opener(job, services),
        imaging.PhotoFacts.from_dict(job.facts),
        imaging.FillPlan.from_dict(plan.fill, hole=hole),
        [_read_fill(job, number, services) for number in range(1, len(plan.windows) + 1)],
        options=job.options,
        mark_as_edited=services.settings.mark_as_edited,
    )


def _read_fill(job: Job, number: int, services: Services) -> bytes:
    content = services.storage.read_work(picture_key(job, fill_name(number), fill_name(number)))
    if content is None:
        raise WorkGoneError("Adobe's fill is no longer kept.")
    return content


def _save(job: Job, composed: imaging.Composed, services: Services) -> SavedObject:
    key = services.result_key(job.photo) + composed.extension
    with composed.content as file:
        if composed.extension:
            services.ledger.owners.take(job, key, now=services.clock())
        hold_result_key(job, services)
        return services.storage.save_result(key, file, media_type=composed.media_type, job_id=job.job_id)


def _notes(job: Job, composed: imaging.Composed) -> list[str]:
    return list(dict.fromkeys([*imaging.PhotoFacts.from_dict(job.facts).notes, *composed.notes]))
