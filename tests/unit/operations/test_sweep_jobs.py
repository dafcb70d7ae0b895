from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cleanplate.errors import PhotoGoneError
from cleanplate.jobs.deadlines import SLACK, STEP, TO_ANNOUNCE, due_at, rounded_up
from cleanplate.models import AdobeJob, Job, JobStatus
from cleanplate.operations.sweep_jobs import sweep_jobs
from cleanplate.outcomes import conclude, fail, failure_of
from tests.schemas import described
from tests.stage import TABLE, KilledError, Stage

_NEVER = 1e9


def sweep(stage: Stage, seconds_left: float = _NEVER) -> dict[str, Any]:
    return sweep_jobs(lambda: seconds_left, stage.services)


def sent(stage: Stage, key: str = "dog.jpg") -> Job:
    """A job whose mask Adobe is at work on."""
    job = stage.claim(key)
    job = stage.ledger.begin_request(job, "mask", route="mask-objects", status="masking", now=stage.clock())
    request = job.adobe_requests["mask"]
    at_adobe = AdobeJob("urn:1", "https://image.adobe.io/s")
    stage.ledger.record_adobe_job(
        job,
        replace(request, adobe_job=at_adobe, submitted_at=stage.clock(), deadline_at=stage.clock() + 900),
        now=stage.clock(),
    )
    return stage.job(job.job_id)


def start(stage: Stage, job: Job) -> str:
    """Its execution, which the stage's machine leaves running."""
    return stage.stepfunctions.start_execution(stateMachineArn=stage.machine_arn, name=job.execution_name)[
        "executionArn"
    ]


def open_jobs(stage: Stage) -> list[str]:
    return [item["job_id"]["S"] for item in stage.dynamodb.scan(TableName=TABLE, IndexName="OpenJobs")["Items"]]


def test_a_job_within_its_time_is_left_alone(stage: Stage) -> None:
    job = sent(stage)
    stage.clock.pass_by(900 + SLACK - 1)
    assert sweep(stage) == {"swept": 0, "delivered": 0, "more": False}
    assert stage.job(job.job_id) == job


def test_a_late_job_ends_by_name_and_its_execution_is_stopped(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(moto_table=True)
    job = sent(stage)
    execution = start(stage, job)
    stage.clock.pass_by(900 + SLACK + STEP)

    assert sweep(stage) == {"swept": 1, "delivered": 0, "more": False}

    ended = stage.job(job.job_id)
    assert (ended.status, ended.outcome["reason"], ended.published) == ("failed", "JobOverdueError", True)
    assert "its execution was running" in ended.outcome["message"]
    (event,) = stage.published()
    assert event["DetailType"] == "Photo Failed"
    described = stage.stepfunctions.describe_execution(executionArn=execution)
    assert described["status"] == "ABORTED"
    assert open_jobs(stage) == []
    assert sweep(stage) == {"swept": 0, "delivered": 0, "more": False}
    assert stage.published() == []


def test_a_photo_whose_turn_never_came_says_so(stage: Stage) -> None:
    job = stage.claim()
    stage.clock.now = job.deadline_at + SLACK + STEP
    assert sweep(stage)["swept"] == 1
    assert stage.only_job().outcome["reason"] == "DeadlinePassedError"


def test_a_job_that_was_paid_for_and_has_no_execution_says_so(stage: Stage) -> None:
    sent(stage)
    stage.clock.pass_by(900 + SLACK + STEP)
    sweep(stage)
    assert "it had no execution" in stage.only_job().outcome["message"]


def test_an_execution_whose_stop_was_never_reported_gives_its_reason(stage: Stage) -> None:
    job = sent(stage)
    stage.stepfunctions.stop_execution(executionArn=start(stage, job))
    stage.clock.pass_by(900 + SLACK + STEP)
    sweep(stage)
    assert stage.only_job().outcome["reason"] == "ExecutionStoppedError"


def test_an_execution_whose_failure_was_never_reported_gives_its_reason(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sent(stage)
    start(stage, job)
    # moto's executions never fail.
    failed = {"status": "FAILED", "error": "DownloadTooLargeError", "cause": '{"errorMessage": "It has 3 GB."}'}
    monkeypatch.setattr(stage.stepfunctions, "describe_execution", lambda **_: failed)
    stage.clock.pass_by(900 + SLACK + STEP)
    sweep(stage)
    outcome = stage.only_job().outcome
    assert (outcome["reason"], outcome["message"]) == ("DownloadTooLargeError", "It has 3 GB.")


@pytest.mark.parametrize("call", ["s3.PutObject", "events.PutEvents", "dynamodb.UpdateItem"])
@pytest.mark.parametrize("status", ["cleaned", "failed"])
def test_an_unpublished_outcome_is_published(stage: Stage, call: str, status: JobStatus) -> None:
    job = sent(stage)
    found: dict[str, Any] = {"result": described("dog.jpg")} if status == "cleaned" else {"reason": "PhotoGoneError"}
    with stage.killed(call), pytest.raises(KilledError):
        conclude(job, status, found, stage.services)
    stage.published()
    assert sweep(stage)["delivered"] == 0
    stage.clock.pass_by(TO_ANNOUNCE + STEP)

    assert sweep(stage) == {"swept": 0, "delivered": 1, "more": False}

    assert len(stage.published()) == 1
    ended = stage.only_job()
    assert (ended.status, ended.published) == (status, True)
    assert stage.manifest("dog.jpg.json")["outcome"] == status
    assert open_jobs(stage) == []


def test_what_the_time_does_not_do_for_is_left_to_the_next_call(stage: Stage) -> None:
    for number in range(3):
        sent(stage, f"{number}.jpg")
    stage.clock.pass_by(900 + SLACK + STEP)
    times = iter([100.0, 5.0])
    assert sweep_jobs(lambda: next(times), stage.services) == {"swept": 1, "delivered": 0, "more": True}
    assert sweep(stage)["swept"] == 2


def test_a_job_that_cannot_be_ended_keeps_no_other_from_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [sent(stage, f"{number}.jpg") for number in range(3)]
    stage.clock.pass_by(900 + SLACK + STEP)
    describe = stage.stepfunctions.describe_execution

    def refuse(*, executionArn: str) -> Any:  # noqa: N803 - boto3's word
        if jobs[1].job_id in executionArn:
            raise RuntimeError("no")
        return describe(executionArn=executionArn)

    monkeypatch.setattr(stage.stepfunctions, "describe_execution", refuse)
    with pytest.raises(RuntimeError):
        sweep(stage)
    assert [stage.job(job.job_id).status for job in jobs] == ["failed", "masking", "failed"]


def test_a_record_that_cannot_be_read_keeps_no_other_job_from_its_end(stage: Stage) -> None:
    jobs = [sent(stage, f"{number}.jpg") for number in range(3)]
    broken = {"job_id": {"S": jobs[1].job_id}}
    stage.dynamodb.update_item(TableName=TABLE, Key=broken, UpdateExpression="REMOVE photo")
    stage.clock.pass_by(900 + SLACK + STEP)
    with pytest.raises(KeyError):
        sweep(stage)
    assert [stage.job(jobs[number].job_id).status for number in (0, 2)] == ["failed", "failed"]


def test_a_job_that_has_moved_on_since_the_index_was_read_is_left_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_time, ended = sent(stage, "1.jpg"), sent(stage, "2.jpg")
    conclude(ended, "cleaned", {"result": described("dog.jpg")}, stage.services)
    stage.published()
    stale = iter([in_time.job_id, ended.job_id, "0" * 40])
    monkeypatch.setattr(stage.ledger, "late", lambda _: stale)
    assert sweep(stage) == {"swept": 0, "delivered": 0, "more": False}
    assert [stage.job(job.job_id).status for job in (in_time, ended)] == ["masking", "cleaned"]
    assert stage.published() == []


def test_a_job_that_ends_while_it_is_swept_keeps_its_outcome(stage: Stage) -> None:
    job = sent(stage)
    conclude(job, "cleaned", {"result": described("dog.jpg")}, stage.services)
    stage.published()
    fail(job, failure_of(PhotoGoneError("gone")), stage.services)
    assert stage.only_job().status == "cleaned"
    assert stage.published() == []


def test_another_run_of_a_job_is_open_again_with_a_time_of_its_own(stage: Stage) -> None:
    job = sent(stage)
    spent = replace(job.adobe_requests["mask"], fate="failed")
    job = stage.ledger.record_poll(job, spent, now=stage.clock())
    fail(job, failure_of(PhotoGoneError("gone")), stage.services)
    assert open_jobs(stage) == []
    again = stage.ledger.reclaim(
        stage.only_job(), request_id="r", now=stage.clock(), deadline_at=stage.clock() + 86_400
    )
    assert open_jobs(stage) == [job.job_id]
    assert due_at(again) == due_at(stage.only_job()) == rounded_up(stage.clock() + 86_400 + SLACK)


def test_what_the_index_holds_is_what_the_job_says_after_every_write(stage: Stage) -> None:
    job = sent(stage)
    (item,) = stage.dynamodb.scan(TableName=TABLE, IndexName="OpenJobs")["Items"]
    assert item.keys() == {"job_id", "open_shard", "due_at"}
    assert float(item["due_at"]["N"]) == due_at(job)


def test_a_photo_that_meets_no_delay_moves_in_the_index_once(stage: Stage) -> None:
    """Each move costs two write units, and coming and going one each; over a step's end there may be one more."""
    seen: list[float] = []

    def look(**_: Any) -> None:
        found = stage.dynamodb.scan(TableName=TABLE, IndexName="OpenJobs")["Items"]
        seen.append(float(found[0]["due_at"]["N"]) if found else 0.0)

    for operation in ("UpdateItem", "TransactWriteItems"):
        stage.dynamodb.meta.events.register(f"after-call.dynamodb.{operation}", look)
    job = stage.claim()
    for name, route in (("mask", "mask-objects"), ("fill-1", "fill-masked-areas")):
        status: JobStatus = "masking" if name == "mask" else "filling"
        now = stage.clock()
        job = stage.ledger.begin_request(job, name, route=route, status=status, now=now)
        request = job.adobe_requests[name]
        at_adobe = AdobeJob(f"urn:{name}", "https://image.adobe.io/s")
        sent = replace(request, adobe_job=at_adobe, submitted_at=now, deadline_at=now + 900, check_at=now + 6)
        stage.ledger.record_adobe_job(stage.job(job.job_id), sent, now=now)
        for polls in (1, 2):
            stage.clock.pass_by(6)
            polled = replace(sent, polls=polls, check_at=stage.clock() + 6)
            stage.ledger.record_poll(stage.job(job.job_id), polled, now=stage.clock())
        job = stage.ledger.record_poll(job, replace(polled, finished_at=stage.clock()), now=stage.clock())
    conclude(job, "cleaned", {"result": described("dog.jpg")}, stage.services)
    moves = [due for due, before in zip(seen[1:], seen, strict=False) if due not in (before, 0.0)]
    assert len(moves) == 1
    assert seen[-1] == 0.0
