"""The photographs that `make run` cleans where nobody brings their own. The list is data; add a line to add a photo."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cleanplate.uploads.options import own_mask_key
from cleanplate_cli.inputs import Upload
from local.demo.montage import coins_on_gravel, cup_on_a_lawn, mask_of_the_model, portrait
from local.demo.photographs import CREDITS, heic, magnify, photograph, sideways_jpeg

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Sample:
    """One photograph: its file name, which packaged originals are in it, what is to go, and what it is here to show.

    ``make`` returns the file, and ``mask`` the mask of the uploader's own that lies beside it. ``grow`` is the option of
    that name, for an object whose shadow or glow is to go with it.
    """

    file: str
    originals: Sequence[str]
    remove: str
    shows: str
    make: Callable[[], bytes]
    grow: int | None = None
    mask: Callable[[], bytes] | None = None

    @property
    def content(self) -> bytes:
        """The file."""
        return self.make()

    @property
    def credit(self) -> str:
        """Whom to thank."""
        credits_ = [CREDITS[name] for name in self.originals]
        return "; ".join(f"{credit.title}, by {credit.author} ({credit.licence})" for credit in credits_)


def _jpeg(image: Image.Image) -> bytes:
    return _saved(image, "JPEG", quality=92)


def _png(image: Image.Image) -> bytes:
    return _saved(image, "PNG")


def _saved(image: Image.Image, kind: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


SAMPLES = (
    Sample(
        "Sommerpalast.jpg",
        ["china"],
        "pagoda",
        "lake, sky and hedge behind what goes",
        lambda: _jpeg(photograph("china")),
    ),
    Sample(
        "Münzen im Kies (é).jpg",
        ["coins", "gravel"],
        "everything",
        "several things in one photo, and a name that no URL likes",
        lambda: _jpeg(coins_on_gravel()),
        grow=20,
    ),
    Sample("cameraman.png", ["camera"], "person", "a grey PNG", lambda: _png(photograph("camera")), grow=20),
    Sample(
        "from a phone.heic",
        ["flower"],
        "subject",
        "a HEIC file, as phones write it",
        lambda: heic(photograph("flower")),
    ),
    Sample(
        "cup on a lawn.jpg",
        ["coffee", "grass"],
        "cup",
        "a shadow that goes too, by the option grow",
        lambda: _jpeg(cup_on_a_lawn()),
        grow=50,
    ),
    Sample(
        "sideways.jpg",
        ["astronaut"],
        "subject",
        "what stands in the background, by a mask of one's own; stored sideways, upright by its EXIF orientation",
        lambda: sideways_jpeg(portrait()),
        mask=lambda: _png(mask_of_the_model()),
    ),
    Sample(
        "48 megapixels.jpg",
        ["rocket"],
        "subject",
        "far larger than Adobe takes, cleaned at full size",
        lambda: _jpeg(magnify(photograph("rocket"), 48)),
        grow=150,
    ),
)


def sample_photos(remove: str = "") -> list[Upload]:
    """Return the samples as uploads, masks first; ``remove`` is meant for all of them."""
    masks, photos = [], []
    for sample in SAMPLES:
        grow = {} if sample.grow is None else {"grow": str(sample.grow)}
        photos.append(Upload(sample.file, sample, {"remove": remove or sample.remove, **grow}))
        if sample.mask is not None:
            beside = own_mask_key(sample.file)
            mask = Sample(beside, sample.originals, "", "", sample.mask)
            masks.append(Upload(beside, mask, companion=True))
    return [*masks, *photos]
