"""Where to crop: which parts of a photo are sent to be filled, so that as much detail as possible survives.

Pure arithmetic on rectangles; rectangles are (left, top, right, bottom) in upright pixels of the photo.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cleanplate.imaging.orientation import Rectangle

if TYPE_CHECKING:
    from PIL import Image

#: Surroundings that a fill should have on every side of the hole: this share of the hole's side, or this many pixels,
#: whichever is more. Where that would cost native resolution, whichever is less will do.
MARGIN_SHARE = 0.10
MARGIN_PIXELS = 128

#: Windows start on this grid, so that JPEG blocks of the photo and of its copy coincide.
GRID = 16

#: Share of the hole's detail that a further window must save to be worth a further paid call.
WORTH_A_CALL = 0.02


@dataclass(frozen=True, slots=True)
class Crop:
    """One window: its place in the photo, the part of the hole that it is for, the size in which it is sent."""

    window: Rectangle
    hole: Rectangle
    sent_width: int
    sent_height: int

    @property
    def native(self) -> bool:
        """True where every pixel is sent as it is."""
        return (self.sent_width, self.sent_height) == (
            self.window[2] - self.window[0],
            self.window[3] - self.window[1],
        )

    @property
    def scale(self) -> float:
        """Sent pixels per pixel of the photo along the longer side, at most 1."""
        return max(self.sent_width, self.sent_height) / max(
            self.window[2] - self.window[0], self.window[3] - self.window[1]
        )


def plan_crops(hole: Image.Image, limit: int, max_windows: int) -> list[Crop]:
    """Return the windows, at most ``max_windows``, that keep most detail of ``hole`` (hard mask, the photo's size).

    Holes are separated by straight cuts that cross none of them. Every further window must be worth its call.
    """
    box = hole.getbbox()
    if box is None:
        return []
    groups: list[Rectangle] = [box]
    best = _kept(groups, hole, limit)
    while len(groups) < max_windows and best < 1:
        options = [
            (_kept(option, hole, limit), option)
            for index, group in enumerate(groups)
            for halves in _cuts(hole, group)
            for option in [[*groups[:index], *halves, *groups[index + 1 :]]]
        ]
        if not options:
            break
        kept, groups_then = max(options, key=lambda option: option[0])
        if kept < best + WORTH_A_CALL:
            break
        best, groups = kept, groups_then
    return [crop_for(group, hole.size, limit) for group in groups]


def crop_for(hole: Rectangle, photo: tuple[int, int], limit: int) -> Crop:
    """Return the largest window around ``hole`` that can be sent at native resolution, or the tightest one scaled down."""
    width, height = photo
    if max(photo) <= limit:
        return Crop((0, 0, width, height), hole, width, height)
    sides = hole[2] - hole[0], hole[3] - hole[1]
    preferred = [max(MARGIN_PIXELS, round(side * MARGIN_SHARE)) for side in sides]
    sufficient = [min(MARGIN_PIXELS, round(side * MARGIN_SHARE)) for side in sides]
    for margins in (preferred, sufficient):
        need = _with_margin(hole, margins, photo)
        window = (
            *_placed(need[0], need[2], hole[0] + hole[2], width, limit),
            *_placed(need[1], need[3], hole[1] + hole[3], height, limit),
        )
        if window[1] - window[0] <= limit and window[3] - window[2] <= limit:
            left, right, top, bottom = window
            return Crop((left, top, right, bottom), hole, right - left, bottom - top)
    return _scaled_crop(_with_margin(hole, preferred, photo), hole, photo, limit)


def _with_margin(hole: Rectangle, margins: Sequence[int], photo: tuple[int, int]) -> Rectangle:
    return (
        max(0, hole[0] - margins[0]),
        max(0, hole[1] - margins[1]),
        min(photo[0], hole[2] + margins[0]),
        min(photo[1], hole[3] + margins[1]),
    )


def _placed(start: int, end: int, twice_middle: int, side: int, size: int) -> tuple[int, int]:
    """Return a stretch of ``size`` pixels on the grid around ``start`` to ``end``; longer only where it must be."""
    if side <= size:
        return 0, side
    first = min(max(0, (twice_middle - size) // 2), side - size)
    first -= first % GRID
    if first > start:
        first = start - start % GRID
    last = min(first + size, side)
    if last < end:
        # The grid cost up to 15 pixels at the far end: move on by one step where the near end allows it.
        if first + GRID <= start:
            first, last = first + GRID, min(first + GRID + size, side)
        else:
            last = end
    return first, last


def _scaled_crop(need: Rectangle, hole: Rectangle, photo: tuple[int, int], limit: int) -> Crop:
    """Return ``need`` on the grid, its shorter side stretched as far as the scale, which the longer one dictates,
    allows.
    """
    longest = max(need[2] - need[0], need[3] - need[1])
    left, right = _stretched(need[0], need[2], longest, photo[0])
    top, bottom = _stretched(need[1], need[3], longest, photo[1])
    scale = min(1.0, limit / max(right - left, bottom - top))
    return Crop(
        (left, top, right, bottom),
        hole,
        min(limit, max(1, round((right - left) * scale))),
        min(limit, max(1, round((bottom - top) * scale))),
    )


def _stretched(start: int, end: int, length: int, side: int) -> tuple[int, int]:
    missing = max(0, min(length, side) - (end - start))
    first = max(0, start - missing // 2)
    last = min(side, first + max(end - start + (start - first), min(length, side)))
    first = max(0, min(first, last - min(length, side)))
    first -= first % GRID
    return min(first, start), max(last, end)


def _kept(groups: Sequence[Rectangle], hole: Image.Image, limit: int) -> float:
    """Share of the hole's pixels that reach Adobe: 1 where every window is sent at native resolution."""
    areas = [_area(hole, group) for group in groups]
    kept = [
        area * min(1.0, crop_for(group, hole.size, limit).scale) ** 2 for area, group in zip(areas, groups, strict=True)
    ]
    return sum(kept) / max(1, sum(areas))


def _area(hole: Image.Image, box: Rectangle) -> int:
    return hole.crop(box).histogram()[255]


def _cuts(hole: Image.Image, group: Rectangle) -> Iterator[tuple[Rectangle, Rectangle]]:
    """Yield the two halves for each straight cut, upright or level, that runs between the holes of ``group``."""
    left, top, right, bottom = group
    part = hole.crop(group)
    columns, rows = part.getprojection()
    for start, end in _gaps(columns):
        yield _tight(hole, (left, top, left + start, bottom)), _tight(hole, (left + end, top, right, bottom))
    for start, end in _gaps(rows):
        yield _tight(hole, (left, top, right, top + start)), _tight(hole, (left, top + end, right, bottom))


def _gaps(line: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Stretches of zeros between non-zeros."""
    marks = bytes(1 if mark else 0 for mark in line)
    at = marks.find(b"\x00", max(0, marks.find(b"\x01")))
    while at >= 0:
        end = marks.find(b"\x01", at)
        if end < 0:
            return
        yield at, end
        at = marks.find(b"\x00", end)


def _tight(hole: Image.Image, box: Rectangle) -> Rectangle:
    inner = hole.crop(box).getbbox() or (0, 0, box[2] - box[0], box[3] - box[1])
    return box[0] + inner[0], box[1] + inner[1], box[0] + inner[2], box[1] + inner[3]
