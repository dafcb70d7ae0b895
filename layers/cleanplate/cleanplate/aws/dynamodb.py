"""Calls to the Jobs table that may take more than one try."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from cleanplate.errors import LedgerBusyError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_T = TypeVar("_T")

_ATTEMPTS = 12
#: Seconds; the longest pause before the second attempt, and before any. Twelve attempts take a second on average.
_PAUSE = 0.01
_LONGEST_PAUSE = 0.32
#: Seconds after which the message or the machine comes back.
_COME_BACK = 5.0

_MAX_KEYS = 100
_CROWDED = {"TransactionConflictException", "TransactionInProgressException"}
_CROWDED_REASONS = {"None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


def retry_on_conflict(
    call: Callable[[], _T],
    *,
    clock: Callable[[], float] = time.time,
    jitter: Callable[[], float] = random.random,
    sleep: Callable[[float], None] = time.sleep,
) -> _T:
    """The call's answer, asked for again after a moment where others were at the same items.

    DynamoDB refuses such a call and changes nothing; botocore does not repeat it by itself. Raises
    :class:`LedgerBusyError` where it stays like that.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return call()
        except ClientError as error:
            if not _is_crowded(error):
                raise
        sleep(jitter() * min(_PAUSE * 2**attempt, _LONGEST_PAUSE))
    raise LedgerBusyError("Too many callers are at the same records at once.", clock() + _COME_BACK * (1 + jitter()))


def get_many(client: DynamoDBClient, table: str, keys: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """The items that there are, by key; a hundred in one call."""
    found: dict[str, Mapping[str, Any]] = {}
    ahead = list(dict.fromkeys(keys))
    while ahead:
        wanted: list[Any] = [{"job_id": {"S": key}} for key in ahead[:_MAX_KEYS]]
        answer = client.batch_get_item(RequestItems={table: {"Keys": wanted, "ConsistentRead": True}})
        found |= {item["job_id"]["S"]: item for item in answer["Responses"].get(table, [])}
        again = answer.get("UnprocessedKeys") or {}
        left = again[table]["Keys"] if table in again else []
        ahead = ahead[_MAX_KEYS:] + [key["job_id"]["S"] for key in left]
    return found


def reasons(error: ClientError) -> list[str]:
    """Why a transaction was cancelled, action by action; empty where it was something else."""
    return [str(reason.get("Code", "None")) for reason in error.response.get("CancellationReasons", [])]


def _is_crowded(error: ClientError) -> bool:
    found = reasons(error)
    if found:
        return set(found) <= _CROWDED_REASONS
    return error.response.get("Error", {}).get("Code", "") in _CROWDED
