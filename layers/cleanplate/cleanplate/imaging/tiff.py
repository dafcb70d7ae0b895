"""A TIFF's own tags: taken from the photo as bytes and added to the result behind Pillow's back.

A TIFF's directory may lie anywhere in the file (TIFF 6.0, section 2): the one that the encoder wrote is written once
more at the end, with the photo's tags, and the header points there. So no tag is too odd for the encoder.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

from cleanplate.imaging import ifd
from cleanplate.imaging.exif import clear_previews
from cleanplate.imaging.ifd import Directory, Value

if TYPE_CHECKING:
    from PIL import TiffImagePlugin

XMP, IPTC, PHOTOSHOP = 700, 33723, 34377
X_RESOLUTION = 282
PHOTOMETRIC, _BITS, _SAMPLES, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _SUBSAMPLING = 262, 258, 277, 338, 339, 530
_ICC, _LAYERS, SUB_IFDS = 34675, 37724, 330

#: How the pixels lie in the file and what they are made of: the result's encoder says so again.
LAYOUT = frozenset({
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 284, 287, 288, 289),
    *(290, 291, 292, 293, 297, 317, 320, 321, 322, 323, 324, 325, 326, 327, 328, 332, 334, 336, 338, 339, 340, 341),
    *(342, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, _ICC),
})  # fmt: skip
#: What is edited and passed on by other ways.
_EDITED = frozenset({XMP, PHOTOSHOP})
#: Pictures of their own, which show what was removed.
PICTURES = frozenset({_LAYERS, SUB_IFDS, 50255})
#: Where pixels lie on the ground (GeoTIFF 1.1, section 7.1): no longer true once they were turned.
_PLACES = frozenset({33550, 33922, 34264})

_WHITE_IS_ZERO, _RGB, _CMYK, YCBCR = 0, 2, 5, 6
_COLOURS = {_RGB: 3, _CMYK: 4, YCBCR: 3}
_UNSIGNED, _UNDEFINED = 1, 4
#: Pillow names it, but the libtiff in its wheels cannot read it.
_COMPRESSION, _WEBP = 259, 50_001
_ALPHA = ((), (1,), (2,), (999,))
#: Planar configuration, and the number of samples of grey with alpha.
_PLANES, _APART, _GREY_ALPHA = 284, 2, 2
_MULTIPLIED = (1,)


def read_tags(file: BinaryIO, notes: list[str]) -> Directory:
    """Return the tags of the first page of ``file`` that say something about the photo, with EXIF, GPS and what lies
    below.

    Raises ``ValueError`` where there is no directory.
    """
    header = ifd.read_header(file)
    root = ifd.read_directory(file, header, header.first, unread=LAYOUT - {ifd.ORIENTATION} | PICTURES)
    if _LAYERS in root.values:
        notes.append("Photoshop's layers are left out: they show the photo as it was.")
    drop = LAYOUT | PICTURES
    turned = root.values.get(ifd.ORIENTATION)
    if turned and (turned.number or 1) != 1 and _PLACES & set(root.values):
        notes.append("The photo's place on the ground (GeoTIFF) is left out: its pixels are turned upright.")
        drop |= _PLACES
    root = ifd.without(root, drop)
    for tag, value in list(root.values.items()):
        if tag in root.children:
            continue
        if not ifd.writable(value):
            del root.values[tag]
        elif value.data and b"\xff\xd8\xff" in value.data:
            data = bytearray(value.data)
            clear_previews(data)
            root.values[tag] = Value(value.kind, value.count, bytes(data))
    return root


def exif_of(tags: Directory, order: str = ">") -> bytes:
    """Return ``tags`` as the EXIF block of another format; empty where there are none."""
    described = ifd.without(tags, _EDITED | {IPTC})
    return ifd.block(described, order) if described.values or described.children else b""


def add_tags(file: BinaryIO, tags: Directory) -> None:
    """Add ``tags`` to the first directory of the classic TIFF in ``file``, in place of those of the same number."""
    header = ifd.read_header(file)
    order = header.order
    file.seek(header.first)
    count = struct.unpack(order + "H", file.read(2))[0]
    raw = file.read(12 * count)
    following = file.read(4)
    entries = {struct.unpack_from(order + "H", raw, at)[0]: raw[at : at + 12] for at in range(0, len(raw), 12)}
    for tag, child in tags.children.items():
        at = _end(file)
        file.write(ifd.serialise(child, order, at))
        entries[tag] = struct.pack(order + "HHII", tag, 4, 1, at)
    for tag, value in tags.values.items():
        if tag not in tags.children and ifd.writable(value):
            at = _end(file)
            file.write(ifd.outside(value, order))
            entries[tag] = ifd.entry(tag, value, order, at)
    at = _end(file)
    file.write(struct.pack(order + "H", len(entries)))
    file.write(b"".join(entries[tag] for tag in sorted(entries)))
    file.write(following)
    file.seek(4)
    file.write(struct.pack(order + "I", at))


def _end(file: BinaryIO) -> int:
    """Return the end of the file, where a value may begin: at an even offset."""
    at = file.seek(0, 2)
    if at % 2:
        file.write(b"\x00")
    return at + at % 2


def unsupported_samples(image: TiffImagePlugin.TiffImageFile) -> str | None:
    """Return why the samples of ``image`` cannot be kept as what they mean; None where they can.

    TIFF 6.0, sections 18 (ExtraSamples), 19 (SampleFormat) and 21 (YCbCr).
    """
    tags = image.tag_v2
    if tags.get(_COMPRESSION) == _WEBP:
        return "its compression is WebP"
    photometric = tags.get(PHOTOMETRIC, 1)
    if set(_numbers(tags.get(_SAMPLE_FORMAT, _UNSIGNED))) - {_UNSIGNED, _UNDEFINED}:
        return "its samples are signed or floating-point numbers"
    bits = set(_numbers(tags.get(_BITS, 1)))
    if bits - {1, 2, 4, 8, 16} or len(bits) > 1:
        return f"its samples have {', '.join(map(str, sorted(bits)))} bits"
    extra = tuple(_numbers(tags.get(_EXTRA_SAMPLES, ())))
    samples = int(tags.get(_SAMPLES, 1))
    plain = image.info.get("compression") == "raw"
    unread = samples > 1 and plain and (16 in bits or photometric == YCBCR or extra == _MULTIPLIED)
    if tags.get(_PLANES) == _APART and (unread or samples == _GREY_ALPHA):
        # Pillow (13.0) reads bytes of 16 bits as samples, grey as its alpha, and others not at all.
        return "its channels lie apart (planar); save it interleaved"
    if extra not in _ALPHA or samples - len(extra) > max(4 if not extra else 0, _COLOURS.get(photometric, 1)):
        return "it has channels beside its colours (spot colours or saved selections)"
    if photometric == YCBCR and plain and tuple(_numbers(tags.get(_SUBSAMPLING, (2, 2)))) != (1, 1):
        return "its colours are YCbCr with fewer samples than pixels, uncompressed"
    return None


def is_negative(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Return True where the decoder hands out a negative: 16-bit grey in which 0 is white."""
    return image.mode.startswith("I;16") and image.tag_v2.get(PHOTOMETRIC) == _WHITE_IS_ZERO


def _numbers(value: object) -> tuple[int, ...]:
    return tuple(int(number) for number in value) if isinstance(value, tuple) else (int(str(value)),)
