from __future__ import annotations

import io

from PIL import Image

from cleanplate_cli.triptych import triptych


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
