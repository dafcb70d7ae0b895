"""A photo that a function's memory is too small for is refused by its header, and only then."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from cleanplate.errors import PhotoTooLargeError
from cleanplate.imaging import PhotoFacts, check_memory, target_format
from cleanplate.imaging.memory import MEMORY, check_mask_memory
from cleanplate.models import OutputFormat

ALPHA = {"RGBA", "LA"}


def facts_of(picture_format: str, mode: str, megapixels: float, **more: int) -> PhotoFacts:
    width = round(megapixels * 1000)
    return PhotoFacts(
        picture_format, width, 1000, more.get("orientation", 1), mode, 1, mode.partition(";")[0] in ALPHA, "none"
    )


def check(facts: PhotoFacts, wanted: OutputFormat = "same", size: int = 60_000_000) -> None:
    check_memory(facts, size=size, target=target_format(facts, wanted, []))


@pytest.mark.parametrize(
    ("picture_format", "mode", "megapixels"),
    [
        *((each, "RGB", 200) for each in ("jpeg", "png", "tiff", "heic")),
        ("gif", "P", 200),
        ("jpeg", "CMYK", 200),
        ("png", "I;16", 130),
        ("heic", "RGB;16", 130),
        *((each, "RGBA", 80) for each in ("png", "tiff", "heic")),
        *((each, mode, 60) for each in ("avif", "webp", "jpeg2000") for mode in ("RGB", "RGBA")),
    ],
)
def test_what_the_docs_promise_is_let_in(picture_format: str, mode: str, megapixels: float) -> None:
    check(facts_of(picture_format, mode, megapixels))


@pytest.mark.parametrize(
    ("picture_format", "mode", "megapixels", "function"),
    [
        ("avif", "RGB", 192, "save_result"),
        ("webp", "RGBA", 192, "fill_masked_areas"),
        ("png", "RGBA", 200, "fill_masked_areas"),
        ("jpeg2000", "RGBA", 200, "fill_masked_areas"),
    ],
)
def test_what_would_not_fit_is_refused_by_name(
    picture_format: str, mode: str, megapixels: float, function: str
) -> None:
    with pytest.raises(PhotoTooLargeError) as refused:
        check(facts_of(picture_format, mode, megapixels))
    assert re.search(
        rf"need about \d+ MB of memory, and {function} has {MEMORY[function]}: make it", str(refused.value)
    )


@pytest.mark.parametrize(("picture_format", "mode"), [("avif", "RGB"), ("webp", "RGBA"), ("png", "RGBA")])
def test_a_photo_as_small_as_the_message_says_is_let_in(picture_format: str, mode: str) -> None:
    with pytest.raises(PhotoTooLargeError) as refused:
        check(facts_of(picture_format, mode, 200))
    limit = re.search(r"smaller than (\d+) megapixels", str(refused.value))
    assert limit
    assert float(limit[1]) > 50
    check(facts_of(picture_format, mode, float(limit[1]) - 1))


def test_a_result_in_another_format_counts_and_can_be_changed() -> None:
    photo = replace(facts_of("jpeg", "RGB", 14), height=14_000)
    check(photo, "same")
    with pytest.raises(PhotoTooLargeError, match="ask for output_format=same"):
        check(photo, "webp")


def test_large_files_count_where_the_library_holds_them() -> None:
    check(facts_of("webp", "RGB", 60), size=60_000_000)
    with pytest.raises(PhotoTooLargeError):
        check(facts_of("webp", "RGB", 60), size=390_000_000)


def test_a_mask_of_colours_with_alpha_needs_more_than_a_grey_one() -> None:
    check_mask_memory("png", alpha=False, pixels=200_000_000)
    with pytest.raises(PhotoTooLargeError, match="grey PNG without alpha"):
        check_mask_memory("png", alpha=True, pixels=200_000_000)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_no_function_takes_more_memory_than_is_estimated() -> None:
    """The kind of each decoder that takes most. What is spare is for clients, tracing and Lambda's own runtime."""
    kinds = ("jpeg 4:4:4", "png rgba", "tiff 16-bit grey", "webp lossless rgba", "heic rgba", "avif rgba", "jpeg2000")
    command = [sys.executable, "-W", "ignore", "-m", "tests.memory", "1.5", "--spare", "100", "--kinds", *kinds]
    measured = subprocess.run(command, capture_output=True, text=True, check=False)
    assert measured.returncode == 0, measured.stdout + measured.stderr
    assert len(measured.stdout.splitlines()) == len(kinds)
