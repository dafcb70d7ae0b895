"""What becomes of a paid job after one answer of Adobe, which is written down here: no stand-in has a say in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from cleanplate.adobe.errors import AdobeJobGoneError
from cleanplate.adobe.routes import ROUTES, Request
from cleanplate.errors import PostponedError
from cleanplate.models import Job
from cleanplate.steps.check_job import check_job
from cleanplate.steps.submit import send
from tests.integration.conftest import client_for
from tests.integration.scripted import Act, Scripted, reply
from tests.stage import Stage

_RUNNING = {"jobId": "j1", "status": "running"}


@pytest.fixture
def stage(server: Scripted) -> Iterator[Stage]:
    with mock_aws():
        yield Stage(make_adobe=lambda: client_for(server.url))


def accepted(server: Scripted) -> Act:
    return reply(202, {"jobId": "j1", "statusUrl": f"{server.url}/v1/status/j1"})


def post(stage: Stage, job: Job) -> Job:
    return send(
        stage.job(job.job_id),
        "mask",
        route=ROUTES["mask-objects"],
        status="masking",
        make_request=lambda: Request(image_url="https://photos.s3.eu-west-1.amazonaws.com/dog.jpg"),
        services=stage.services,
        slot_at=0.0,
    )


@pytest.fixture
def job(stage: Stage, server: Scripted) -> Job:
    """Return a job whose mask Adobe has just accepted."""
    server.script = [accepted(server)]
    return post(stage, stage.claim())


def is_pending(stage: Stage, job: Job, *, at: float) -> bool:
    """Ask about the mask so many seconds after its POST."""
    stage.clock.now = job.adobe_requests["mask"].submitted_at + at
    return check_job(job.job_id, "mask", stage.services)[1] > 0


@pytest.mark.parametrize("status", [404, 410])
def test_a_job_that_adobe_does_not_know_yet_is_waited_for_a_minute(
    stage: Stage, server: Scripted, job: Job, status: int
) -> None:
    server.script += [reply(status, {"error_code": "unknown_job_id", "message": "no"})]
    assert is_pending(stage, job, at=20)
    assert is_pending(stage, job, at=59)
    with pytest.raises(AdobeJobGoneError):
        is_pending(stage, job, at=120)


def test_status_requests_that_a_call_repeats_are_counted(stage: Stage, server: Scripted, job: Job) -> None:
    server.script += [reply(503), reply(502), reply(200, _RUNNING)]
    before = len(server.seen)
    assert is_pending(stage, job, at=20)
    assert stage.job(job.job_id).adobe_requests["mask"].polls == len(server.seen) - before == 3


@pytest.mark.parametrize("status", [500, 502, 503])
def test_after_a_5xx_to_a_post_the_record_says_that_a_job_may_exist(
    stage: Stage, server: Scripted, status: int
) -> None:
    server.script, job = [reply(status), accepted(server)], stage.claim()
    with pytest.raises(PostponedError) as later:
        post(stage, job)
    stage.clock.now = later.value.until
    job = post(stage, job)
    assert job.adobe_requests["mask"].adobe_job is not None
    assert job.possible_duplicate
