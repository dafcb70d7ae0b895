"""The API's copy: upright, sRGB, opaque, small enough."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cleanplate.imaging import inspect_photo, make_view
from tests.unit.imaging.variants import BY_NAME, ORIENTED, Variant, encoded, pixels, scene


def viewed(content: bytes, limit: int) -> Image.Image:
    facts = inspect_photo(io.BytesIO(content), max_megapixels=200)
    view = make_view(io.BytesIO(content), facts, limit=limit)
    assert (view.media_type, view.extension) == ("image/jpeg", ".jpg")
    image = Image.open(io.BytesIO(view.content))
    assert image.size == (view.width, view.height)
    return image


@pytest.mark.parametrize(("variant", "orientation"), ORIENTED, ids=str)
def test_every_photo_is_seen_upright(variant: Variant, orientation: int) -> None:
    picture = scene(160, 120, "rocket")
    image = viewed(variant.make(picture, orientation), limit=80)

    assert (image.size, image.mode) == ((80, 60), "RGB")
    assert "icc_profile" not in image.info
    if variant.alpha or "palette" in variant.name or variant.name in ("tiff-fax", "png-bilevel", "gif"):
        return
    expected = picture.resize((80, 60), Image.Resampling.LANCZOS)
    grey = [pixels(each.convert("L")).astype(float).ravel() for each in (image, expected)]
    assert np.corrcoef(grey)[0, 1] > 0.97


def test_a_photo_within_the_limit_is_not_scaled() -> None:
    assert viewed(encoded(scene(300, 200), "TIFF"), limit=300).size == (300, 200)


@pytest.mark.parametrize(("size", "expected"), [((8000, 18), (4000, 9)), ((18, 4500), (16, 4000))])
def test_proportions_are_kept(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert viewed(encoded(Image.new("RGB", size, "teal"), "JPEG"), limit=4000).size == expected


def test_transparent_parts_lie_on_white() -> None:
    image = viewed(encoded(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), "PNG"), limit=4000)
    assert image.getpixel((32, 32)) == (255, 255, 255)


def test_wide_colours_arrive_as_srgb() -> None:
    picture = Image.new("RGB", (64, 64), (200, 80, 80))
    plain = viewed(BY_NAME["png"].make(picture, 1), limit=4000).getpixel((32, 32))
    wide = viewed(BY_NAME["png-wide-gamut"].make(picture, 1), limit=4000).getpixel((32, 32))
    assert isinstance(plain, tuple)
    assert isinstance(wide, tuple)
    # The same numbers mean a stronger red there.
    assert wide[0] > plain[0] + 5


def test_sixteen_bit_grey_does_not_saturate() -> None:
    image = viewed(encoded(Image.new("I;16", (64, 64), 40_000), "PNG"), limit=4000)
    assert image.convert("L").getpixel((32, 32)) == pytest.approx(40_000 / 257, abs=1)
