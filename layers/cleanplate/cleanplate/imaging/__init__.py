"""Photos, masks and fills as pixels. Importing this package is the only thing that loads Pillow.

Pure: bytes and open files come in, bytes and temporary files go out; no S3, no clock, no settings. The walk of one
photo: ``inspect_photo`` → (``verify_photo``) → ``make_view``, unless ``can_send_as_is`` → masks from Adobe →
``plan_fill`` → fills from Adobe → ``compose``.
"""

from __future__ import annotations

from cleanplate.imaging.composing import Composed, compose
from cleanplate.imaging.downscale import View, fitted, make_view
from cleanplate.imaging.facts import PhotoFacts, can_send_as_is, inspect_photo, verify_photo
from cleanplate.imaging.filling import FillPlan, Review, Window, draw_review, plan_fill
from cleanplate.imaging.masks import check_own_mask, place_in_frame
from cleanplate.imaging.memory import check_memory
from cleanplate.imaging.writing import result_extension, target_format

__all__ = [
    "Composed",
    "FillPlan",
    "PhotoFacts",
    "Review",
    "View",
    "Window",
    "can_send_as_is",
    "check_memory",
    "check_own_mask",
    "compose",
    "draw_review",
    "fitted",
    "inspect_photo",
    "make_view",
    "place_in_frame",
    "plan_fill",
    "result_extension",
    "target_format",
    "verify_photo",
]
