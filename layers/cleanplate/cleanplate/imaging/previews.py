"""Small pictures to look at, and what has changed between two of them."""

from __future__ import annotations

import base64
import io
from typing import BinaryIO

from PIL import Image, ImageChops

from cleanplate.errors import PhotoTooLargeError
from cleanplate.imaging.downscale import scaled
from cleanplate.imaging.facts import inspect_photo
from cleanplate.imaging.memory import memory_to_read
from cleanplate.imaging.reading import open_image, quiet

#: Levels by which a pixel differs where a photo was filled, and hardly where it was only encoded once more.
_CHANGED = 24
#: The most that a stack's ``MaxMegapixels`` may be.
_MAX_MEGAPIXELS = 400


@quiet
def make_preview(file: BinaryIO, *, limit: int, max_memory: float) -> Image.Image:
    """Return the photo in ``file`` upright and in sRGB, no side longer than ``limit`` pixels.

    Raises ``PhotoTooLargeError`` where reading it takes more than ``max_memory`` MB, and as ``inspect_photo`` does.
    """
    facts = inspect_photo(file, max_megapixels=_MAX_MEGAPIXELS)
    need = memory_to_read(facts, size=file.seek(0, io.SEEK_END))
    # A JPEG is decoded at a fraction of its size, unless its decoder must hold all coefficients first.
    whole = facts.format != "jpeg" or "progressive" in open_image(file, "jpeg").info
    if whole and need > max_memory:
        raise PhotoTooLargeError(f"reading it takes about {need:.0f} MB of memory")
    return scaled(file, facts, limit)


def difference(before: Image.Image, after: Image.Image) -> Image.Image:
    """Return white where two pictures of one size differ for the eye, black elsewhere."""
    return ImageChops.difference(before, after).convert("L").point(lambda level: 255 if level > _CHANGED else 0)


def data_uri(image: Image.Image, quality: int = 82) -> str:
    """Return a picture as part of a page."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(image, quality)).decode()


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """Return a picture as a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
