"""Small pictures of photos: made where there is memory to read them, whatever the photo's size."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from cleanplate.errors import PhotoTooLargeError
from cleanplate.imaging import make_preview, previews
from tests.unit.imaging.variants import encoded, scene


@pytest.mark.parametrize("megapixels", [160, 300])
def test_a_large_jpeg_is_read_at_a_fraction_of_its_size(megapixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(scene(), "JPEG")
    at = content.index(b"\xff\xc0") + 5
    width = megapixels * 100
    large = content[:at] + (10_000).to_bytes(2, "big") + width.to_bytes(2, "big") + content[at + 4 :]
    monkeypatch.setattr(previews, "scaled", lambda *_: Image.new("L", (1, 1)))
    assert make_preview(io.BytesIO(large), limit=320, max_memory=600).size == (1, 1)


def test_a_progressive_jpeg_is_weighed_as_a_whole() -> None:
    photo = scene(600, 400)
    assert make_preview(io.BytesIO(encoded(photo, "JPEG")), limit=60, max_memory=0.1).size == (60, 40)
    with pytest.raises(PhotoTooLargeError, match="MB of memory"):
        make_preview(io.BytesIO(encoded(photo, "JPEG", progressive=True)), limit=60, max_memory=0.1)
