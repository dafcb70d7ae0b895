from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cleanplate.adobe.errors import AdobeJobFailedError
from cleanplate.errors import (
    NotAnnouncedError,
    PhotoGoneError,
    PhotoReplacedError,
    StepCrashedError,
    StepTimedOutError,
)
from cleanplate.models import AdobeJob, AdobeRequest, Failure, Job, Options
from cleanplate.outcomes import conclude, describe, fail, failure_named, failure_of
from cleanplate.steps.record_failure import record_failure
from tests.schemas import described
from tests.stage import UPLOADS, KilledError, Stage

RESULT = described("dog.jpg")
FOUND = {
    "masks": [{"label": "dog", "score": 0.97, "box": [1.5, 2.0, 30.0, 40.0], "background": False}],
    "labels_seen": ["dog", "cat"],
    "result": RESULT,
}
GONE = failure_of(PhotoGoneError("dog.jpg is no longer in the-uploads."))


def walked(stage: Stage) -> Job:
    """A job with its mask and its fill paid."""
    job = stage.claim()
    for name, route in (("mask", "mask-objects"), ("fill-1", "fill-masked-areas")):
        status: Any = "masking" if name == "mask" else "filling"
        job = stage.ledger.begin_request(job, name, route=route, status=status, now=stage.clock())
        sent = replace(
            job.adobe_requests[name],
            adobe_job=AdobeJob(f"urn:{name}", "https://image.adobe.io/s"),
            submitted_at=stage.clock(),
        )
        stage.clock.pass_by(6.5)
        job = stage.ledger.record_adobe_job(job, replace(sent, polls=2, finished_at=stage.clock()), now=stage.clock())
    return job


def test_record_manifest_and_event_say_the_same(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(moto_table=True)
    job = walked(stage)
    conclude(job, "cleaned", FOUND, stage.services)
    manifest = stage.manifest("dog.jpg.json")
    (event,) = stage.published()
    assert event["Detail"] == manifest == json.loads(json.dumps(describe(stage.job(job.job_id))))
    assert (event["Source"], event["DetailType"]) == ("cleanplate", "Photo Cleaned")
    assert event["Resources"] == [f"arn:aws:s3:::{UPLOADS}"]
    assert stage.job(job.job_id).published


def test_a_manifest_describes_the_whole_job(stage: Stage) -> None:
    job = walked(stage)
    stage.clock.pass_by(2)
    conclude(job, "cleaned", FOUND, stage.services)
    manifest = stage.manifest("dog.jpg.json")
    assert (manifest["schema"], manifest["outcome"], manifest["job_id"], manifest["run"]) == (
        "cleanplate/1",
        "cleaned",
        job.job_id,
        1,
    )
    assert (manifest["photo"]["bucket"], manifest["photo"]["key"], manifest["photo"]["version_id"]) == (
        UPLOADS,
        "dog.jpg",
        "v1",
    )
    assert manifest["options"]["remove"] == ["subject"]
    assert manifest["masks"] == FOUND["masks"]
    assert manifest["result"] == RESULT
    assert [job["job_id"] for job in manifest["adobe_jobs"]] == ["urn:mask", "urn:fill-1"]
    assert manifest["requests"] == {"posts": 2, "polls": 4}
    assert manifest["timings"] == {"total": 15, "mask": 6.5, "fill-1": 6.5}
    assert manifest["possible_duplicate"] is False
    assert manifest["manifest"] == {"key": "dog.jpg.json"}


def test_a_failure_has_its_reason_and_what_to_do_next(stage: Stage) -> None:
    fail(stage.claim(), GONE, stage.services)
    manifest = stage.manifest("dog.jpg.json")
    assert (manifest["outcome"], manifest["reason"], manifest["retryable"]) == ("failed", "PhotoGoneError", False)
    assert manifest["what_to_do"] == PhotoGoneError.what_to_do
    assert manifest["result"] is None
    assert [event["DetailType"] for event in stage.published()] == ["Photo Failed"]


def test_the_manifest_lies_at_the_photos_key_whatever_the_results_is(stage: Stage) -> None:
    conclude(stage.claim("a.heic"), "cleaned", {**FOUND, "result": {**RESULT, "key": "a.heic.jpg"}}, stage.services)
    assert list(stage.results()) == ["a.heic.json"]


def test_a_key_without_room_for_its_manifest_still_has_one(stage: Stage) -> None:
    job = stage.claim("k" * 1024)
    fail(job, GONE, stage.services)
    assert stage.manifest(f"{job.job_id}.json")["photo"]["key"] == "k" * 1024


def test_a_replaced_photo_leaves_the_newer_ones_manifest_alone(stage: Stage) -> None:
    stage.s3.put_object(Bucket="the-results", Key="dog.jpg.json", Body=b"{}")
    fail(stage.claim(), failure_of(PhotoReplacedError("newer")), stage.services)
    assert stage.results() == {"dog.jpg.json": b"{}"}
    assert [event["Detail"]["reason"] for event in stage.published()] == ["PhotoReplacedError"]


# --- cut short ------------------------------------------------------------------------------------------------------------

CUTS = [
    ("dynamodb.TransactWriteItems", "before"),
    ("dynamodb.TransactWriteItems", "after"),
    ("s3.PutObject", "before"),
    ("s3.PutObject", "after"),
    ("events.PutEvents", "before"),
    ("events.PutEvents", "after"),
    ("dynamodb.UpdateItem", "before"),
    ("dynamodb.UpdateItem", "after"),
]


@pytest.mark.parametrize(("operation", "when"), CUTS)
@pytest.mark.parametrize("cleaned", [True, False])
def test_an_end_that_was_cut_short_anywhere_is_made_up_for(
    stage: Stage, operation: str, when: str, cleaned: bool
) -> None:
    """GIVEN a process that dies between record, manifest and event WHEN the step comes again THEN all three are there."""
    job = walked(stage)
    with pytest.raises(KilledError), stage.killed(operation, when=when, after=_earlier(operation, cleaned=cleaned)):
        conclude(job, "cleaned", FOUND, stage.services) if cleaned else fail(job, GONE, stage.services)
    stage.clock.pass_by(300)
    # Another step, with another story: whoever ended the job first has said how.
    written = stage.job(job.job_id).status != "filling"
    fail(job, failure_of(AdobeJobFailedError("too late")), stage.services)
    expected = ("cleaned", None) if cleaned else ("failed", "PhotoGoneError")
    if not written:
        expected = ("failed", "AdobeJobFailedError")
    manifest = stage.manifest("dog.jpg.json")
    assert (manifest["outcome"], manifest.get("reason")) == expected
    details = [event["Detail"] for event in stage.published()]
    assert details
    assert all(detail == manifest for detail in details)
    assert len(details) == (2 if (operation, when) == ("events.PutEvents", "after") or _died_later(operation) else 1)
    assert stage.job(job.job_id).published


def _earlier(operation: str, *, cleaned: bool) -> int:
    """The first updates take and hold the result's key, before anything is said."""
    return 0 if operation != "dynamodb.UpdateItem" else 3 if cleaned else 2


def _died_later(operation: str) -> bool:
    """Updates come after the event: it is said twice rather than never."""
    return operation == "dynamodb.UpdateItem"


def test_an_outcome_is_published_once_however_often_it_is_met(stage: Stage) -> None:
    job = walked(stage)
    for _ in range(3):
        conclude(job, "cleaned", FOUND, stage.services)
        fail(job, GONE, stage.services)
    assert len(stage.published()) == 1


def test_an_event_that_the_bus_refuses_is_tried_again(stage: Stage) -> None:
    class Refusing:
        def put_events(self, **_: Any) -> dict[str, Any]:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}

    job, refusing = walked(stage), Refusing()
    with pytest.raises(NotAnnouncedError, match="ThrottlingException"):
        conclude(job, "cleaned", FOUND, replace(stage.services, make_events=lambda: refusing))  # type: ignore[arg-type, return-value]
    assert not stage.job(job.job_id).published
    conclude(job, "cleaned", FOUND, stage.services)
    assert len(stage.published()) == 1


def test_a_run_that_was_overtaken_says_nothing_about_the_next(stage: Stage) -> None:
    """GIVEN a job that failed and is in another run WHEN a late call of the first run fails THEN the run goes on."""
    first = stage.claim()
    fail(first, GONE, stage.services)
    stage.published()
    second = stage.ledger.reclaim(
        stage.job(first.job_id), request_id="r", now=stage.clock(), deadline_at=stage.clock() + 100
    )
    before = stage.results()
    fail(first, failure_of(AdobeJobFailedError("late")), stage.services)
    conclude(first, "cleaned", FOUND, stage.services)
    assert stage.job(first.job_id) == second
    assert (stage.results(), stage.published()) == (before, [])


# --- size -----------------------------------------------------------------------------------------------------------------


def test_even_the_largest_statement_fits_into_an_event_and_a_record(stage: Stage) -> None:
    """300 masks with long labels, a long key, many labels asked for: 256 KB are EventBridge's limit, 400 DynamoDB's."""
    mask = {"label": "🐶" * 100, "score": 0.123456, "box": [1234.123456] * 4, "background": False}
    options = Options(remove=tuple(f"{n:02}" + "é" * 98 for n in range(50)))
    job = stage.claim("ü" * 500, options)
    stage.ledger.record_facts(job, {"notes": ["n" * 100] * 10}, now=stage.clock())
    found = {"masks": [mask] * 300, "labels_seen": ["🐶" * 100] * 100, "result": {**RESULT, "key": "ü" * 500}}
    conclude(job, "cleaned", found, stage.services)
    (event,) = stage.published()
    assert len(json.dumps(event["Detail"], ensure_ascii=False).encode()) < 256 * 1024 - 2048


# --- how errors are described --------------------------------------------------------------------------------------------------


def test_an_error_of_ours_keeps_its_name_and_words() -> None:
    assert failure_of(AdobeJobFailedError("x")) == Failure(
        "AdobeJobFailedError", "x", AdobeJobFailedError.what_to_do, retryable=True
    )


def test_no_link_or_token_gets_into_a_manifest() -> None:
    link = "https://b.s3.amazonaws.com/dog.jpg?X-Amz-Signature=abc123&X-Amz-Credential=AKIA"
    failure = failure_of(AdobeJobFailedError(f"cannot read {link} with Bearer eyJhb.ci"))
    assert failure.message == "cannot read https://b.s3.amazonaws.com/dog.jpg?… with Bearer …"
    assert "abc123" not in failure_named("KeyError", json.dumps({"errorMessage": f"no {link}"})).message


@pytest.mark.parametrize(
    ("name", "cause", "reason", "message"),
    [
        (
            "AdobeJobFailedError",
            '{"errorType": "AdobeJobFailedError", "errorMessage": "it broke", "stackTrace": []}',
            "AdobeJobFailedError",
            "it broke",
        ),
        ("AdobeJobFailedError", "processing_error: it broke", "AdobeJobFailedError", "processing_error: it broke"),
        ("States.Timeout", "", "StepTimedOutError", "States.Timeout: It came without a message."),
        ("KeyError", '{"errorMessage": "\'jobs\'"}', "StepCrashedError", "KeyError: 'jobs'"),
        ("Runtime.ExitError", "{}", "StepCrashedError", "Runtime.ExitError: {}"),
        ("ExecutionStoppedError", "ABORTED", "ExecutionStoppedError", "ABORTED"),
        ("X", "[1, 2]", "StepCrashedError", "X: [1, 2]"),
        ("X", '{"errorMessage": null}', "StepCrashedError", "X: None"),
        ("X", '{"errorMessage": ["a"]}', "StepCrashedError", "X: ['a']"),
        ("X", "[" * 100_000, "StepCrashedError", None),
    ],
)
def test_errors_from_step_functions_become_our_reasons(name: str, cause: str, reason: str, message: str | None) -> None:
    failure = failure_named(name, cause)
    assert failure.reason == reason
    assert len(failure.message) < 600
    if message is not None:
        assert failure.message == message


# --- the step that records failures -----------------------------------------------------------------------------------------


def test_a_failed_execution_ends_its_photo(stage: Stage) -> None:
    job = walked(stage)
    answer = record_failure(job.execution_name, "States.Timeout", "", stage.services)
    assert answer == {"outcome": "failed", "reason": "StepTimedOutError"}
    assert stage.manifest("dog.jpg.json")["what_to_do"] == StepTimedOutError.what_to_do


def test_a_photo_that_has_ended_is_left_as_it_is(stage: Stage) -> None:
    """GIVEN a cleaned photo whose execution is reported as failed all the same THEN it stays cleaned."""
    job = walked(stage)
    conclude(job, "cleaned", FOUND, stage.services)
    answer = record_failure(job.execution_name, "ExecutionStoppedError", "ABORTED", stage.services)
    assert answer["outcome"] == "cleaned"
    assert stage.manifest("dog.jpg.json")["outcome"] == "cleaned"
    assert len(stage.published()) == 1


def test_an_execution_of_an_earlier_run_ends_nothing(stage: Stage) -> None:
    job = walked(stage)
    fail(job, GONE, stage.services)
    stage.ledger.reclaim(stage.job(job.job_id), request_id="r", now=stage.clock(), deadline_at=stage.clock() + 100)
    assert record_failure(job.execution_name, "States.Timeout", "", stage.services) == {"outcome": "claimed"}
    assert stage.only_job().status == "claimed"
    second = stage.job(job.job_id).execution_name
    assert record_failure(second, "StepCrashedError", "x", stage.services)["reason"] == StepCrashedError.__name__


def test_an_unpublished_outcome_is_published_when_its_execution_fails(stage: Stage) -> None:
    job = walked(stage)
    with pytest.raises(KilledError), stage.killed("events.PutEvents"):
        conclude(job, "cleaned", FOUND, stage.services)
    record_failure(job.execution_name, "Lambda.Unknown", "", stage.services)
    assert [event["DetailType"] for event in stage.published()] == ["Photo Cleaned"]


def test_a_job_whose_answer_was_lost_is_a_possible_duplicate(stage: Stage) -> None:
    job = stage.claim()
    request = AdobeRequest("mask", route="mask-objects", attempts=2, refusals=3, polls=1)
    stage.ledger.record_poll(job, request, now=stage.clock())
    fail(job, GONE, stage.services)
    manifest = stage.manifest("dog.jpg.json")
    assert manifest["possible_duplicate"] is True
    assert manifest["requests"] == {"posts": 5, "polls": 1}
