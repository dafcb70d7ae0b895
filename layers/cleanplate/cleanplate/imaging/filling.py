"""The plan of a fill: which hole, seen through which windows, in which resolution. And the pictures to send."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from PIL import Image

from cleanplate.errors import MaskUnusableError
from cleanplate.imaging.colour import to_srgb
from cleanplate.imaging.downscale import make_view, sendable_jpeg
from cleanplate.imaging.facts import MIN_GROW, PhotoFacts, can_send_as_is, reopen
from cleanplate.imaging.masks import binarize, dilate, union_of
from cleanplate.imaging.orientation import Rectangle, apply_orientation, stored_rectangle, turned_size
from cleanplate.imaging.reading import ANY_LEVEL, decode, eight_bit, quiet
from cleanplate.imaging.stated import colours_of
from cleanplate.imaging.windows import Crop, plan_crops
from cleanplate.models import Options

#: A tight mask leaves a rim, or the fill regrows the object from it. Grow by this share of the longer side, at least
#: by this many pixels (16 at 12 megapixels, 34 at 48).
GROW_SHARE = 0.004

#: Of the picture that shows what will be filled: its longest side in pixels, and the colour of the hole.
_PREVIEW = 1600
_TINT = (255, 0, 60)


@dataclass(frozen=True, slots=True)
class Window:
    """One paid fill. ``x``, ``y``, ``width``, ``height`` are upright pixels of the photo; ``sent_*`` what Adobe sees.

    ``hole_box`` is the part of the hole, (left, top, right, bottom) in upright pixels of the photo, that this fill is
    for. ``image`` is None where the photo itself is sent; ``image_media_type`` is empty then. ``mask`` is PNG, mode L,
    of the sent size, hard: white is to be filled.
    """

    x: int
    y: int
    width: int
    height: int
    sent_width: int
    sent_height: int
    hole_box: Rectangle
    image: bytes | None = None
    image_media_type: str = ""
    mask: bytes = b""

    @property
    def as_is(self) -> bool:
        """True where Adobe is given a link to the photo itself."""
        return not self.image_media_type

    @property
    def scale(self) -> float:
        """Sent pixels per pixel of the photo along the longer side; 1 is native resolution."""
        return max(self.sent_width, self.sent_height) / max(self.width, self.height)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, without the pictures."""
        return {
            "x": self.x,
            "y": self.y,
            "width": self.width,
            "height": self.height,
            "sent_width": self.sent_width,
            "sent_height": self.sent_height,
            "hole_box": list(self.hole_box),
            "image_media_type": self.image_media_type,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Window:
        """Return the reverse of ``to_dict``: the pictures are missing."""
        left, top, right, bottom = (int(value) for value in values["hole_box"])
        return cls(
            x=int(values["x"]),
            y=int(values["y"]),
            width=int(values["width"]),
            height=int(values["height"]),
            sent_width=int(values["sent_width"]),
            sent_height=int(values["sent_height"]),
            hole_box=(left, top, right, bottom),
            image_media_type=str(values["image_media_type"]),
        )


@dataclass(frozen=True, slots=True)
class FillPlan:
    """What to send, and what ``compose`` needs to put the answers back. No windows means: nothing to remove.

    ``hole`` is a PNG (mode L) of ``hole_box``: 0 is kept, 255 gets filled. ``grow`` and ``feather`` are pixels of the
    photo, ``covered`` is the hole's share of the photo, ``detail`` the share of the hole's pixels that is
    sent (1 where every window has native resolution).
    """

    windows: tuple[Window, ...]
    hole: bytes
    width: int
    height: int
    grow: int
    feather: int
    covered: float
    detail: float

    @property
    def nothing_to_remove(self) -> bool:
        """True where the masks are all black."""
        return not self.windows

    @property
    def hole_box(self) -> Rectangle:
        """The box around the whole hole, in upright pixels of the photo."""
        return box_around(self.windows)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, without the pictures."""
        return {
            "windows": [window.to_dict() for window in self.windows],
            "width": self.width,
            "height": self.height,
            "grow": self.grow,
            "feather": self.feather,
            "covered": round(self.covered, 6),
            "detail": round(self.detail, 6),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], hole: bytes = b"") -> FillPlan:
        """Return the reverse of ``to_dict``, with the hole as it was stored beside it."""
        return cls(
            windows=tuple(Window.from_dict(window) for window in values["windows"]),
            hole=hole,
            width=int(values["width"]),
            height=int(values["height"]),
            grow=int(values["grow"]),
            feather=int(values["feather"]),
            covered=float(values["covered"]),
            detail=float(values["detail"]),
        )


@dataclass(frozen=True, slots=True)
class Review:
    """A mask to be looked at before it is filled: the mask as PNG, and a preview of the hole as JPEG."""

    mask: bytes
    preview: bytes


@quiet
def plan_fill(
    open_photo: Callable[[], BinaryIO],
    facts: PhotoFacts,
    masks: Sequence[bytes],
    *,
    options: Options,
    limit: int,
    as_is: bool = True,
    max_windows: int = 2,
) -> FillPlan:
    """Join and grow ``masks``, choose the windows, and make the pictures to send.

    ``masks`` have the photo's upright size or that of a scaled view of it. ``limit`` is the route's longest side in
    pixels; ``as_is`` is False where the photo's own file must not be sent. ``open_photo`` is not called where it is sent.
    Raises ``MaskUnusableError`` (another shape than the photo, not a picture, all white), ``TruncatedPhotoError``.
    """
    size = facts.upright_size
    union = union_of(masks, size, invert=options.invert)
    grow = _grow(options, size, union.size)
    feather = min(grow // 2 if options.feather is None else options.feather, grow) // 2 * 2
    hole = _hole(union, size, grow)
    if hole is None:
        return FillPlan((), b"", *size, grow, feather, 0.0, 1.0)
    area = hole.histogram()[255]
    if area == size[0] * size[1]:
        raise MaskUnusableError("the mask covers the whole photo: nothing is left to fill it from")
    crops = plan_crops(hole, limit, max(1, max_windows))
    windows = [_window(crop, hole) for crop in crops]
    if not (as_is and max(size) <= limit and can_send_as_is(facts, limit=limit)):
        pictures = _pictures(open_photo, facts, crops)
        windows = [
            replace(window, image=picture, image_media_type="image/jpeg")
            for window, picture in zip(windows, pictures, strict=True)
        ]
    sent = sum(hole.crop(crop.hole).histogram()[255] * min(1.0, crop.scale) ** 2 for crop in crops)
    stored_hole = _small_png(hole.crop(box_around(windows)))
    return FillPlan(tuple(windows), stored_hole, *size, grow, feather, area / (size[0] * size[1]), sent / area)


def box_around(windows: Sequence[Window]) -> Rectangle:
    """Return the box around the holes of all ``windows``."""
    lefts, tops, rights, bottoms = zip(*(window.hole_box for window in windows), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


@quiet
def draw_review(
    open_photo: Callable[[], BinaryIO], facts: PhotoFacts, masks: Sequence[bytes], options: Options
) -> Review | None:
    """Return what somebody is to approve: the joined mask, and the photo with its hole in red; None where the mask is black.

    The mask is a PNG (mode L, hard) of the upright photo's size. As a mask of the uploader's own it leads to the same hole.
    Raises ``MaskUnusableError``, ``TruncatedPhotoError``.
    """
    size = facts.upright_size
    union = union_of(masks, size, invert=options.invert)
    mask = _hole(union, size, 0 if options.grow is not None else _unsure(size, union.size))
    hole = _hole(union, size, _grow(options, size, union.size))
    if mask is None or hole is None:
        return None
    with open_photo() as file:
        view = make_view(file, facts, limit=_PREVIEW)
    picture = Image.open(io.BytesIO(view.content))
    picture.load()
    red = Image.blend(picture, Image.new("RGB", picture.size, _TINT), 0.6)
    shown = hole.resize(picture.size, Image.Resampling.BOX)
    preview = io.BytesIO()
    Image.composite(red, picture, shown).save(preview, "JPEG", quality=85)
    return Review(_png(mask), preview.getvalue())


def _grow(options: Options, size: tuple[int, int], mask_size: tuple[int, int]) -> int:
    """Return pixels of the photo by which the mask is grown; a mask of a scaled view is unsure by one of its own
    pixels.
    """
    if options.grow is not None:
        return options.grow
    return max(MIN_GROW, round(GROW_SHARE * max(size))) + _unsure(size, mask_size)


def _unsure(size: tuple[int, int], mask_size: tuple[int, int]) -> int:
    return -(-size[0] // mask_size[0]) if mask_size[0] < size[0] else 0


def _hole(union: Image.Image, size: tuple[int, int], grow: int) -> Image.Image | None:
    """Return the hard grown mask in the photo's size, or None where there is nothing in ``union``.

    Only the box around the mask is worked on at full size.
    """
    box = binarize(union).getbbox()
    if box is None:
        return None
    across, down = size[0] / union.width, size[1] / union.height
    reach = grow + 2 * max(1, round(max(across, down)))
    left, top = max(0, int(box[0] * across) - reach), max(0, int(box[1] * down) - reach)
    right = min(size[0], int(box[2] * across) + 1 + reach)
    bottom = min(size[1], int(box[3] * down) + 1 + reach)
    if union.size == size:
        part = union.crop((left, top, right, bottom))
    else:
        part = union.resize(
            (right - left, bottom - top),
            Image.Resampling.BILINEAR,
            box=(left / across, top / down, right / across, bottom / down),
        )
    hole = Image.new("L", size)
    hole.paste(dilate(binarize(part), grow), (left, top))
    return hole


def _window(crop: Crop, hole: Image.Image) -> Window:
    left, top, right, bottom = crop.window
    mask = hole.crop(crop.window)
    if mask.size != (crop.sent_width, crop.sent_height):
        mask = mask.resize((crop.sent_width, crop.sent_height), Image.Resampling.BOX).point(ANY_LEVEL)
    return Window(left, top, right - left, bottom - top, crop.sent_width, crop.sent_height, crop.hole, mask=_png(mask))


def _pictures(open_photo: Callable[[], BinaryIO], facts: PhotoFacts, crops: Sequence[Crop]) -> list[bytes]:
    """Return the JPEG to send for each crop: upright, sRGB, of the sent size."""
    with open_photo() as file:
        image = reopen(file, facts)
        decode(image)
        icc = colours_of(image, file, facts.format).icc
        # A palette, or a colour that means "transparent", can neither be cropped nor scaled by itself.
        picture: Image.Image = eight_bit(image)
        del image
        pictures = []
        for crop in crops:
            box = stored_rectangle(crop.window, facts.orientation, facts.upright_size)
            sent = turned_size(crop.sent_width, crop.sent_height, facts.orientation)
            if crop.native:
                part = to_srgb(picture.crop(box), icc)
            elif picture.mode in ("LA", "RGBA"):
                part = to_srgb(picture.crop(box), icc).resize(sent, Image.Resampling.LANCZOS, reducing_gap=2.0)
            else:
                part = to_srgb(picture.resize(sent, Image.Resampling.LANCZOS, box=box, reducing_gap=2.0), icc)
            pictures.append(sendable_jpeg(apply_orientation(part, facts.orientation)))
        return pictures


def _png(mask: Image.Image) -> bytes:
    buffer = io.BytesIO()
    mask.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _small_png(hole: Image.Image) -> bytes:
    """Return a hole in two bits per pixel: a quarter of the bytes to pack, and to unpack again."""
    buffer = io.BytesIO()
    hole.save(buffer, "PNG", compress_level=1, bits=2)
    return buffer.getvalue()
