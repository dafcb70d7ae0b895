"""Faults in how an answer is sent."""

# ruff: noqa: ARG002 -- all faults share the hooks' signatures, whatever part of them they need

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from local.adobe.answers import Answer
from local.adobe.faults.base import ConnectionCut, Fault, cut, named


@named("lost_answer")
@dataclass(slots=True)
class LostAnswer(Fault):
    """The work is done (a POST does create its job), and the connection is reset instead of the answer."""

    async def send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse | None:
        raise cut(request)


@named("late_answer")
@dataclass(slots=True)
class LateAnswer(Fault):
    """The work is done at once, and the answer comes late."""

    seconds: float = 30.0

    async def send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse | None:
        await asyncio.sleep(self.seconds)
        return None


@named("reset_in_body")
@dataclass(slots=True)
class ResetInBody(Fault):
    """Headers and a part of the body, then a reset; Content-Length promised all of it."""

    keep: float = 0.5

    async def send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse | None:
        body = answer.encoded()
        response = _streamed(answer, len(body))
        await response.prepare(request)
        await response.write(body[: int(len(body) * self.keep)])
        await asyncio.sleep(0.05)  # let the part arrive: an RST may overtake what is still in the buffers
        raise cut(request)


@named("slow_drip")
@dataclass(slots=True)
class SlowDrip(Fault):
    """The normal answer in small pieces over ``seconds``."""

    seconds: float = 5.0
    pieces: int = 20

    async def send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse | None:
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


def _streamed(answer: Answer, length: int) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_type = answer.content_type or "application/octet-stream"
    response.content_length = length
    return response
