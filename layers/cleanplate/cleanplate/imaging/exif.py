"""EXIF: kept byte for byte where it is sound, repaired where it is not, without what would show what was removed."""

from __future__ import annotations

import io
import re
import struct
from dataclasses import replace

from cleanplate.imaging import ifd
from cleanplate.imaging.ifd import Directory, Header

PREFIX = b"Exif\x00\x00"

_MAKERS_NOTE = 0x927C
_THUMBNAIL_OFFSET, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_STRIP_OFFSETS, _STRIP_LENGTHS = 0x0111, 0x0117

#: With the second markers that real JPEG streams have, so that random bytes of a maker's note are not taken for one.
_JPEG_START = re.compile(rb"\xff\xd8\xff[\xc0\xc2\xc4\xdb\xdd\xe0\xe1\xee]")


def read_exif(exif: bytes) -> tuple[bytearray, Header, Directory]:
    """Return the TIFF block inside ``exif``, whose prefix may be missing or doubled, its header and its first
    directory.

    Raises ``ValueError``.
    """
    while exif.startswith(PREFIX):
        exif = exif[len(PREFIX) :]
    file = io.BytesIO(exif)
    header = ifd.read_header(file)
    if header.big:
        raise ValueError("a BigTIFF is no EXIF block")
    return bytearray(exif), header, ifd.read_directory(file, header, header.first)


def orientation_of(exif: bytes) -> int | None:
    """Return the orientation that ``exif`` states, 1 to 8; None where it states none."""
    try:
        _, _, root = read_exif(exif)
    except ValueError:
        return None
    value = root.values.get(ifd.ORIENTATION)
    number = value.number if value else None
    return number if number is not None and 1 <= number <= 8 else None


def clean_exif(exif: bytes, notes: list[str]) -> bytes:
    """Return ``exif`` with its prefix, without thumbnail directory and without embedded previews.

    A sound block is edited in place, so that every other byte stays, a maker's note and its offsets included. From a
    damaged one the tags that can be read are rewritten. Empty, with a note, where nothing can be read: what cannot be
    read cannot be cleared.
    """
    try:
        block, header, root = read_exif(exif)
    except ValueError:
        notes.append("The EXIF data cannot be read; it is left out of the result.")
        return b""
    if root.sound:
        block[:4] = b"II*\x00" if header.order == "<" else b"MM\x00*"
        block += bytes(max(0, root.link + 4 - len(block)))
        if root.following:
            struct.pack_into(header.order + "I", block, root.link, 0)
            cleared = bytearray(block)
            _clear_thumbnail(cleared, header, root.following)
            # A pointer that lies may lead into the photo's own tags.
            if _same_tags(cleared, root):
                block = cleared
    else:
        notes.append("The EXIF data is damaged; the tags that can be read are kept.")
        block = bytearray(ifd.block(root, header.order))
    clear_previews(block)
    return PREFIX + bytes(block)


def with_orientation(exif: bytes, orientation: int) -> bytes:
    """Return ``exif`` stating ``orientation``; a block with nothing else in it where ``exif`` is empty or cannot be
    read.
    """
    try:
        block, header, root = read_exif(exif)
    except ValueError:
        minimal = Directory({ifd.ORIENTATION: ifd.short(orientation)})
        return PREFIX + ifd.block(minimal, ">") if orientation != 1 else b""
    stated = root.values.get(ifd.ORIENTATION)
    if (stated.number if stated else 1) == orientation:
        return exif
    for at in range(header.first + 2, root.link, 12):
        tag, kind = struct.unpack_from(header.order + "HH", block, at)
        if tag == ifd.ORIENTATION and root.sound and kind in (3, 4):
            struct.pack_into(header.order + "HIHH", block, at + 2, 3, 1, orientation, 0)
            return PREFIX + bytes(block)
    values = {**root.values, ifd.ORIENTATION: ifd.short(orientation)}
    return PREFIX + ifd.block(replace(root, values=values), header.order)


def fitted_exif(exif: bytes, limit: int, notes: list[str]) -> bytes:
    """Return ``exif`` in no more than ``limit`` bytes: what no tag points at goes first, then the maker's note, then
    the longest.
    """
    if len(exif) <= limit:
        return exif
    block, header, root = read_exif(exif)
    if len(PREFIX) + root.end <= limit:
        notes.append("What lies behind the tags of the EXIF data is left out: there is no room for it.")
        return PREFIX + bytes(block[: root.end])
    while len(exif) > limit:
        lengths = {name: len(value.data or b"") for name, value in ifd.flat(root).items()}
        note = f"0x{ifd.EXIF:04x}/0x{_MAKERS_NOTE:04x}"
        name = note if note in lengths else max(lengths, key=lambda tag: lengths[tag])
        root = _without(root, name)
        exif = PREFIX + ifd.block(root, header.order)
        notes.append(
            "EXIF data has no more than 64 kB in a JPEG: the maker's note, then the longest tags, are left out."
        )
    return exif


def _without(root: Directory, name: str) -> Directory:
    head, _, rest = name.partition("/")
    tag = int(head, 16)
    if not rest:
        return ifd.without(root, {tag})
    return replace(root, children={**root.children, tag: _without(root.children[tag], rest)})


def _same_tags(block: bytearray, root: Directory) -> bool:
    try:
        return ifd.flat(read_exif(bytes(block))[2]) == ifd.flat(root)
    except ValueError:
        return False


def _clear_thumbnail(block: bytearray, header: Header, at: int) -> None:
    """Zero the thumbnail directory and what it points at; cut off what then is only zeros at the end."""
    try:
        directory = ifd.read_directory(io.BytesIO(block), header, at, tag=1)
    except ValueError:
        return
    if not directory.values:
        return
    ends_at = len(block)
    for offset, length in ((_THUMBNAIL_OFFSET, _THUMBNAIL_LENGTH), (_STRIP_OFFSETS, _STRIP_LENGTHS)):
        start, size = (value.number or 0 if (value := directory.values.get(tag)) else 0 for tag in (offset, length))
        end = min(start + size, len(block))
        if 8 <= start < end:
            block[start:end] = bytes(end - start)
            if end == len(block):
                ends_at = min(ends_at, start)
    if directory.sound:
        end = min(directory.link + 4, len(block))
        block[at:end] = bytes(end - at)
    del block[ends_at:]


def clear_previews(data: bytearray) -> None:
    """Zero the JPEG streams inside ``data``: makers keep larger previews in their notes."""
    end = 0
    while start := _JPEG_START.search(data, end):
        at = start.start()
        end = data.find(b"\xff\xd9", at) + 2
        if end < 2:
            return
        data[at:end] = bytes(end - at)
