"""Putting the fill back: sharp, in tone, without residue, in the photo's own format."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, JpegImagePlugin

from cleanplate.errors import (
    FillUnusableError,
    PhotoReplacedError,
)
from cleanplate.imaging import FillPlan, PhotoFacts, composing, inspect_photo, painting, plan_fill
from cleanplate.imaging import compose as compose_whole
from cleanplate.imaging.painting import Painter
from cleanplate.imaging.webp import webp_coding
from cleanplate.models import Options
from local.demo.photographs import photograph
from tests.unit.imaging.variants import BY_NAME, WIDE, encoded, exif, full_hole, open_upright, pixels, scene

SPOT = (120, 60, 180, 130)


def disc(size: tuple[int, int] = (300, 200), box: tuple[int, int, int, int] = SPOT, sigma: float = 0) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    return mask.filter(ImageFilter.GaussianBlur(sigma))


def planned(content: bytes, mask: Image.Image, limit: int = 4000, **options: Any) -> tuple[PhotoFacts, FillPlan]:
    facts = inspect_photo(io.BytesIO(content), max_megapixels=200)
    plan = plan_fill(
        lambda: io.BytesIO(content), facts, [encoded(mask, "PNG")], options=Options(**options), limit=limit
    )
    return facts, plan


def composed(
    content: bytes,
    facts: PhotoFacts,
    plan: FillPlan,
    fills: list[bytes],
    *,
    mark_as_edited: bool = True,
    **options: Any,
) -> tuple[bytes, composing.Composed]:
    result = compose_whole(
        lambda: io.BytesIO(content), facts, plan, fills, options=Options(**options), mark_as_edited=mark_as_edited
    )
    with result.content as file:
        answer = file.read()
    assert len(answer) == result.size
    return answer, result


def perfect_fill(plan: FillPlan, background: Image.Image, picture_format: str = "PNG", **how: Any) -> list[bytes]:
    """Return what a perfect API would answer: the true background in each window, in the size that was sent."""
    fills = []
    for window in plan.windows:
        place = (window.x, window.y, window.x + window.width, window.y + window.height)
        part = background.crop(place).resize((window.sent_width, window.sent_height), Image.Resampling.LANCZOS)
        fills.append(encoded(part, picture_format, **how))
    return fills


@pytest.mark.parametrize("sigma", [0, 0.5, 1, 2, 3, 4])
@pytest.mark.parametrize("limit", [4000, 192])
def test_nothing_of_the_object_remains_after_a_perfect_fill(sigma: float, limit: int) -> None:
    background = scene(300, 200, "coffee")
    soft = disc(sigma=sigma)
    # The object's edge is as soft as its mask.
    photo = encoded(Image.composite(Image.new("RGB", background.size, (255, 0, 255)), background, soft), "PNG")
    facts, plan = planned(photo, soft, limit=limit)

    answer, _ = composed(photo, facts, plan, perfect_fill(plan, background))

    difference = ImageChops.difference(open_upright(answer).convert("RGB"), background)
    assert difference.getextrema() == ((0, 0), (0, 0), (0, 0))


def test_used_as_it_is_a_soft_mask_leaves_a_rim() -> None:
    # What growing is for: the same scene, blended with the mask itself.
    background = photograph("coffee").resize((300, 200), Image.Resampling.LANCZOS)
    soft = disc(sigma=3)
    photo = Image.composite(Image.new("RGB", background.size, (255, 0, 255)), background, soft)
    naive = Image.composite(background, photo, soft)
    assert max(high for _, high in ImageChops.difference(naive, background).getextrema()) > 40  # type: ignore[misc]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_perfect_fill_gives_back_the_true_picture_in_every_orientation(orientation: int) -> None:
    background = scene(300, 200, "rocket")
    painted = background.copy()
    painted.paste((255, 0, 255), SPOT)
    content = BY_NAME["png"].make(painted, orientation)
    mask = Image.new("L", (300, 200))
    mask.paste(255, SPOT)
    facts, plan = planned(content, mask, limit=192)

    answer, _ = composed(content, facts, plan, perfect_fill(plan, background))

    assert np.array_equal(pixels(open_upright(answer)), pixels(background))


def psnr(one: Image.Image, other: Image.Image) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, ((pixels(one) - pixels(other)) ** 2).mean())))


def test_a_window_at_native_resolution_is_sharper_than_the_scaled_photo() -> None:
    background = photograph("china")
    roof = (300, 210, 360, 280)
    painted = background.copy()
    painted.paste((255, 0, 255), roof)
    mask = Image.new("L", background.size)
    mask.paste(255, roof)
    content = encoded(painted, "PNG")
    facts, plan = planned(content, mask, limit=304)
    assert plan.detail == 1

    answer, _ = composed(content, facts, plan, perfect_fill(plan, background, "JPEG", quality=95, subsampling=0))

    small = background.resize((304, round(304 * 427 / 640)), Image.Resampling.LANCZOS)
    whole_scaled = small.resize(background.size, Image.Resampling.BICUBIC)
    native = psnr(open_upright(answer).crop(roof), background.crop(roof))
    scaled = psnr(whole_scaled.crop(roof), background.crop(roof))
    assert native >= 38
    assert native > scaled + 8


def test_a_hole_painted_in_bands_shows_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    # Scaled up, where a band's edge would show first.
    background = scene(300, 200)
    content = encoded(background, "PNG")
    facts, plan = planned(content, disc(box=(20, 20, 280, 180)), limit=150)
    fills = perfect_fill(plan, background)
    whole, _ = composed(content, facts, plan, fills)
    monkeypatch.setattr(painting, "_BAND_PIXELS", 700)
    monkeypatch.setattr(painting, "_BAND_ROWS", 1)
    banded, _ = composed(content, facts, plan, fills)
    assert whole == banded


@pytest.mark.parametrize("limit", [300, 200])
@pytest.mark.parametrize(
    "how",
    [{"subsampling": 2}, {"progressive": True}, {"restart_marker_blocks": 3}, {"subsampling": 1, "optimize": True}],
)
def test_of_a_fill_only_the_rows_that_are_needed_are_decoded(
    how: dict[str, Any], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    background = scene(300, 200)
    content = encoded(background, "PNG")
    facts, plan = planned(content, disc(box=(20, 10, 280, 90)), limit=limit)
    fills = perfect_fill(plan, background, "JPEG", quality=90, **how)
    with Painter(facts, plan, fills) as painter:
        assert painter._first is not None
        assert painter._first.result().height < plan.windows[0].sent_height
    upper, _ = composed(content, facts, plan, fills)
    monkeypatch.setattr(painting, "upper_rows", lambda content, rows: content)
    assert composed(content, facts, plan, fills)[0] == upper


def test_two_windows_fill_each_its_own_part() -> None:
    background = scene(1400, 500)
    content = encoded(background, "PNG")
    mask = ImageChops.lighter(disc((1400, 500), (40, 200, 100, 260)), disc((1400, 500), (1300, 200, 1360, 260)))
    facts, plan = planned(content, mask, limit=500)
    colours = [(250, 0, 0), (0, 0, 250)]
    fills = [
        encoded(Image.new("RGB", (window.sent_width, window.sent_height), colour), "PNG")
        for window, colour in zip(plan.windows, colours, strict=True)
    ]

    answer, _ = composed(content, facts, plan, fills)

    after = open_upright(answer)
    middle = [((box[0] + box[2]) // 2, (box[1] + box[3]) // 2) for box in (each.hole_box for each in plan.windows)]
    assert [after.getpixel(point) for point in middle] == colours
    assert {point[0] > 700 for point in middle} == {True, False}


# ----------------------------------------------------------------------------------------------------------------------
# Fills of every kind


FILLS: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG": lambda image: encoded(image, "JPEG", quality=95),
    "grey JPEG": lambda image: encoded(image.convert("L"), "JPEG", quality=95),
    "CMYK JPEG": lambda image: encoded(image.convert("CMYK"), "JPEG", quality=95),
    "PNG with alpha": lambda image: encoded(image.convert("RGBA"), "PNG"),
    "palette PNG": lambda image: encoded(image.quantize(200), "PNG"),
    "WebP": lambda image: encoded(image, "WEBP", lossless=True),
    "TIFF": lambda image: encoded(image, "TIFF"),
}


@pytest.mark.parametrize("kind", FILLS)
def test_a_fill_may_come_in_any_format_and_mode(kind: str) -> None:
    background = Image.new("RGB", (300, 200), (120, 120, 120))
    content = encoded(background, "PNG")
    facts, plan = planned(content, disc())
    answer, _ = composed(content, facts, plan, [FILLS[kind](background)])
    assert np.abs(pixels(open_upright(answer)) - 120).max() <= 3


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (encoded(scene(301, 200), "PNG"), "301 x 200 pixels; 300 x 200 were sent"),
        (encoded(scene(200, 300), "PNG"), "200 x 300 pixels"),
        (encoded(scene(300, 200), "JPEG")[:900], "cannot be read"),
        (b"<html>404</html>", "cannot be read"),
        (b"", "cannot be read"),
    ],
    ids=["wider", "turned", "cut short", "a page", "empty"],
)
def test_a_fill_that_does_not_fit_is_refused(fill: bytes, words: str) -> None:
    content = encoded(scene(300, 200), "JPEG")
    facts, plan = planned(content, disc())
    with pytest.raises(FillUnusableError, match=words):
        composed(content, facts, plan, [fill])


def test_every_window_needs_its_fill() -> None:
    content = encoded(scene(300, 200), "JPEG")
    facts, plan = planned(content, disc())
    with pytest.raises(FillUnusableError, match="0 fills came back for 1 windows"):
        composed(content, facts, plan, [])


def test_a_wide_gamut_photo_gets_its_own_colours_back() -> None:
    background = scene(300, 200, "coffee")
    content = encoded(background, "PNG", icc_profile=WIDE)
    facts, plan = planned(content, disc())
    # What was sent comes back unchanged: sRGB there and back again.
    sent = plan.windows[0].image
    assert sent is not None
    answer, _ = composed(content, facts, plan, [sent])
    inside = pixels(disc()) == 255
    away = np.abs(pixels(open_upright(answer)) - pixels(background))[inside]
    assert away.mean() < 4
    untagged, _ = composed(content, facts, plan, [encoded(background, "PNG")])
    assert np.abs(pixels(open_upright(untagged)) - pixels(background))[inside].mean() > away.mean() + 2


# ----------------------------------------------------------------------------------------------------------------------
# Tone


def test_a_fill_that_came_back_darker_is_brought_into_tone() -> None:
    background = scene(300, 200, "coffee")
    content = encoded(background, "PNG")
    facts, plan = planned(content, disc())
    darker = background.point(lambda level: max(0, level - 9))
    answer, _ = composed(content, facts, plan, [encoded(darker, "PNG")])
    lit = (pixels(disc()) == 255) & (pixels(background).min(axis=2) > 10)
    assert np.abs(pixels(open_upright(answer)) - pixels(background))[lit].max() <= 1


@pytest.mark.parametrize("away", [0, 60])
def test_tone_is_left_alone_where_it_is_right_or_unknown(away: int) -> None:
    background = scene(300, 200, "coffee")
    content = encoded(background, "PNG")
    facts, plan = planned(content, disc())
    fill = background.point(lambda level: max(0, level - away))
    answer, _ = composed(content, facts, plan, [encoded(fill, "PNG")])
    inside = pixels(disc()) == 255
    assert np.array_equal(pixels(open_upright(answer))[inside], pixels(fill)[inside])


def test_an_uneasy_ring_says_nothing_about_tone() -> None:
    background = scene(300, 200, "coffee")
    content = encoded(background, "PNG")
    facts, plan = planned(content, disc())
    fill = ImageEnhance.Contrast(background).enhance(2.5)
    answer, _ = composed(content, facts, plan, [encoded(fill, "PNG")])
    inside = pixels(disc()) == 255
    assert np.array_equal(pixels(open_upright(answer))[inside], pixels(fill)[inside])


# ----------------------------------------------------------------------------------------------------------------------
# Written in the photo's own manner


def test_a_jpeg_keeps_its_tables_its_sampling_and_about_its_size() -> None:
    for how in (
        {"quality": 71, "subsampling": 1},
        {"quality": 96, "subsampling": 0},
        {"quality": 40, "progressive": True},
    ):
        content = encoded(photograph("china"), "JPEG", **how)
        facts, plan = planned(content, disc((640, 427)))
        answer, _ = composed(content, facts, plan, [encoded(photograph("china"), "PNG")])
        before, after = (Image.open(io.BytesIO(each)) for each in (content, answer))
        assert isinstance(before, JpegImagePlugin.JpegImageFile)
        assert isinstance(after, JpegImagePlugin.JpegImageFile)
        assert after.quantization == before.quantization
        assert JpegImagePlugin.get_sampling(after) == JpegImagePlugin.get_sampling(before)
        assert bool(after.info.get("progressive")) == bool(how.get("progressive"))
        assert len(answer) == pytest.approx(len(content), rel=0.05)


def test_webp_stays_what_it_was() -> None:
    for how in (
        {"lossless": True},
        {"quality": 90},
        {"quality": 98, "exif": b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00"},
    ):
        content = encoded(scene(320, 214), "WEBP", **how)
        facts, plan = planned(content, disc((320, 214)))
        answer, result = composed(content, facts, plan, [encoded(scene(320, 214), "PNG")])
        lossless, quality = webp_coding(io.BytesIO(answer))
        assert (lossless, result.media_type) == ("lossless" in how, "image/webp")
        assert quality == pytest.approx(how.get("quality", 100), abs=3)
        assert len(answer) == pytest.approx(len(content), rel=0.15)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_a_tiff_keeps_its_lossless_compression(compression: str) -> None:
    content = encoded(scene(300, 200), "TIFF", compression=compression)
    facts, plan = planned(content, disc())
    answer, result = composed(content, facts, plan, [encoded(scene(300, 200), "PNG")])
    assert Image.open(io.BytesIO(answer)).info["compression"] == compression
    assert result.notes == ()


@pytest.mark.parametrize(
    ("name", "output_format", "media_type", "extension"),
    [
        ("jpeg", "same", "image/jpeg", ""),
        ("jpeg", "jpeg", "image/jpeg", ""),
        ("jpeg", "png", "image/png", ".png"),
        ("jpeg", "webp", "image/webp", ".webp"),
        ("heic", "same", "image/jpeg", ".jpg"),
        ("heic", "png", "image/png", ".png"),
        ("heic-alpha", "same", "image/png", ".png"),
        ("gif", "same", "image/png", ".png"),
        ("gif", "webp", "image/webp", ".webp"),
        ("jpeg2000", "same", "image/jpeg", ".jpg"),
        ("jpeg2000-alpha", "same", "image/png", ".png"),
        ("avif", "same", "image/avif", ""),
        ("tiff-cmyk", "same", "image/tiff", ""),
        ("tiff-cmyk", "jpeg", "image/jpeg", ".jpg"),
        ("tiff-cmyk", "png", "image/png", ".png"),
        ("png-alpha", "jpeg", "image/jpeg", ".jpg"),
        ("png-alpha", "webp", "image/webp", ".webp"),
        ("png-grey-alpha", "webp", "image/webp", ".webp"),
        ("png-16-bit-grey", "jpeg", "image/jpeg", ".jpg"),
        ("png-16-bit-grey", "webp", "image/webp", ".webp"),
        ("png-bilevel", "jpeg", "image/jpeg", ".jpg"),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_result_has_the_format_that_was_asked_for(
    name: str, output_format: str, media_type: str, extension: str, orientation: int
) -> None:
    variant = BY_NAME[name]
    background = scene(150, 100)
    content = variant.make(background, orientation if variant.turns else 1)
    facts, plan = planned(content, disc((150, 100), (60, 30, 90, 65)), output_format=output_format)

    answer, result = composed(content, facts, plan, perfect_fill(plan, background), output_format=output_format)

    assert (result.media_type, result.extension, result.width, result.height) == (media_type, extension, 150, 100)
    after = open_upright(answer)
    assert after.size == (150, 100)
    assert f"image/{Image.open(io.BytesIO(answer)).format}".lower() == media_type
    changed = bool(extension)
    assert any("the result is" in note for note in result.notes) == changed
    # The same picture, whatever became of modes and profiles on the way.
    expected, seen = (np.asarray(each.convert("L").resize((30, 20)), dtype=float) for each in (background, after))
    if after.mode != "RGBA" and name not in ("png-bilevel", "png-16-bit-grey", "tiff-cmyk", "png-alpha"):
        assert np.abs(expected - seen).mean() < 12
    if changed and media_type != "image/jpeg":
        # Many viewers ignore an orientation there: the pixels themselves stand upright.
        assert Image.open(io.BytesIO(answer)).size == (150, 100)


def test_transparency_is_kept_and_transparent_pixels_are_not_touched() -> None:
    picture = scene(300, 200).convert("RGBA")
    alpha = Image.new("L", picture.size, 255)
    alpha.paste(0, (0, 0, 150, 200))
    alpha.paste(128, (150, 0, 160, 200))
    picture.putalpha(alpha)
    content = encoded(picture, "PNG")
    facts, plan = planned(content, disc())
    answer, _ = composed(content, facts, plan, [encoded(Image.new("RGB", (300, 200), "lime"), "PNG")])
    after = open_upright(answer)
    assert after.getchannel("A").tobytes() == alpha.tobytes()
    assert np.array_equal(pixels(after)[:, :150], pixels(picture)[:, :150])
    assert after.getpixel((170, 95)) == (0, 255, 0, 255)


def test_sixteen_bits_of_grey_stay_sixteen_outside_the_hole() -> None:
    deep = Image.fromarray(np.random.default_rng(1).integers(0, 65_536, (200, 300), dtype=np.uint16))
    for picture_format in ("PNG", "TIFF"):
        content = encoded(deep, picture_format)
        facts, plan = planned(content, disc())
        answer, result = composed(content, facts, plan, [encoded(Image.new("L", (300, 200), 100), "PNG")])
        after = np.asarray(Image.open(io.BytesIO(answer)))
        assert after.dtype == np.uint16
        hole = pixels(full_hole(plan))
        assert np.array_equal(after[hole == 0], np.asarray(deep)[hole == 0])
        assert (after[pixels(disc()) == 255] == 100 * 257).all()
        assert result.notes == ()


def test_a_photo_too_wide_for_webp_is_written_otherwise() -> None:
    content = encoded(Image.new("RGB", (16_400, 20), "teal"), "PNG")
    facts, plan = planned(content, disc((16_400, 20), (9000, 2, 9010, 16)), output_format="webp")
    fills = [encoded(Image.new("RGB", (each.sent_width, each.sent_height), "teal"), "PNG") for each in plan.windows]
    _, result = composed(content, facts, plan, fills, output_format="webp")
    assert (result.media_type, result.extension) == ("image/png", "")
    assert any("16383" in note for note in result.notes)


@pytest.mark.parametrize("broken", [b"Exif\x00\x00II*\x00\xff\xff\xff\xff", b"Exif\x00\x00nothing", b"Exif\x00\x00"])
def test_exif_that_does_not_parse_is_left_out_with_a_note(broken: bytes) -> None:
    content = encoded(scene(300, 200), "JPEG", exif=broken)
    facts, plan = planned(content, disc())
    answer, result = composed(content, facts, plan, [encoded(scene(300, 200), "PNG")])
    assert "The EXIF data cannot be read; it is left out of the result." in result.notes
    assert "exif" not in Image.open(io.BytesIO(answer)).info


def test_a_profile_that_does_not_parse_is_kept_all_the_same() -> None:
    profile = b"not a profile at all" * 10
    content = encoded(scene(300, 200), "JPEG", icc_profile=profile)
    facts, plan = planned(content, disc())
    answer, result = composed(content, facts, plan, [encoded(scene(300, 200), "PNG")])
    assert Image.open(io.BytesIO(answer)).info["icc_profile"] == profile
    assert any("profile" in note for note in result.notes)


def test_a_photo_that_became_another_is_not_painted_on() -> None:
    content = encoded(scene(300, 200), "JPEG")
    facts, plan = planned(content, disc())
    with pytest.raises(PhotoReplacedError, match="300 x 200 pixels when it was looked at, now 200 x 300"):
        composed(encoded(scene(200, 300), "JPEG"), facts, plan, [encoded(scene(300, 200), "PNG")])


def test_iptc_captions_stay_in_a_jpeg() -> None:
    caption = b"8BIM\x04\x04\x00\x00\x00\x00\x00\x0c\x1c\x02\x78\x00\x07caption"
    segment = b"Photoshop 3.0\x00" + caption
    content = encoded(scene(300, 200), "JPEG", extra=b"\xff\xed" + (2 + len(segment)).to_bytes(2, "big") + segment)
    facts, plan = planned(content, disc())
    answer, _ = composed(content, facts, plan, [encoded(scene(300, 200), "PNG")])
    assert caption in answer


def test_notes_name_what_was_not_kept() -> None:
    content = BY_NAME["gif-animation"].make(scene(300, 200), 1)
    facts, plan = planned(content, disc())
    _, result = composed(content, facts, plan, [encoded(scene(300, 200), "PNG")])
    assert any("an animation" in note for note in result.notes)
    assert "The photo was GIF; the result is PNG." in result.notes


def test_the_mark_can_be_turned_off() -> None:
    for name in ("jpeg", "png", "webp", "tiff", "avif"):
        content = BY_NAME[name].make(scene(300, 200), 1)
        facts, plan = planned(content, disc())
        fills = [encoded(scene(300, 200), "PNG")]
        marked, _ = composed(content, facts, plan, fills)
        unmarked, _ = composed(content, facts, plan, fills, mark_as_edited=False)
        assert b"compositeWithTrainedAlgorithmicMedia" in marked
        assert b"compositeWithTrainedAlgorithmicMedia" not in unmarked
        assert b"from the original" in unmarked


def test_the_thumbnail_of_the_removed_object_is_gone_from_every_format() -> None:
    thumbnail = encoded(scene(64, 48), "JPEG")
    data = exif(1, thumbnail=thumbnail)
    for picture_format in ("JPEG", "PNG", "WEBP"):
        content = encoded(scene(300, 200), picture_format, exif=data)
        assert thumbnail[:200] in content
        facts, plan = planned(content, disc())
        answer, _ = composed(content, facts, plan, [encoded(scene(300, 200), "PNG")])
        assert thumbnail[-200:-100] not in answer
        assert Image.open(io.BytesIO(answer)).getexif()[0x010F] == "Kamera"
