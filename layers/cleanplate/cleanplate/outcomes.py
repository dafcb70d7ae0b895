"""End a job and publish its outcome: record, manifest and event say the same.

The record is written first. Manifest and event are made from it, and made again by whoever finds an ended job that was
not published, so the three agree whichever call is cut short.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from cleanplate.adobe.errors import CredentialsRefusedError
from cleanplate.aws.metrics import Metric, count
from cleanplate.aws.storage import MAX_KEY_BYTES
from cleanplate.error_names import error_named
from cleanplate.errors import (
    CleanplateError,
    JobMovedOnError,
    NotAnnouncedError,
    PhotoReplacedError,
    ResultKeyTakenError,
    ReviewExpiredError,
)
from cleanplate.jobs.folder_counts import FolderCounts, FolderScope
from cleanplate.models import TERMINAL, Failure, Job, JobStatus, Photo
from cleanplate.redaction import scrub
from cleanplate.schemas import SCHEMA
from cleanplate.uploads.messages import FolderEnded, folder_ended_message
from cleanplate.uploads.options import options_to_dict

if TYPE_CHECKING:
    from cleanplate.services import Services

SOURCE = "cleanplate"
FOLDER_DONE = "Folder Done"
REQUEST_REFUSED = "Request Refused"
_MEASURES = {
    "cleaned": Metric.CLEANED,
    "nothing_to_remove": Metric.NOTHING_TO_REMOVE,
    "mask_ready": Metric.MASK_READY,
    "failed": Metric.FAILED,
}
DETAIL_TYPES = {
    "cleaned": "Photo Cleaned",
    "nothing_to_remove": "Nothing To Remove",
    "mask_ready": "Mask Ready",
    "failed": "Photo Failed",
}


class Ending(TypedDict):
    """How a photo has ended, and why if it failed."""

    outcome: JobStatus
    reason: NotRequired[str]


def failure_of(error: Exception) -> Failure:
    """Return the failure that an error is recorded as."""
    known = error if isinstance(error, CleanplateError) else None
    kind = type(known) if known else error_named(type(error).__name__)
    return Failure(kind.__name__, scrub(str(error)), kind.what_to_do, kind.retryable)


def failure_named(name: str, cause: str) -> Failure:
    """Return the failure for an error as Step Functions reports it: its name, and Lambda's JSON or plain text."""
    try:
        report = json.loads(cause)
        message = report["errorMessage"] if isinstance(report, dict) else cause
    except (ValueError, KeyError, TypeError, RecursionError):
        message = cause
    kind = error_named(name)
    words = scrub(str(message)) or "It came without a message."
    return Failure(
        kind.__name__, words if kind.__name__ == name else f"{name}: {words}", kind.what_to_do, kind.retryable
    )


def fail(job: Job, failure: Failure, services: Services) -> Job:
    """End a job as failed, publish that, and return the job as it then is."""
    return conclude(job, "failed", {**asdict(failure), "result": None}, services)


def expire_review(job: Job, services: Services) -> Job:
    """End a job whose mask nobody approved in time as failed, publish that, and return the job as it then is."""
    error: CleanplateError = ReviewExpiredError("Nobody approved the mask while it was kept for its fill.")
    if services.ledger.owners.owner(services.result_key(job.photo)) != job.job_id:
        error = PhotoReplacedError(f"{job.photo.key} was uploaded or asked for again before its mask was approved.")
    known = {name: value for name, value in job.outcome.items() if name not in {"message", "what_to_do"}}
    return conclude(job, "failed", {**known, **asdict(failure_of(error)), "result": None}, services)


def conclude(job: Job, status: JobStatus, found: Mapping[str, Any], services: Services) -> Job:
    """End a job with what was found, publish that, and return the job as it then is."""
    now = services.clock()
    outcome = {**found, "outcome": status, "ended_at": now}
    try:
        job = services.ledger.finish(job, status, outcome, now=now)
    except JobMovedOnError:
        # Another call has ended this run; its outcome is published.
        job = services.read_job(job.job_id)
    else:
        _count(job, status, str(found.get("reason", "")))
    return publish(job, services)


def _count(job: Job, status: JobStatus, reason: str) -> None:
    count(_MEASURES[status])
    if job.possible_duplicate:
        count(Metric.POSSIBLE_DUPLICATES)
    if reason == CredentialsRefusedError.__name__:
        count(Metric.CREDENTIALS_REFUSED)


def publish(job: Job, services: Services) -> Job:
    """Write the manifest and publish the outcome of an ended job, unless that was done before; return the job."""
    if job.published or job.status not in TERMINAL:
        # Published already, or in another run by now, which will publish its own.
        return job
    statement = describe(job, result_key=services.result_key(job.photo))
    # The newer upload has its own manifest there.
    if statement.get("reason") != PhotoReplacedError.__name__:
        _write_manifest(job, statement, services)
    put_outcome(statement, services)
    for request_id, correlation_id in job.also_asked.items():
        republish(job, services, request_id=request_id, correlation_id=correlation_id)
    # Before the job counts as published, so that whoever publishes again after a crash does this again too.
    publish_folder(job, services)
    return services.ledger.record_published(job, now=services.clock())


def _write_manifest(job: Job, statement: Mapping[str, Any], services: Services) -> None:
    """Write the manifest, unless the key is another job's by now."""
    key = services.result_key(job.photo)
    try:
        if job.status == "failed":
            # A job that came to a result has taken its key before.
            services.ledger.owners.take(job, key, now=services.clock())
        hold_result_key(job, services)
    except PhotoReplacedError:
        return
    except ResultKeyTakenError as taken:
        bucket, _, other = taken.owner.partition("/")
        if services.result_key(Photo(bucket, other)) == key:
            return
        # The other photo has its result at this key, and its manifest elsewhere.
    services.storage.write_manifest(statement["manifest"]["key"], statement)


def hold_result_key(job: Job, services: Services) -> None:
    """Make the job the one that writes result and manifest; raises as :meth:`ResultOwners.hold` does."""

    def has_finished(other: str) -> bool:
        found = services.ledger.get(other)
        return found is None or found.published

    services.ledger.owners.hold(job, services.result_key(job.photo), now=services.clock(), has_finished=has_finished)


def republish(job: Job, services: Services, *, request_id: str, correlation_id: str) -> None:
    """Publish the outcome of an ended job once more, with the ids of another request for it."""
    statement = describe(job, result_key=services.result_key(job.photo))
    statement |= {"request_id": request_id, "correlation_id": correlation_id}
    put_outcome(statement, services)


def publish_folder(job: Job, services: Services) -> None:
    """Publish that the folder is done if this was its last photo: at once, or once the folder has been quiet."""
    scope = FolderScope.of(job.photo)
    counts = services.ledger.progress.counts_at_end(scope, job.job_id)
    if counts is None:
        return
    if quiet := services.settings.folder_quiet:
        ended = FolderEnded(job.job_id, scope.bucket, str(scope.folder), counts.begun, counts.begun_at)
        services.admitted_queue.send([folder_ended_message(ended)], delay=quiet)
    else:
        _publish_folder_once(scope, counts, job.job_id, services)


def publish_folder_if_quiet(ended: FolderEnded, services: Services) -> None:
    """Publish that a folder is done if nothing has begun in it since its last photo ended."""
    scope = FolderScope(ended.bucket, ended.folder)
    counts = services.ledger.progress.read_at_once(scope)
    if counts.is_complete and (counts.begun, counts.begun_at) == (ended.begun, ended.begun_at):
        _publish_folder_once(scope, counts, ended.job_id, services)


def _publish_folder_once(scope: FolderScope, counts: FolderCounts, job_id: str, services: Services) -> None:
    progress = services.ledger.progress
    if progress.claim_completion(scope, counts, job_id, now=services.clock()):
        statement = describe_folder(scope, counts)
        put_event(FOLDER_DONE, statement, scope.bucket, services)
        progress.record_published(scope, job_id, counts)


def put_outcome(statement: Mapping[str, Any], services: Services) -> None:
    """Publish how a photo ended; raises as :func:`put_event`."""
    put_event(DETAIL_TYPES[statement["outcome"]], statement, statement["photo"]["bucket"], services)


def put_event(detail_type: str, detail: Mapping[str, Any], bucket: str, services: Services) -> None:
    """Put one event about something in a bucket on the bus; raises :class:`NotAnnouncedError` where it was not taken."""
    answer = services.events.put_events(
        Entries=[
            {
                "Source": SOURCE,
                "DetailType": detail_type,
                "Detail": json.dumps(detail, ensure_ascii=False),
                "EventBusName": services.settings.event_bus,
                "Resources": [f"arn:aws:s3:::{bucket}"],
            }
        ]
    )
    if answer.get("FailedEntryCount"):
        raise NotAnnouncedError(f"EventBridge refused the event: {answer['Entries'][0].get('ErrorCode', 'no code')}.")


def describe(job: Job, *, result_key: str = "") -> dict[str, Any]:
    """Return the manifest of an ended job; the event's detail is the same. ``result_key`` where it is not the photo's
    key.
    """
    outcome = dict(job.outcome)
    ended_at = float(outcome.pop("ended_at", 0.0))
    return {
        "schema": SCHEMA,
        "job_id": job.job_id,
        "run": job.run,
        "request_id": job.request_id,
        "correlation_id": job.correlation_id,
        "photo": asdict(job.photo) | {"facts": dict(job.facts)},
        "own_mask": asdict(job.own_mask) if job.own_mask else None,
        "options": options_to_dict(job.options),
        "manifest": {"key": _manifest_key(result_key or job.photo.key, job)},
        "adobe_jobs": [
            {
                "ask": request.name,
                "run": request.run,
                "route": request.route,
                "job_id": request.adobe_job.job_id if request.adobe_job else None,
                "posts": request.attempts,
                "refusals": request.refusals,
                "polls": request.polls,
                "submitted_at": request.submitted_at or None,
                "finished_at": request.finished_at or None,
            }
            for request in job.all_requests
        ],
        "requests": {
            "posts": sum(request.attempts + request.refusals for request in job.all_requests),
            "polls": sum(request.polls for request in job.all_requests),
        },
        "possible_duplicate": job.possible_duplicate,
        "claimed_at": job.claimed_at,
        "ended_at": ended_at,
        "timings": _timings(job, ended_at),
        "result": None,
        **outcome,
    }


def _manifest_key(result_key: str, job: Job) -> str:
    key = f"{result_key}.json"
    return key if len(key.encode()) <= MAX_KEY_BYTES else f"{job.job_id}.json"


def describe_folder(place: FolderScope, counts: FolderCounts) -> dict[str, Any]:
    """Return the detail of ``Folder Done``: how many photos the folder has had, and how they ended."""
    return {
        "schema": SCHEMA,
        "bucket": place.bucket,
        "folder": place.folder,
        "photos": counts.photos,
        "cleaned": counts.cleaned,
        "nothing_to_remove": counts.nothing_to_remove,
        "mask_ready": counts.mask_ready,
        "failed": counts.failed,
        "failed_for": dict(counts.failed_for),
        "begun_at": counts.begun_at,
        "ended_at": counts.ended_at,
    }


def _timings(job: Job, ended_at: float) -> dict[str, float]:
    """Return seconds: the whole, and per request from its POST to the answer that said succeeded."""
    spans: Sequence[tuple[str, float, float]] = [
        ("total", job.claimed_at, ended_at),
        *((request.name, request.submitted_at, request.finished_at) for request in job.adobe_requests.values()),
    ]
    return {name: round(end - start, 3) for name, start, end in spans if start and end}
