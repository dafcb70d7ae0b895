"""Counts of folders and buckets: counted exactly once, whatever is repeated, cut short or done at the same time."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cleanplate.adobe.errors import PostOutcomeUnknownError
from cleanplate.aws.dynamodb import retry_on_conflict
from cleanplate.errors import (
    AskInFlightError,
    JobMovedOnError,
    LedgerBusyError,
    NotAPhotoError,
    WorkGoneError,
)
from cleanplate.jobs.folder_counts import SHARDS, FolderCounts, FolderScope
from cleanplate.models import TERMINAL, Job, JobStatus
from cleanplate.outcomes import conclude, fail, failure_of, publish, publish_folder_if_quiet
from cleanplate.uploads.messages import FolderEnded, read_own
from tests.schemas import described
from tests.stage import UPLOADS, KilledError, Stage

BUCKET = FolderScope(UPLOADS)


def counts(stage: Stage, folder: str | None = None) -> FolderCounts:
    (found,) = stage.ledger.progress.read(FolderScope(UPLOADS, folder))
    assert found is not None
    return found


def columns(found: FolderCounts) -> tuple[int, int, int, int, int]:
    return found.waiting, found.in_work, found.cleaned, found.nothing_to_remove, found.failed


def begin(stage: Stage, job: Job, status: JobStatus = "masking") -> None:
    stage.ledger.begin_request(job, "mask", route="mask-objects", status=status, now=stage.clock())


def finish(stage: Stage, job: Job, status: JobStatus = "cleaned", **outcome: Any) -> bool:
    """Whether this call has ended the job."""
    try:
        stage.ledger.finish(job, status, outcome, now=stage.clock())
    except JobMovedOnError:
        return False
    return True


def recount(stage: Stage, folder: str | None = None) -> tuple[tuple[int, int, int, int, int], dict[str, int]]:
    """Return what the counts should be, from the records of all jobs."""
    jobs = [job for job in stage.jobs() if folder is None or FolderScope.of(job.photo).folder == folder]
    statuses = Counter(job.status for job in jobs)
    reasons = Counter(str(job.outcome["reason"]) for job in jobs if job.status == "failed")
    in_work = statuses["masking"] + statuses["filling"]
    ends = (statuses["cleaned"], statuses["nothing_to_remove"], statuses["failed"])
    return (statuses["claimed"], in_work, *ends), dict(reasons)


# --- counting ---


def test_a_photo_is_counted_in_folder_and_bucket_from_claim_to_end(stage: Stage) -> None:
    job = stage.claim("shoot/day 1/dog.jpg")
    for folder in ("shoot/day 1/", None):
        assert columns(counts(stage, folder)) == (1, 0, 0, 0, 0)
    begin(stage, job)
    for folder in ("shoot/day 1/", None):
        assert columns(counts(stage, folder)) == (0, 1, 0, 0, 0)
    assert finish(stage, stage.job(job.job_id), "nothing_to_remove")
    for folder in ("shoot/day 1/", None):
        assert columns(counts(stage, folder)) == (0, 0, 0, 1, 0)
    assert stage.ledger.progress.read(FolderScope(UPLOADS, "shoot/"), FolderScope("another-bucket")) == [None, None]


def test_the_top_of_a_bucket_is_a_folder_too_and_not_the_bucket(stage: Stage) -> None:
    stage.claim("dog.jpg")
    stage.claim("in/cat.jpg")
    assert counts(stage, "").photos == 1
    assert counts(stage).photos == 2


def test_failed_photos_are_counted_by_reason_until_they_are_taken_up_again(stage: Stage) -> None:
    jobs = [stage.claim(f"{number}.jpg") for number in range(3)]
    for job, reason in zip(jobs, ("NotAPhotoError", "NotAPhotoError", "WorkGoneError"), strict=True):
        assert finish(stage, job, "failed", reason=reason)
    assert counts(stage).failed_for == {"NotAPhotoError": 2, "WorkGoneError": 1}
    again = stage.ledger.reclaim(stage.job(jobs[2].job_id), request_id="r1", now=stage.clock(), deadline_at=2e9)
    assert again == stage.job(jobs[2].job_id)
    assert counts(stage).failed_for == {"NotAPhotoError": 2}
    assert columns(counts(stage)) == (1, 0, 0, 0, 2)
    assert counts(stage).begun == 4


def test_what_comes_twice_is_counted_once(stage: Stage) -> None:
    job = stage.claim()
    assert stage.claim() == job
    begin(stage, job)
    with pytest.raises(AskInFlightError):
        begin(stage, job)
    assert finish(stage, job)
    assert not finish(stage, job)
    assert not finish(stage, stage.job(job.job_id), "failed", reason="WorkGoneError")
    stage.claim()
    assert columns(counts(stage)) == (0, 0, 1, 0, 0)
    assert counts(stage).failed_for == {}


def test_a_photo_that_moved_since_it_was_read_leaves_its_new_column(stage: Stage) -> None:
    seen = stage.claim()
    begin(stage, seen)
    assert finish(stage, seen, "failed", reason="StepTimedOutError")
    assert columns(counts(stage)) == (0, 0, 0, 0, 1)


def test_a_photo_with_its_own_mask_is_in_work_from_its_fill_on(stage: Stage) -> None:
    job = stage.claim()
    stage.ledger.begin_request(job, "fill-1", route="fill-masked-areas", status="filling", now=stage.clock())
    stage.ledger.begin_request(
        stage.job(job.job_id), "fill-2", route="fill-masked-areas", status="filling", now=stage.clock()
    )
    assert columns(counts(stage)) == (0, 1, 0, 0, 0)


def test_a_stale_call_neither_writes_nor_counts(stage: Stage) -> None:
    stale = stage.claim()
    finish(stage, stale, "failed", reason="WorkGoneError")
    stage.ledger.reclaim(stage.job(stale.job_id), request_id="r1", now=stage.clock(), deadline_at=2e9)
    with pytest.raises(JobMovedOnError):
        begin(stage, stale)
    assert not finish(stage, stale)
    with pytest.raises(JobMovedOnError):
        stage.ledger.reclaim(replace(stale, status="failed"), request_id="r2", now=stage.clock(), deadline_at=2e9)
    assert columns(counts(stage)) == (1, 0, 0, 0, 0)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_a_move_counts_it_exactly_if_it_was_written(stage: Stage, when: str) -> None:
    def job() -> Job:
        return stage.only_job()

    moves: list[Any] = [stage.claim, lambda: begin(stage, job()), lambda: finish(stage, job())]
    for move in moves:
        with pytest.raises(KilledError), stage.killed("dynamodb.TransactWriteItems", when=when):
            move()
        if stage.jobs():
            assert (columns(counts(stage)), dict(counts(stage).failed_for)) == recount(stage)
        try:
            move()
        except AskInFlightError:
            assert when == "after"
        assert (columns(counts(stage)), dict(counts(stage).failed_for)) == recount(stage)
    assert columns(counts(stage)) == (0, 0, 1, 0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_counts_agree_with_records_after_any_order_of_moves(stage: Stage, seed: int) -> None:
    """GIVEN calls that hold old copies of jobs, and die WHEN they all go on THEN nothing is counted twice or lost."""
    chance = random.Random(seed)
    copies: list[Job] = []
    for _ in range(120):
        act = chance.choice(("claim", "begin", "end", "end", "again"))
        try:
            with stage.killed(
                "dynamodb.TransactWriteItems", when=chance.choice(("before", "after")), after=chance.randrange(6)
            ):
                if act == "claim" or not copies:
                    copies.append(stage.claim(f"{chance.choice('ab')}/{chance.randrange(5)}.jpg"))
                    continue
                job = chance.choice(copies)
                if chance.random() < 0.6:
                    job = stage.job(job.job_id)
                    copies.append(job)
                if act == "begin" and job.status not in TERMINAL:
                    begin(stage, job)
                elif act == "end" and job.status not in TERMINAL:
                    status: JobStatus = chance.choice(("cleaned", "nothing_to_remove", "failed"))
                    finish(stage, job, status, reason=chance.choice(("WorkGoneError", "NotAPhotoError")))
                elif act == "again" and job.status == "failed":
                    stage.ledger.reclaim(job, request_id="r", now=stage.clock(), deadline_at=2e9)
        except (KilledError, JobMovedOnError, AskInFlightError, PostOutcomeUnknownError):
            pass
        stage.clock.pass_by(chance.choice((0, 1, 300)))
    for folder in ("a/", "b/", None):
        found = counts(stage, folder)
        assert (columns(found), dict(found.failed_for)) == recount(stage, folder)


def test_many_callers_at_once_count_every_photo_once(stage: Stage) -> None:
    keys = [f"many/{number % 20}.jpg" for number in range(60)]

    def walk(key: str) -> None:
        job = stage.claim(key)
        with contextlib.suppress(AskInFlightError, JobMovedOnError):
            begin(stage, job)
        finish(stage, job)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(walk, keys))
    assert columns(counts(stage, "many/")) == (0, 0, 20, 0, 0)
    assert columns(counts(stage)) == (0, 0, 20, 0, 0)
    assert counts(stage).begun == 20


def test_jobs_are_spread_over_the_shards(stage: Stage) -> None:
    for number in range(60):
        stage.claim(f"{number}.jpg")
    items = stage.dynamodb.scan(TableName="the-jobs")["Items"]
    shards = [item for item in items if item["job_id"]["S"].startswith(f"bucket#{UPLOADS}#")]
    assert len(shards) == SHARDS
    assert max(int(shard["waiting"]["N"]) for shard in shards) < 20


def test_a_report_is_one_call_of_small_items_however_many_photos(stage: Stage) -> None:
    for number in range(30):
        stage.claim(f"x/{number}.jpg")
    calls: list[str] = []
    stage.dynamodb.meta.events.register("before-call.dynamodb", lambda model, **_: calls.append(model.name))
    assert [found and found.photos for found in stage.ledger.progress.read(FolderScope(UPLOADS, "x/"), BUCKET)] == [
        30,
        30,
    ]
    assert calls == ["BatchGetItem"]


def test_a_count_whose_item_was_deleted_is_never_below_zero(stage: Stage) -> None:
    job = stage.claim()
    for shard in FolderScope(UPLOADS, "").shards():
        stage.dynamodb.delete_item(TableName="the-jobs", Key={"job_id": {"S": shard}})
    finish(stage, job)
    assert columns(counts(stage, "")) == (0, 0, 1, 0, 0)


# --- the end of a folder ---


def clean(stage: Stage, job: Job) -> None:
    conclude(job, "cleaned", {"result": described(job.photo.key)}, stage.services)


def published(stage: Stage) -> list[dict[str, Any]]:
    return [event["Detail"] for event in stage.published("Folder") if event["DetailType"] == "Folder Done"]


def test_a_folder_is_published_once_when_its_last_photo_is_done(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(moto_table=True)
    jobs = [stage.claim(f"shoot/{number}.jpg") for number in range(3)]
    other = stage.claim("elsewhere/dog.jpg")
    clean(stage, jobs[0])
    fail(jobs[1], failure_of(NotAPhotoError("no picture")), stage.services)
    assert published(stage) == []
    stage.clock.pass_by(10)
    clean(stage, jobs[2])
    (event,) = published(stage)
    assert event == {
        "schema": "cleanplate/1",
        "bucket": UPLOADS,
        "folder": "shoot/",
        "photos": 3,
        "cleaned": 2,
        "nothing_to_remove": 0,
        "mask_ready": 0,
        "failed": 1,
        "failed_for": {"NotAPhotoError": 1},
        "begun_at": jobs[0].claimed_at,
        "ended_at": stage.clock(),
    }
    for job in (*jobs, jobs[2]):
        publish(stage.job(job.job_id), stage.services)
    assert published(stage) == []
    clean(stage, other)
    assert [event["folder"] for event in published(stage)] == ["elsewhere/"]


def test_a_folder_whose_counts_were_deleted_publishes_nothing(stage: Stage) -> None:
    job = stage.claim("shoot/1.jpg")
    finish(stage, job, outcome="cleaned")
    for shard in FolderScope(UPLOADS, "shoot/").shards():
        stage.dynamodb.delete_item(TableName="the-jobs", Key={"job_id": {"S": shard}})
    publish(stage.job(job.job_id), stage.services)
    assert published(stage) == []


def test_a_folder_that_gets_more_photos_is_published_again_at_its_end(stage: Stage) -> None:
    clean(stage, stage.claim("shoot/1.jpg"))
    assert [event["photos"] for event in published(stage)] == [1]
    # In the same moment, and by a clock that is behind.
    clean(stage, stage.claim("shoot/2.jpg"))
    assert [event["photos"] for event in published(stage)] == [2]
    stage.clock.pass_by(-5)
    clean(stage, stage.claim("shoot/3.jpg"))
    assert [event["photos"] for event in published(stage)] == [3]


@pytest.mark.parametrize("behind", [0, 5, 3600])
def test_a_photo_that_is_retried_opens_its_folder_again(stage: Stage, behind: float) -> None:
    """By whatever clock: the one that begins the other run may be behind."""
    job = stage.claim("shoot/1.jpg")
    fail(job, failure_of(WorkGoneError("gone")), stage.services)
    assert [event["failed"] for event in published(stage)] == [1]
    stage.clock.pass_by(-behind)
    again = stage.ledger.reclaim(stage.job(job.job_id), request_id="r1", now=stage.clock(), deadline_at=2e9)
    clean(stage, again)
    assert [(event["failed"], event["cleaned"]) for event in published(stage)] == [(0, 1)]


@pytest.mark.parametrize(
    ("operation", "when", "after"),
    [
        ("dynamodb.TransactWriteItems", "after", 0),
        ("s3.PutObject", "before", 0),
        ("events.PutEvents", "before", 0),
        ("events.PutEvents", "after", 0),
        ("dynamodb.GetItem", "before", 1),
        ("dynamodb.TransactGetItems", "before", 0),
        ("dynamodb.UpdateItem", "before", 0),
        ("dynamodb.UpdateItem", "after", 0),
        ("events.PutEvents", "before", 1),
        ("dynamodb.UpdateItem", "after", 1),
    ],
)
def test_whoever_takes_over_from_a_dead_process_publishes_once(
    stage: Stage, operation: str, when: str, after: int
) -> None:
    first, last = stage.claim("shoot/1.jpg"), stage.claim("shoot/2.jpg")
    clean(stage, first)
    with pytest.raises(KilledError), stage.killed(operation, when=when, after=after):
        clean(stage, last)
    publish(replace(stage.job(first.job_id), published=False), stage.services)
    publish(stage.job(last.job_id), stage.services)
    publish(stage.job(last.job_id), stage.services)
    assert [event["photos"] for event in published(stage)] == [2]


def test_only_a_crash_after_the_event_publishes_it_twice(stage: Stage) -> None:
    """EventBridge delivers at least once anyway: who receives it recognises repetitions by ``begun_at``."""
    job = stage.claim("shoot/1.jpg")
    with pytest.raises(KilledError), stage.killed("events.PutEvents", when="after", after=1):
        clean(stage, job)
    publish(stage.job(job.job_id), stage.services)
    first, second = published(stage)
    assert first == second


def test_photos_that_end_at_the_same_time_publish_their_folder_once(stage: Stage) -> None:
    for round_ in range(2):
        jobs = [stage.claim(f"crowd {round_}/{number}.jpg") for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda job: clean(stage, job), jobs))
        assert [event["photos"] for event in published(stage)] == [8]


# --- a folder that has been quiet ---


@pytest.fixture
def quiet_stage(make_stage: Callable[..., Stage]) -> Stage:
    return make_stage(FOLDER_QUIET_SECONDS="60")


def look(stage: Stage, most: int = 100) -> int:
    """Messages about folders in the order in which they were sent, each handled and then deleted; how many there were."""
    queue, number = stage.settings.admitted_queue_url, 0
    while number < most and (
        received := stage.sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0).get("Messages")
    ):
        for message in received:
            ended = read_own(message["Body"])
            assert isinstance(ended, FolderEnded)
            publish_folder_if_quiet(ended, stage.services)
            stage.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            number += 1
    return number


def test_a_folder_is_looked_at_once_it_has_been_quiet(quiet_stage: Stage) -> None:
    delays: list[int] = []
    quiet_stage.sqs.meta.events.register_first(
        "provide-client-params.sqs.SendMessageBatch",
        lambda params, **_: delays.extend(entry["DelaySeconds"] for entry in params["Entries"]),
    )
    clean(quiet_stage, quiet_stage.claim("shoot/1.jpg"))
    assert delays == [60]
    assert published(quiet_stage) == []
    assert look(quiet_stage) == 1
    assert [event["photos"] for event in published(quiet_stage)] == [1]


def test_photos_that_trickle_in_are_published_once(quiet_stage: Stage) -> None:
    for number in range(3):
        clean(quiet_stage, quiet_stage.claim(f"shoot/{number}.jpg"))
    # The minute after the first and the second photo is over, the one after the third is not.
    assert look(quiet_stage, 2) == 2
    assert published(quiet_stage) == []
    assert look(quiet_stage) == 1
    assert [event["photos"] for event in published(quiet_stage)] == [3]
    clean(quiet_stage, quiet_stage.claim("shoot/later.jpg"))
    look(quiet_stage)
    assert [event["photos"] for event in published(quiet_stage)] == [4]


def test_a_folder_with_an_open_photo_waits_for_its_end(quiet_stage: Stage) -> None:
    clean(quiet_stage, quiet_stage.claim("shoot/1.jpg"))
    late = quiet_stage.claim("shoot/2.jpg")
    look(quiet_stage)
    assert published(quiet_stage) == []
    clean(quiet_stage, late)
    look(quiet_stage)
    assert [event["photos"] for event in published(quiet_stage)] == [2]


@pytest.mark.parametrize("operation", ["dynamodb.GetItem", "dynamodb.TransactGetItems", "sqs.SendMessageBatch"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_before_the_message_is_made_up_for(quiet_stage: Stage, operation: str, when: str) -> None:
    job = quiet_stage.claim("shoot/1.jpg")
    with pytest.raises(KilledError), quiet_stage.killed(operation, when=when):
        clean(quiet_stage, job)
    publish(quiet_stage.job(job.job_id), quiet_stage.services)
    assert look(quiet_stage) >= 1
    assert [event["photos"] for event in published(quiet_stage)] == [1]


@pytest.mark.parametrize(
    "operation", ["dynamodb.TransactGetItems", "dynamodb.UpdateItem", "events.PutEvents", "sqs.DeleteMessage"]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_message_about_a_folder_whose_call_died_comes_back(quiet_stage: Stage, operation: str, when: str) -> None:
    clean(quiet_stage, quiet_stage.claim("shoot/1.jpg"))
    with pytest.raises(KilledError), quiet_stage.killed(operation, when=when):
        look(quiet_stage)
    look(quiet_stage)
    # As with every event: only a crash just after it publishes it twice, word for word.
    events = published(quiet_stage)
    assert len(events) == (2 if (operation, when) == ("events.PutEvents", "after") else 1)
    assert all(event == events[0] for event in events)


@pytest.mark.parametrize("seed", range(4))
def test_in_any_order_the_last_event_of_a_folder_has_its_final_counts(quiet_stage: Stage, seed: int) -> None:
    """GIVEN photos that begin, end and are retried, looks, and calls that die WHEN all is quiet THEN its last event is right."""
    chance, stage = random.Random(seed), quiet_stage
    operations = ("dynamodb.TransactWriteItems", "dynamodb.UpdateItem", "events.PutEvents", "sqs.SendMessageBatch")
    for number in range(60):
        jobs = stage.jobs()
        open_jobs = [job for job in jobs if job.status not in TERMINAL]
        failed = [job for job in jobs if job.status == "failed" and job.published]
        try:
            with stage.killed(*operations, when=chance.choice(("before", "after")), after=chance.randrange(9)):
                match chance.choice(("claim", "end", "end", "again", "look")):
                    case "claim":
                        stage.claim(f"shoot/{number}.jpg")
                    case "end" if open_jobs:
                        fail(chance.choice(open_jobs), failure_of(WorkGoneError("gone")), stage.services)
                    case "again" if failed:
                        job = chance.choice(failed)
                        stage.ledger.reclaim(job, request_id=f"r{number}", now=stage.clock(), deadline_at=2e9)
                    case "look":
                        look(stage)
        except KilledError:
            pass
        stage.clock.pass_by(1)
    for job in stage.jobs():
        if job.status in TERMINAL:
            publish(job, stage.services)
        else:
            clean(stage, job)
    look(stage)
    by_begin = {event["begun_at"]: event for event in published(stage)}
    assert recount(stage, "shoot/")[0] == columns(counts(stage, "shoot/"))
    last = by_begin[max(by_begin)]
    assert (last["cleaned"], last["failed"]) == columns(counts(stage, "shoot/"))[2:5:2]
    assert last["begun_at"] == counts(stage, "shoot/").begun_at


# --- crowds ---


def _refusal(*codes: str) -> ClientError:
    reasons = [{"Code": code} for code in codes]
    response: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
    return ClientError(response, "TransactWriteItems")


def _failing(*errors: Exception) -> Any:
    ahead = list(errors)

    def call() -> str:
        if ahead:
            raise ahead.pop(0)
        return "done"

    return call


@pytest.mark.parametrize(
    "error",
    [
        _refusal("None", "TransactionConflict", "None"),
        _refusal("ThrottlingError", "TransactionConflict"),
        ClientError({"Error": {"Code": "TransactionConflictException"}}, "UpdateItem"),
    ],
)
def test_a_write_that_met_another_is_tried_again(error: ClientError) -> None:
    pauses: list[float] = []
    assert retry_on_conflict(_failing(error, error, error), jitter=lambda: 1.0, sleep=pauses.append) == "done"
    assert pauses == [0.01, 0.02, 0.04]


def test_a_crowd_that_does_not_end_postpones_the_step_within_seconds() -> None:
    pauses: list[float] = []
    crowd = [_refusal("TransactionConflict")] * 100
    with pytest.raises(LedgerBusyError) as busy:
        retry_on_conflict(_failing(*crowd), clock=lambda: 1000.0, jitter=lambda: 1.0, sleep=pauses.append)
    assert 1001 < busy.value.until < 1020
    assert sum(pauses) < 4


@pytest.mark.parametrize("codes", [("ConditionalCheckFailed",), ("ConditionalCheckFailed", "TransactionConflict")])
def test_a_condition_that_failed_is_an_answer_and_not_a_crowd(codes: tuple[str, ...]) -> None:
    with pytest.raises(ClientError):
        retry_on_conflict(_failing(_refusal(*codes)), sleep=lambda _: pytest.fail("waits"))
