"""A backfill: what it counts, what it asks before it spends, what it sends; and that a photo stays one job."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools import Logger

from cleanplate.errors import (
    BucketRefusedError,
    InvalidBackfillError,
    NotAnnouncedError,
    WorkGoneError,
    WrongConfirmationError,
)
from cleanplate.models import Job, Options, Photo
from cleanplate.operations.count_photos import count_photos
from cleanplate.operations.listing import count, describe, look_again_in, max_ahead, photos_per_day, reason_to_skip
from cleanplate.operations.send_photos import send_photos
from cleanplate.outcomes import fail, failure_of
from cleanplate.rate_limit.limits import RateLimits
from cleanplate.rate_limit.state import fresh
from cleanplate.steps.request_mask import request_mask
from cleanplate.uploads.messages import Upload, read_uploads
from tests.aws import client_as_new
from tests.stage import RESULTS, UPLOADS, KilledError, Stage

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

OURS = frozenset({RESULTS})
#: The logger whose children the steps use; in a deployed function its handler makes it.
Logger()


class Queue:
    """The uploads queue, in moto."""

    def __init__(self, sqs: SQSClient) -> None:
        self.sqs = sqs
        self.url = sqs.create_queue(QueueName="uploads")["QueueUrl"]

    def bodies(self) -> list[str]:
        """Every message, received and deleted."""
        found = []
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(message["Body"])
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def keys(self) -> list[str]:
        """The keys that the messages name."""
        return [upload.photo.key for body in self.bodies() for upload in read_uploads(body)]


@pytest.fixture
def queue(stage: Stage) -> Queue:
    queue = Queue(client_as_new("sqs"))
    stage.settings = replace(stage.settings, uploads_queue_url=queue.url)
    return queue


def pages_of(stage: Stage, size: int) -> None:
    """Make S3 list so many entries at a time."""

    def smaller(params: dict[str, Any], **_: Any) -> Any:
        return {**params, "MaxKeys": min(size, params["MaxKeys"])}

    stage.s3.meta.events.register("provide-client-params.s3.ListObjectVersions", smaller)


def counted(stage: Stage, prefix: Any = "", confirm: Any = None, bucket: Any = "") -> dict[str, Any]:
    """Count to the end, as the state machine does."""
    state: dict[str, Any] = {"state": "more", "after": {}, "counted": {}}
    while state["state"] == "more":
        state = count_photos(
            {"bucket": bucket, "prefix": prefix, "confirm": confirm},
            state["after"],
            json.loads(json.dumps(state["counted"])),
            stage.services,
        )
    return state


def estimate(stage: Stage, prefix: str = "", **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = counted(stage, prefix, **more)["estimate"]
    return found


def send(stage: Stage, prefix: str = "", *, confirm: int = 10_000, ahead_hours: Any = 12) -> tuple[int, list[str]]:
    """Send until all are sent, or until the queue is full; how many, and the words on the way."""
    state: dict[str, Any] = {"state": "more", "after": {}, "sent": 0}
    words = []
    while state["state"] == "more":
        state = send_photos(UPLOADS, prefix, state["after"], state["sent"], confirm, ahead_hours, stage.services)
        words.append(state["state"])
    return state["sent"], words


# --- what is a photo ---


@pytest.mark.parametrize(
    ("key", "size", "why"),
    [
        ("a/dog.jpg", 10, ""),
        ("a/DOG.HEIC", 10, ""),
        ("a/without", 10, ""),
        ("a.b/without", 10, ""),
        (".jpg", 10, ""),
        ("a/dog.jpg", 0, "empty"),
        ("a/dog.jpg", 11, "too large"),
        ("a/", 0, "folder marker"),
        ("a/dog.jpg.json", 10, "sidecar"),
        ("a/dog.mask.png", 10, "own mask"),
        ("a/film.mp4", 10, "other file"),
        ("a/notes.", 10, ""),
        (".DS_Store", 10, "other file"),
        ("a/dog.v2", 10, ""),
    ],
)
def test_what_is_sent_is_a_photo_by_its_name_and_size(key: str, size: int, why: str) -> None:
    assert reason_to_skip(Photo("b", key, size=size), OURS, max_bytes=10) == why


def test_our_own_output_is_never_sent() -> None:
    assert reason_to_skip(Photo(RESULTS, "dog.jpg", size=5), OURS, max_bytes=10) == "our own output"


def test_endings_without_end_do_not_fill_the_machines_state() -> None:
    counts: dict[str, int] = {}
    for number in range(500):
        counts = count(counts, {Photo("b", f"x.kind{number}", size=1): "other file"}, {})
    assert len(counts) < 30
    found = describe(counts, max_fills=2)
    assert sum(found["other_files"].values()) == found["skipped"]["other_file"] == 500


def test_photos_of_endless_kinds_do_not_fill_it_either() -> None:
    counts: dict[str, int] = {}
    for number in range(500):
        photo = Photo("b", f"x.kind{number}", size=1)
        counts = count(counts, {photo: ""}, {photo: None})
    assert len(counts) < 60
    assert sum(kind["photos"] for kind in describe(counts, max_fills=2)["by_kind"].values()) == 500


def test_paid_requests_are_two_a_photo_less_the_masks_that_people_bring() -> None:
    listed = {Photo("b", f"{n}.jpg", size=1): "" for n in range(5)} | {Photo("b", "1.mask.png", size=1): "own mask"}
    counts = count({}, listed, dict.fromkeys(listed))
    assert describe(counts, max_fills=2)["paid_requests"] == {"least": 4, "usual": 9, "most": 14}


# --- how many at a time ---


def test_the_queue_takes_what_is_worked_off_in_the_hours_ahead() -> None:
    limits = RateLimits(per_minute=60, per_day=9000, polls_count=True)
    per_day = photos_per_day(fresh(limits, 1e9), limits)
    assert per_day == 2250
    assert max_ahead(per_day, 12) == 1125
    assert look_again_in(per_day, 1125) == pytest.approx(6 * 3600, rel=0.01)


def test_a_budget_bounds_the_photos_of_a_day() -> None:
    limits = RateLimits(per_minute=60, per_day=9000, daily_budget=100)
    assert photos_per_day(fresh(limits, 1e9), limits) == 50


@pytest.mark.parametrize("per_day", [1, 2250, 10_000_000])
def test_neither_the_queue_nor_a_year_of_history_overflows(per_day: float) -> None:
    ahead, wait = max_ahead(per_day, 240), look_again_in(per_day, max_ahead(per_day, 240))
    assert 100 <= ahead <= 50_000
    assert 60 <= wait <= 6 * 3600
    if per_day <= 2250:
        # Nine events a look, and Step Functions keeps 25 000.
        assert 365 * 86_400 / look_again_in(per_day, max_ahead(per_day, 12)) * 9 < 25_000


# --- counting and confirming ---


def drop(stage: Stage, *keys: str) -> list[Photo]:
    return [stage.upload(key, b"pixels") for key in keys]


def test_nothing_there_is_an_answer(stage: Stage, queue: Queue) -> None:
    drop(stage, "elsewhere/dog.jpg")
    for confirm in (None, 5):
        assert counted(stage, "empty/", confirm)["state"] == "nothing_there"
    assert "no photo below the-uploads/empty/" in estimate(stage, "empty/")["answer"]


def test_a_dry_run_counts_estimates_and_sends_nothing(stage: Stage, queue: Queue) -> None:
    drop(stage, "x/1.jpg", "x/2.HEIC", "x/2.HEIC.json", "x/1.mask.png", "x/film.mp4", "y/3.jpg")
    stage.upload("x/inner/", b"")
    found = counted(stage, "x/")
    assert found["state"] == "estimated"
    planned = found["estimate"]
    assert (planned["photos"], planned["bytes"], planned["to_clean"], planned["confirm"]) == (2, 12, 2, 2)
    assert planned["by_kind"] == {"heic": {"photos": 1, "bytes": 6}, "jpg": {"photos": 1, "bytes": 6}}
    assert planned["skipped"] == {"folder_marker": 1, "other_file": 1, "own_mask": 1, "sidecar": 1}
    assert planned["other_files"] == {"mp4": 1}
    assert planned["paid_requests"] == {"least": 1, "usual": 3, "most": 5}
    assert planned["done_at"].endswith("Z")
    assert "confirm: 2" in planned["answer"]
    assert queue.keys() == []
    assert stage.jobs() == []


def test_counting_goes_on_page_by_page_and_call_by_call(
    stage: Stage, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cleanplate.operations.count_photos._ENOUGH", -1)
    drop(stage, *(f"{number}.jpg" for number in range(7)))
    drop(stage, "3.jpg", "3.jpg")
    stage.s3.delete_object(Bucket=UPLOADS, Key="5.jpg")
    pages_of(stage, 2)
    assert count_photos({}, {}, {}, stage.services)["state"] == "more"
    assert estimate(stage)["photos"] == 6


def test_photos_that_have_a_job_are_recognised(stage: Stage, queue: Queue) -> None:
    photos = drop(stage, "1.jpg", "2.jpg", "3.jpg", "4.jpg")
    for photo in photos[:3]:
        notify(stage, photo)
    stage.ledger.finish(stage.jobs()[0], "cleaned", {}, now=stage.clock())
    stage.ledger.finish(stage.jobs()[1], "failed", {"reason": "WorkGoneError"}, now=stage.clock())
    planned = estimate(stage)
    assert (planned["photos"], planned["to_clean"]) == (4, 1)
    assert planned["already"] == {"cleaned": 1, "failed": 1, "in_work": 1}


def test_a_newer_version_of_a_cleaned_photo_is_a_photo_to_clean(stage: Stage, queue: Queue) -> None:
    (photo,) = drop(stage, "1.jpg")
    notify(stage, photo)
    drop(stage, "1.jpg")
    assert estimate(stage)["to_clean"] == 1


def test_all_done_is_an_answer(stage: Stage, queue: Queue) -> None:
    (photo,) = drop(stage, "1.jpg")
    notify(stage, photo)
    assert counted(stage, "", 1)["state"] == "nothing_to_clean"


@pytest.mark.parametrize(
    ("confirm", "state"), [(None, "estimated"), (False, "estimated"), (0, "estimated"), (3, "confirmed")]
)
def test_only_the_counted_number_begins_it(stage: Stage, queue: Queue, confirm: Any, state: str) -> None:
    drop(stage, "1.jpg", "2.jpg", "3.jpg")
    assert counted(stage, "", confirm)["state"] == state


@pytest.mark.parametrize("confirm", [1, 2, 4, 1_000_000, -3])
def test_another_number_is_a_named_error_that_says_the_right_one(stage: Stage, queue: Queue, confirm: int) -> None:
    drop(stage, "1.jpg", "2.jpg", "3.jpg")
    with pytest.raises(WrongConfirmationError, match="3 photos would be cleaned"):
        counted(stage, "", confirm)


def test_the_same_number_still_counts_after_a_part_is_done(stage: Stage, queue: Queue) -> None:
    photos = drop(stage, "1.jpg", "2.jpg", "3.jpg")
    notify(stage, photos[0])
    assert counted(stage, "", 3)["state"] == "confirmed"
    assert counted(stage, "", 2)["state"] == "confirmed"


@pytest.mark.parametrize(
    "asked", [{"confirm": True}, {"confirm": "3"}, {"confirm": 2.5}, {"prefix": 5}, {"bucket": ["b"]}]
)
def test_an_input_that_cannot_be_read_is_a_named_error(stage: Stage, queue: Queue, asked: dict[str, Any]) -> None:
    drop(stage, "1.jpg")
    with pytest.raises(InvalidBackfillError):
        counted(stage, **asked)


@pytest.mark.parametrize("hours", [0, -1, 1000, True, "12", None])
def test_hours_that_cannot_be_meant_are_a_named_error(stage: Stage, queue: Queue, hours: Any) -> None:
    with pytest.raises(InvalidBackfillError):
        send(stage, ahead_hours=hours)


def test_a_bucket_that_is_not_there_and_our_own_are_refused_by_name(stage: Stage, queue: Queue) -> None:
    with pytest.raises(BucketRefusedError, match="no bucket nobodys-bucket"):
        counted(stage, bucket="nobodys-bucket")
    with pytest.raises(BucketRefusedError, match="our own output"):
        counted(stage, bucket=RESULTS)


# --- sending ---


def test_every_photo_is_sent_once_in_batches(stage: Stage, queue: Queue) -> None:
    keys = [f"x/{number:02} é+%20 [{number}].jpg" for number in range(23)]
    drop(stage, *keys, "x/film.mp4", "x/00.mask.png")
    pages_of(stage, 4)
    assert send(stage, "x/") == (23, ["sent"])
    assert sorted(queue.keys()) == sorted(keys)


def test_no_more_are_sent_than_were_agreed_to(stage: Stage, queue: Queue) -> None:
    drop(stage, *(f"{number}.jpg" for number in range(9)))
    assert send(stage, confirm=5) == (5, ["sent"])
    assert len(queue.keys()) == 5


def test_a_full_queue_is_waited_for_and_the_rest_follows(
    stage: Stage, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cleanplate.operations.send_photos.max_ahead", lambda *_: 5)
    drop(stage, *(f"{number}.jpg" for number in range(12)))
    pages_of(stage, 4)
    seen: list[str] = []
    state: dict[str, Any] = {"after": {}, "sent": 0}
    for word in ("full", "full", "sent"):
        state = send_photos(UPLOADS, "", state["after"], state["sent"], 12, 12, stage.services)
        assert state["state"] == word
        assert bool(state["wait_seconds"]) == (word == "full")
        keys = queue.keys()
        assert len(keys) <= 5
        seen += keys
    assert sorted(seen) == sorted(f"{number}.jpg" for number in range(12))
    assert state["sent"] == 12


def test_while_the_queue_is_full_nothing_is_sent(stage: Stage, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleanplate.operations.send_photos.max_ahead", lambda *_: 2)
    drop(stage, *(f"{number}.jpg" for number in range(4)))
    first = send_photos(UPLOADS, "", {}, 0, 4, 12, stage.services)
    second = send_photos(UPLOADS, "", first["after"], first["sent"], 4, 12, stage.services)
    assert (first["sent"], second) == (2, first)


def test_what_sqs_does_not_take_at_first_is_sent_again(
    stage: Stage, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    class Moody:
        answers = 0

        def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
            self.answers += 1
            refused = Entries[: len(Entries) // 2] if self.answers < 3 else []
            taken.extend(entry["MessageBody"] for entry in Entries if entry not in refused)
            return {"Failed": [{"Id": entry["Id"]} for entry in refused]}

    moody = Moody()
    monkeypatch.setattr(stage, "sqs", moody)
    stage.services.uploads_queue.send([f"message {number}" for number in range(8)])
    assert len(taken) == len(set(taken)) == 8


def test_a_queue_that_refuses_messages_fails_with_a_retried_name(
    stage: Stage, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
            return {"Failed": [{"Id": entry["Id"]} for entry in Entries]}

    monkeypatch.setattr(stage, "sqs", Broken())
    with pytest.raises(NotAnnouncedError):
        stage.services.uploads_queue.send(["message"])


# --- one photo, one job ---


def notify(stage: Stage, photo: Photo) -> Job:
    """What S3's notification of a photo claims; the photo is no picture, so nothing more comes of it."""
    return _claim(stage, Upload(photo))


def found(stage: Stage, key: str, bucket: str = UPLOADS) -> Job:
    """What a backfill's message about a photo claims."""
    (upload,) = read_uploads(json.dumps({"detail-type": "Photo Found", "detail": {"bucket": bucket, "key": key}}))
    return _claim(stage, upload)


def _claim(stage: Stage, upload: Upload) -> Job:
    before = {job.job_id for job in stage.jobs()}
    # The process dies as soon as it reads the photo's bytes, after sidecar and folder's options: it is claimed, and no more.
    with suppress(KilledError), stage.killed("s3.GetObject", after=2):
        request_mask(upload, stage.services)
    after = stage.jobs()
    new = [job for job in after if job.job_id not in before]
    return new[0] if new else next(job for job in after if job.photo.key == upload.photo.key)


def test_a_photo_notified_by_s3_and_found_by_a_backfill_is_one_job(stage: Stage) -> None:
    (photo,) = drop(stage, "1.jpg")
    assert notify(stage, photo) == found(stage, "1.jpg")
    drop(stage, "2.jpg")
    first = found(stage, "2.jpg")
    assert notify(stage, first.photo) == first
    assert len(stage.jobs()) == 2


@pytest.fixture
def without_versions(stage: Stage) -> str:
    stage.s3.create_bucket(Bucket="plain", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    stage.settings = replace(stage.settings, other_bucket="plain")
    return "plain"


def _put(stage: Stage, key: str, sequencer: str, content: bytes = b"pixels") -> Photo:
    etag = stage.s3.put_object(Bucket="plain", Key=key, Body=content)["ETag"].strip('"')
    return Photo("plain", key, etag=etag, sequencer=sequencer, size=len(content))


def test_without_versions_too_whoever_speaks_first(stage: Stage, without_versions: str) -> None:
    notified = _put(stage, "told.jpg", "0A")
    assert notify(stage, notified) == found(stage, "told.jpg", "plain")
    later = _put(stage, "found.jpg", "0B")
    assert found(stage, "found.jpg", "plain") == notify(stage, later) == notify(stage, later)
    assert len(stage.jobs()) == 2


def test_without_versions_the_same_bytes_again_are_another_job(
    stage: Stage, queue: Queue, without_versions: str
) -> None:
    first, second = _put(stage, "1.jpg", "0A"), _put(stage, "1.jpg", "0B")
    assert notify(stage, first).job_id != notify(stage, second).job_id
    assert estimate(stage, bucket="plain")["already"] == {"in_work": 1}


def test_without_versions_other_bytes_are_another_photo(stage: Stage, queue: Queue, without_versions: str) -> None:
    notify(stage, _put(stage, "1.jpg", "0A"))
    _put(stage, "1.jpg", "0B", b"other pixels")
    assert estimate(stage, bucket="plain")["to_clean"] == 1


def test_a_request_without_version_retries_the_existing_job(stage: Stage, without_versions: str) -> None:
    job = notify(stage, _put(stage, "1.jpg", "0A"))
    fail(job, failure_of(WorkGoneError("Gone.")), stage.services)
    again = _claim(stage, Upload(Photo("plain", "1.jpg"), request_id="r1"))
    assert (again.job_id, again.run) == (job.job_id, 2)


def test_results_from_another_bucket_lie_in_a_folder_of_its_name(stage: Stage) -> None:
    assert stage.services.result_key(Photo(UPLOADS, "a/dog.jpg")) == "a/dog.jpg"
    assert stage.services.result_key(Photo("archive", "a/dog.jpg")) == "archive/a/dog.jpg"


def test_statuses_are_found_by_hundreds_in_few_calls(stage: Stage) -> None:
    photos = [Photo(UPLOADS, f"{number}.jpg", version_id="v1") for number in range(250)]
    for photo in photos[::50]:
        stage.ledger.uploads.remember_options(photo, Options(), None, now=stage.clock())
        stage.claim(photo.key)
    calls: list[str] = []
    stage.dynamodb.meta.events.register("before-call.dynamodb", lambda model, **_: calls.append(model.name))
    statuses = stage.ledger.statuses(photos)
    assert [bool(status) for status in statuses] == [number % 50 == 0 for number in range(250)]
    assert len(calls) <= 4
