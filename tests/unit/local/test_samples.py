"""The photographs of `make run`."""

from __future__ import annotations

import io
from collections import Counter

from PIL import Image, ImageOps

from cleanplate_cli.inputs import companions_by_photo
from local.demo.samples import SAMPLES, sample_photos


def test_no_photograph_is_shown_twice() -> None:
    shown = Counter(original for sample in SAMPLES for original in sample.originals)
    assert max(shown.values()) == 1


def test_every_sample_names_author_and_licence() -> None:
    assert all("by " in sample.credit and sample.credit.endswith(")") for sample in SAMPLES)


def test_a_mask_is_as_large_as_the_upright_photo_and_comes_first() -> None:
    uploads = sample_photos()
    masks = [upload for upload in uploads if upload.companion]
    assert masks
    assert uploads[: len(masks)] == masks
    beside = companions_by_photo(uploads)
    for mask in masks:
        (photo,) = (upload for upload in uploads if not upload.companion and mask in beside[upload.key])
        with Image.open(io.BytesIO(photo.read())) as stored, Image.open(io.BytesIO(mask.read())) as white:
            assert ImageOps.exif_transpose(stored).size == white.size


def test_remove_is_meant_for_all_samples() -> None:
    photos = [upload for upload in sample_photos("dog") if not upload.companion]
    assert {photo.options["remove"] for photo in photos} == {"dog"}
