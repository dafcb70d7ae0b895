"""What is in a JPEG beside its pixels: segments and what follows the picture. Kept byte for byte, less what shows the object.

Segments: ITU-T T.81, annex B. What they hold: https://exiftool.org/TagNames/JPEG.html. Samsung's trailer:
https://exiftool.org/TagNames/Samsung.html#Trailer.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from cleanplate.errors import TruncatedPhotoError

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_JFIF, _EXIF_OR_XMP, _APP2, _JUMBF, _PHOTOSHOP, _ADOBE = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE
#: Frames of Huffman-coded pictures: baseline, extended, progressive.
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
#: What a segment holds: its length counts its own two bytes.
SEGMENT_BYTES = 65_533

GAIN_MAP_NOTE = "Gain map and further pictures in the file are left out."

_EXIF = b"Exif\x00\x00"
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\x00"
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\x00"
XMP_BYTES = SEGMENT_BYTES - len(XMP_HEAD)
_RESOURCES = b"Photoshop 3.0\x00"
_FURTHER_PICTURES = (b"MPF\x00", b"urn:iso:std:iso:ts:21496")
_MEASUREMENTS = (b"FLIR\x00",)

_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_JPEG = re.compile(rb"\xff\xd8\xff[\xc0\xc2\xc4\xdb\xdd\xe0\xe1\xe2\xee]")
_FILM_OR_PICTURE = re.compile(_JPEG.pattern + rb"|\x00\x00\x00[\x08-\xff]ftyp|\x89PNG\r\n\x1a\n")
#: Pictures and what goes with them, in the part of an XMP packet that is too long for one segment.
_PICTURES_IN_XMP = re.compile(rb"GImage:|GDepth:|GCamera:|hdrgm:|HDRGainMap|Container:|:Thumbnails|xmpGImg:")
#: How far into a segment a preview may start, behind its maker's header.
_PREVIEW_WITHIN = 64


@dataclass(frozen=True, slots=True)
class Segment:
    """An APPn or COM segment: its marker's second byte, and its bytes without marker and length."""

    marker: int
    data: bytes

    def to_bytes(self) -> bytes:
        """Return the segment as it stands in a file."""
        return bytes([0xFF, self.marker]) + (2 + len(self.data)).to_bytes(2, "big") + self.data

    def starts_with(self, marker: int, *beginnings: bytes) -> bool:
        """Return True where it is such a segment and begins with one of these."""
        return self.marker == marker and self.data.startswith(beginnings)


@dataclass(frozen=True, slots=True)
class JpegParts:
    """The segments, those between scans included, and what follows the end of the picture."""

    segments: tuple[Segment, ...]
    trailer: bytes

    @property
    def head(self) -> bytes:
        """The segments as they stand in a file."""
        return b"".join(each.to_bytes() for each in self.segments)

    @property
    def prologue(self) -> bytes:
        """The segments that say what the components mean."""
        return b"".join(each.to_bytes() for each in self.segments if _is_meaning(each))

    @property
    def has_long_exif(self) -> bool:
        """True where the EXIF goes over several segments."""
        return sum(each.starts_with(_EXIF_OR_XMP, _EXIF) for each in self.segments) > 1

    def joined(self, marker: int, beginning: bytes) -> bytes:
        """Return what segments of one kind hold together, their beginning left out."""
        return b"".join(each.data[len(beginning) :] for each in self.segments if each.starts_with(marker, beginning))


def read_parts(file: BinaryIO) -> JpegParts:
    """Return the parts of the JPEG in ``file``. Raises ``TruncatedPhotoError`` where no picture begins in it."""
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _parts_of(content)
    except (OSError, ValueError):
        file.seek(0)
        return _parts_of(file.read())


def _parts_of(content: mmap.mmap | bytes) -> JpegParts:
    segments: list[Segment] = []
    at, in_scan = 2, False
    while found := _MARKER.search(content, at):
        marker, at = found[1][0], found.end()
        if marker == _EOI:
            return JpegParts(tuple(segments), content[at:])
        if marker in _WITHOUT_LENGTH:
            continue
        size = int.from_bytes(content[at : at + 2], "big")
        if marker == _COM or _JFIF <= marker <= 0xEF:
            segments.append(Segment(marker, content[at + 2 : at + size]))
        in_scan = in_scan or marker == _SOS
        at += size
    if not in_scan:
        raise TruncatedPhotoError("the JPEG ends before its picture begins")
    return JpegParts(tuple(segments), b"")


def upper_rows(content: bytes, rows: int) -> bytes:
    """Return the JPEG in ``content`` as one of so many rows, which decodes in their share of the time.

    As it is where it is no JPEG, is no higher, or says its height elsewhere.
    """
    at = 2 if content[:2] == b"\xff\xd8" else len(content)
    while found := _MARKER.search(content, at):
        marker, at = found[1][0], found.end()
        if marker in _FRAMES:
            height = int.from_bytes(content[at + 3 : at + 5], "big")
            return content[: at + 3] + rows.to_bytes(2, "big") + content[at + 5 :] if rows < height else content
        if marker not in _WITHOUT_LENGTH:
            at += int.from_bytes(content[at : at + 2], "big")
    return content


def split_body(body: BinaryIO) -> tuple[list[Segment], int]:
    """Return the segments that an encoder put at the start of ``body``, and where the rest begins."""
    segments = []
    body.seek(2)
    while (head := body.read(4))[1] == _COM or _JFIF <= head[1] <= 0xEF:
        segments.append(Segment(head[1], body.read(int.from_bytes(head[2:], "big") - 2)))
    return segments, body.tell() - 4


def replace_prologue(parts: JpegParts, own: Sequence[Segment]) -> JpegParts:
    """Return ``parts`` with an encoder's own word on what the components mean, where it says one."""
    meaning = [each for each in own if _is_meaning(each)]
    if not meaning:
        return parts
    return replace(parts, segments=(*meaning, *(each for each in parts.segments if not _is_meaning(each))))


def _is_meaning(segment: Segment) -> bool:
    return segment.starts_with(_JFIF, b"JFIF\x00") or segment.starts_with(_ADOBE, b"Adobe")


def segments_for_result(
    parts: JpegParts, *, exif: bytes, xmp: bytes, photoshop: bytes, extension: bool, notes: list[str]
) -> list[Segment]:
    """Return the segments of the result: the photo's own, in their order, with ``exif``, ``xmp`` and ``photoshop`` as
    edited.

    Left out: thumbnails, previews, further pictures and signed credentials, which show or vouch for what is no longer
    there. ``extension`` says whether the long part of the XMP stays. Sentences on what is not obvious go to ``notes``.
    """
    fresh = {
        _EXIF: _exif(parts, exif.removeprefix(_EXIF)),
        XMP_HEAD: [Segment(_EXIF_OR_XMP, XMP_HEAD + xmp)] if xmp else [],
        _RESOURCES: _photoshop(parts, photoshop),
    }
    credentials = _credentials(parts.segments)
    kept: list[Segment] = []
    for segment in parts.segments:
        kind = next((kind for kind in fresh if segment.data.startswith(kind) and segment.marker in (0xE1, 0xED)), None)
        if kind is not None:
            kept += fresh.pop(kind) if kind in fresh else []
        elif segment.starts_with(_EXIF_OR_XMP, _EXIF, XMP_HEAD) or segment.starts_with(_PHOTOSHOP, _RESOURCES):
            continue
        elif segment.starts_with(_EXIF_OR_XMP, _XMP_EXTENSION):
            kept += [segment] if extension else []
        elif segment.starts_with(_JFIF, b"JFIF\x00"):
            kept.append(Segment(_JFIF, segment.data[:12] + b"\x00\x00") if len(segment.data) > 14 else segment)
        elif _shows_the_scene(segment) or (segment.data[2:4] in credentials and segment.marker == _JUMBF):
            continue
        else:
            kept.append(segment)
    if any(_has_preview(segment) for segment in parts.segments):
        notes.append("Previews that the camera keeps beside the picture are left out: they show what was removed.")
    if any(segment.starts_with(_EXIF_OR_XMP, *_MEASUREMENTS) for segment in kept):
        notes.append("The thermal data in the file (FLIR) are kept as they were measured, what was removed included.")
    start = next((at for at, each in enumerate(kept) if each.marker != _JFIF), len(kept))
    kept[start:start] = fresh.get(_EXIF, [])
    start = next(
        (at for at, each in enumerate(kept) if not (each.marker == _JFIF or each.data.startswith(_EXIF))), len(kept)
    )
    kept[start:start] = fresh.get(XMP_HEAD, [])
    return kept


def _split(marker: int, beginning: bytes, content: bytes) -> list[Segment]:
    size = SEGMENT_BYTES - len(beginning)
    return [Segment(marker, beginning + content[at : at + size]) for at in range(0, len(content), size)]


def _exif(parts: JpegParts, exif: bytes) -> list[Segment]:
    """Return ``exif`` in one segment, or cut as it was in the photo."""
    sizes = [len(each.data) - len(_EXIF) for each in parts.segments if each.starts_with(_EXIF_OR_XMP, _EXIF)]
    if len(sizes) < 2 or sum(sizes) != len(exif):
        return _split(_EXIF_OR_XMP, _EXIF, exif)
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return [Segment(_EXIF_OR_XMP, _EXIF + exif[at : at + size]) for at, size in zip(starts, sizes, strict=True)]


def photoshop_segments(resources: bytes) -> list[Segment]:
    """Return the segments that hold Photoshop's image ``resources``; none where there are none."""
    return _split(_PHOTOSHOP, _RESOURCES, resources)


def _photoshop(parts: JpegParts, resources: bytes) -> list[Segment]:
    if resources == parts.joined(_PHOTOSHOP, _RESOURCES):
        return [each for each in parts.segments if each.starts_with(_PHOTOSHOP, _RESOURCES)]
    return photoshop_segments(resources)


def _shows_the_scene(segment: Segment) -> bool:
    return (
        segment.starts_with(_JFIF, b"JFXX\x00")
        or segment.starts_with(_APP2, *_FURTHER_PICTURES)
        or _has_preview(segment)
    )


def _has_preview(segment: Segment) -> bool:
    known = (_EXIF, XMP_HEAD, _XMP_EXTENSION, _RESOURCES, b"ICC_PROFILE\x00", b"JFXX\x00", *_MEASUREMENTS)
    return (
        segment.marker != _COM
        and not segment.data.startswith(known)
        and bool(_JPEG.search(segment.data, 0, _PREVIEW_WITHIN))
    )


def _credentials(segments: Sequence[Segment]) -> set[bytes]:
    """Return the numbers of the JUMBF boxes that hold Content Credentials; one box may go over several segments."""
    return {each.data[2:4] for each in segments if each.marker == _JUMBF and b"c2pa" in each.data[:256]}


def keeps_extension(parts: JpegParts) -> bool:
    """Return True where the long part of the XMP is there and holds no pictures."""
    long = parts.joined(_EXIF_OR_XMP, _XMP_EXTENSION)
    return bool(long) and _PICTURES_IN_XMP.search(long) is None


def shows_pictures(trailer: bytes) -> bool:
    """Return True where films or further pictures follow the picture."""
    return _FILM_OR_PICTURE.search(trailer) is not None


def trailer_for_result(trailer: bytes, notes: list[str]) -> bytes:
    """Return what follows the picture, less films and further pictures; Samsung's directory is written again where it
    must.
    """
    if not shows_pictures(trailer):
        return trailer
    if GAIN_MAP_NOTE not in notes:
        notes.append("The film or the further pictures behind the picture are left out: they show what was removed.")
    try:
        return _samsung_without_pictures(trailer)
    except (struct.error, ValueError):
        return b""


def _samsung_without_pictures(trailer: bytes) -> bytes:
    if trailer[-4:] != b"SEFT":
        raise ValueError("not Samsung's")
    start = len(trailer) - 8 - struct.unpack("<I", trailer[-8:-4])[0]
    name, version, count = struct.unpack_from("<4sII", trailer, start)
    if name != b"SEFH" or start + 12 + 12 * count + 8 != len(trailer):
        raise ValueError("not Samsung's")
    blocks = []
    for at in range(start + 12, start + 12 + 12 * count, 12):
        kind, before, size = struct.unpack_from("<III", trailer, at)
        block = trailer[start - before : start - before + size] if before <= start else b""
        if len(block) != size:
            raise ValueError("a block lies outside")
        if _FILM_OR_PICTURE.search(block) is None:
            blocks.append((kind, block))
    rest, entries = sum(len(block) for _, block in blocks), b""
    for kind, block in blocks:
        entries += struct.pack("<III", kind, rest, len(block))
        rest -= len(block)
    directory = struct.pack("<4sII", b"SEFH", version, len(blocks)) + entries
    content = b"".join(block for _, block in blocks)
    return content + directory + struct.pack("<I4s", len(directory), b"SEFT") if blocks else b""
