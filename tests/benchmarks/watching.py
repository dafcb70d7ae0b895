"""Looking at a stack while it works: Adobe's stand-in, the machine's processors, the photos."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from local.adobe import StandIn
from local.demo.photographs import photograph
from local.embedded_aws.server import EmbeddedAws

if TYPE_CHECKING:
    from PIL import Image

MASK, FILL = "/v1/mask-objects", "/v1/fill-masked-areas"
_MASKING = ("POST /v1/", "GET /v1/")
_EVERY = 0.25


@dataclass(frozen=True, slots=True)
class Moment:
    """What had happened until ``at``, in seconds on a steady clock."""

    at: float
    posts: int
    polls: int
    refused: int
    masks: int
    processor: float
    our_processor: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Requests to Adobe while new photos were waiting."""

    seconds: float
    per_minute: float
    processor: float
    our_processor: float


class Watch:
    """Reads the stand-in's counters a few times a second, until it is left; the processor time of both, too."""

    def __init__(self, adobe: StandIn, aws: EmbeddedAws) -> None:
        self._adobe = adobe
        self._processes = [process.pid for process in (adobe._process, aws._process) if process is not None]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.moments: list[Moment] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def pace(self, photos: int, *, polls_count: bool) -> Pace:
        """From the first request until the last photo's mask was asked for; to the end where that never came."""

        def counted(moment: Moment) -> int:
            return moment.posts + (moment.polls if polls_count else 0)

        busy = [moment for moment in self.moments if moment.posts]
        end = next((i for i, moment in enumerate(busy) if moment.masks >= photos), len(busy) - 1)
        first, last = busy[0], busy[end]
        seconds = last.at - first.at
        return Pace(
            seconds,
            (counted(last) - counted(first)) / seconds * 60 if seconds else 0.0,
            (last.processor - first.processor) / seconds if seconds else 0.0,
            (last.our_processor - first.our_processor) / seconds if seconds else 0.0,
        )

    def _look(self) -> None:
        while not self._stopping.is_set():
            self.moments.append(_moment(self._adobe.counters(), self._processes))
            self._stopping.wait(_EVERY)


def _moment(counters: Mapping[str, Any], processes: Sequence[int]) -> Moment:
    posts = polls = refused = 0
    for route, statuses in counters["requests"].items():
        if route.startswith(_MASKING):
            throttled = statuses.get("429", 0)
            taken = sum(statuses.values()) - throttled
            refused += throttled
            posts += taken if route.startswith("POST") else 0
            polls += taken if route.startswith("GET") else 0
    return Moment(
        time.monotonic(),
        posts,
        polls,
        refused,
        counters["jobs"].get(MASK, 0),
        machine_seconds(),
        tree_seconds(processes),
    )


def machine_seconds() -> float:
    """Processor time that everything on this machine has used, where the machine tells (Linux)."""
    try:
        words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return float("nan")
    # user, nice, system, and from the sixth on interrupts and what the host took.
    used = [float(words[i]) for i in (0, 1, 2, 5, 6)]
    return sum(used) / os.sysconf("SC_CLK_TCK")


def tree_seconds(roots: Sequence[int]) -> float:
    """Processor time of these processes and all that they started, where the machine tells (Linux)."""
    found: dict[int, tuple[int, float]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, in brackets, may hold anything.
            words = path.read_text(errors="replace").rpartition(")")[2].split()
            # Parent; user and system time, its own and that of children that have ended.
            found[int(path.parent.name)] = int(words[1]), sum(float(words[i]) for i in (11, 12, 13, 14))
    if not found:
        return float("nan")
    ours, grown = set(roots), True
    while grown:
        more = {pid for pid, (parent, _) in found.items() if parent in ours} - ours
        ours |= more
        grown = bool(more)
    return sum(found[pid][1] for pid in ours if pid in found) / os.sysconf("SC_CLK_TCK")


def small_photos(count: int) -> list[bytes]:
    """Make JPEG files of 320 x 213 pixels, as `told_apart` does."""
    return told_apart(photograph("coffee").resize((320, 213)), count)


def told_apart(picture: Image.Image, count: int) -> list[bytes]:
    """Make JPEG files of one picture, each with a comment of its own, so that no two have the same bytes."""
    files = []
    for number in range(count):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=88, comment=f"photo {number}".encode())
        files.append(buffer.getvalue())
    return files


def wait_for(done: Callable[[], bool], seconds: float, every: float = 1.0) -> bool:
    """Whether it came true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if done():
            return True
        time.sleep(every)
    return done()


def bought_twice(counters: Mapping[str, Any], key_part: str) -> int:
    """Jobs at Adobe beyond the first, per photo and route, by the paths of the links and by what was fetched there."""
    by_path = sum(
        max(0, int(routes.get(route, {}).get("jobs", 0)) - 1)
        for path, routes in counters["photos"].items()
        if key_part in path
        for route in (MASK, FILL)
    )
    by_content = sum(max(0, int(jobs) - 1) for routes in counters["contents"].values() for jobs in routes.values())
    return max(by_path, by_content)
