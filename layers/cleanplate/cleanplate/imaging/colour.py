"""Colour: from the photo's profile to the sRGB that Adobe's API understands, and the fill's way back."""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageCms, ImageMath, ImageOps

from cleanplate.imaging.reading import eight_bit

#: Levels by which a profile may differ from sRGB and still be called sRGB.
_SAME = 2

_SPACE_OF_MODE = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _profile(icc: bytes, mode: str) -> ImageCms.ImageCmsProfile | None:
    """Return the profile, or None where it does not parse or is for another kind of pixels."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        space = profile.profile.xcolor_space.strip()
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None
    return profile if space == _SPACE_OF_MODE.get(mode) else None


def _base_mode(mode: str) -> str:
    return {"LA": "L", "RGBA": "RGB", "RGBX": "RGB"}.get(mode, mode)


def _transform(
    source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile, source_mode: str, target_mode: str
) -> ImageCms.ImageCmsTransform | None:
    try:
        return ImageCms.buildTransform(
            source, target, source_mode, target_mode, ImageCms.Intent.RELATIVE_COLORIMETRIC, _FLAGS
        )
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None


# A photo's profile is asked for again with each look at its pixels.
@lru_cache(maxsize=2)
def _into_srgb(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the conversion from the profile's pixels of ``mode``; None where there is none."""
    profile = _profile(icc, mode)
    return _transform(profile, _srgb(), mode, "RGB") if profile else None


@lru_cache(maxsize=2)
def _out_of_srgb(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the conversion into the profile's pixels of ``mode``; None where there is none."""
    profile = _profile(icc, mode)
    return _transform(_srgb(), profile, "RGB", mode) if profile else None


def _applied(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    """Return ``image`` converted. Pillow's own way also writes out the profile, which some profiles do not stand."""
    converted = Image.new(transform.output_mode, image.size)
    transform.transform.apply(image.getim(), converted.getim())
    return converted


def kind_of_profile(icc: bytes | None, mode: str) -> str:
    """Return ``none``, ``srgb``, ``other`` or ``unreadable`` for a photo of this 8-bit ``mode``.

    A profile counts as sRGB when it maps a cube of colours to within 2 levels of themselves, whatever its name is.
    """
    if not icc:
        return "none"
    base = _base_mode(mode)
    transform = _into_srgb(icc, base)
    if transform is None:
        return "unreadable"
    if base == "CMYK":
        return "other"
    if base == "L":
        samples = Image.new("L", (16, 1))
        samples.putdata(range(0, 256, 17))
    else:
        steps = range(0, 256, 51)
        samples = Image.new("RGB", (36, 6))
        samples.putdata([(red, green, blue) for red in steps for green in steps for blue in steps])
    seen = _applied(samples, transform)
    before = samples.convert("RGB").tobytes()
    return "srgb" if max(abs(a - b) for a, b in zip(before, seen.tobytes(), strict=True)) <= _SAME else "other"


def converts_back(icc: bytes | None, mode: str) -> bool:
    """Return True where sRGB can be converted into the profile of a photo of this 8-bit ``mode``."""
    return bool(icc) and _out_of_srgb(icc, _base_mode(mode)) is not None


def on_white(image: Image.Image) -> Image.Image:
    """Return ``image`` (mode LA or RGBA) without its alpha channel: what is transparent lies on white."""
    ground = Image.new(_base_mode(image.mode), image.size, "white")
    ground.paste(image.convert(ground.mode), (0, 0), image.getchannel("A"))
    return ground


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Return ``image`` of any mode as 8-bit sRGB, mode RGB; what is transparent lies on white.

    A profile that does not parse, or fits another kind of pixels, is treated like none. The answer may be ``image``
    itself.
    """
    image = eight_bit(image)
    if image.mode in ("RGBA", "LA"):
        image = on_white(image)
    transform = _into_srgb(icc, image.mode) if icc else None
    if transform:
        return _applied(image, transform)
    return image if image.mode == "RGB" else image.convert("RGB")


def from_srgb(image: Image.Image, icc: bytes | None, mode: str) -> Image.Image:
    """Return an sRGB ``image`` (mode RGB) as pixels of ``mode`` (L, RGB or CMYK) in the photo's own profile."""
    transform = _out_of_srgb(icc, mode) if icc else None
    if transform:
        return _applied(image, transform)
    return ImageOps.grayscale(image) if mode == "L" else image.convert(mode)


def beside_key(old: Image.Image, painted: Image.Image, key: int) -> Image.Image:
    """Return ``painted`` (mode I) where ``key`` means "transparent": what was so in ``old`` stays, nothing else becomes
    so.
    """
    step = 1 if key == 0 else -1
    kept: Image.Image = ImageMath.lambda_eval(
        lambda args: (
            args["new"]
            + (args["new"] == key) * (args["old"] != key) * step
            + (args["old"] == key) * (key - args["new"])
        ),
        old=old.convert("I"),
        new=painted,
    )
    return kept
