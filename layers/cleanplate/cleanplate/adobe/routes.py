"""Adobe's routes: the request body of each, and how its answer is read.

A route is a small object without I/O. Adobe retires routes, so they are all reached through this one list.
Paths, bodies and limits: Adobe's published OpenAPI files and guides for the Photoshop API (masking service v1,
remove-background v2, and the retired Create Mask) and for Firefly (v3).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cleanplate.adobe.answers import failed_answer, get_folded, picture_url, pictures, read_mask, read_state
from cleanplate.models import Answer, Mask, MaskFormat


@dataclass(frozen=True, slots=True)
class Request:
    """What a route may need: signed links to read from and to write to; the picture's size in pixels; words."""

    image_url: str
    mask_urls: Sequence[str] = ()
    output_url: str = ""
    mask_format: MaskFormat = "soft"
    size: tuple[int, int] = (0, 0)
    prompt: str = ""


class Route(ABC):
    """One of Adobe's operations.

    ``pixel_limit`` holds for each side of the picture that is sent, ``byte_limit`` for its file (0: no limit is known).
    ``host`` is Adobe's host that serves the route, empty for the API's own. ``status_path`` is where the status of a job is
    found by its id; empty where only the link in the answer leads there. ``post_spacing`` is how many seconds Adobe wants
    between two POSTs of this route, beside its limits for all routes; 0 where it says nothing. ``writes_to_us`` is true
    where Adobe writes the picture into our storage instead of offering it for download.
    """

    name: str
    path: str
    status_path: str
    pixel_limit: int
    host = ""
    byte_limit = 0
    post_spacing = 0.0
    writes_to_us = False

    @abstractmethod
    def body(self, request: Request) -> dict[str, Any]:
        """Return the JSON of the POST."""

    def read(self, body: Mapping[str, Any], *, work_key: str = "") -> Answer:
        """Return what a status says; ``work_key`` is where Adobe was told to write, if it writes to us."""
        state, word = read_state(body)
        if state == "failed":
            return failed_answer(body, word)
        return Answer(state, word) if state == "pending" else self._result(body, word, work_key)

    @abstractmethod
    def _result(self, body: Mapping[str, Any], word: str, work_key: str) -> Answer:
        """Return the answer of a job that has succeeded, by Adobe's ``word``."""


def _link(url: str) -> dict[str, Any]:
    return {"source": {"url": url}}


class MaskObjects(Route):
    """``POST /v1/mask-objects``: every object in the photo, each with label, score and box."""

    name = "mask-objects"
    path = "/v1/mask-objects"
    status_path = "/v1/status"
    pixel_limit = 4000

    def body(self, request: Request) -> dict[str, Any]:
        return {"image": _link(request.image_url)}

    def _result(self, body: Mapping[str, Any], word: str, work_key: str) -> Answer:  # noqa: ARG002 - one signature
        masks = [read_mask(item) for item in pictures(body, "semanticMasks", "masks", "mask")]
        if not masks and get_folded(body, "semanticMasks") != []:
            # An empty list means that there is nothing in the photo. Masks without a picture mean something else.
            return _no_result(word)
        # Only by its own name: falling back to other places would list every mask twice.
        background = get_folded(body, "backgroundMasks")
        if isinstance(background, list):
            masks += [read_mask(item, background=True) for item in background if picture_url(item)]
        return Answer("succeeded", word, masks=tuple(masks))


class RemoveBackground(Route):
    """``POST /v2/remove-background`` with ``mode: mask``: one mask of the subject."""

    name = "remove-background"
    path = "/v2/remove-background"
    status_path = "/v2/status"
    pixel_limit = 6000
    #: Two POSTs in three seconds (three are refused).
    post_spacing = 1.5

    def body(self, request: Request) -> dict[str, Any]:
        # Without an explicit type the mask comes in the type of the photo, which may be JPEG.
        return {"image": _link(request.image_url), "mode": "mask", "output": {"mediaType": "image/png"}}

    def _result(self, body: Mapping[str, Any], word: str, work_key: str) -> Answer:  # noqa: ARG002
        urls = [picture_url(item) for item in pictures(body, "mask", "image", "masks")]
        return Answer("succeeded", word, masks=(Mask(label="subject", url=urls[0]),)) if urls else _no_result(word)


class CreateMask(Route):
    """``POST /sensei/mask``: one mask of the subject, put where we say. Adobe retired it on 2025-10-15."""

    name = "create-mask"
    path = "/sensei/mask"
    status_path = "/sensei/status"
    pixel_limit = 10_000
    writes_to_us = True

    def body(self, request: Request) -> dict[str, Any]:
        return {
            "input": {"storage": "external", "href": request.image_url},
            "output": {
                "storage": "external",
                "href": request.output_url,
                "overwrite": True,
                "mask": {"format": request.mask_format},
            },
        }

    def _result(self, body: Mapping[str, Any], word: str, work_key: str) -> Answer:  # noqa: ARG002
        return Answer("succeeded", word, masks=(Mask(label="subject", work_key=work_key),))


class FillMaskedAreas(Route):
    """``POST /v1/fill-masked-areas``: the photo with the white of the masks painted over."""

    name = "fill-masked-areas"
    path = "/v1/fill-masked-areas"
    status_path = "/v1/status"
    pixel_limit = 4000

    def body(self, request: Request) -> dict[str, Any]:
        return {"image": _link(request.image_url), "masks": [_link(url) for url in request.mask_urls]}

    def _result(self, body: Mapping[str, Any], word: str, work_key: str) -> Answer:  # noqa: ARG002
        return _fill(body, word)


class FireflyFill(Route):
    """``POST /v3/images/fill-async`` at Firefly: the same, led by words, where those are given.

    Another entitlement, scopes and limits (4 a minute) than the imaging API. Its jobs live on hosts of their own, so only
    the link in the answer leads to them. Adobe's guide takes 2688 pixels a side; 2048 is what its model paints.
    """

    name = "firefly-fill"
    path = "/v3/images/fill-async"
    status_path = ""
    host = "firefly-api.adobe.io"
    pixel_limit = 2048
    byte_limit = 15_000_000
    #: Four in a minute, with a little in hand.
    post_spacing = 15.5

    def body(self, request: Request) -> dict[str, Any]:
        width, height = request.size
        (mask,) = request.mask_urls
        body = {
            "image": _link(request.image_url),
            "mask": _link(mask),
            "size": {"width": width, "height": height},
            "numVariations": 1,
        }
        return body | ({"prompt": request.prompt} if request.prompt else {})

    def _result(self, body: Mapping[str, Any], word: str, work_key: str) -> Answer:  # noqa: ARG002
        return _fill(body, word)


def _fill(body: Mapping[str, Any], word: str) -> Answer:
    urls = [picture_url(item) for item in pictures(body, "image", "images")]
    return Answer("succeeded", word, image_url=urls[0]) if urls else _no_result(word)


def _no_result(word: str) -> Answer:
    return Answer("failed", word, error_code="no_result", message="Adobe says succeeded but offers no picture.")


FILL: Route = FillMaskedAreas()
ROUTES: Mapping[str, Route] = {
    route.name: route for route in (MaskObjects(), RemoveBackground(), CreateMask(), FILL, FireflyFill())
}
