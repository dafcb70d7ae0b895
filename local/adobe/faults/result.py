"""Faults of the result's bytes: on a POST of all that its job makes, on GET /results/* of that download."""

# ruff: noqa: ARG002 -- all faults share the hooks' signatures, whatever part of them they need

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from PIL import Image

from local.adobe.answers import Answer, error_in_shape
from local.adobe.faults.base import Fault, named
from local.adobe.jobs import Job

if TYPE_CHECKING:
    from aiohttp import web


@dataclass(slots=True)
class _Spoil(Fault, ABC):
    @abstractmethod
    def spoil(self, content: bytes) -> bytes:
        """Return the bytes instead of these."""

    def on_job(self, job: Job) -> None:
        job.spoils.append(self.spoil)

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if answer.status == 200 and isinstance(answer.body, bytes) and answer.body:
            answer.body = self.spoil(answer.body)


@named("result_truncated")
@dataclass(slots=True)
class ResultTruncated(_Spoil):
    """The first part of the picture, with a Content-Length that fits."""

    keep: float = 0.5

    def spoil(self, content: bytes) -> bytes:
        return content[: int(len(content) * self.keep)]


@named("result_empty")
@dataclass(slots=True)
class ResultEmpty(_Spoil):
    """No bytes at all."""

    def spoil(self, content: bytes) -> bytes:
        return b""


@named("result_text")
@dataclass(slots=True)
class ResultText(_Spoil):
    """A page instead of a picture, with status 200."""

    text: str = "<html><body>Please try again later</body></html>"

    def spoil(self, content: bytes) -> bytes:
        return self.text.encode()


@named("result_other_size")
@dataclass(slots=True)
class ResultOtherSize(_Spoil):
    """The picture in another size: ``scale``, or ``width`` and ``height`` in pixels."""

    scale: float = 0.5
    width: int = 0
    height: int = 0

    def spoil(self, content: bytes) -> bytes:
        image = _open(content)
        width = self.width or max(1, round(image.width * self.scale))
        height = self.height or max(1, round(image.height * self.scale))
        return _save(image.resize((width, height)), image.format or "PNG")


@named("result_other_format")
@dataclass(slots=True)
class ResultOtherFormat(_Spoil):
    """The picture in another format than its mediaType says: JPEG, PNG, WEBP, GIF, BMP, TIFF."""

    format: str = "WEBP"

    def spoil(self, content: bytes) -> bytes:
        return _save(_open(content), self.format.upper())


@named("result_other_mode")
@dataclass(slots=True)
class ResultOtherMode(_Spoil):
    """The picture in another Pillow mode, as PNG: 1, P, LA, RGB, RGBA, I;16."""

    mode: str = "RGBA"

    def spoil(self, content: bytes) -> bytes:
        image = _open(content)
        if self.mode == "I;16":
            wide = image.convert("L").convert("I").point(lambda value: value * 257)
            return _save(wide.convert("I;16"), "PNG")
        if self.mode == "P":
            return _save(image.convert("RGB").quantize(64), "PNG")
        return _save(image.convert(self.mode), "PNG")


@dataclass(slots=True)
class _OneColour(_Spoil):
    level: ClassVar[int] = 0

    def spoil(self, content: bytes) -> bytes:
        image = _open(content)
        level = self.level
        painted = Image.new("L", image.size, level) if image.mode == "L" else Image.new("RGB", image.size, (level,) * 3)
        return _save(painted, image.format or "PNG")


@named("result_black")
@dataclass(slots=True)
class ResultBlack(_OneColour):
    """All black: as a mask, nothing; as a fill, a void."""


@named("result_white")
@dataclass(slots=True)
class ResultWhite(_OneColour):
    """All white: as a mask, the whole photo."""

    level: ClassVar[int] = 255


@named("result_inverted")
@dataclass(slots=True)
class ResultInverted(_Spoil):
    """Black and white exchanged: the polarity that Adobe nowhere promises."""

    def spoil(self, content: bytes) -> bytes:
        image = _open(content)
        return _save(Image.eval(image.convert("L" if image.mode == "L" else "RGB"), lambda v: 255 - v), "PNG")


@named("result_expired")
@dataclass(slots=True)
class ResultExpired(Fault):
    """On a POST: the job's result links are dead from the start. On GET /results/*: that download is refused."""

    def ends(self, method: str) -> bool:
        return method == "GET"

    def on_job(self, job: Job) -> None:
        job.result_seconds = 0.0

    async def before(self, request: web.BaseRequest) -> Answer | None:
        return error_in_shape("s3", 403, "Request has expired") if request.method == "GET" else None


def _open(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def _save(image: Image.Image, name: str) -> bytes:
    out = io.BytesIO()
    if name == "JPEG" and image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    image.save(out, name)
    return out.getvalue()
