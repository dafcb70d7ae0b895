"""Who owns a key of the results bucket: one arbiter for result, manifest and record, in one item per key.

An item names the *owner* of its key, the job whose result is to be there, and the *writer*, the job that is writing there
now. The newest claim of a photo owns its key; another photo never gets it. Only who holds a key as its writer may write
the result or the manifest there, so both are always of one job. A writer that died gives way when its lease ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cleanplate.aws.dynamodb import bound, from_item, is_refused, item_key, item_there
from cleanplate.errors import (
    LedgerBusyError,
    PhotoReplacedError,
    ResultKeyTakenError,
)
from cleanplate.jobs.records import expiry
from cleanplate.models import Job

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: Longer than any function that writes results may live (300 s). Seconds.
HOLD_SECONDS = 400.0
#: When to look again whether another job has finished writing. Seconds.
_LOOK_AGAIN_SECONDS = 5.0


class ResultOwners:
    """The owners of the results bucket's keys. The DynamoDB client is handed in; times are seconds since the epoch."""

    def __init__(self, client: DynamoDBClient, *, table: str, record_days: int) -> None:
        self._db = client
        self._table = table
        self._record_days = record_days

    def take(self, job: Job, key: str, *, now: float) -> None:
        """Make the job the owner of a key.

        Raises :class:`PhotoReplacedError` where a newer claim of the same photo owns it, and
        :class:`ResultKeyTakenError` where another photo does.
        """
        there = self._update(
            key,
            "SET #owner = :me, photo = :photo, claimed_at = :claimed, expires_at = :expires",
            "attribute_not_exists(#owner) OR #owner = :me OR (photo = :photo AND claimed_at <= :claimed)",
            {"#owner": "owner"},
            me=job.job_id,
            photo=_photo(job),
            claimed=job.claimed_at,
            expires=expiry(now, self._record_days),
        )
        if there is not None:
            raise _refusal(job, key, there)

    def owner(self, key: str) -> str:
        """Return the id of the job that owns a key, empty where none does."""
        return str(self._read(key).get("owner", ""))

    def hold(self, job: Job, key: str, *, now: float, has_finished: Callable[[str], bool]) -> None:
        """Make the job, which owns a key, the one that writes there; of it alone come result and manifest from now on.

        ``has_finished`` tells of another job whether its outcome is published, so that nothing more comes of it. Raises
        as :meth:`take` does, and :class:`LedgerBusyError` while another job is still writing.
        """
        writer = ""
        for _ in range(3):
            there = self._update(
                key,
                "SET #writer = :me, writing_until = :until",
                "#writer = :me OR (#owner = :me AND "
                "(attribute_not_exists(#writer) OR writing_until < :now OR #writer = :writer))",
                {"#owner": "owner", "#writer": "writer"},
                me=job.job_id,
                now=now,
                until=now + HOLD_SECONDS,
                writer=writer,
            )
            if there is None:
                return
            if "owner" not in there:
                self.take(job, key, now=now)
                continue
            if there["owner"] != job.job_id:
                raise _refusal(job, key, there)
            writer = there["writer"]
            if not has_finished(writer):
                break
        raise LedgerBusyError(f"Job {writer} is writing at {key}.", now + _LOOK_AGAIN_SECONDS)

    def _update(
        self, key: str, update: str, condition: str, names: dict[str, str], **values: object
    ) -> dict[str, Any] | None:
        """Return None where it was written, else what was there."""
        try:
            self._db.update_item(
                TableName=self._table,
                Key=item_key(owner_key(key)),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=bound(**values),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if not is_refused(error):
                raise
            return item_there(error) or self._read(key)
        return None

    def _read(self, key: str) -> dict[str, Any]:
        answer = self._db.get_item(TableName=self._table, Key=item_key(owner_key(key)), ConsistentRead=True)
        return from_item(answer.get("Item", {}))


def owner_key(key: str) -> str:
    """Return the key of the item that says who owns a key of the results bucket."""
    return f"result#{key}"


def _photo(job: Job) -> str:
    # A bucket's name has no slash, so no two photos share one.
    return f"{job.photo.bucket}/{job.photo.key}"


def _refusal(job: Job, key: str, there: dict[str, Any]) -> PhotoReplacedError | ResultKeyTakenError:
    if there.get("photo", _photo(job)) == _photo(job):
        return PhotoReplacedError(
            f"{job.photo.key} was uploaded or asked for again, and that job's result is at {key}."
        )
    return ResultKeyTakenError(f"The result would lie at {key}, where that of {there['photo']} is.", there["photo"])
