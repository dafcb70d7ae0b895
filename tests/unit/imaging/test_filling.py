"""The plan of a fill: what is sent, and how it is stored until the answers come."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import NoReturn

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from cleanplate.errors import MaskUnusableError
from cleanplate.imaging import FillPlan, inspect_photo, plan_fill
from cleanplate.models import Options
from tests.unit.imaging.variants import BY_NAME, encoded, full_hole, pixels, scene


def spot(size: tuple[int, int], box: tuple[int, int, int, int], sigma: float = 0) -> bytes:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    return encoded(mask.filter(ImageFilter.GaussianBlur(sigma)), "PNG")


def planned(content: bytes, *masks: bytes, limit: int = 4000, max_windows: int = 2, **options: object) -> FillPlan:
    facts = inspect_photo(io.BytesIO(content), max_megapixels=200)
    return plan_fill(
        lambda: io.BytesIO(content),
        facts,
        masks,
        options=Options(**options),  # type: ignore[arg-type]
        limit=limit,
        max_windows=max_windows,
    )


def picture(content: bytes | None) -> Image.Image:
    assert content is not None
    return Image.open(io.BytesIO(content))


def test_a_photo_that_fits_is_sent_as_it_is_and_not_even_opened() -> None:
    content = encoded(scene(300, 200), "JPEG")
    facts = inspect_photo(io.BytesIO(content), max_megapixels=200)

    def never() -> NoReturn:
        pytest.fail("the photo was opened")

    plan = plan_fill(never, facts, [spot((300, 200), (50, 50, 90, 90))], options=Options(), limit=300)

    (window,) = plan.windows
    assert window.as_is
    assert window.image is None
    assert (window.x, window.y, window.width, window.height) == (0, 0, 300, 200)
    mask = picture(window.mask)
    assert (mask.format, mask.mode, mask.size) == ("PNG", "L", (300, 200))
    assert mask.tobytes() == full_hole(plan).tobytes()


@pytest.mark.parametrize("name", ["heic", "png-alpha", "jpeg-wide-gamut", "tiff-cmyk", "png-16-bit-grey", "gif"])
def test_any_other_photo_is_sent_as_an_upright_srgb_jpeg(name: str) -> None:
    content = BY_NAME[name].make(scene(300, 200), 6 if BY_NAME[name].turns else 1)
    (window,) = planned(content, spot((300, 200), (50, 50, 90, 90))).windows
    image = picture(window.image)
    assert not window.as_is
    assert window.image_media_type == "image/jpeg"
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (300, 200))
    assert "icc_profile" not in image.info


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_window_shows_its_place_in_the_photo_in_every_orientation(orientation: int) -> None:
    whole = scene(450, 300, "rocket")
    content = BY_NAME["png"].make(whole, orientation)
    plan = planned(content, spot((450, 300), (300, 50, 325, 75)), limit=200)
    (window,) = plan.windows
    assert window.scale == 1
    place = (window.x, window.y, window.x + window.width, window.y + window.height)
    assert np.abs(pixels(picture(window.image)) - pixels(whole.crop(place))).mean() < 2
    assert picture(window.mask).tobytes() == full_hole(plan).crop(place).tobytes()


def test_a_hole_that_does_not_fit_is_sent_scaled() -> None:
    plan = planned(encoded(scene(900, 600), "PNG"), spot((900, 600), (50, 50, 850, 550)), limit=300)
    (window,) = plan.windows
    assert max(window.sent_width, window.sent_height) == 300
    assert picture(window.image).size == picture(window.mask).size == (window.sent_width, window.sent_height)
    assert set(np.unique(pixels(picture(window.mask)))) == {0, 255}
    assert plan.detail == pytest.approx(window.scale**2, rel=0.01)


def test_a_narrow_photo_is_scaled_though_its_short_side_stays() -> None:
    whole = scene(20, 660)
    (window,) = planned(encoded(whole, "PNG"), spot((20, 660), (2, 0, 18, 640)), limit=650, grow=0).windows
    assert (window.sent_width, window.sent_height) == (20, 650)
    assert picture(window.image).size == picture(window.mask).size == (20, 650)


def test_two_far_spots_are_two_windows_with_the_hole_in_each_mask() -> None:
    content = encoded(scene(1400, 500), "PNG")
    far = [spot((1400, 500), (40, 200, 100, 260)), spot((1400, 500), (1300, 200, 1360, 260))]
    plan = planned(content, *far, limit=500)
    assert len(plan.windows) == 2
    assert plan.detail == 1
    hole = full_hole(plan)
    for window in plan.windows:
        place = (window.x, window.y, window.x + window.width, window.y + window.height)
        assert picture(window.mask).tobytes() == hole.crop(place).tobytes()
    assert len(planned(content, *far, limit=500, max_windows=1).windows) == 1


def test_the_mask_of_a_scaled_view_lands_where_it_belongs() -> None:
    content = encoded(scene(1200, 800), "PNG")
    small = planned(content, spot((300, 200), (100, 50, 150, 100)))
    large = planned(content, spot((1200, 800), (400, 200, 600, 400)))
    box, expected = (np.array(plan.windows[0].hole_box) for plan in (small, large))
    # The mask of a view is unsure by one of its pixels, and grown by that much more.
    assert np.abs(box - expected).max() <= 12
    assert (box[:2] <= expected[:2]).all()
    assert (box[2:] >= expected[2:]).all()


@pytest.mark.parametrize(("size", "grow"), [((300, 200), 8), ((2000, 1500), 8), ((4000, 300), 16)])
def test_the_mask_grows_in_proportion_to_the_photo(size: tuple[int, int], grow: int) -> None:
    plan = planned(encoded(Image.new("RGB", size), "PNG"), spot(size, (50, 50, 90, 90)))
    assert (plan.grow, plan.feather) == (grow, grow // 2)
    assert plan.windows[0].hole_box == (50 - grow, 50 - grow, 91 + grow, 91 + grow)


@pytest.mark.parametrize(
    ("grow", "feather", "expected"), [(0, None, (0, 0)), (12, None, (12, 6)), (12, 5, (12, 4)), (3, 40, (3, 2))]
)
def test_options_say_how_far_it_grows_and_how_soft_it_ends(
    grow: int, feather: int | None, expected: tuple[int, int]
) -> None:
    plan = planned(encoded(scene(), "PNG"), spot((96, 72), (30, 30, 50, 50)), grow=grow, feather=feather)
    assert (plan.grow, plan.feather) == expected


def test_a_soft_mask_is_sent_hard() -> None:
    plan = planned(encoded(scene(300, 200), "PNG"), spot((300, 200), (100, 50, 150, 100), sigma=4))
    assert set(np.unique(pixels(picture(plan.windows[0].mask)))) == {0, 255}


def test_black_masks_mean_that_there_is_nothing_to_remove() -> None:
    plan = planned(encoded(scene(), "PNG"), encoded(Image.new("L", (96, 72), 9), "PNG"))
    assert plan.nothing_to_remove
    assert plan.windows == ()
    assert plan.covered == 0
    assert plan.hole == b""


@pytest.mark.parametrize("level", [255, 10])
def test_a_mask_that_covers_everything_is_refused(level: int) -> None:
    with pytest.raises(MaskUnusableError, match="covers the whole photo"):
        planned(encoded(scene(), "PNG"), encoded(Image.new("L", (96, 72), level), "PNG"))


def test_a_mask_that_covers_everything_once_grown_is_refused() -> None:
    with pytest.raises(MaskUnusableError, match="covers the whole photo"):
        planned(encoded(scene(), "PNG"), spot((96, 72), (0, 0, 95, 71)), grow=30)


def test_no_mask_at_all_is_refused() -> None:
    with pytest.raises(MaskUnusableError):
        planned(encoded(scene(), "PNG"))


def test_a_plan_survives_json_and_the_jobs_table() -> None:
    plan = planned(encoded(scene(1400, 500), "PNG"), spot((1400, 500), (40, 200, 100, 260)), limit=500)

    stored = json.loads(json.dumps(plan.to_dict()))
    again = FillPlan.from_dict(stored, hole=plan.hole)

    assert again.hole == plan.hole
    assert again.to_dict() == plan.to_dict()
    assert not again.windows[0].as_is
    assert FillPlan.from_dict(json.loads(json.dumps(stored), parse_float=Decimal)).to_dict() == plan.to_dict()
