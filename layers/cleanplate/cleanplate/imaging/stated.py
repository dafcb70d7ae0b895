"""The colours of a photo as its file states them: by a profile, or by code points that the decoders do not hand out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from cleanplate.imaging import boxes, png, profiles

if TYPE_CHECKING:
    from PIL import Image

#: What a whole profile of JPEG 2000 is called in its ``colr`` box, restricted or any (15444-1 and 15444-2).
_PROFILE_METHODS = (2, 3)


@dataclass(frozen=True, slots=True)
class Colours:
    """``icc`` is the profile that the pixels are in, empty for sRGB.

    ``primaries`` and ``transfer`` are code points of H.273, zero where the file states none.
    """

    icc: bytes = b""
    primaries: int = 0
    transfer: int = 0

    @property
    def high_range(self) -> str:
        """``pq``, ``hlg`` or nothing."""
        return profiles.HIGH_RANGE.get(self.transfer, "")


def colours_of(image: Image.Image, file: BinaryIO, picture_format: str) -> Colours:
    """Return the colours of ``image``, which was opened from ``file``. The file is left where it stood."""
    place = file.tell()
    try:
        return _colours_of(image, file, picture_format)
    finally:
        file.seek(place)


def _colours_of(image: Image.Image, file: BinaryIO, picture_format: str) -> Colours:
    embedded = image.info.get("icc_profile") or b""
    grey = image.mode in ("1", "L", "LA", "La", "I") or image.mode.startswith("I;16")
    if picture_format == "png":
        chunks = png.read_chunks(file, until=b"IDAT")
        icc, transfer = png.stated_profile(chunks, grey=grey)
        points = dict(chunks).get(b"cICP", b"")
        if len(points) == 4:
            return Colours(icc, primaries=points[0], transfer=transfer)
        return Colours(embedded or icc)
    if picture_format in ("avif", "heic"):
        primaries, transfer = _code_points(file)
        if transfer in profiles.HIGH_RANGE or not embedded:
            icc = profiles.profile_of_code_points(primaries, transfer, grey=grey)
            return Colours(icc, primaries=primaries, transfer=transfer)
    if picture_format == "jpeg2000" and not embedded:
        colour = boxes.first(file, boxes.boxes(file), b"colr")
        return Colours(colour[3:] if colour[:1] and colour[0] in _PROFILE_METHODS else b"")
    return Colours(embedded)


def _code_points(file: BinaryIO) -> tuple[int, int]:
    found = boxes.boxes(file)
    own = boxes.properties(file, found, boxes.primary(file, found))
    for box in own or found:
        if box.kind == b"colr" and (data := boxes.content(file, box))[:4] == b"nclx":
            return int.from_bytes(data[4:6], "big"), int.from_bytes(data[6:8], "big")
    return 0, 0


def state_code_points(file: BinaryIO, primaries: int, transfer: int) -> None:
    """Write the code points into every ``nclx`` box of the AVIF in ``file``; what its pixels were coded by stays."""
    for box in boxes.boxes(file):
        if box.kind == b"colr" and boxes.content(file, box)[:4] == b"nclx":
            file.seek(box.start + 4)
            file.write(primaries.to_bytes(2, "big") + transfer.to_bytes(2, "big"))
