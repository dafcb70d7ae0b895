"""Before, mask and after, as the page shows them."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from cleanplate.errors import CleanplateError
from cleanplate_cli.triptych import hole_in_frame, preview, triptych


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_the_mask_shows_what_was_filled_and_nothing_beside_it() -> None:
    """A hole's lesser levels are encoded again together with it, and not filled."""
    photo = _png(Image.new("RGB", (90, 30), "red"))
    hole = Image.new("L", (90, 30))
    hole.paste(170, (30, 0, 60, 30))
    hole.paste(255, (60, 0, 90, 30))
    mask = triptych(photo, photo, _png(hole)).mask
    assert [mask.getpixel((across, 15)) for across in (15, 45, 75)] == [(0, 0, 0), (0, 0, 0), (255, 255, 255)]


@pytest.mark.parametrize("size", [(9, 6), (90, 60)])
def test_a_hole_lies_where_it_was_filled(size: tuple[int, int]) -> None:
    """A stack keeps the box of the hole; an older one kept all of the frame."""
    window = {"x": 0, "y": 0, "width": 90, "height": 60, "sent_width": 90, "sent_height": 60}
    fill: dict[str, object] = {"width": 90, "height": 60, "grow": 1, "feather": 0, "covered": 0.1, "detail": 1}
    fill["windows"] = [{**window, "hole_box": [40, 20, 49, 26], "image_media_type": ""}]
    hole = Image.new("L", size, 255 if size == (9, 6) else 0)
    if size != (9, 6):
        hole.paste(255, (40, 20, 49, 26))
    with Image.open(io.BytesIO(hole_in_frame(_png(hole), fill))) as frame:
        assert (frame.size, frame.getbbox()) == ((90, 60), (40, 20, 49, 26))


def test_sixteen_bits_of_grey_are_shown_as_they_look() -> None:
    assert preview(_png(Image.new("I;16", (64, 64), 40_000))).getpixel((32, 32)) == (156, 156, 156)


def test_what_cannot_be_read_has_no_picture() -> None:
    with pytest.raises(CleanplateError):
        preview(b"this is no photograph")
