"""Whatever an encoder does not take has a name, and what the disk does not take is not blamed on it."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from PIL import Image

from cleanplate.errors import ResultNotEncodedError
from tests.unit.imaging.test_untouched import walk
from tests.unit.imaging.variants import BY_NAME, random_mask, scene

MASK = random_mask(scene().size, 1)


@pytest.mark.parametrize("name", ["png", "webp", "tiff-lzw", "avif", "heic", "gif"])
@pytest.mark.parametrize(
    "error", [OSError("encoder error -2"), SystemError("tile"), RuntimeError("setting a tag"), MemoryError()]
)
def test_an_encoder_that_refuses_is_named(name: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = BY_NAME[name].make(scene(), 1)
    failing(monkeypatch, error, BY_NAME[name].result or BY_NAME[name].name.partition("-")[0])
    with pytest.raises(ResultNotEncodedError, match=r"cannot be encoded as [A-Z]+"):
        walk(photo, MASK)


def test_a_full_disk_is_no_fault_of_the_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = BY_NAME["webp"].make(scene(), 1)
    failing(monkeypatch, OSError(errno.ENOSPC, "No space left on device"), "webp")
    with pytest.raises(OSError, match="No space left"):
        walk(photo, MASK)


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, target: str) -> None:
    """Let Pillow's encoder of the result's format fail; what is sent to Adobe is encoded as ever."""
    save = Image.Image.save

    def fail(image: Image.Image, file: Any, picture_format: str = "", **how: Any) -> None:
        if picture_format.lower() == target and how.keys() & {"exif", "xmp", "compression", "icc_profile"}:
            raise error
        save(image, file, picture_format, **how)

    monkeypatch.setattr(Image.Image, "save", fail)
