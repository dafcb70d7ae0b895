"""Masks and fills, whatever they are made of: they are used as they are meant or refused by name."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from cleanplate.errors import (
    FillUnusableError,
    MaskUnusableError,
    OwnMaskBlankError,
    OwnMaskSizeError,
    OwnMaskUnreadableError,
)
from cleanplate.imaging import PhotoFacts, check_own_mask
from cleanplate.imaging.filling import Window
from cleanplate.imaging.masks import union_of
from cleanplate.imaging.painting import _fill
from cleanplate.imaging.png import chunk
from cleanplate.imaging.reading import quiet

SIZE = (24, 16)
FACTS = PhotoFacts("jpeg", *SIZE, 1, "RGB", 1, has_alpha=False, profile="none")
WINDOW = Window(0, 0, *SIZE, *SIZE, hole_box=(0, 0, *SIZE))
FORMATS = {
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "TIFF": ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "F", "I", "I;16", "LAB", "YCbCr"],
    "JPEG": ["L", "RGB", "CMYK"],
    "GIF": ["1", "L", "P"],
    "BMP": ["1", "L", "P", "RGB"],
    "WEBP": ["RGB", "RGBA"],
}


def png(width: int, height: int, data: bytes, depth: int = 1, colour: int = 0) -> bytes:
    """Return a PNG that claims what it likes."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


#: So few bytes, so many pixels.
BOMB = png(60_000, 60_000, bytes(7_501 * 8))


@st.composite
def pictures(draw: st.DrawFn) -> bytes:
    """Return a picture of some format, mode, size and content; sometimes cut short, overwritten or no picture."""
    form = draw(st.sampled_from(sorted(FORMATS)))
    mode = draw(st.sampled_from(FORMATS[form]))
    size = draw(st.sampled_from([SIZE, SIZE, (1, 1), (48, 32), (24, 17), (16, 24), (240, 160)]))
    seed = draw(st.integers(0, 99))
    levels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    image = Image.fromarray(levels)
    if mode == "LAB":
        image = Image.merge("LAB", image.split()[:3])
    elif mode == "I;16":
        image = Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
    else:
        image = (
            image.convert("L").convert(mode) if mode in {"F", "I", "LA", "P"} else image.convert("RGB").convert(mode)
        )
    if draw(st.booleans()):
        image = Image.new(image.mode, size, draw(st.sampled_from([0, 1])))
    out = io.BytesIO()
    image.save(out, form)
    content = bytearray(out.getvalue())
    for at, level in draw(st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=4)):
        content[int(at * len(content))] = level
    return bytes(content[: int(len(content) * draw(st.sampled_from([1.0, 1.0, 0.9, 0.3])))]) + draw(
        st.binary(max_size=3)
    )


@given(masks=st.lists(pictures() | st.binary(max_size=200), max_size=3), invert=st.booleans())
@example(masks=[BOMB], invert=False)
@example(masks=[png(24, 16, b"")], invert=False)
@example(masks=[png(0, 0, b"")], invert=True)
@example(masks=[png(2**31 - 1, 1, b"")], invert=True)
def test_any_masks_become_one_grey_picture_or_a_named_refusal(masks: list[bytes], invert: Any) -> None:
    try:
        union = quiet(union_of)(masks, SIZE, invert=invert)
    except MaskUnusableError:
        return
    assert union.mode == "L"
    assert abs(union.width / union.height - SIZE[0] / SIZE[1]) < 0.6


@given(content=pictures() | st.binary(max_size=200))
@example(content=BOMB)
@example(content=png(24, 16, b""))
def test_whatever_ones_own_mask_is_it_fits_or_is_refused_by_name(content: bytes) -> None:
    try:
        check_own_mask(io.BytesIO(content), FACTS)
    except (OwnMaskUnreadableError, OwnMaskSizeError, OwnMaskBlankError):
        return
    assert quiet(union_of)([content], SIZE, invert=False).size == SIZE


@given(content=pictures() | st.binary(max_size=200))
@example(content=BOMB)
@example(content=png(24, 16, b""))
def test_whatever_the_fill_is_it_fits_or_is_refused_by_name(content: bytes) -> None:
    try:
        fill = quiet(_fill)(content, WINDOW)
    except FillUnusableError:
        return
    assert (fill.mode, fill.size) == ("RGB", SIZE)


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of megapixels in a hundred bytes: of the size alone one can tell."""

    def decoded(*_: Any, **__: Any) -> None:
        raise AssertionError("it was decoded")

    for module in ("masks", "painting"):
        monkeypatch.setattr(f"cleanplate.imaging.{module}.decode", decoded)
    with pytest.raises(MaskUnusableError, match="megapixels"):
        union_of([BOMB], SIZE, invert=False)
    with pytest.raises(OwnMaskSizeError):
        check_own_mask(io.BytesIO(BOMB), FACTS)
    with pytest.raises(FillUnusableError, match="60000 x 60000"):
        _fill(BOMB, WINDOW)
