"""Faults that answer instead of the route, or before it lets it answer."""

# ruff: noqa: ARG002 -- all faults share the hooks' signatures, whatever part of them they need

from __future__ import annotations

import asyncio
import base64
import json
import math
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from local.adobe.answers import ERROR_SHAPES, Answer, empty, error_in_shape, shape_a
from local.adobe.faults.base import Fault, InsteadOfRoute, cut, named
from local.adobe.jobs import Job

if TYPE_CHECKING:
    from aiohttp import web


@named("respond")
@dataclass(slots=True)
class Respond(InsteadOfRoute):
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


@named("error")
@dataclass(slots=True)
class Error(InsteadOfRoute):
    """An error status in one of the shapes A, B, B', B'', C, D, E, F, html, empty, s3."""

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


@named("too_many_requests")
@dataclass(slots=True)
class TooManyRequests(InsteadOfRoute):
    """429; ``retry_after`` is seconds or any text, null leaves the header out; ``as_date`` makes seconds an HTTP date."""

    retry_after: float | int | str | None = 1
    as_date: bool = False
    shape: str = "C"
    headers: dict[str, str] = field(default_factory=dict)

    async def before(self, request: web.BaseRequest) -> Answer | None:
        answer = error_in_shape(self.shape, 429)
        answer.headers.update(self.headers)
        if isinstance(self.retry_after, float | int) and self.as_date:
            answer.headers["Retry-After"] = formatdate(math.ceil(time.time() + self.retry_after), usegmt=True)
        elif self.retry_after is not None:
            answer.headers["Retry-After"] = str(self.retry_after)
        return answer


@named("delay")
@dataclass(slots=True)
class Delay(Fault):
    """Wait before doing the normal thing."""

    seconds: float = 1.0

    async def before(self, request: web.BaseRequest) -> Answer | None:
        await asyncio.sleep(self.seconds)
        return None


@named("hang")
@dataclass(slots=True)
class Hang(InsteadOfRoute):
    """Read the request, do nothing, never answer; after ``seconds`` the connection is cut."""

    seconds: float = 3_600.0

    async def before(self, request: web.BaseRequest) -> Answer | None:
        await asyncio.sleep(self.seconds)
        raise cut(request)


@named("reset")
@dataclass(slots=True)
class Reset(InsteadOfRoute):
    """Reset the connection before anything is done or answered."""

    async def before(self, request: web.BaseRequest) -> Answer | None:
        raise cut(request)


@named("redirect")
@dataclass(slots=True)
class Redirect(InsteadOfRoute):
    """Send the client elsewhere."""

    to: str = "https://example.com/"
    status: int = 302

    async def before(self, request: web.BaseRequest) -> Answer | None:
        answer = empty(self.status)
        answer.headers["Location"] = self.to
        return answer


@named("redirect_hops")
@dataclass(slots=True)
class RedirectHops(Fault):
    """So many redirects come before the normal answer, each on this host; as of a short link that leads to storage."""

    hops: int = 2
    status: int = 302

    async def before(self, request: web.BaseRequest) -> Answer | None:
        done = int(request.rel_url.query.get("hop", "0"))
        if done >= self.hops:
            return None
        answer = empty(self.status)
        answer.headers["Location"] = str(request.rel_url.update_query(hop=str(done + 1)))
        return answer


@named("token_refused")
@dataclass(slots=True)
class TokenRefused(InsteadOfRoute):
    """401 in shape A, as if the token had been revoked or had expired (401014)."""

    code: str = "401013"
    message: str = "Oauth token is not valid"

    async def before(self, request: web.BaseRequest) -> Answer | None:
        return shape_a(401, self.code, self.message)


@named("job_gone")
@dataclass(slots=True)
class JobGone(Fault):
    """On a POST: the job is forgotten as soon as it is created. On a status request: 404."""

    def ends(self, method: str) -> bool:
        return method == "GET"

    def on_job(self, job: Job) -> None:
        job.forgotten = True

    async def before(self, request: web.BaseRequest) -> Answer | None:
        return error_in_shape("B", 404, "Job not found") if request.method == "GET" else None
