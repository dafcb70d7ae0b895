"""The photographs that `make run` cleans where nobody brings their own. The list is data; add a line to add a photo."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cleanplate_cli.inputs import Upload
from local.demo.photographs import CREDITS, heic, magnify, photograph, sideways_jpeg

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Sample:
    """One photograph: its file name, which packaged original it is, what is to go, and what it is here to show.

    ``grow`` is the option of that name, for an object whose shadow or glow is to go with it.
    """

    file: str
    original: str
    remove: str
    shows: str
    make: Callable[[Image.Image], bytes]
    grow: int | None = None

    @property
    def content(self) -> bytes:
        """The file."""
        return self.make(photograph(self.original))

    @property
    def credit(self) -> str:
        """Whom to thank."""
        credit = CREDITS[self.original]
        return f"{credit.title}, by {credit.author} ({credit.licence})"


def _jpeg(image: Image.Image) -> bytes:
    return _saved(image, "JPEG", quality=92)


def _png(image: Image.Image) -> bytes:
    return _saved(image, "PNG")


def _saved(image: Image.Image, kind: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


SAMPLES = (
    Sample("Sommerpalast.jpg", "china", "pagoda", "lake, sky and hedge behind what goes", _jpeg),
    Sample("Start der Rakete (é).jpg", "rocket", "rocket", "a name that no URL likes", _jpeg, grow=12),
    Sample("cameraman.png", "camera", "person", "a grey PNG", _png, grow=20),
    Sample("from a phone.heic", "flower", "subject", "a HEIC file, as phones write it", heic),
    Sample("coffee cup.jpg", "coffee", "cup", "a shadow that goes too, by the option grow", _jpeg, grow=50),
    Sample("sideways.jpg", "china", "subject", "stored sideways, upright by its EXIF orientation", sideways_jpeg),
    Sample(
        "48 megapixels.jpg",
        "rocket",
        "subject",
        "far larger than Adobe takes, cleaned at full size",
        lambda image: _jpeg(magnify(image, 48)),
    ),
)


def sample_photos(remove: str = "") -> list[Upload]:
    """Return the samples as uploads; ``remove`` is meant for all of them."""
    return [
        Upload(
            sample.file,
            sample,
            {"remove": remove or sample.remove, **({} if sample.grow is None else {"grow": str(sample.grow)})},
        )
        for sample in SAMPLES
    ]
