"""What an operator relies on: alarms that ring, a sweeper that comes, a redrive and a retry that can be repeated."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cleanplate.jobs.ledger import Ledger
from cleanplate.models import Job, Options, Photo
from cleanplate.uploads.identity import job_id
from tests.chaos.rights import Trial, without
from tests.end_to_end.conftest import DEADLINE, Ended, System, output, until
from tests.end_to_end.ringing import Bell


@pytest.fixture
def bell(system: System) -> Bell:
    return Bell(system)


def sweep(system: System) -> dict[str, Any]:
    told: dict[str, Any] = system.invoke("SweepJobsFunction")
    assert "errorType" not in told, told
    return told


def retry(system: System, **asked: Any) -> dict[str, Any]:
    return system.execute("RetryFailedPhotosStateMachineArn", asked)


def rings(bell: Bell, alarm: str, **given: float) -> bool:
    """Whether the alarm says so of what is measured until then; logs and queues lag a little."""
    deadline = time.monotonic() + 15
    while not (ringing := bell.rings(alarm, given)) and time.monotonic() < deadline:
        time.sleep(0.3)
    return ringing


def hears(bell: Bell, alarm: str, **given: float) -> None:
    """It rings, and a subscriber of the topic is notified."""
    assert rings(bell, alarm, **given), bell.value(alarm, given)
    bell.tell(alarm, given)
    told = bell.heard(alarm)
    assert told["AlarmDescription"] == bell.alarms[alarm]["AlarmDescription"]


def late_job(system: System, key: str) -> str:
    """A job that somebody claimed long ago, and nobody has come back to."""
    photo = Photo(system.stack.uploads_bucket, key, version_id="lost", size=1)
    ledger = Ledger(system.aws.client("dynamodb"), table=system.stack.jobs_table, record_days=1)
    long_ago = time.time() - 90_000
    job = Job(
        job_id=job_id(photo, Options()),
        photo=photo,
        options=Options(),
        status="claimed",
        claimed_at=long_ago,
        deadline_at=long_ago + 3600,
    )
    return ledger.claim(job).job_id


# --- alarms -----------------------------------------------------------------------------------------------------------


def test_an_unreadable_message_is_a_dead_letter_at_once_and_rings(system: System, bell: Bell) -> None:
    sqs = system.aws.client("sqs")
    assert not bell.rings("DeadLettersAlarm")
    body = f"not for us {uuid.uuid4().hex}"
    sqs.send_message(QueueUrl=system.stack.uploads_queue_url, MessageBody=body)

    hears(bell, "DeadLettersAlarm")

    (letter,) = sqs.receive_message(
        QueueUrl=system.stack.dead_letter_queue_url, MessageAttributeNames=["All"], WaitTimeSeconds=5
    )["Messages"]
    assert letter["Body"] == body
    assert letter["MessageAttributes"]["reason"]["StringValue"] == "The message is not JSON."
    sqs.delete_message(QueueUrl=system.stack.dead_letter_queue_url, ReceiptHandle=letter["ReceiptHandle"])
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    left = sqs.get_queue_attributes(QueueUrl=system.stack.uploads_queue_url, AttributeNames=names)["Attributes"]
    assert set(left.values()) == {"0"}, "it went on circling in the uploads queue"


def test_refused_credentials_ring(system: System, bell: Bell, photo: bytes) -> None:
    assert not bell.rings("CredentialsRefusedAlarm")
    # The route, because the functions hold a good token already.
    system.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": {"do": "respond", "status": 401}})
    assert system.clean(photo).reason == "CredentialsRefusedError"
    hears(bell, "CredentialsRefusedAlarm")


def test_three_429_ring_and_one_does_not(system: System, bell: Bell, photo: bytes) -> None:
    refusal = {"do": "respond", "status": 429, "headers": {"Retry-After": "1"}}
    rule = {"route": "POST /v1/mask-objects", "times": 1, "fault": refusal}
    system.adobe.add_rules(rule)
    assert system.clean(photo).outcome == "cleaned"
    assert bell.value("ThrottledAlarm") == 1
    assert not bell.rings("ThrottledAlarm")
    system.adobe.add_rules({**rule, "times": 2})
    assert system.clean(photo).outcome == "cleaned"
    hears(bell, "ThrottledAlarm")


def test_many_failed_photos_ring_and_a_few_do_not(system: System, bell: Bell) -> None:
    sweep(system)
    dropped = [system.drop(b"no photograph", f"{uuid.uuid4().hex}.jpg") for _ in range(4)]
    assert {system.wait(each).reason for each in dropped} == {"NotAPhotoError"}
    assert bell.value("FailedShareAlarm") == 0
    dropped = [system.drop(b"no photograph", f"{uuid.uuid4().hex}.jpg") for _ in range(6)]
    assert {system.wait(each).outcome for each in dropped} == {"failed"}
    hears(bell, "FailedShareAlarm")


def test_a_lost_job_is_ended_published_and_rings(system: System, bell: Bell) -> None:
    sweep(system)
    assert bell.value("StuckJobsAlarm") == 0
    key = f"lost/{uuid.uuid4().hex}.jpg"
    job = late_job(system, key)

    assert sweep(system)["swept"] == 1

    ended = system.record(job)
    assert (ended.status, ended.outcome["reason"], ended.published) == ("failed", "DeadlinePassedError", True)
    (event,) = system.published(key)
    assert event["detail-type"] == "Photo Failed"
    hears(bell, "StuckJobsAlarm")
    assert sweep(system)["swept"] == 0


def test_a_day_that_is_nearly_used_rings(system: System, bell: Bell) -> None:
    sweep(system)
    assert not bell.rings("DayNearlyUsedAlarm")
    with nearly_used_day(system):
        sweep(system)
    hears(bell, "DayNearlyUsedAlarm")


@contextmanager
def nearly_used_day(system: System) -> Iterator[None]:
    """Within, 91 % of the day's million requests are used, as the rate limiter counts."""
    dynamodb, key = system.aws.client("dynamodb"), {"job_id": {"S": "limiter#adobe"}}
    before = dynamodb.get_item(TableName=system.stack.jobs_table, Key=key)["Item"]
    half_hour = math.floor(time.time() / 1800)
    day: Any = {"day_first": {"N": str(half_hour)}, "day_counts": {"L": [{"N": "910000"}]}}
    dynamodb.put_item(TableName=system.stack.jobs_table, Item={**before, **day})
    try:
        yield
    finally:
        dynamodb.put_item(TableName=system.stack.jobs_table, Item=before)


def test_a_function_that_crashes_rings(system: System, bell: Bell) -> None:
    sweep(system)
    assert bell.value("FunctionErrorsAlarm") == 0
    assert system.invoke("RecordFailureFunction", {"execution": 5, "error": "", "cause": ""})["errorType"]
    hears(bell, "FunctionErrorsAlarm")


def test_a_function_that_can_begin_no_photo_rings(system: System, bell: Bell, photo: bytes) -> None:
    sweep(system)
    assert bell.value("FunctionErrorsAlarm") in {None, 0}
    with without(system, Trial("RequestMaskFunction", "WriteJobsAndTakeSlots", "dynamodb:GetItem")):
        system.drop(photo)
        # The third fault of a message is an error, two thirds of a minute after the first.
        until(lambda: {"rings": bell.rings("FunctionErrorsAlarm")}, lambda found: bool(found["rings"]), deadline=180)
        hears(bell, "FunctionErrorsAlarm")
        # It would come back in a minute and a half, for which no other test should wait.
        system.aws.client("sqs").purge_queue(QueueUrl=system.stack.uploads_queue_url)


def test_a_long_queue_that_moves_rings_no_alarm(system: System, bell: Bell, photo: bytes) -> None:
    """What SQS would say of the age is the test's, as is the wait: no photo here has waited for two hours."""
    sweep(system)
    dropped = [system.drop(photo) for _ in range(8)]
    assert {system.wait(each).outcome for each in dropped} == {"cleaned"}

    given = {"QueueStandsStillAlarm": {"age": 7200.0, "waited": 7200.0}}
    until(
        lambda: {"ringing": bell.ringing(given)},
        lambda found: not found["ringing"],
    )


def test_a_queue_that_stands_still_rings_and_a_moving_one_does_not(system: System, bell: Bell, photo: bytes) -> None:
    """SQS's own metric of age is the test's: no message here is two hours old. What it is set against is measured."""
    sweep(system)
    assert not bell.rings("QueueStandsStillAlarm", {"age": 3000.0})
    hears(bell, "QueueStandsStillAlarm", age=7200.0)
    assert rings(bell, "QueueStandsStillAlarm", age=0.0, waited=7200.0), "the waiting room stands still as well"
    assert not bell.rings("QueueStandsStillAlarm", {"age": 7200.0, "held": 1.0})
    assert system.clean(photo).outcome == "cleaned"
    assert not bell.rings("QueueStandsStillAlarm", {"age": 7200.0})


def test_a_sweeper_that_does_not_come_rings(system: System, bell: Bell) -> None:
    hears(bell, "SweeperSilentAlarm")
    sweep(system)
    assert not bell.rings("SweeperSilentAlarm")


def test_every_alarm_was_rung_here(bell: Bell) -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert {name for name in bell.alarms if f'hears(bell, "{name}"' in here} == bell.alarms.keys()


def test_the_dashboard_is_there_with_this_stacks_names_in_it(system: System) -> None:
    body = system.aws.client("cloudwatch").get_dashboard(DashboardName=system.stack.outputs["DashboardName"])
    widgets = json.loads(body["DashboardBody"])["widgets"]
    words = json.dumps(widgets)
    assert len(widgets) == 8
    assert "${" not in words
    assert system.stack.functions["SaveResultFunction"] in words
    assert system.stack.jobs_table in words


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
    system.heard("RecordFailureFunction", wanted=False)
    try:
        machine.stop_execution(executionArn=first)
        assert sweep(system)["swept"] == 1
        ended: Ended = system.wait(dropped)
    finally:
        system.heard("RecordFailureFunction", wanted=True)

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
