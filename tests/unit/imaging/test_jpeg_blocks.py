"""A JPEG's result: every block outside the hole keeps its coefficients to the bit, whatever kind of JPEG it is."""

from __future__ import annotations

import io
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from cleanplate.imaging import jpeg_blocks
from cleanplate.imaging.jpeg_blocks import BlocksUnavailableError, JpegBlocks, Layout, find_library
from cleanplate.imaging.orientation import stored
from cleanplate.models import Options
from tests.unit.imaging import coefficients
from tests.unit.imaging.coefficients import Jpeg, invented, pillow_reads
from tests.unit.imaging.test_untouched import Walked, walk
from tests.unit.imaging.variants import encoded, exif, random_mask, scene

JFIF = (0xE0, b"JFIF\x00\x01\x02\x01\x00\x48\x00\x48\x00\x00")
AS_A_WHOLE = "encoded again as a whole"


def adobe(transform: int) -> tuple[int, bytes]:
    return (0xEE, b"Adobe\x00\x64\x00\x00\x00\x00" + bytes([transform]))


def touched(walked: Walked, picture: Jpeg) -> list[np.ndarray[Any, np.dtype[np.bool_]]]:
    """Return for each component which blocks share a pixel with the hole, counted pixel by pixel."""
    hole = np.asarray(stored(Image.fromarray((walked.hole == 255).astype(np.uint8)), walked.facts.orientation)) > 0
    across = max(each.across for each in picture.components)
    down = max(each.down for each in picture.components)
    found = []
    for each in picture.components:
        high, wide = 8 * down // each.down, 8 * across // each.across
        marks = np.zeros((each.rows, each.columns), bool)
        rows, columns = np.nonzero(hole)
        marks[rows // high, columns // wide] = True
        found.append(marks)
    return found


def assert_exact(walked: Walked) -> None:
    """Fail unless blocks outside are equal, some inside are not, and all that describes them is the photo's own."""
    before, after = coefficients.read(walked.photo), coefficients.read(walked.result)
    assert not any(AS_A_WHOLE in note for note in walked.notes), walked.notes
    assert (after.width, after.height, after.progressive) == (before.width, before.height, before.progressive)
    assert after.quantisation == before.quantisation
    assert after.restart_interval == before.restart_interval
    changed = False
    for old, new, marks in zip(before.components, after.components, touched(walked, before), strict=True):
        assert (old.number, old.across, old.down, old.table) == (new.number, new.across, new.down, new.table)
        assert np.array_equal(old.shown[~marks], new.shown[~marks])
        changed = changed or not np.array_equal(old.shown[marks], new.shown[marks])
    assert changed


SAMPLINGS = {
    "4:4:4": ((1, 1), (1, 1), (1, 1)),
    "4:2:2": ((2, 1), (1, 1), (1, 1)),
    "4:2:0": ((2, 2), (1, 1), (1, 1)),
    "4:4:0": ((1, 2), (1, 1), (1, 1)),
    "4:1:1": ((4, 1), (1, 1), (1, 1)),
    "4:1:0": ((4, 2), (1, 1), (1, 1)),
    "4:4:4 written as 2x2": ((2, 2), (2, 2), (2, 2)),
    "chroma of two kinds": ((2, 2), (2, 1), (1, 2)),
    "luma is the coarser one": ((1, 1), (2, 2), (2, 2)),
    "grey": ((1, 1),),
    "grey with sampling": ((2, 2),),
    "cmyk": ((1, 1), (1, 1), (1, 1), (1, 1)),
    "cmyk halved": ((2, 2), (1, 1), (1, 1), (2, 2)),
}
#: Their blocks are too many for a common scan.
SEPARATE = {"4:4:4 written as 2x2"}


def made(name: str, width: int = 101, height: int = 77, **how: Any) -> Jpeg:
    picture = invented(width, height, SAMPLINGS[name], **how)
    picture.segments = [JFIF] if len(picture.components) == 3 else [adobe(2)] if name == "cmyk halved" else []
    return picture


def with_orientation(picture: Jpeg, orientation: int) -> Jpeg:
    picture.segments.append((0xE1, exif(orientation)))
    return picture


def bytes_of(name: str, picture: Jpeg) -> bytes:
    return coefficients.write(picture, interleaved=name not in SEPARATE)


def upright_mask(picture: Jpeg, orientation: int, seed: int = 3) -> Image.Image:
    size = (picture.width, picture.height)
    return random_mask(size if orientation < 5 else (size[1], size[0]), seed)


# ----------------------------------------------------------------------------------------------------------------------
# The judge


@pytest.mark.parametrize("name", SAMPLINGS)
def test_the_judge_reads_what_it_writes(name: str) -> None:
    picture = made(name)
    again = coefficients.read(bytes_of(name, picture))
    for one, other in zip(picture.components, again.components, strict=True):
        assert np.array_equal(one.shown, other.shown)


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 3}])
def test_the_judge_reads_what_pillow_writes(how: dict[str, Any]) -> None:
    """The mean of a block is its first coefficient: what Pillow decodes must agree with it."""
    picture = scene(96, 72).convert("L")
    content = encoded(picture, "JPEG", quality=90, **how)
    read = coefficients.read(content)
    means = np.asarray(pillow_reads(content), np.float64).reshape(9, 8, 12, 8).mean((1, 3))
    decoded = read.components[0].shown[..., 0] * read.quantisation[0][0] / 8 + 128
    assert np.abs(means - decoded).max() < 2


# ----------------------------------------------------------------------------------------------------------------------
# Every kind of JPEG


@pytest.mark.parametrize(
    ("name", "orientation"),
    # Each in two orientations, one of which makes columns of rows; and each orientation with a quarter of them.
    [(name, orientation) for number, name in enumerate(SAMPLINGS) for orientation in range(1 + number % 4, 9, 4)],
)
def test_every_sampling_keeps_its_blocks(name: str, orientation: int) -> None:
    picture = with_orientation(made(name), orientation)
    walked = walk(bytes_of(name, picture), upright_mask(picture, orientation))
    assert walked.facts.orientation == orientation
    assert_exact(walked)


@pytest.mark.parametrize("interval", [1, 5, 7])
@pytest.mark.parametrize("name", ["4:2:0", "4:4:0", "grey", "cmyk"])
def test_restart_markers_stay(name: str, interval: int) -> None:
    picture = made(name)
    picture.restart_interval = interval
    assert_exact(walk(bytes_of(name, picture), upright_mask(picture, 1)))


def test_tables_of_16_bits_stay() -> None:
    picture = made("4:2:0", step=12)
    picture.quantisation = {0: [12] * 40 + [700] * 24}
    assert_exact(walk(bytes_of("4:2:0", picture), upright_mask(picture, 1)))


def test_scans_of_one_component_each_are_read() -> None:
    picture = made("4:2:0")
    assert_exact(walk(coefficients.write(picture, interleaved=False), upright_mask(picture, 1)))


PILLOWS: dict[str, Callable[[Image.Image, bytes], bytes]] = {
    "baseline": lambda image, tags: encoded(image, "JPEG", quality=88, exif=tags),
    "optimised": lambda image, tags: encoded(image, "JPEG", quality=88, exif=tags, optimize=True),
    "progressive": lambda image, tags: encoded(image, "JPEG", quality=88, exif=tags, progressive=True),
    "progressive grey": lambda image, tags: encoded(image.convert("L"), "JPEG", exif=tags, progressive=True),
    "progressive cmyk": lambda image, tags: encoded(image.convert("CMYK"), "JPEG", exif=tags, progressive=True),
    "progressive with restarts": lambda image, tags: encoded(
        image, "JPEG", exif=tags, progressive=True, restart_marker_blocks=4
    ),
    "progressive with restarts by rows": lambda image, tags: encoded(
        image, "JPEG", exif=tags, progressive=True, restart_marker_rows=1
    ),
    "colours as RGB": lambda image, tags: encoded(image, "JPEG", exif=tags, keep_rgb=True, subsampling=0),
}


@pytest.mark.parametrize("name", PILLOWS)
@pytest.mark.parametrize("orientation", [1, 6])
def test_what_other_encoders_write_keeps_its_blocks(name: str, orientation: int) -> None:
    photo = PILLOWS[name](scene(120, 90), exif(orientation))
    size = (120, 90) if orientation < 5 else (90, 120)
    assert_exact(walk(photo, random_mask(size, 3)))


@settings(max_examples=settings().max_examples // 4)
@given(
    st.sampled_from(sorted(SAMPLINGS)),
    st.integers(1, 8),
    st.tuples(st.integers(40, 120), st.integers(40, 120)),
    st.integers(0, 2**32 - 1),
    st.sampled_from([64, 97, 4000]),
    st.sampled_from([0, 3, 9]),
)
def test_any_jpeg_with_any_mask_keeps_its_blocks(
    name: str, orientation: int, size: tuple[int, int], seed: int, limit: int, interval: int
) -> None:
    picture = with_orientation(made(name, *size, seed=seed), orientation)
    picture.restart_interval = interval
    mask = upright_mask(picture, orientation, seed)
    assert_exact(walk(bytes_of(name, picture), mask, limit=limit, options=Options(grow=2, feather=2)))


def high(picture: Image.Image, object_colour: str = "red") -> tuple[Image.Image, Image.Image]:
    """Return a picture with something near its top, and the mask of it."""
    mask = Image.new("L", picture.size)
    for image, colour in ((picture, object_colour), (mask, 255)):
        ImageDraw.Draw(image).ellipse([30, 20, 60, 50], fill=colour)
    return picture, mask


JUNK = b"\x12\x34\x56"


@pytest.mark.parametrize(
    ("mode", "seed"),
    [(mode, seed) for number, mode in enumerate(("RGB", "L", "CMYK")) for seed in range(number % 2, 6, 2)],
)
def test_behind_the_hole_the_photos_own_bits_go_on(mode: str, seed: int) -> None:
    """What no decoder shows is the proof: bytes between the last block and the end mark."""
    picture, mask = high(scene(104 + 8 * seed, 208))
    photo = encoded(picture.convert(mode), "JPEG", quality=60 + 6 * seed)
    photo = photo[:-2] + JUNK + photo[-2:]
    walked = walk(photo, mask, options=Options(grow=seed))
    assert_exact(walked)
    tail = int.from_bytes(photo[-40:-2].replace(b"\xff\x00", b"\xff"), "big")
    ours = int.from_bytes(walked.result[-48:-2].replace(b"\xff\x00", b"\xff"), "big")
    assert any(ours >> shift & (1 << 200) - 1 == tail & (1 << 200) - 1 for shift in range(9))


@pytest.mark.parametrize("colour", ["white", "black", "#7f7f7f"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_flat_picture_in_which_no_place_is_certain_is_encoded_on(colour: str, mode: str) -> None:
    picture, mask = high(Image.new("RGB", (320, 400), colour))
    photo = encoded(picture.convert(mode), "JPEG")
    walked = walk(photo, mask)
    assert_exact(walked)


def test_a_large_hole_is_painted_in_bands_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = Image.new("L", (200, 150))
    ImageDraw.Draw(mask).rectangle([20, 20, 170, 130], fill=255)
    for orientation in (1, 3, 6):
        photo = encoded(stored(scene(200, 150), orientation), "JPEG", quality=90, exif=exif(orientation))
        whole = walk(photo, mask)
        with monkeypatch.context() as patch:
            patch.setattr("cleanplate.imaging.painting._BAND_PIXELS", 700)
            patch.setattr("cleanplate.imaging.painting._BAND_ROWS", 1)
            banded = walk(photo, mask)
        assert_exact(banded)
        away = np.abs(np.asarray(pillow_reads(banded.result), int) - np.asarray(pillow_reads(whole.result), int))
        # Where two bands meet, the second is blended with what the first has painted.
        assert away.mean() < 0.1
        assert away.max() <= 16


# ----------------------------------------------------------------------------------------------------------------------
# The fallback


@dataclass
class Failing:
    """A way in which the process can fail, and what the note then says."""

    name: str
    arrange: Callable[[pytest.MonkeyPatch, Path], None]
    note: str


def _no_library(patch: pytest.MonkeyPatch, _: Path) -> None:
    patch.setattr(jpeg_blocks, "_LIBRARIES", ())


def _other_library(patch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "libjpeg.so").write_bytes(b"no library")
    patch.setattr(jpeg_blocks, "find_library", lambda: str(folder / "libjpeg.so"))


def _worker(code: str) -> Callable[[pytest.MonkeyPatch, Path], None]:
    def arrange(patch: pytest.MonkeyPatch, folder: Path) -> None:
        (folder / "worker.py").write_text(code)
        for module in ("jpeg_coefficients", "libjpeg", "scan_bits"):
            shutil.copy(jpeg_blocks._WORKER.with_name(f"{module}.py"), folder)
        patch.setattr(jpeg_blocks, "_WORKER", folder / "worker.py")

    return arrange


def _after_the_header(code: str) -> Callable[[pytest.MonkeyPatch, Path], None]:
    """Arrange the real process up to its first answer, then ``code``."""
    real = jpeg_blocks._WORKER.read_text()
    return _worker(real.replace("    photo.begin(top, bottom)\n", f"    import os, time\n    {code}\n"))


def _hanging(patch: pytest.MonkeyPatch, folder: Path) -> None:
    _after_the_header("time.sleep(600)")(patch, folder)
    patch.setattr(jpeg_blocks, "_PATIENCE_SECONDS", 0.5)


def _no_process(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setattr(sys, "executable", str(folder / "gone"))


FAILINGS = [
    Failing("no process", _no_process, "no process can be started"),
    Failing("no library", _no_library, "no libjpeg of its own"),
    Failing("a file that is no library", _other_library, "libjpeg.so"),
    Failing("the process ends at once", _worker("raise SystemExit(3)"), "ended with 3"),
    Failing("it crashes", _after_the_header(f"os.kill(os.getpid(), {int(signal.SIGSEGV)})"), "ended with -11"),
    Failing("it runs out of memory", _after_the_header("raise MemoryError"), "MemoryError"),
    Failing("it hangs", _hanging, "ended with -9"),
]


@pytest.mark.parametrize(
    ("failing", "kind"),
    [(failing, ("baseline", "progressive cmyk", "colours as RGB")[at % 3]) for at, failing in enumerate(FAILINGS)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_without_blocks_the_whole_photo_is_encoded_again(
    failing: Failing, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = PILLOWS[kind](scene(120, 90), exif(6))
    failing.arrange(monkeypatch, tmp_path)
    walked = walk(photo, random_mask((90, 120), 3))
    assert [note for note in walked.notes if AS_A_WHOLE in note and failing.note in note], walked.notes
    before, after = coefficients.read(photo), coefficients.read(walked.result)
    assert after.quantisation == before.quantisation
    assert [(marker, data) for marker, data in after.segments if marker == 0xE1 and data[:4] == b"Exif"] == [
        (marker, data) for marker, data in before.segments if marker == 0xE1
    ]
    outside = np.asarray(stored(Image.fromarray((walked.hole == 0).astype(np.uint8)), 6)) > 0
    away = np.abs(np.asarray(pillow_reads(walked.result), int) - np.asarray(pillow_reads(photo), int))
    assert away[outside].mean() < 3


def test_a_ycck_photo_keeps_its_colours_when_encoded_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    picture = made("cmyk halved")
    photo = bytes_of("cmyk halved", picture)
    _no_library(monkeypatch, tmp_path)
    walked = walk(photo, upright_mask(picture, 1))
    away = np.abs(np.asarray(pillow_reads(walked.result), int) - np.asarray(pillow_reads(photo), int))
    assert away[walked.hole == 0].mean() < 12


def test_what_libjpeg_says_of_a_damaged_file_is_in_the_error() -> None:
    damaged = encoded(scene(64, 64), "JPEG").replace(b"\xff\xc0", b"\xff\xc3")
    with (
        pytest.raises(BlocksUnavailableError, match="color conversion"),
        tempfile.TemporaryFile() as result,
        JpegBlocks(io.BytesIO(damaged), result, (0, 64)) as blocks,
    ):
        blocks.crop((0, 0, 16, 16))


def test_a_photo_whose_position_is_anywhere_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(scene(64, 64), "JPEG"))
    with path.open("rb") as file, tempfile.TemporaryFile() as result:
        file.read(100)
        with JpegBlocks(file, result, (0, 64)) as blocks:
            assert blocks.layout == Layout(64, 64, ((2, 2), (1, 1), (1, 1)))
        assert file.tell() == 100


def test_the_library_is_the_one_that_pillow_brought() -> None:
    assert "libjpeg" in Path(find_library()).name


def test_no_process_and_no_file_is_left_behind() -> None:
    photo = io.BytesIO(encoded(scene(64, 64), "JPEG"))
    with tempfile.TemporaryFile() as result, JpegBlocks(photo, result, (0, 64)) as blocks:
        assert blocks.layout.width == 64
        process = blocks._process
    assert process.returncode is not None


# ----------------------------------------------------------------------------------------------------------------------
# Which blocks


@given(st.sampled_from(sorted(SAMPLINGS)), st.integers(0, 10**6))
@settings(max_examples=settings().max_examples // 2)
def test_one_pixel_touches_one_block_of_each_component(name: str, seed: int) -> None:
    layout = Layout(128, 128, SAMPLINGS[name])
    rng = np.random.default_rng(seed)
    x, y = (int(value) for value in rng.integers(0, 128, 2))
    weights = Image.new("L", (128, 128))
    weights.putpixel((x, y), 1)
    for marks, (across, down) in zip(layout.touched_blocks(weights), SAMPLINGS[name], strict=True):
        wide, high = layout.mcu[0] // across, layout.mcu[1] // down
        columns = 128 // wide
        assert [at for at, mark in enumerate(marks) if mark] == [y // high * columns + x // wide]


def test_areas_are_widened_to_whole_mcus_within_the_photo() -> None:
    layout = Layout(101, 77, ((2, 2), (1, 1), (1, 1)))
    assert layout.around((17, 5, 40, 33)) == (16, 0, 48, 48)
    assert layout.around((17, 5, 40, 33), 1) == (0, 0, 64, 64)
    assert layout.around((90, 70, 101, 77)) == (80, 64, 101, 77)
