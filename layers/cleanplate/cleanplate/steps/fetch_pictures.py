"""Bring what Adobe has made into our own bucket, right when it is seen to be ready: Adobe's links live an hour."""

from __future__ import annotations

from dataclasses import replace

from cleanplate.aws.temp_file import scratch_file
from cleanplate.models import Answer, Job, Mask
from cleanplate.services import Services
from cleanplate.steps.mask_selection import choose_masks
from cleanplate.steps.work_files import picture_key, save_answer


def fetch_pictures(job: Job, request: str, answer: Answer, services: Services) -> Answer:
    """Keep the pictures that are meant, and return the answer without links.

    The answer about masks is kept too, last of all, since what they show is needed later. A fill is its picture.
    Raises :class:`DownloadFailedError` where a link is refused: fresh ones come with another status request.
    """
    if request != "mask":
        _fetch(answer.image_url, picture_key(job, request, request), services)
        return replace(answer, image_url="")
    meant = choose_masks(answer.masks, job.options).masks
    masks = tuple(_kept(number, mask, meant, job, services) for number, mask in enumerate(answer.masks))
    answer = replace(answer, masks=masks)
    save_answer(services.storage, job, request, answer)
    return answer


def _kept(number: int, mask: Mask, meant: tuple[Mask, ...], job: Job, services: Services) -> Mask:
    if mask.work_key or mask not in meant:
        return replace(mask, url="")
    key = picture_key(job, "mask", f"mask-{number}")
    _fetch(mask.url, key, services)
    return replace(mask, url="", work_key=key)


def _fetch(url: str, key: str, services: Services) -> None:
    with scratch_file() as file:
        services.adobe.download(url, file, max_bytes=services.settings.max_photo_bytes)
        file.seek(0)
        services.storage.write_work(key, file, "application/octet-stream")
