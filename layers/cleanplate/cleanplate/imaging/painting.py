"""Painting the fills into the hole: where each belongs, how its edge is blended, and its tone."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from PIL import Image, ImageChops, ImageStat

from cleanplate.errors import (
    CleanplateError,
    FillUnusableError,
)
from cleanplate.imaging.canvas import Canvas
from cleanplate.imaging.colour import from_srgb, to_srgb
from cleanplate.imaging.facts import PhotoFacts
from cleanplate.imaging.filling import FillPlan, Window
from cleanplate.imaging.jpeg_markers import upper_rows
from cleanplate.imaging.masks import dilate, feathered
from cleanplate.imaging.orientation import (
    Rectangle,
    apply_orientation,
    stored,
    stored_rectangle,
    turned_size,
    upright_rectangle,
)
from cleanplate.imaging.reading import ANY_LEVEL, decode, format_of, open_image

#: The ring around the hole is compared at no more than this many pixels a side: tone is a coarse thing.
_RING_SIDE = 512
_RING_GAP, _RING_WIDTH = 2, 8

#: The fill's tone is corrected where, on the ring, it is off by a shift (in levels, mean) and by little else
#: (standard deviation): there the surroundings came back as they were sent, only lighter or darker.
_MIN_SHIFT, _MAX_SHIFT, _CALM = 0.75, 24.0, 6.0
_MIN_RING_PIXELS = 64

#: Pixels of the hole that are worked on at a time: few enough that memory is used again rather than asked for. Rows, at
#: least: what is decoded around a band goes to waste.
_BAND_PIXELS, _BAND_ROWS = 600_000, 256

#: Rows of the fill around a part of it that enlarging the part looks at (bicubic: two).
_REACH = 3
#: Rows more of a JPEG: in the last of a block decoders smooth colours with those below it.
_COLOURS_REACH = 32

_FILLED = [0] * 255 + [255]


class Painter:
    """The plan's hole and fills, decoded beside the photo where there is a second core.

    Decoders let go of the interpreter's lock. One fill at a time, so that no more than one is held.
    """

    def __init__(self, facts: PhotoFacts, plan: FillPlan, fills: Sequence[bytes]) -> None:
        self._facts, self._plan, self._fills = facts, plan, fills
        self._beside = ThreadPoolExecutor(max_workers=1)
        self._hole = self._beside.submit(_hole, plan)
        self._first = self._coming(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beside.shutdown(cancel_futures=True)

    def _coming(self, index: int) -> Future[Image.Image] | None:
        if index >= len(self._fills):
            return None
        return self._beside.submit(_fill, self._fills[index], self._plan.windows[index])

    def rows(self) -> tuple[int, int]:
        """Return the first stored row of pixels that painting looks at, and the one behind the last."""
        facts = self._facts
        areas = [
            stored_rectangle(_seen_area(window)[0], facts.orientation, facts.upright_size)
            for window in self._plan.windows
        ]
        return min(area[1] for area in areas), max(area[3] for area in areas)

    def paint(self, canvas: Canvas, icc: bytes) -> None:
        """Paint all fills on ``canvas``, whose colours ``icc`` describes. Raises ``FillUnusableError``."""
        hole, coming = self._hole.result(), self._first or self._coming(0)
        self._first = None
        for index, window in enumerate(self._plan.windows):
            assert coming is not None
            part = _Part(canvas, hole, icc, self._facts, self._plan, window, coming.result())
            coming = None
            part.paint()
            del part
            coming = self._coming(index + 1)


def _hole(plan: FillPlan) -> Image.Image:
    """Return the plan's hole, as large as the box around it."""
    hole = open_image(io.BytesIO(plan.hole), "png")
    decode(hole)
    if hole.size == (plan.width, plan.height):
        # A plan of version 1.0 has it in the photo's size, the blocks around it marked.
        hole = hole.crop(plan.hole_box).point(_FILLED)
    left, top, right, bottom = plan.hole_box
    if hole.size != (right - left, bottom - top):
        raise FillUnusableError(f"the stored hole is {hole.size}, the plan says {(right - left, bottom - top)}")
    return hole


def _fill(content: bytes, window: Window) -> Image.Image:
    """Return the fill as sRGB, mode RGB, in the sent size; of a JPEG only the rows down to the end of what is looked at."""
    expected = (window.sent_width, window.sent_height)
    try:
        image = _open_fill(content)
        size = image.size
        if size == expected:
            bottom = int(_in_fill(window, _seen_area(window)[0])[3]) + _REACH
            upper = upper_rows(content, bottom + _COLOURS_REACH)
            image = image if upper is content else _open_fill(upper)
            decode(image)
    except CleanplateError as error:
        raise FillUnusableError(f"the fill cannot be read: {error}") from error
    if size != expected:
        raise FillUnusableError(f"the fill is {size[0]} x {size[1]} pixels; {expected[0]} x {expected[1]} were sent")
    return to_srgb(image, image.info.get("icc_profile"))


def _open_fill(content: bytes) -> Image.Image:
    return open_image(io.BytesIO(content), format_of(content[:64]))


@dataclass(slots=True)
class _Part:
    """One window: the part of the hole that its fill is for."""

    canvas: Canvas
    hole: Image.Image
    icc: bytes
    facts: PhotoFacts
    plan: FillPlan
    window: Window
    fill: Image.Image

    def paint(self) -> None:
        """Paint the part; every other pixel of the canvas stays as it is.

        In bands, so that a large hole needs no second picture of its size.
        """
        facts = self.facts
        shift = self._tone_shift()
        curve = [min(255, max(0, round(level + step))) for step in shift for level in range(256)]
        base = {"LA": "L", "RGBA": "RGB", "I;16": "L"}.get(self.canvas.mode, self.canvas.mode)
        for place in self._bands():
            band = upright_rectangle(place, facts.orientation, (facts.width, facts.height))
            weights = self._weights(band)
            if weights.getbbox() is None:
                continue
            patch = _part_of_fill(self.fill, self.window, band)
            if any(shift):
                patch = patch.point(curve)
            patch = from_srgb(stored(patch, facts.orientation), self.icc, base)
            self.canvas.paint(patch, place, stored(weights, facts.orientation))

    def _bands(self) -> Iterator[Rectangle]:
        """Rows of the hole's box in stored pixels, cut on the canvas's grid."""
        left, top, right, bottom = stored_rectangle(
            self.window.hole_box, self.facts.orientation, self.facts.upright_size
        )
        step = self.canvas.step[1]
        rows = -(-max(_BAND_ROWS, _BAND_PIXELS // (right - left)) // step) * step
        while top < bottom:
            end = min(bottom, (top + rows) // step * step)
            yield left, top, right, end
            top = end

    def _hole_in(self, box: Rectangle) -> Image.Image:
        """Return the hole in ``box``: black wherever there is none."""
        left, top = self.plan.hole_box[:2]
        return self.hole.crop((box[0] - left, box[1] - top, box[2] - left, box[3] - top))

    def _weights(self, box: Rectangle) -> Image.Image:
        """Return how much of the fill each pixel of ``box`` takes; the hole around it is seen as far as it matters."""
        feather, (width, height) = self.plan.feather, self.facts.upright_size
        around = (
            max(0, box[0] - feather),
            max(0, box[1] - feather),
            min(width, box[2] + feather),
            min(height, box[3] + feather),
        )
        weights = feathered(self._hole_in(around), feather)
        left, top = box[0] - around[0], box[1] - around[1]
        return weights.crop((left, top, left + box[2] - box[0], top + box[3] - box[1]))

    def _tone_shift(self) -> tuple[float, float, float]:
        """Return by how many levels of R, G, B the fill's surroundings are darker than the photo's; zeros where
        unclear.
        """
        facts, window = self.facts, self.window
        none = (0.0, 0.0, 0.0)
        area, scale = _seen_area(window)
        size = (max(1, round((area[2] - area[0]) / scale)), max(1, round((area[3] - area[1]) / scale)))
        inside = self._hole_in(area).resize(size, Image.Resampling.BOX).point(ANY_LEVEL)
        inner = dilate(inside, _RING_GAP)
        ring = ImageChops.subtract(dilate(inner, _RING_WIDTH), inner)
        if ring.histogram()[255] < _MIN_RING_PIXELS:
            return none
        seen_size = turned_size(*size, facts.orientation)
        seen = self.canvas.seen(stored_rectangle(area, facts.orientation, facts.upright_size), seen_size)
        original = to_srgb(seen, self.icc)
        if original.size != seen_size:
            original = original.resize(seen_size, Image.Resampling.BOX)
        original = apply_orientation(original, facts.orientation)
        answer = self.fill.resize(size, Image.Resampling.BOX, box=_in_fill(window, area), reducing_gap=1.0)
        difference = ImageStat.Stat(ImageChops.subtract(original, answer, 1.0, 128), ring)
        red, green, blue = (mean - 128 for mean in difference.mean)
        largest = max(abs(red), abs(green), abs(blue))
        calm = max(difference.stddev) <= _CALM
        return (red, green, blue) if calm and _MIN_SHIFT <= largest <= _MAX_SHIFT else none


def _seen_area(window: Window) -> tuple[Rectangle, float]:
    """Return the hole's box with the ring around it in which tones are compared (upright pixels of the photo), and how
    many of these pixels are taken together.
    """
    box = window.hole_box
    scale = max(1.0, max(box[2] - box[0], box[3] - box[1]) / _RING_SIDE)
    reach = round((_RING_GAP + _RING_WIDTH + 1) * scale)
    area = (
        max(window.x, box[0] - reach),
        max(window.y, box[1] - reach),
        min(window.x + window.width, box[2] + reach),
        min(window.y + window.height, box[3] + reach),
    )
    return area, scale


def _part_of_fill(fill: Image.Image, window: Window, box: Rectangle) -> Image.Image:
    """Return what the fill shows in ``box`` (upright pixels of the photo), one pixel for each of the photo's."""
    left, top, right, bottom = _in_fill(window, box)
    if (window.sent_width, window.sent_height) == (window.width, window.height):
        return fill.crop((round(left), round(top), round(right), round(bottom)))
    # Widened first, then heightened: left to itself Pillow chooses the order by the size of the part, and where a
    # contrast overshoots the order shows, as a seam between two bands.
    first, last = max(0, int(top) - _REACH), min(fill.height, int(bottom) + 1 + _REACH)
    width, height = box[2] - box[0], box[3] - box[1]
    wide = fill.resize((width, last - first), Image.Resampling.BICUBIC, box=(left, first, right, last))
    return wide.resize((width, height), Image.Resampling.BICUBIC, box=(0, top - first, width, bottom - first))


def _in_fill(window: Window, box: Rectangle) -> tuple[float, float, float, float]:
    """Return where ``box`` (upright pixels of the photo) lies in the fill."""
    across, down = window.sent_width / window.width, window.sent_height / window.height
    return (
        (box[0] - window.x) * across,
        (box[1] - window.y) * down,
        (box[2] - window.x) * across,
        (box[3] - window.y) * down,
    )
