"""Failed photos get another run: counted first, asked for once, and left alone where they are no longer failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools import Logger

from cleanplate.error_names import error_named
from cleanplate.errors import (
    BucketRefusedError,
    InvalidRetryError,
)
from cleanplate.jobs.ledger import Ledger
from cleanplate.models import Job, Options
from cleanplate.operations.redrive_messages import redrive_messages
from cleanplate.operations.retry_photos import retry_photos
from cleanplate.outcomes import fail, failure_of
from cleanplate.steps.request_mask import request_mask
from cleanplate.uploads.identity import job_id, refused_id
from cleanplate.uploads.messages import Upload, read_uploads, retry_message
from cleanplate.uploads.options import options_from_dict, request_options, resolve_options
from tests.aws import client_as_new
from tests.stage import RESULTS, Stage

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

#: The logger whose children the steps use; in a deployed function its handler makes it.
Logger()


class Queues:
    """The uploads queue and its dead letters, in moto."""

    def __init__(self, sqs: SQSClient) -> None:
        self.sqs = sqs
        self.uploads = sqs.create_queue(QueueName="uploads")["QueueUrl"]
        self.dead = sqs.create_queue(QueueName="dead")["QueueUrl"]

    def taken(self, url: str) -> list[dict[str, Any]]:
        """Every message of a queue, received and deleted."""
        found: list[Any] = []
        while messages := self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                found.append(message)
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def uploads_sent(self) -> list[Upload]:
        return [upload for message in self.taken(self.uploads) for upload in read_uploads(message["Body"])]


@pytest.fixture
def queues(stage: Stage) -> Queues:
    queues = Queues(client_as_new("sqs"))
    stage.sqs = queues.sqs
    stage.settings = replace(stage.settings, uploads_queue_url=queues.uploads, dead_letter_queue_url=queues.dead)
    return queues


def failed(stage: Stage, key: str, reason: str = "StepCrashedError", options: Options | None = None) -> Job:
    """A photo that is there and failed."""
    photo = stage.upload(key, b"no photograph")
    options = options or Options()
    job = stage.ledger.claim(
        Job(
            job_id=job_id(photo, options),
            photo=photo,
            options=options,
            status="claimed",
            claimed_at=stage.clock(),
            deadline_at=stage.clock() + 86_400,
        )
    )
    fail(job, failure_of(error_named(reason)("It went wrong.")), stage.services)
    return stage.job(job.job_id)


def request(stage: Stage, after: str = "", sent: int = 0, **asked: Any) -> dict[str, Any]:
    given = {"bucket": "", "prefix": "", "reason": "", "confirm": None, "retry_id": "retry-1", **asked}
    return retry_photos(given, after, sent, {}, stage.services)


def run(stage: Stage, queues: Queues) -> None:
    """Work on all that lies in the queue."""
    for upload in queues.uploads_sent():
        with suppress(AssertionError):
            request_mask(upload, stage.services)


def test_without_a_confirmation_it_only_counts(stage: Stage, queues: Queues) -> None:
    failed(stage, "a/1.jpg")
    failed(stage, "a/2.jpg", "AdobeUnavailableError")
    failed(stage, "a/3.jpg", "NotAPhotoError")
    failed(stage, "b/4.jpg")
    stage.claim("a/open.jpg")

    answer = request(stage, prefix="a/")["answer"]

    assert (answer["failed"], answer["confirm"], answer["sent"]) == (3, 2, 0)
    assert answer["failed_for"] == {"AdobeUnavailableError": 1, "NotAPhotoError": 1, "StepCrashedError": 1}
    assert queues.uploads_sent() == []


def test_a_reason_that_is_named_is_retried_even_where_that_seldom_helps(stage: Stage, queues: Queues) -> None:
    failed(stage, "1.jpg")
    failed(stage, "2.jpg", "PhotoTooLargeError")
    assert request(stage, reason="PhotoTooLargeError")["answer"]["confirm"] == 1
    assert request(stage, reason="PhotoTooLargeError", confirm=1)["sent"] == 1
    assert [upload.photo.key for upload in queues.uploads_sent()] == ["2.jpg"]


def test_no_more_are_sent_than_were_confirmed(stage: Stage, queues: Queues) -> None:
    for number in range(5):
        failed(stage, f"{number}.jpg")
    assert request(stage, confirm=3)["answer"]["sent"] == 3
    assert len(queues.uploads_sent()) == 3


def test_a_retried_photo_is_the_same_job_in_another_run(stage: Stage, queues: Queues) -> None:
    job = failed(stage, "remove=cat/Zoë.jpg", options=Options(remove=("dog",), grow=None, feather=3, urgent=True))
    request(stage, confirm=1)
    run(stage, queues)
    (again,) = stage.jobs()
    # It is no photograph, so it has failed again: by its own name this time.
    assert (again.job_id, again.run, again.outcome["reason"]) == (job.job_id, 2, "NotAPhotoError")


def test_asking_twice_with_one_retry_is_one_request(stage: Stage, queues: Queues) -> None:
    failed(stage, "1.jpg")
    request(stage, confirm=1)
    request(stage, confirm=1)
    run(stage, queues)
    assert stage.only_job().run == 2
    failed_again = stage.only_job()
    request(stage, confirm=1, reason=failed_again.outcome["reason"])
    run(stage, queues)
    assert stage.only_job().run == 2, "the same retry was asked for once more"
    request(stage, confirm=1, reason=failed_again.outcome["reason"], retry_id="retry-2")
    run(stage, queues)
    assert stage.only_job().run == 3


def test_a_photo_that_is_no_longer_failed_stays_as_it_is(stage: Stage, queues: Queues) -> None:
    job = failed(stage, "1.jpg")
    request(stage, confirm=1)
    again = stage.ledger.reclaim(job, request_id="other", now=stage.clock(), deadline_at=stage.clock() + 100)
    stage.ledger.finish(again, "cleaned", {"outcome": "cleaned", "ended_at": stage.clock(), "result": None}, now=1.0)
    run(stage, queues)
    assert (stage.only_job().status, stage.only_job().run) == ("cleaned", 2)


def test_a_photo_whose_options_could_not_be_read_is_read_again(stage: Stage) -> None:
    photo = stage.upload("1.jpg", b"")
    unread = Job(job_id=refused_id(photo), photo=photo, options=Options(), status="failed")
    (upload,) = read_uploads(retry_message(unread, "retry-1"))
    assert upload.options is None
    assert upload.request_id


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(remove=("dog", "strasse"), min_score=0.1, grow=0, feather=7, output_format="webp", urgent=True),
        Options(mask_route="remove-background", invert=True, mask_format="binary"),
    ],
)
def test_a_retry_uses_the_same_options_whatever_lies_with_the_photo(options: Options) -> None:
    given = request_options(options)
    others = {"remove": "everything", "grow": "9", "invert": "true"}
    resolved = resolve_options(defaults={}, folders=others, metadata={}, nearest=given, has_own_mask=False)
    assert resolved == options
    assert options_from_dict(given) == options


def test_a_full_queue_is_waited_for(stage: Stage, queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    failed(stage, "1.jpg")
    monkeypatch.setattr("cleanplate.operations.retry_photos.max_ahead", lambda *_: 1)
    queues.sqs.send_message(QueueUrl=queues.uploads, MessageBody="{}")
    said = request(stage, confirm=1)
    assert (said["state"], said["sent"]) == ("full", 0)
    assert said["wait_seconds"] >= 60
    assert request(stage)["state"] == "done"


def test_every_page_of_the_table_is_looked_at(stage: Stage, queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [failed(stage, f"{number}.jpg") for number in range(7)]
    scan = stage.dynamodb.scan
    monkeypatch.setattr(stage.dynamodb, "scan", lambda **asked: scan(**asked, Limit=4))
    # A call whose time is over leaves the rest to the next one.
    ticks: Iterator[float] = iter(float(40 * number) for number in range(100))
    services = replace(stage.services, clock=lambda: next(ticks))
    state: dict[str, Any] = {"state": "more", "after": "", "sent": 0, "failed_for": {}}
    calls = 0
    while state["state"] == "more":
        asked = {"bucket": "", "prefix": "", "reason": "", "confirm": 9, "retry_id": "r"}
        state = retry_photos(asked, state["after"], state["sent"], state["failed_for"], services)
        calls += 1
    assert calls > 1
    assert state["answer"]["sent"] == 7
    assert {upload.request_id for upload in queues.uploads_sent()} == {f"r/{job.job_id}" for job in jobs}


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"bucket": 5}, InvalidRetryError),
        ({"confirm": True}, InvalidRetryError),
        ({"confirm": -1}, InvalidRetryError),
        ({"confirm": "3"}, InvalidRetryError),
        ({"reason": "NoSuchError"}, InvalidRetryError),
        ({"bucket": RESULTS}, BucketRefusedError),
    ],
)
def test_what_cannot_be_retried_is_a_named_error(
    stage: Stage, queues: Queues, asked: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        request(stage, **asked)
    assert queues.uploads_sent() == []


# --- dead letters ---


def redrive(stage: Stage, seconds_left: float = 100.0) -> dict[str, int]:
    return redrive_messages(lambda: seconds_left, stage.services)


def test_dead_letters_are_sent_once_more_as_they_were(stage: Stage, queues: Queues) -> None:
    bodies = {f'{{"number": {number}}}' for number in range(23)}
    for body in bodies:
        queues.sqs.send_message(QueueUrl=queues.dead, MessageBody=body)
    assert redrive(stage) == {"sent": 23, "left": 0}
    assert redrive(stage) == {"sent": 0, "left": 0}
    assert {message["Body"] for message in queues.taken(queues.uploads)} == bodies


def test_dead_letters_that_are_together_too_long_for_one_call_are_sent(stage: Stage, queues: Queues) -> None:
    for number in range(6):
        queues.sqs.send_message(QueueUrl=queues.dead, MessageBody=f"{number}" * 200_000)
    assert redrive(stage) == {"sent": 6, "left": 0}


def test_the_answer_says_whether_a_reason_was_named(stage: Stage) -> None:
    failed(stage, "1.jpg", "NotAPhotoError")
    assert "name a reason" in request(stage)["answer"]["answer"]
    assert "failed as TruncatedPhotoError" in request(stage, reason="TruncatedPhotoError")["answer"]["answer"]


def test_what_the_time_does_not_do_for_is_left(stage: Stage, queues: Queues) -> None:
    queues.sqs.send_message(QueueUrl=queues.dead, MessageBody="{}")
    assert redrive(stage, 5.0) == {"sent": 0, "left": 1}


def test_a_dead_letter_that_comes_back_at_once_is_not_sent_for_ever(
    stage: Stage, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = queues.sqs.send_message_batch

    def send_and_bury(**given: Any) -> Any:
        for entry in given["Entries"]:
            queues.sqs.send_message(QueueUrl=queues.dead, MessageBody=entry["MessageBody"])
        return send(**given)

    monkeypatch.setattr(queues.sqs, "send_message_batch", send_and_bury)
    queues.sqs.send_message(QueueUrl=queues.dead, MessageBody="nobody can read this")
    assert redrive(stage) == {"sent": 1, "left": 1}


def test_a_dead_letter_is_deleted_only_after_it_was_sent(
    stage: Stage, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues.sqs.send_message(QueueUrl=queues.dead, MessageBody="{}")

    def break_off(**_: Any) -> Any:
        raise RuntimeError("no network")

    monkeypatch.setattr(queues.sqs, "send_message_batch", break_off)
    with pytest.raises(RuntimeError):
        redrive(stage)
    attributes = ["ApproximateNumberOfMessagesNotVisible"]
    hidden = queues.sqs.get_queue_attributes(QueueUrl=queues.dead, AttributeNames=attributes)["Attributes"]  # type: ignore[arg-type]
    assert hidden == {"ApproximateNumberOfMessagesNotVisible": "1"}


def test_an_unreadable_message_is_set_aside_with_its_reason(stage: Stage, queues: Queues) -> None:
    stage.services.dead_letters.set_aside("{}", ValueError("x" * 9000))
    (message,) = queues.taken(queues.dead)
    assert message["Body"] == "{}"
    assert set(message["MessageAttributes"]["reason"]["StringValue"]) == {"x"}


def test_the_ledger_finds_failed_jobs_of_one_bucket_alone(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(moto_table=True)
    job = failed(stage, "1.jpg")
    ledger: Ledger = stage.ledger
    assert ledger.failed(job.photo.bucket, "", after="") == ([job], "")
    assert ledger.failed("another", "", after="") == ([], "")
    assert ledger.failed(job.photo.bucket, "2", after="") == ([], "")
