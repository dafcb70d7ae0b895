"""TIFF directories, as EXIF blocks and TIFF files hold them: read without trust, rewritten, values kept as bytes.

TIFF 6.0, section 2; EXIF 3.0, section 4.6; BigTIFF: https://www.awaresystems.be/imaging/tiff/bigtiff.html
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

ORIENTATION, EXIF, GPS, INTEROPERABILITY = 0x0112, 0x8769, 0x8825, 0xA005
_CHILDREN = {0: (EXIF, GPS), EXIF: (INTEROPERABILITY,)}

_BYTE, _SHORT, _LONG, _SLONG = 1, 3, 4, 9
#: Bytes of one value of each kind, and of the numbers inside it, which turn with the byte order.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8, 129: 1}
_UNITS = {**_SIZES, 5: 4, 10: 4}
#: Kinds that only BigTIFF has.
_BIG_ONLY = frozenset({16, 17, 18})

#: A longer value is no description of a photo; it is not read.
LARGEST_VALUE = 64_000_000


@dataclass(frozen=True, slots=True)
class Header:
    """How the numbers of a file lie: ``order`` as ``struct`` writes it, ``big`` for BigTIFF, where the first directory is."""

    order: str
    big: bool
    first: int


@dataclass(frozen=True, slots=True)
class Value:
    """A tag's values: their kind (TIFF's number), how many, and their bytes in little-endian order.

    ``data`` is None where they were not read.
    """

    kind: int
    count: int
    data: bytes | None

    @property
    def number(self) -> int | None:
        """The first value, where it is a whole number."""
        size = {_BYTE: 1, _SHORT: 2, _LONG: 4, _SLONG: 4, 16: 8}.get(self.kind, 0)
        return int.from_bytes(self.data[:size], "little") if size and self.data and self.count else None


@dataclass(slots=True)
class Directory:
    """Tags with their values, and the directories that EXIF, GPS and interoperability tags point at.

    ``link`` is where the pointer to the following directory lies, ``following`` what it says. ``sound`` is False where
    an entry was skipped or a value covers the pointer. ``end`` is where the last value that was seen ends.
    """

    values: dict[int, Value] = field(default_factory=dict)
    children: dict[int, Directory] = field(default_factory=dict)
    link: int = 0
    following: int = 0
    sound: bool = True
    end: int = 0


def short(number: int) -> Value:
    """Return one number of 16 bits as a tag's value."""
    return Value(_SHORT, 1, number.to_bytes(2, "little"))


def read_header(file: BinaryIO) -> Header:
    """Return the header of ``file``. Headers with the magic number turned around are taken as their first letters say.

    Raises ``ValueError``.
    """
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8 or head[2:4] not in (b"*\x00", b"\x00*", b"+\x00", b"\x00+"):
        raise ValueError("no TIFF header")
    if b"+" in head[2:4]:
        if len(head) < 16:
            raise ValueError("the BigTIFF header is cut short")
        return Header(order, big=True, first=struct.unpack(order + "Q", head[8:])[0])
    return Header(order, big=False, first=struct.unpack(order + "I", head[4:8])[0])


def read_directory(file: BinaryIO, header: Header, at: int, *, tag: int = 0, unread: Collection[int] = ()) -> Directory:
    """Return the directory at offset ``at``, and those below it; the values of tags in ``unread`` are left where they
    are.

    Entries that cannot be right (unknown kind, values outside the file) are skipped, whatever the count says.
    Raises ``ValueError`` where there is no directory at all.
    """
    size = file.seek(0, 2)
    order, big = header.order, header.big
    head, width, slot = (8, 20, 8) if big else (2, 12, 4)
    if not 0 < at <= size - head:
        raise ValueError("the directory lies outside the data")
    file.seek(at)
    promised = struct.unpack(order + ("Q" if big else "H"), file.read(head))[0]
    raw = file.read(min(promised, 65_535) * width)
    found = Directory(link=at + head + promised * width)
    found.sound = len(raw) == promised * width
    _read_values(file, header, raw, found, unread)
    found.end = max(found.end, min(size, found.link + slot))
    file.seek(found.link)
    pointer = file.read(slot)
    if len(pointer) == slot:
        found.following = struct.unpack(order + ("Q" if big else "I"), pointer)[0]
    _read_children(file, header, found, tag)
    return found


def _read_values(file: BinaryIO, header: Header, raw: bytes, found: Directory, unread: Collection[int]) -> None:
    size = file.seek(0, 2)
    order = header.order
    width, slot, number = (20, 8, "Q") if header.big else (12, 4, "I")
    last = -1
    for start in range(0, len(raw) - width + 1, width):
        tag, kind, count = struct.unpack_from(f"{order}HH{number}", raw, start)
        length = _SIZES.get(kind, 0) * count
        inline = start + width - slot
        place = struct.unpack_from(order + number, raw, inline)[0] if length > slot else 0
        # Behind an entry that cannot be right only what goes on in order is believed.
        if kind not in _SIZES or place + length > size or (not found.sound and tag <= last):
            found.sound = False
            continue
        last = tag
        if tag in unread or length > LARGEST_VALUE:
            found.values[tag] = Value(kind, count, None)
            continue
        data = raw[inline : inline + length]
        if length > slot:
            file.seek(place)
            data = file.read(length)
            found.end = max(found.end, place + length)
            # A value over the pointer to the next directory: the pointer must not be written to.
            found.sound = found.sound and not found.link <= place < found.link + slot
        found.values[tag] = Value(kind, count, _turned(data, kind) if order == ">" else data)


def _read_children(file: BinaryIO, header: Header, parent: Directory, tag: int) -> None:
    for name in _CHILDREN.get(tag, ()):
        pointer = parent.values.get(name)
        if pointer is None or pointer.number is None:
            continue
        try:
            child = read_directory(file, header, pointer.number, tag=name)
        except ValueError:
            continue
        parent.children[name] = child
        parent.end = max(parent.end, child.end)


def _turned(data: bytes, kind: int) -> bytes:
    unit = _UNITS[kind]
    if unit == 1:
        return data
    turned = bytearray(len(data))
    for byte in range(unit):
        turned[byte::unit] = data[unit - 1 - byte :: unit]
    return bytes(turned)


def serialise(directory: Directory, order: str, at: int) -> bytes:
    """Return ``directory`` and what lies below it as bytes that begin at offset ``at`` (even) of a classic TIFF.

    Values that were not read, or that only BigTIFF can hold, are left out.
    """
    values = {tag: value for tag, value in directory.values.items() if writable(value)}
    for tag in directory.children:
        values[tag] = Value(_LONG, 1, bytes(4))
    entries: dict[int, bytes] = {}
    start = at + 2 + 12 * len(values) + 4
    behind = bytearray()
    for tag, value in sorted(values.items()):
        if tag in directory.children:
            content = serialise(directory.children[tag], order, start + len(behind))
            entries[tag] = struct.pack(order + "HHII", tag, _LONG, 1, start + len(behind))
            behind += content
        else:
            entries[tag] = entry(tag, value, order, start + len(behind))
            behind += outside(value, order)
    return (
        struct.pack(order + "H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4) + behind
    )


def writable(value: Value) -> bool:
    """Return True where a classic TIFF can hold ``value``."""
    return value.data is not None and value.kind not in _BIG_ONLY


def entry(tag: int, value: Value, order: str, at: int) -> bytes:
    """Return the 12 bytes of a directory that stand for ``value``, which lies at offset ``at`` where it is too long for
    them.
    """
    data = value.data or b""
    if len(data) > 4:
        return struct.pack(order + "HHII", tag, value.kind, value.count, at)
    inline = _turned(data, value.kind) if order == ">" else data
    return struct.pack(order + "HHI", tag, value.kind, value.count) + inline.ljust(4, b"\x00")


def outside(value: Value, order: str) -> bytes:
    """Return what of ``value`` lies outside its entry, of even length."""
    data = value.data or b""
    if len(data) <= 4:
        return b""
    return (_turned(data, value.kind) if order == ">" else data) + bytes(len(data) % 2)


def block(directory: Directory, order: str) -> bytes:
    """Return ``directory`` as a TIFF block of its own, as EXIF is kept."""
    head = b"II*\x00" if order == "<" else b"MM\x00*"
    return head + struct.pack(order + "I", 8) + serialise(directory, order, 8)


def without(directory: Directory, tags: Collection[int]) -> Directory:
    """Return a copy of ``directory`` without ``tags``, which may be directories."""
    return Directory(
        {tag: value for tag, value in directory.values.items() if tag not in tags},
        {tag: child for tag, child in directory.children.items() if tag not in tags},
    )


def flat(directory: Directory, path: str = "") -> Mapping[str, Value]:
    """Return all values by the names of their tags, ``0x8769/0x927c`` for one in the EXIF directory."""
    found = {f"{path}0x{tag:04x}": value for tag, value in directory.values.items() if tag not in directory.children}
    for tag, child in directory.children.items():
        found.update(flat(child, f"{path}0x{tag:04x}/"))
    return found
