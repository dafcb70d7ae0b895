"""Every alarm rings when its fault happens, and not when all is well; the dashboard has this stack's names."""

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
from tests.end_to_end.alarm_reader import Alarms
from tests.end_to_end.conftest import System, until


@pytest.fixture
def alarms(system: System) -> Alarms:
    return Alarms(system)


def rings(alarms: Alarms, alarm: str, **given: float) -> bool:
    """Whether the alarm says so of what is measured until then; logs and queues lag a little."""
    deadline = time.monotonic() + 15
    while not (ringing := alarms.rings(alarm, given)) and time.monotonic() < deadline:
        time.sleep(0.3)
    return ringing


def rings_and_notifies(alarms: Alarms, alarm: str, **given: float) -> None:
    """It rings, and a subscriber of the topic is notified."""
    assert rings(alarms, alarm, **given), alarms.value(alarm, given)
    alarms.publish_metrics(alarm, given)
    notification = alarms.notification(alarm)
    assert notification["AlarmDescription"] == alarms.definitions[alarm]["AlarmDescription"]


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


def test_an_unreadable_message_is_a_dead_letter_at_once_and_rings(system: System, alarms: Alarms) -> None:
    sqs = system.aws.client("sqs")
    assert not alarms.rings("DeadLettersAlarm")
    body = f"not for us {uuid.uuid4().hex}"
    sqs.send_message(QueueUrl=system.stack.uploads_queue_url, MessageBody=body)

    rings_and_notifies(alarms, "DeadLettersAlarm")

    (letter,) = sqs.receive_message(
        QueueUrl=system.stack.dead_letter_queue_url, MessageAttributeNames=["All"], WaitTimeSeconds=5
    )["Messages"]
    assert letter["Body"] == body
    assert letter["MessageAttributes"]["reason"]["StringValue"] == "The message is not JSON."
    sqs.delete_message(QueueUrl=system.stack.dead_letter_queue_url, ReceiptHandle=letter["ReceiptHandle"])
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    left = sqs.get_queue_attributes(QueueUrl=system.stack.uploads_queue_url, AttributeNames=names)["Attributes"]
    assert set(left.values()) == {"0"}, "it went on circling in the uploads queue"


def test_refused_credentials_ring(system: System, alarms: Alarms, photo: bytes) -> None:
    assert not alarms.rings("CredentialsRefusedAlarm")
    # The route, because the functions hold a good token already.
    system.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": {"do": "respond", "status": 401}})
    assert system.clean(photo).reason == "CredentialsRefusedError"
    rings_and_notifies(alarms, "CredentialsRefusedAlarm")


def test_three_429_ring_and_one_does_not(system: System, alarms: Alarms, photo: bytes) -> None:
    refusal = {"do": "respond", "status": 429, "headers": {"Retry-After": "1"}}
    rule = {"route": "POST /v1/mask-objects", "times": 1, "fault": refusal}
    system.adobe.add_rules(rule)
    assert system.clean(photo).outcome == "cleaned"
    assert alarms.value("ThrottledAlarm") == 1
    assert not alarms.rings("ThrottledAlarm")
    system.adobe.add_rules({**rule, "times": 2})
    assert system.clean(photo).outcome == "cleaned"
    rings_and_notifies(alarms, "ThrottledAlarm")


def test_many_failed_photos_ring_and_a_few_do_not(system: System, alarms: Alarms) -> None:
    system.sweep()
    dropped = [system.drop(b"no photograph", f"{uuid.uuid4().hex}.jpg") for _ in range(4)]
    assert {system.wait(each).reason for each in dropped} == {"NotAPhotoError"}
    assert alarms.value("FailedShareAlarm") == 0
    dropped = [system.drop(b"no photograph", f"{uuid.uuid4().hex}.jpg") for _ in range(6)]
    assert {system.wait(each).outcome for each in dropped} == {"failed"}
    rings_and_notifies(alarms, "FailedShareAlarm")


def test_a_lost_job_is_ended_published_and_rings(system: System, alarms: Alarms) -> None:
    system.sweep()
    assert alarms.value("StuckJobsAlarm") == 0
    key = f"lost/{uuid.uuid4().hex}.jpg"
    job = late_job(system, key)

    assert system.sweep()["swept"] == 1

    ended = system.record(job)
    assert (ended.status, ended.outcome["reason"], ended.published) == ("failed", "DeadlinePassedError", True)
    (event,) = system.published(key)
    assert event["detail-type"] == "Photo Failed"
    rings_and_notifies(alarms, "StuckJobsAlarm")
    assert system.sweep()["swept"] == 0


def test_a_day_that_is_nearly_used_rings(system: System, alarms: Alarms) -> None:
    system.sweep()
    assert not alarms.rings("DayNearlyUsedAlarm")
    with nearly_used_day(system):
        system.sweep()
    rings_and_notifies(alarms, "DayNearlyUsedAlarm")


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


def test_a_function_that_crashes_rings(system: System, alarms: Alarms) -> None:
    system.sweep()
    assert alarms.value("FunctionErrorsAlarm") == 0
    assert system.invoke("RecordFailureFunction", {"execution": 5, "error": "", "cause": ""})["errorType"]
    rings_and_notifies(alarms, "FunctionErrorsAlarm")


def test_a_function_that_can_begin_no_photo_rings(system: System, alarms: Alarms, photo: bytes) -> None:
    system.sweep()
    assert alarms.value("FunctionErrorsAlarm") in {None, 0}
    with without(system, Trial("RequestMaskFunction", "WriteJobsAndTakeSlots", "dynamodb:GetItem")):
        system.drop(photo)
        # The third fault of a message is an error, two thirds of a minute after the first.
        until(
            lambda: {"rings": alarms.rings("FunctionErrorsAlarm")},
            lambda found: bool(found["rings"]),
            deadline=180,
            every=2.0,
        )
        rings_and_notifies(alarms, "FunctionErrorsAlarm")
        # It would come back in a minute and a half, for which no other test should wait.
        system.aws.client("sqs").purge_queue(QueueUrl=system.stack.uploads_queue_url)


def test_a_long_queue_that_moves_rings_no_alarm(system: System, alarms: Alarms, photo: bytes) -> None:
    """What SQS would say of the age is the test's, as is the wait: no photo here has waited for two hours."""
    system.sweep()
    dropped = [system.drop(photo) for _ in range(3)]
    assert {system.wait(each).outcome for each in dropped} == {"cleaned"}

    given = {"QueueStandsStillAlarm": {"age": 7200.0, "waited": 7200.0}}
    until(
        lambda: {"ringing": alarms.ringing(given)},
        lambda found: not found["ringing"],
    )


def test_a_queue_that_stands_still_rings_and_a_moving_one_does_not(
    system: System, alarms: Alarms, photo: bytes
) -> None:
    """SQS's own metric of age is the test's: no message here is two hours old. What it is set against is measured."""
    system.sweep()
    assert not alarms.rings("QueueStandsStillAlarm", {"age": 3000.0})
    rings_and_notifies(alarms, "QueueStandsStillAlarm", age=7200.0)
    assert rings(alarms, "QueueStandsStillAlarm", age=0.0, waited=7200.0), "the waiting room stands still as well"
    assert not alarms.rings("QueueStandsStillAlarm", {"age": 7200.0, "held": 1.0})
    assert system.clean(photo).outcome == "cleaned"
    assert not alarms.rings("QueueStandsStillAlarm", {"age": 7200.0})


def test_a_sweeper_that_does_not_come_rings(system: System, alarms: Alarms) -> None:
    rings_and_notifies(alarms, "SweeperSilentAlarm")
    system.sweep()
    assert not alarms.rings("SweeperSilentAlarm")


def test_every_alarm_was_rung_here(alarms: Alarms) -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert {
        name for name in alarms.definitions if f'rings_and_notifies(alarms, "{name}"' in here
    } == alarms.definitions.keys()


def test_the_dashboard_is_there_with_this_stacks_names_in_it(system: System) -> None:
    body = system.aws.client("cloudwatch").get_dashboard(DashboardName=system.stack.outputs["DashboardName"])
    widgets = json.loads(body["DashboardBody"])["widgets"]
    words = json.dumps(widgets)
    assert len(widgets) == 8
    assert "${" not in words
    assert system.stack.functions["SaveResultFunction"] in words
    assert system.stack.jobs_table in words
