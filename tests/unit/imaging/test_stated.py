"""Colours that a file states without a profile: what is sent looks the same, and the result states them again."""

from __future__ import annotations

import io
import struct
from typing import Any, Literal

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms, ImageEnhance, ImageFilter

from cleanplate.errors import UnsupportedFormatError
from cleanplate.imaging import inspect_photo, make_view, profiles
from cleanplate.imaging.boxes import boxes, content
from cleanplate.imaging.colour import from_srgb, kind_of_profile, to_srgb
from cleanplate.imaging.png import read_chunks
from cleanplate.models import Options
from tests.unit.imaging.test_untouched import walk
from tests.unit.imaging.variants import WIDE, encoded, exif, pixels, png_with, random_mask, scene

P3, BT2020 = 12, 9
SRGB_CURVE, PQ, HLG = 13, 16, 18


def stating(picture: bytes, primaries: int, transfer: int) -> bytes:
    """Return an AVIF or HEIC with other code points than its encoder wrote."""
    at = picture.index(b"nclx") + 4
    return picture[:at] + struct.pack(">HH", primaries, transfer) + picture[at + 4 :]


def code_points(picture: bytes) -> tuple[int, ...]:
    file = io.BytesIO(picture)
    found = [content(file, box) for box in boxes(file) if box.kind == b"colr"]
    (points,) = [data for data in found if data.startswith(b"nclx")]
    return struct.unpack(">HH", points[4:8])


def sent(photo: bytes) -> np.ndarray[Any, Any]:
    """Return what Adobe is shown, as pixels."""
    facts = inspect_photo(io.BytesIO(photo), max_megapixels=100)
    return pixels(Image.open(io.BytesIO(make_view(io.BytesIO(photo), facts, limit=4000).content)))


def as_another_sees(image: Image.Image, profile: str) -> np.ndarray[Any, Any]:
    """Return ``image`` converted from libvips' own profile of that name to sRGB."""
    seen = pyvips.Image.new_from_array(np.asarray(image)).copy(interpretation="srgb")
    return np.asarray(
        seen.icc_transform("srgb", input_profile=profile, intent="relative", black_point_compensation=True).numpy()
    ).astype(np.int64)


def test_the_profile_made_for_p3_is_p3() -> None:
    colours = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    ours = to_srgb(colours, profiles.profile_of_code_points(P3, SRGB_CURVE, grey=False))
    assert np.abs(pixels(ours) - as_another_sees(colours, "p3")).max() <= 3


@pytest.mark.parametrize(("primaries", "transfer"), [(1, SRGB_CURVE), (2, 2), (1, 1), (1, 6), (0, 0), (999, 999)])
def test_what_is_srgb_needs_no_profile(primaries: int, transfer: int) -> None:
    assert profiles.profile_of_code_points(primaries, transfer, grey=False) == b""


@pytest.mark.parametrize("primaries", sorted(profiles._PRIMARIES))
@pytest.mark.parametrize("transfer", [4, 5, 8, SRGB_CURVE, PQ, HLG, 17])
def test_white_stays_white_and_grey_stays_grey(primaries: int, transfer: int) -> None:
    greys = Image.new("RGB", (256, 1))
    greys.putdata([(level, level, level) for level in range(256)])
    seen = pixels(to_srgb(greys, profiles.profile_of_code_points(primaries, transfer, grey=False)))[0]
    assert np.abs(seen - seen.mean(axis=-1, keepdims=True)).max() <= 2
    assert seen[0].max() == 0
    assert seen[255].min() >= 254
    assert (np.diff(seen[:, 1]) >= 0).all()


def test_a_hundred_nits_are_where_bt2100_has_them() -> None:
    """100 cd/m2 are 50.8 % of PQ's signal: about half of the white of 203 cd/m2, which sRGB writes as 186."""
    grey = Image.new("RGB", (1, 1), (130, 130, 130))
    seen = pixels(to_srgb(grey, profiles.profile_of_code_points(BT2020, PQ, grey=False)))
    assert np.abs(seen - 186).max() <= 3


@pytest.mark.parametrize("transfer", [SRGB_CURVE, 8, PQ, HLG])
def test_a_fill_looks_the_same_after_its_way_back(transfer: int) -> None:
    profile = profiles.profile_of_code_points(BT2020, transfer, grey=False)
    fill = scene()
    back = to_srgb(from_srgb(fill, profile, "RGB"), profile)
    # Eight bits of linear light tell dark tones badly apart.
    assert np.abs(pixels(back) - pixels(fill)).mean() < (6 if transfer == 8 else 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda picture: png_with((b"cICP", bytes([P3, SRGB_CURVE, 0, 1])), image=picture),
        lambda picture: stating(encoded(picture, "AVIF", quality=95, subsampling="4:4:4"), P3, SRGB_CURVE),
        lambda picture: stating(encoded(picture, "HEIF", quality=95, chroma=444), P3, SRGB_CURVE),
    ],
    ids=["png", "avif", "heic"],
)
def test_p3_is_sent_as_it_looks(make: Any) -> None:
    picture = ImageEnhance.Color(scene().filter(ImageFilter.GaussianBlur(4))).enhance(2.5)
    looks = as_another_sees(picture, "p3")
    away, unconverted = np.abs(sent(make(picture)) - looks), np.abs(pixels(picture) - looks)
    assert away.mean() < 2.5
    assert unconverted.mean() > 2 * away.mean()


@pytest.mark.parametrize("points", [(P3, SRGB_CURVE), (BT2020, PQ), (BT2020, HLG), (1, SRGB_CURVE)])
def test_an_avif_states_its_code_points_again(points: tuple[int, int]) -> None:
    walked = walk(stating(encoded(scene(), "AVIF"), *points), random_mask(scene().size, 1))
    assert code_points(walked.result) == points
    assert "icc_profile" not in Image.open(io.BytesIO(walked.result)).info


@pytest.mark.parametrize("points", [(P3, SRGB_CURVE), (BT2020, PQ), (BT2020, HLG)])
def test_a_png_carries_what_states_its_colours(points: tuple[int, int]) -> None:
    own = ((b"cICP", bytes([*points, 0, 1])), (b"mDCV", bytes(24)), (b"cLLI", bytes(8)))
    walked = walk(png_with(*own), random_mask(scene().size, 1))
    chunks = read_chunks(io.BytesIO(walked.result))
    assert set(own) < set(chunks)
    assert b"iCCP" not in dict(chunks)
    assert not walked.notes


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_a_heic_of_high_range_becomes_a_png_that_says_so(transfer: int) -> None:
    walked = walk(stating(encoded(scene(), "HEIF"), BT2020, transfer), random_mask(scene().size, 1))
    assert walked.extension == ".png"
    assert dict(read_chunks(io.BytesIO(walked.result)))[b"cICP"] == bytes([BT2020, transfer, 0, 1])


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_high_range_that_a_format_cannot_hold_becomes_srgb_and_is_said(output_format: Literal["jpeg", "webp"]) -> None:
    photo = png_with((b"cICP", bytes([BT2020, PQ, 0, 1])))
    walked = walk(photo, random_mask(scene().size, 1), options=Options(output_format=output_format))
    assert any("PQ" in note for note in walked.notes)
    shown = pixels(Image.open(io.BytesIO(walked.result)).convert("RGB"))
    assert np.abs(shown - sent(photo))[walked.hole == 0].mean() < 4


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_high_range_keeps_its_alpha_or_lies_on_white(output_format: Literal["jpeg", "webp"]) -> None:
    picture = scene()
    picture.putalpha(128)
    photo = png_with((b"cICP", bytes([BT2020, PQ, 0, 1])), image=picture)
    walked = walk(photo, random_mask(picture.size, 1), options=Options(output_format=output_format))
    after = Image.open(io.BytesIO(walked.result))
    if output_format == "jpeg":
        assert any("transparency" in note for note in walked.notes)
        assert np.abs(pixels(after) - sent(photo))[walked.hole == 0].mean() < 4
    else:
        assert after.getchannel("A").getextrema() == (128, 128)
        opaque = sent(png_with((b"cICP", bytes([BT2020, PQ, 0, 1]))))
        assert np.abs(pixels(after.convert("RGB")) - opaque)[walked.hole == 0].mean() < 4


@pytest.mark.parametrize(
    "photo",
    [stating(encoded(scene(), "HEIF"), P3, SRGB_CURVE), png_with((b"cICP", bytes([P3, SRGB_CURVE, 0, 1])))],
    ids=["heic", "png"],
)
def test_p3_becomes_a_jpeg_with_a_profile(photo: bytes) -> None:
    walked = walk(photo, random_mask(scene().size, 1), options=Options(output_format="jpeg"))
    with Image.open(io.BytesIO(walked.result)) as after:
        profile = after.info["icc_profile"]
    assert kind_of_profile(profile, "RGB") == "other"
    # Another reader takes it, and for what it is.
    seen = pyvips.Image.new_from_buffer(walked.result, "").icc_transform("srgb", embedded=True)
    away = np.abs(seen.numpy().astype(int) - as_another_sees(Image.open(io.BytesIO(walked.result)), "p3"))
    assert away.max() <= 3


@pytest.mark.parametrize(
    ("chunks", "kind"),
    [
        ([(b"gAMA", struct.pack(">I", 45455))], "none"),
        ([(b"gAMA", struct.pack(">I", 100_000))], "other"),
        ([(b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\x00")], "none"),
        ([(b"gAMA", struct.pack(">I", 55_556))], "other"),
        ([(b"gAMA", struct.pack(">I", 0))], "none"),
        ([(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))], "none"),
        ([(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))], "other"),
        ([(b"cHRM", bytes(32))], "none"),
        ([(b"cICP", bytes([P3, SRGB_CURVE, 0, 1])), (b"sRGB", b"\x00")], "other"),
        ([(b"cICP", bytes([BT2020, PQ, 0, 1]))], "pq"),
        ([(b"cICP", bytes([BT2020, HLG, 0, 1]))], "hlg"),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_what_a_png_says_of_its_colours_is_understood(chunks: list[tuple[bytes, bytes]], kind: str, mode: str) -> None:
    photo = png_with(*chunks, image=scene().convert(mode))
    expected = "none" if mode == "L" and kind == "other" and b"gAMA" not in dict(chunks) else kind
    facts = inspect_photo(io.BytesIO(photo), max_megapixels=100)
    assert facts.profile == expected
    walked = walk(photo, random_mask(scene().size, 1))
    assert set(chunks) <= set(read_chunks(io.BytesIO(walked.result)))


def test_linear_light_is_sent_brightened() -> None:
    linear = Image.new("RGB", (64, 64), (55, 55, 55))
    # 55/255 of the light are about half of sRGB's range.
    assert np.abs(sent(png_with((b"gAMA", struct.pack(">I", 100_000)), image=linear)) - 128).max() <= 2


def test_a_jpeg_2000_keeps_its_profile_xmp_and_exif() -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description dc:source="here"/></rdf:RDF></x:xmpmeta>'
    plain = encoded(scene(), "JPEG2000")
    at = plain.index(b"jp2h") - 4
    size = int.from_bytes(plain[at : at + 4], "big")
    head = plain[at + 8 : at + size]
    colour = head.index(b"colr") - 4
    own = struct.pack(">I", 8 + 3 + len(WIDE)) + b"colr\x02\x00\x00" + WIDE
    head = head[:colour] + own + head[colour + int.from_bytes(head[colour : colour + 4], "big") :]
    uuid = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
    photo = (
        plain[:at] + struct.pack(">I", 8 + len(head)) + b"jp2h" + head + plain[at + size :]
        + struct.pack(">I", 24 + len(packet)) + b"uuid" + uuid + packet
        + struct.pack(">I", 24 + len(exif(6)) - 6) + b"uuid" + b"JpgTiffExif->JP2" + exif(6)[6:]
    )  # fmt: skip
    assert inspect_photo(io.BytesIO(photo), max_megapixels=100).profile == "other"
    walked = walk(photo, random_mask(scene().size, 1))
    with Image.open(io.BytesIO(walked.result)) as after:
        assert after.info["icc_profile"] == WIDE
        assert b'dc:source="here"' in after.info["xmp"]
        assert after.getexif()[0x010F] == "Kamera"
        # It is shown as it lies.
        assert after.getexif()[0x0112] == 1
    assert not [note for note in walked.notes if "in the result:" in note]


@pytest.mark.parametrize(("width", "height", "taken"), [(96, 72, True), (90, 72, False)])
def test_an_avif_that_is_cut_when_shown_is_refused(width: int, height: int, taken: bool) -> None:
    """The decoder hands out all of it."""
    photo = encoded(scene(), "AVIF")
    # In the place of the colours, which have the room: a cut, and what fills up the rest.
    at = photo.index(b"colr") - 4
    size = int.from_bytes(photo[at : at + 4], "big")
    cut = struct.pack(">I4s8I", 40, b"clap", width, 1, height, 1, 0, 1, 0, 1)
    photo = grown(photo, at, size, cut)
    if taken:
        assert inspect_photo(io.BytesIO(photo), max_megapixels=9).width == 96
    else:
        with pytest.raises(UnsupportedFormatError, match="clap"):
            inspect_photo(io.BytesIO(photo), max_megapixels=9)


def grown(photo: bytes, at: int, size: int, box: bytes) -> bytes:
    """Return ``photo`` with ``box`` for the one of ``size`` bytes at ``at``; the boxes around it and offsets follow."""
    more = len(box) - size
    head = bytearray(photo[:at])
    for kind in (b"meta", b"iprp", b"ipco"):
        place = head.index(kind) - 4
        head[place : place + 4] = (int.from_bytes(head[place : place + 4], "big") + more).to_bytes(4, "big")
    # One item with one extent: item, data reference, count, then the offset (ISO/IEC 14496-12, 8.11.3).
    offset = head.index(b"iloc") + 4 + 4 + 2 + 2 + 2 + 2 + 2
    head[offset : offset + 4] = (int.from_bytes(head[offset : offset + 4], "big") + more).to_bytes(4, "big")
    rest = bytearray(photo[at + size :])
    # The last association: a cut must be marked as essential.
    place = rest.index(b"ipma")
    rest[place - 4 + int.from_bytes(rest[place - 4 : place], "big") - 1] |= 0x80
    return bytes(head) + box + bytes(rest)


def test_the_profiles_are_whole() -> None:
    for grey in (False, True):
        made = profiles.profile_of_code_points(P3, 8, grey=grey)
        assert int.from_bytes(made[:4], "big") == len(made)
        opened = ImageCms.ImageCmsProfile(io.BytesIO(made)).profile
        assert opened.xcolor_space.strip() == ("GRAY" if grey else "RGB")
