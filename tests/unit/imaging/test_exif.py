"""EXIF: kept to the byte where it is sound, repaired where it is not; the photo stands as it stood, whatever its state."""

from __future__ import annotations

import io
import struct

import exifread
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from cleanplate.imaging.exif import clean_exif, fitted_exif, orientation_of, read_exif, with_orientation
from tests.unit.imaging.variants import encoded, exif, scene

THUMBNAIL = encoded(scene(64, 48), "JPEG")


def tags(content: bytes) -> dict[int, object]:
    read = Image.Exif()
    read.load(content)
    found: dict[int, object] = {**read, **read.get_ifd(0x8769)}
    found.pop(0x8769, None)
    return found


def test_the_thumbnail_goes_and_every_other_tag_stays() -> None:
    before = exif(6, thumbnail=THUMBNAIL)
    after = clean_exif(before, [])
    assert b"\xff\xd8\xff" in before
    assert b"\xff\xd8\xff" not in after
    assert tags(after) == tags(before)
    assert len(after) < len(before) - len(THUMBNAIL) + 2
    read = Image.Exif()
    read.load(after)
    assert read.get_ifd(1) == {}


def test_a_preview_in_the_makers_note_goes_and_the_note_keeps_its_place() -> None:
    note = b"MAKER\x00" + bytes(range(256)) + THUMBNAIL + b"the end of the note"
    data = Image.Exif()
    data[0x010F] = "Kamera"
    data.get_ifd(0x8769).update({0x927C: note, 0x829A: TiffImagePlugin.IFDRational(1, 60)})
    before = data.tobytes()
    after = clean_exif(before, [])
    assert len(after) == len(before)
    assert THUMBNAIL[:40] not in after
    assert bytes(range(256)) in after
    assert after.index(b"the end of the note") == before.index(b"the end of the note")


def test_exif_without_a_thumbnail_is_not_changed_at_all() -> None:
    assert clean_exif(exif(3), []) == exif(3)


@pytest.mark.parametrize("order", ["<", ">"])
def test_pixels_that_were_turned_say_so(order: str) -> None:
    content = TiffImagePlugin.ImageFileDirectory_v2(
        b"II*\x00\x00\x00\x00\x00" if order == "<" else b"MM\x00*\x00\x00\x00\x00"
    )
    content[0x0112] = 6
    content[0x010F] = "Kamera"
    header = b"II*\x00\x08\x00\x00\x00" if order == "<" else b"MM\x00*\x00\x00\x00\x08"
    whole = b"Exif\x00\x00" + header + content.tobytes(8)
    assert tags(whole)[0x0112] == 6
    assert tags(with_orientation(whole, 1)) == {0x0112: 1, 0x010F: "Kamera"}


@given(st.data())
def test_broken_exif_is_refused_or_cleared_but_never_crashes(data: st.DataObject) -> None:
    content = bytearray(exif(6, thumbnail=THUMBNAIL))
    for _ in range(data.draw(st.integers(0, 5))):
        content[data.draw(st.integers(6, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(6, len(content)))]
    notes: list[str] = []
    after = clean_exif(bytes(content), notes)
    assert after or notes
    for orientation in (1, 6):
        assert (orientation_of(with_orientation(after, orientation)) or 1) == orientation


def test_exif_is_given_its_prefix_once() -> None:
    for before in (exif(6), exif(6)[6:], b"Exif\x00\x00" + exif(6)):
        assert clean_exif(before, []) == exif(6)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pointer", [0xFFF0, 7777, 8, 3])
def test_a_pointer_that_leads_nowhere_is_zeroed_and_the_rest_stays(order: str, pointer: int) -> None:
    before = bare(order, pointer=pointer)
    assert clean_exif(before, []) == bare(order)


@pytest.mark.parametrize(("order", "header"), [("<", b"II\x00*"), (">", b"MM*\x00")])
def test_a_header_turned_around_is_put_right(order: str, header: bytes) -> None:
    before = bare(order)
    assert clean_exif(before[:6] + header + before[10:], []) == before


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_count_that_lies_costs_no_tag(order: str) -> None:
    before = bare(order)
    notes: list[str] = []
    after = clean_exif(before[:14] + struct.pack(order + "H", 30) + before[16:], notes)
    assert seen(after) == {"Image Orientation": "Rotated 90 CW", "Image Make": "Maker"}
    assert len(notes) == 1


def test_a_block_cut_behind_its_entries_keeps_its_orientation() -> None:
    before = bare("<")
    assert orientation_of(before[: 6 + 8 + 2 + 24]) == 6
    assert orientation_of(clean_exif(before[: 6 + 8 + 2 + 24], [])) == 6


def test_an_orientation_of_another_kind_is_understood_and_turned() -> None:
    before = bare(">", orientation=struct.pack(">HHII", 0x0112, 4, 1, 8))
    assert orientation_of(before) == 8
    assert seen(with_orientation(before, 1)) == {"Image Orientation": "Horizontal (normal)", "Image Make": "Maker"}


def test_where_nothing_can_be_read_a_turned_photo_still_says_so() -> None:
    notes: list[str] = []
    assert clean_exif(b"Exif\x00\x00 nothing of the kind", notes) == b""
    assert notes
    assert seen(with_orientation(b"", 8)) == {"Image Orientation": "Rotated 90 CCW"}
    assert with_orientation(b"", 1) == b""
    assert seen(with_orientation(bare("<", orientation=b""), 3))["Image Orientation"] == "Rotated 180"


def test_what_is_too_long_for_a_jpeg_goes_step_by_step() -> None:
    data = Image.Exif()
    data[0x0112] = 6
    data.get_ifd(0x8769).update({0x927C: bytes(40_000), 0x9286: b"comment" * 5000, 0x829A: (1, 60)})
    long = data.tobytes()
    notes: list[str] = []
    assert fitted_exif(long, 80_000, notes) == long
    assert fitted_exif(long + bytes(50_000), 80_000, notes) == long
    assert len(notes) == 1
    without_note = fitted_exif(long, 65_533, notes)
    assert "maker's note" in notes[-1]
    assert set(read_exif(without_note)[2].children[0x8769].values) == {0x9286, 0x829A}
    assert orientation_of(fitted_exif(long, 2_000, notes)) == 6


def bare(order: str, *, pointer: int = 0, orientation: bytes | None = None) -> bytes:
    """Return a block of an orientation and a maker, as a camera writes it."""
    turn = struct.pack(order + "HHIHH", 0x0112, 3, 1, 6, 0) if orientation is None else orientation
    count = 1 + len(turn) // 12
    make = struct.pack(order + "HHII", 0x010F, 2, 6, 8 + 2 + 12 * count + 4)
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(order + "IH", 8, count)
    return b"Exif\x00\x00" + head + make + turn + struct.pack(order + "I", pointer) + b"Maker\x00"


def seen(content: bytes) -> dict[str, str]:
    """Return what another reader finds."""
    found = exifread.process_file(io.BytesIO(encoded(Image.new("L", (8, 8)), "JPEG", exif=content)))
    return {name: str(value) for name, value in found.items() if not name.startswith("EXIF ExifOffset")}
