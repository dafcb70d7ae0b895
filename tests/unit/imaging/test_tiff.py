"""TIFF: every tag that says something about the photo stays to the byte, and samples mean what they meant."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Literal

import exifread
import numpy as np
import pytest
import pyvips
from PIL import Image

from cleanplate.errors import (
    PhotoRefusedError,
    UnsupportedFormatError,
)
from cleanplate.imaging import inspect_photo, make_view
from cleanplate.models import Options
from tests.unit.imaging.test_untouched import Walked, walk
from tests.unit.imaging.variants import pixels, random_mask, scene

BYTE, ASCII, SHORT, LONG, UNDEFINED, DOUBLE = 1, 2, 3, 4, 7, 12
WIDTH, HEIGHT = 96, 72
Tag = tuple[int, int, int, bytes]


def tiff(
    levels: np.ndarray, photometric: int, *tags: Tag, order: Literal["<", ">"] = "<", extra: Sequence[int] = ()
) -> bytes:
    """Return an uncompressed TIFF of ``levels`` (rows, columns, channels) and ``tags`` (number, kind, count, bytes)."""
    height, width, samples = levels.shape
    depth = levels.dtype.itemsize * 8

    def shorts(*numbers: int) -> bytes:
        return struct.pack(f"{order}{len(numbers)}H", *numbers)

    data = levels.astype(levels.dtype.newbyteorder(order)).tobytes()
    own: dict[int, Tag] = {
        256: (256, LONG, 1, struct.pack(order + "I", width)),
        257: (257, LONG, 1, struct.pack(order + "I", height)),
        258: (258, SHORT, samples, shorts(*[depth] * samples)),
        262: (262, SHORT, 1, shorts(photometric)),
        273: (273, LONG, 1, struct.pack(order + "I", 8)),
        277: (277, SHORT, 1, shorts(samples)),
        279: (279, LONG, 1, struct.pack(order + "I", len(data))),
    }
    if extra:
        own[338] = (338, SHORT, len(extra), shorts(*extra))
    own |= {tag[0]: tag for tag in tags}
    at = 8 + len(data) + len(data) % 2
    behind = at + 2 + 12 * len(own) + 4
    entries, values = b"", b""
    for number, kind, count, value in sorted(own.values()):
        place = value.ljust(4, b"\x00")
        if len(value) > 4:
            place = struct.pack(order + "I", behind + len(values))
            values += value + bytes(len(value) % 2)
        entries += struct.pack(order + "HHI", number, kind, count) + place
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(order + "I", at)
    return head + data.ljust(at - 8, b"\x00") + struct.pack(order + "H", len(own)) + entries + bytes(4) + values


def rgb() -> np.ndarray:
    return np.asarray(scene(WIDTH, HEIGHT))


def grey16() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 65_536, (HEIGHT, WIDTH, 1), dtype=np.uint16)


def walked(photo: bytes, options: Options | None = None) -> Walked:
    return walk(photo, random_mask((WIDTH, HEIGHT), 2), options=options)


def tags_of(content: bytes) -> dict[str, str]:
    """Return what another reader finds."""
    return {name: str(value) for name, value in exifread.process_file(io.BytesIO(content), details=False).items()}


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_grey_in_which_zero_is_white_stays_a_positive(order: Literal["<", ">"]) -> None:
    levels = grey16()
    photo = tiff(65_535 - levels, 0, order=order)
    try:
        facts = inspect_photo(io.BytesIO(photo), max_megapixels=9)
    except PhotoRefusedError:
        # The decoder knows it in one byte order only.
        assert order == ">"
        return
    shown = pixels(Image.open(io.BytesIO(make_view(io.BytesIO(photo), facts, limit=4000).content)).convert("L"))
    assert np.corrcoef(shown.ravel(), levels.ravel())[0, 1] > 0.95
    result = walked(photo)
    after = pyvips.Image.new_from_buffer(result.result, "").numpy()
    assert np.array_equal(after[result.hole == 0], levels[..., 0][result.hole == 0])


@pytest.mark.parametrize(
    ("levels", "photometric", "tags", "extra"),
    [
        (np.zeros((HEIGHT, WIDTH, 4), np.uint8), 2, (), (0,)),
        (np.zeros((HEIGHT, WIDTH, 5), np.uint8), 2, (), (2, 0)),
        (np.zeros((HEIGHT, WIDTH, 5), np.uint8), 5, (), (0,)),
        (np.zeros((HEIGHT, WIDTH, 2), np.uint8), 1, (), (0,)),
        (np.zeros((HEIGHT, WIDTH, 1), np.uint8), 1, ((339, SHORT, 1, b"\x02\x00"),), ()),
        (np.zeros((HEIGHT, WIDTH, 1), np.uint16), 1, ((339, SHORT, 1, b"\x02\x00"),), ()),
        (np.zeros((HEIGHT, WIDTH, 1), np.uint32), 1, (), ()),
        (np.zeros((HEIGHT, WIDTH, 3), np.uint8), 6, (), ()),
    ],
    ids=["rgb+1", "rgba+1", "cmyk+spot", "grey+1", "signed-8", "signed-16", "32-bit", "ycbcr-subsampled"],
)
def test_samples_that_cannot_be_kept_are_refused_by_name(
    levels: np.ndarray, photometric: int, tags: tuple[Tag, ...], extra: tuple[int, ...]
) -> None:
    with pytest.raises(UnsupportedFormatError):
        inspect_photo(io.BytesIO(tiff(levels, photometric, *tags, extra=extra)), max_megapixels=9)


def test_ycbcr_becomes_rgb_and_is_said() -> None:
    levels = np.asarray(scene(WIDTH, HEIGHT).convert("YCbCr"))
    result = walked(tiff(levels, 6, (530, SHORT, 2, struct.pack("<2H", 1, 1))))
    assert any("YCbCr" in note for note in result.notes)
    after = pixels(Image.open(io.BytesIO(result.result)))
    assert np.abs(after - rgb())[result.hole == 0].max() <= 3


ODD_TAGS: tuple[Tag, ...] = (
    (270, ASCII, 9, "Müller".encode() + b"\x00\x00"),
    (315, ASCII, 7, "Müller".encode("cp1252") + b"\x00"),
    (33432, ASCII, 14, "© Jörg".encode() + b"\x00\x00\x00\x00\x00\x00"),
    (33550, DOUBLE, 3, struct.pack("<3d", 1, 1, 0)),
    (33922, DOUBLE, 6, struct.pack("<6d", 0, 0, 0, 7.1, 50.7, 0)),
    (34735, SHORT, 4, struct.pack("<4H", 1, 1, 0, 0)),
    (33723, LONG, 3, b"\x1c\x02\x05\x00\x05Title\x00\x00"),
    (282, 5, 1, struct.pack("<2I", 3, 7)),
    (50000, UNDEFINED, 5, b"\x00\x01\x02\x03\x04"),
    (65000, SHORT, 1, b"\x07\x00"),
    (305, BYTE, 4, b"what"),
)


def raw_tags(content: bytes) -> dict[int, Tag]:
    """Return the first directory as it lies in the file (little-endian), read by other means than ours."""
    (at,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, at)
    found = {}
    for place in range(at + 2, at + 2 + 12 * count, 12):
        number, kind, many = struct.unpack_from("<HHI", content, place)
        size = many * {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8}[kind]
        start = struct.unpack_from("<I", content, place + 8)[0] if size > 4 else place + 8
        found[number] = (number, kind, many, content[start : start + size])
    return found


def test_odd_tags_stay_to_the_byte() -> None:
    odd = tuple(
        (number, kind, count, value[: count * {2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8, 1: 1}[kind]])
        for number, kind, count, value in ODD_TAGS
    )
    result = walked(tiff(rgb(), 2, *odd))
    after = raw_tags(result.result)
    assert {tag[0]: after.get(tag[0]) for tag in odd} == {tag[0]: tag for tag in odd}
    assert not result.notes
    assert np.array_equal(
        pyvips.Image.new_from_buffer(result.result, "").numpy()[result.hole == 0], rgb()[result.hole == 0]
    )


def test_no_resolution_is_made_up() -> None:
    after = raw_tags(walked(tiff(rgb(), 2)).result)
    assert not {282, 283, 296} & set(after)


def test_no_resolution_is_made_up_in_another_format() -> None:
    with Image.open(io.BytesIO(walked(tiff(rgb(), 2), Options(output_format="jpeg")).result)) as after:
        assert after.info["jfif_unit"] == 0
    with Image.open(io.BytesIO(walked(tiff(rgb(), 2), Options(output_format="png")).result)) as after:
        assert "dpi" not in after.info


def test_a_tiff_of_the_other_byte_order_keeps_its_numbers() -> None:
    photo = tiff(
        rgb(), 2, (282, 5, 1, struct.pack(">2I", 300, 1)), (34735, SHORT, 4, struct.pack(">4H", 1, 1, 0, 9)), order=">"
    )
    after = raw_tags(walked(photo).result)
    assert after[282][3] == struct.pack("<2I", 300, 1)
    assert after[34735][3] == struct.pack("<4H", 1, 1, 0, 9)


def test_photoshops_layers_are_left_out_and_said() -> None:
    layers = b"Adobe Photoshop Document Data Block\x008BIM" + bytes(40)
    result = walked(tiff(rgb(), 2, (37724, UNDEFINED, len(layers), layers)))
    assert 37724 not in raw_tags(result.result)
    assert any("layers" in note for note in result.notes)


def test_turned_pixels_have_no_place_on_the_ground_any_more() -> None:
    place = (33922, DOUBLE, 6, struct.pack("<6d", 0, 0, 0, 7.1, 50.7, 0))
    photo = tiff(rgb(), 2, place, (274, SHORT, 1, b"\x06\x00"))
    result = walk(photo, random_mask((HEIGHT, WIDTH), 2))
    assert {274, 33922}.isdisjoint(raw_tags(result.result))
    assert any("GeoTIFF" in note for note in result.notes)


def test_a_tag_that_says_the_photo_lies_on_its_side_does_not_turn_it_twice() -> None:
    xmp = b'<x:xmpmeta><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    photo = tiff(rgb(), 2, (274, SHORT, 1, b"\x06\x00"), (700, BYTE, len(xmp), xmp))
    result = walk(photo, random_mask((HEIGHT, WIDTH), 2))
    with Image.open(io.BytesIO(result.result)) as after:
        assert after.size == (HEIGHT, WIDTH)
        assert after.getexif().get(274, 1) == 1
    assert b'tiff:Orientation="1"' in result.result


def test_what_a_tiff_says_goes_along_into_another_format() -> None:
    photo = tiff(rgb(), 2, *[tag for tag in ODD_TAGS if tag[0] in (270, 282)])
    seen = tags_of(walked(photo, Options(output_format="jpeg")).result)
    assert seen["Image XResolution"] == "3/7"
    assert "ller" in seen["Image ImageDescription"]
