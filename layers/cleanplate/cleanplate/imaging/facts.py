"""What a photo is, from its header: the first look, which refuses by name what cannot be done and costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from cleanplate.errors import (
    EmptyPhotoError,
    PhotoReplacedError,
    PhotoTooSmallError,
    TruncatedPhotoError,
    UnsupportedFormatError,
)
from cleanplate.imaging import ifd
from cleanplate.imaging.boxes import coding_of, jpeg2000_depth, shown_size
from cleanplate.imaging.colour import converts_back, kind_of_profile
from cleanplate.imaging.exif import orientation_of
from cleanplate.imaging.jpeg_blocks import BlocksUnavailableError, has_end_mark
from cleanplate.imaging.reading import (
    DECODER_ERRORS,
    DEEP_GREY,
    NOT_THE_DECODERS,
    check_budget,
    decode,
    format_of,
    in_words,
    open_image,
    quiet,
    supply_end_mark,
)
from cleanplate.imaging.stated import Colours, colours_of
from cleanplate.imaging.tiff import unsupported_samples

#: A mask is grown by at least so many pixels on every side.
MIN_GROW = 8
#: On shorter sides a grown mask of one pixel can cover everything.
MIN_SIDE = 2 * MIN_GROW + 2

_NEW_SUBFILE_TYPE = 254
_SUB_IFDS = 330
_DNG_VERSION = 50706
_BITS_PER_SAMPLE = 258

#: Decoders that hand out the picture already turned, whatever its orientation tag says.
TURNED_BY_DECODER = frozenset({"heic", "tiff"})


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What the header says. ``width`` and ``height`` are of the pixels as the decoder hands them out, before
    ``orientation`` (EXIF, 1 to 8) turns them. ``mode`` is Pillow's, with ``;16`` where the file holds 16 bits per channel.
    ``profile`` is ``none``, ``srgb``, ``other`` or ``unreadable``, or ``pq`` or ``hlg`` where the photo has more range of
    light than sRGB. ``notes`` are sentences for the manifest about what cannot be kept.
    ``has_end_mark`` is False for a JPEG that is whole but for the mark at its end, which decoders must be given.
    """

    format: str
    width: int
    height: int
    orientation: int
    mode: str
    frames: int
    has_alpha: bool
    profile: str
    notes: tuple[str, ...] = ()
    has_end_mark: bool = True

    @property
    def media_type(self) -> str:
        """Return what HTTP calls the format, such as image/jpeg."""
        return f"image/{self.format}"

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height as people see the photo."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

    @property
    def megapixels(self) -> float:
        """Million pixels."""
        return self.width * self.height / 1e6

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the job's record."""
        return {**asdict(self), "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PhotoFacts:
        """Return the reverse of ``to_dict``; numbers may come back from DynamoDB as ``Decimal``."""
        return cls(
            format=str(values["format"]),
            width=int(values["width"]),
            height=int(values["height"]),
            orientation=int(values["orientation"]),
            mode=str(values["mode"]),
            frames=int(values["frames"]),
            has_alpha=bool(values["has_alpha"]),
            profile=str(values["profile"]),
            notes=tuple(str(note) for note in values["notes"]),
            has_end_mark=bool(values.get("has_end_mark", True)),
        )


@quiet
def inspect_photo(file: BinaryIO, *, max_megapixels: float) -> PhotoFacts:
    """Return the facts about the photo in ``file`` (seekable), read from its header; no pixel is decoded.

    JPEG, PNG, TIFF and JPEG 2000 read only their headers; GIF is walked through for its frames; WebP, AVIF and HEIC
    are read whole by their libraries. Raises ``EmptyPhotoError``, ``NotAPhotoError``, ``UnsupportedFormatError``,
    ``TruncatedPhotoError``, ``PhotoTooLargeError``, ``PhotoTooSmallError``.
    """
    file.seek(0)
    head = file.read(64)
    if not head:
        raise EmptyPhotoError("the file has no bytes")
    picture_format = format_of(head)
    if picture_format == "png":
        # Before Pillow looks at the other chunks, which may be large.
        check_budget(int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"), max_megapixels)
    image = open_image(file, picture_format)
    check_budget(image.width, image.height, max_megapixels)
    if min(image.size) < MIN_SIDE:
        raise PhotoTooSmallError(f"{image.width} x {image.height} pixels: each side needs at least {MIN_SIDE}")
    try:
        if picture_format == "avif":
            # Pillow hands out 8 and does not say.
            image.info["bit_depth"] = coding_of(file).bits
            if shown_size(file) not in (None, image.size):
                # The decoder hands out what viewers do not show.
                raise UnsupportedFormatError("the AVIF is cut when it is shown (clap); save it cut")
        if picture_format == "jpeg2000":
            _refuse_deep_colours(file)
        return _facts(image, picture_format, colours_of(image, file, picture_format))
    except NOT_THE_DECODERS:
        raise
    except DECODER_ERRORS as error:
        raise TruncatedPhotoError(
            f"the header of this {picture_format} file cannot be read: {in_words(error)}"
        ) from error


def reopen(file: BinaryIO, facts: PhotoFacts) -> Image.Image:
    """Return the photo that ``facts`` are about, opened but not decoded. Raises ``PhotoReplacedError`` where it is
    another.
    """
    image = open_image(file, facts.format)
    if image.size != (facts.width, facts.height):
        raise PhotoReplacedError(
            f"the photo was {facts.width} x {facts.height} pixels when it was looked at, now {image.width} x {image.height}"
        )
    if not facts.has_end_mark:
        supply_end_mark(image)
    return image


def _facts(image: Image.Image, picture_format: str, colours: Colours) -> PhotoFacts:
    notes: list[str] = []
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _refuse_camera_raw(image)
        if why := unsupported_samples(image):
            raise UnsupportedFormatError(f"the TIFF cannot be kept faithfully: {why}")
    mode = _mode(image)
    if mode.startswith(("F", "I", "LAB", "HSV")) and mode not in DEEP_GREY:
        raise UnsupportedFormatError(f"pixels of kind {mode} cannot be kept faithfully")
    if mode == "I" and picture_format != "png":
        raise UnsupportedFormatError("pixels of 32 bits cannot be kept faithfully")
    if mode.endswith(";16") and not mode.startswith("I"):
        notes.append(f"The photo has {image.info.get('bit_depth', 16)} bits per channel; the result has 8.")
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1:
        notes.append(_note_on_frames(picture_format, frames))
    if any("gainmap" in str(kind).lower() for kind in image.info.get("aux") or ()):
        notes.append("The photo's HDR gain map is left out of the result.")
    base = mode.split(";")[0]
    seen = {"P": "RGB", "PA": "RGB", "1": "L", "I": "L", "YCbCr": "RGB"}.get(base, base)
    profile = colours.high_range or kind_of_profile(colours.icc, seen)
    notes += _notes_on_colours(profile, base, profile != "other" or converts_back(colours.icc, seen))
    return PhotoFacts(
        format=picture_format,
        width=image.width,
        height=image.height,
        orientation=_orientation(image, picture_format),
        mode=mode,
        frames=frames,
        has_alpha=image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info,
        profile=profile,
        notes=tuple(notes),
    )


def _notes_on_colours(profile: str, mode: str, converts: bool) -> list[str]:
    notes = []
    if profile == "unreadable":
        notes.append("The colour profile cannot be read or fits other pixels; it is kept, and colours taken as sRGB.")
    if not converts:
        notes.append("The colour profile has no way back into the photo's colours: the filled area is not converted.")
    if mode == "CMYK" and profile != "other":
        notes.append("The photo is CMYK without a usable profile; the filled area is converted by the plain formula.")
    return notes


def _mode(image: Image.Image) -> str:
    """Pillow's mode, with ``;16`` where it hides that the file has 16 bits per channel."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (8,))
        deep = max(bits if isinstance(bits, tuple) else (bits,)) > 8
        return f"{image.mode};16" if deep and image.mode in ("RGB", "RGBA", "CMYK", "LA") else image.mode
    rawmodes = [
        argument if isinstance(argument, str) else argument[0] if isinstance(argument, tuple) and argument else ""
        for _, _, _, argument in getattr(image, "tile", [])
    ]
    if image.format == "PNG" and any(str(raw).endswith(";16B") for raw in rawmodes) and image.mode != "I;16":
        return f"{image.mode};16"
    if image.format in ("HEIF", "AVIF") and int(image.info.get("bit_depth", 8)) > 8:
        return f"{image.mode};16"
    return image.mode


def _refuse_deep_colours(file: BinaryIO) -> None:
    """Refuse a JPEG 2000 whose brightest levels Pillow's decoder (13.0) turns into black when it rounds them to 8 bits."""
    components, bits = jpeg2000_depth(file)
    if components > 1 and bits > 8:
        raise UnsupportedFormatError(f"the JPEG 2000 has {bits} bits per channel; save it with 8, or as a TIFF")


def _refuse_camera_raw(image: TiffImagePlugin.TiffImageFile) -> None:
    """Refuse a raw file: it is a TIFF whose first picture is a thumbnail, and that is not what people want cleaned."""
    tags = image.tag_v2
    if _DNG_VERSION in tags:
        raise UnsupportedFormatError("the file is a camera's raw photo (DNG)")
    if _SUB_IFDS in tags and int(tags.get(_NEW_SUBFILE_TYPE, 0)) & 1:
        raise UnsupportedFormatError("the file is a camera's raw photo")


def _note_on_frames(picture_format: str, frames: int) -> str:
    if picture_format == "jpeg":
        return f"The file holds {frames} pictures; the result has the first, without previews and gain map."
    if picture_format == "tiff":
        return f"The file has {frames} pages; the result has the first."
    if picture_format == "heic":
        return f"The file holds {frames} pictures; the result has the main one."
    return f"The file is an animation of {frames} frames; the result has the first."


def _orientation(image: Image.Image, picture_format: str) -> int:
    if picture_format in TURNED_BY_DECODER:
        return 1
    exif = image.info.get("exif")
    if isinstance(exif, bytes) and (stated := orientation_of(exif)):
        return stated
    if picture_format == "avif":
        # The container says it, which the decoder has put into the EXIF data.
        return 1
    try:
        # What Pillow finds elsewhere: in XMP, or in the text of a PNG.
        value = image.getexif().get(ifd.ORIENTATION, 1)
    except DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


@quiet
def verify_photo(file: BinaryIO) -> bool:
    """Read the whole photo in ``file``. Raises ``TruncatedPhotoError`` where bytes are missing or damaged.

    JPEGs are decoded at an eighth of their size, for which 48 megapixels need 3 MB; of a PNG the checksums are
    compared; others are decoded. Returns False for a JPEG that lacks nothing but the mark at its end.
    """
    file.seek(0)
    image = open_image(file, format_of(file.read(64)))
    if isinstance(image, PngImagePlugin.PngImageFile):
        _compare_checksums(image)
        return True
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        try:
            return has_end_mark(file)
        except BlocksUnavailableError:
            # Pillow does not say which blocks are missing, and refuses where the mark is.
            image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
    decode(image)
    return True


def _compare_checksums(image: Image.Image) -> None:
    try:
        image.verify()
    except NOT_THE_DECODERS:
        raise
    except DECODER_ERRORS as error:
        raise TruncatedPhotoError(f"the picture breaks off or is damaged: {in_words(error)}") from error


def can_send_as_is(facts: PhotoFacts, *, limit: int, formats: frozenset[str] = frozenset({"jpeg", "png"})) -> bool:
    """Return True where Adobe can be given a link to the photo itself: upright, 8-bit sRGB or grey, opaque, within
    ``limit``.
    """
    return (
        facts.format in formats
        and facts.orientation == 1
        and facts.has_end_mark
        and facts.mode in ("RGB", "L")
        and facts.profile in ("none", "srgb")
        and not facts.has_alpha
        and (facts.frames == 1 or facts.format == "jpeg")
        and max(facts.width, facts.height) <= limit
    )
