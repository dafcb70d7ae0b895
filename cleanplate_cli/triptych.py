"""Before, mask and after: small upright pictures to look at, made from the real ones."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from cleanplate.imaging import FillPlan, difference, make_preview

_GAP = 12
_PAPER = (255, 255, 255)
#: A hole's lesser levels are not filled, see ``FillPlan``.
_FILLED = [0] * 255 + [255]


@dataclass(frozen=True, slots=True)
class Triptych:
    """One photo's three pictures, all of one size."""

    before: Image.Image
    mask: Image.Image
    after: Image.Image

    def side_by_side(self) -> Image.Image:
        """Return the three in a row, on white."""
        width, height = self.before.size
        row = Image.new("RGB", (3 * width + 2 * _GAP, height), _PAPER)
        for number, picture in enumerate((self.before, self.mask, self.after)):
            row.paste(picture, (number * (width + _GAP), 0))
        return row


def triptych(photo: bytes, result: bytes, hole: bytes | None, longest: int = 1200) -> Triptych:
    """Return the three pictures, at most ``longest`` pixels wide and high.

    ``hole`` is the mask that was filled, as large as the upright photo, see :func:`hole_in_frame`. Without it, what has
    changed is shown. Raises ``CleanplateError`` or, of the hole, ``OSError`` for what is not a picture.
    """
    before, after = preview(photo, longest), preview(result, longest)
    after = after.resize(before.size, Image.Resampling.LANCZOS)
    if hole is None:
        mask = difference(before, after)
    else:
        with Image.open(io.BytesIO(hole)) as picture:
            mask = picture.convert("L").point(_FILLED)
        mask = mask.resize(before.size, Image.Resampling.BILINEAR)
    return Triptych(before, mask.convert("RGB"), after)


def hole_in_frame(hole: bytes, fill: Mapping[str, Any]) -> bytes:
    """Return a hole, which is kept without what lies around it, as large as the upright photo.

    ``fill`` is what the manifest says of it. Raises ``OSError`` for what is not a picture.
    """
    plan = FillPlan.from_dict(fill)
    with Image.open(io.BytesIO(hole)) as picture:
        if picture.size == (plan.width, plan.height):
            # An older stack keeps all of it.
            return hole
        frame = Image.new("L", (plan.width, plan.height))
        frame.paste(picture.convert("L"), plan.hole_box[:2])
    buffer = io.BytesIO()
    frame.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def separate(row: bytes) -> Triptych:
    """Return the three pictures of a row as :meth:`Triptych.side_by_side` makes it. Raises ``OSError`` for what is no
    picture.
    """
    with Image.open(io.BytesIO(row)) as picture:
        width = (picture.width - 2 * _GAP) // 3
        before, mask, after = (
            picture.crop((left, 0, left + width, picture.height)).convert("RGB")
            for left in (0, width + _GAP, 2 * (width + _GAP))
        )
    return Triptych(before, mask, after)


def preview(photo: bytes, longest: int = 800) -> Image.Image:
    """Return a small upright picture of a photo, sRGB. Raises ``CleanplateError`` for what cannot be read."""
    # On a person's own machine there is no function's memory to keep to.
    return make_preview(io.BytesIO(photo), limit=longest, max_memory=math.inf)
