"""Read the masks that a photo's hole is made of, and the photo itself, from our own buckets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

from cleanplate import imaging
from cleanplate.adobe.routes import ROUTES
from cleanplate.aws.temp_file import scratch_file
from cleanplate.errors import WorkGoneError
from cleanplate.models import Job, Mask
from cleanplate.services import Services
from cleanplate.steps.mask_selection import choose_masks
from cleanplate.steps.work_files import Plan, stored_answer

#: Masks and labels that are described: record and event must stay below DynamoDB's 400 and EventBridge's 256 KB.
_MAX_MASKS = 300
_MAX_LABELS = 100


def read_masks(job: Job, services: Services) -> tuple[Plan, list[bytes]]:
    """Return the pictures of the chosen masks, and a plan that describes them and has no windows yet."""
    if job.own_mask:
        with scratch_file() as file:
            services.storage.fetch_photo(job.own_mask, file, max_bytes=services.settings.max_photo_bytes)
            return Plan([], []), [file.read()]
    answer = stored_answer(services.storage, job, "mask")
    if answer is None:
        raise WorkGoneError("Adobe's answer about the mask is no longer kept.")
    choice = choose_masks(answer.masks, job.options)
    plan = Plan([_described(mask) for mask in choice.masks[:_MAX_MASKS]], list(choice.labels_seen[:_MAX_LABELS]))
    return plan, [_read_mask(mask, job, services) for mask in choice.masks]


def photo_opener(job: Job, services: Services) -> Callable[[], BinaryIO]:
    """Return a function that fetches the whole photo into a temporary file and returns it."""

    def open_photo() -> BinaryIO:
        file = scratch_file()
        services.storage.fetch_photo(job.photo, file, max_bytes=services.settings.max_photo_bytes)
        return file

    return open_photo


def _read_mask(mask: Mask, job: Job, services: Services) -> bytes:
    content = services.storage.read_work(mask.work_key)
    if content is None:
        raise WorkGoneError("Adobe's mask is no longer kept.")
    if mask.box is None:
        return content
    sent = imaging.fitted(
        *imaging.PhotoFacts.from_dict(job.facts).upright_size, ROUTES[job.options.mask_route].pixel_limit
    )
    return imaging.place_in_frame(content, mask.box, sent)


def _described(mask: Mask) -> dict[str, Any]:
    box = mask.box
    return {
        "label": mask.label,
        "score": mask.score,
        "box": [box.x, box.y, box.width, box.height] if box else None,
        "background": mask.background,
    }
