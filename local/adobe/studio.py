"""Where pixels are made: every operation of the service on bytes, in a small pool, and never twice for equal inputs."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import scipy  # type: ignore[import-untyped]
from PIL import Image, ImageDraw

from local.adobe import inpainting, pictures
from local.adobe.bodies import JobRequest
from local.adobe.pictures import JPEG, NOWHERE, PNG, Accepts, Box, Colour, Grey, PictureError
from local.adobe.segmentation import Region, Saliency, Segmenter, regions_of, soft_mask
from local.adobe.settings import Settings

WORKERS = 2
MEMO_BYTES = 400_000_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Picture:
    """One finished picture; ``name`` and the rest are said of masks only."""

    content: bytes
    media_type: str
    box: Box = NOWHERE
    score: float = 1.0
    name: str = ""

    @property
    def weight(self) -> int:
        return len(self.content)


@dataclass(frozen=True, slots=True)
class Masks:
    """The foreground, most prominent first, and what is left of the photo."""

    semantic: tuple[Picture, ...]
    background: tuple[Picture, ...]

    @property
    def weight(self) -> int:
        return sum(picture.weight for picture in (*self.semantic, *self.background))


class _Memo(Generic[T]):
    """Results by key, with equal questions in flight asked once; the oldest leave when it gets too heavy."""

    def __init__(self, weigh: Callable[[T], int], most: int) -> None:
        self._known: OrderedDict[str, asyncio.Future[T]] = OrderedDict()
        self._weigh = weigh
        self._most = most
        self._held = 0

    async def get(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        if key in self._known:
            self._known.move_to_end(key)
            return await asyncio.shield(self._known[key])
        task: asyncio.Future[T] = asyncio.ensure_future(make())
        self._known[key] = task
        try:
            made = await asyncio.shield(task)
        except BaseException:
            self._known.pop(key, None)
            raise
        self._held += self._weigh(made)
        while self._held > self._most and len(self._known) > 1:
            oldest = next(iter(self._known))
            old = self._known[oldest]
            if not old.done():
                break
            del self._known[oldest]
            if not old.cancelled() and not old.exception():
                self._held -= self._weigh(old.result())
        return made


class Studio:
    """The service's imaging. Methods take input bytes as fetched and raise :class:`PictureError`."""

    def __init__(self, settings: Settings) -> None:
        self._fast = settings.pixels == "fast"
        self._fill_type = JPEG if settings.fill_format == "jpeg" else PNG
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="pixels")
        self._segmenter = Segmenter()
        self._saliency: _Memo[Saliency] = _Memo(lambda found: found.nbytes, MEMO_BYTES // 4)
        self._masks: _Memo[Masks] = _Memo(lambda found: found.weight, MEMO_BYTES // 2)
        self._single: _Memo[Picture] = _Memo(lambda made: made.weight, MEMO_BYTES // 2)

    def close(self) -> None:
        """End the work that has begun, so that nothing of it runs on beside what comes next, and begin no more."""
        self._pool.shutdown(cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _salient(self, image: bytes) -> Saliency:
        async def make() -> Saliency:
            return await self._run(lambda: self._segmenter.saliency(pictures.colour_of(image)))

        return await self._saliency.get(_key(image), make)

    async def _subject(self, image: bytes) -> Grey:
        """Return the soft mask of everything that stands out, at the image's size."""
        if self._fast:
            return _ellipse(*_size(image))
        return soft_mask(await self._salient(image))

    async def mask_objects(self, image: bytes) -> Masks:
        """Return masks of what stands out, and of the background."""
        pictures.size_of(image, pictures.V1)
        if self._fast:
            width, height = _size(image)
            return await self._masks.get(f"{width}x{height}", lambda: self._run(lambda: _fast_masks(width, height)))

        async def make() -> Masks:
            saliency = await self._salient(image)
            return await self._run(lambda: _masks(regions_of(saliency), soft_mask(saliency)))

        return await self._masks.get(_key(image), make)

    async def fill_masked_areas(self, image: bytes, masks: list[bytes]) -> Picture:
        """Return the photo with all masked areas filled."""
        _matching(image, masks)

        async def make() -> Picture:
            greys = await self._run(lambda: [pictures.grey_of(mask) for mask in masks])
            subject = None if self._fast else await self._salient(image)

            def work() -> Picture:
                photo = pictures.colour_of(image)
                if subject is None:
                    filled = inpainting.blurred(photo, greys)
                else:
                    filled = inpainting.fill(photo, greys, subject >= 0.3)
                return Picture(pictures.write(filled, self._fill_type), self._fill_type)

            return await self._run(work)

        return await self._single.get(_key(image, *masks, "fill"), make)

    async def remove_background(self, image: bytes, request: JobRequest) -> Picture:
        """Return the subject cut out, or its mask, as ``request`` says."""
        pictures.size_of(image, pictures.REMOVE_BACKGROUND)
        media_type = request.media_type or pictures.media_type_of(image)
        if request.mode == "psd" or media_type not in (JPEG, PNG, pictures.WEBP):
            raise PictureError(f"the stand-in cannot write {request.mode} as {media_type}")

        async def make() -> Picture:
            mask = await self._subject(image)
            return await self._run(lambda: _background_removed(image, mask, request, media_type))

        return await self._single.get(_key(image, repr(request.mode) + media_type + _looks(request)), make)

    async def create_mask(self, image: bytes, soft: bool) -> Picture:
        """Return the ``/sensei/mask`` result: one mask of the whole subject, soft or with two levels only."""
        pictures.size_of(image, pictures.SENSEI)

        async def make() -> Picture:
            mask = await self._subject(image)
            return await self._run(lambda: _one_mask(mask if soft else _two_levels(mask)))

        return await self._single.get(_key(image, f"create {soft}"), make)


def _looks(request: JobRequest) -> str:
    return f" {request.trim} {request.background} {request.colour_decontamination}"


def _key(*parts: bytes | str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def _size(image: bytes) -> tuple[int, int]:
    return pictures.size_of(image, Accepts(pictures.SENSEI.media_types, pictures.SENSEI.longest_side))


def _matching(image: bytes, masks: list[bytes]) -> None:
    size = pictures.size_of(image, pictures.V1)
    for mask in masks:
        other = pictures.size_of(mask, pictures.V1, "mask")
        if other != size:
            raise PictureError(f"the mask is {other[0]} x {other[1]} pixels, the image {size[0]} x {size[1]}")


def _one_mask(mask: Grey, score: float = 1.0, name: str = "") -> Picture:
    return Picture(pictures.write(mask), PNG, pictures.box_of(mask), round(score, 4), name)


def _masks(regions: list[Region], whole: Grey) -> Masks:
    semantic = tuple(Picture(pictures.write(item.mask), PNG, item.box, item.score) for item in regions)
    left = np.asarray(255 - whole, dtype=np.uint8)
    return Masks(semantic, (_one_mask(left, float(left.mean()) / 255.0, "background"),))


def _fast_masks(width: int, height: int) -> Masks:
    mask = _ellipse(width, height)
    return _masks([Region(mask, 0.9, pictures.box_of(mask))], mask)


def _ellipse(width: int, height: int) -> Grey:
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).ellipse((width // 3, height // 3, width * 2 // 3, height * 2 // 3), fill=255)
    return np.asarray(image, dtype=np.uint8)


def _two_levels(mask: Grey) -> Grey:
    hard: Grey = np.where(mask >= 128, 255, 0).astype(np.uint8)
    return hard


def _cut_out(photo: Colour, mask: Grey, decontamination: float) -> Colour:
    """Return RGBA; at the soft edge, colours come from the nearest pixel that is surely the subject's."""
    colours = photo
    sure = mask >= 250
    if decontamination > 0 and sure.any():
        nearest = scipy.ndimage.distance_transform_edt(~sure, return_distances=False, return_indices=True)
        own = photo[tuple(nearest)].astype(np.float32)
        edge = ((mask > 0) & ~sure)[..., None] * np.float32(decontamination)
        colours = (photo + (own - photo) * edge + 0.5).astype(np.uint8)
    return np.dstack([colours, mask])


def _background_removed(image: bytes, mask: Grey, request: JobRequest, media_type: str) -> Picture:
    made: Image.Image
    if request.mode == "mask":
        made = Image.fromarray(mask)
    else:
        cut = Image.fromarray(_cut_out(pictures.colour_of(image), mask, request.colour_decontamination))
        made = cut
        if request.background is not None or media_type == JPEG:
            red, green, blue, alpha = request.background or (255, 255, 255, 1.0)
            made = Image.new("RGBA", cut.size, (red, green, blue, round(alpha * 255)))
            made.alpha_composite(cut)
    box = pictures.box_of(mask)
    if request.trim and box.width:
        made = made.crop((box.x, box.y, box.x + box.width, box.y + box.height))
    return Picture(pictures.write(made, media_type), media_type, box)
