"""Nothing is lost in silence: what was in a photo and is not in its result has a note."""

from __future__ import annotations

import io
import struct
from typing import Literal

import pillow_heif
import pytest
from PIL import Image, PngImagePlugin

from cleanplate.imaging.inventory import differences, take_inventory
from cleanplate.imaging.png import chunk
from cleanplate.models import Options
from tests.unit.imaging.test_untouched import walk
from tests.unit.imaging.variants import BY_NAME, VARIANTS, WIDE, XMP, encoded, exif, random_mask, scene


def listed(content: bytes, picture_format: str) -> set[str]:
    return set(take_inventory(io.BytesIO(content), picture_format))


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data


def jpeg_with(*segments: bytes, tail: bytes = b"", **how: object) -> bytes:
    plain = encoded(scene(), "JPEG", **how)
    return plain[:2] + b"".join(segments) + plain[2:] + tail


def test_a_jpeg_is_listed_part_by_part() -> None:
    resources = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00\x048888" + b"8BIM\x04\x0c\x00\x00\x00\x00\x00\x02ab"
    photo = jpeg_with(
        segment(0xE1, b"FLIR\x00\x01"),
        segment(0xE3, b"\x00\x01"),
        segment(0xED, resources),
        tail=b"behind",
        exif=exif(6),
        xmp=XMP,
        icc_profile=WIDE,
        comment=b"words",
        progressive=True,
    )
    assert listed(photo, "jpeg") == {
        *("tag 0x010f", "tag 0x010e", "tag 0x8298", "EXIF tag 0x829a", "EXIF tag 0x9003"),
        *("XMP data", "colour profile", "comment", "IPTC data", "APP1 segment FLIR", "APP3 segment"),
        "6 bytes behind the picture's end",
    }


def test_a_png_is_listed_part_by_part() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    info.add_text("Title", "A title")
    info.add(b"tIME", bytes(7))
    photo = encoded(scene().quantize(9), "PNG", pnginfo=info, icc_profile=WIDE, exif=exif(1), transparency=0)
    assert listed(photo, "png") >= {"XMP data", 'text "Title"', "PNG chunk tIME", "colour profile", "tag 0x010f"}
    assert not {name for name in listed(photo, "png") if "tRNS" in name or "PLTE" in name}


def test_webp_heic_avif_and_gif_are_listed() -> None:
    picture = scene()
    common = {"tag 0x010f", "EXIF tag 0x829a", "XMP data", "colour profile"}
    for picture_format, ours in (("WEBP", "webp"), ("AVIF", "avif"), ("HEIF", "heic")):
        photo = encoded(picture, picture_format, exif=exif(1), xmp=XMP, icc_profile=WIDE)
        assert common <= listed(photo, ours), picture_format
    riff = encoded(picture, "WEBP", exif=exif(1))
    odd = b"ODDY" + struct.pack("<I", 3) + b"abc\x00"
    longer = riff[:4] + struct.pack("<I", len(riff) - 8 + len(odd)) + riff[8:] + odd
    assert "WebP chunk ODDY" in listed(longer, "webp")
    assert listed(encoded(picture.quantize(9), "GIF", comment=b"words"), "gif") == {"comment"}


def test_what_is_missing_or_changed_is_named() -> None:
    before = {"a": b"1", "b": b"2", "c": b"", "d": b"4"}
    assert differences(before, before) == []
    assert differences(before, {"a": b"1", "c": b"", "d": b"5", "e": b"6"}) == [
        "Not in the result: b.",
        "Changed in the result: d.",
    ]
    many = {f"tag {number}": b"" for number in range(20, 40)}
    assert differences(many, {})[0].endswith("tag 31 and 8 more.")


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_ordinary_photos_have_nothing_to_be_said(variant: object) -> None:
    photo = BY_NAME[variant.name].make(scene(), 1)  # type: ignore[attr-defined]
    result = walk(photo, random_mask(scene().size, 3))
    assert not [note for note in result.notes if "in the result:" in note]


@pytest.mark.parametrize(
    ("output_format", "parts"),
    [("png", {"APP3 segment"}), ("webp", {"comment", "APP3 segment", "IPTC data"})],
)
def test_what_another_format_has_no_place_for_is_said(output_format: Literal["png", "webp"], parts: set[str]) -> None:
    resources = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00\x048888"
    photo = jpeg_with(segment(0xE3, b"\x00\x01"), segment(0xED, resources), comment=b"words", exif=exif(1), xmp=XMP)
    result = walk(photo, random_mask(scene().size, 3), options=Options(output_format=output_format))
    (note,) = [note for note in result.notes if "Not in the result:" in note]
    assert set(note.removeprefix("Not in the result: ").rstrip(".").split(", ")) == parts


def test_parts_of_a_heic_that_are_no_picture_are_said() -> None:
    buffer = io.BytesIO()
    made = pillow_heif.from_pillow(scene())
    made.info["metadata"] = [{"type": "mime", "content_type": "application/json", "data": b"{}"}]
    made.save(buffer, quality=80)
    names = listed(buffer.getvalue(), "heic")
    result = walk(buffer.getvalue(), random_mask(scene().size, 3))
    assert all(any(name in note for note in result.notes) for name in names)


@pytest.mark.parametrize("picture_format", ["jpeg", "png", "webp", "tiff", "avif", "heic", "jpeg2000", "gif"])
def test_what_cannot_be_read_ends_the_list_and_nothing_else(picture_format: str) -> None:
    name = {"jpeg2000": "JPEG2000", "heic": "HEIF"}.get(picture_format, picture_format.upper())
    whole = encoded(scene(), name)
    for size in range(0, min(len(whole), 600), 7):
        take_inventory(io.BytesIO(whole[:size]), picture_format)
        noisy = bytearray(whole)
        noisy[size] ^= 0xFF
        take_inventory(io.BytesIO(bytes(noisy)), picture_format)
    with Image.open(io.BytesIO(whole)) as image:
        assert image.size


@pytest.mark.parametrize(
    ("chunks", "missing"),
    [
        ([(b"sRGB", b"\x00"), (b"gAMA", (45_455).to_bytes(4, "big"))], ""),
        ([(b"cICP", bytes([12, 13, 0, 1]))], ""),
        ([(b"pHYs", struct.pack(">IIB", 2835, 2835, 1))], ""),
        ([(b"tEXt", b"Comment\x00words")], "comment"),
        ([(b"pHYs", struct.pack(">IIB", 2, 1, 0))], "shape of the pixels"),
    ],
)
def test_of_a_png_only_what_a_jpeg_does_not_say_is_missing(chunks: list[tuple[bytes, bytes]], missing: str) -> None:
    plain = encoded(scene(), "PNG")
    photo = plain[:33] + b"".join(chunk(name, data) for name, data in chunks) + plain[33:]
    result = walk(photo, random_mask(scene().size, 3), options=Options(output_format="jpeg"))
    assert [note for note in result.notes if "Not in" in note] == (
        [f"Not in the result: {missing}."] if missing else []
    )
