"""How an AVIF or HEIC is coded: its result has colours in no lower resolution, and says what is not kept."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, JpegImagePlugin

from cleanplate.imaging import writing
from cleanplate.imaging.boxes import Coding, coding_of, jpeg2000_depth
from tests.unit.imaging.test_untouched import walk
from tests.unit.imaging.variants import encoded, pixels, random_mask, scene

SAMPLINGS = ("4:2:0", "4:2:2", "4:4:4")


def avif(sampling: str = "4:2:0", *, matrix: int | None = None, **how: Any) -> bytes:
    content = encoded(scene(), "AVIF", **{"quality": 90, "subsampling": sampling, **how})
    at = content.index(b"nclx") + 8
    return content if matrix is None else content[:at] + matrix.to_bytes(2, "big") + content[at + 2 :]


def heic(sampling: str, depth: int = 8) -> bytes:
    file = io.BytesIO()
    levels = np.asarray(scene()).astype(np.uint16) << 8
    picture = (
        pillow_heif.from_pillow(scene())
        if depth == 8
        else pillow_heif.from_bytes(mode="RGB;16", size=scene().size, data=levels.tobytes())
    )
    picture.save(file, quality=90, chroma=int(sampling.replace(":", "")))
    return file.getvalue()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_an_avif_keeps_the_resolution_of_its_colours(sampling: str) -> None:
    walked = walk(avif(sampling), random_mask(scene().size, 5))
    assert coding_of(io.BytesIO(walked.result)) == Coding(8, sampling, reversible=False)
    assert walked.notes == ()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_jpeg_of_a_heic_keeps_the_resolution_of_its_colours(sampling: str) -> None:
    walked = walk(heic(sampling), random_mask(scene().size, 5))
    with Image.open(io.BytesIO(walked.result)) as result:
        assert JpegImagePlugin.get_sampling(result) == 2 - SAMPLINGS.index(sampling)


def test_the_bits_of_a_heic_are_known() -> None:
    assert coding_of(io.BytesIO(heic("4:4:4", 10))) == Coding(10, "4:4:4", reversible=False)


@pytest.mark.parametrize(("matrix", "reversible"), [(0, True), (1, False), (6, False), (16, True), (17, True)])
def test_a_matrix_that_loses_nothing_is_known(matrix: int, reversible: bool) -> None:
    assert coding_of(io.BytesIO(avif(matrix=matrix))).reversible == reversible


def test_a_lossless_avif_comes_back_nearly_so_and_says_it() -> None:
    photo = avif("4:4:4", matrix=0)
    walked = walk(photo, random_mask(scene().size, 5))
    assert any("coded without loss" in note for note in walked.notes)
    before, after = (pixels(Image.open(io.BytesIO(each)).convert("RGB")) for each in (photo, walked.result))
    assert np.abs(before - after)[walked.hole == 0].max() <= 3


def test_a_very_large_avif_has_colours_in_half_resolution_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_FULL_COLOUR_PIXELS", 1000)
    walked = walk(avif("4:4:4"), random_mask(scene().size, 5))
    assert coding_of(io.BytesIO(walked.result)).sampling == "4:2:0"
    assert any("half of it" in note for note in walked.notes)


def test_grey_stays_grey() -> None:
    walked = walk(encoded(scene().convert("L"), "AVIF", quality=90), random_mask(scene().size, 5))
    assert coding_of(io.BytesIO(walked.result)) == Coding(8, "", reversible=False)


@pytest.mark.parametrize("content", [b"", b"\xff\x4f\xff\x51\x00", b"\x00\x00\x00\x0cjP  \r\n\x87\n", bytes(100)])
def test_a_file_that_says_nothing_has_no_coding(content: bytes) -> None:
    assert jpeg2000_depth(io.BytesIO(content)) == (0, 0)
    assert coding_of(io.BytesIO(content)) == Coding()
