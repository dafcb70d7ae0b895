"""Everything but the pixels of a photo: taken from it before it is edited, for the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

from PIL import Image, JpegImagePlugin, TiffImagePlugin

from cleanplate.imaging import boxes, png, tiff
from cleanplate.imaging.exif import clean_exif, orientation_of, with_orientation
from cleanplate.imaging.facts import TURNED_BY_DECODER, PhotoFacts
from cleanplate.imaging.ifd import Directory
from cleanplate.imaging.inventory import Inventory, inventory_of_jpeg, take_inventory
from cleanplate.imaging.jpeg_markers import GAIN_MAP_NOTE, JpegParts, read_parts
from cleanplate.imaging.metadata import photoshop_without_thumbnail, xmp_of_gif, xmp_upright
from cleanplate.imaging.stated import colours_of
from cleanplate.imaging.webp import UNKNOWN_QUALITY, webp_coding

#: A progressive JPEG is held whole by its encoder; beyond this many pixels the result is a baseline one.
_PROGRESSIVE_PIXELS = 16_000_000

_CREDENTIALS = "The Content Credentials (C2PA) of the photo are left out: the edit breaks their signature."


@dataclass(slots=True)
class Belongings:
    """What travels with the pixels. ``icc`` is the profile that they are in, ``own_icc`` the one in the file, ``embedded`` the
    one to write into a format that has no other way to say it.

    ``primaries`` and ``transfer`` are H.273's code points, where the photo states its colours by them.
    """

    format: str
    icc: bytes = b""
    own_icc: bytes = b""
    embedded: bytes = b""
    primaries: int = 0
    transfer: int = 0
    exif: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    photoshop: bytes = b""
    comment: bytes = b""
    chunks: list[png.Chunk] = field(default_factory=list)
    tags: Directory = field(default_factory=Directory)
    tiff_compression: str = "raw"
    lossless: bool = False
    tables: list[list[int]] = field(default_factory=list)
    sampling: int = -1
    keep_rgb: bool = False
    progressive: bool = False
    webp_quality: int = UNKNOWN_QUALITY
    coding: boxes.Coding = field(default_factory=boxes.Coding)
    notes: list[str] = field(default_factory=list)
    inventory: Inventory = field(default_factory=dict)
    parts: JpegParts = field(default_factory=lambda: JpegParts((), b""))

    def forget_colours(self) -> None:
        """Note that the pixels have become sRGB."""
        self.icc = self.own_icc = self.embedded = b""
        self.primaries = self.transfer = 0
        self.chunks = [(name, data) for name, data in self.chunks if name not in png.COLOURS]


def belongings_of(image: Image.Image, facts: PhotoFacts, file: BinaryIO) -> Belongings:
    """Return everything but the pixels of ``image``, which was opened from ``file`` and decoded."""
    kept = Belongings(facts.format, xmp=_bytes(image.info.get("xmp")), exif=_bytes(image.info.get("exif")))
    if facts.format == "jpeg":
        kept.parts = read_parts(file)
        kept.inventory = inventory_of_jpeg(kept.parts)
    else:
        kept.inventory = take_inventory(file, facts.format)
    colours = colours_of(image, file, facts.format)
    kept.icc, kept.primaries, kept.transfer = colours.icc, colours.primaries, colours.transfer
    # A profile made for PQ or HLG is one to convert with, not one to show by.
    kept.own_icc = image.info.get("icc_profile") or b""
    kept.embedded = kept.own_icc if colours.high_range else colours.icc
    comment = image.info.get("comment")
    kept.comment = comment if isinstance(comment, bytes) else b""
    dpi = image.info.get("dpi")
    if isinstance(dpi, tuple) and len(dpi) == 2 and all(0 < float(value) < 65_536 for value in dpi):
        kept.dpi = (float(dpi[0]), float(dpi[1]))
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        _take_jpeg(image, kept)
    elif facts.format == "png":
        _take_png(file, kept)
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        _take_tiff(image, file, kept)
    elif facts.format == "webp":
        kept.lossless, kept.webp_quality = webp_coding(file)
    elif facts.format in ("avif", "heic"):
        _take_heif(file, kept)
    elif facts.format == "gif":
        kept.xmp = xmp_of_gif(file)
    elif facts.format == "jpeg2000":
        kept.xmp = boxes.in_uuid(file, boxes.XMP_UUID)
        kept.exif = boxes.in_uuid(file, boxes.EXIF_UUID)
    _settle_orientation(kept, facts)
    return kept


def _settle_orientation(kept: Belongings, facts: PhotoFacts) -> None:
    stated = orientation_of(kept.exif)
    if facts.format in TURNED_BY_DECODER or facts.format == "jpeg2000":
        # A JPEG 2000 is shown as it lies, whatever its EXIF says.
        stated, kept.xmp = 1, xmp_upright(kept.xmp)
    elif facts.format == "avif":
        # The container's word counts, whatever the tag says.
        stated = facts.orientation
    if kept.exif:
        kept.exif = clean_exif(kept.exif, kept.notes)
        # Whatever comes of the rest, the picture stands as it stood.
        if stated or not kept.exif:
            kept.exif = with_orientation(kept.exif, stated or facts.orientation)


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else b""


def _take_jpeg(image: JpegImagePlugin.JpegImageFile, kept: Belongings) -> None:
    # One table per component, in the components' order: that is how the encoder deals them out.
    tables = [image.quantization.get(component[3], []) for component in image.layer]
    while len(tables) > 1 and tables[-1] == tables[-2]:
        tables.pop()
    kept.tables = [list(table) for table in tables if len(table) == 64]
    if len(kept.tables) != len(tables):
        kept.tables = []
    kept.sampling = JpegImagePlugin.get_sampling(image) if image.mode == "RGB" else -1
    kept.progressive = bool(image.info.get("progressive")) and image.width * image.height <= _PROGRESSIVE_PIXELS
    if "jfif_density" not in image.info:
        # Pillow makes up 72 dpi from EXIF; the header that would say so also says that the colours are YCbCr.
        kept.dpi = None
    kept.keep_rgb = image.mode == "RGB" and image.info.get("adobe_transform") == 0
    pieces = [data[14:] for name, data in image.applist if name == "APP13" and data.startswith(b"Photoshop 3.0\x00")]
    kept.photoshop = photoshop_without_thumbnail(b"".join(pieces))
    if any(name == "APP11" and b"jumb" in data[:64] for name, data in image.applist):
        kept.notes.append(_CREDENTIALS)
    if any(
        name == "APP2" and data.startswith((b"MPF\x00", b"urn:iso:std:iso:ts:21496")) for name, data in image.applist
    ):
        kept.notes.append(GAIN_MAP_NOTE)


def _take_png(file: BinaryIO, kept: Belongings) -> None:
    kept.lossless = True
    kept.chunks = png.read_chunks(file)
    raw = png.raw_profiles(kept.chunks)
    kept.xmp = kept.xmp or raw.get("xmp", b"")
    if not kept.xmp and any(png.is_xmp(name, data) for name, data in kept.chunks):
        kept.notes.append("The XMP data cannot be read; it is left out of the result.")
    kept.exif = kept.exif or raw.get("exif", b"")
    kept.photoshop = raw.get("photoshop", b"")
    if b"caBX" in dict(kept.chunks):
        kept.notes.append(_CREDENTIALS)


def _take_tiff(image: TiffImagePlugin.TiffImageFile, file: BinaryIO, kept: Belongings) -> None:
    kept.tiff_compression = str(image.info.get("compression", "raw"))
    kept.lossless = True
    if image.tag_v2.get(tiff.PHOTOMETRIC) == tiff.YCBCR:
        kept.notes.append("The TIFF's colours are YCbCr; the result has RGB.")
    try:
        kept.tags = tiff.read_tags(file, kept.notes)
    except ValueError:
        kept.notes.append("The TIFF's tags cannot be read; they are left out of the result.")
    values = {tag: value.data or b"" for tag, value in kept.tags.values.items()}
    kept.exif = tiff.exif_of(kept.tags)
    kept.xmp = values.get(tiff.XMP, b"")
    kept.photoshop = photoshop_without_thumbnail(values.get(tiff.PHOTOSHOP, b""))
    if tiff.X_RESOLUTION not in values:
        # Pillow makes up one pixel to the inch.
        kept.dpi = None
    # Pillow would copy every tag of the opened file, those of its layout and previews included.
    image.tag_v2 = TiffImagePlugin.ImageFileDirectory_v2()
    if hasattr(image, "tag"):
        image.tag = TiffImagePlugin.ImageFileDirectory_v1()


def _take_heif(file: BinaryIO, kept: Belongings) -> None:
    # Pillow rewrites what it hands out where the orientation lies in the container.
    kept.exif = boxes.exif_of(file) or kept.exif
    kept.coding = boxes.coding_of(file)
    if any(item.kind == b"jumb" or b"c2pa" in item.media_type for item in boxes.items(file, boxes.boxes(file))):
        kept.notes.append(_CREDENTIALS)
