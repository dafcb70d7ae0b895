"""What the jobs of each route do: read the inputs, make the pixels, say what was made."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from dataclasses import replace

import numpy as np
from PIL import Image

from local.adobe import pictures
from local.adobe.answers import Json
from local.adobe.bodies import MAX_SIDE
from local.adobe.clock import ServiceClock
from local.adobe.counters import Counters
from local.adobe.jobs import Job, Payload, Sign
from local.adobe.links import Storage
from local.adobe.settings import Settings
from local.adobe.studio import Picture, Studio

MAX_FIREFLY_BYTES = 15_000_000


class JobWork:
    """The work of every route. Each method takes a job and returns what writes its success, given who signs links."""

    def __init__(
        self, settings: Settings, clock: ServiceClock, counters: Counters, storage: Storage, studio: Studio
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._counters = counters
        self._storage = storage
        self._studio = studio

    async def _inputs(self, job: Job) -> tuple[bytes, list[bytes]]:
        image, *masks = await asyncio.gather(*(self._storage.read(link) for link in job.request.links))
        job.content = hashlib.sha256(image).hexdigest()[:16]
        self._counters.contents[job.content][job.route] += 1
        job.size = pictures.size_of(image, pictures.SENSEI)
        return image, masks

    async def mask_objects(self, job: Job) -> Payload:
        image, _ = await self._inputs(job)
        masks = await self._studio.mask_objects(image)
        semantic = list(masks.semantic)
        if job.mask_count is not None:
            semantic = list(itertools.islice(itertools.cycle(semantic), job.mask_count)) if semantic else []
        if job.crops_masks:
            semantic = [_cropped(picture) for picture in semantic]
        labels = job.labels or self._settings.labels

        def payload(sign: Sign) -> Json:
            return {
                "semanticMasks": [
                    _mask_json(picture, labels[min(number, len(labels) - 1)], sign)
                    for number, picture in enumerate(semantic)
                ],
                "backgroundMasks": [_mask_json(picture, picture.name, sign) for picture in masks.background],
            }

        return payload

    async def fill_masked_areas(self, job: Job) -> Payload:
        image, masks = await self._inputs(job)
        picture = await self._studio.fill_masked_areas(image, masks)
        return lambda sign: {"image": _picture_json(picture, sign)}

    async def firefly_fill(self, job: Job) -> Payload:
        """Fill as the other route does; the words lead nowhere here."""
        image, masks = await self._inputs(job)
        if len(image) > MAX_FIREFLY_BYTES or max(job.size or (0, 0)) > MAX_SIDE:
            raise pictures.PictureError("the image is larger than 15 MB or than 4096 pixels a side")
        picture = await self._studio.fill_masked_areas(image, masks)
        width, height = job.request.size if any(job.request.size) else job.size or (0, 0)
        if (width, height) != job.size:
            picture = _resized(picture, (width, height))
        return lambda sign: {
            "result": {
                "size": {"width": width, "height": height},
                "outputs": [{"seed": 1, "image": {"url": sign(picture)}}],
                "contentClass": "photo",
            }
        }

    async def remove_background(self, job: Job) -> Payload:
        image, _ = await self._inputs(job)
        picture = await self._studio.remove_background(image, job.request)
        return lambda sign: {"result": {"outputs": [_picture_json(picture, sign)]}}

    async def create_mask(self, job: Job) -> Payload:
        image, _ = await self._inputs(job)
        picture = await self._studio.create_mask(image, job.request.soft)
        await asyncio.sleep(self._clock.on_the_wall(max(0.0, job.accepted_at + job.duration - self._clock.now())))
        if not job.failure and not job.never_finishes:
            content = picture.content
            for spoil in job.spoils:
                content = spoil(content)
            await self._storage.write(job.request.output, content, picture.media_type)
        return lambda _: _create_mask_json(job)


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    image = Image.fromarray(pictures.colour_of(picture.content)).resize(size)
    return replace(picture, content=pictures.write(np.asarray(image), picture.media_type))


def _cropped(picture: Picture) -> Picture:
    """Return a mask without what lies outside its box."""
    box = picture.box
    mask = pictures.grey_of(picture.content)[box.y : box.y + box.height, box.x : box.x + box.width]
    return replace(picture, content=pictures.write(mask, picture.media_type))


def _mask_json(picture: Picture, label: str, sign: Sign) -> Json:
    return {
        "label": label,
        "score": picture.score,
        "boundingBox": picture.box.as_json(),
        **_picture_json(picture, sign),
    }


def _picture_json(picture: Picture, sign: Sign) -> Json:
    return {"destination": {"url": sign(picture)}, "mediaType": picture.media_type}


def _create_mask_json(job: Job) -> Json:
    created = job.created.isoformat().replace("+00:00", "Z")
    return {
        "created": created,
        "modified": created,
        "input": job.request.image,
        "output": {
            "storage": job.request.output_storage,
            "href": job.request.output,
            "mask": {"format": "soft" if job.request.soft else "binary"},
        },
    }
