"""Choose the masks, plan the windows to fill, and send them to Adobe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger

from cleanplate import imaging
from cleanplate.adobe.routes import ROUTES, Request
from cleanplate.errors import NotReadyError, PostponedError
from cleanplate.models import Job
from cleanplate.rate_limit.polling import whole_seconds
from cleanplate.services import Services
from cleanplate.steps.fates import masks_of_use
from cleanplate.steps.read_masks import photo_opener, read_masks
from cleanplate.steps.submit import send
from cleanplate.steps.work_files import (
    Plan,
    PlannedWindow,
    fill_name,
    read_plan,
    request_key,
    work_key,
    write_plan,
)

logger = Logger(child=True)


def fill_masked_areas(job_id: str, services: Services) -> None:
    """Return when all fills are at Adobe, or there is nothing to fill; raises :class:`NotReadyError` where one has no slot."""
    job = services.read_open_job(job_id)
    plan = read_plan(job, services) or _make_plan(job, services)
    try:
        for number, window in enumerate(plan.windows, start=1):
            job = send(
                job,
                fill_name(number),
                route=ROUTES[job.options.fill_route],
                status="filling",
                make_request=partial(_request, job, window, plan.fill["windows"][number - 1], services),
                services=services,
            )
    except PostponedError as later:
        logger.info("waits", extra={"why": str(later)})
        raise NotReadyError(str(whole_seconds(later.until - services.clock()))) from later


def _key(job: Job, name: str) -> str:
    return request_key(job, "mask", name)


def _make_plan(job: Job, services: Services) -> Plan:
    with masks_of_use(job, services):
        plan, masks = read_masks(job, services)
        fill = _plan_fill(job, masks, services) if masks else None
    if fill:
        plan = _with_pictures(plan, job, fill, services)
    write_plan(job, plan, services)
    return plan


def _plan_fill(job: Job, masks: list[bytes], services: Services) -> imaging.FillPlan:
    route = ROUTES[job.options.fill_route]
    return imaging.plan_fill(
        photo_opener(job, services),
        imaging.PhotoFacts.from_dict(job.facts),
        masks,
        options=job.options,
        limit=route.pixel_limit,
        # A request that names a version does not say its size.
        as_is=not route.byte_limit or (job.photo.size is not None and job.photo.size <= route.byte_limit),
        max_windows=services.settings.max_fills,
    )


def _with_pictures(plan: Plan, job: Job, fill: imaging.FillPlan, services: Services) -> Plan:
    """Store the plan's pictures in the work bucket, and return the plan with their keys."""
    storage = services.storage
    hole = _key(job, "hole.png")
    storage.write_work(hole, fill.hole, "image/png")
    windows = []
    for number, window in enumerate(fill.windows, start=1):
        mask = _key(job, f"window-{number}.mask.png")
        storage.write_work(mask, window.mask, "image/png")
        windows.append(PlannedWindow(mask, _store_image(job, number, window, services)))
    return replace(plan, windows=tuple(windows), hole=hole, fill=fill.to_dict())


def _store_image(job: Job, number: int, window: imaging.Window, services: Services) -> str:
    if window.image is None:
        return ""
    key = _key(job, f"window-{number}.{window.image_media_type.rpartition('/')[2]}")
    services.storage.write_work(key, window.image, window.image_media_type)
    return key


def _request(job: Job, window: PlannedWindow, sent: Mapping[str, Any], services: Services) -> Request:
    storage = services.storage
    image, spare = window.image, work_key(job.job_id, "photo")
    media_type = imaging.PhotoFacts.from_dict(job.facts).media_type
    return Request(
        image_url=storage.link_to_work(image) if image else storage.link_for_adobe(job.photo, spare, media_type),
        mask_urls=[storage.link_to_work(window.mask)],
        size=(sent["sent_width"], sent["sent_height"]),
        prompt=job.options.prompt,
    )
