"""The built functions on a photo's way under AWS's Runtime Interface Emulator, with the sample events, beside real servers.

Dependencies come from this environment, as wheels for arm64 do not load here; ``cleanplate`` and the handlers come from
what `sam build` made. Settings and rights are those that the template gives.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import pytest
from PIL import Image

from cleanplate.error_names import error_named
from cleanplate.models import Job, Options, Photo
from cleanplate.uploads.identity import job_id
from cleanplate.uploads.messages import read_uploads
from local.demo.photographs import photograph
from tests.built.conftest import RESULTS, UPLOADS, Stage
from tests.consistency.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.xdist_group("built")]

Sample = Callable[[str], Any]
ON_THE_WAY = (
    "RequestMaskFunction", "CheckJobFunction", "FillMaskedAreasFunction", "SaveResultFunction", "RecordFailureFunction",
)  # fmt: skip
KEY = "holiday 2026/Zoë's dog + cat (100%) [final] 🐶.jpg"


@pytest.fixture(scope="module")
def photo(stage: Stage) -> Photo:
    """The photo that the sample events name."""
    buffer = io.BytesIO()
    photograph("chelsea").save(buffer, "JPEG", quality=92)
    return _upload(stage, KEY, buffer.getvalue())


def _upload(stage: Stage, key: str, content: bytes) -> Photo:
    put = stage.s3.put_object(Bucket=UPLOADS, Key=key, Body=content)
    return Photo(UPLOADS, key, put["VersionId"], put["ETag"].strip('"'), size=len(content))


def _told(event: Any, *photos: Photo) -> Any:
    """A sample event as S3 sends it of these very uploads."""
    text = json.dumps(event)
    for record in event["Records"]:
        for photo in photos:
            body = _told_of(record["body"], photo)
            text = text.replace(json.dumps(record["body"]), json.dumps(body))
            record["body"] = body
    return json.loads(text)


def _told_of(body: str, photo: Photo) -> str:
    try:
        message = json.loads(body)
    except ValueError:
        return body
    for record in message.get("Records", []):
        if record["s3"]["object"]["size"] and photo.key in _keys(body):
            record["s3"]["object"] |= {"versionId": photo.version_id, "eTag": photo.etag, "size": photo.size}
    if message.get("source") == "aws.s3":
        message["detail"]["object"] |= {"version-id": photo.version_id, "etag": photo.etag, "size": photo.size}
    return json.dumps(message)


def _keys(body: str) -> list[str]:
    return [upload.photo.key for upload in read_uploads(body)]


@pytest.fixture(scope="module")
def job(stage: Stage, photo: Photo) -> str:
    """The id of the photo's job."""
    return job_id(photo, Options())


# --- the path of one photo; each step is a fixture, so that any test can be run alone ---


@pytest.fixture(scope="module")
def requested(stage: Stage, photo: Photo, sample: Sample) -> list[str]:
    return _deliver(stage, _told(sample("request_mask"), photo))


@pytest.fixture(scope="module")
def mask_checks(stage: Stage, requested: list[str], job: str, sample: Sample) -> list[Any]:
    # However slow this machine is, the first look is too early.
    stage.adobe.add_rules({"route": "GET *status*", "times": 1, "fault": {"do": "status_word", "word": "running"}})
    return _until_done(stage, sample("check_job") | {"job_id": job})


@pytest.fixture(scope="module")
def filling(stage: Stage, mask_checks: list[Any], job: str, sample: Sample) -> Any:
    return stage.invoke("FillMaskedAreasFunction", sample("fill_masked_areas") | {"job_id": job})


@pytest.fixture(scope="module")
def fill_checks(stage: Stage, filling: Any, job: str, sample: Sample) -> list[Any]:
    return _until_done(stage, sample("check_job.fill") | {"job_id": job})


@pytest.fixture(scope="module")
def saved(stage: Stage, fill_checks: list[Any], job: str, sample: Sample) -> Any:
    return stage.invoke("SaveResultFunction", sample("save_result") | {"job_id": job})


def _deliver(stage: Stage, batch: Any) -> list[str]:
    """Give a message to request_mask as SQS does, again and again while it comes back; what comes back at last."""
    left: list[str] = []
    for _ in range(50):
        failures = stage.invoke("RequestMaskFunction", batch)["batchItemFailures"]
        left = [failure["itemIdentifier"] for failure in failures]
        if not left:
            break
    return left


def _until_done(stage: Stage, event: Any) -> list[Any]:
    answers: list[Any] = []
    while len(answers) < 200:
        answers.append(stage.invoke("CheckJobFunction", event))
        if (answers[-1] or {}).get("errorType") != "NotReadyError":
            break
    return answers


def test_request_mask_claims_the_photo_and_starts_its_execution(stage: Stage, requested: list[str], job: str) -> None:
    assert requested == []
    record = stage.ledger.get(job)
    assert record is not None
    assert record.photo.key == KEY
    assert record.adobe_requests["mask"].adobe_job is not None
    execution = stage.aws.client("stepfunctions").describe_execution(
        executionArn=f"{stage.stack.state_machine_arn.replace(':stateMachine:', ':execution:')}:{record.execution_name}"
    )
    assert json.loads(execution["input"]).keys() == {"job_id", "wait_seconds"}


def test_request_mask_pays_once_for_an_upload_reported_twice(
    stage: Stage, requested: list[str], photo: Photo, sample: Sample
) -> None:
    before = stage.adobe.counters()["jobs"]
    for name in ("request_mask", "request_mask.eventbridge"):
        assert _deliver(stage, _told(sample(name), photo)) == []
    assert stage.adobe.counters()["jobs"] == before


def test_request_mask_refuses_damage_and_sets_garbage_aside(stage: Stage, sample: Sample) -> None:
    broken = _upload(stage, "holiday 2026/broken photo.jpg", b"no picture at all " * 50)
    assert _deliver(stage, _told(sample("request_mask.damaged"), broken)) == []
    batch = sample("request_mask.unreadable")
    (unreadable,) = [record["body"] for record in batch["Records"]]
    assert _deliver(stage, batch) == []
    letters = stage.aws.client("sqs").receive_message(
        QueueUrl=stage.stack.dead_letter_queue_url, MessageAttributeNames=["All"]
    )["Messages"]
    assert [letter["Body"] for letter in letters] == [unreadable]
    assert letters[0]["MessageAttributes"]["reason"]["StringValue"]
    record = stage.ledger.get(job_id(broken, Options()))
    assert record is not None
    assert (record.status, record.outcome["reason"]) == ("failed", "NotAPhotoError")
    manifest = stage.s3.get_object(Bucket=RESULTS, Key="holiday 2026/broken photo.jpg.json")
    assert json.loads(manifest["Body"].read())["what_to_do"]


def test_a_request_with_its_own_options_is_another_job(
    stage: Stage, saved: Any, photo: Photo, job: str, sample: Sample
) -> None:
    """After the first one's result, which a later request would replace."""
    assert _deliver(stage, sample("request_mask.requested")) == []
    asked = Options(remove=("dog", "leash"), min_score=0.8, grow=20)
    record = stage.ledger.get(job_id(photo, asked))
    assert record is not None
    assert record.options == asked
    assert record.job_id != job


def test_request_mask_lets_the_test_event_of_s3_pass(stage: Stage, sample: Sample) -> None:
    assert stage.invoke("RequestMaskFunction", sample("request_mask.test_event")) == {"batchItemFailures": []}


def test_check_job_waits_for_the_mask_and_sees_it(mask_checks: list[Any], stage: Stage, job: str) -> None:
    assert all(int(answer["errorMessage"]) >= 1 for answer in mask_checks[:-1])
    assert mask_checks[-1] is None
    assert _kept(stage, job, "mask.answer.json")["state"] == "succeeded"


def _kept(stage: Stage, job: str, name: str) -> Any:
    """What a job keeps in the work bucket under a name, whichever of Adobe's jobs it came from."""
    bucket = stage.stack.work_bucket
    listed = stage.s3.list_objects_v2(
        Bucket=bucket, Prefix="masks/" if name.startswith("mask.") else f"jobs/{job}/"
    ).get("Contents", [])
    (key,) = [
        entry["Key"]
        for entry in listed
        if job in entry["Key"] and entry["Key"].endswith(f"/{name.removeprefix('mask.')}")
    ]
    return json.loads(stage.s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def test_check_job_says_by_name_that_there_is_no_such_job(stage: Stage, sample: Sample) -> None:
    """The class name is what the state machine matches; here it has come through AWS's own runtime client."""
    answer = stage.invoke("CheckJobFunction", sample("check_job") | {"job_id": "0" * 40})
    assert answer["errorType"] == "JobMovedOnError"


def test_fill_masked_areas_chooses_a_mask_and_sends_it(stage: Stage, filling: Any, job: str) -> None:
    assert filling is None
    plan = _kept(stage, job, "plan.json")
    assert plan["masks"]
    assert plan["windows"]


def test_check_job_waits_for_the_fill_and_sees_it(fill_checks: list[Any]) -> None:
    assert fill_checks[-1] is None


def test_save_result_writes_result_manifest_and_record(stage: Stage, saved: Any, photo: Photo, job: str) -> None:
    assert saved == {"outcome": "cleaned"}
    result = Image.open(io.BytesIO(stage.s3.get_object(Bucket=RESULTS, Key=KEY)["Body"].read()))
    original = Image.open(io.BytesIO(stage.s3.get_object(Bucket=UPLOADS, Key=KEY)["Body"].read()))
    assert (result.format, result.size) == (original.format, original.size)
    assert result.tobytes() != original.tobytes()
    manifest = json.loads(stage.s3.get_object(Bucket=RESULTS, Key=f"{KEY}.json")["Body"].read())
    record = stage.ledger.get(job)
    assert record is not None
    assert record.published
    assert record.status == manifest["outcome"] == "cleaned"
    assert manifest["requests"]["posts"] == 2


def test_record_failure_ends_the_job_that_the_sample_names(stage: Stage, sample: Sample) -> None:
    event = sample("record_failure")
    job, run, claimed = event["execution"].split("-")
    _claim(stage, job, "failing.jpg", run=int(run), claimed_at=int(claimed) / 1000)
    answer = stage.invoke("RecordFailureFunction", event)
    assert answer == {"outcome": "failed", "reason": event["error"]}
    manifest = json.loads(stage.s3.get_object(Bucket=RESULTS, Key="failing.jpg.json")["Body"].read())
    assert manifest["reason"] == "AdobeJobFailedError"
    assert manifest["message"] == event["cause"]


def test_record_failure_ends_the_run_it_names_and_no_newer_one(stage: Stage, sample: Sample) -> None:
    for name, reason in (
        ("record_failure.from_a_step", "DeadlinePassedError"),
        ("record_failure.execution_ended", "ExecutionStoppedError"),
    ):
        execution = re.sub("^[0-9a-f]{40}", job_id(Photo(UPLOADS, name), Options()), sample(name)["execution"])
        job, run, claimed = execution.split("-")
        _claim(stage, job, f"{name}.jpg", run=int(run), claimed_at=int(claimed) / 1000)
        other = f"{job}-{int(run) + 1}-{claimed}"
        assert stage.invoke("RecordFailureFunction", sample(name) | {"execution": other}) == {"outcome": "claimed"}
        answer = stage.invoke("RecordFailureFunction", sample(name) | {"execution": execution})
        assert answer == {"outcome": "failed", "reason": reason}


def _claim(stage: Stage, job: str, key: str, run: int = 1, claimed_at: float = 1.0) -> None:
    photo = Photo(UPLOADS, key, size=1)
    stage.ledger.claim(Job(job, photo, Options(), "claimed", run=run, claimed_at=claimed_at))


def test_no_function_logs_a_signed_link_or_a_token(stage: Stage, saved: Any) -> None:
    for function in ON_THE_WAY[:4]:
        log = stage.log(function)
        assert "START RequestId" in log
        assert not re.search(r"X-Amz-|Signature=|Bearer |" + re.escape(stage.adobe.settings.canary), log), function


def test_a_function_answers_every_one_of_its_samples(stage: Stage, sample: Sample) -> None:
    """By an answer, or by an error of ours: never by a missing setting or a missing right.

    What operators ask for is answered beside a running stack: ``end_to_end/test_invoke.py``.
    """
    project = Project()
    for function in ON_THE_WAY:
        folder = project.functions[function]["CodeUri"].strip("/").rpartition("/")[2]
        for path in project.files(f"events/{folder}*.json"):
            answer = stage.invoke(function, sample(PurePosixPath(path).stem))
            kind = answer.get("errorType", "") if isinstance(answer, dict) else ""
            assert not kind or error_named(kind).__name__ == kind, f"{path}: {answer}"
            assert kind != "SettingsError", f"{path}: {answer}"
