"""A PNG's own chunks: taken from the photo as bytes and put back behind the result's header.

PNG (Third Edition), sections 5 and 11; "Raw profile type": the way of ImageMagick and ExifTool to keep what has no chunk.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable
from typing import BinaryIO

from cleanplate.imaging import profiles
from cleanplate.imaging.metadata import photoshop_without_thumbnail

Chunk = tuple[bytes, bytes]

#: What the encoder writes itself, or what only the photo's way of storing pixels needs.
LAYOUT = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"hIST", b"iCCP", b"eXIf", b"iDOT"})
#: Further frames of an animation, and Content Credentials: there is a note on each.
DECIDED = frozenset({b"acTL", b"fcTL", b"fdAT", b"caBX"})
#: What says the colours of the pixels.
COLOURS = frozenset({b"cHRM", b"gAMA", b"sRGB", b"cICP", b"mDCV", b"mDCv", b"cLLI", b"cLLi", b"iCCP"})
_HEADER_SIZE = 33
#: No description is longer, packed or unpacked.
_LARGEST, _LARGEST_UNPACKED = 64_000_000, 16_000_000
_XMP = b"XML:com.adobe.xmp"
_RAW = b"Raw profile type "
#: An image resource that holds IPTC, without and with its length.
_IPTC_RESOURCE = b"8BIM\x04\x04\x00\x00"


def read_chunks(file: BinaryIO, *, until: bytes = b"IEND") -> list[Chunk]:
    """Return name and content of each chunk of ``file`` up to ``until``; of pixels, and of what is absurdly long, no
    content.
    """
    file.seek(8)
    found = []
    while len(head := file.read(8)) == 8:
        size, name = int.from_bytes(head[:4], "big"), head[4:]
        if name in (b"IDAT", b"fdAT") or size > _LARGEST:
            found.append((name, b""))
            file.seek(size + 4, 1)
        else:
            found.append((name, file.read(size)))
            file.seek(4, 1)
        if name in (until, b"IEND"):
            break
    return found


def chunk(name: bytes, data: bytes) -> bytes:
    """Return one chunk as it lies in a file."""
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def carried(chunks: list[Chunk], mode: str) -> list[Chunk]:
    """Return the chunks that go along into a PNG of ``mode`` (Pillow's), changed where they depend on it.

    What may depend on the pixels in an unknown way stays behind; XMP and raw profiles are left to the caller.
    """
    kept = []
    heads = dict(chunks)
    for name, data in chunks:
        if name in LAYOUT | DECIDED or (name in (b"iTXt", b"zTXt", b"tEXt") and is_edited(data)):
            continue
        if name in (b"sBIT", b"bKGD"):
            if changed := _significant_bits(data, mode) if name == b"sBIT" else _background(data, heads, mode):
                kept.append((name, changed))
        elif name in _KNOWN or name[3:4].islower():
            kept.append((name, data))
    return kept


#: Chunks that depend on the picture but hold for the result too: colours, sizes, places.
_KNOWN = frozenset({
    *(b"cHRM", b"gAMA", b"sRGB", b"cICP", b"mDCV", b"mDCv", b"cLLI", b"cLLi", b"sPLT", b"pHYs", b"tIME"),
    *(b"oFFs", b"pCAL", b"sCAL", b"sTER", b"gIFg", b"gIFx", b"tEXt", b"zTXt", b"iTXt"),
})  # fmt: skip


def is_xmp(name: bytes, data: bytes) -> bool:
    """Return True for the chunk that holds XMP."""
    return name == b"iTXt" and data.startswith(_XMP + b"\x00")


def is_edited(data: bytes) -> bool:
    """Return True for text that is taken out and put back by other ways: XMP, EXIF and IPTC."""
    return data.startswith(_XMP + b"\x00") or (data.startswith(_RAW) and _raw_kind(data) is not None)


def _significant_bits(data: bytes, mode: str) -> bytes:
    """Return ``sBIT`` for ``mode``: a channel for each of its, none with more bits than there are."""
    if mode == "I;16":
        return data[:1]
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode]
    colours = channels - (1 - channels % 2)
    # A greyscale photo that became colours, or the other way round, has no such bits.
    if len(data) - (1 - len(data) % 2) != colours:
        return b""
    return bytes(min(8, bits) for bits in (data + b"\x08")[:channels])


def _background(data: bytes, heads: dict[bytes, bytes], mode: str) -> bytes:
    """Return ``bKGD`` for ``mode``: a palette's colour, and 16 bits cut to 8."""
    depth, kind = heads.get(b"IHDR", bytes(13))[8:10]
    if kind == 3:
        palette = heads.get(b"PLTE", b"")
        colour = palette[3 * data[0] : 3 * data[0] + 3] if data else b""
        return b"".join(bytes([0, level]) for level in colour) if mode in ("RGB", "RGBA") else b""
    if len(data) != (6 if mode in ("RGB", "RGBA") else 2):
        return b""
    levels = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
    if mode == "I;16":
        return data
    scaled = [level * 255 // ((1 << depth) - 1) for level in levels]
    return b"".join(level.to_bytes(2, "big") for level in scaled)


def raw_profiles(chunks: list[Chunk]) -> dict[str, bytes]:
    """Return what the text chunks "Raw profile type …" hold, by ``exif``, ``xmp`` and ``photoshop``; and ``xmp`` from
    its own.
    """
    found: dict[str, bytes] = {}
    for name, data in chunks:
        kind = _raw_kind(data) if name in (b"tEXt", b"zTXt", b"iTXt") and data.startswith(_RAW) else None
        if name == b"iTXt" and data.startswith(_XMP + b"\x00"):
            found["xmp"] = _international(data)
        elif kind:
            found.setdefault(*kind)
    return found


def _international(data: bytes) -> bytes:
    """Return the text of an ``iTXt`` chunk, as UTF-8."""
    _, _, rest = data.partition(b"\x00")
    packed, rest = rest[:1] == b"\x01", rest[2:]
    _, _, rest = rest.partition(b"\x00")
    _, _, text = rest.partition(b"\x00")
    return unpacked(text) if packed else text


def unpacked(data: bytes) -> bytes:
    """Return ``data`` without its compression, as far as it goes; empty where it is none."""
    try:
        return zlib.decompressobj().decompress(data, _LARGEST_UNPACKED)
    except zlib.error:
        return b""


def _raw_kind(data: bytes) -> tuple[str, bytes] | None:
    """Return what a raw profile is of, and its content; None where it is of another kind or cannot be read."""
    keyword, _, rest = data.partition(b"\x00")
    text = unpacked(rest[1:]) if rest[:1] == b"\x00" else rest
    try:
        _, _, length, digits = text.split(b"\n", 3)
        content = bytes.fromhex(digits.decode("ascii"))[: int(length)]
    except (ValueError, UnicodeDecodeError):
        return None
    kind = keyword[len(_RAW) :].lower()
    if content.startswith(b"http://ns.adobe.com/xap/1.0/\x00"):
        return "xmp", content[29:]
    if content.startswith((b"Exif\x00\x00", b"II*\x00", b"MM\x00*")) and kind in (b"exif", b"app1"):
        return "exif", content
    if kind == b"xmp":
        return "xmp", content
    if kind in (b"iptc", b"8bim"):
        bare = content.startswith(b"\x1c")
        resource = _IPTC_RESOURCE + len(content).to_bytes(4, "big") + content + bytes(len(content) % 2)
        return "photoshop", photoshop_without_thumbnail(resource if bare else content)
    return None


def xmp_chunk(xmp: bytes) -> Chunk:
    """Return ``xmp`` as PNG keeps it."""
    return b"iTXt", _XMP + bytes(5) + xmp


def photoshop_chunk(resources: bytes) -> Chunk:
    """Photoshop's image resources as ImageMagick and ExifTool keep them in a PNG."""
    text = b"\niptc\n%8d\n" % len(resources) + resources.hex().encode() + b"\n"
    return b"zTXt", _RAW + b"iptc\x00\x00" + zlib.compress(text)


def stated_profile(chunks: list[Chunk], *, grey: bool) -> tuple[bytes, int]:
    """Return a profile for the colours that the chunks state (empty for sRGB's), and the code point of their curve.

    What counts is ``cICP``, then ``iCCP`` (left to the caller), ``sRGB``, ``gAMA`` with ``cHRM``.
    """
    heads = dict(chunks)
    if len(points := heads.get(b"cICP", b"")) == 4:
        return profiles.profile_of_code_points(points[0], points[1], grey=grey), points[1]
    if b"sRGB" in heads or not {b"gAMA", b"cHRM"} & set(heads):
        return b"", 0
    stored = int.from_bytes(heads.get(b"gAMA", b"")[:4], "big")
    exponent = 100_000 / stored if stored else 2.2
    # About 1/2.2 means sRGB, as the PNG specification lets programs write it.
    gamma = None if abs(exponent - 2.2) < 0.06 else min(10.0, max(0.1, exponent))
    white = heads.get(b"cHRM", b"")
    numbers = [int.from_bytes(white[at : at + 4], "big") / 100_000 for at in range(0, 32, 4)]
    known = len(white) == 32 and all(number > 0 for number in numbers)
    wx, wy, rx, ry, gx, gy, bx, by = numbers if known else profiles.SRGB_PRIMARIES
    return profiles.profile_of_gamma((wx, wy, rx, ry, gx, gy, bx, by), gamma, grey=grey), 0


class BehindHeader(io.RawIOBase):
    """Passes a PNG on to ``file`` with ``chunks`` put in behind its header."""

    def __init__(self, file: BinaryIO, chunks: Iterable[Chunk]) -> None:
        super().__init__()
        self._file = file
        self._head = bytearray()
        self._chunks = b"".join(chunk(name, data) for name, data in chunks)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Pass ``data`` on."""
        if len(self._head) >= _HEADER_SIZE:
            return self._file.write(data)
        self._head += data
        if len(self._head) >= _HEADER_SIZE:
            self._file.write(bytes(self._head[:_HEADER_SIZE]) + self._chunks + bytes(self._head[_HEADER_SIZE:]))
        return len(data)
