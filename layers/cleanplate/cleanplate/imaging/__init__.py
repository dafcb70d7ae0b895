"""Photos, masks and fills as pixels. Using a name of this package is the only thing that loads Pillow.

Pure: bytes and open files come in, bytes and temporary files go out; no S3, no clock, no settings. The walk of one
photo: ``inspect_photo`` → (``verify_photo``) → ``make_view``, unless ``can_send_as_is`` → masks from Adobe →
``plan_fill`` → fills from Adobe → ``compose``.

Each name's module is loaded at its first use: a sixth of a cold start, which messages that name no photo, repeated
messages, and calls of jobs that have moved on do not need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cleanplate.imaging.composing import Composed, compose
    from cleanplate.imaging.downscale import View, fitted, make_view
    from cleanplate.imaging.facts import PhotoFacts, can_send_as_is, inspect_photo, verify_photo
    from cleanplate.imaging.filling import FillPlan, Review, Window, draw_review, plan_fill
    from cleanplate.imaging.masks import check_own_mask, place_in_frame
    from cleanplate.imaging.memory import check_memory
    from cleanplate.imaging.previews import data_uri, difference, jpeg, make_preview
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
    "data_uri",
    "difference",
    "draw_review",
    "fitted",
    "inspect_photo",
    "jpeg",
    "make_preview",
    "make_view",
    "place_in_frame",
    "plan_fill",
    "result_extension",
    "target_format",
    "verify_photo",
]

_MODULES = {
    "composing": ("Composed", "compose"),
    "downscale": ("View", "fitted", "make_view"),
    "facts": ("PhotoFacts", "can_send_as_is", "inspect_photo", "verify_photo"),
    "filling": ("FillPlan", "Review", "Window", "draw_review", "plan_fill"),
    "masks": ("check_own_mask", "place_in_frame"),
    "memory": ("check_memory",),
    "previews": ("data_uri", "difference", "jpeg", "make_preview"),
    "writing": ("result_extension", "target_format"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module holds under this name
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
