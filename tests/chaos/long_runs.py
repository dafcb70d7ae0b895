"""Try what takes long or comes apart: runs that overlap, records and pictures that expire, hours of waiting, clocks that
differ, jobs as slow as their deadline, room for fills. Acts on a walk, tried as the cases of ``duplicates``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

from cleanplate.adobe.client import AdobeClient
from cleanplate.errors import JobMovedOnError
from cleanplate.jobs.ledger import Ledger
from cleanplate.models import AdobeRequest, Job, Photo
from cleanplate.rate_limit.limiter import RateLimiter
from cleanplate.rate_limit.state import LATE, Slot
from cleanplate.steps import request_mask as request_mask_step
from cleanplate.steps.record_failure import record_failure
from cleanplate.steps.request_mask import request_mask
from cleanplate.uploads.messages import Upload
from tests.integration.steps.walk import Walk, photo_bytes
from tests.stage import TABLE, UPLOADS, WORK, Stage

HOUR, DAY = 3600.0, 86_400.0
MASK = "POST /v1/mask-objects"
STATUS = "GET /v1/status/*"
#: Clocks of AWS's hosts are milliseconds apart; so many seconds are far more, and within every lease's reserve.
APART = 15.0
#: The stage's deadline of one request.
DEADLINE = 900.0


def _upload(walk: Walk, key: str = "dog.jpg") -> Photo:
    walk.stage.clock.pass_by(1)
    return walk.stage.upload(key, photo_bytes())


def _request(walk: Walk, request_id: str = "r1") -> None:
    walk.publish(Photo(UPLOADS, "dog.jpg"), request_id=request_id)


def runs_overlap(walk: Walk) -> None:
    """Stop the first run during its POST, and begin the next one before that is answered."""
    walk.publish(_upload(walk))
    record, stopped = Ledger.record_adobe_job, list[str]()

    def late(ledger: Ledger, job: Job, request: AdobeRequest, *, now: float) -> Job:
        if request.name == "fill-1" and not stopped:
            stopped.append(job.execution_name)
            record_failure(job.execution_name, "ExecutionStoppedError", "ABORTED", walk.stage.services)
            _request(walk)
        return record(ledger, job, request, now=now)

    with patch.object(Ledger, "record_adobe_job", late):
        walk.execute()
    walk.execute()


def record_expires(walk: Walk) -> None:
    """Retry a photo late in its record's life, which would be over in mid-run."""
    walk.adobe.add_rules({"route": MASK, "times": 1, "fault": {"do": "error", "status": 422}})
    walk.publish(_upload(walk))
    walk.stage.clock.pass_by(399.9 * DAY)
    _request(walk)
    walk.stage.clock.pass_by(DAY)
    _forget(walk.stage)
    walk.settle()
    try:
        walk.execute()
    except JobMovedOnError as gone:
        raise AssertionError(f"an execution lost its record: {gone}") from gone


def name_outlives_its_record(walk: Walk) -> None:
    """Reserve an execution's name for longer than the record of its photo is there, as Step Functions does."""
    client, seen = walk.stage.stepfunctions, set[str]()
    start = client.start_execution

    def start_once(**arguments: Any) -> Any:
        if arguments["name"] in seen:
            answer: Any = {"Error": {"Code": "ExecutionAlreadyExists", "Message": ""}}
            raise client.exceptions.ExecutionAlreadyExists(answer, "StartExecution")
        seen.add(arguments["name"])
        return start(**arguments)

    photo = _upload(walk)
    with patch.object(client, "start_execution", start_once):
        walk.publish(photo)
        walk.execute()
        for item in walk.stage.items():
            walk.stage.dynamodb.delete_item(TableName=TABLE, Key={"job_id": item["job_id"]})
        _request(walk)
        walk.execute()


def fill_waits_for_hours(walk: Walk) -> None:
    """Close the gate for thirty hours when the mask is there: links are dead by then, and the day's pictures gone."""
    walk.publish(_upload(walk))
    check, begun = walk._functions["CheckJobFunction"], walk.stage.clock()

    def closed_after(event: dict[str, Any]) -> Mapping[str, Any] | None:
        if walk.stage.clock() < begun + HOUR:
            walk.settle()
            walk.stage.services.limiter.close_gate(30 * HOUR, "429")
        return check(event)

    fill = walk._functions["FillMaskedAreasFunction"]

    def expired(event: dict[str, Any]) -> Mapping[str, Any] | None:
        if walk.stage.clock() > begun + DAY and not gone:
            gone.append("")
            for key in walk.stage.work():
                if key.startswith("jobs/"):
                    walk.stage.s3.delete_object(Bucket=WORK, Key=key)
        return fill(event)

    gone: list[str] = []
    walk._functions |= {"CheckJobFunction": closed_after, "FillMaskedAreasFunction": expired}
    walk.execute()
    assert gone, "the fill did not wait"


def slot_comes_too_late(walk: Walk) -> None:
    """Let the photo's deadline pass in the waiting room: it fails by name, and its message is done with."""
    walk.stage.services.limiter.close_gate(30 * HOUR, "429")
    fault = walk.publish(_upload(walk))
    assert fault is None, f"its message came back: {fault}"


def clocks_apart(walk: Walk, seconds: float) -> None:
    """Make every second call from a host whose clock is behind or ahead."""
    photo = _upload(walk)
    for name, function in list(walk._functions.items()):

        def elsewhere(event: dict[str, Any], function: Any = function) -> Any:
            calls.append("")
            return _at(walk, seconds * (len(calls) % 2), lambda: function(event))

        walk._functions[name] = elsewhere
    calls: list[str] = []
    walk.publish(photo)
    _at(walk, seconds, lambda: walk.publish(photo))
    walk.execute()


def as_slow_as_the_deadline(walk: Walk) -> None:
    """Let Adobe work on each job until just before its deadline."""
    check = walk._functions["CheckJobFunction"]
    walk.publish(_upload(walk))

    def slow(event: dict[str, Any]) -> Mapping[str, Any] | None:
        walk.adobe.clear_rules()
        sent = max(request.submitted_at for request in walk.stage.only_job().adobe_requests.values())
        if walk.stage.clock() < sent + DEADLINE - 20:
            walk.adobe.add_rules({"route": STATUS, "fault": {"do": "status_word", "word": "running"}})
        return check(event)

    begun = walk.stage.clock()
    walk._functions["CheckJobFunction"] = slow
    walk.execute()
    assert walk.stage.clock() > begun + 2 * (DEADLINE - 60), "the jobs were not slow"


def budget_keeps_room(walk: Walk) -> None:
    """Allow four POSTs a day, which are two photos: the third mask waits for the next day, though its own slot is free."""
    for number in range(3):
        request_mask(Upload(_upload(walk, f"{number}.jpg")), walk.stage.services)
        # The slots of new photos are forgotten; what is in work is known to the ledger alone.
        walk.stage.clock.pass_by(60)
    masks = walk.jobs_at_adobe().get("mask-objects", 0)
    assert masks == 2, f"{masks} masks were bought, and two fills are left"
    walk.execute()
    walk.admit()
    walk.execute()


def prepared_before_its_slot(walk: Walk) -> None:
    """Prepare a request that takes long: it still leaves at its slot."""
    given, late = list[Slot](), list[float]()
    reserve, with_token = RateLimiter.reserve, AdobeClient._with_token

    def reserved(limiter: RateLimiter, *arguments: Any, **named: Any) -> Slot:
        given.append(reserve(limiter, *arguments, **named))
        return given[-1]

    def sent(client: AdobeClient, method: str, *arguments: Any) -> Any:
        if method == "POST":
            late.append(walk.stage.clock() - given[-1].at)
        return with_token(client, method, *arguments)

    with (
        patch.object(request_mask_step, "_mask_request", _slowly(walk, request_mask_step._mask_request)),
        patch.object(RateLimiter, "reserve", reserved),
        patch.object(AdobeClient, "_with_token", sent),
    ):
        walk.publish(_upload(walk))
        walk.execute()
    assert max(late) <= LATE, f"a POST left {max(late):.0f} s after its slot"


def _slowly(walk: Walk, act: Callable[..., Any]) -> Callable[..., Any]:
    def slow(*arguments: Any) -> Any:
        walk.stage.clock.pass_by(22)
        return act(*arguments)

    return slow


def _at(walk: Walk, ahead: float, act: Callable[[], Any]) -> Any:
    walk.stage.clock.pass_by(ahead)
    try:
        return act()
    finally:
        walk.stage.clock.pass_by(-ahead)


def _forget(stage: Stage) -> None:
    """Delete what has expired, as DynamoDB does."""
    for item in stage.items():
        if "expires_at" in item and float(item["expires_at"]["N"]) < stage.clock():
            stage.dynamodb.delete_item(TableName=TABLE, Key={"job_id": item["job_id"]})
