"""No token, secret or signature is left behind; the whole search, with debug logs and the page, is ``make prove``."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.chaos.leaks import go, search
from tests.end_to_end.conftest import System


def test_photos_that_fail_in_many_ways_leave_no_secret_behind(system: System) -> None:
    ended = go(system, fully=False)
    assert {name: end.reason for name, _, end in ended} == {name: reason for name, reason, _ in ended}
    for name, _, end in ended:
        assert system.published(end.snapshot.key), name
    looked, found = search(system)
    assert {"logs", "histories", "records", "events", "results", "work"} <= looked.keys()
    assert not found


@pytest.mark.parametrize("place", ["logs", "messages", "records", "results", "work", "events"])
def test_a_leak_would_be_found(system: System, place: str) -> None:
    secret = f"{system.adobe.settings.canary}-token-leaked"
    aws, stack = system.aws, system.stack
    now = int(time.time() * 1000)
    s3 = aws.client("s3")
    if place == "logs":
        aws.client("logs").create_log_group(logGroupName="leaked")
        aws.client("logs").create_log_stream(logGroupName="leaked", logStreamName="one")
        event = {"timestamp": now, "message": f"Bearer {secret}"}
        aws.client("logs").put_log_events(logGroupName="leaked", logStreamName="one", logEvents=[event])
    elif place == "messages":
        aws.client("sqs").create_queue(QueueName="leaked")
        url = aws.client("sqs").get_queue_url(QueueName="leaked")["QueueUrl"]
        aws.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps({"detail": secret}))
    elif place == "records":
        item: dict[str, Any] = {"job_id": {"S": "leaked"}, "outcome": {"M": {"message": {"S": secret}}}}
        aws.client("dynamodb").put_item(TableName=stack.jobs_table, Item=item)
    elif place == "events":
        system._heard.append({"detail": {"message": secret}})
    else:
        bucket = stack.results_bucket if place == "results" else stack.work_bucket
        s3.put_object(Bucket=bucket, Key="jobs/leaked.json", Body=secret.encode())
    _, found = search(system)
    if place == "logs":
        aws.client("logs").delete_log_group(logGroupName="leaked")
    elif place == "messages":
        aws.client("sqs").delete_queue(QueueUrl=url)
    elif place == "records":
        aws.client("dynamodb").delete_item(TableName=stack.jobs_table, Key={"job_id": {"S": "leaked"}})
    elif place == "events":
        system._heard.pop()
    else:
        _forget(system, bucket)
    assert [words for words in found if words.startswith(place)]


def _forget(system: System, bucket: str) -> None:
    s3 = system.aws.client("s3")
    listed = s3.list_object_versions(Bucket=bucket, Prefix="jobs/leaked.json")
    for one in [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]:
        s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
