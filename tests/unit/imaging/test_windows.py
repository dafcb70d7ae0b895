"""Where to crop: native resolution wherever it fits, as much around the hole as the limit allows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cleanplate.imaging.windows import GRID, MARGIN_PIXELS, MARGIN_SHARE, crop_for, plan_crops

Box = tuple[int, int, int, int]


def holes(size: tuple[int, int], *boxes: Box) -> Image.Image:
    mask = Image.new("L", size)
    for box in boxes:
        mask.paste(255, box)
    return mask


@st.composite
def photos_with_a_hole(draw: st.DrawFn) -> tuple[tuple[int, int], Box, int]:
    size = draw(st.integers(20, 12_000)), draw(st.integers(20, 12_000))
    left, top = draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))
    return (
        size,
        (left, top, draw(st.integers(left + 1, size[0])), draw(st.integers(top + 1, size[1]))),
        draw(st.sampled_from([4000, 6000, 10_000, 640])),
    )


@settings(max_examples=2 * settings().max_examples)
@given(photos_with_a_hole())
def test_a_window_always_fits_holds_the_hole_and_is_as_sharp_as_it_can_be(
    case: tuple[tuple[int, int], Box, int],
) -> None:
    (width, height), hole, limit = case
    crop = crop_for(hole, (width, height), limit)
    left, top, right, bottom = crop.window

    assert 0 <= left <= hole[0] < hole[2] <= right <= width
    assert 0 <= top <= hole[1] < hole[3] <= bottom <= height
    assert 1 <= crop.sent_width <= limit
    assert 1 <= crop.sent_height <= limit
    assert left % GRID == top % GRID == 0
    # Proportions survive the scaling, to within a pixel.
    assert abs((bottom - top) * crop.scale - crop.sent_height) <= 1
    assert abs((right - left) * crop.scale - crop.sent_width) <= 1
    native = (right - left, bottom - top) == (crop.sent_width, crop.sent_height)
    margins = [min(MARGIN_PIXELS, round(side * MARGIN_SHARE)) for side in (hole[2] - hole[0], hole[3] - hole[1])]
    needed = [
        min(hole[2] + margins[0], width) - max(hole[0] - margins[0], 0),
        min(hole[3] + margins[1], height) - max(hole[1] - margins[1], 0),
    ]
    if max(needed) + GRID <= limit:
        assert native
        # The largest window there is, less what the grid costs at the far border.
        assert right - left >= min(width, limit - GRID)
        assert bottom - top >= min(height, limit - GRID)
    assert left == 0 or hole[0] - left >= margins[0]
    assert top == 0 or hole[1] - top >= margins[1]
    assert right == width or right - hole[2] >= margins[0]
    assert bottom == height or bottom - hole[3] >= margins[1]


def test_a_small_photo_is_one_window() -> None:
    (crop,) = plan_crops(holes((900, 700), (10, 10, 60, 60), (800, 600, 880, 690)), 4000, 2)
    assert (crop.window, crop.scale) == ((0, 0, 900, 700), 1)


def test_nothing_to_fill_needs_no_window() -> None:
    assert plan_crops(holes((900, 700)), 400, 2) == []


def test_near_holes_share_a_window_at_native_resolution() -> None:
    (crop,) = plan_crops(holes((8000, 6000), (3000, 2000, 3400, 2500), (4300, 3000, 4700, 3300)), 4000, 2)
    assert crop.scale == 1


FAR = holes((8000, 6000), (200, 300, 700, 900), (7200, 4900, 7800, 5600))


def test_far_apart_holes_get_a_window_each_where_that_keeps_more_detail() -> None:
    crops = plan_crops(FAR, 4000, 2)
    assert [crop.scale for crop in crops] == [1, 1]
    assert {crop.hole for crop in crops} == {(200, 300, 700, 900), (7200, 4900, 7800, 5600)}


def test_one_window_is_all_there_is_where_the_stack_pays_for_one() -> None:
    (crop,) = plan_crops(FAR, 4000, 1)
    assert crop.hole == (200, 300, 7800, 5600)
    assert crop.scale == pytest.approx(0.5, abs=0.02)


def test_three_far_holes_and_two_windows_keep_the_larger_share() -> None:
    mask = holes((12_000, 4000), (100, 100, 300, 300), (700, 100, 1900, 1300), (11_000, 100, 11_900, 900))
    crops = plan_crops(mask, 4000, 2)
    assert [crop.scale for crop in crops] == [1, 1]
    assert {crop.hole for crop in crops} == {(100, 100, 1900, 1300), (11_000, 100, 11_900, 900)}


def test_a_second_window_must_be_worth_its_call() -> None:
    # One hole is too large for native resolution anyway, the other is a crumb.
    mask = holes((9000, 9000), (500, 500, 8500, 8400), (8700, 8700, 8720, 8720))
    assert len(plan_crops(mask, 4000, 2)) == 1


def test_parts_of_the_hole_for_two_windows_never_overlap() -> None:
    first, second = (crop.hole for crop in plan_crops(FAR, 4000, 2))
    assert first[2] <= second[0] or second[2] <= first[0] or first[3] <= second[1] or second[3] <= first[1]
