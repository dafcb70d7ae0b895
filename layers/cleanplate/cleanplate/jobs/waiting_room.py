"""The photos whose slot at Adobe has not come, in the Jobs table: a sparse index in exact order.

A claimed photo always stands in at least one place: a message, this waiting room, or an execution. It is put into the
next place before it is taken from the last, so a crash in between leaves it in two, never in none; what two do to one
photo is decided by the ledger's conditional writes, as for any message that comes twice.

- message -> room: ``enter``, then the message is done with.
- room -> message: an ``admitted`` message with the photo's slot is sent, then ``leave``.
- message -> execution: the execution is started, then the message is done with.

Writing the intent to POST or the job's end takes the photo out of the room too (``ledger``). These writes and ``leave``
are conditional on what they have read, so that none takes out a photo that has come back meanwhile.

Order: the photo's class (urgent, normal), then the time of its claim. Photos of one class and one route stand in one
partition, so that a route that is closed holds nobody else. ``not_before`` is when a photo that was put off may go.

One execution at a time lets photos in (``steps.admit_photos``). The item ``room#lease`` says which, until when it is
expected to look again, and how many photos have entered so far: it ends only where that number has not moved.

Cost: two writes for a photo that waits, one to come and one to go, each with one of the index; one more to count it, and
a read of the lease.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cleanplate.aws.dynamodb import Table
from cleanplate.errors import JobMovedOnError
from cleanplate.models import Job

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: The index and its keys. Taking ``waiting_in`` from a job takes it out of the index.
WAITING_PHOTOS, WAITING_IN, TURN = "WaitingPhotos", "waiting_in", "turn"
#: Urgent photos, then the others.
CLASSES = ("urgent", "normal")
_ROOM = "room#lease"
_PAGE = 25


@dataclass(frozen=True, slots=True)
class Waiting:
    """A photo in the room, as the index has it. Times are seconds since the epoch; ``entered_at`` names this stay."""

    job_id: str
    urgency: str
    route: str
    turn: float
    not_before: float
    deadline_at: float
    entered_at: float


@dataclass(frozen=True, slots=True)
class Lease:
    """Who lets photos in, until when it is expected to look again, and how many photos have entered so far."""

    owner: str = ""
    until: float = 0.0
    entered: int = 0


class WaitingRoom:
    """The room. The DynamoDB client is handed in."""

    def __init__(self, client: DynamoDBClient, *, table: str, routes: tuple[str, ...]) -> None:
        self._table = Table(client, table)
        self._routes = routes

    def enter(self, job: Job, *, route: str, not_before: float, now: float) -> Lease:
        """Put a photo into the room and count it; return who lets photos in.

        Raises :class:`JobMovedOnError` where this run of the job has ended or another has begun.
        """
        there = self._table.update(
            job.job_id,
            {
                WAITING_IN: _partition(CLASSES[0 if job.options.urgent else 1], route),
                TURN: job.claimed_at,
                "not_before": not_before,
                "entered_at": now,
            },
            condition="#run = :run AND #status IN (:claimed, :masking)",
            run=job.run,
            claimed="claimed",
            masking="masking",
        )
        if there is not None:
            raise JobMovedOnError(f"Job {job.job_id} has moved on since it was read.")
        self._table.update(_ROOM, {}, add={"entered": 1})
        return self.lease()

    def leave(self, photo: Waiting) -> None:
        """Take a photo out, unless it has left, or left and come back."""
        self._table.update(
            photo.job_id,
            {},
            remove=[WAITING_IN],
            condition=f"attribute_exists(#{WAITING_IN}) AND #entered_at = :entered",
            entered=photo.entered_at,
        )

    def photos(self, urgency: str, route: str) -> Iterator[Waiting]:
        """Return the photos of one partition in order of turn, as the index has them: it lags a moment behind."""
        where = _partition(urgency, route)
        for item in self._table.query(WAITING_PHOTOS, f"#{WAITING_IN} = :where", page=_PAGE, where=where):
            times = (float(item[name]) for name in (TURN, "not_before", "deadline_at", "entered_at"))
            yield Waiting(item["job_id"], urgency, route, *times)

    def first_turn(self) -> float | None:
        """Return the earliest turn in the room; None where nobody waits."""
        firsts = (next(self.photos(urgency, route), None) for urgency in CLASSES for route in self._routes)
        return min((first.turn for first in firsts if first), default=None)

    # --- the lease ---

    def lease(self) -> Lease:
        """Return who lets photos in now."""
        item = self._table.get(_ROOM) or {}
        return Lease(item.get("owner", ""), item.get("until", 0.0), item.get("entered", 0))

    def take_lease(self, owner: str, *, until: float, now: float) -> bool:
        """Take or renew the lease; False where another has it."""
        free = "attribute_not_exists(#until) OR #until <= :now OR #owner = :owner"
        return self._table.update(_ROOM, {"owner": owner, "until": until}, condition=free, now=now) is None

    def release(self, owner: str, entered: int, *, now: float) -> bool:
        """Give the lease back; False where a photo has entered since ``entered`` was read."""
        still = "#owner = :owner AND (#entered = :entered OR attribute_not_exists(#entered))"
        return self._table.update(_ROOM, {"until": now}, condition=still, owner=owner, entered=entered) is None


def _partition(urgency: str, route: str) -> str:
    return f"{urgency}/{route}"
