"""Let waiting photos in, in order, as many as Adobe's next moments have room for; only while somebody waits.

One execution at a time does so: the first photo that enters the waiting room starts it, and it ends when the room is
empty. In it this function looks every few seconds; what it cannot let in for minutes, the machine waits out. Cut short
anywhere it loses nothing: a photo leaves the room after its message is sent, and a photo that is sent twice is decided
by the ledger. Where that execution has failed, the next photo that enters starts another, or the sweeper does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cleanplate.adobe.routes import ROUTES
from cleanplate.jobs.waiting_room import CLASSES, Waiting
from cleanplate.rate_limit.state import Slot
from cleanplate.services import Services
from cleanplate.uploads.messages import admitted_message

#: What one look may take. Seconds.
_TIME_FOR_ONE = 20.0
#: How long the lease holds after a look. Seconds; longer than a call may be cut short for.
_LEASE = 120.0
#: How long the room must be empty and nobody enter before the execution ends: an index lags behind. Seconds.
_STILL = 5.0
#: What holds all photos is waited out by the machine from so many seconds on, and so many at a time.
_LONG, _LONGEST = 30.0, 300.0
#: One photo in so many is a normal one, however many urgent ones there are.
_FAIR = 10
_HOLD_ALL = frozenset({"gate", "day", "budget"})


def admit_photos(owner: str, seconds_left: Callable[[], float], services: Services) -> dict[str, Any]:
    """Return ``waiting`` and for how long nobody can be let in, or ``empty`` where nobody waits or another has the lease."""
    room, admitted = services.room, _Admitted()
    still_since = services.clock()
    entered, leased_until = -1, 0.0
    while seconds_left() > _TIME_FOR_ONE:
        now = services.clock()
        if now > leased_until - _LEASE / 2:
            leased_until = now + _LEASE
            if not room.take_lease(owner, until=leased_until, now=now):
                return {"state": "empty", "wait_seconds": 0}
        lease = room.lease()
        if lease.entered != entered:
            entered, still_since = lease.entered, now
        found = _Room(services)
        if not found.somebody:
            if now - still_since >= _STILL and room.release(owner, entered, now=now):
                return {"state": "empty", "wait_seconds": 0}
            services.sleep(_STILL / 2)
            continue
        still_since = now
        wait, holds_all = _admit(found, admitted, services)
        if holds_all and wait > _LONG:
            wait = min(wait, _LONGEST)
            room.take_lease(owner, until=services.clock() + wait + _LEASE, now=services.clock())
            return {"state": "waiting", "wait_seconds": math.ceil(wait)}
        services.sleep(min(max(wait, services.limiter.limits.near / 2), services.limiter.limits.near))
    return {"state": "waiting", "wait_seconds": 0}


class _Admitted:
    """What this call has let in: how many urgent photos in a row, and who, as the index lags behind."""

    def __init__(self) -> None:
        self.urgent_in_a_row = 0
        self._stays = set[tuple[str, float]]()

    def add(self, photo: Waiting, *, passed_normal: bool) -> None:
        self._stays.add((photo.job_id, photo.entered_at))
        self.urgent_in_a_row = self.urgent_in_a_row + 1 if photo.urgency == CLASSES[0] and passed_normal else 0

    def __contains__(self, photo: Waiting) -> bool:
        return (photo.job_id, photo.entered_at) in self._stays


class _Room:
    """The room as the index has it at one moment: the next photo of each class and route that may go now."""

    def __init__(self, services: Services) -> None:
        self._now = services.clock()
        self.somebody = False
        #: When the next photo that was put off may go.
        self.put_off_until = math.inf
        self._ahead: dict[tuple[str, str], Iterator[Waiting]] = {}
        self.first: dict[tuple[str, str], Waiting] = {}
        for urgency in CLASSES:
            for route in ROUTES:
                self._ahead[urgency, route] = services.room.photos(urgency, route)
                self.next(urgency, route)

    def next(self, urgency: str, route: str) -> None:
        """Go on to the next photo of a class and route."""
        self.first.pop((urgency, route), None)
        for photo in self._ahead[urgency, route]:
            self.somebody = True
            if photo.not_before <= self._now or photo.deadline_at <= self._now:
                self.first[urgency, route] = photo
                return
            self.put_off_until = min(self.put_off_until, photo.not_before, photo.deadline_at)


def _admit(found: _Room, admitted: _Admitted, services: Services) -> tuple[float, bool]:
    """Let in whom there is room for; return after how many seconds to look again, and whether all are held."""
    closed = set[str]()
    look_again = found.put_off_until
    while photo := _choose(found.first.values(), admitted, closed):
        if photo in admitted:
            found.next(photo.urgency, photo.route)
            continue
        slot = Slot(0.0)
        if photo.deadline_at > services.clock():
            slot = services.limiter.reserve("mask", route=photo.route)
        if not slot.granted:
            look_again = min(look_again, slot.at)
            if slot.reason not in {"route", "breaker"}:
                return look_again - services.limiter.now(), slot.reason in _HOLD_ALL
            closed.add(photo.route)
            continue
        delay = slot.at - services.limiter.now() if slot.at else 0.0
        services.admitted_queue.send([admitted_message(photo.job_id, slot.at)], delay=delay)
        services.room.leave(photo)
        normal = any(other.urgency != CLASSES[0] for other in found.first.values())
        admitted.add(photo, passed_normal=normal)
        found.next(photo.urgency, photo.route)
    return look_again - services.limiter.now(), False


def _choose(first: Iterable[Waiting], admitted: _Admitted, closed: set[str]) -> Waiting | None:
    """Return who is next: urgent photos first, but one normal one in ten; within a class who was claimed first."""
    free = [photo for photo in first if photo.route not in closed]
    urgent = [photo for photo in free if photo.urgency == CLASSES[0]]
    normal = [photo for photo in free if photo.urgency != CLASSES[0]]
    if normal and admitted.urgent_in_a_row >= _FAIR - 1:
        urgent = []
    return min(urgent or normal, key=lambda photo: (photo.turn, photo.job_id), default=None)
