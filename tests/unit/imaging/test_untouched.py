"""Outside the grown mask the photo stays as it was: every format, every orientation, any mask."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cleanplate.errors import MaskUnusableError
from cleanplate.imaging import FillPlan, PhotoFacts, compose, inspect_photo, plan_fill
from cleanplate.imaging.webp import webp_coding
from cleanplate.models import Options
from tests.unit.imaging.variants import (
    BY_NAME,
    COPYRIGHT,
    DESCRIPTION,
    EXIF_IFD,
    EXPOSURE,
    MAKE,
    ORIENTATION,
    ORIENTED,
    TAKEN,
    Variant,
    encoded,
    full_hole,
    open_upright,
    pixels,
    random_mask,
    scene,
    softened,
    with_rim,
)

GREEN = (40, 160, 60)


@dataclass
class Walked:
    """One photo from its bytes to its result, with a fill that is one colour all over."""

    photo: bytes
    facts: PhotoFacts
    plan: FillPlan
    result: bytes
    extension: str
    notes: tuple[str, ...]

    @property
    def hole(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return 255 where it was filled, 170 in what a JPEG encodes with that; upright, as large as the photo."""
        hole = full_hole(self.plan)
        return pixels(with_rim(hole, self.facts.orientation) if self.facts.format == "jpeg" else hole)


def walk(
    photo: bytes,
    mask: Image.Image,
    *,
    limit: int = 4000,
    options: Options | None = None,
    facts: PhotoFacts | None = None,
) -> Walked:
    options = options or Options()
    facts = facts or inspect_photo(io.BytesIO(photo), max_megapixels=200)
    plan = plan_fill(lambda: io.BytesIO(photo), facts, [encoded(mask, "PNG")], options=options, limit=limit)
    fills = [
        encoded(Image.new("RGB", (window.sent_width, window.sent_height), GREEN), "PNG") for window in plan.windows
    ]
    composed = compose(lambda: io.BytesIO(photo), facts, plan, fills, options=options, mark_as_edited=True)
    with composed.content as file:
        return Walked(photo, facts, plan, file.read(), composed.extension, composed.notes)


def resaved(before: Image.Image, walked: Walked) -> Image.Image:
    """Return ``before`` encoded once as the result is, and decoded."""
    if walked.facts.format == "webp":
        return open_upright(encoded(before, "WEBP", quality=webp_coding(io.BytesIO(walked.photo))[1]))
    if walked.facts.format == "avif":
        return open_upright(encoded(before, "AVIF", quality=90))
    subsampling = 2 if walked.facts.format == "heic" else 0
    return open_upright(encoded(before, "JPEG", quality=95, subsampling=subsampling))


def assert_untouched(walked: Walked, variant: Variant) -> None:
    before, after = open_upright(walked.photo), open_upright(walked.result)
    assert after.size == before.size == walked.facts.upright_size
    outside = walked.hole == 0
    assert outside.any()
    if walked.facts.format == "jpeg":
        assert np.array_equal(pixels(after)[outside], pixels(before)[outside])
        assert not any("encoded again" in note for note in walked.notes)
    elif variant.exact:
        assert after.mode == before.mode
        assert np.array_equal(pixels(after)[outside], pixels(before)[outside])
    else:
        # Lossy on the way out, with blocks that depend on their neighbours: as close as with any encoder.
        painted = before.copy()
        fill = Image.new("RGB", before.size, GREEN).convert(before.mode)
        painted.paste(fill, mask=Image.fromarray(walked.hole.astype(np.uint8)))
        unavoidable = np.abs(pixels(resaved(painted, walked).convert("RGB")) - pixels(before.convert("RGB")))[outside]
        away = np.abs(pixels(after.convert("RGB")) - pixels(before.convert("RGB")))[outside]
        assert away.mean() <= 1.25 * unavoidable.mean() + 0.5


def assert_filled(walked: Walked) -> None:
    """Fail unless the middle of the hole shows the fill."""
    after = open_upright(walked.result)
    inside = walked.hole == 255
    if after.mode in ("L", "LA", "I;16", "CMYK"):
        return
    visible = inside & (pixels(after)[..., 3] == 255) if after.mode == "RGBA" else inside
    if not visible.any():
        return
    seen = np.median(pixels(after.convert("RGB"))[visible], axis=0)
    assert np.abs(seen - GREEN).max() < 40, seen


@pytest.mark.parametrize(("variant", "orientation"), ORIENTED, ids=str)
def test_every_format_in_every_orientation_keeps_what_is_outside_the_hole(variant: Variant, orientation: int) -> None:
    picture = scene()
    photo = variant.make(picture, orientation)

    walked = walk(photo, random_mask(picture.size, seed=orientation))

    assert walked.facts.upright_size == picture.size
    assert_untouched(walked, variant)
    assert_filled(walked)
    assert walked.extension == {"": "", "jpeg": ".jpg", "png": ".png"}[variant.result]
    assert_belongings(walked, variant)


def assert_belongings(walked: Walked, variant: Variant) -> None:
    """Fail unless profile, EXIF, XMP and transparency came along."""
    with Image.open(io.BytesIO(walked.result)) as after:
        after.load()
        assert (after.info.get("icc_profile") or b"") == variant.icc
        assert (after.mode in ("RGBA", "LA")) == variant.alpha
        tags = after.getexif()
        packet = after.info.get("xmp", b"")
        packet = packet.encode() if isinstance(packet, str) else packet
        assert b"digitalsourcetype/compositeWithTrainedAlgorithmicMedia" in packet
        if not variant.keeps_exif:
            return
        assert (tags[MAKE], tags[DESCRIPTION], tags[COPYRIGHT]) == ("Kamera", "What the photo shows", "Somebody")
        details = tags.get_ifd(EXIF_IFD)
        assert (details[TAKEN], float(details[EXPOSURE])) == ("2024:02:03 04:05:06", 1 / 125)
        if walked.facts.format == after.format.lower() if after.format else False:
            assert tags.get(ORIENTATION, 1) == walked.facts.orientation


@dataclass(frozen=True)
class Case:
    name: str
    orientation: int
    width: int
    height: int
    seed: int
    blobs: int
    sigma: int
    grow: int | None
    feather: int | None
    limit: int


CASES = st.builds(
    Case,
    name=st.sampled_from(sorted(BY_NAME)),
    orientation=st.integers(1, 8),
    width=st.integers(18, 150),
    height=st.integers(18, 150),
    seed=st.integers(0, 2**32 - 1),
    blobs=st.integers(1, 4),
    sigma=st.sampled_from([0, 1, 3]),
    grow=st.sampled_from([None, 0, 1, 5]),
    feather=st.sampled_from([None, 0, 2, 7]),
    limit=st.sampled_from([4000, 97, 64]),
)


@settings(max_examples=settings().max_examples // 2)
@given(CASES)
def test_any_photo_with_any_mask_keeps_what_is_outside_the_hole(case: Case) -> None:
    variant = BY_NAME[case.name]
    photo = variant.make(scene(case.width, case.height, "coffee"), case.orientation if variant.turns else 1)
    mask = softened(random_mask((case.width, case.height), case.seed, case.blobs), case.sigma)
    try:
        walked = walk(photo, mask, limit=case.limit, options=Options(grow=case.grow, feather=case.feather))
    except MaskUnusableError:
        # The one reason to refuse: on a small photo the grown mask may cover everything.
        dilate = case.sigma * 3 + (8 if case.grow is None else case.grow) + 2
        assert min(case.width, case.height) <= 4 * (dilate + max(case.width, case.height) / 4)
        return
    if (walked.hole == 0).any():
        assert_untouched(walked, variant)
