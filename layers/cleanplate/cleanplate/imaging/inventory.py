"""What a file holds beside its pixels, part by part, so that nothing that was in the photo is lost in silence.

Photo and result are listed by the same walk, whatever their formats. What is missing or different afterwards becomes a
note, unless the walk leaves it out: how pixels are stored, and what has a note of its own (thumbnails and further
pictures, gain maps, Content Credentials, XMP, which is edited).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO

from cleanplate.errors import TruncatedPhotoError
from cleanplate.imaging import boxes, ifd, png, tiff
from cleanplate.imaging.exif import read_exif
from cleanplate.imaging.jpeg_markers import JpegParts, read_parts, shows_pictures
from cleanplate.imaging.metadata import PHOTOSHOP_THUMBNAILS, photoshop_resources

_ICC = 34675
_COLOUR_CHUNKS = frozenset(f"PNG chunk {name.decode()}" for name in png.COLOURS)

#: Name of a part, and a digest of what it holds: empty where only that it is there counts.
Inventory = dict[str, bytes]
_Part = tuple[str, bytes]

#: Names in one note; more are counted.
_NAMED = 12

_XMP_HEAD, _EXTENSION_HEAD = b"http://ns.adobe.com/xap/1.0/\x00", b"http://ns.adobe.com/xmp/extension/\x00"
_PHOTOSHOP_HEAD = b"Photoshop 3.0\x00"
#: Segments that belong to the coding, show other pictures or are spoken of elsewhere.
_QUIET_SEGMENTS = {
    0xE0: (b"JFIF", b"JFXX"),
    0xE2: (b"MPF\x00", b"urn:iso:std:iso:ts:21496", b"ICC_PROFILE\x00"),
    0xEB: (b"JP",),
    0xEE: (b"Adobe",),
}
#: Orientation has its own care; the rest points at directories, or shows that a second encoder has been at work.
_QUIET_TAGS = (
    frozenset({ifd.ORIENTATION, ifd.EXIF, ifd.GPS, ifd.INTEROPERABILITY, tiff.XMP, tiff.PHOTOSHOP}) | tiff.LAYOUT
)
_CODED_ITEMS = frozenset({b"hvc1", b"av01", b"grid", b"iovl", b"iden", b"jpeg", b"tmap", b"Exif"})
#: ``clap`` is done by the decoder of HEIC; an AVIF with it is refused.
_CODED_PROPERTIES = frozenset({
    *(b"ispe", b"pixi", b"hvcC", b"av1C", b"colr", b"irot", b"imir", b"auxC", b"lsel", b"a1op", b"a1lx", b"lhvC", b"clap"),
})  # fmt: skip
_CODED_BOXES = frozenset({b"jP  ", b"ftyp", b"jp2h", b"jp2c", b"ihdr", b"bpcc", b"colr", b"cdef", b"pclr", b"cmap"})


def take_inventory(file: BinaryIO, picture_format: str) -> Inventory:
    """Return the parts of ``file``. It is left where it stood; what cannot be read ends the list."""
    walk = _WALKS.get(picture_format)
    place = file.tell()
    try:
        return _listed(walk(file) if walk else iter(()))
    finally:
        file.seek(place)


def inventory_of_jpeg(parts: JpegParts) -> Inventory:
    """Return what ``parts`` are."""
    return _listed(_jpeg_parts(parts))


def _listed(walk: Iterator[_Part]) -> Inventory:
    found: dict[str, hashlib.blake2b] = {}
    present: set[str] = set()
    with suppress(ValueError, IndexError, TruncatedPhotoError):
        for name, data in walk:
            present.add(name)
            found.setdefault(name, hashlib.blake2b(digest_size=8)).update(data)
            if not data:
                found.pop(name)
    return {name: found[name].digest() if name in found else b"" for name in sorted(present)}


def differences(before: Inventory, after: Inventory) -> list[str]:
    """Sentences about what was in ``before`` and is missing or different in ``after``."""
    missing = [name for name in before if name not in after]
    if "colour profile" in after:
        # A profile was made of these.
        missing = [name for name in missing if name not in _COLOUR_CHUNKS]
    changed = [name for name, digest in before.items() if digest and after.get(name) not in (None, b"", digest)]
    return [
        f"{head}: {', '.join(names[:_NAMED])}" + (f" and {len(names) - _NAMED} more." if len(names) > _NAMED else ".")
        for head, names in (("Not in the result", missing), ("Changed in the result", changed))
        if names
    ]


def _exif(data: bytes) -> Iterator[_Part]:
    try:
        _, _, root = read_exif(data)
    except ValueError:
        yield "EXIF data", b""
        return
    yield from _tags(root)


def _tags(root: ifd.Directory) -> Iterator[_Part]:
    for path, value in ifd.flat(root).items():
        directory, _, tag = path.rpartition("/")
        if directory or int(tag, 16) not in _QUIET_TAGS:
            group = {"": "tag", "0x8825": "GPS tag"}.get(directory, "EXIF tag")
            # Previews inside a maker's note are cleared.
            data = b"" if value.data is None or b"\xff\xd8\xff" in value.data else value.data
            yield f"{group} {tag}", data


def _photoshop(data: bytes) -> Iterator[_Part]:
    for number, start, end in photoshop_resources(data):
        if number not in PHOTOSHOP_THUMBNAILS:
            yield ("IPTC data" if number == 0x0404 else f"Photoshop resource {number}"), data[start:end]


def _jpeg(file: BinaryIO) -> Iterator[_Part]:
    yield from _jpeg_parts(read_parts(file))


def _jpeg_parts(parts: JpegParts) -> Iterator[_Part]:
    for segment in parts.segments:
        if not segment.starts_with(0xED, _PHOTOSHOP_HEAD):
            yield from _segment(segment.marker, segment.data)
    yield from _photoshop(parts.joined(0xED, _PHOTOSHOP_HEAD))
    behind = len(parts.trailer.strip(b"\x00\r\n "))
    if behind and not shows_pictures(parts.trailer):
        yield f"{behind} bytes behind the picture's end", b""


def _segment(marker: int, data: bytes) -> Iterator[_Part]:
    if marker == 0xE0 and data.startswith(b"JFIF\x00") and len(data) >= 12:
        if data[7] or data[8:10] != data[10:12]:
            yield ("resolution" if data[7] else "shape of the pixels"), b""
    elif marker == 0xFE:
        yield "comment", b""
    elif marker == 0xE1 and data.startswith(b"Exif\x00\x00"):
        if data[6:8] in (b"II", b"MM"):
            yield from _exif(data)
    elif marker == 0xE1 and data.startswith(_XMP_HEAD):
        yield "XMP data", b""
    elif marker == 0xE1 and data.startswith(_EXTENSION_HEAD):
        yield "the extension of the XMP data", b""
    elif marker == 0xE2 and data.startswith(b"ICC_PROFILE\x00"):
        yield "colour profile", data[14:]
    elif not data.startswith(_QUIET_SEGMENTS.get(marker, ()) or (b"\x00never",)):
        name = re.match(rb"[\x20-\x7e]{2,40}", data)
        yield f"APP{marker - 0xE0} segment" + (f" {name[0].decode()}" if name else ""), data


def _behind(file: BinaryIO) -> Iterator[_Part]:
    """Yield one part where more than padding follows in ``file``."""
    while piece := file.read(1 << 16):
        if piece.strip(b"\x00\r\n\t "):
            yield "data behind the picture", b""
            return


def _png(file: BinaryIO) -> Iterator[_Part]:
    chunks = png.read_chunks(file)
    yield from _behind(file)
    raw = png.raw_profiles(chunks)
    # What only says sRGB need not be said.
    srgb = not png.stated_profile(chunks, grey=False)[0]
    if "xmp" in raw:
        yield "XMP data", b""
    if "exif" in raw and b"eXIf" not in dict(chunks):
        yield from _exif(raw["exif"])
    yield from _photoshop(raw.get("photoshop", b""))
    for name, data in chunks:
        if name == b"eXIf":
            yield from _exif(data)
        elif name == b"iCCP":
            yield "colour profile", png.unpacked(data.partition(b"\x00")[2][1:])
        elif name in (b"tEXt", b"zTXt", b"iTXt"):
            if not png.is_edited(data):
                keyword = data.partition(b"\x00")[0].decode("latin-1")
                yield ("comment", b"") if keyword == "Comment" else (f'text "{keyword}"', data)
        elif name == b"pHYs" and len(data) == 9:
            yield ("resolution" if data[8] == 1 else "shape of the pixels"), b""
        elif name not in png.LAYOUT | png.DECIDED and not (srgb and name in png.COLOURS):
            # Adapted to the result's pixels where these have another form.
            yield f"PNG chunk {name.decode('latin-1')}", b"" if name in (b"sBIT", b"bKGD") else data


def _webp(file: BinaryIO) -> Iterator[_Part]:
    file.seek(4)
    end = 8 + int.from_bytes(file.read(4), "little")
    file.seek(12)
    while file.tell() < end and len(head := file.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name in (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"):
            file.seek(size + size % 2, 1)
            continue
        data = file.read(size + size % 2)[:size]
        if name == b"EXIF":
            yield from _exif(data)
        elif name == b"XMP ":
            yield "XMP data", b""
        elif name == b"ICCP":
            yield "colour profile", data
        else:
            yield f"WebP chunk {name.decode('latin-1')}", data
    yield from _behind(file)


def _tiff(file: BinaryIO) -> Iterator[_Part]:
    header = ifd.read_header(file)
    root = ifd.read_directory(file, header, header.first, unread=tiff.LAYOUT - {_ICC} | tiff.PICTURES)
    for tag, value in root.values.items():
        if tag == tiff.XMP:
            yield "XMP data", b""
        elif tag == tiff.PHOTOSHOP:
            yield from _photoshop(value.data or b"")
        elif tag == _ICC:
            yield "colour profile", value.data or b""
        elif tag == tiff.SUB_IFDS:
            yield "further pictures (SubIFDs)", b""
    yield from _tags(ifd.without(root, tiff.PICTURES))


def _heif(file: BinaryIO) -> Iterator[_Part]:
    found = boxes.boxes(file)
    for item in boxes.items(file, found):
        if item.kind == b"Exif":
            data = boxes.item_content(file, item)
            yield from _exif(data[4 + int.from_bytes(data[:4], "big") :])
        elif item.media_type == b"application/rdf+xml":
            yield "XMP data", b""
        elif item.kind not in _CODED_ITEMS and item.media_type:
            yield f"item of type {item.media_type.decode('latin-1')}", b""
        elif item.kind not in _CODED_ITEMS:
            yield f"item {item.kind.decode('latin-1')}", b""
    for box in boxes.properties(file, found, boxes.primary(file, found)):
        yield from _property(box.kind, boxes.content(file, box))


def _property(kind: bytes, data: bytes) -> Iterator[_Part]:
    if kind == b"colr" and data[:4] in (b"prof", b"rICC"):
        if len(data) > 4:
            yield "colour profile", data[4:]
    elif kind not in _CODED_PROPERTIES and not (kind == b"pasp" and data[:4] == data[4:8]):
        yield f"property {kind.decode('latin-1')}", b""


def _jpeg2000(file: BinaryIO) -> Iterator[_Part]:
    for box in boxes.boxes(file):
        if box.kind == b"uuid" and (data := boxes.content(file, box)).startswith((boxes.XMP_UUID, boxes.EXIF_UUID)):
            yield from _exif(data[16:]) if data.startswith(boxes.EXIF_UUID) else [("XMP data", b"")]
        elif box.kind == b"colr" and (data := boxes.content(file, box))[:1] in (b"\x02", b"\x03"):
            yield "colour profile", data[3:]
        elif box.kind not in _CODED_BOXES:
            yield f"box {box.kind.decode('latin-1').strip()}", b""


def _gif(file: BinaryIO) -> Iterator[_Part]:
    file.seek(0)
    head = file.read(13)
    file.seek(3 * (2 << (head[10] & 7)) if head[10] & 0x80 else 0, 1)
    while file.read(1) == b"!":
        label, data = file.read(1), b""
        while size := file.read(1)[0]:
            data += file.read(size)
        if label == b"\xfe":
            yield "comment", b""
        elif label == b"\xff" and data.startswith(b"XMP DataXMP"):
            yield "XMP data", b""
        elif label == b"\xff" and not data.startswith((b"NETSCAPE2.0", b"ANIMEXTS1.0")):
            yield f"application block {data[:8].decode('latin-1')}", b""


_WALKS: dict[str, Callable[[BinaryIO], Iterator[_Part]]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "tiff": _tiff,
    "avif": _heif,
    "heic": _heif,
    "jpeg2000": _jpeg2000,
    "gif": _gif,
}
