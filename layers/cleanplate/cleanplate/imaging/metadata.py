"""What travels with the pixels: EXIF, XMP, IPTC. Kept as it is, less what would show what was removed.

EXIF is edited in place instead of being written anew, so that every other byte stays, a maker's note and its offsets
included.
"""

from __future__ import annotations

import re
import struct

#: https://cv.iptc.org/newscodes/digitalsourcetype/
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
#: Says already more than ours: the whole picture is generated.
_STRONGER = b"digitalsourcetype/trainedAlgorithmicMedia"

#: Larger packets than this are no captions; they are left out rather than searched.
_LARGEST_XMP = 4_000_000

_ORIENTATION = 0x0112
_THUMBNAIL_OFFSET, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_STRIP_OFFSETS, _STRIP_LENGTHS = 0x0111, 0x0117
_SHORT, _LONG = 3, 4

#: Second markers that real JPEG streams begin with, so that random bytes of a maker's note are not taken for one.
_JPEG_STARTS = tuple(b"\xff\xd8\xff" + bytes([second]) for second in (0xC0, 0xC2, 0xC4, 0xDB, 0xDD, 0xE0, 0xE1, 0xEE))

_PHOTOSHOP_THUMBNAILS = frozenset({1033, 1036})


def exif_without_previews(exif: bytes) -> bytes:
    """``exif`` (with or without its ``Exif`` prefix) without thumbnail directory and without embedded previews.

    Raises ``ValueError`` where it does not parse: what cannot be read cannot be cleared.
    """
    prefix, tiff, order = _taken_apart(exif)
    try:
        first = struct.unpack_from(order + "I", tiff, 4)[0]
        entries = struct.unpack_from(order + "H", tiff, first)[0]
        link = first + 2 + 12 * entries
        second = struct.unpack_from(order + "I", tiff, link)[0] if link + 4 <= len(tiff) else 0
        if first < 8 or link > len(tiff):
            raise ValueError("the first directory lies outside the data")
        if second:
            struct.pack_into(order + "I", tiff, link, 0)
            _clear_thumbnail(tiff, order, second)
    except struct.error as error:
        raise ValueError(str(error)) from error
    _clear_previews(tiff)
    return prefix + bytes(tiff)


def exif_upright(exif: bytes) -> bytes:
    """``exif`` with orientation 1, for pixels that have been turned."""
    try:
        prefix, tiff, order = _taken_apart(exif)
        first, entries = struct.unpack_from(order + "I", tiff, 4)[0], 0
        entries = struct.unpack_from(order + "H", tiff, first)[0]
        for at in range(first + 2, first + 2 + 12 * entries, 12):
            tag, kind = struct.unpack_from(order + "HH", tiff, at)
            if tag == _ORIENTATION and kind == _SHORT:
                struct.pack_into(order + "H", tiff, at + 8, 1)
    except (struct.error, ValueError):
        return exif
    return prefix + bytes(tiff)


def _taken_apart(exif: bytes) -> tuple[bytes, bytearray, str]:
    prefix = b"Exif\x00\x00" if exif.startswith(b"Exif\x00\x00") else b""
    tiff = bytearray(exif[len(prefix) :])
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(bytes(tiff[:4]))
    if order is None:
        raise ValueError("no TIFF header")
    return prefix, tiff, order


def _clear_thumbnail(tiff: bytearray, order: str, directory: int) -> None:
    """Zero the thumbnail directory and what it points at; cut off what then is only zeros at the end."""
    entries = struct.unpack_from(order + "H", tiff, directory)[0]
    found: dict[int, int] = {}
    for at in range(directory + 2, min(directory + 2 + 12 * entries, len(tiff) - 11), 12):
        tag, kind, count = struct.unpack_from(order + "HHI", tiff, at)
        if count == 1 and kind in (_SHORT, _LONG):
            found[tag] = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), tiff, at + 8)[0]
    ends_at = len(tiff)
    for offset, length in ((_THUMBNAIL_OFFSET, _THUMBNAIL_LENGTH), (_STRIP_OFFSETS, _STRIP_LENGTHS)):
        start, size = found.get(offset, 0), found.get(length, 0)
        end = min(start + size, len(tiff))
        if 8 <= start < end:
            tiff[start:end] = bytes(end - start)
            if end == len(tiff):
                ends_at = min(ends_at, start)
    end = min(directory + 2 + 12 * entries + 4, len(tiff))
    tiff[directory:end] = bytes(end - directory)
    del tiff[ends_at:]


def _clear_previews(tiff: bytearray) -> None:
    """Zero JPEG streams inside the data: makers keep larger previews in their notes."""
    at = tiff.find(b"\xff\xd8\xff")
    while at >= 0:
        end = tiff.find(b"\xff\xd9", at)
        if bytes(tiff[at : at + 4]) in _JPEG_STARTS and end >= 0:
            tiff[at : end + 2] = bytes(end + 2 - at)
        at = tiff.find(b"\xff\xd8\xff", at + 3)


def photoshop_without_thumbnail(resources: bytes) -> bytes:
    """Photoshop's image resources (the payload of APP13, TIFF tag 34377) without the thumbnail; IPTC stays.

    Raises ``ValueError`` where they do not parse.
    """
    kept = bytearray()
    at = 0
    while at + 12 <= len(resources):
        if resources[at : at + 4] not in (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR"):
            raise ValueError("no image resource where one should begin")
        number = int.from_bytes(resources[at + 4 : at + 6], "big")
        name_end = at + 6 + (resources[at + 6] + 2) // 2 * 2
        size = int.from_bytes(resources[name_end : name_end + 4], "big")
        end = name_end + 4 + (size + 1) // 2 * 2
        if name_end + 4 + size > len(resources):
            raise ValueError("an image resource is longer than the data")
        if number not in _PHOTOSHOP_THUMBNAILS:
            kept += resources[at:end]
        at = end
    return bytes(kept)


#: What points at pictures or films that are not in the result: HDR gain maps, motion photos, the rest of a long XMP.
_LEFTOVERS = (
    re.compile(rb"""\s(?:hdrgm|HDRGainMap|apdi):[\w.-]+\s*=\s*(?:"[^"]*"|'[^']*')"""),
    re.compile(rb"""\sGCamera:(?:MotionPhoto|MicroVideo)[\w.-]*\s*=\s*(?:"[^"]*"|'[^']*')"""),
    re.compile(rb"""\sxmpNote:HasExtendedXMP\s*=\s*(?:"[^"]*"|'[^']*')"""),
    re.compile(rb"<(hdrgm:[\w.-]+|GCamera:(?:MotionPhoto|MicroVideo)[\w.-]*)(?:\s[^<>]*)?(?:/>|>[^<]*</\1\s*>)"),
)
_CONTAINERS = (
    (b"<Container:Directory>", b"</Container:Directory>"),
    (b"<GContainer:Directory>", b"</GContainer:Directory>"),
)
_THUMBNAILS = ((b"<xmp:Thumbnails>", b"</xmp:Thumbnails>"), (b"<xap:Thumbnails>", b"</xap:Thumbnails>"))
_OLD_SOURCE_TYPE = (
    re.compile(rb"""\s[\w.-]+:DigitalSourceType\s*=\s*(?:"[^"]*"|'[^']*')"""),
    re.compile(rb"<([\w.-]+:DigitalSourceType)(?:\s[^<>]*)?(?:/>|>[^<]*</\1\s*>)"),
)

_DESCRIPTION = (
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>'
).encode()
_PACKET = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">' + _DESCRIPTION + b"</rdf:RDF></x:xmpmeta>"
    b'<?xpacket end="w"?>'
)


def xmp_for_result(xmp: bytes, *, mark_as_edited: bool, notes: list[str]) -> bytes:
    """The photo's XMP packet for the result: without pointers to what is gone, with the digital source type.

    The packet is edited as text, so that everything else in it stays byte for byte. Sentences about what could not
    be kept are added to ``notes``. Empty bytes mean: write none.
    """
    xmp = xmp.strip(b"\x00")
    if xmp and (len(xmp) > _LARGEST_XMP or b"rdf:RDF" not in xmp):
        notes.append("The XMP data cannot be read; it is left out of the result.")
        xmp = b""
    before = xmp
    for pattern in _LEFTOVERS:
        xmp = pattern.sub(b"", xmp)
    for start, end in _CONTAINERS:
        xmp = _without(xmp, start, end)
    if xmp != before:
        notes.append("The XMP entries on gain maps, motion photos and extensions are left out with what they point at.")
    for start, end in _THUMBNAILS:
        xmp = _without(xmp, start, end)
    if not mark_as_edited or _STRONGER in xmp:
        return xmp
    if not xmp:
        return _PACKET
    for pattern in _OLD_SOURCE_TYPE:
        xmp = pattern.sub(b"", xmp)
    # RDF lets one subject be described in several places: ours goes beside the others, none of which has to change.
    head, close, tail = xmp.rpartition(b"</rdf:RDF>")
    if close:
        return head + _DESCRIPTION + close + tail
    notes.append("The XMP data cannot be read; it is left out of the result.")
    return _PACKET


def _without(xmp: bytes, start: bytes, end: bytes) -> bytes:
    at = xmp.find(start)
    while at >= 0:
        stop = xmp.find(end, at)
        if stop < 0:
            break
        xmp = xmp[:at] + xmp[stop + len(end) :]
        at = xmp.find(start, at)
    return xmp
