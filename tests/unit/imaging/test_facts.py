"""The first look: what a photo is, and every refusal that costs nothing."""

from __future__ import annotations

import contextlib
import io
import json
import re
import struct
import zlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, TiffImagePlugin

from cleanplate.adobe.errors import DownloadFailedError
from cleanplate.errors import (
    CleanplateError,
    EmptyPhotoError,
    NotAPhotoError,
    PhotoRefusedError,
    PhotoTooLargeError,
    PhotoTooSmallError,
    TruncatedPhotoError,
    UnsupportedFormatError,
)
from cleanplate.imaging import PhotoFacts, can_send_as_is, inspect_photo, make_view, verify_photo
from cleanplate.imaging.png import chunk
from local.demo.photographs import photograph
from tests.unit.imaging.variants import BY_NAME, VARIANTS, Variant, encoded, scene


def inspected(content: bytes, max_megapixels: float = 200) -> PhotoFacts:
    return inspect_photo(io.BytesIO(content), max_megapixels=max_megapixels)


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that promises much and holds nothing."""
    head = chunk(b"IHDR", width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


class CountingReader(io.BytesIO):
    """Counts what is read, as a reader of ranges from S3 would pay for it."""

    bytes_read = 0

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self.bytes_read += len(content)
        return content


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_it_recognises_what_a_photo_is(variant: Variant) -> None:
    facts = inspected(variant.make(scene(), 6 if variant.turns else 1))

    kind = variant.name.split("-")[0]
    assert facts.format == {"mpo": "jpeg", "apng": "png"}.get(kind, kind)
    assert facts.upright_size == (96, 72)
    assert facts.orientation == (6 if variant.turns and facts.format not in ("heic", "tiff") else 1)
    assert facts.has_alpha == variant.alpha
    assert facts.profile == ("other" if variant.icc else "none")
    assert (facts.frames > 1) == (variant.name in ("mpo", "apng", "tiff-pages", "gif-animation"))
    assert facts.megapixels == pytest.approx(0.006912)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("png-16-bit", "16 bits per channel"),
        ("gif-animation", "an animation of 3 frames"),
        ("apng", "an animation of"),
        ("tiff-pages", "2 pages"),
        ("mpo", "2 pictures"),
        ("jpeg-cmyk", "CMYK without a usable profile"),
    ],
)
def test_it_says_in_words_what_cannot_be_kept(name: str, words: str) -> None:
    assert any(words in note for note in inspected(BY_NAME[name].make(scene(), 1)).notes)


def test_sixteen_bits_of_grey_are_kept_and_need_no_note() -> None:
    assert inspected(BY_NAME["png-16-bit-grey"].make(scene(), 1)).notes == ()


def test_ten_bits_of_a_heic_are_named() -> None:
    import numpy as np
    import pillow_heif

    deep = (np.asarray(scene()).astype(np.uint16) << 2) << 6
    file = io.BytesIO()
    pillow_heif.from_bytes(mode="RGB;16", size=(96, 72), data=deep.tobytes()).save(file, quality=80)
    assert "10 bits per channel" in " ".join(inspected(file.getvalue()).notes)


def test_facts_survive_json_and_the_jobs_table() -> None:
    facts = inspected(BY_NAME["gif-animation"].make(scene(), 1))

    stored = json.loads(json.dumps(facts.to_dict()))

    assert PhotoFacts.from_dict(stored) == facts
    as_dynamodb_says = {key: Decimal(value) if type(value) is int else value for key, value in stored.items()}
    assert PhotoFacts.from_dict(as_dynamodb_says) == facts


@pytest.mark.parametrize("name", ["jpeg", "png", "tiff-lzw", "jpeg2000"])
def test_it_reads_little_of_a_large_file(name: str) -> None:
    content = BY_NAME[name].make(scene(800, 600, "grass"), 1)
    reader = CountingReader(content)

    inspect_photo(reader, max_megapixels=200)

    assert len(content) > 150_000
    assert reader.bytes_read < 70_000


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", EmptyPhotoError),
        (b"Dear all,\nplease find attached", NotAPhotoError),
        (b"PK\x03\x04" + bytes(60), NotAPhotoError),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", NotAPhotoError),
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41", NotAPhotoError),
        (b"8BPS\x00\x01" + bytes(60), UnsupportedFormatError),
        (b"BM" + bytes(60), UnsupportedFormatError),
        (b"%PDF-1.7", UnsupportedFormatError),
        (b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(60), UnsupportedFormatError),
        (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom", UnsupportedFormatError),
        (b"\xff\xd8\xff", TruncatedPhotoError),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x10\x00\x00\x00\x10\x00", TruncatedPhotoError),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", TruncatedPhotoError),
        (png_header(1, 1), PhotoTooSmallError),
        (png_header(1, 20_000), PhotoTooSmallError),
        (png_header(60_000, 60_000), PhotoTooLargeError),
        (png_header(70_000, 20), PhotoTooLargeError),
        (png_header(2**31 - 1, 2**31 - 1), PhotoTooLargeError),
        (encoded(Image.new("F", (64, 64)), "TIFF"), UnsupportedFormatError),
        (encoded(Image.new("LAB", (64, 64)), "TIFF"), UnsupportedFormatError),
    ],
)
def test_it_refuses_by_name_what_cannot_be_cleaned(content: bytes, error: type[CleanplateError]) -> None:
    with pytest.raises(error):
        inspected(content)


def test_a_camera_raw_photo_is_not_taken_for_its_thumbnail() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[50706] = b"\x01\x04\x00\x00"
    tags.tagtype[50706] = 1
    with pytest.raises(UnsupportedFormatError, match="raw"):
        inspected(encoded(scene(), "TIFF", tiffinfo=tags))


def test_sixty_thousand_pixels_wide_is_a_photo_when_the_budget_allows_it() -> None:
    assert inspected(encoded(Image.new("RGB", (60_000, 18)), "PNG")).width == 60_000


def test_the_budget_is_the_stacks() -> None:
    content = encoded(Image.new("L", (1000, 1001)), "PNG")
    assert inspected(content, max_megapixels=1.001).width == 1000
    with pytest.raises(PhotoTooLargeError, match=r"1\.0 megapixels; the limit is 1$"):
        inspected(content, max_megapixels=1)


def test_exif_that_does_not_parse_does_not_matter() -> None:
    facts = inspected(encoded(scene(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff"))
    assert facts.orientation == 1


def test_a_profile_that_does_not_parse_is_named() -> None:
    facts = inspected(encoded(scene(), "JPEG", icc_profile=b"not a profile" * 20))
    assert facts.profile == "unreadable"
    assert any("colour profile" in note for note in facts.notes)


def test_a_profile_is_srgb_by_what_it_does() -> None:
    from PIL import ImageCms

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert inspected(encoded(scene(), "JPEG", icc_profile=icc)).profile == "srgb"


@pytest.mark.parametrize("trouble", [ConnectionResetError, TimeoutError, DownloadFailedError])
def test_trouble_on_the_way_is_not_blamed_on_the_photo(trouble: type[Exception]) -> None:
    class BrokenLine(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if size is None or size < 0 or self.tell() + size > 100:
                raise trouble("the line is down")
            return super().read(size)

    for name in ("jpeg", "png", "webp", "tiff", "heic"):
        with pytest.raises(trouble):
            verify_photo(BrokenLine(BY_NAME[name].make(scene(160, 120), 1)))


# ----------------------------------------------------------------------------------------------------------------------
# Whole or not


def test_one_flipped_byte_in_a_png_is_found() -> None:
    content = bytearray(BY_NAME["png"].make(scene(), 1))
    content[len(content) // 2] ^= 0x55
    with pytest.raises(TruncatedPhotoError, match="checksum"):
        verify_photo(io.BytesIO(content))


def _tiff_of(**tags: int) -> bytes:
    """Return the head of a TIFF whose pixels are of a kind that no decoder here knows."""
    entries = {
        256: 32,
        257: 32,
        258: 32,
        259: 1,
        262: 2,
        273: 200,
        277: 1,
        279: 4096,
        **{int(k[1:]): v for k, v in tags.items()},
    }
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    head = b"II*\x00" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)
    return head.ljust(200, b"\x00") + bytes(4096)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (_tiff_of(_339=2, _258=24), "bits per sample 24"),
        (_tiff_of(_262=32803), "photometric interpretation 32803"),
        (encoded(scene(), "JPEG").replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c"), "12 bits"),
        (encoded(scene(), "JPEG").replace(b"\xff\xc0", b"\xff\xf7"), "JPEG-LS"),
    ],
    ids=["24 bits", "a sensor's mosaic", "12-bit JPEG", "JPEG-LS"],
)
def test_a_kind_that_is_not_taken_is_not_called_damage(content: bytes, kind: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=kind):
        inspected(content)


def test_long_text_in_a_png_is_read_within_a_bound() -> None:
    for megabytes, taken in ((2, True), (40, False)):
        text = PngImagePlugin.PngInfo()
        text.add_text("workflow", "x" * (megabytes << 20), zip=True)
        content = encoded(scene(), "PNG", pnginfo=text)
        if taken:
            assert inspected(content).format == "png"
        else:
            with pytest.raises(PhotoRefusedError):
                inspected(content)


def test_messages_show_no_python() -> None:
    for content in (b"\r\n\xff\xd8 nothing", b"\x00\x00\x00\x18ftypmp42" + bytes(50), _tiff_of(_339=2, _258=24)):
        with pytest.raises(PhotoRefusedError) as caught:
            inspected(content)
        assert not re.search(r"b'|0x[0-9a-f]{6}|BytesIO|<", str(caught.value)), caught.value


def test_the_smallest_photo_can_be_worked_on() -> None:
    with pytest.raises(PhotoTooSmallError, match="at least 18"):
        inspected(encoded(scene(17, 40), "PNG"))
    assert inspected(encoded(scene(18, 18), "PNG")).width == 18


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_whole_photo_verifies_and_half_of_it_does_not(variant: Variant) -> None:
    content = variant.make(scene(160, 120), 1)
    verify_photo(io.BytesIO(content))
    # Of two frames the first may well be whole in the first half of the file.
    keep = len(content) // (8 if inspected(content).frames > 1 else 2)
    with pytest.raises(PhotoRefusedError):
        verify_photo(io.BytesIO(content[:keep]))


@given(
    name=st.sampled_from(sorted(BY_NAME)),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
)
def test_whatever_is_broken_has_a_name(name: str, cut: float, flips: list[tuple[float, int]]) -> None:
    content = bytearray(BY_NAME[name].make(scene(48, 36), 1))
    content = content[: max(1, round(len(content) * cut))] if cut < 0.9 else content
    for place, value in flips:
        content[int(place * len(content))] = value
    # Any other exception, and any warning, fails the test.
    with contextlib.suppress(PhotoRefusedError):
        facts = inspected(bytes(content), max_megapixels=1)
        verify_photo(io.BytesIO(content))
        make_view(io.BytesIO(content), facts, limit=40)


# ----------------------------------------------------------------------------------------------------------------------
# As it is


@pytest.mark.parametrize(
    ("name", "orientation", "as_is"),
    [
        ("jpeg", 1, True),
        ("jpeg-progressive", 1, True),
        ("jpeg-grey", 1, True),
        ("mpo", 1, True),
        ("png", 1, True),
        ("png-grey", 1, True),
        ("jpeg", 6, False),
        ("jpeg-wide-gamut", 1, False),
        ("jpeg-cmyk", 1, False),
        ("png-alpha", 1, False),
        ("png-key-colour", 1, False),
        ("png-palette", 1, False),
        ("png-bilevel", 1, False),
        ("png-16-bit", 1, False),
        ("png-16-bit-grey", 1, False),
        ("apng", 1, False),
        ("webp", 1, False),
        ("tiff", 1, False),
        ("heic", 1, False),
    ],
)
def test_adobe_gets_the_photo_itself_only_where_it_reads_it_as_we_do(name: str, orientation: int, as_is: bool) -> None:
    facts = inspected(BY_NAME[name].make(scene(), orientation))
    assert can_send_as_is(facts, limit=4000) is as_is
    assert can_send_as_is(facts, limit=96) is as_is
    assert not can_send_as_is(facts, limit=95)


def test_a_route_may_take_other_formats() -> None:
    facts = inspected(encoded(photograph("rocket"), "WEBP"))
    assert can_send_as_is(facts, limit=4000, formats=frozenset({"webp"}))
