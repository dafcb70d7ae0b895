"""XMP and IPTC: kept as they are, less what would show or point at what was removed. EXIF has its own module."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

from cleanplate.imaging.exif import clear_previews

#: https://cv.iptc.org/newscodes/digitalsourcetype/
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
#: Says already more than ours: the whole picture is generated.
_STRONGER = b"digitalsourcetype/trainedAlgorithmicMedia"

#: Larger packets than this are no captions; they are left out rather than searched.
_LARGEST_XMP = 4_000_000
_LARGEST_GIF = 64_000_000

PHOTOSHOP_THUMBNAILS = frozenset({1033, 1036})


#: Signatures of image resources; another than the first is seldom seen, and they are all built alike.
_RESOURCE_SIGNATURES = (b"8BIM", b"8B64", b"MeSa", b"AgHg", b"PHUT", b"DCSR")


def photoshop_without_thumbnail(resources: bytes) -> bytes:
    """Photoshop's image resources (the payload of APP13, TIFF tag 34377) without the thumbnail; IPTC stays.

    What cannot be taken for a resource is passed on with the JPEG streams in it zeroed, padding included.
    """
    kept = bytearray()
    at = 0
    for number, start, end in photoshop_resources(resources):
        if number not in PHOTOSHOP_THUMBNAILS:
            kept += resources[start:end]
        at = end
    rest = bytearray(resources[at:])
    clear_previews(rest)
    return bytes(kept + rest)


def photoshop_resources(resources: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each image resource, as far as they can be told apart.

    Adobe's "Photoshop File Formats Specification", section "Image Resource Blocks".
    """
    at = 0
    while at + 12 <= len(resources) and resources[at : at + 4] in _RESOURCE_SIGNATURES:
        number = int.from_bytes(resources[at + 4 : at + 6], "big")
        name_end = at + 6 + (resources[at + 6] + 2) // 2 * 2
        size = int.from_bytes(resources[name_end : name_end + 4], "big")
        if name_end + 4 + size > len(resources):
            return
        # The last one may lack the byte that would make it even.
        end = min(name_end + 4 + (size + 1) // 2 * 2, len(resources))
        yield number, at, end
        at = end


#: What points at pictures or films that are not in the result: HDR gain maps, motion photos, the rest of a long XMP.
_LEFTOVERS = (
    re.compile(rb"""\s(?:hdrgm|HDRGainMap|apdi):[\w.-]+\s*=\s*(?:"[^"]*"|'[^']*')"""),
    re.compile(rb"""\sGCamera:(?:MotionPhoto|MicroVideo)[\w.-]*\s*=\s*(?:"[^"]*"|'[^']*')"""),
    re.compile(rb"<(hdrgm:[\w.-]+|GCamera:(?:MotionPhoto|MicroVideo)[\w.-]*)(?:\s[^<>]*)?(?:/>|>[^<]*</\1\s*>)"),
)
_EXTENSION = re.compile(rb"""\sxmpNote:HasExtendedXMP\s*=\s*(?:"[^"]*"|'[^']*')""")
_CONTAINERS = (
    (b"<Container:Directory>", b"</Container:Directory>"),
    (b"<GContainer:Directory>", b"</GContainer:Directory>"),
)
_THUMBNAILS = ((b"<xmp:Thumbnails>", b"</xmp:Thumbnails>"), (b"<xap:Thumbnails>", b"</xap:Thumbnails>"))
_OLD_SOURCE_TYPE = (
    re.compile(rb"""\s[\w.-]+:DigitalSourceType\s*=\s*(?:"[^"]*"|'[^']*')"""),
    re.compile(rb"<([\w.-]+:DigitalSourceType)(?:\s[^<>]*)?(?:/>|>[^<]*</\1\s*>)"),
)

#: An orientation other than "as it is stored", as an attribute or as an element.
_TURNED = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>)\s*)[2-8](?=\s*["'<])""")

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

_ANNOUNCEMENT = (
    b'<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="NUMBER"/>'
)
_EXTENSION_HEAD = b"http://ns.adobe.com/xmp/extension/\x00"
_EXTENSION_BYTES = 65_000


def xmp_upright(xmp: bytes) -> bytes:
    """Return ``xmp`` with orientation 1, for pixels that have been turned."""
    return _TURNED.sub(rb"\g<1>1", xmp)


def xmp_for_result(xmp: bytes, *, mark_as_edited: bool, notes: list[str], keep_extension: bool = False) -> bytes:
    """Return the photo's XMP packet for the result: without pointers to what is gone, with the digital source type.

    The packet is edited as text, so that everything else in it stays byte for byte. Sentences about what could not
    be kept are added to ``notes``. Empty bytes mean: write none.
    """
    xmp = xmp.strip(b"\x00")
    if xmp and (len(xmp) > _LARGEST_XMP or b"rdf:RDF" not in xmp):
        notes.append("The XMP data cannot be read; it is left out of the result.")
        xmp = b""
    before = xmp
    for pattern in _LEFTOVERS if keep_extension else (*_LEFTOVERS, _EXTENSION):
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


def xmp_of_gif(file: BinaryIO) -> bytes:
    """Return the XMP packet of a GIF; empty where there is none. "XMP Specification Part 3", section 1.1.2."""
    file.seek(0)
    # No framing of the format's own: it ends where a ramp of bytes begins that leads other readers out of it.
    _, found, rest = file.read(_LARGEST_GIF).partition(b"!\xff\x0bXMP DataXMP")
    packet, ended, _ = rest.partition(b"\x01\xff\xfe\xfd")
    return packet if found and ended else b""


def divided_xmp(xmp: bytes, main: bytes) -> tuple[bytes, list[bytes]]:
    """Return a packet that ``xmp``, too long for one segment of a JPEG, is announced by, and the segments that hold it.

    ``main`` is what the packet shall say itself. ISO 16684-1's companion, "XMP Specification Part 3", section 1.1.3.1.
    """
    start = xmp.find(b"<x:xmpmeta") if b"<x:xmpmeta" in xmp else xmp.find(b"<rdf:RDF")
    end = max(xmp.rfind(end) + len(end) for end in (b"</x:xmpmeta>", b"</rdf:RDF>"))
    long = xmp[start:end]
    number = hashlib.md5(long, usedforsecurity=False).hexdigest().upper().encode()
    head, close, tail = (main or _PACKET.replace(_DESCRIPTION, b"")).rpartition(b"</rdf:RDF>")
    packet = head + _ANNOUNCEMENT.replace(b"NUMBER", number) + close + tail
    return packet, [
        _EXTENSION_HEAD + number + struct.pack(">II", len(long), at) + long[at : at + _EXTENSION_BYTES]
        for at in range(0, len(long), _EXTENSION_BYTES)
    ]


def _without(xmp: bytes, start: bytes, end: bytes) -> bytes:
    """Return ``xmp`` without what lies between ``start`` and ``end``, which go too."""
    kept = []
    head, *parts = xmp.split(start)
    kept.append(head)
    for part in parts:
        _, close, tail = part.partition(end)
        kept.append(tail if close else start + part)
    return b"".join(kept)
