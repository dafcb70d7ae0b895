"""Filling a hole from what is around it: PatchMatch on a window around the hole, deterministic.

Only the hole (and a thin seam around it) differs from the input. The result is a real computation, and not
Adobe's quality: it continues textures and straight structures, it invents nothing.
"""

from __future__ import annotations

import threading

import numpy as np
import patchmatch
import scipy  # type: ignore[import-untyped]
from PIL import Image

from local.adobe.pictures import Colour, Grey, Levels, Truth, box_of

WORKING_SIDE = 1024  # longest side of what PatchMatch sees, pixels
HOLE = 32  # a mask pixel this bright or brighter is filled: soft masks leave no rim of the object
GROW = 3  # pixels at working size: the light and blur that an object leaves around its outline
PATCH_SIZE = 3  # radius of compared patches
CONTEXT = 1.0  # how far the window reaches around the hole, in hole sizes
MIN_CONTEXT = 96  # and in pixels at least
MAX_AVOIDED = 0.95  # share of the window that may be hole or forbidden source
LAYERED = 0.3  # share of the variance that rows must explain before heights are kept
GUIDE_WEIGHT = 0.006  # enough to keep the horizon level; more repeats what stands beside the hole
MAX_CORRECTION = 16.0  # levels
_CORRECTION_SIDE = 192  # the correction is smooth: it is solved at this size
_SWEEPS = 400
_SEED = 20_251_015

_seeding = threading.Lock()


def fill(photo: Colour, masks: list[Grey], subject: Truth | None = None) -> Colour:
    """Return ``photo`` with everything that is white in any of ``masks`` filled from around it.

    ``subject`` marks what must not be copied into the hole (the rest of a person, say).
    """
    union = masks[0]
    for mask in masks[1:]:
        union = np.maximum(union, mask)
    box = box_of(union, HOLE)
    if not box.width:
        return photo.copy()
    height, width = union.shape
    around_x = max(MIN_CONTEXT, int(box.width * CONTEXT))
    around_y = max(MIN_CONTEXT, int(box.height * CONTEXT))
    left, top = max(0, box.x - around_x), max(0, box.y - around_y)
    right, bottom = min(width, box.x + box.width + around_x), min(height, box.y + box.height + around_y)
    window = np.s_[top:bottom, left:right]
    filled = photo.copy()
    filled[window] = _fill_window(photo[window], union[window] >= HOLE, None if subject is None else subject[window])
    return filled


def _fill_window(photo: Colour, hole: Truth, subject: Truth | None) -> Colour:
    height, width = hole.shape
    scale = min(1.0, WORKING_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = photo if scale == 1 else np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))
    grown = scipy.ndimage.binary_dilation(_resized(hole, size), iterations=GROW)
    avoid = np.zeros_like(grown) if subject is None else _resized(subject, size) & ~grown
    if (grown | avoid).mean() > MAX_AVOIDED:  # hardly anything would be left to copy from
        avoid[:] = False
    patched = _patch_match(small, grown, avoid)
    patched = _corrected(small, patched, grown, avoid)
    return _mixed(photo, hole, patched, grown)


def _mixed(photo: Colour, hole: Truth, patched: Colour, grown: Truth) -> Colour:
    """Return ``photo`` with ``patched`` where ``grown`` says, both perhaps smaller than ``photo``, and a soft seam around it."""
    height, width = hole.shape
    scale = grown.shape[1] / width
    seam = max(1.0, 1.0 / scale)
    # All at full size happens in a box around the hole: the rest of a large photo costs nothing.
    rows, columns = np.flatnonzero(grown.any(axis=1)), np.flatnonzero(grown.any(axis=0))
    edge = round(4 * seam)
    left, right = max(0, int(columns[0] / scale) - edge), min(width, int((columns[-1] + 1) / scale) + edge)
    top, bottom = max(0, int(rows[0] / scale) - edge), min(height, int((rows[-1] + 1) / scale) + edge)
    box, size = np.s_[top:bottom, left:right], (right - left, bottom - top)
    source = (left * scale, top * scale, min(right * scale, grown.shape[1]), min(bottom * scale, grown.shape[0]))
    new = np.asarray(Image.fromarray(patched).resize(size, Image.Resampling.BICUBIC, box=source))
    grey = Image.fromarray(grown.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR, box=source)
    inside = np.asarray(grey) > 0
    weight = scipy.ndimage.gaussian_filter(inside.astype(np.float32), seam)
    weight = np.maximum(weight, hole[box].astype(np.float32))
    # Nothing may change far from the hole: the blur's tail is cut off.
    weight[~scipy.ndimage.binary_dilation(inside, iterations=round(2 * seam))] = 0.0
    old = photo[box]
    mixed = photo.copy()
    mixed[box] = (old + (new.astype(np.float32) - old) * weight[..., None] + 0.5).clip(0, 255)
    return mixed


def _patch_match(photo: Colour, hole: Truth, avoid: Truth) -> Colour:
    with _seeding:
        patchmatch.set_random_seed(_SEED)
    if _layers(photo, ~(hole | avoid)) < LAYERED:
        return patchmatch.inpaint(photo, hole, global_mask=avoid, patch_size=PATCH_SIZE)
    # Sky over skyline over grass: what is copied should come from about the same height.
    heights = np.zeros((*hole.shape, 3), dtype=np.float32)
    heights[..., 0] = (np.arange(hole.shape[0]) / hole.shape[0])[:, None]
    return patchmatch.inpaint_regularity(
        photo, hole, heights, global_mask=avoid, patch_size=PATCH_SIZE, guide_weight=GUIDE_WEIGHT
    )


def _layers(photo: Colour, known: Truth) -> float:
    """Say how far a pixel's row says its colour: the share of variance between rows, 0..1."""
    counts = known.sum(axis=1)
    rows = counts > 0
    explained = whole = 0.0
    for channel in range(3):
        values = photo[..., channel].astype(np.float64)
        mean = values[known].mean()
        means = (values * known).sum(axis=1)[rows] / counts[rows]
        explained += float((counts[rows] * (means - mean) ** 2).sum())
        whole += float(((values[known] - mean) ** 2).sum())
    return explained / whole if whole else 0.0


def _corrected(photo: Colour, patched: Colour, hole: Truth, avoid: Truth) -> Colour:
    """Take the ghost out of smooth areas: spread the small steps in brightness along the seam over the whole hole.

    Copied sky is a few levels off where the real sky has a gradient, and the outline of what was removed stays
    visible. The steps around the hole are known; between them they are continued as a membrane (Laplace's equation).
    """
    height, width = hole.shape
    step = max(1, -(-max(height, width) // _CORRECTION_SIDE))
    outside = _near(~(hole | avoid), hole)
    # Right at the seam PatchMatch blends, so that what it put there is seen only some pixels further in.
    depth = scipy.ndimage.distance_transform_edt(hole)
    inside = (depth > _REACH) & (depth <= 3 * _REACH)
    difference = _local_mean(photo, outside) - _local_mean(patched, inside)
    ring = inside & (_local_share(outside) > 0.02) & (_local_share(inside) > 0.02)
    if not ring.any():
        return patched
    limited = difference.clip(-MAX_CORRECTION, MAX_CORRECTION)
    # A step that large is an edge of something, not the sky being off.
    limited[np.abs(difference).max(axis=2) > 2 * MAX_CORRECTION] = 0.0
    membrane = _membrane(limited[::step, ::step], ring[::step, ::step], hole[::step, ::step])
    smooth = np.dstack([np.asarray(Image.fromarray(membrane[..., c]).resize((width, height))) for c in range(3)])
    lit = patched.astype(np.float32)
    lit += smooth * (depth / (2 * _REACH)).clip(0, 1)[..., None]
    return np.asarray((lit + 0.5).clip(0, 255), dtype=np.uint8)


_REACH = 5  # pixels on either side of the seam that are compared


def _near(these: Truth, others: Truth) -> Truth:
    near: Truth = these & scipy.ndimage.binary_dilation(others, iterations=_REACH)
    return near


def _local_share(where: Truth) -> Levels:
    share: Levels = scipy.ndimage.uniform_filter(where.astype(np.float32), 6 * _REACH + 1)
    return share


def _local_mean(picture: Colour, where: Truth) -> Levels:
    """Return the mean colour around each pixel of those pixels that ``where`` marks."""
    share = np.maximum(_local_share(where), 1e-4)
    sums = [scipy.ndimage.uniform_filter(picture[..., c] * where.astype(np.float32), 6 * _REACH + 1) for c in range(3)]
    return np.dstack([total / share for total in sums])


def _membrane(values: Levels, fixed: Truth, hole: Truth) -> Levels:
    """Return ``values`` where ``fixed``, and smooth in the rest of the hole; the picture's own borders are free."""
    free = hole & ~fixed
    start = values[fixed].mean(axis=0) if fixed.any() else np.zeros(3, dtype=np.float32)
    sheet = np.where(fixed[..., None], values, start).astype(np.float32)
    around = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=np.float32)[..., None] / 4
    for _ in range(_SWEEPS):
        sheet[free] = scipy.ndimage.convolve(sheet, around, mode="nearest")[free]
    # Outside the hole the sheet continues the nearest value, so that scaling it up is right at the seam.
    nearest = scipy.ndimage.distance_transform_edt(~hole, return_distances=False, return_indices=True)
    continued: Levels = sheet[tuple(nearest)]
    return continued


def _resized(mask: Truth, size: tuple[int, int]) -> Truth:
    if mask.shape == (size[1], size[0]):
        return mask
    grey = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
    return np.asarray(grey) > 0


def blurred(photo: Colour, masks: list[Grey]) -> Colour:
    """Return the cheap fill for load tests: the hole gets the mean colour of the rest."""
    hole = masks[0] >= HOLE
    for mask in masks[1:]:
        hole |= mask >= HOLE
    rest = ~hole
    filled = photo.copy()
    filled[hole] = photo[rest].mean(axis=0).astype(np.uint8) if rest.any() else 128
    return filled
