"""Masks: read in any mode, joined, grown, feathered inside the grown ring, and refused where they cannot work."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from cleanplate.errors import (
    MaskUnusableError,
    OwnMaskBlankError,
    OwnMaskSizeError,
    OwnMaskUnreadableError,
)
from cleanplate.imaging import PhotoFacts, check_own_mask, place_in_frame
from cleanplate.imaging.masks import binarize, dilate, erode, feathered, union_of
from cleanplate.models import Box
from tests.unit.imaging.variants import encoded, pixels, random_mask

SIZE = (64, 48)
FACTS = PhotoFacts("jpeg", 48, 64, 6, "RGB", 1, has_alpha=False, profile="none")


def drawn(size: tuple[int, int] = SIZE, mode: str = "L") -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle((20, 10, 40, 30), fill=255)
    return mask.convert(mode)


def sixteen_bit(mask: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(mask).astype(np.uint16)) * 257)


def see_through(mask: Image.Image, ground: int, alpha: Image.Image) -> Image.Image:
    return Image.merge("RGBA", [mask.point(lambda level: max(level, ground))] * 3 + [alpha])


MASKS = {
    "grey": drawn(),
    "bilevel": drawn(mode="1"),
    "colour": drawn(mode="RGB"),
    "palette": drawn().convert("P"),
    "opaque": drawn(mode="RGBA"),
    "white under an alpha mask": see_through(drawn(), 255, drawn()),
    "black under an alpha mask": see_through(Image.new("L", SIZE), 0, drawn()),
    "grey with alpha": drawn(mode="LA"),
    "16 bits": sixteen_bit(drawn()),
    "cmyk": ImageOps.invert(drawn()).convert("RGB").convert("CMYK"),
}


@pytest.mark.parametrize("kind", [kind for kind in MASKS if kind != "cmyk"])
def test_a_mask_in_any_mode_means_the_same(kind: str) -> None:
    mask = union_of([encoded(MASKS[kind], "PNG")], SIZE, invert=False)
    assert binarize(mask).tobytes() == drawn().tobytes()


@pytest.mark.parametrize("picture_format", ["PNG", "TIFF", "GIF", "WEBP", "BMP"])
def test_a_mask_in_any_format_is_read_by_its_content(picture_format: str) -> None:
    how = {"lossless": True} if picture_format == "WEBP" else {}
    content = encoded(drawn(), picture_format, **how)
    if picture_format == "BMP":
        with pytest.raises(MaskUnusableError):
            union_of([content], SIZE, invert=False)
        return
    assert binarize(union_of([content], SIZE, invert=False)).tobytes() == drawn().tobytes()


def test_the_noise_of_a_jpeg_mask_is_not_mask() -> None:
    mask = binarize(union_of([encoded(drawn(), "JPEG", quality=90)], SIZE, invert=False))
    assert mask.getbbox() is not None
    assert np.abs(np.array(mask.getbbox()) - (20, 10, 41, 31)).max() <= 4


def test_a_jpeg_of_cmyk_ink_is_a_mask_too() -> None:
    mask = binarize(union_of([encoded(drawn(mode="RGB").convert("CMYK"), "JPEG", quality=95)], SIZE, invert=False))
    assert mask.getpixel((30, 20)) == 255
    assert mask.getpixel((3, 3)) == 0


def test_masks_are_joined() -> None:
    left, right = Image.new("L", SIZE), Image.new("L", SIZE)
    left.paste(255, (0, 0, 10, 10))
    right.paste(90, (50, 30, 60, 40))
    both = union_of([encoded(left, "PNG"), encoded(right, "PNG")], SIZE, invert=False)
    assert (both.getpixel((5, 5)), both.getpixel((55, 35)), both.getpixel((30, 20))) == (255, 90, 0)


def test_masks_of_two_sizes_are_joined_at_the_larger() -> None:
    small, large = drawn((64, 48)).resize((32, 24)), Image.new("L", SIZE)
    large.paste(255, (50, 30, 60, 40))
    both = union_of([encoded(small, "PNG"), encoded(large, "PNG")], SIZE, invert=False)
    assert both.size == SIZE
    assert (both.getpixel((30, 20)), both.getpixel((55, 35)), both.getpixel((5, 5))) == (255, 255, 0)


def test_an_inverted_mask_keeps_what_was_white() -> None:
    mask = binarize(union_of([encoded(drawn(), "PNG")], SIZE, invert=True))
    assert (mask.getpixel((30, 20)), mask.getpixel((3, 3))) == (0, 255)


@pytest.mark.parametrize("size", [(48, 64), (64, 64), (64, 40), (640, 400)])
def test_a_mask_of_other_proportions_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(MaskUnusableError, match="proportions"):
        union_of([encoded(Image.new("L", size), "PNG")], SIZE, invert=False)


@pytest.mark.parametrize("size", [(4000, 2669), (4000, 2668), (4000, 2670), (8482, 5659), (1000, 667)])
def test_rounding_in_a_scaled_masks_size_is_forgiven(size: tuple[int, int]) -> None:
    assert union_of([encoded(Image.new("1", size), "PNG")], (8482, 5659), invert=False).size == size


@pytest.mark.parametrize("content", [b"", b"no picture", encoded(drawn(), "PNG")[:60]])
def test_a_mask_that_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(MaskUnusableError):
        union_of([content], SIZE, invert=False)


def test_a_mask_that_is_a_bomb_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(MaskUnusableError, match="megapixels"):
        union_of([encoded(Image.new("1", (6400, 4800)), "PNG")], SIZE, invert=False)


# ----------------------------------------------------------------------------------------------------------------------
# Growing and feathering


def by_hand(mask: np.ndarray, radius: int) -> np.ndarray:
    """Return a mask that is white wherever any pixel within ``radius`` (a square) is white."""
    padded = np.pad(mask > 0, radius, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(windows.any(axis=(2, 3)))


@settings(max_examples=settings().max_examples // 2)
@given(seed=st.integers(0, 10_000), radius=st.integers(0, 12))
def test_growing_is_a_square_dilation_and_shrinking_its_reverse(seed: int, radius: int) -> None:
    mask = random_mask((60, 44), seed)
    assert np.array_equal(np.asarray(dilate(mask, radius)) == 255, by_hand(np.asarray(mask), radius))
    assert np.array_equal(np.asarray(erode(mask, radius)) == 0, by_hand(255 - np.asarray(mask), radius))


@pytest.mark.parametrize("radius", [99, 100, 101, 250])
def test_a_single_pixel_grows_by_any_radius(radius: int) -> None:
    mask = Image.new("L", (700, 20))
    mask.putpixel((350, 10), 255)
    assert dilate(mask, radius).getbbox() == (350 - radius, 0, 350 + radius + 1, 20)


@settings(max_examples=settings().max_examples // 2)
@given(seed=st.integers(0, 10_000), half=st.integers(0, 9), spare=st.integers(0, 4))
def test_the_feather_lies_inside_the_grown_ring(seed: int, half: int, spare: int) -> None:
    mask, feather = random_mask((80, 60), seed), 2 * half
    hole = dilate(mask, feather + spare)
    weights = pixels(feathered(hole, feather))

    assert (weights[pixels(hole) == 0] == 0).all(), "outside the hole nothing changes"
    assert (weights[pixels(dilate(mask, spare)) == 255] == 255).all(), "of the object nothing stays"


# ----------------------------------------------------------------------------------------------------------------------
# The uploader's own


def test_an_own_mask_has_the_upright_photos_size() -> None:
    check_own_mask(io.BytesIO(encoded(drawn(), "PNG")), FACTS)
    with pytest.raises(OwnMaskSizeError, match="48 x 64 pixels; the upright photo is 64 x 48"):
        check_own_mask(io.BytesIO(encoded(drawn((48, 64)), "PNG")), FACTS)


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", b"text", encoded(drawn(), "PNG")[:60]])
def test_an_own_mask_that_cannot_be_read_is_refused(content: bytes) -> None:
    with pytest.raises(OwnMaskUnreadableError):
        check_own_mask(io.BytesIO(content), FACTS)


@pytest.mark.parametrize("level", [0, 9, 255])
def test_an_own_mask_of_one_colour_is_refused(level: int) -> None:
    with pytest.raises(OwnMaskBlankError):
        check_own_mask(io.BytesIO(encoded(Image.new("L", SIZE, level), "PNG")), FACTS)


PIXELS = Box(20, 10, 21, 21)
SHARES = Box(20 / 64, 10 / 48, 21 / 64, 21 / 48, normalised=True)


@pytest.mark.parametrize("box", [PIXELS, SHARES])
@pytest.mark.parametrize("size", [(21, 21), (20, 22)])
def test_a_mask_as_large_as_its_box_is_placed_there(box: Box, size: tuple[int, int]) -> None:
    cropped = encoded(Image.new("RGB", size, "white"), "PNG")
    placed = Image.open(io.BytesIO(place_in_frame(cropped, box, SIZE)))
    assert (placed.size, placed.mode) == (SIZE, "L")
    assert placed.getbbox() == (20, 10, 20 + size[0], 10 + size[1])


@pytest.mark.parametrize(
    "content",
    [encoded(drawn(), "PNG"), encoded(drawn((32, 24)), "PNG"), encoded(drawn((21, 24)), "PNG"), b"no picture"],
)
def test_any_other_mask_is_left_as_it_is(content: bytes) -> None:
    assert place_in_frame(content, PIXELS, SIZE) == content


def test_a_box_over_the_edge_is_cut_there() -> None:
    placed = place_in_frame(encoded(Image.new("L", (21, 21), 255), "PNG"), Box(-5, 40, 21, 21), SIZE)
    assert Image.open(io.BytesIO(placed)).getbbox() == (0, 40, 16, 48)
