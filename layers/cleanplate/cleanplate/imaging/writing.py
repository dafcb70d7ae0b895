"""Writing the result: in the photo's own format and manner, with what travelled with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO, cast

from PIL import Image

from cleanplate.errors import ResultNotEncodedError
from cleanplate.imaging import ifd, png, tiff
from cleanplate.imaging.belongings import Belongings
from cleanplate.imaging.exif import fitted_exif, orientation_of, with_orientation
from cleanplate.imaging.facts import PhotoFacts
from cleanplate.imaging.ifd import Directory, Value
from cleanplate.imaging.jpeg_markers import SEGMENT_BYTES, XMP_BYTES, Segment, photoshop_segments
from cleanplate.imaging.metadata import SOURCE_TYPE, divided_xmp, xmp_for_result, xmp_upright
from cleanplate.imaging.profiles import HIGH_RANGE
from cleanplate.imaging.reading import DECODER_ERRORS, NOT_THE_DECODERS
from cleanplate.imaging.stated import state_code_points
from cleanplate.models import OutputFormat

MEDIA_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "tiff": "image/tiff",
    "avif": "image/avif",
}
_EXTENSIONS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}

_TIFF_LOSSLESS = frozenset({"tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "zstd", "lzma"})

_SOFTWARE = 0x0131

_LOSSY_QUALITY = 95
#: What a JPEG's encoder is told of the colours of an AVIF or HEIC, which are 4:2:0 where nothing is stated.
_JPEG_SAMPLING = {"4:4:4": 0, "4:2:2": 1}
_CODED_BY_BOXES = frozenset({"heic", "avif"})
_AVIF_QUALITY = 90
_AVIF_PIXELS = 16_000_000
#: The encoder takes 37 bytes a pixel for colours in full resolution, where 24 do for half.
_FULL_COLOUR_PIXELS = 40_000_000
_WEBP_SIDE = 16_383


def target_format(facts: PhotoFacts, output_format: OutputFormat, notes: list[str]) -> str:
    """Return the format of the result: the one asked for, or the photo's own where Pillow writes it well."""
    # A JPEG has no place for PQ and HLG.
    lossless = facts.has_alpha or facts.format in ("png", "gif") or facts.profile in HIGH_RANGE.values()
    instead = "png" if lossless else "jpeg"
    if output_format == "same":
        return facts.format if facts.format in MEDIA_TYPES else instead
    if output_format == "webp" and max(facts.width, facts.height) > _WEBP_SIDE:
        notes.append(f"WebP holds no side longer than {_WEBP_SIDE} pixels; the result is {instead.upper()}.")
        return instead
    return output_format


def result_extension(facts: PhotoFacts, output_format: OutputFormat) -> str:
    """Return what will be added to a photo's key for its result, before anything is done."""
    return extension_for(facts, target_format(facts, output_format, []))


def extension_for(facts: PhotoFacts, target: str) -> str:
    """Return what is added to the key where the format changes; empty where it stays."""
    return "" if target == facts.format else _EXTENSIONS[target]


def write(
    image: Image.Image, target: str, kept: Belongings, file: BinaryIO, *, turned: bool, mark_as_edited: bool
) -> list[str]:
    """Encode ``image`` into ``file`` as ``target``. Returns sentences about what could not be kept.

    ``turned`` says that the pixels have been turned upright since they were read. Raises ``ResultNotEncodedError``.
    """
    notes = list(kept.notes)
    xmp = xmp_for_result(xmp_upright(kept.xmp) if turned else kept.xmp, mark_as_edited=mark_as_edited, notes=notes)
    exif = with_orientation(kept.exif, 1) if turned else kept.exif
    # Stale, where the pixels have an alpha channel by now; a PNG's own chunk says it for 16-bit grey.
    image.info.pop("transparency", None)
    try:
        if target == "jpeg":
            _write_jpeg(image, kept, file, exif, xmp, notes)
        elif target == "png":
            _write_png(image, kept, file, exif, xmp)
        elif target == "webp":
            _write_webp(image, kept, file, exif, xmp, notes)
        elif target == "avif":
            _write_avif(image, kept, file, exif, xmp, notes)
        else:
            _write_tiff(image, kept, file, xmp, notes)
    except NOT_THE_DECODERS:
        raise
    except DECODER_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            # The disk's word, not the encoder's.
            raise
        raise ResultNotEncodedError(f"the result cannot be encoded as {target.upper()}: {error}") from error
    return notes


def _write_jpeg(
    image: Image.Image, kept: Belongings, file: BinaryIO, exif: bytes, xmp: bytes, notes: list[str]
) -> None:
    exif = fitted_exif(exif, SEGMENT_BYTES, notes)
    extra = photoshop_segments(kept.photoshop)
    if len(xmp) > XMP_BYTES:
        xmp, long = divided_xmp(xmp, xmp_for_result(b"", mark_as_edited=SOURCE_TYPE.encode() in xmp, notes=notes))
        extra += [Segment(0xE1, content) for content in long]
    own = kept.format == "jpeg" and bool(kept.tables)
    image.save(
        file,
        "JPEG",
        icc_profile=kept.embedded or None,
        exif=exif,
        xmp=xmp or None,
        extra=b"".join(each.to_bytes() for each in extra),
        dpi=kept.dpi or (0, 0),
        progressive=kept.progressive,
        **(
            {"qtables": kept.tables, "subsampling": kept.sampling, "keep_rgb": kept.keep_rgb}
            if own
            else {"quality": _LOSSY_QUALITY, "subsampling": _sampling_in_jpeg(kept)}
        ),
    )


def _sampling_in_jpeg(kept: Belongings) -> int:
    return _JPEG_SAMPLING.get(kept.coding.sampling, 2) if kept.format in _CODED_BY_BOXES else 0


def _write_png(image: Image.Image, kept: Belongings, file: BinaryIO, exif: bytes, xmp: bytes) -> None:
    chunks = png.carried(kept.chunks, image.mode)
    if image.mode == "I;16":
        chunks += [(name, data) for name, data in kept.chunks if name == b"tRNS"]
    if kept.transfer in HIGH_RANGE and not kept.chunks:
        # Full range, RGB.
        chunks.append((b"cICP", bytes([kept.primaries, kept.transfer, 0, 1])))
    if kept.comment and not kept.chunks:
        chunks.append((b"tEXt", b"Comment\x00" + kept.comment.replace(b"\x00", b"")))
    if xmp:
        chunks.append(png.xmp_chunk(xmp))
    if kept.photoshop:
        chunks.append(png.photoshop_chunk(kept.photoshop))
    image.save(
        cast(BinaryIO, png.BehindHeader(file, chunks)),
        "PNG",
        icc_profile=(kept.own_icc if kept.chunks else kept.embedded) or None,
        exif=exif,
        dpi=None if kept.chunks else kept.dpi,
        compress_level=4,
    )


def _write_avif(
    image: Image.Image, kept: Belongings, file: BinaryIO, exif: bytes, xmp: bytes, notes: list[str]
) -> None:
    # Three times as fast for a file of about the same size; at 48 megapixels it decides between 8 and 3 seconds.
    speed = 8 if image.width * image.height <= _AVIF_PIXELS else 10
    # With a profile of its own the file says the colours by that; with code points only, by these again.
    icc = kept.own_icc if kept.primaries else kept.embedded
    sampling = kept.coding.sampling
    if sampling == "4:4:4" and image.width * image.height > _FULL_COLOUR_PIXELS:
        sampling = "4:2:0"
        notes.append("The AVIF has colours in full resolution; in a result of this size they have half of it.")
    lossless = kept.coding.reversible and sampling == "4:4:4"
    if lossless:
        notes.append(
            "The AVIF is coded without loss, which our encoder cannot: levels of the result are off by up to 3."
        )
    image.save(
        file,
        "AVIF",
        icc_profile=icc or None,
        exif=_Stored(exif) if exif else b"",
        xmp=xmp or None,
        quality=100 if lossless else _AVIF_QUALITY,
        **({"subsampling": sampling} if sampling and image.mode in ("RGB", "RGBA") else {}),
        speed=speed,
    )
    if kept.primaries:
        state_code_points(file, kept.primaries, kept.transfer)


class _Stored(Image.Exif):
    """EXIF that Pillow passes on as it is, the orientation as the container's own."""

    def __init__(self, exif: bytes) -> None:
        super().__init__()
        self[ifd.ORIENTATION] = orientation_of(exif) or 1
        # Pillow writes no EXIF where nothing but the orientation was in it.
        self[_SOFTWARE] = ""
        self._stored = with_orientation(exif, 1)

    def tobytes(self, offset: int = 8) -> bytes:  # noqa: ARG002 - Pillow's signature
        """Return the block, its orientation taken out by the container's."""
        return self._stored


def _write_webp(
    image: Image.Image, kept: Belongings, file: BinaryIO, exif: bytes, xmp: bytes, notes: list[str]
) -> None:
    # Measured on a 12-megapixel photograph with grain: more effort than this takes 2 to 3 times as long and saves 3 %
    # of a lossless file, nothing of a lossy one. PNG's level is chosen likewise.
    common: dict[str, Any] = {"icc_profile": kept.embedded, "exif": exif, "xmp": xmp}
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
    image.save(file, "TIFF", compression=compression, icc_profile=kept.embedded or None)
    values = {tag: value for tag, value in kept.tags.values.items() if tag not in (tiff.XMP, tiff.PHOTOSHOP)}
    if xmp:
        values[tiff.XMP] = Value(1, len(xmp), xmp)
    if kept.photoshop:
        values[tiff.PHOTOSHOP] = Value(7, len(kept.photoshop), kept.photoshop)
    tiff.add_tags(file, Directory(values, kept.tags.children))


def writable_modes(target: str) -> Sequence[str]:
    """Return the modes that ``target`` can hold."""
    return {
        "jpeg": ("L", "RGB", "CMYK"),
        "png": ("L", "LA", "RGB", "RGBA", "I;16"),
        "webp": ("RGB", "RGBA"),
        "avif": ("L", "LA", "RGB", "RGBA"),
        "tiff": ("L", "LA", "RGB", "RGBA", "CMYK", "I;16"),
    }[target]
