"""The boxes of AVIF, HEIC and JPEG 2000 files: what the decoders do not hand out of them.

ISO/IEC 14496-12 (boxes, items), 23008-12 (item properties), 15444-1 annex I (JPEG 2000).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

#: Boxes of boxes, and how many bytes of their own stand before these.
_NESTED = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"jp2h": 0}
#: No box that describes a picture is longer; the coded picture lies in others.
_LARGEST = 64_000_000

#: Flags of AV1 (monochrome, halved across, halved down), HEVC's ``chroma_format_idc``.
_AV1_SAMPLING = {0x00: "4:4:4", 0x08: "4:2:2", 0x0C: "4:2:0"}
_HEVC_SAMPLING = ("", "4:2:0", "4:2:2", "4:4:4")
#: Matrices by which no level is lost: none at all, and YCgCo with one bit more or the same for luma.
_REVERSIBLE = frozenset({0, 16, 17})

#: https://exiftool.org/TagNames/Jpeg2000.html
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
EXIF_UUID = b"JpgTiffExif->JP2"


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its four letters, where what it holds begins and ends in the file, and in which boxes it lies."""

    kind: bytes
    start: int
    end: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Coding:
    """How the pixels of an AVIF or HEIC are coded: bits per channel, sampling (such as 4:2:0; empty where unknown).

    ``reversible`` says that the colours are coded by a matrix that loses nothing, as lossless files have it.
    """

    bits: int = 8
    sampling: str = ""
    reversible: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a HEIF file: its number, its four letters, the media type of a ``mime`` item, where its bytes lie."""

    number: int
    kind: bytes
    media_type: bytes
    spans: tuple[tuple[int, int], ...]


def boxes(file: BinaryIO) -> list[Box]:
    """Return all boxes of ``file``, those inside ``meta``, ``iprp``, ``ipco`` and ``jp2h`` too, as far as they can be
    read.
    """
    return list(_boxes(file, 0, file.seek(0, 2), ()))


def _boxes(file: BinaryIO, at: int, end: int, path: tuple[bytes, ...]) -> Iterator[Box]:
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        size, kind, inside = int.from_bytes(head[:4], "big"), head[4:8], at + 8
        if size == 1:
            size, inside = int.from_bytes(head[8:16], "big"), at + 16
        stop = end if size == 0 else at + size
        if stop > end or stop < inside:
            return
        yield Box(kind, inside, stop, path)
        if kind in _NESTED and len(path) < 4:
            yield from _boxes(file, inside + _NESTED[kind], stop, (*path, kind))
        at = stop


def content(file: BinaryIO, box: Box) -> bytes:
    """Return what ``box`` holds; empty where that is absurdly long."""
    file.seek(box.start)
    return file.read(box.end - box.start) if box.end - box.start <= _LARGEST else b""


def first(file: BinaryIO, found: list[Box], kind: bytes) -> bytes:
    """Return what the first box of ``kind`` holds; empty where there is none."""
    return next((content(file, box) for box in found if box.kind == kind), b"")


def in_uuid(file: BinaryIO, uuid: bytes) -> bytes:
    """Return what the first ``uuid`` box of this number holds; empty where there is none."""
    packets = (content(file, box) for box in boxes(file) if box.kind == b"uuid")
    return next((data[16:] for data in packets if data.startswith(uuid)), b"")


def properties(file: BinaryIO, found: list[Box], number: int) -> list[Box]:
    """Return the property boxes of item ``number``, in their order."""
    places = [box for box in found if box.path[-1:] == (b"ipco",)]
    table = _Reader(first(file, found, b"ipma"))
    version, flags = table.number(1), table.number(3)
    for _ in range(table.number(4)):
        item = table.number(2 if version < 1 else 4)
        indexes = [table.number(2) & 0x7FFF if flags & 1 else table.number(1) & 0x7F for _ in range(table.number(1))]
        if item == number:
            return [places[index - 1] for index in indexes if 0 < index <= len(places)]
    return []


def with_alpha_size(file: BinaryIO) -> io.BytesIO | None:
    """Return a copy of the AVIF in ``file`` in which alpha planes state their size; None where they do, or cannot.

    Older encoders leave it out, most viewers do not mind, and libavif refuses the file. The box of all descriptions is
    written again at the end, as every place that it names counts from the file's start; the old one becomes free space.
    """
    found = boxes(file)
    places = [box for box in found if box.path[-1:] == (b"ipco",)]
    outer = {box.kind: box for box in found if box.kind in (b"meta", b"iprp", b"ipma")}
    size = next((at for at, box in enumerate(places, 1) if box.kind == b"ispe"), 0)
    if len(outer) != 3 or not size:
        return None
    table = _Reader(content(file, outer[b"ipma"]))
    head, count = table.take(4), table.take(4)
    item_bytes, index_bytes, added = (2 if head[0] < 1 else 4), 1 + (head[3] & 1), 0
    entries = bytearray(head + count)
    for _ in range(int.from_bytes(count, "big")):
        item, length = table.take(item_bytes), table.number(1)
        indexes = table.take(length * index_bytes)
        numbers = (indexes[at : at + index_bytes] for at in range(0, len(indexes), index_bytes))
        kinds = [places[number - 1].kind for each in numbers if 0 < (number := _index(each)) <= len(places)]
        if b"auxC" in kinds and b"ispe" not in kinds:
            indexes, length, added = size.to_bytes(index_bytes, "big") + indexes, length + 1, added + index_bytes
        entries += item + bytes([length]) + indexes
    return _with_descriptions(file, outer, bytes(entries), added) if added and not table.spent else None


def _index(association: bytes) -> int:
    """Return the number of a property, without the bit that says whether it matters."""
    return int.from_bytes(association, "big") & (1 << 8 * len(association) - 1) - 1


def _with_descriptions(file: BinaryIO, outer: dict[bytes, Box], table: bytes, added: int) -> io.BytesIO | None:
    file.seek(0)
    data = bytearray(file.read())
    meta, properties_of = outer[b"meta"], outer[b"ipma"]
    moved = data[meta.start - 8 : properties_of.start] + table + data[properties_of.end : meta.end]
    for box in outer.values():
        at = box.start - meta.start
        stated = int.from_bytes(moved[at : at + 4], "big")
        if stated != box.end - box.start + 8:
            return None
        moved[at : at + 4] = (stated + added).to_bytes(4, "big")
    data[meta.start - 4 : meta.start] = b"free"
    return io.BytesIO(bytes(data + moved))


def primary(file: BinaryIO, found: list[Box]) -> int:
    """Return the number of the item that is the picture."""
    head = first(file, found, b"pitm")
    return int.from_bytes(head[4:6] if head[:1] == b"\x00" else head[4:8], "big")


def items(file: BinaryIO, found: list[Box]) -> list[Item]:
    """Return the items of ``file``: pictures, EXIF, XMP and others."""
    table = next((box for box in found if box.kind == b"iinf"), None)
    if table is None:
        return []
    spans = _locations(file, found)
    head = _Reader(content(file, table)[:8])
    start = table.start + (6 if head.number(1) == 0 else 8)
    listed = []
    for box in _boxes(file, start, table.end, ()):
        entry = _Reader(content(file, box))
        version = entry.number(1)
        if box.kind != b"infe" or version < 2:
            continue
        entry.number(3)
        number = entry.number(2 if version == 2 else 4)
        entry.number(2)
        kind = entry.take(4)
        _, _, media_type = entry.rest().partition(b"\x00") if kind == b"mime" else (b"", b"", b"")
        listed.append(Item(number, kind, media_type.split(b"\x00")[0], spans.get(number, ())))
    return listed


def item_content(file: BinaryIO, item: Item) -> bytes:
    """Return the bytes of ``item``."""
    parts = []
    for start, length in item.spans:
        file.seek(start)
        parts.append(file.read(min(length, _LARGEST)))
    return b"".join(parts)


def shown_size(file: BinaryIO) -> tuple[int, int] | None:
    """Width and height of the part that a HEIF's picture is cut to when it is shown (``clap``); None without such a cut."""
    found = boxes(file)
    for box in properties(file, found, primary(file, found)):
        if box.kind == b"clap":
            cut = _Reader(content(file, box))
            width, across, height, down = (cut.number(4) for _ in range(4))
            return width // max(1, across), height // max(1, down)
    return None


def coding_of(file: BinaryIO) -> Coding:
    """Return how the picture of an AVIF or HEIC is coded.

    AV1-ISOBMFF, section 2.3.3; ISO/IEC 14496-15, 8.3.2.1 (HEVC); H.273, table 4 (matrices).
    """
    found = boxes(file)
    # The tiles of a grid have it, not the grid.
    av1, hevc = first(file, found, b"av1C"), first(file, found, b"hvcC")
    stated = [content(file, box) for box in found if box.kind == b"colr"]
    reversible = any(data[:4] == b"nclx" and int.from_bytes(data[8:10], "big") in _REVERSIBLE for data in stated)
    if len(av1) > 2:
        bits = 8 if not av1[2] & 0x40 else 12 if av1[2] & 0x20 else 10
        return Coding(bits, _AV1_SAMPLING.get(av1[2] & 0x1C, ""), reversible)
    if len(hevc) > 17:
        return Coding(8 + (hevc[17] & 7), _HEVC_SAMPLING[hevc[16] & 3], reversible)
    return Coding()


def jpeg2000_depth(file: BinaryIO) -> tuple[int, int]:
    """Return how many components a JPEG 2000 has, and the most bits of any; zeros where it does not say.

    ISO/IEC 15444-1, A.5.1.
    """
    file.seek(next((box.start for box in boxes(file) if box.kind == b"jp2c"), 0))
    head = file.read(42)
    if not head.startswith(b"\xff\x4f\xff\x51") or len(head) < 42:
        return 0, 0
    count = int.from_bytes(head[40:], "big")
    return count, max(((bits & 0x7F) + 1 for bits in file.read(3 * count)[::3]), default=0)


def exif_of(file: BinaryIO) -> bytes:
    """Return the EXIF block of an AVIF or HEIC as it lies in the file; empty where there is none."""
    for item in items(file, boxes(file)):
        if item.kind == b"Exif":
            data = item_content(file, item)
            # The block is preceded by how many bytes stand before its TIFF header.
            return data[4 + int.from_bytes(data[:4], "big") :]
    return b""


def _locations(file: BinaryIO, found: list[Box]) -> dict[int, tuple[tuple[int, int], ...]]:
    """Return where the bytes of each item lie, of those that lie in the file or in its ``idat``."""
    table = _Reader(first(file, found, b"iloc"))
    inside = next((box.start for box in found if box.kind == b"idat"), 0)
    version = table.number(1)
    table.number(3)
    sizes = table.number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    located = {}
    for _ in range(table.number(2 if version < 2 else 4)):
        number = table.number(2 if version < 2 else 4)
        method = table.number(2) & 15 if version else 0
        table.number(2)
        base = table.number(base_size) + (inside if method == 1 else 0)
        spans = []
        for _ in range(table.number(2)):
            table.number(index_size if version else 0)
            spans.append((base + table.number(offset_size), table.number(length_size)))
        if method < 2:
            located[number] = tuple(spans)
        if table.spent:
            break
    return located


class _Reader:
    """Numbers from bytes, one after the other; zeros behind the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def spent(self) -> bool:
        return self._at > len(self._data)

    def take(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def rest(self) -> bytes:
        return self._data[self._at :]
