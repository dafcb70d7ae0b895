"""The API's copy of the photo: upright, sRGB, opaque, 8 bits, no larger than the route allows."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, JpegImagePlugin

from cleanplate.imaging.colour import to_srgb
from cleanplate.imaging.facts import PhotoFacts, reopen
from cleanplate.imaging.orientation import apply_orientation, turned_size
from cleanplate.imaging.reading import decode, eight_bit, quiet
from cleanplate.imaging.stated import colours_of

#: JPEG for the way to Adobe. Outside the hole nothing of it ever reaches the result, so its losses only have to be
#: small enough to disturb neither segmentation nor fill; as PNG a 16-megapixel window is 5 times as large and slow.
_QUALITY = 95


@dataclass(frozen=True, slots=True)
class View:
    """The whole photo as the mask route is given it. ``width`` and ``height`` are upright and of this copy."""

    content: bytes
    media_type: str
    extension: str
    width: int
    height: int


def fitted(width: int, height: int, limit: int) -> tuple[int, int]:
    """Return the size of ``width`` x ``height`` scaled down, proportions kept, so that no side is longer than
    ``limit``.
    """
    longest = max(width, height)
    if longest <= limit:
        return width, height
    return max(1, round(width * limit / longest)), max(1, round(height * limit / longest))


def sendable_jpeg(image: Image.Image) -> bytes:
    """Return ``image`` (sRGB) as JPEG of quality 95 with full colour resolution."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()


@quiet
def make_view(file: BinaryIO, facts: PhotoFacts, *, limit: int) -> View:
    """Return the whole photo upright, sRGB, 8 bits, as JPEG; scaled down only where a side is longer than ``limit``
    pixels.

    Raises ``TruncatedPhotoError``.
    """
    picture = scaled(file, facts, limit)
    return View(sendable_jpeg(picture), "image/jpeg", ".jpg", picture.width, picture.height)


def scaled(file: BinaryIO, facts: PhotoFacts, limit: int) -> Image.Image:
    """Return the photo upright, sRGB, 8 bits, no side longer than ``limit`` pixels. Raises ``TruncatedPhotoError``."""
    image = reopen(file, facts)
    stored_size = turned_size(*fitted(*facts.upright_size, limit), facts.orientation)
    if stored_size != image.size and isinstance(image, JpegImagePlugin.JpegImageFile):
        # The decoder scales by 2, 4 or 8 for less time and memory than decoding everything.
        image.draft(None, stored_size)
    decode(image)
    icc = colours_of(image, file, facts.format).icc
    picture: Image.Image = eight_bit(image)
    if picture.size != stored_size:
        picture = picture.resize(stored_size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return apply_orientation(to_srgb(picture, icc), facts.orientation)
