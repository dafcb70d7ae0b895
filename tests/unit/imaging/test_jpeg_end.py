"""Where a JPEG ends: one whose blocks are missing is refused, one that lacks only its end mark is opened."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cleanplate.errors import PhotoRefusedError, TruncatedPhotoError
from cleanplate.imaging import PhotoFacts, can_send_as_is, inspect_photo, jpeg_blocks, make_view, verify_photo
from tests.unit.imaging.coefficients import Jpeg, invented, write
from tests.unit.imaging.test_untouched import walk
from tests.unit.imaging.variants import encoded, open_upright, pixels, random_mask, scene

if TYPE_CHECKING:
    from PIL import Image

END = b"\xff\xd9"
SIZE = (160, 120)


def restarting(picture: Image.Image) -> bytes:
    return encoded(picture, "JPEG", quality=90, restart_marker_blocks=5)


def scan_each(picture: Image.Image) -> bytes:
    """Return a sequential JPEG whose components have a scan each."""
    made: Jpeg = invented(*picture.size, ((2, 2), (1, 1), (1, 1)))
    return write(made, interleaved=False)


KINDS: dict[str, Callable[[Image.Image], bytes]] = {
    "baseline": lambda picture: encoded(picture, "JPEG", quality=90),
    "progressive": lambda picture: encoded(picture, "JPEG", quality=90, progressive=True),
    "grey": lambda picture: encoded(picture.convert("L"), "JPEG", quality=90),
    "progressive CMYK": lambda picture: encoded(picture.convert("CMYK"), "JPEG", quality=90, progressive=True),
    "restart markers": restarting,
    "a scan for each component": scan_each,
}


@pytest.fixture(params=KINDS)
def photo(request: pytest.FixtureRequest) -> bytes:
    content = KINDS[request.param](scene(*SIZE))
    assert content.endswith(END)
    return content


def verified(content: bytes) -> PhotoFacts:
    facts = inspect_photo(io.BytesIO(content), max_megapixels=1)
    return replace(facts, has_end_mark=verify_photo(io.BytesIO(content)))


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("end", [b"", END, END + bytes(40)], ids=["nothing", "end mark", "end mark and zeros"])
def test_a_photo_that_is_cut_is_refused_however_it_ends(photo: bytes, share: float, end: bytes) -> None:
    start = photo.index(b"\xff\xda")
    cut = photo[: start + round((len(photo) - start) * share)]
    with pytest.raises(TruncatedPhotoError):
        verify_photo(io.BytesIO(cut + end))


@pytest.mark.parametrize("tail", [END, b"\x00" * 400 + END, END + b"\r\n\r\n", END + b"\xff\xd8 more"])
def test_a_whole_photo_may_have_anything_around_its_end_mark(photo: bytes, tail: bytes) -> None:
    assert verified(photo[:-2] + tail).has_end_mark


@pytest.mark.parametrize("limit", [4000, 64], ids=["whole", "window"])
def test_a_photo_without_its_end_mark_is_cleaned_to_the_bit(photo: bytes, limit: int) -> None:
    facts = verified(photo[:-2])
    assert not facts.has_end_mark
    walked = walk(photo[:-2], random_mask(SIZE, 3), limit=limit, facts=facts)
    assert not [note for note in walked.notes if "encoded again" in note], walked.notes
    assert walked.result == walk(photo, random_mask(SIZE, 3), limit=limit).result


def test_without_blocks_a_photo_that_lacks_its_end_mark_is_cleaned(
    photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = verified(photo[:-2])
    monkeypatch.setattr(jpeg_blocks, "_LIBRARIES", ())
    walked = walk(photo[:-2], random_mask(SIZE, 3), facts=facts)
    assert [note for note in walked.notes if "encoded again" in note]
    assert walked.result == walk(photo, random_mask(SIZE, 3)).result


def test_a_photo_without_its_last_byte_is_cleaned(photo: bytes) -> None:
    facts = verified(photo[:-1])
    assert not facts.has_end_mark
    assert walk(photo[:-1], random_mask(SIZE, 3), facts=facts).result == walk(photo, random_mask(SIZE, 3)).result


def test_the_view_of_a_photo_without_its_end_mark_is_the_same(photo: bytes) -> None:
    ours, whole = (make_view(io.BytesIO(each), verified(each), limit=64) for each in (photo[:-2], photo))
    assert np.array_equal(pixels(open_upright(ours.content)), pixels(open_upright(whole.content)))


def test_adobe_is_not_sent_the_file_that_lacks_its_end_mark() -> None:
    photo = KINDS["baseline"](scene(*SIZE))
    assert can_send_as_is(verified(photo), limit=4000)
    assert not can_send_as_is(verified(photo[:-2]), limit=4000)


def test_a_record_made_before_keeps_its_meaning() -> None:
    facts = verified(KINDS["baseline"](scene(*SIZE)))
    assert PhotoFacts.from_dict(facts.to_dict()) == facts
    record = facts.to_dict()
    del record["has_end_mark"]
    assert PhotoFacts.from_dict(record) == facts
    assert not PhotoFacts.from_dict(facts.to_dict() | {"has_end_mark": False}).has_end_mark


def test_a_progressive_photo_that_ends_between_two_scans_is_refused() -> None:
    photo = KINDS["progressive"](scene(*SIZE))
    scans = [at for at in range(len(photo)) if photo[at : at + 2] == b"\xff\xda"]
    tables = photo.rindex(b"\xff\xc4", 0, scans[-1])
    with pytest.raises(TruncatedPhotoError, match="blocks of it are missing"):
        verify_photo(io.BytesIO(photo[:tables]))


@pytest.mark.parametrize("end", [b"", END], ids=["no end mark", "end mark"])
def test_a_photo_that_lacks_the_scan_of_a_component_is_refused(end: bytes) -> None:
    photo = KINDS["a scan for each component"](scene(*SIZE))
    with pytest.raises(TruncatedPhotoError, match="blocks of it are missing"):
        verify_photo(io.BytesIO(photo[: photo.rindex(b"\xff\xda")] + end))


def test_without_the_library_pillow_looks_whether_the_photo_is_whole(
    photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jpeg_blocks, "_LIBRARIES", ())
    assert verify_photo(io.BytesIO(photo))
    for keep in (len(photo) // 2, len(photo) - 2):
        with pytest.raises(PhotoRefusedError):
            verify_photo(io.BytesIO(photo[:keep]))
