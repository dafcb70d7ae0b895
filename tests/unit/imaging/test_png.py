"""PNG: what chunks say of a photo stays, changed only where the result's pixels have another form."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import pyvips
from PIL import Image

from cleanplate.imaging import inspect_photo, make_view
from cleanplate.imaging.exif import orientation_of
from cleanplate.imaging.png import carried, raw_profiles, read_chunks
from tests.unit.imaging.test_untouched import Walked, walk
from tests.unit.imaging.variants import XMP, exif, pixels, png_with, random_mask, raw_profile, scene

IPTC = b"\x1c\x02\x05\x00\x05Title"
RESOURCE = b"8BIM\x04\x04\x00\x00" + len(IPTC).to_bytes(4, "big") + IPTC


def walked(photo: bytes) -> Walked:
    return walk(photo, random_mask(scene().size, 1))


def chunks_of(content: bytes) -> dict[bytes, bytes]:
    return dict(read_chunks(io.BytesIO(content)))


CHUNKS = [
    (b"sBIT", b"\x05\x06\x05"),
    (b"bKGD", b"\x00\xff\x00\x01\x00\xff"),
    (b"tIME", struct.pack(">H5B", 2026, 1, 2, 3, 4, 5)),
    (b"pHYs", struct.pack(">IIB", 2, 1, 0)),
    (b"sPLT", b"few\x00\x08" + bytes(6)),
    (b"oFFs", bytes(9)),
    (b"vpAg", bytes(9)),
    (b"tEXt", b"Title\x00Gr\xfc\xdfe"),
    (b"zTXt", b"Workflow\x00\x00" + zlib.compress(b"{}" * 50)),
    (b"iTXt", b"Author\x00\x00\x00de\x00Urheber\x00M\xc3\xbcller"),
]


def test_every_chunk_about_the_photo_stays_to_the_byte() -> None:
    result = walked(png_with(*CHUNKS))
    assert set(CHUNKS) <= set(read_chunks(io.BytesIO(result.result)))
    assert not result.notes
    after = pyvips.Image.new_from_buffer(result.result, "").numpy()
    assert np.array_equal(after[result.hole == 0], np.asarray(scene())[result.hole == 0])


def test_no_resolution_is_made_up() -> None:
    assert b"pHYs" not in chunks_of(walked(png_with()).result)


def test_a_chunk_that_may_depend_on_the_pixels_is_left_out_and_said() -> None:
    result = walked(png_with((b"vpAG", b"?")))
    assert b"vpAG" not in chunks_of(result.result)
    assert "Not in the result: PNG chunk vpAG." in result.notes


def head(depth: int, kind: int) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", 1, 1, depth, kind, 0, 0, 0)


@pytest.mark.parametrize(
    ("chunks", "mode", "expected"),
    [
        ([head(8, 2), (b"sBIT", b"\x05\x06\x05")], "RGBA", b"\x05\x06\x05\x08"),
        ([head(16, 2), (b"sBIT", b"\x10\x0c\x10")], "RGB", b"\x08\x08\x08"),
        ([head(16, 0), (b"sBIT", b"\x0c")], "I;16", b"\x0c"),
        ([head(8, 3), (b"sBIT", b"\x05\x06\x05")], "RGB", b"\x05\x06\x05"),
        ([head(8, 6), (b"sBIT", b"\x05\x06\x05\x08")], "RGB", b"\x05\x06\x05"),
        ([head(8, 4), (b"sBIT", b"\x05\x06")], "RGBA", None),
        ([head(8, 3), (b"PLTE", bytes(range(9))), (b"bKGD", b"\x02")], "RGB", b"\x00\x06\x00\x07\x00\x08"),
        ([head(8, 3), (b"PLTE", bytes(range(9))), (b"bKGD", b"\x03")], "RGB", None),
        ([head(16, 2), (b"bKGD", b"\xff\xff\x00\x00\x80\x80")], "RGB", b"\x00\xff\x00\x00\x00\x80"),
        ([head(2, 0), (b"bKGD", b"\x00\x02")], "L", b"\x00\xaa"),
        ([head(16, 0), (b"bKGD", b"\x12\x34")], "I;16", b"\x12\x34"),
    ],
)
def test_chunks_follow_the_form_of_the_pixels(
    chunks: list[tuple[bytes, bytes]], mode: str, expected: bytes | None
) -> None:
    name = chunks[-1][0]
    assert dict(carried(chunks, mode)).get(name) == expected


def test_raw_profiles_come_out_as_what_they_hold() -> None:
    chunks = [
        raw_profile(b"APP1", exif(6)),
        raw_profile(b"xmp", XMP),
        raw_profile(b"iptc", RESOURCE),
        raw_profile(b"icc", b"\x00"),
        (b"zTXt", b"Raw profile type exif\x00\x00no compression"),
    ]
    assert raw_profiles(chunks) == {"exif": exif(6), "xmp": XMP, "photoshop": RESOURCE + b"\x00"[: len(RESOURCE) % 2]}
    assert raw_profiles([raw_profile(b"iptc", IPTC)])["photoshop"].startswith(RESOURCE)


def test_what_imagemagick_keeps_as_text_goes_along() -> None:
    result = walked(png_with(raw_profile(b"APP1", exif(6)), raw_profile(b"xmp", XMP), raw_profile(b"iptc", RESOURCE)))
    chunks = read_chunks(io.BytesIO(result.result))
    assert orientation_of(dict(chunks)[b"eXIf"]) == 6
    found = raw_profiles(chunks)
    assert b"from the original" in found["xmp"]
    assert IPTC in found["photoshop"]
    assert not result.notes


@pytest.mark.parametrize("key", [0, 26_214, 65_535])
def test_a_transparent_level_of_16_bits_alone_stays_transparent(key: int) -> None:
    levels = np.random.default_rng(4).integers(0, 65_536, (72, 96), dtype=np.uint16)
    levels[20:50, :] = key
    photo = png_with((b"tRNS", key.to_bytes(2, "big")), image=Image.fromarray(levels))
    facts = inspect_photo(io.BytesIO(photo), max_megapixels=9)
    assert facts.has_alpha
    shown = pixels(Image.open(io.BytesIO(make_view(io.BytesIO(photo), facts, limit=4000).content)).convert("L"))
    assert shown[25:45].min() > 240
    result = walked(photo)
    assert chunks_of(result.result)[b"tRNS"] == key.to_bytes(2, "big")
    with Image.open(io.BytesIO(result.result)) as after:
        assert np.array_equal(np.asarray(after) == key, levels == key)
        assert np.array_equal(np.asarray(after)[result.hole == 0], levels[result.hole == 0])
