"""The photos whose slot at Adobe has not come, in the Jobs table: a sparse index in exact order.

A claimed photo always stands in at least one place: a message, this waiting room, or an execution. It is put into the
next place before it is taken from the last, so a crash in between leaves it in two, never in none; what two do to one
photo is decided by the ledger's conditional writes, as for any message that comes twice.

- message -> room: ``enter``, then the message is done with.
- room -> message: an ``admitted`` message with the photo's slot is sent, then ``leave``.
- message -> execution: the execution is started, then the message is done with.

A photo leaves by itself with the intent to POST and with its end (``ledger``). ``leave`` and those carry what they have
seen, so that none of them takes a photo out that has come back meanwhile.

Order: the photo's class (urgent, normal), then the time of its claim. Photos of one class and one route stand in one
partition, so that a route that is closed holds nobody else. ``not_before`` is when a photo that was put off may go.

One attendant at a time lets photos in (``steps.admit_photos``). The item ``room#attendance`` holds who it is, until when it
is expected to look again, and a bell that everybody rings who enters: the attendant goes only where the bell is still.

Cost: two writes for a photo that waits, one to come and one to go, each with one of the index; one more for the bell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cleanplate.errors import JobMovedOnError
from cleanplate.models import Job

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

#: The index and its keys. Taking ``waiting_in`` from a job takes it out of the index.
WAITING_PHOTOS, WAITING_IN, TURN = "WaitingPhotos", "waiting_in", "turn"
#: Urgent photos, then the others.
CLASSES = ("urgent", "normal")
_ROOM = {"job_id": {"S": "room#attendance"}}
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
class Attendance:
    """Who lets photos in, until when it is expected to look again, and how often the bell was rung."""

    owner: str = ""
    until: float = 0.0
    bell: int = 0


class WaitingRoom:
    """The room. The DynamoDB client is handed in."""

    def __init__(self, client: DynamoDBClient, *, table: str, routes: tuple[str, ...]) -> None:
        self._db = client
        self._table = table
        self._routes = routes

    def enter(self, job: Job, *, route: str, not_before: float, now: float) -> Attendance:
        """Put a photo into the room and ring; return who attends it.

        Raises :class:`JobMovedOnError` where this run of the job has ended or another has begun.
        """
        try:
            self._db.update_item(
                TableName=self._table,
                Key={"job_id": {"S": job.job_id}},
                UpdateExpression=f"SET {WAITING_IN} = :in, {TURN} = :turn, not_before = :not_before, entered_at = :now",
                ConditionExpression="#run = :run AND #status IN (:claimed, :masking)",
                ExpressionAttributeNames={"#run": "run", "#status": "status"},
                ExpressionAttributeValues={
                    ":in": {"S": _partition(CLASSES[0 if job.options.urgent else 1], route)},
                    ":turn": {"N": repr(job.claimed_at)},
                    ":not_before": {"N": repr(not_before)},
                    ":now": {"N": repr(now)},
                    ":run": {"N": str(job.run)},
                    ":claimed": {"S": "claimed"},
                    ":masking": {"S": "masking"},
                },
            )
        except self._db.exceptions.ConditionalCheckFailedException:
            raise JobMovedOnError(f"Job {job.job_id} has moved on since it was read.") from None
        answer = self._db.update_item(
            TableName=self._table,
            Key=_ROOM,
            UpdateExpression="ADD bell :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
            ReturnValues="ALL_NEW",
        )
        return _read_attendance(answer.get("Attributes", {}))

    def leave(self, photo: Waiting) -> None:
        """Take a photo out, unless it has left, or left and come back."""
        try:
            self._db.update_item(
                TableName=self._table,
                Key={"job_id": {"S": photo.job_id}},
                UpdateExpression=f"REMOVE {WAITING_IN}",
                ConditionExpression=f"attribute_exists({WAITING_IN}) AND entered_at = :entered",
                ExpressionAttributeValues={":entered": {"N": repr(photo.entered_at)}},
            )
        except self._db.exceptions.ConditionalCheckFailedException:
            return

    def photos(self, urgency: str, route: str) -> Iterator[Waiting]:
        """Return the photos of one partition in order of turn, as the index has them: it lags a moment behind."""
        pages = self._db.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=WAITING_PHOTOS,
            KeyConditionExpression=f"{WAITING_IN} = :in",
            ExpressionAttributeValues={":in": {"S": _partition(urgency, route)}},
            PaginationConfig={"PageSize": _PAGE},
        )
        for page in pages:
            yield from (_read_waiting(item, urgency, route) for item in page["Items"])

    def first_turn(self) -> float | None:
        """Return the earliest turn in the room; None where nobody waits."""
        firsts = (next(self.photos(urgency, route), None) for urgency in CLASSES for route in self._routes)
        return min((first.turn for first in firsts if first), default=None)

    # --- attending ---

    def attendance(self) -> Attendance:
        """Return who attends the room now."""
        return _read_attendance(
            self._db.get_item(TableName=self._table, Key=_ROOM, ConsistentRead=True).get("Item", {})
        )

    def attend(self, owner: str, *, until: float, now: float) -> bool:
        """Be the room's attendant until then; False where somebody else is."""
        return self._update(
            "SET #owner = :owner, #until = :until",
            "attribute_not_exists(#until) OR #until <= :now OR #owner = :owner",
            {":owner": {"S": owner}, ":until": {"N": repr(until)}, ":now": {"N": repr(now)}},
        )

    def close(self, owner: str, bell: int, *, now: float) -> bool:
        """Go; False where somebody has entered since the bell was looked at."""
        return self._update(
            "SET #until = :now",
            "#owner = :owner AND (bell = :bell OR (attribute_not_exists(bell) AND :bell = :none))",
            {":owner": {"S": owner}, ":bell": {"N": str(bell)}, ":now": {"N": repr(now)}, ":none": {"N": "0"}},
        )

    def _update(self, update: str, condition: str, values: dict[str, AttributeValueTypeDef]) -> bool:
        names = {"#owner": "owner", "#until": "until"}
        try:
            self._db.update_item(
                TableName=self._table,
                Key=_ROOM,
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={name: real for name, real in names.items() if name in update + condition},
                ExpressionAttributeValues=values,
            )
        except self._db.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _partition(urgency: str, route: str) -> str:
    return f"{urgency}/{route}"


def _read_attendance(item: dict[str, Any]) -> Attendance:
    return Attendance(
        item.get("owner", {}).get("S", ""),
        float(item.get("until", {}).get("N", 0)),
        int(item.get("bell", {}).get("N", 0)),
    )


def _read_waiting(item: dict[str, Any], urgency: str, route: str) -> Waiting:
    turn, not_before, deadline_at, entered_at = (
        float(item[name]["N"]) for name in (TURN, "not_before", "deadline_at", "entered_at")
    )
    return Waiting(item["job_id"]["S"], urgency, route, turn, not_before, deadline_at, entered_at)
