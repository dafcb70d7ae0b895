"""The Jobs table as all who keep something in it use it: plain values in and out, and conditional writes that say what stood
in their way.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

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
#: So many items an index gives in one call, unless fewer will do; a megabyte at most.
_PAGE = 1000
_DAY = 86_400
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


def update_of(
    table: str,
    key: str,
    values: Mapping[str, object],
    *,
    remove: Sequence[str] = (),
    add: Mapping[str, int] | None = None,
    condition: str = "",
    **compared: object,
) -> dict[str, Any]:
    """Return the request to set, remove and add to attributes of an item.

    ``condition`` has ``#name`` for an attribute; ``:name`` is its new value, or what is ``compared``.
    """
    names, added = {_place(name): name for name in [*values, *remove, *(add or {})]}, add or {}
    clauses = (
        ("SET", [f"#{_place(name)} = :{_place(name)}" for name in values]),
        ("REMOVE", [f"#{_place(name)}" for name in remove]),
        ("ADD", [f"#{_place(name)} :{_place(name)}" for name in added]),
    )
    update = " ".join(f"{word} {', '.join(parts)}" for word, parts in clauses if parts)
    bound = {_place(name): value for name, value in {**values, **added}.items()} | compared
    return {
        "TableName": table,
        "Key": item_key(key),
        "UpdateExpression": update,
        **({"ConditionExpression": condition} if condition else {}),
        **placeholders(condition, bound, names),
    }


def placeholders(text: str, values: Mapping[str, object], names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the names for each ``#name`` of an expression and those ``names`` besides, and the values for its ``:name``."""
    named = {f"#{name}": name for name in re.findall(r"#(\w+)", text)}
    named |= {f"#{place}": name for place, name in (names or {}).items()}
    found = {f":{name}": to_attribute(value) for name, value in values.items()}
    return {"ExpressionAttributeNames": named, **({"ExpressionAttributeValues": found} if found else {})}


def _place(name: str) -> str:
    return re.sub(r"\W", "_", name)


def expiry(now: float, record_days: int) -> int:
    """Return when DynamoDB may delete an item that was written at a time, in whole seconds since the epoch."""
    return int(now) + record_days * _DAY


def item_key(key: str) -> dict[str, AttributeValueTypeDef]:
    """Return the key of an item of the Jobs table."""
    return {"job_id": {"S": key}}


# --- the table ---


class Table:
    """One table of plain values, whose reads are consistent and whose conditional writes say what stood in their way.

    The client is handed in; ``heard`` is given whatever DynamoDB answers, errors included.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        name: str,
        *,
        record_days: int = 0,
        heard: Callable[[Mapping[str, Any]], object] = lambda _: None,
    ) -> None:
        self.client = client
        self.name = name
        self.record_days = record_days
        self._heard = heard

    def expiry(self, now: float) -> int:
        """Return when DynamoDB may delete what is written now."""
        return expiry(now, self.record_days)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return an item, None where there is none."""
        answer = self.client.get_item(TableName=self.name, Key=item_key(key), ConsistentRead=True)
        self._heard(answer)
        return from_item(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the items that there are, by key; a hundred in one call."""
        found: dict[str, dict[str, Any]] = {}
        ahead = list(dict.fromkeys(keys))
        while ahead:
            wanted: list[Any] = [item_key(key) for key in ahead[:_MAX_KEYS]]
            answer = self.client.batch_get_item(RequestItems={self.name: {"Keys": wanted, "ConsistentRead": True}})
            found |= {item["job_id"]["S"]: from_item(item) for item in answer["Responses"].get(self.name, [])}
            again = answer.get("UnprocessedKeys") or {}
            left = again[self.name]["Keys"] if self.name in again else []
            ahead = ahead[_MAX_KEYS:] + [key["job_id"]["S"] for key in left]
        return found

    def get_at_once(self, keys: Iterable[str]) -> list[dict[str, Any]]:
        """Return the items that there are, as they are at one moment."""
        gets: list[Any] = [{"Get": {"TableName": self.name, "Key": item_key(key)}} for key in keys]
        answer = retry_on_conflict(lambda: self.client.transact_get_items(TransactItems=gets))
        return [from_item(found["Item"]) for found in answer["Responses"] if found.get("Item")]

    def query(self, index: str, condition: str, *, page: int = _PAGE, **compared: object) -> Iterator[dict[str, Any]]:
        """Yield the items of an index, ``page`` in one call: it lags a moment behind."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            IndexName=index,
            KeyConditionExpression=condition,
            **placeholders(condition, compared),
            PaginationConfig={"PageSize": page},
        )
        for found in pages:
            yield from map(from_item, found["Items"])

    def scan(self, condition: str, *, after: str = "", **compared: object) -> tuple[list[dict[str, Any]], str]:
        """Return the items that meet a condition in the next megabyte of the table, 128 read units, and where to go on;
        empty where that was the last.
        """
        go_on: dict[str, Any] = {"ExclusiveStartKey": item_key(after)} if after else {}
        page = self.client.scan(
            TableName=self.name, FilterExpression=condition, **placeholders(condition, compared), **go_on
        )
        goes_on = page.get("LastEvaluatedKey", {}).get("job_id", {}).get("S", "")
        return [from_item(item) for item in page["Items"]], goes_on

    def put_new(
        self, key: str, values: Mapping[str, object], *, together_with: Sequence[Any] = ()
    ) -> dict[str, Any] | None:
        """Return None where the item was written, else what was there already."""
        put = {
            "TableName": self.name,
            "Item": to_item({**values, "job_id": key}),
            "ConditionExpression": "attribute_not_exists(job_id)",
        }
        return self._write(key, "Put", put, together_with)

    def update(
        self,
        key: str,
        values: Mapping[str, object],
        *,
        remove: Sequence[str] = (),
        add: Mapping[str, int] | None = None,
        condition: str = "",
        together_with: Sequence[Any] = (),
        **compared: object,
    ) -> dict[str, Any] | None:
        """Return None where it was written, else what was there, empty where nothing was; see :func:`update_of`."""
        update = update_of(self.name, key, values, remove=remove, add=add, condition=condition, **compared)
        return self._write(key, "Update", update, together_with)

    def _write(
        self, key: str, kind: Literal["Put", "Update"], write: dict[str, Any], together_with: Sequence[Any]
    ) -> dict[str, Any] | None:
        """Write by itself or in one transaction, for which the condition of this first write decides."""
        write["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        items: list[Any] = [{kind: write}, *together_with]
        alone = self.client.put_item if kind == "Put" else self.client.update_item
        try:
            if together_with:
                retry_on_conflict(lambda: self.client.transact_write_items(TransactItems=items))
            else:
                self._heard(retry_on_conflict(lambda: alone(**write)))
        except ClientError as error:
            if not _is_refused(error):
                raise
            refused: Mapping[str, Any] = {**error.response}
            self._heard(refused)
            # An older DynamoDB endpoint does not return the item with the refusal.
            return _item_there(refused) or self.get(key) or {}
        return None


def _is_refused(error: ClientError) -> bool:
    """Return whether the condition of a single write, or of the first write of a transaction, was not met."""
    found = reasons(error)
    if found:
        return found[0] == _REFUSED[1]
    return error.response.get("Error", {}).get("Code", "") == _REFUSED[0]


def _item_there(refused: Mapping[str, Any]) -> dict[str, Any] | None:
    first = next(iter(refused.get("CancellationReasons", [])), refused)
    return from_item(first["Item"]) if first.get("Item") else None
