"""Writing the result: in the photo's own format and manner, with what travelled with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from cleanplate.imaging.exif import LARGEST_IN_JPEG, clean_exif, fitted_exif, orientation_of, with_orientation
from cleanplate.imaging.facts import TURNED_BY_DECODER, PhotoFacts
from cleanplate.imaging.metadata import photoshop_without_thumbnail, xmp_for_result, xmp_upright
from cleanplate.imaging.reading import DECODER_ERRORS
from cleanplate.imaging.tiff import add_directories
from cleanplate.imaging.webp import webp_manner
from cleanplate.models import OutputFormat

MEDIA_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "tiff": "image/tiff",
    "avif": "image/avif",
}
_EXTENSIONS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}

#: A JPEG segment holds 65 533 bytes.
_SEGMENT = 65_533
_XMP_SEGMENT = _SEGMENT - 29

#: TIFF tags that say something about the photo and not about how its bytes lie.
_TIFF_TAGS = (270, 271, 272, 282, 283, 285, 296, 305, 306, 315, 316, 33432, 18246, 18249)
_TIFF_DIRECTORIES = (0x8769, 0x8825)
#: Points into the file that it was read from.
_INTEROPERABILITY = 0xA005
_TIFF_XMP, _TIFF_IPTC, _TIFF_PHOTOSHOP = 700, 33723, 34377
_TIFF_LOSSLESS = frozenset({"tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "zstd", "lzma"})

_LOSSY_QUALITY = 95
_WEBP_QUALITY = 92
#: Formats whose photos nearly always store colours in half resolution: more would only be larger.
_HALF_COLOUR = frozenset({"heic", "avif"})
_AVIF_QUALITY = 90
_AVIF_PIXELS = 16_000_000
_WEBP_SIDE = 16_383

#: A progressive JPEG is held whole by its encoder; beyond this many pixels the result is a baseline one.
_PROGRESSIVE_PIXELS = 16_000_000


@dataclass(slots=True)
class Belongings:
    """What is taken from the opened photo before its pixels are edited, for the result."""

    format: str
    icc: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    photoshop: bytes = b""
    text: PngImagePlugin.PngInfo | None = None
    tiff: Image.Exif | None = None
    tiff_directories: dict[int, dict[int, Any]] = field(default_factory=dict)
    tiff_compression: str = "raw"
    lossless: bool = False
    tables: list[list[int]] = field(default_factory=list)
    sampling: int = -1
    keep_rgb: bool = False
    progressive: bool = False
    webp_quality: int = _WEBP_QUALITY
    notes: list[str] = field(default_factory=list)


def target_format(facts: PhotoFacts, output_format: OutputFormat, notes: list[str]) -> str:
    """The format of the result: the one asked for, or the photo's own where Pillow writes it well."""
    instead = "png" if facts.has_alpha or facts.format in ("png", "gif") else "jpeg"
    if output_format == "same":
        return facts.format if facts.format in MEDIA_TYPES else instead
    if output_format == "webp" and max(facts.width, facts.height) > _WEBP_SIDE:
        notes.append(f"WebP holds no side longer than {_WEBP_SIDE} pixels; the result is {instead.upper()}.")
        return instead
    return output_format


def extension_for(facts: PhotoFacts, target: str) -> str:
    """What is added to the key where the format changes; empty where it stays."""
    return "" if target == facts.format else _EXTENSIONS[target]


def belongings_of(image: Image.Image, facts: PhotoFacts, file: BinaryIO) -> Belongings:
    """Everything but the pixels of ``image``, which was opened from ``file`` and decoded."""
    kept = Belongings(facts.format, icc=image.info.get("icc_profile") or b"", xmp=_bytes(image.info.get("xmp")))
    dpi = image.info.get("dpi")
    if isinstance(dpi, tuple) and len(dpi) == 2 and all(0 < float(value) < 65_536 for value in dpi):
        kept.dpi = (float(dpi[0]), float(dpi[1]))
    kept.exif = _bytes(image.info.get("exif"))
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        _take_jpeg(image, kept)
    elif isinstance(image, PngImagePlugin.PngImageFile):
        _take_png(image, kept)
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        _take_tiff(image, kept)
    elif facts.format == "webp":
        kept.lossless, kept.webp_quality = webp_manner(file)
    stated = orientation_of(kept.exif)
    if facts.format in TURNED_BY_DECODER:
        stated, kept.xmp = 1, xmp_upright(kept.xmp)
    if kept.exif:
        kept.exif = clean_exif(kept.exif, kept.notes)
        # Whatever comes of the rest, the picture stands as it stood.
        if stated or not kept.exif:
            kept.exif = with_orientation(kept.exif, stated or facts.orientation)
    return kept


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
    _take_photoshop(b"".join(pieces), kept)
    if any(name == "APP11" and b"jumb" in data[:64] for name, data in image.applist):
        kept.notes.append("The Content Credentials (C2PA) of the photo are left out: the edit breaks their signature.")
    if any(
        name == "APP2" and data.startswith((b"MPF\x00", b"urn:iso:std:iso:ts:21496")) for name, data in image.applist
    ):
        kept.notes.append("Gain map and further pictures in the file are left out.")


def _take_photoshop(resources: bytes, kept: Belongings) -> None:
    kept.photoshop = photoshop_without_thumbnail(resources)


def _take_png(image: PngImagePlugin.PngImageFile, kept: Belongings) -> None:
    kept.lossless = True
    text = PngImagePlugin.PngInfo()
    for key, value in image.text.items():
        if key == "XML:com.adobe.xmp":
            kept.xmp = kept.xmp or value.encode()
        elif not key.startswith("Raw profile type"):
            if isinstance(value, PngImagePlugin.iTXt):
                text.add_itxt(key, value, value.lang or "", value.tkey or "")
            else:
                text.add_text(key, value)
    if not kept.icc:
        _add_colour_chunks(image, text)
    if not kept.exif and "Raw profile type exif" in image.info:
        try:
            kept.exif = image.getexif().tobytes()
        except DECODER_ERRORS:
            kept.notes.append("The EXIF data cannot be read; it is left out of the result.")
    kept.text = text


def _add_colour_chunks(image: Image.Image, text: PngImagePlugin.PngInfo) -> None:
    """What a PNG without profile says about its colours; Pillow reads these chunks and does not write them."""
    if "srgb" in image.info:
        text.add(b"sRGB", bytes([int(image.info["srgb"])]))
    if "gamma" in image.info:
        text.add(b"gAMA", round(float(image.info["gamma"]) * 100_000).to_bytes(4, "big"))
    if "chromaticity" in image.info:
        values = (round(float(value) * 100_000) for value in image.info["chromaticity"])
        text.add(b"cHRM", b"".join(value.to_bytes(4, "big") for value in values))


def _take_tiff(image: TiffImagePlugin.TiffImageFile, kept: Belongings) -> None:
    kept.tiff_compression = str(image.info.get("compression", "raw"))
    kept.lossless = True
    found, whole = Image.Exif(), Image.Exif()
    try:
        theirs = image.getexif()
        for tag in _TIFF_TAGS:
            if tag in theirs:
                found[tag] = whole[tag] = theirs[tag]
        for directory in _TIFF_DIRECTORIES:
            values = {key: value for key, value in theirs.get_ifd(directory).items() if key != _INTEROPERABILITY}
            if values:
                kept.tiff_directories[directory] = values
                whole.get_ifd(directory).update(values)
        kept.exif = whole.tobytes()
    except DECODER_ERRORS:
        kept.notes.append("The EXIF data cannot be read; it is left out of the result.")
    tags = image.tag_v2
    kept.xmp = kept.xmp or _bytes(tags.get(_TIFF_XMP))
    _take_photoshop(_bytes(tags.get(_TIFF_PHOTOSHOP)), kept)
    iptc = tags.get(_TIFF_IPTC)
    if isinstance(iptc, bytes):
        found[_TIFF_IPTC] = iptc
    kept.tiff = found
    # Pillow would copy every tag of the opened file, those of its layout and previews included.
    image.tag_v2 = TiffImagePlugin.ImageFileDirectory_v2()
    if hasattr(image, "tag"):
        image.tag = TiffImagePlugin.ImageFileDirectory_v1()


def write(
    image: Image.Image, target: str, kept: Belongings, file: BinaryIO, *, turned: bool, mark_as_edited: bool
) -> list[str]:
    """Encode ``image`` into ``file`` as ``target``. Returns sentences about what could not be kept.

    ``turned`` says that the pixels have been turned upright since they were read.
    """
    notes = list(kept.notes)
    xmp = xmp_for_result(xmp_upright(kept.xmp) if turned else kept.xmp, mark_as_edited=mark_as_edited, notes=notes)
    exif = with_orientation(kept.exif, 1) if turned else kept.exif
    if target not in ("png", "tiff"):
        # Stale, where the pixels have an alpha channel by now.
        image.info.pop("transparency", None)
    if target == "jpeg":
        _write_jpeg(image, kept, file, exif, xmp, notes)
    elif target == "png":
        _write_png(image, kept, file, exif, xmp)
    elif target == "webp":
        _write_webp(image, kept, file, exif, xmp, notes)
    elif target == "avif":
        # Three times as fast for a file of about the same size; at 48 megapixels it decides between 8 and 3 seconds.
        speed = 8 if image.width * image.height <= _AVIF_PIXELS else 10
        image.save(
            file, "AVIF", icc_profile=kept.icc or None, exif=exif, xmp=xmp or None, quality=_AVIF_QUALITY, speed=speed
        )
    else:
        _write_tiff(image, kept, file, xmp, notes)
    if kept.photoshop and target in ("png", "webp", "avif"):
        notes.append(f"The IPTC block has no place in {target.upper()}; it is left out.")
    return notes


def _write_jpeg(
    image: Image.Image, kept: Belongings, file: BinaryIO, exif: bytes, xmp: bytes, notes: list[str]
) -> None:
    exif = fitted_exif(exif, LARGEST_IN_JPEG, notes)
    if len(xmp) > _XMP_SEGMENT:
        xmp = xmp_for_result(b"", mark_as_edited=b"DigitalSourceType" in xmp, notes=notes)
        notes.append("The XMP data is too long for a JPEG; it is left out.")
    own = kept.format == "jpeg" and bool(kept.tables)
    image.save(
        file,
        "JPEG",
        icc_profile=kept.icc or None,
        exif=exif,
        xmp=xmp or None,
        extra=_photoshop_segments(kept.photoshop),
        dpi=kept.dpi or (0, 0),
        progressive=kept.progressive,
        **(
            {"qtables": kept.tables, "subsampling": kept.sampling, "keep_rgb": kept.keep_rgb}
            if own
            else {"quality": _LOSSY_QUALITY, "subsampling": 2 if kept.format in _HALF_COLOUR else 0}
        ),
    )


def _photoshop_segments(resources: bytes) -> bytes:
    head = b"Photoshop 3.0\x00"
    size = _SEGMENT - len(head)
    pieces = [resources[at : at + size] for at in range(0, len(resources), size)]
    return b"".join(b"\xff\xed" + (2 + len(head) + len(piece)).to_bytes(2, "big") + head + piece for piece in pieces)


def _write_png(image: Image.Image, kept: Belongings, file: BinaryIO, exif: bytes, xmp: bytes) -> None:
    text = kept.text or PngImagePlugin.PngInfo()
    if xmp:
        text.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    image.info.pop("transparency", None)
    image.save(file, "PNG", icc_profile=kept.icc or None, exif=exif, pnginfo=text, dpi=kept.dpi, compress_level=4)


def _write_webp(
    image: Image.Image, kept: Belongings, file: BinaryIO, exif: bytes, xmp: bytes, notes: list[str]
) -> None:
    # Measured on a 12-megapixel photograph with grain: more effort than this takes 2 to 3 times as long and saves 3 %
    # of a lossless file, nothing of a lossy one. PNG's level is chosen likewise.
    common = {"icc_profile": kept.icc, "exif": exif, "xmp": xmp}
    if not kept.lossless:
        try:
            image.save(file, "WEBP", quality=kept.webp_quality, method=2, **common)
        except ValueError:
            # The format's first partition holds 512 kB, which a very large picture full of detail can exceed.
            notes.append("The photo is too large and detailed for lossy WebP; the result is lossless.")
        else:
            return
    image.save(file, "WEBP", lossless=True, exact=True, quality=20, method=1, **common)


def _write_tiff(image: Image.Image, kept: Belongings, file: BinaryIO, xmp: bytes, notes: list[str]) -> None:
    compression = kept.tiff_compression
    if compression != "raw" and compression not in _TIFF_LOSSLESS:
        # Group 3 and 4 hold two levels only, JPEG would lose a little of every pixel.
        compression = "tiff_lzw"
        notes.append(f"The TIFF's compression ({kept.tiff_compression}) is replaced by LZW, which keeps every pixel.")
    tags = kept.tiff or Image.Exif()
    if xmp:
        tags[_TIFF_XMP] = xmp
    if kept.photoshop:
        tags[_TIFF_PHOTOSHOP] = kept.photoshop
    image.info.pop("transparency", None)
    image.save(file, "TIFF", compression=compression, icc_profile=kept.icc or None, exif=tags)
    if kept.tiff_directories and add_directories(file, kept.tiff_directories):
        notes.append("Part of the EXIF data cannot be written into a TIFF; it is left out.")


def writable_modes(target: str) -> Sequence[str]:
    """The modes that ``target`` can hold."""
    return {
        "jpeg": ("L", "RGB", "CMYK"),
        "png": ("L", "LA", "RGB", "RGBA", "I;16"),
        "webp": ("RGB", "RGBA"),
        "avif": ("L", "LA", "RGB", "RGBA"),
        "tiff": ("L", "LA", "RGB", "RGBA", "CMYK", "I;16"),
    }[target]
