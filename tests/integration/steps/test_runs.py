"""Make more than one run of a photo: names and records that outlive each other, and money over all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from cleanplate.adobe.errors import AdobeJobFailedError
from cleanplate.aws.storage import SavedObject
from cleanplate.errors import NotReadyError
from cleanplate.jobs.ledger import Ledger
from cleanplate.models import AdobeRequest, Job, JobStatus, Photo
from cleanplate.outcomes import failure_of
from cleanplate.steps.check_job import check_job, reserve_fill
from cleanplate.steps.fill_masked_areas import fill_masked_areas
from cleanplate.steps.record_failure import record_failure
from tests.integration.steps.walk import Walk, photo_bytes
from tests.stage import RESULTS, TABLE, UPLOADS, WORK, Stage

PHOTO = photo_bytes()
DAY = 86_400


def request_photo(walk: Walk, key: str = "dog.jpg", request_id: str = "r1") -> None:
    """Send a request for the photo at a key."""
    walk.publish(Photo(UPLOADS, key), request_id=request_id)


def forget(stage: Stage) -> None:
    """Delete what has expired, as DynamoDB does."""
    for item in stage.items():
        if "expires_at" in item and float(item["expires_at"]["N"]) < stage.clock():
            stage.dynamodb.delete_item(TableName=TABLE, Key={"job_id": item["job_id"]})


@pytest.fixture
def reserved_names(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse the name of a closed execution, as Step Functions does; moto takes it."""
    client, seen = walk.stage.stepfunctions, set[str]()
    start = client.start_execution

    def start_once(**arguments: Any) -> Any:
        if arguments["name"] in seen:
            raise client.exceptions.ExecutionAlreadyExists(
                {"Error": {"Code": "ExecutionAlreadyExists", "Message": ""}}, "StartExecution"
            )
        seen.add(arguments["name"])
        return start(**arguments)

    monkeypatch.setattr(client, "start_execution", start_once)


def test_an_old_executions_name_is_never_taken_for_this_claims(walk: Walk, reserved_names: None) -> None:
    """GIVEN a record that is gone WHEN the same version is asked for again THEN its mask is paid and waited for."""
    walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    walk.stage.clock.pass_by(401 * DAY)
    forget(walk.stage)
    assert walk.stage.jobs() == []
    request_photo(walk)
    walk.execute()
    assert walk.stage.only_job().status == "cleaned"
    assert len(walk.stage.executions()) == 2


def test_another_run_renews_the_record(walk: Walk) -> None:
    """GIVEN a photo retried late in its record's life THEN the record does not expire in mid-run."""
    walk.adobe.add_rules({"route": "POST /v1/mask-objects", "times": 1, "fault": {"do": "error", "status": 422}})
    walk.publish(walk.stage.upload("dog.jpg", PHOTO))
    walk.stage.clock.pass_by(399.9 * DAY)
    request_photo(walk)
    walk.stage.clock.pass_by(DAY)
    forget(walk.stage)
    walk.settle()
    walk.execute()
    assert walk.stage.only_job().status == "cleaned"
    # Once for the failure, and once more for the end of this run.
    assert len(walk.stage.published("Folder")) == 2


# --- what was paid is ours at once ---


@pytest.mark.parametrize("route", ["mask-objects", "create-mask"])
def test_a_paid_mask_outlives_adobes_links(make_walk: Callable[..., Walk], route: str) -> None:
    """GIVEN a fill that must wait for days WHEN Adobe's links are long dead THEN the mask is used, and paid once."""
    walk = make_walk(REQUESTS_PER_MINUTE="60", REQUESTS_PER_DAY="9000", PHOTO_DEADLINE_HOURS="240", MASK_ROUTE=route)
    walk.publish(walk.stage.upload("dog.jpg", PHOTO))
    walk.settle()
    walk.stage.clock.pass_by(6)
    walk.stage.services.limiter.close_gate(30 * 3600.0, "429")
    job = walk.stage.only_job()
    job, pending = check_job(job.job_id, "mask", walk.stage.services, waited=6)
    wait = reserve_fill(job, walk.stage.services)
    assert not pending
    assert wait > 3600
    kept = "".join(content.decode("latin-1") for content in walk.stage.work().values())
    assert "http" not in kept
    # What the bucket's rule does after a day.
    for key in [key for key in walk.stage.work() if key.startswith("jobs/")]:
        walk.stage.s3.delete_object(Bucket=WORK, Key=key)
    walk.adobe.add_rules({"route": "GET /files/*", "times": 1, "fault": {"do": "error", "status": 403}})
    while wait:
        walk.stage.clock.pass_by(wait)
        wait = seconds_to_wait(lambda: fill_masked_areas(job.job_id, walk.stage.services))
    assert sorted(walk.jobs_at_adobe().values()) == [1, 1]


def seconds_to_wait(step: Callable[[], None]) -> float:
    """Return the seconds for which a step has the machine wait, 0 where it is done."""
    try:
        step()
    except NotReadyError as later:
        return float(str(later))
    return 0.0


@pytest.mark.parametrize("paid", ["mask-objects", "fill-masked-areas"])
def test_a_link_that_is_refused_is_asked_for_once_more(walk: Walk, paid: str) -> None:
    fetched = {"mask-objects": 0, "fill-masked-areas": 1}[paid]
    rule = {"route": "GET /files/*", "after": fetched, "times": 1, "fault": {"do": "error", "status": 403}}
    walk.adobe.add_rules(rule)
    walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    assert walk.stage.only_job().status == "cleaned"
    assert walk.jobs_at_adobe() == {"mask-objects": 1, "fill-masked-areas": 1}


# --- one account over all runs ---


def test_a_post_in_flight_is_waited_out_by_the_next_run(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN an execution that is stopped during its POST WHEN the photo is asked for again THEN its job is used."""
    walk.publish(walk.stage.upload("dog.jpg", PHOTO))
    record, stopped = Ledger.record_adobe_job, list[str]()

    def late(ledger: Ledger, job: Job, request: AdobeRequest, *, now: float) -> Job:
        if request.name == "fill-1" and not stopped:
            stopped.append(job.execution_name)
            record_failure(job.execution_name, "ExecutionStoppedError", "ABORTED", walk.stage.services)
            request_photo(walk)
        return record(ledger, job, request, now=now)

    monkeypatch.setattr(Ledger, "record_adobe_job", late)
    walk.execute()
    walk.execute()
    job = walk.stage.only_job()
    assert (job.status, job.run) == ("cleaned", 2)
    assert walk.jobs_at_adobe() == {"mask-objects": 1, "fill-masked-areas": 1}
    assert walk.stage.manifest("dog.jpg.json")["requests"]["posts"] == 2


def test_an_answer_that_comes_after_the_end_is_kept_for_the_next_run(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk.publish(walk.stage.upload("dog.jpg", PHOTO))
    record, stopped = Ledger.record_adobe_job, list[str]()

    def late(ledger: Ledger, job: Job, request: AdobeRequest, *, now: float) -> Job:
        if not stopped:
            stopped.append(job.execution_name)
            record_failure(job.execution_name, "ExecutionStoppedError", "ABORTED", walk.stage.services)
        return record(ledger, job, request, now=now)

    monkeypatch.setattr(Ledger, "record_adobe_job", late)
    walk.execute()
    job = walk.stage.only_job()
    kept = job.adobe_requests["fill-1"].adobe_job
    assert (job.status, job.published, kept is not None) == ("failed", True, True)
    listed = walk.stage.manifest("dog.jpg.json")["adobe_jobs"]
    assert [one["job_id"] for one in listed if one["ask"] == "fill-1"] == [kept.job_id if kept else ""]
    request_photo(walk)
    walk.execute()
    assert walk.stage.only_job().status == "cleaned"
    assert walk.jobs_at_adobe() == {"mask-objects": 1, "fill-masked-areas": 1}


# --- the fate of each request ---


@pytest.mark.parametrize(
    ("step", "fault", "reason", "fate"),
    [
        ("mask", "failed", "AdobeJobFailedError", "failed"),
        ("mask", "never_finishes", "DeadlinePassedError", "given_up"),
        ("mask", "job_gone", "AdobeJobGoneError", "given_up"),
        ("mask", "result_expired", "DownloadFailedError", "given_up"),
        ("mask", "result_text", "MaskUnusableError", "unusable"),
        ("fill", "failed", "AdobeJobFailedError", "failed"),
        ("fill", "result_text", "FillUnusableError", "unusable"),
    ],
)
def test_a_retry_buys_again_what_was_of_no_use_and_nothing_else(
    make_walk: Callable[..., Walk], step: str, fault: str, reason: str, fate: str
) -> None:
    walk = make_walk(MASK_DEADLINE_SECONDS="40", FILL_DEADLINE_SECONDS="40")
    route = {"mask": "mask-objects", "fill": "fill-masked-areas"}[step]
    walk.adobe.add_rules({"route": f"POST /v1/{route}", "times": 1, "fault": fault})
    job = walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    assert job.outcome["reason"] == reason
    fates = {name: request.fate for name, request in job.adobe_requests.items() if request.attempts}
    assert fates == ({"mask": fate} if step == "mask" else {"mask": "", "fill-1": fate})
    request_photo(walk)
    walk.execute()
    assert walk.stage.only_job().status == "cleaned"
    assert walk.jobs_at_adobe() == {"mask-objects": 1, "fill-masked-areas": 1, route: 2}


@pytest.mark.parametrize("step", ["mask", "fill"])
def test_a_retry_waits_for_what_adobe_is_still_at_work_on(walk: Walk, step: str) -> None:
    """GIVEN a key that is refused while Adobe works WHEN the photo is asked for again THEN nothing is bought again."""
    passes = {"mask": 0, "fill": 1}[step]
    refused = {"route": "GET /v1/status/*", "after": passes, "times": 5, "fault": {"do": "error", "status": 403}}
    walk.adobe.add_rules(refused)
    job = walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    assert job.outcome["reason"] == "CredentialsRefusedError"
    assert {request.fate for request in job.adobe_requests.values()} == {""}
    request_photo(walk)
    walk.execute()
    assert walk.stage.only_job().status == "cleaned"
    assert walk.jobs_at_adobe() == {"mask-objects": 1, "fill-masked-areas": 1}


def test_a_retry_buys_again_what_adobe_refuses_to_report(walk: Walk) -> None:
    refused = {"route": "GET /v1/status/*", "after": 1, "times": 5, "fault": {"do": "error", "status": 422}}
    walk.adobe.add_rules(refused)
    job = walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    assert (job.outcome["reason"], job.adobe_requests["fill-1"].fate) == ("RequestRefusedError", "given_up")
    request_photo(walk)
    walk.execute()
    assert walk.jobs_at_adobe() == {"mask-objects": 1, "fill-masked-areas": 2}


@pytest.mark.parametrize("gone", ["plan.json", "hole.png"])
def test_work_that_is_gone_makes_only_the_fill_unusable(walk: Walk, gone: str) -> None:
    walk.publish(walk.stage.upload("dog.jpg", PHOTO))
    walk.settle()
    work = walk.stage.settings.work_bucket

    def forget_it(**_: Any) -> None:
        for key in walk.stage.work():
            if key.endswith(gone) and walk.stage.only_job().adobe_requests["fill-1"].finished_at:
                walk.stage.s3.delete_object(Bucket=work, Key=key)

    walk.stage.dynamodb.meta.events.register("after-call.dynamodb.UpdateItem", forget_it)
    walk.execute()
    job = walk.stage.only_job()
    assert job.outcome["reason"] == "WorkGoneError"
    assert {name: request.fate for name, request in job.adobe_requests.items()} == {"mask": "", "fill-1": "unusable"}


# --- requests ---


def test_a_request_that_comes_again_after_others_begins_no_run(walk: Walk) -> None:
    """GIVEN a photo that failed for each of two requests WHEN dead letters of both are redriven THEN nothing is paid."""
    walk.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": "failed"})
    walk.publish(walk.stage.upload("dog.jpg", PHOTO))
    walk.execute()
    for request_id in ("r1", "r2", "r1", "r2", "r1"):
        request_photo(walk, request_id=request_id)
        walk.execute()
    assert walk.stage.only_job().run == 3
    assert walk.jobs_at_adobe() == {"mask-objects": 3}


def test_a_request_for_a_photo_in_work_is_answered_with_its_outcome(walk: Walk) -> None:
    """GIVEN a request for a photo in work WHEN its message comes again THEN it is no other run."""
    walk.adobe.add_rules({"route": "POST /v1/mask-objects", "times": 1, "fault": "failed"})
    walk.publish(walk.stage.upload("dog.jpg", PHOTO))
    for _ in range(2):
        request_photo(walk, request_id="r1")
    walk.execute()
    asked = [(event["DetailType"], event["Detail"]["request_id"]) for event in walk.stage.published()]
    assert asked == [("Photo Failed", ""), ("Photo Failed", "r1")]
    request_photo(walk, request_id="r1")
    assert walk.stage.only_job().run == 1


@pytest.mark.parametrize("status", ["nothing_to_remove", "failed"])
def test_a_request_before_the_outcome_is_published_is_answered_too(walk: Walk, status: JobStatus) -> None:
    """GIVEN a call that died between the end of a job and its event WHEN a request comes THEN both are answered."""
    walk.publish(walk.stage.upload("dog.jpg", PHOTO))
    stage = walk.stage
    result = SavedObject(RESULTS, "dog.jpg", len(PHOTO), "image/jpeg", "0" * 64).describe()
    outcome: dict[str, Any] = {"outcome": status, "ended_at": stage.clock(), "result": result}
    if status == "failed":
        outcome |= {**asdict(failure_of(AdobeJobFailedError("No."))), "result": None}
    stage.ledger.finish(stage.only_job(), status, outcome, now=stage.clock())
    request_photo(walk)
    walk.execute()
    assert [event["Detail"]["request_id"] for event in stage.published()] == ["", "r1"]


def test_both_lost_answers_stand_in_the_account_of_every_run(walk: Walk) -> None:
    """GIVEN two lost answers THEN no request leads to a third POST, and the manifest shows what may have been paid."""
    walk.adobe.add_rules({"route": "POST /v1/mask-objects", "times": 2, "fault": "broken_json"})
    walk.publish(walk.stage.upload("dog.jpg", PHOTO))
    for _ in range(2):
        manifest = walk.stage.manifest("dog.jpg.json")
        assert (manifest["reason"], manifest["possible_duplicate"]) == ("PostOutcomeUnknownError", True)
        assert manifest["requests"]["posts"] == 2
        request_photo(walk)
        walk.execute()
    assert walk.jobs_at_adobe() == {"mask-objects": 2}


def test_what_an_earlier_run_has_paid_stays_in_the_account(walk: Walk) -> None:
    walk.adobe.add_rules({"route": "POST /v1/mask-objects", "times": 1, "fault": "failed"})
    walk.publish(walk.stage.upload("dog.jpg", PHOTO))
    walk.execute()
    request_photo(walk)
    walk.execute()
    manifest = walk.stage.manifest("dog.jpg.json")
    listed = [(paid["ask"], paid["run"], paid["posts"]) for paid in manifest["adobe_jobs"]]
    assert listed == [("mask", 1, 1), ("mask", 2, 1), ("fill-1", 2, 1)]
    assert (manifest["requests"]["posts"], manifest["possible_duplicate"]) == (3, False)
