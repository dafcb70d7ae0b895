"""What an operator relies on besides alarms: a sweeper that comes, a redrive and a retry that can be repeated."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from tests.end_to_end.conftest import DEADLINE, Ended, System, output, until


def retry(system: System, **asked: Any) -> dict[str, Any]:
    return system.execute("RetryFailedPhotosStateMachineArn", asked)


# --- the sweeper ------------------------------------------------------------------------------------------------------


def test_the_sweeper_comes_every_quarter_of_an_hour_by_itself(system: System) -> None:
    events = system.aws.client("events")
    function = system.stack.functions["SweepJobsFunction"]
    rules = [rule for rule in events.list_rules()["Rules"] if rule.get("ScheduleExpression")]
    (rule,) = [
        rule
        for rule in rules
        if any(target["Arn"].endswith(function) for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"])
    ]
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(15 minutes)", "ENABLED")


def test_an_execution_that_is_late_is_stopped_and_its_photo_ends_by_name(system: System, photo: bytes) -> None:
    system.adobe.add_rules({"route": "POST /v1/mask-objects", "times": 1, "fault": "never_finishes"})
    dropped = system.drop(photo)
    job = until(lambda: {"id": _asked(system, dropped.key)}, lambda found: bool(found["id"]))["id"]
    machine = system.aws.client("stepfunctions")
    first = system.execution_of(job)
    table, key = system.stack.jobs_table, {"job_id": {"S": job}}
    past: Any = {":past": {"N": "1000"}}
    system.aws.client("dynamodb").update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET due_at = :past, claimed_at = :past, adobe_requests.mask.deadline_at = :past, adobe_requests.mask.check_at = :past",
        ExpressionAttributeValues=past,
    )
    # An execution is named after its claim, so a claim of long ago has another one, which waits when the sweeper comes.
    late = system.execution_of(job)
    machine.start_execution(
        stateMachineArn=system.stack.state_machine_arn,
        name=late.rpartition(":")[2],
        input=json.dumps({"job_id": job, "wait_seconds": 600}),
    )
    # On a busy machine the function for stopped executions may be faster than the sweeper; here it is the sweeper's.
    system.subscribe("RecordFailureFunction", wanted=False)
    try:
        machine.stop_execution(executionArn=first)
        assert system.sweep()["swept"] == 1
        ended: Ended = system.wait(dropped)
    finally:
        system.subscribe("RecordFailureFunction", wanted=True)

    assert ended.reason == "JobOverdueError"
    assert machine.describe_execution(executionArn=late)["status"] == "ABORTED"
    (event,) = system.published(dropped.key)
    assert event["detail"] == ended.manifest


def _asked(system: System, key: str) -> str:
    """The job of a photo once Adobe is at work on its mask and its execution runs."""
    for item in system.aws.client("dynamodb").scan(TableName=system.stack.jobs_table)["Items"]:
        if item.get("photo", {}).get("M", {}).get("key", {}).get("S") == key:
            mask = item.get("adobe_requests", {}).get("M", {}).get("mask", {}).get("M", {})
            if int(mask.get("polls", {}).get("N", 0)):
                return item["job_id"]["S"]
    return ""


# --- commands ---------------------------------------------------------------------------------------------------------


def test_dead_letters_are_redriven_by_one_command_that_can_be_repeated(system: System, photo: bytes) -> None:
    dropped = system.drop(photo)
    assert system.wait(dropped).outcome == "cleaned"
    before = system.adobe.counters()["jobs"]
    sqs: Any = system.aws.client("sqs")
    message: dict[str, Any] = {
        "detail-type": "Photo Found",
        "detail": {"bucket": system.stack.uploads_bucket, "key": dropped.key},
    }
    for body in (message, message, {**message, "detail": {**message["detail"], "key": "nobody knows.jpg"}}):
        sqs.send_message(QueueUrl=system.stack.dead_letter_queue_url, MessageBody=json.dumps(body))
    assert system.invoke("RedriveMessagesFunction") == {"sent": 3, "left": 0}
    assert system.invoke("RedriveMessagesFunction") == {"sent": 0, "left": 0}

    until(lambda: {"n": _length(system)}, lambda found: found["n"] == 0)
    assert system.adobe.counters()["jobs"] == before, "a photo with a result was paid for again"


def _length(system: System) -> int:
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = system.aws.client("sqs").get_queue_attributes(
        QueueUrl=system.stack.uploads_queue_url, AttributeNames=names
    )
    return sum(int(number) for number in answer["Attributes"].values())


def test_failed_photos_are_retried_by_folder_once_that_was_confirmed(system: System, photo: bytes) -> None:
    folder = f"{uuid.uuid4().hex[:8]} é+/"
    system.adobe.add_rules({"route": "POST /v1/fill-masked-areas", "times": 2, "fault": "failed"})
    dropped = [system.drop(photo, prefix=folder) for _ in range(2)]
    assert {system.wait(each).reason for each in dropped} == {"AdobeJobFailedError"}
    hopeless = system.clean(b"no photograph", prefix=folder)
    assert hopeless.reason == "NotAPhotoError"

    counted = output(retry(system, prefix=folder))

    assert (counted["failed"], counted["confirm"], counted["sent"]) == (3, 2, 0)
    assert counted["failed_for"] == {"AdobeJobFailedError": 2, "NotAPhotoError": 1}
    assert output(retry(system, prefix=folder, confirm=2))["sent"] == 2
    deadline = time.monotonic() + DEADLINE
    while {snapshot.status for each in dropped for snapshot in system.find(each)} != {"cleaned"}:
        assert time.monotonic() < deadline, [system.find(each) for each in dropped]
        time.sleep(0.2)
    assert all(len(system.find(each)) == 1 for each in dropped)
    again = output(retry(system, prefix=folder, confirm=2))
    assert (again["failed"], again["sent"]) == (1, 0)
    assert output(retry(system, prefix=folder, reason="NotAPhotoError"))["confirm"] == 1


def test_a_retry_that_cannot_be_read_is_a_named_error(system: System) -> None:
    execution = retry(system, reason="Because")
    assert (execution["status"], execution["error"]) == ("FAILED", "InvalidRetryError")
