from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from cleanplate.aws.dynamodb import Table, from_item, item_key, to_item, update_of
from tests.aws import client_as_new, create_plain_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def client() -> Iterator[DynamoDBClient]:
    with mock_aws():
        client: DynamoDBClient = client_as_new("dynamodb")
        create_plain_table(client)
        yield client


@pytest.fixture
def table(client: DynamoDBClient) -> Table:
    return Table(client, "Jobs", record_days=2)


def test_an_item_is_put_where_there_is_none_else_the_one_there_is_returned(table: Table) -> None:
    assert table.put_new("a", {"seen": 1, "said": ["x", None, {"deep": True}]}) is None
    there = {"job_id": "a", "seen": 1, "said": ["x", None, {"deep": True}]}
    assert table.put_new("a", {"seen": 2}) == there == table.get("a")
    assert table.get("b") is None


def test_an_update_sets_removes_and_adds_and_leaves_the_rest(table: Table) -> None:
    table.put_new("a", {"kept": "k", "gone": 1, "count": 2})
    assert table.update("a", {"status": "new", "failed for it": 3}, remove=["gone"], add={"count": 5}) is None
    assert table.get("a") == {"job_id": "a", "kept": "k", "status": "new", "failed for it": 3, "count": 7}


def test_a_refused_update_changes_nothing_and_returns_what_is_there(table: Table) -> None:
    table.put_new("a", {"owner": "me"})
    free = "attribute_not_exists(#owner) OR #owner = :owner OR #owner = :before"
    assert table.update("a", {"owner": "you"}, condition=free, before="him") == {"job_id": "a", "owner": "me"}
    assert table.update("a", {"owner": "you"}, condition=free, before="me") is None
    assert table.get("a") == {"job_id": "a", "owner": "you"}


def test_a_refusal_where_there_is_no_item_is_empty(table: Table) -> None:
    assert table.update("a", {"seen": 1}, condition="attribute_exists(#seen)") == {}
    assert table.get("a") is None


@pytest.mark.parametrize("is_free", [True, False])
def test_what_is_written_together_is_written_whole_or_not_at_all(table: Table, is_free: bool) -> None:
    if not is_free:
        table.put_new("a", {"seen": 1})
    more = [{"Update": update_of("Jobs", "b", {"at": 5}, add={"count": 1})}]
    assert table.put_new("a", {"seen": 2}, together_with=more) == (None if is_free else {"job_id": "a", "seen": 1})
    assert table.get("b") == ({"job_id": "b", "at": 5, "count": 1} if is_free else None)


def test_another_error_is_raised(table: Table) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        table.update("a", {"": 1})


def test_hundreds_are_read_at_once_and_those_that_are_missing_left_out(table: Table) -> None:
    for number in range(0, 250, 2):
        table.put_new(f"{number}", {"number": number})
    found = table.get_many(f"{number % 250}" for number in range(500))
    assert found == {f"{number}": {"job_id": f"{number}", "number": number} for number in range(0, 250, 2)}


def test_what_dynamodb_leaves_over_is_asked_for_again(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in "abc":
        table.put_new(key, {})
    read = table.client.batch_get_item

    def one_by_one(RequestItems: Any) -> Any:  # noqa: N803 - botocore's name
        first, *rest = RequestItems["Jobs"]["Keys"]
        answer = read(RequestItems={"Jobs": {"Keys": [first], "ConsistentRead": True}})
        return {**answer, "UnprocessedKeys": {"Jobs": {"Keys": rest}} if rest else {}}

    monkeypatch.setattr(table.client, "batch_get_item", one_by_one)
    assert table.get_many("abcd").keys() == set("abc")


def test_a_scan_goes_on_where_it_has_ended(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        table.put_new(f"{number}", {"status": "failed" if number % 2 else "open"})
    scan = table.client.scan
    monkeypatch.setattr(table.client, "scan", lambda **asked: scan(**asked, Limit=2))
    found, after = list[str](), ""
    while True:
        items, after = table.scan("#status = :status", after=after, status="failed")
        found += [item["job_id"] for item in items]
        if not after:
            break
    assert sorted(found) == ["1", "3"]


def test_the_time_of_answers_and_refusals_is_passed_on(client: DynamoDBClient) -> None:
    heard = list[int]()
    table = Table(client, "Jobs", heard=lambda answer: heard.append(answer["ResponseMetadata"]["HTTPStatusCode"]))
    table.put_new("a", {})
    table.put_new("a", {})
    table.get("a")
    assert heard == [200, 400, 200]


def test_whole_numbers_come_back_as_such_and_what_has_no_place_is_refused() -> None:
    item = to_item({"whole": 5.0, "part": 0.1, "large": 2**62, "no": False})
    assert from_item(item) == {"whole": 5, "part": 0.1, "large": 2**62, "no": False}
    for value in (float("nan"), b"bytes", Decimal(1)):
        with pytest.raises(TypeError, match="has no place"):
            to_item({"value": value})


def test_a_record_expires_after_its_days(table: Table) -> None:
    assert table.expiry(1000.9) == 1000 + 2 * 86_400
    assert item_key("a") == {"job_id": {"S": "a"}}
