"""What every fault of the stand-in is made of: its hooks, its name, and what several kinds use.

A fault acts at one of four moments. ``before``: instead of the route, or before it. ``on_job``: on the job that a POST
has just created. ``on_answer``: on the finished answer. ``send``: in how the answer is sent. Times are seconds on the
wall, except in ``duration``, which is in service seconds like the setting of that name.
"""

# ruff: noqa: ARG002 -- all faults share the hooks' signatures, whatever part of them they need

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from local.adobe.answers import Answer, Json
from local.adobe.jobs import Job

if TYPE_CHECKING:
    from aiohttp import web


class ConnectionCut(Exception):  # noqa: N818  an event, not an error
    """The connection is gone on purpose; there is nothing left to send."""


@dataclass(slots=True)
class Fault:
    """The base: does nothing at any moment."""

    name: ClassVar[str] = ""

    def ends(self, method: str) -> bool:
        """Say whether ``before`` answers such a request itself, so that later rules do not meet it."""
        return False

    async def before(self, request: web.BaseRequest) -> Answer | None:
        """Answer instead of the route, or return None to let it answer."""
        return None

    def on_job(self, job: Job) -> None:
        """Change the job that a POST created."""

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        """Change the answer in place."""

    async def send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse | None:
        """Send the answer in another way, or return None for the normal one."""
        return None


@dataclass(slots=True)
class InsteadOfRoute(Fault):
    """A fault that answers instead of the route, or never does."""

    def ends(self, method: str) -> bool:
        return True


_F = TypeVar("_F", bound=type[Fault])

#: Every fault by its name; ``local.adobe.faults.catalogue`` imports all kinds.
REGISTRY: dict[str, type[Fault]] = {}


def named(name: str) -> Callable[[_F], _F]:
    """Register a fault under ``name``, which is what a rule's JSON calls it."""

    def register(cls: _F) -> _F:
        cls.name = name
        REGISTRY[name] = cls
        return cls

    return register


def cut(request: web.BaseRequest) -> ConnectionCut:
    """Reset the connection (RST, not a polite FIN), as a dying server or a firewall does."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return ConnectionCut()


def is_status(answer: Answer, word: str = "") -> bool:
    """Say whether the answer tells a job's state, and that it is ``word`` where one is given."""
    if answer.status != 200 or not isinstance(answer.body, dict) or "status" not in answer.body:
        return False
    return not word or answer.body["status"] == word


def only(answer: Answer, *names: str) -> Json:
    """Return the top-level keys of the answer's JSON that are called so, in any case."""
    body = answer.body if isinstance(answer.body, dict) else {}
    return {key: value for key, value in body.items() if key.lower() in names}
