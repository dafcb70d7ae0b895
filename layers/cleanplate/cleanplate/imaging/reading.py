"""Every way into a picture: what it is by its content, opened with a budget, decoded with errors that have our names.

Pillow's own guard against decompression bombs is one number for the whole process; it warns where we refuse, and it
cannot know the stack's parameter. It is switched off here, once, at import, and replaced: nothing in this package
decodes a picture whose header has not passed ``check_budget``. Other code in a process that imports this package and
opens pictures of its own therefore has no such guard; in the functions there is no such code.
"""

from __future__ import annotations

import functools
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import BinaryIO, ParamSpec, TypeVar

from PIL import Image, ImageFile, ImageMath, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from cleanplate.errors import (
    CleanplateError,
    NotAPhotoError,
    PhotoTooLargeError,
    TruncatedPhotoError,
    UnsupportedFormatError,
)
from cleanplate.imaging import ifd
from cleanplate.imaging.boxes import with_alpha_size
from cleanplate.imaging.tiff import is_negative

Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False
#: What one chunk of text or profile of a PNG may unpack to, and all of them: Photoshop's history takes megabytes.
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 1024 * 1024
PngImagePlugin.MAX_TEXT_MEMORY = 64 * 1024 * 1024

#: Longest side that any of our formats, and the arithmetic in the decoders, can be trusted with.
MAX_SIDE = 65_500

#: Pillow's name for the decoder of each of our formats. An MPO opens as JPEG.
_DECODERS = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
    "tiff": "TIFF",
    "gif": "GIF",
    "jpeg2000": "JPEG2000",
    "avif": "AVIF",
    "heic": "HEIF",
}

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
)

#: Pictures, but of kinds that we do not take: told apart so that the refusal can name them.
_OTHER_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"8BPS", "Photoshop document"),
    (b"BM", "BMP"),
    (b"%PDF", "PDF"),
    (b"FUJIFILMCCD-RAW", "Fujifilm raw"),
    (b"IIRO", "Olympus raw"),
    (b"IIU\x00", "Panasonic raw"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"\x00\x00\x01\x00", "Windows icon"),
    (b"qoif", "QOI"),
    (b"DDS ", "DirectDraw surface"),
    (b"\x59\xa6\x6a\x95", "Sun raster"),
)

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})

_PYTHON = re.compile(r"b'([^']*)'|<[^>]* at 0x[0-9a-f]+>")

#: TIFF tags that say what kind of pixels there are.
_TIFF_KIND = {
    256: "width",
    257: "height",
    258: "bits per sample",
    259: "compression",
    262: "photometric interpretation",
    277: "samples per pixel",
    339: "sample format",
}

#: What the decoders raise when bytes are missing or wrong. ``MemoryError`` is a decoder's word for absurd inner sizes.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OverflowError,
    RuntimeError,
    SystemError,
    MemoryError,
    ZeroDivisionError,
    struct.error,
    zlib.error,
    AssertionError,
    Image.DecompressionBombError,
)

#: What the open file itself may raise on the way to S3: nothing is wrong with the photo then.
NOT_THE_DECODERS = (CleanplateError, ConnectionError, TimeoutError)

#: Pillow's modes of grey with more than 8 bits.
DEEP_GREY = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I"})

#: A table for ``Image.point``: white wherever there is anything.
ANY_LEVEL = [0] + [255] * 255

P = ParamSpec("P")
R = TypeVar("R")


def quiet(function: Callable[P, R]) -> Callable[P, R]:
    """Keep Pillow's warnings (corrupt EXIF, odd TIFF tags) inside ``function``: what matters becomes a note.

    The filter is process-wide while the function runs, as Python's warnings are.
    """

    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args, **kwargs)

    return inner


def format_of(head: bytes) -> str:
    """Return our name for the format that these first bytes (32 are enough) belong to.

    Raises ``NotAPhotoError`` or ``UnsupportedFormatError``.
    """
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        if head[8:10] == b"CR":
            raise UnsupportedFormatError("the file is a Canon raw photo")
        return "tiff"
    if head[4:8] == b"ftyp":
        return _format_of_brands(head)
    for magic, name in _OTHER_PICTURES:
        if head.startswith(magic):
            raise UnsupportedFormatError(f"the file is a picture of another kind: {name}")
    raise NotAPhotoError(f"the file starts with the bytes {head[:8].hex(' ')}, which no picture format does")


def _format_of_brands(head: bytes) -> str:
    end = min(len(head), max(16, int.from_bytes(head[:4], "big")))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}
    if brands & _AVIF_BRANDS:
        return "avif"
    if head[8:12] == b"crx ":
        raise UnsupportedFormatError("the file is a Canon raw photo")
    if brands & _HEIC_BRANDS:
        return "heic"
    brand = head[8:12].decode("ascii", "replace").strip()
    raise NotAPhotoError(f"the file is a film or another container of brand {brand}, not a photo")


@functools.cache
def _take_heic() -> None:
    """Let Pillow open HEIC; for others, the library would be a thirtieth of a cold start for nothing."""
    import pillow_heif  # noqa: PLC0415

    pillow_heif.register_heif_opener(thumbnails=False)


def open_image(file: BinaryIO, picture_format: str) -> Image.Image:
    """Return the picture in ``file`` (read from its start), opened but not decoded.

    Raises ``TruncatedPhotoError`` where the header cannot be read, ``CleanplateError`` as ``file`` itself raises it.
    """
    if picture_format == "heic":
        _take_heic()
    file.seek(0)
    try:
        return Image.open(file, formats=[_DECODERS[picture_format]])
    except NOT_THE_DECODERS:
        raise
    except DECODER_ERRORS as error:
        _ask_the_file(file)
        if picture_format == "avif" and (whole := with_alpha_size(file)):
            return open_image(whole, picture_format)
        if kind := _unsupported_kind(file, picture_format):
            raise UnsupportedFormatError(
                f"the {picture_format.upper()} is of a kind that is not taken: {kind}"
            ) from error
        reason = "its parts do not fit together" if isinstance(error, UnidentifiedImageError) else in_words(error)
        raise TruncatedPhotoError(f"the header of this {picture_format} file cannot be read: {reason}") from error


def in_words(error: BaseException) -> str:
    """Return what a decoder said, without the look of Python's values."""
    return _PYTHON.sub(r"\1", str(error)) or type(error).__name__


def _unsupported_kind(file: BinaryIO, picture_format: str) -> str:
    """Return what a whole header says of the pixels, where it is the decoder that does not know their kind; else empty."""
    file.seek(0)
    if picture_format == "jpeg":
        return _kind_of_jpeg(file)
    if picture_format != "tiff":
        return ""
    try:
        header = ifd.read_header(file)
        root = ifd.read_directory(file, header, header.first)
    except (ValueError, IndexError, struct.error):
        return ""
    if header.big and header.order == ">":
        return "big-endian BigTIFF"
    found = {tag: root.values.get(tag) for tag in _TIFF_KIND}
    if not root.sound or any(found[tag] is None for tag in (256, 257)):
        return ""
    known = (f"{name} {value.number}" for tag, name in _TIFF_KIND.items() if (value := found[tag]) and tag > 257)
    return ", ".join(known) or "unknown"


def _kind_of_jpeg(file: BinaryIO) -> str:
    """Return the coding of a JPEG's frame, where it is not one of 8 bits that is sequential or progressive."""
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF and head[1] != 0xDA:
        body = file.read(max(0, int.from_bytes(head[2:], "big") - 2))
        if head[1] == 0xF7:
            return "JPEG-LS"
        if 0xC0 <= head[1] <= 0xCF and head[1] not in (0xC4, 0xC8, 0xCC) and body:
            if head[1] not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA):
                return "lossless or hierarchical coding"
            if body[1:3] == b"\x00\x00":
                return "its height stands behind the picture (DNL)"
            return f"{body[0]} bits per channel" if body[0] != 8 else ""
    return ""


def _ask_the_file(file: BinaryIO) -> None:
    """Read it through: Pillow swallows what some readers raise, and a line that is down must not be called damage."""
    file.seek(0)
    while file.read(1 << 20):
        pass


def check_budget(width: int, height: int, max_megapixels: float) -> None:
    """Raise ``PhotoTooLargeError`` where the header promises more pixels than may be decoded."""
    if max(width, height) > MAX_SIDE:
        raise PhotoTooLargeError(
            f"{width} x {height} pixels: no side may be longer than {MAX_SIDE}, whatever the stack's parameters say"
        )
    if width * height > round(max_megapixels * 1e6):
        raise PhotoTooLargeError(
            f"{width} x {height} pixels are {width * height / 1e6:.1f} megapixels; the limit is {max_megapixels:g}"
        )


def decode(image: Image.Image) -> None:
    """Decode all pixels of ``image`` in place. Raises ``TruncatedPhotoError``."""
    try:
        image.load()
    except NOT_THE_DECODERS:
        raise
    except DECODER_ERRORS as error:
        raise TruncatedPhotoError(f"the picture breaks off or is damaged: {in_words(error)}") from error
    if isinstance(image, TiffImagePlugin.TiffImageFile) and is_negative(image):
        image.im = image.point(lambda level: level * -1 + 65_535).im


def supply_end_mark(image: Image.Image) -> None:
    """Let the decoder find the mark that the JPEG ``image`` lacks at its end, where Pillow takes a photo as cut short."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return
    read, marks = image.load_read, iter((b"\xff\xd9",))

    def load_read(read_bytes: int) -> bytes:
        return read(read_bytes) or next(marks, b"")

    image.load_read = load_read  # type: ignore[method-assign]


def eight_bit(image: Image.Image) -> Image.Image:
    """Return ``image`` with 8 bits per channel: 16-bit grey is divided by 257, 1-bit becomes grey, a palette its
    colours.

    The modes that come out are L, LA, RGB, RGBA and CMYK. Pillow's own ``convert('L')`` of 16-bit grey saturates.
    """
    if image.mode in DEEP_GREY:
        grey = image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
        if isinstance(key := image.info.get("transparency"), int):
            seen = ImageMath.lambda_eval(lambda args: (args["deep"] != key) * 255, deep=image.convert("I"))
            grey.putalpha(seen.convert("L"))
        return grey
    if image.mode == "P":
        # A palette may hold only greys, yet colours are what the fill will bring.
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("RGB", "L") and "transparency" in image.info:
        # A colour that stands for "transparent" could turn up in the fill; an alpha channel cannot be hit by accident.
        return image.convert("RGBA" if image.mode == "RGB" else "LA")
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    return image.convert({"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGB"))
