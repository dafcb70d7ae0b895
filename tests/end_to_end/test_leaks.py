"""No token, secret or signature is left behind; the whole search, with debug logs and the page, is ``make prove``."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.chaos.leaks import go, search
from tests.end_to_end.conftest import System

PLACES = {"logs", "messages", "records", "events", "results", "work"}


def test_photos_that_fail_in_many_ways_leave_no_secret_behind(system: System) -> None:
    ended = go(system, fully=False)
    assert {name: end.reason for name, _, end in ended} == {name: reason for name, reason, _ in ended}
    for name, _, end in ended:
        assert system.published(end.snapshot.key), name
    looked, found = search(system)
    assert {"logs", "histories", "records", "events", "results", "work"} <= looked.keys()
    assert not found


def test_a_leak_would_be_found_wherever_it_is(system: System) -> None:
    secret = f"{system.adobe.settings.canary}-token-leaked"
    aws, stack = system.aws, system.stack
    logs, sqs, s3 = aws.client("logs"), aws.client("sqs"), aws.client("s3")
    logs.create_log_group(logGroupName="leaked")
    logs.create_log_stream(logGroupName="leaked", logStreamName="one")
    event = {"timestamp": int(time.time() * 1000), "message": f"Bearer {secret}"}
    logs.put_log_events(logGroupName="leaked", logStreamName="one", logEvents=[event])
    queue = sqs.create_queue(QueueName="leaked")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"detail": secret}))
    item: dict[str, Any] = {"job_id": {"S": "leaked"}, "outcome": {"M": {"message": {"S": secret}}}}
    aws.client("dynamodb").put_item(TableName=stack.jobs_table, Item=item)
    buckets = (stack.results_bucket, stack.work_bucket)
    for bucket in buckets:
        s3.put_object(Bucket=bucket, Key="jobs/leaked.json", Body=secret.encode())
    system._events.append({"detail": {"message": secret}})

    _, found = search(system)

    system._events.pop()
    for bucket in buckets:
        for version in s3.list_object_versions(Bucket=bucket, Prefix="jobs/leaked.json")["Versions"]:
            s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    aws.client("dynamodb").delete_item(TableName=stack.jobs_table, Key={"job_id": {"S": "leaked"}})
    sqs.delete_queue(QueueUrl=queue)
    logs.delete_log_group(logGroupName="leaked")
    places = {place for place in PLACES for words in found if words.startswith(f"{place} hold")}
    assert places == PLACES
