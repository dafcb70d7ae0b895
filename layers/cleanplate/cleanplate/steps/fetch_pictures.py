"""Bring what Adobe has made into our own bucket as soon as it is ready: Adobe's links live for an hour."""

from __future__ import annotations

from dataclasses import replace

from cleanplate.adobe.routes import ROUTES
from cleanplate.aws.temp_file import scratch_file
from cleanplate.errors import MaskUnusableError
from cleanplate.models import AdobeRequest, Answer, Job, Mask
from cleanplate.services import Services
from cleanplate.steps.mask_selection import choose_masks
from cleanplate.steps.work_files import picture_key, save_answer

#: No picture needs more: four channels of 16 bits, uncompressed, and its metadata.
_BYTES_PER_PIXEL, _METADATA_BYTES = 8, 1_000_000


def fetch_pictures(job: Job, request: AdobeRequest, answer: Answer, services: Services) -> Answer:
    """Store the pictures that are needed in the work bucket, and return the answer without links.

    The answer about masks is stored too, last of all, since later steps read which masks there are.
    Raises :class:`DownloadFailedError` where a link is refused: the next status request brings fresh ones.
    """
    if request.name != "mask":
        _fetch(answer.image_url, picture_key(job, request.name, request.name), job, request, services)
        return replace(answer, image_url="")
    chosen = choose_masks(answer.masks, job.options).masks
    masks = [
        replace(mask, url="", work_key=_store_mask(number, mask, job, request, services) if mask in chosen else "")
        for number, mask in enumerate(answer.masks)
    ]
    answer = replace(answer, masks=tuple(masks))
    save_answer(services.storage, job, request.name, answer)
    return answer


def _store_mask(number: int, mask: Mask, job: Job, request: AdobeRequest, services: Services) -> str:
    """Return the key of a mask that was fetched, or was written by Adobe itself to where files are kept for a day only."""
    key = picture_key(job, "mask", f"mask-{number}")
    if not mask.work_key:
        _fetch(mask.url, key, job, request, services)
    elif not services.storage.copy_work(mask.work_key, key):
        raise MaskUnusableError("Adobe said that it had written the mask, but it is not there.")
    return key


def _fetch(url: str, key: str, job: Job, request: AdobeRequest, services: Services) -> None:
    with scratch_file() as file:
        services.adobe.download(url, file, max_bytes=_max_bytes(job, request))
        file.seek(0)
        services.storage.write_work(key, file, "application/octet-stream")


def _max_bytes(job: Job, request: AdobeRequest) -> int:
    """Return a size that no picture of the photo can pass, as large as it was sent at most."""
    limit = ROUTES[request.route].pixel_limit
    width, height = (min(int(job.facts[side]), limit) for side in ("width", "height"))
    return _METADATA_BYTES + _BYTES_PER_PIXEL * width * height
