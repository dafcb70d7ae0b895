"""One request on its way through the stand-in, and what is known about it before its route sees it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.adobe.answers import Answer
from local.adobe.faults.base import Fault
from local.adobe.jobs import Job, Payload, Result
from local.adobe.links import photo_of

if TYPE_CHECKING:
    from aiohttp import web


@dataclass(slots=True)
class RequestContext:
    """One request: what it is about, and the faults that it has coming."""

    request: web.Request
    route: str  # METHOD and path template
    base_url: str  # the origin that the client talks to
    body: bytes = b""
    photos: tuple[str, ...] = ()
    job: Job | None = None
    result: Result | None = None
    faults: list[Fault] = field(default_factory=list)


Route = Callable[[RequestContext], Awaitable[Answer]]
Work = Callable[[Job], Awaitable[Payload]]


def photos_in(body: bytes) -> Iterator[str]:
    """Yield the decoded paths of all links in a JSON body, the image's first; nothing where it is not JSON."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for key, item in value.items():
                if key in ("url", "href") and isinstance(item, str):
                    try:
                        yield photo_of(item)
                    except ValueError:
                        continue
                else:
                    yield from walk(item)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item)

    try:
        fields = json.loads(body)
        if isinstance(fields, dict):
            # Whatever the order of keys: the picture before its masks, what is read before what is written.
            first = [fields.get("image"), fields.get("input")]
            rest = [item for key, item in fields.items() if key not in ("image", "input", "output")]
            yield from walk([*first, *rest])
    except (ValueError, RecursionError):
        return
