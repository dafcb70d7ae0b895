"""Pictures at the stand-in's borders: what it accepts, how it opens them, how it writes its answers."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.uint8]  # height x width, 0..255
Levels = NDArray[np.float32]  # height x width (x 3), 0..255, or differences of such
Truth = NDArray[np.bool_]  # height x width
Colour = NDArray[np.uint8]  # height x width x 3, RGB

JPEG, PNG, WEBP, TIFF = "image/jpeg", "image/png", "image/webp", "image/tiff"
_PILLOW_NAMES = {JPEG: "JPEG", PNG: "PNG", WEBP: "WEBP", TIFF: "TIFF"}


class PictureError(Exception):
    """An input that the service cannot take, in a sentence."""


@dataclass(frozen=True, slots=True)
class Accepts:
    """What a route takes: media types by magic bytes, and the longest side in pixels."""

    media_types: tuple[str, ...]
    longest_side: int


V1 = Accepts((JPEG, PNG), 4_000)
REMOVE_BACKGROUND = Accepts((JPEG, PNG, WEBP, TIFF), 6_000)
SENSEI = Accepts((JPEG, PNG, WEBP, TIFF), 10_000)


@dataclass(frozen=True, slots=True)
class Box:
    """Where something is, in whole pixels of the input."""

    x: int
    y: int
    width: int
    height: int

    def as_json(self) -> dict[str, int]:
        """Return ``{x, y, width, height}``, as the specification spells it."""
        return {"x": self.x, "y": self.y, "width": self.width, "height": self.height}


NOWHERE = Box(0, 0, 0, 0)


def media_type_of(content: bytes) -> str:
    """Tell the media type by magic bytes; empty when it is none of those that Adobe takes."""
    if content.startswith(b"\xff\xd8\xff"):
        return JPEG
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return WEBP
    if content.startswith((b"II*\x00", b"MM\x00*")):
        return TIFF
    return ""


def size_of(content: bytes, accepts: Accepts, what: str = "image") -> tuple[int, int]:
    """Return width and height, from the header only; raises :class:`PictureError` for what the route refuses."""
    media_type = media_type_of(content)
    if media_type not in accepts.media_types:
        raise PictureError(f"the {what} is not one of {', '.join(accepts.media_types)}")
    width, height = _open(content, media_type, what).size
    if max(width, height) > accepts.longest_side:
        limit = accepts.longest_side
        raise PictureError(f"the {what} is {width} x {height} pixels, more than {limit} x {limit}")
    return width, height


def _open(content: bytes, media_type: str, what: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(content), formats=[_PILLOW_NAMES[media_type]])
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError(f"the {what} cannot be decoded") from error


def colour_of(content: bytes) -> Colour:
    """Return the picture as RGB in its stored orientation; transparency is dropped."""
    return np.asarray(_decoded(content, "image", "RGB"), dtype=np.uint8)


def grey_of(content: bytes) -> Grey:
    """Return a mask as 8-bit grey."""
    return np.asarray(_decoded(content, "mask", "L"), dtype=np.uint8)


def _decoded(content: bytes, what: str, mode: str) -> Image.Image:
    try:
        return _open(content, media_type_of(content), what).convert(mode)
    except (OSError, ValueError, SyntaxError, KeyError) as error:
        raise PictureError(f"the {what} cannot be decoded") from error


def write(picture: NDArray[np.uint8] | Image.Image, media_type: str = PNG) -> bytes:
    """Encode a grey, RGB or RGBA picture."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    if media_type == JPEG and image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    out = io.BytesIO()
    match media_type:
        case "image/jpeg":
            image.save(out, "JPEG", quality=95, subsampling=0)
        case "image/png":
            # Level 1: the answer is downloaded once, over loopback.
            image.save(out, "PNG", compress_level=1)
        case "image/webp":
            image.save(out, "WEBP", quality=95)
        case _:
            raise PictureError(f"{media_type} cannot be written")
    return out.getvalue()


def box_of(mask: Grey, threshold: int = 128) -> Box:
    """Return the smallest box around what is at least ``threshold`` bright; all zero where nothing is."""
    rows = np.flatnonzero((mask >= threshold).any(axis=1))
    columns = np.flatnonzero((mask >= threshold).any(axis=0))
    if not len(rows):
        return NOWHERE
    x, y = int(columns[0]), int(rows[0])
    return Box(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)
