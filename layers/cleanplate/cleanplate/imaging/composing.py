"""Putting the fill back: only the hole of the original changes, in the original's own orientation and colours."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, cast

from PIL import Image, ImageChops, ImageMath, ImageStat

from cleanplate.errors import CleanplateError, FillUnusableError
from cleanplate.imaging.belongings import belongings_of
from cleanplate.imaging.colour import beside_key, from_srgb, to_srgb
from cleanplate.imaging.facts import PhotoFacts, reopen
from cleanplate.imaging.filling import FillPlan, Window
from cleanplate.imaging.inventory import differences, take_inventory
from cleanplate.imaging.masks import dilate, feathered, without_rim
from cleanplate.imaging.orientation import Rectangle, stored, stored_rectangle, turned_size, upright
from cleanplate.imaging.profiles import HIGH_RANGE
from cleanplate.imaging.reading import decode, eight_bit, format_of, open_image, quiet
from cleanplate.imaging.writing import (
    MEDIA_TYPES,
    extension_for,
    target_format,
    writable_modes,
    write,
)
from cleanplate.models import Options

#: The ring around the hole is compared at no more than this many pixels a side: tone is a coarse thing.
_RING_SIDE = 512
_RING_GAP, _RING_WIDTH = 2, 8

#: The fill's tone is corrected where, on the ring, it is off by a shift (in levels, mean) and by little else
#: (standard deviation): there the surroundings came back as they were sent, only lighter or darker.
_MIN_SHIFT, _MAX_SHIFT, _CALM = 0.75, 24.0, 6.0
_MIN_RING_PIXELS = 64

#: Pixels of the hole that are worked on at a time.
_BAND_PIXELS = 2_000_000

#: Rows of the fill around a part of it that enlarging the part looks at (bicubic: two).
_REACH = 3

_DEEP_GREY = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I"})
_ANY = [0] + [255] * 255


@dataclass(frozen=True, slots=True)
class Composed:
    """The result: ``content`` is an open temporary file at its start, which disappears when it is closed.

    ``extension`` is empty where the format is the photo's, else what is added to its key. ``width`` and ``height``
    are those of the upright result, ``size`` is in bytes.
    """

    content: BinaryIO
    media_type: str
    extension: str
    width: int
    height: int
    size: int
    notes: tuple[str, ...]


@quiet
def compose(
    open_photo: Callable[[], BinaryIO],
    facts: PhotoFacts,
    plan: FillPlan,
    fills: Sequence[bytes],
    *,
    options: Options,
    mark_as_edited: bool,
) -> Composed:
    """Put ``fills``, in the order of the plan's windows, into the original and encode the result.

    A fill may have any format and mode, but must have the sent size. Raises ``FillUnusableError``,
    ``TruncatedPhotoError``, ``PhotoReplacedError``.
    """
    if len(fills) != len(plan.windows):
        raise FillUnusableError(f"{len(fills)} fills came back for {len(plan.windows)} windows")
    notes = list(facts.notes)
    target = target_format(facts, options.output_format, notes)
    # Decoders let go of the interpreter's lock: hole and fill are decoded while the photo is, where there is a second
    # core. One at a time, so that no more than one fill is held.
    with ThreadPoolExecutor(max_workers=1) as beside:
        hole = beside.submit(_hole, plan)
        coming = [beside.submit(_fill, fill, window) for fill, window in zip(fills[:1], plan.windows, strict=False)]
        with open_photo() as file:
            image = reopen(file, facts)
            decode(image)
            kept = belongings_of(image, facts, file)
            canvas = _canvas(image, target, notes)
            del image
        for index, window in enumerate(plan.windows):
            _put_back(canvas, hole.result(), kept.icc, facts, plan, window, coming.pop().result())
            if index + 1 < len(fills):
                coming.append(beside.submit(_fill, fills[index + 1], plan.windows[index + 1]))
        del hole
    canvas, icc_fits = _in_mode(canvas, target, kept.icc, facts, notes)
    if not icc_fits:
        kept.forget_colours()
    turned = target != facts.format and facts.orientation != 1
    if turned:
        canvas = upright(canvas, facts.orientation)
    if target != facts.format:
        notes.append(f"The photo was {facts.format.upper()}; the result is {target.upper()}.")
    content = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it
    try:
        notes += write(canvas, target, kept, content, turned=turned, mark_as_edited=mark_as_edited)
        notes += differences(kept.inventory, take_inventory(content, target))
        size = content.seek(0, io.SEEK_END)
        content.seek(0)
    except BaseException:
        content.close()
        raise
    width, height = facts.upright_size
    unique = tuple(dict.fromkeys(notes))
    return Composed(content, MEDIA_TYPES[target], extension_for(facts, target), width, height, size, unique)


def _canvas(image: Image.Image, target: str, notes: list[str]) -> Image.Image:
    """The picture to paint on: the decoded one itself where its mode allows it, so that nothing is held twice."""
    if image.mode not in _DEEP_GREY:
        return eight_bit(image)
    if "I;16" in writable_modes(target):
        return image if image.mode == "I;16" else image.convert("I").convert("I;16")
    notes.append(f"The photo has 16 bits of grey; {target.upper()} has 8.")
    return eight_bit(image)


def _hole(plan: FillPlan) -> Image.Image:
    """The plan's hole, its rim included."""
    hole = open_image(io.BytesIO(plan.hole), "png")
    decode(hole)
    if hole.size != (plan.width, plan.height):
        raise FillUnusableError(f"the stored hole is {hole.size}, the plan says {(plan.width, plan.height)}")
    return hole


def _fill(content: bytes, window: Window) -> Image.Image:
    """The fill as sRGB, mode RGB, in the sent size."""
    file = io.BytesIO(content)
    expected = (window.sent_width, window.sent_height)
    try:
        image = open_image(file, format_of(content[:64]))
        size = image.size
        if size == expected:
            decode(image)
    except CleanplateError as error:
        raise FillUnusableError(f"the fill cannot be read: {error}") from error
    if size != expected:
        raise FillUnusableError(f"the fill is {size[0]} x {size[1]} pixels; {expected[0]} x {expected[1]} were sent")
    return to_srgb(image, image.info.get("icc_profile"))


def _put_back(
    canvas: Image.Image,
    hole: Image.Image,
    icc: bytes,
    facts: PhotoFacts,
    plan: FillPlan,
    window: Window,
    fill: Image.Image,
) -> None:
    """Paint the part of the hole that ``window`` is for; every other pixel of ``canvas`` stays as it is.

    Painted in bands, so that a large hole needs no second picture of its size.
    """
    shift = _tone_shift(canvas, hole, icc, facts, window, fill)
    curve = [min(255, max(0, round(level + step))) for step in shift for level in range(256)]
    base = {"LA": "L", "RGBA": "RGB", "I;16": "L"}.get(canvas.mode, canvas.mode)
    left, top, right, bottom = window.hole_box
    rows = max(1, _BAND_PIXELS // (right - left))
    for start in range(top, bottom, rows):
        band = (left, start, right, min(start + rows, bottom))
        weights = _weights(hole, band, plan.feather)
        if weights.getbbox() is None:
            continue
        patch = _part_of_fill(fill, window, band)
        if any(shift):
            patch = patch.point(curve)
        patch = from_srgb(stored(patch, facts.orientation), icc, base)
        weights = stored(weights, facts.orientation)
        place = stored_rectangle(band, facts.orientation, facts.upright_size)
        if canvas.mode == "I;16":
            _paint_deep(canvas, patch, place, weights)
        elif canvas.mode in ("LA", "RGBA"):
            _paint_under_alpha(canvas, patch, place, weights)
        else:
            canvas.paste(patch, place, weights)


def _part_of_fill(fill: Image.Image, window: Window, box: Rectangle) -> Image.Image:
    """What the fill shows in ``box`` (upright pixels of the photo), one pixel for each of the photo's."""
    left, top, right, bottom = _in_fill(fill, window, box)
    if fill.size == (window.width, window.height):
        return fill.crop((round(left), round(top), round(right), round(bottom)))
    # Widened first, then heightened: left to itself Pillow chooses the order by the size of the part, and where a
    # contrast overshoots the order shows, as a seam between two bands.
    first, last = max(0, int(top) - _REACH), min(fill.height, int(bottom) + 1 + _REACH)
    width, height = box[2] - box[0], box[3] - box[1]
    wide = fill.resize((width, last - first), Image.Resampling.BICUBIC, box=(left, first, right, last))
    return wide.resize((width, height), Image.Resampling.BICUBIC, box=(0, top - first, width, bottom - first))


def _in_fill(fill: Image.Image, window: Window, box: Rectangle) -> tuple[float, float, float, float]:
    """Where ``box`` (upright pixels of the photo) lies in the fill."""
    across, down = fill.width / window.width, fill.height / window.height
    return (
        (box[0] - window.x) * across,
        (box[1] - window.y) * down,
        (box[2] - window.x) * across,
        (box[3] - window.y) * down,
    )


def _weights(hole: Image.Image, box: Rectangle, feather: int) -> Image.Image:
    """How much of the fill each pixel of ``box`` takes; the hole around the box is seen as far as it matters."""
    around = (
        max(0, box[0] - feather),
        max(0, box[1] - feather),
        min(hole.width, box[2] + feather),
        min(hole.height, box[3] + feather),
    )
    weights = feathered(without_rim(hole.crop(around)), feather)
    left, top = box[0] - around[0], box[1] - around[1]
    return weights.crop((left, top, left + box[2] - box[0], top + box[3] - box[1]))


def _tone_shift(
    canvas: Image.Image, hole: Image.Image, icc: bytes, facts: PhotoFacts, window: Window, fill: Image.Image
) -> tuple[float, float, float]:
    """By how many levels of R, G, B the fill's surroundings are darker than the photo's; zeros where that is unclear."""
    none = (0.0, 0.0, 0.0)
    box = window.hole_box
    scale = max(1.0, max(box[2] - box[0], box[3] - box[1]) / _RING_SIDE)
    reach = round((_RING_GAP + _RING_WIDTH + 1) * scale)
    area = (
        max(window.x, box[0] - reach),
        max(window.y, box[1] - reach),
        min(window.x + window.width, box[2] + reach),
        min(window.y + window.height, box[3] + reach),
    )
    size = (max(1, round((area[2] - area[0]) / scale)), max(1, round((area[3] - area[1]) / scale)))
    inside = without_rim(hole.crop(area)).resize(size, Image.Resampling.BOX).point(_ANY)
    inner = dilate(inside, _RING_GAP)
    ring = ImageChops.subtract(dilate(inner, _RING_WIDTH), inner)
    if ring.histogram()[255] < _MIN_RING_PIXELS:
        return none
    place = stored_rectangle(area, facts.orientation, facts.upright_size)
    seen = turned_size(*size, facts.orientation)
    if canvas.mode in ("LA", "RGBA", "I;16"):
        original = to_srgb(canvas.crop(place), icc).resize(seen, Image.Resampling.BOX)
    else:
        original = to_srgb(canvas.resize(seen, Image.Resampling.BOX, box=place, reducing_gap=1.0), icc)
    original = upright(original, facts.orientation)
    answer = fill.resize(size, Image.Resampling.BOX, box=_in_fill(fill, window, area), reducing_gap=1.0)
    difference = ImageStat.Stat(ImageChops.subtract(original, answer, 1.0, 128), ring)
    red, green, blue = (mean - 128 for mean in difference.mean)
    largest = max(abs(red), abs(green), abs(blue))
    calm = max(difference.stddev) <= _CALM
    return (red, green, blue) if calm and _MIN_SHIFT <= largest <= _MAX_SHIFT else none


def _paint_under_alpha(canvas: Image.Image, patch: Image.Image, place: Rectangle, weights: Image.Image) -> None:
    """Paint the colours and keep the alpha channel; what is wholly transparent is not touched at all."""
    region = canvas.crop(place)
    alpha = region.getchannel("A")
    colours = region.convert(patch.mode)
    colours.paste(patch, (0, 0), ImageChops.darker(weights, alpha.point(_ANY)))
    colours.putalpha(alpha)
    canvas.paste(colours, place)


def _paint_deep(canvas: Image.Image, patch: Image.Image, place: Rectangle, weights: Image.Image) -> None:
    """16-bit grey: the fill has 8 bits, every pixel outside the hole keeps its 16."""
    painted = ImageMath.lambda_eval(
        lambda args: (args["old"] * (255 - args["weight"]) + args["new"] * 257 * args["weight"]) / 255,
        old=canvas.crop(place).convert("I"),
        new=patch.convert("I"),
        weight=weights.convert("I"),
    )
    if isinstance(key := canvas.info.get("transparency"), int):
        painted = beside_key(canvas.crop(place), painted, key)
    canvas.paste(painted.convert("I;16"), place)


def _in_mode(
    canvas: Image.Image, target: str, icc: bytes, facts: PhotoFacts, notes: list[str]
) -> tuple[Image.Image, bool]:
    """``canvas`` in a mode that ``target`` can hold, and whether the photo's profile still fits it."""
    modes = writable_modes(target)
    if facts.profile in HIGH_RANGE.values() and target not in ("png", "avif"):
        notes.append(
            f"{target.upper()} cannot hold the photo's range of light ({facts.profile.upper()}): it becomes sRGB."
        )
        alpha = canvas.getchannel("A") if "A" in canvas.mode and target != "jpeg" else None
        converted = to_srgb(canvas, icc)
        if alpha:
            converted.putalpha(alpha)
        return converted, False
    if canvas.mode in modes:
        return canvas, True
    if canvas.mode == "CMYK" or target == "jpeg":
        if facts.has_alpha:
            notes.append("JPEG has no transparency: what was transparent is white.")
        if canvas.mode == "CMYK":
            notes.append(f"{target.upper()} cannot hold CMYK: the colours are converted to sRGB.")
            return to_srgb(canvas, icc), False
        ground = Image.new("RGB" if canvas.mode == "RGBA" else "L", canvas.size, "white")
        ground.paste(canvas.convert(ground.mode), (0, 0), canvas.getchannel("A"))
        return ground, True
    # WebP knows colours only; a grey profile would no longer fit.
    fits = facts.profile in ("none", "unreadable")
    if not fits:
        notes.append("WebP has no grey pixels: the colours are converted to sRGB.")
        alpha = canvas.getchannel("A") if canvas.mode == "LA" else None
        converted = to_srgb(canvas.convert("L"), icc)
        if alpha:
            converted.putalpha(alpha)
        return converted, False
    return canvas.convert("RGBA" if canvas.mode == "LA" else "RGB"), True
