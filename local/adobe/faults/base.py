"""Everything that the stand-in can be told to do wrong, one small class each.

An action acts at one of four moments. ``before``: instead of the route (or before it). ``on_job``: to the job that a
POST has just created. ``on_answer``: to the finished answer. ``deliver``: in how the answer is sent. Times are
seconds on the wall, except ``duration``, which is in service seconds like the setting of that name.
"""

# ruff: noqa: ARG002 -- all actions share the hooks' signatures, whatever part of them they need

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
import json
import socket
import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiohttp import web
from PIL import Image

from local.adobe.answers import ERROR_SHAPES, Answer, Json, empty, error_in_shape, shape_a
from local.adobe.jobs import FAILURE_STYLES, Failure, Job, failed_body


class ConnectionCut(Exception):  # noqa: N818  an event, not an error
    """The connection is gone on purpose; there is nothing left to send."""


@dataclass(slots=True)
class Action:
    """The base: does nothing at any moment."""

    name: ClassVar[str] = ""

    def ends(self, method: str) -> bool:
        """Whether ``before`` answers such a request itself, so that later rules do not meet it."""
        return False

    async def before(self, request: web.BaseRequest) -> Answer | None:
        """Answer instead of the route, or None to let it answer."""
        return None

    def on_job(self, job: Job) -> None:
        """Change the job that a POST created."""

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        """Change the answer in place."""

    async def publish(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse | None:
        """Send the answer in another way, or None for the normal one."""
        return None


@dataclass(slots=True)
class _Instead(Action):
    """An action that answers instead of the route, or never does."""

    def ends(self, method: str) -> bool:
        return True


_ACTIONS: dict[str, type[Action]] = {}


def _named(name: str) -> Any:
    def register(cls: type[Action]) -> type[Action]:
        cls.name = name
        _ACTIONS[name] = cls
        return cls

    return register


def make_action(said: Any) -> Action:
    """An action from its JSON, ``{"do": name, …its fields}``, or from its name alone."""
    if isinstance(said, str):
        said = {"do": said}
    if not isinstance(said, dict) or not isinstance(said.get("do"), str):
        raise TypeError('an action is {"do": "<name>", …}')
    if said["do"] not in _ACTIONS:
        raise ValueError(f"no action is called {said['do']!r}; there are {', '.join(sorted(_ACTIONS))}")
    cls = _ACTIONS[said["do"]]
    given = {key: value for key, value in said.items() if key != "do"}
    known = {item.name for item in dataclasses.fields(cls)}
    if unknown := set(given) - known:
        has = ", ".join(sorted(known)) or "no fields"
        raise ValueError(f"{said['do']} has no field {', '.join(sorted(unknown))}; it has {has}")
    return cls(**given)


def catalogue() -> list[Json]:
    """Every action with its fields and what it does."""
    return [
        {
            "do": name,
            "fields": {item.name: _default(item) for item in dataclasses.fields(cls)},
            "says": (cls.__doc__ or "").strip().split("\n")[0],
        }
        for name, cls in sorted(_ACTIONS.items())
    ]


def _default(item: dataclasses.Field[Any]) -> Any:
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return None if item.default is dataclasses.MISSING else item.default


def cut(request: web.BaseRequest) -> ConnectionCut:
    """Reset the connection (RST, not a polite FIN), as a dying server or a firewall does."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return ConnectionCut()


# --- instead of the route --------------------------------------------------------------------------------------------


@_named("respond")
@dataclass(slots=True)
class Respond(_Instead):
    """Any status, headers and body: ``json``, or ``text``, or ``base64``."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    json: Any = None
    text: str | None = None
    base64: str | None = None
    content_type: str = ""

    async def before(self, request: web.BaseRequest) -> Answer | None:
        if self.base64 is not None:
            body, kind = base64.b64decode(self.base64), "application/octet-stream"
        elif self.text is not None:
            body, kind = self.text.encode(), "text/plain"
        else:
            body, kind = (b"", "") if self.json is None else (json.dumps(self.json).encode(), "application/json")
        return Answer(self.status, body, dict(self.headers), self.content_type or kind)


@_named("error")
@dataclass(slots=True)
class Error(_Instead):
    """An error status in one of the shapes A, B, B', B'', C, D, E, html, empty, s3."""

    status: int = 500
    shape: str = "A"
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.shape not in ERROR_SHAPES:
            raise ValueError(f"shape is one of {', '.join(ERROR_SHAPES)}")

    async def before(self, request: web.BaseRequest) -> Answer | None:
        answer = error_in_shape(self.shape, self.status, self.message)
        answer.headers.update(self.headers)
        return answer


@_named("too_many_requests")
@dataclass(slots=True)
class TooManyRequests(_Instead):
    """429; ``retry_after`` is seconds or any text, null leaves the header out."""

    retry_after: float | int | str | None = 1
    shape: str = "C"
    headers: dict[str, str] = field(default_factory=dict)

    async def before(self, request: web.BaseRequest) -> Answer | None:
        answer = error_in_shape(self.shape, 429)
        answer.headers.update(self.headers)
        if self.retry_after is not None:
            answer.headers["Retry-After"] = str(self.retry_after)
        return answer


@_named("delay")
@dataclass(slots=True)
class Delay(Action):
    """Wait before doing the normal thing."""

    seconds: float = 1.0

    async def before(self, request: web.BaseRequest) -> Answer | None:
        await asyncio.sleep(self.seconds)
        return None


@_named("hang")
@dataclass(slots=True)
class Hang(_Instead):
    """Read the request, do nothing, never answer; after ``seconds`` the connection is cut."""

    seconds: float = 3_600.0

    async def before(self, request: web.BaseRequest) -> Answer | None:
        await asyncio.sleep(self.seconds)
        raise cut(request)


@_named("reset")
@dataclass(slots=True)
class Reset(_Instead):
    """Reset the connection before anything is done or answered."""

    async def before(self, request: web.BaseRequest) -> Answer | None:
        raise cut(request)


@_named("redirect")
@dataclass(slots=True)
class Redirect(_Instead):
    """Send the client elsewhere."""

    to: str = "https://example.com/"
    status: int = 302

    async def before(self, request: web.BaseRequest) -> Answer | None:
        answer = empty(self.status)
        answer.headers["Location"] = self.to
        return answer


@_named("token_refused")
@dataclass(slots=True)
class TokenRefused(_Instead):
    """401 in shape A, as if the token had been revoked or had expired (401014)."""

    code: str = "401013"
    message: str = "Oauth token is not valid"

    async def before(self, request: web.BaseRequest) -> Answer | None:
        return shape_a(401, self.code, self.message)


@_named("job_gone")
@dataclass(slots=True)
class JobGone(Action):
    """On a POST: the job is forgotten as soon as it is created. On a status request: 404."""

    def ends(self, method: str) -> bool:
        return method == "GET"

    def on_job(self, job: Job) -> None:
        job.forgotten = True

    async def before(self, request: web.BaseRequest) -> Answer | None:
        return error_in_shape("B", 404, "Job not found") if request.method == "GET" else None


# --- to the job ------------------------------------------------------------------------------------------------------


@_named("duration")
@dataclass(slots=True)
class Duration(Action):
    """On a POST: the job takes this many service seconds."""

    seconds: float = 5.0

    def on_job(self, job: Job) -> None:
        job.duration = self.seconds


@_named("never_finishes")
@dataclass(slots=True)
class NeverFinishes(Action):
    """On a POST: the job stays running for ever."""

    def on_job(self, job: Job) -> None:
        job.never_finishes = True


@_named("failed")
@dataclass(slots=True)
class Failed(Action):
    """On a POST: the job fails at its end. On a status request: it says so now. ``style`` places the reason."""

    style: str = ""
    code: str = "processing_error"
    message: str = "the job could not be processed"

    def __post_init__(self) -> None:
        if self.style not in ("", *FAILURE_STYLES):
            raise ValueError(f"style is one of {', '.join(FAILURE_STYLES)}")

    def on_job(self, job: Job) -> None:
        job.failure = Failure(self.message, self.code, self.style)

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if _is_status(answer) and job is not None:
            failure = Failure(self.message, self.code, self.style)
            answer.body = {**_only(answer, "jobid", "_links"), "status": "failed", **failed_body(job, failure)}


@_named("labels")
@dataclass(slots=True)
class Labels(Action):
    """On a mask POST: the names that the masks get, best first; the last one serves for the rest."""

    names: list[str] | str = field(default_factory=lambda: ["subject"])

    def on_job(self, job: Job) -> None:
        job.labels = (self.names,) if isinstance(self.names, str) else tuple(self.names)


@_named("many_masks")
@dataclass(slots=True)
class ManyMasks(Action):
    """On a mask POST: this many masks, copies of those found; 0 finds nothing at all."""

    count: int = 300

    def on_job(self, job: Job) -> None:
        job.mask_count = self.count


@_named("job_id")
@dataclass(slots=True)
class JobId(Action):
    """On a POST: something before the job's id, such as ``urn:ff:jobs:x:`` or ``a b/ü:``."""

    prefix: str = "urn:ff:jobs:eso851243:"

    def on_job(self, job: Job) -> None:
        job.job_id = self.prefix + job.job_id


# --- to the JSON of the answer ---------------------------------------------------------------------------------------


@_named("without_links")
@dataclass(slots=True)
class WithoutLinks(Action):
    """On a POST: 202 without any status link; the job id stays."""

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        _drop(answer, "statusurl", "_links")
        for name in ("Location", "Link"):
            answer.headers.pop(name, None)


@_named("links")
@dataclass(slots=True)
class Links(Action):
    """On a POST: the status link in another place: ``_links``, ``Location`` or ``Link`` (headers), ``statusUrl``."""

    at: str = "_links"
    keep_job_id: bool = True

    def __post_init__(self) -> None:
        if self.at not in ("_links", "Location", "Link", "statusUrl"):
            raise ValueError("at is _links, Location, Link or statusUrl")

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        href = status_link(answer)
        if not href or not isinstance(answer.body, dict):
            return
        _drop(answer, "statusurl", "_links", *([] if self.keep_job_id else ["jobid"]))
        match self.at:
            case "_links":
                answer.body["_links"] = {"self": {"href": href}}
            case "statusUrl":
                answer.body["statusUrl"] = href
            case "Location":
                answer.headers["Location"] = href
            case _:
                answer.headers["Link"] = f'<{href}>; rel="self"'


@_named("foreign_status_link")
@dataclass(slots=True)
class ForeignStatusLink(Action):
    """On a POST: the status link points to another origin, where a client must not send its token."""

    origin: str = "https://status.example.com"

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        href = status_link(answer)
        if not href or not isinstance(answer.body, dict):
            return
        moved = self.origin.rstrip("/") + "/" + href.split("/", 3)[3]
        if "statusUrl" in answer.body:
            answer.body["statusUrl"] = moved
        else:
            answer.body["_links"] = {"self": {"href": moved}}


@_named("job_id_spelling")
@dataclass(slots=True)
class JobIdSpelling(Action):
    """The key of the job id: ``jobID`` (legacy samples), ``JobId``, ``job_id`` …"""

    key: str = "jobID"

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if isinstance(answer.body, dict):
            answer.body = {self.key if key.lower() == "jobid" else key: value for key, value in answer.body.items()}


@_named("status_word")
@dataclass(slots=True)
class StatusWord(Action):
    """On a status request: this word instead of the true one; ``only`` replaces just that word."""

    word: str = "thinking"
    only: str = ""
    keep_payload: bool = True

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if not _is_status(answer) or not isinstance(answer.body, dict):
            return
        if self.only and answer.body["status"] != self.only:
            return
        if not self.keep_payload:
            answer.body = _only(answer, "jobid", "_links")
        answer.body["status"] = self.word


@_named("without_payload")
@dataclass(slots=True)
class WithoutPayload(Action):
    """On a status request: ``succeeded`` and nothing else, as soon as the job has succeeded."""

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if _is_status(answer, "succeeded"):
            answer.body = {**_only(answer, "jobid"), "status": "succeeded"}


@_named("goes_backwards")
@dataclass(slots=True)
class GoesBackwards(Action):
    """On a status request: every second answer is an earlier word, and the payload is gone again."""

    word: str = "not_started"
    asked: int = 0

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if _is_status(answer):
            self.asked += 1
            if self.asked % 2 == 0:
                answer.body = {**_only(answer, "jobid", "_links"), "status": self.word}


@_named("boxes")
@dataclass(slots=True)
class Boxes(Action):
    """On a status request: boxes as ``left_top``, ``normalised`` (0..1 floats), ``floats``, ``none`` or ``null``."""

    style: str = "left_top"

    def __post_init__(self) -> None:
        if self.style not in ("left_top", "normalised", "floats", "none", "null"):
            raise ValueError("style is left_top, normalised, floats, none or null")

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        for item, (width, height) in _boxed(answer, job):
            box = item["boundingBox"]
            match self.style:
                case "left_top":
                    item["boundingBox"] = {
                        "left": box["x"],
                        "top": box["y"],
                        "width": box["width"],
                        "height": box["height"],
                    }
                case "normalised":
                    item["boundingBox"] = {
                        "x": box["x"] / width,
                        "y": box["y"] / height,
                        "width": box["width"] / width,
                        "height": box["height"] / height,
                    }
                case "floats":
                    item["boundingBox"] = {key: value + 0.5 for key, value in box.items()}
                case "none":
                    del item["boundingBox"]
                case _:
                    item["boundingBox"] = None


@_named("retry_after_in_body")
@dataclass(slots=True)
class RetryAfterInBody(Action):
    """On a status request: a JSON key ``Retry-After`` (a string), as one client's model declares it."""

    value: str = "3"

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if isinstance(answer.body, dict):
            answer.body["Retry-After"] = self.value


@_named("headers")
@dataclass(slots=True)
class Headers(Action):
    """More headers on the normal answer."""

    headers: dict[str, str] = field(default_factory=dict)

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        answer.headers.update(self.headers)


@_named("content_type")
@dataclass(slots=True)
class ContentType(Action):
    """Another Content-Type on the normal answer."""

    value: str = "text/html"

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        answer.content_type = self.value


@_named("merge")
@dataclass(slots=True)
class Merge(Action):
    """Put these keys into the JSON of the normal answer (deep), and take those in ``drop`` out of its top level."""

    json: dict[str, Any] = field(default_factory=dict)
    drop: list[str] = field(default_factory=list)

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if isinstance(answer.body, dict):
            for key in self.drop:
                answer.body.pop(key, None)
            _merge(answer.body, self.json)


@_named("broken_json")
@dataclass(slots=True)
class BrokenJson(Action):
    """The normal answer, cut off in the middle of its JSON, with a Content-Length that fits."""

    keep: float = 0.5

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        whole = answer.encoded()
        answer.body = whole[: int(len(whole) * self.keep)]


# --- to the result's bytes: on a POST for all of the job's results, on GET /results/* for that download -----------------


@dataclass(slots=True)
class _Spoil(Action, ABC):
    @abstractmethod
    def spoil(self, content: bytes) -> bytes:
        """The bytes instead of these."""

    def on_job(self, job: Job) -> None:
        job.spoils.append(self.spoil)

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if answer.status == 200 and isinstance(answer.body, bytes) and answer.body:
            answer.body = self.spoil(answer.body)


@_named("result_truncated")
@dataclass(slots=True)
class ResultTruncated(_Spoil):
    """The first part of the picture, with a Content-Length that fits."""

    keep: float = 0.5

    def spoil(self, content: bytes) -> bytes:
        return content[: int(len(content) * self.keep)]


@_named("result_empty")
@dataclass(slots=True)
class ResultEmpty(_Spoil):
    """No bytes at all."""

    def spoil(self, content: bytes) -> bytes:
        return b""


@_named("result_text")
@dataclass(slots=True)
class ResultText(_Spoil):
    """A page instead of a picture, with status 200."""

    text: str = "<html><body>Please try again later</body></html>"

    def spoil(self, content: bytes) -> bytes:
        return self.text.encode()


@_named("result_other_size")
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


@_named("result_other_format")
@dataclass(slots=True)
class ResultOtherFormat(_Spoil):
    """The picture in another format than its mediaType says: JPEG, PNG, WEBP, GIF, BMP, TIFF."""

    format: str = "WEBP"

    def spoil(self, content: bytes) -> bytes:
        return _save(_open(content), self.format.upper())


@_named("result_other_mode")
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


@_named("result_black")
@dataclass(slots=True)
class ResultBlack(_OneColour):
    """All black: as a mask, nothing; as a fill, a void."""


@_named("result_white")
@dataclass(slots=True)
class ResultWhite(_OneColour):
    """All white: as a mask, the whole photo."""

    level: ClassVar[int] = 255


@_named("result_inverted")
@dataclass(slots=True)
class ResultInverted(_Spoil):
    """Black and white exchanged: the polarity that Adobe nowhere promises."""

    def spoil(self, content: bytes) -> bytes:
        image = _open(content)
        return _save(Image.eval(image.convert("L" if image.mode == "L" else "RGB"), lambda v: 255 - v), "PNG")


@_named("result_expired")
@dataclass(slots=True)
class ResultExpired(Action):
    """On a POST: the job's result links are dead from the start. On GET /results/*: that download is refused."""

    def ends(self, method: str) -> bool:
        return method == "GET"

    def on_job(self, job: Job) -> None:
        job.result_seconds = 0.0

    async def before(self, request: web.BaseRequest) -> Answer | None:
        return error_in_shape("s3", 403, "Request has expired") if request.method == "GET" else None


# --- in how it is sent ------------------------------------------------------------------------------------------------


@_named("lost_answer")
@dataclass(slots=True)
class LostAnswer(Action):
    """The work is done (a POST does create its job), and the connection is reset instead of the answer."""

    async def publish(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse | None:
        raise cut(request)


@_named("late_answer")
@dataclass(slots=True)
class LateAnswer(Action):
    """The work is done at once, and the answer comes late."""

    seconds: float = 30.0

    async def publish(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse | None:
        await asyncio.sleep(self.seconds)
        return None


@_named("reset_in_body")
@dataclass(slots=True)
class ResetInBody(Action):
    """Headers and a part of the body, then a reset; Content-Length promised all of it."""

    keep: float = 0.5

    async def publish(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse | None:
        body = answer.encoded()
        response = _streamed(answer, len(body))
        await response.prepare(request)
        await response.write(body[: int(len(body) * self.keep)])
        await asyncio.sleep(0.05)  # let the part arrive: an RST may overtake what is still in the buffers
        raise cut(request)


@_named("slow_drip")
@dataclass(slots=True)
class SlowDrip(Action):
    """The normal answer in small pieces over ``seconds``."""

    seconds: float = 5.0
    pieces: int = 20

    async def publish(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse | None:
        body = answer.encoded()
        response = _streamed(answer, len(body))
        await response.prepare(request)
        step = max(1, -(-len(body) // max(1, self.pieces)))
        starts = range(0, len(body), step)
        try:
            for start in starts:
                await asyncio.sleep(self.seconds / len(starts))
                await response.write(body[start : start + step])
            await response.write_eof()
        except ConnectionResetError:
            # The client's patience was shorter.
            raise ConnectionCut from None
        return response


# --- reading and changing answers -------------------------------------------------------------------------------------


def _streamed(answer: Answer, length: int) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_type = answer.content_type or "application/octet-stream"
    response.content_length = length
    return response


def status_link(answer: Answer) -> str:
    """The status link in an accepted answer, wherever it is; empty where there is none."""
    if not isinstance(answer.body, dict):
        return ""
    link = answer.body.get("statusUrl") or answer.body.get("_links", {}).get("self", {}).get("href")
    return str(link or "")


def _is_status(answer: Answer, word: str = "") -> bool:
    if answer.status != 200 or not isinstance(answer.body, dict) or "status" not in answer.body:
        return False
    return not word or answer.body["status"] == word


def _only(answer: Answer, *names: str) -> Json:
    body = answer.body if isinstance(answer.body, dict) else {}
    return {key: value for key, value in body.items() if key.lower() in names}


def _drop(answer: Answer, *names: str) -> None:
    if isinstance(answer.body, dict):
        answer.body = {key: value for key, value in answer.body.items() if key.lower() not in names}


def _boxed(answer: Answer, job: Job | None) -> list[tuple[Json, tuple[int, int]]]:
    if not _is_status(answer, "succeeded") or not isinstance(answer.body, dict):
        return []
    items: list[Json] = []
    for key in ("semanticMasks", "backgroundMasks", "masks"):
        # Copies: the job keeps its payload as it was signed.
        answer.body[key] = [dict(item) for item in answer.body[key]] if key in answer.body else None
        if answer.body[key] is None:
            del answer.body[key]
        else:
            items.extend(answer.body[key])
    if isinstance(answer.body.get("mask"), dict):
        answer.body["mask"] = dict(answer.body["mask"])
        items.append(answer.body["mask"])
    size = job.size if job and job.size else (1, 1)
    return [(item, size) for item in items if isinstance(item.get("boundingBox"), dict)]


def _merge(into: Json, more: Json) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            into[key] = dict(into[key])
            _merge(into[key], value)
        else:
            into[key] = value


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
