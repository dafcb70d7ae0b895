"""The Jobs table as all who keep something in it use it: one codec, and calls that may take more than one try."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from cleanplate.errors import LedgerBusyError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_T = TypeVar("_T")

_ATTEMPTS = 12
#: Seconds; the longest pause before the second attempt, and before any. Twelve attempts take a second on average.
_PAUSE = 0.01
_LONGEST_PAUSE = 0.32
#: Seconds after which the message or the machine comes back.
_COME_BACK = 5.0

_MAX_KEYS = 100
#: What DynamoDB calls a condition that was not met: as an error, and as a reason in a transaction.
_REFUSED = ("ConditionalCheckFailedException", "ConditionalCheckFailed")
_CROWDED = {"TransactionConflictException", "TransactionInProgressException"}
_CROWDED_REASONS = {"None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


def retry_on_conflict(
    call: Callable[[], _T],
    *,
    clock: Callable[[], float] = time.time,
    jitter: Callable[[], float] = random.random,
    sleep: Callable[[float], None] = time.sleep,
) -> _T:
    """Return the call's answer, asked for again after a moment where others were at the same items.

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
    """Return the items that there are, by key; a hundred in one call."""
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
    """Return why a transaction was cancelled, action by action; empty where it was something else."""
    return [str(reason.get("Code", "None")) for reason in error.response.get("CancellationReasons", [])]


def _is_crowded(error: ClientError) -> bool:
    found = reasons(error)
    if found:
        return set(found) <= _CROWDED_REASONS
    return error.response.get("Error", {}).get("Code", "") in _CROWDED


# --- items ---


def to_attribute(value: object) -> AttributeValueTypeDef:
    """Return a plain value as DynamoDB writes it; raise :class:`TypeError` for one that has no place in an item."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int() | float() if not isinstance(value, float) or math.isfinite(value):
            return {"N": repr(value)}
        case Mapping():
            return {"M": {str(name): to_attribute(inner) for name, inner in value.items()}}
        case list() | tuple():
            return {"L": [to_attribute(inner) for inner in value]}
        case _:
            raise TypeError(f"{value!r} has no place in an item of the Jobs table.")


def from_attribute(attribute: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON-like
    """Return the plain value of an attribute; a whole number is an int, however it was written."""
    kind, held = next(iter(attribute.items()))
    match kind:
        case "N":
            number = float(held)
            return int(held) if held.lstrip("-").isdecimal() else int(number) if number.is_integer() else number
        case "M":
            return {name: from_attribute(inner) for name, inner in held.items()}
        case "L":
            return [from_attribute(inner) for inner in held]
        case "NULL":
            return None
        case _:
            return held


def to_item(values: Mapping[str, object]) -> dict[str, AttributeValueTypeDef]:
    """Return plain values as an item."""
    return {name: to_attribute(value) for name, value in values.items()}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values of an item."""
    return {name: from_attribute(attribute) for name, attribute in item.items()}


def bound(**values: object) -> dict[str, AttributeValueTypeDef]:
    """Return ``ExpressionAttributeValues``: each value under its name with a colon."""
    return {f":{name}": to_attribute(value) for name, value in values.items()}


def item_key(key: str) -> dict[str, AttributeValueTypeDef]:
    """Return the key of an item of the Jobs table."""
    return {"job_id": {"S": key}}


# --- refusals ---


def is_refused(error: ClientError) -> bool:
    """Return whether the condition of a single write, or of the first write of a transaction, was not met."""
    found = reasons(error)
    if found:
        return found[0] == _REFUSED[1]
    return error.response.get("Error", {}).get("Code", "") == _REFUSED[0]


def item_there(error: ClientError) -> dict[str, Any] | None:
    """Return what stood in the way of a refused write, where that was asked for (``ALL_OLD``); None where it is unknown."""
    refused: Mapping[str, Any] = {**error.response}
    first = next(iter(refused.get("CancellationReasons", [])), refused)
    return from_item(first["Item"]) if first.get("Item") else None
