"""Judge the three promises on what a walk has left behind: records, objects, events, Adobe's own counters, logs.

Nothing here knows what was done to the walk. A breach is a promise that was not kept, whatever the fault was.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image, ImageChops, ImageOps, ImageStat

from cleanplate.jobs.folder_counts import FolderScope
from cleanplate.jobs.ledger import MAX_ATTEMPTS
from cleanplate.models import TERMINAL, Job, JobStatus
from cleanplate.outcomes import DETAIL_TYPES, FOLDER_DONE, describe
from cleanplate_cli.triptych import hole_in_frame
from local.dev.docs import reasons
from tests.integration.steps.walk import Walk
from tests.schemas import manifest_faults
from tests.stage import RESULTS, UPLOADS, WORK

Kind = Literal["paid twice", "lost", "lie", "hang", "leak"]
#: Parts of every presigned link, of every token, and of nothing that may be shown.
SECRET_WORDS = ("X-Amz-Signature", "X-Amz-Security-Token", "Bearer ", "client_secret=")


#: What encoding a JPEG once more may move outside the hole, in levels, on average.
_LEVELS = 4.0


@dataclass(frozen=True, slots=True)
class Breach:
    """One promise that was not kept, in words."""

    kind: Kind
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one walk: photos by outcome, requests that were paid beyond one per request, and breaches."""

    results: int
    failures: int
    extra_posts: int
    breaches: tuple[Breach, ...]


def judge(
    walk: Walk,
    events: Sequence[Mapping[str, Any]],
    *,
    uploads: int = 1,
    logs: str = "",
    work_may_hold_links: bool = True,
) -> Verdict:
    """Judge a walk that is over. ``events`` are all that were put on the bus; ``uploads`` the photos that were accepted."""
    jobs, results = walk.stage.jobs(), walk.stage.results()
    statements = [_last_statement(walk, job, events, results) for job in jobs]
    breaches = [
        *_losses(jobs, uploads),
        *(breach for job in jobs for breach in _of_one(walk, job, events, results)),
        *_payments(walk, statements),
        *_leaks(walk, events, results, logs, work_may_hold_links=work_may_hold_links),
    ]
    return Verdict(
        results=sum(job.status in {"cleaned", "nothing_to_remove"} for job in jobs),
        failures=sum(job.status == "failed" for job in jobs),
        extra_posts=extra_posts(walk, statements),
        breaches=tuple(breaches),
    )


def unpublished_folders(walk: Walk, events: Sequence[Mapping[str, Any]]) -> Iterable[Breach]:
    """Check that each folder whose photos have all ended was published as done, as it is now, and never in two ways."""
    jobs = walk.stage.jobs()
    published: dict[str, list[Mapping[str, Any]]] = {}
    statuses: list[JobStatus] = ["cleaned", "nothing_to_remove", "mask_ready", "failed"]
    for event in events:
        if event["DetailType"] == FOLDER_DONE:
            published.setdefault(event["Detail"]["folder"], []).append(event["Detail"])
    for folder in {str(FolderScope.of(job.photo).folder) for job in jobs}:
        ours = [job.status for job in jobs if FolderScope.of(job.photo).folder == folder]
        if not set(ours) <= TERMINAL:
            continue
        counts = {status: ours.count(status) for status in statuses}
        last = published.get(folder, [{}])[-1]
        if counts != {status: last.get(status) for status in statuses}:
            yield Breach("lost", f"no event says that the folder {folder!r} is done, with {counts}")
        # A repetition after a crash is the same, word for word.
        if any(one["begun_at"] == last["begun_at"] and one != last for one in published.get(folder, [])):
            yield Breach("lie", f"the folder {folder!r} was published as done in two ways")


def extra_posts(walk: Walk, statements: Sequence[Any]) -> int:
    """Count jobs that Adobe was paid for, beyond one for each request that was ever begun, over all runs."""
    begun = sum(1 for statement in statements for request in statement["adobe_jobs"] if request["posts"])
    return max(0, sum(walk.jobs_at_adobe().values()) - begun)


def _losses(jobs: Sequence[Job], uploads: int) -> Iterable[Breach]:
    if len(jobs) < uploads:
        yield Breach("lost", f"{uploads} photos were uploaded and there are {len(jobs)} records")
    for job in jobs:
        if job.status not in TERMINAL:
            yield Breach("hang", f"{job.photo.key} is {job.status} for ever")
        elif not job.published:
            yield Breach("lost", f"it was not published that {job.photo.key} ended as {job.status}")


def _of_one(
    walk: Walk, job: Job, events: Sequence[Mapping[str, Any]], results: Mapping[str, bytes]
) -> Iterable[Breach]:
    """Check that record, manifest, events and result of one photo agree."""
    if job.status not in TERMINAL:
        return
    statement = _statement(walk, job)
    about = [event for event in events if event["Detail"].get("job_id") == job.job_id]
    ours = [event for event in about if event["Detail"].get("run") == job.run]
    if not ours:
        yield Breach("lost", f"no event tells how {job.photo.key} ended")
    for event in ours:
        if (
            not _agrees(event["Detail"], _as_requested(statement, event["Detail"], job))
            or event["DetailType"] != DETAIL_TYPES[job.status]
        ):
            yield Breach("lie", f"an event about {job.photo.key} says something else than its record")
    if job.outcome.get("reason") != "PhotoReplacedError":
        manifest = results.get(statement["manifest"]["key"])
        if manifest is None:
            yield Breach("lost", f"{job.photo.key} has no manifest")
        elif wrong := manifest_faults(json.loads(manifest)):
            yield Breach("lie", f"the manifest of {job.photo.key} does not fit its schema: {wrong}")
        else:
            yield from _of_manifest(walk, job, json.loads(manifest), results)
    yield from _of_failure(walk, job, results) if job.status == "failed" else _of_result(walk, job, results)


def _of_manifest(walk: Walk, job: Job, manifest: Any, results: Mapping[str, bytes]) -> Iterable[Breach]:
    """Check that the manifest at a photo's key is of the job that owns it, and that the object beside it is the manifest's."""
    key = job.photo.key
    if manifest["job_id"] != job.job_id:
        newer = [other.job_id for other in _others(walk, job) if other.claimed_at >= job.claimed_at]
        if manifest["job_id"] not in newer:
            yield Breach("lie", f"the manifest of {key} is another job's")
        return
    if not _agrees(manifest, _statement(walk, job)):
        yield Breach("lie", f"the manifest of {key} says something else than its record")
    if (recorded := manifest["result"]) is None:
        return
    content = results.get(recorded["key"], b"")
    by = walk.stage.s3.head_object(Bucket=RESULTS, Key=recorded["key"])["Metadata"] if content else {}
    if hashlib.sha256(content).hexdigest() != recorded["sha256"] or by.get("cleanplate-job") != job.job_id:
        yield Breach("lie", f"the object beside the manifest of {key} is another job's")


def _as_requested(statement: Any, detail: Any, job: Job) -> Any:
    """Return the statement as it answers the request that an event names, where the job has heard of that."""
    if not job.has_heard(detail["request_id"] or ""):
        return statement
    return {**statement, **{name: detail[name] for name in ("request_id", "correlation_id")}}


def _agrees(published: Any, statement: Any) -> bool:
    """Return whether what was published is what the record says; an answer that came after the end is only in the record."""
    known = [
        {**now, "job_id": None, "submitted_at": None} if then["job_id"] is None else now
        for then, now in zip(published["adobe_jobs"], statement["adobe_jobs"], strict=False)
    ]
    return bool(published == {**statement, "adobe_jobs": known})


def _last_statement(walk: Walk, job: Job, events: Sequence[Mapping[str, Any]], results: Mapping[str, bytes]) -> Any:
    """Return what was published of a job last: its manifest, or its event where the key is another job's by now."""
    statement = _statement(walk, job)
    manifest = json.loads(results.get(statement["manifest"]["key"], b"{}"))
    about = [event["Detail"] for event in events if event["Detail"].get("job_id") == job.job_id]
    return next((each for each in (manifest, *reversed(about)) if each.get("job_id") == job.job_id), statement)


def _statement(walk: Walk, job: Job) -> Any:
    return json.loads(json.dumps(describe(job, result_key=walk.stage.services.result_key(job.photo))))


def _others(walk: Walk, job: Job) -> list[Job]:
    """Return jobs of other uploads under the same key, that share its result's place."""
    return [other for other in walk.stage.jobs() if other.photo.key == job.photo.key and other.job_id != job.job_id]


def _of_failure(walk: Walk, job: Job, results: Mapping[str, bytes]) -> Iterable[Breach]:
    reason = str(job.outcome.get("reason", ""))
    if f"| `{reason}` |" not in reasons():
        yield Breach("lie", f"{job.photo.key} failed for {reason!r}, which is not on the closed list of reasons")
    elif not job.outcome.get("what_to_do") or not job.outcome.get("message"):
        yield Breach("lie", f"{job.photo.key} failed for {reason} without words")
    key = walk.stage.services.result_key(job.photo)
    if key in results:
        by = walk.stage.s3.head_object(Bucket=RESULTS, Key=key)["Metadata"].get("cleanplate-job")
        if by == job.job_id and job.run == 1:
            yield Breach("lie", f"{job.photo.key} failed, and yet there is a result of it")


def _of_result(walk: Walk, job: Job, results: Mapping[str, bytes]) -> Iterable[Breach]:
    if job.status == "mask_ready":
        yield from _of_offer(job, results)
        return
    recorded = job.outcome["result"]
    content = results.get(recorded["key"])
    if content is None:
        yield Breach("lie", f"{job.photo.key} is said to be {job.status}, and there is no result")
        return
    there = (hashlib.sha256(content).hexdigest(), len(content))
    if there != (recorded["sha256"], recorded["bytes"]):
        newer = [other for other in _others(walk, job) if other.claimed_at >= job.claimed_at]
        theirs = [other.outcome.get("result") or {} for other in newer]
        if there not in [(their.get("sha256"), their.get("bytes")) for their in theirs]:
            yield Breach("lie", f"the result of {job.photo.key} is not the one of its record")
        return
    original = _original(walk, job)
    if job.status == "nothing_to_remove":
        if content != original:
            yield Breach("lie", f"nothing was to be removed from {job.photo.key}, and it was changed")
        return
    if content == original:
        yield Breach("lie", f"{job.photo.key} is said to be cleaned, and it is as it was")
    elif wrong := _wrong_picture(original, content, _hole(walk, job)):
        yield Breach("lie", f"the result of {job.photo.key} {wrong}")


def _of_offer(job: Job, results: Mapping[str, bytes]) -> Iterable[Breach]:
    """Check that the mask that waits for approval and its preview are there, and that no fill was bought."""
    for name in ("mask", "preview"):
        recorded = job.outcome["review"][name]
        if hashlib.sha256(results.get(recorded["key"], b"")).hexdigest() != recorded["sha256"]:
            yield Breach("lie", f"the {name} of {job.photo.key} that waits for approval is not there")
    if any(request.attempts and request.name != "mask" for request in job.adobe_requests.values()):
        yield Breach("paid twice", f"the fill of {job.photo.key} was bought and nobody has approved its mask")


def _hole(walk: Walk, job: Job) -> bytes | None:
    content = walk.stage.content(WORK, job.outcome["hole"])
    return hole_in_frame(content, job.outcome["fill"]) if content else None


def _wrong_picture(original: bytes, content: bytes, hole: bytes | None) -> str:
    """Return what is wrong with a result, if anything: it must be the photo, but for the hole."""
    try:
        before, after = (
            ImageOps.exif_transpose(Image.open(io.BytesIO(each))).convert("RGB") for each in (original, content)
        )
    except (OSError, SyntaxError):
        return "is no picture"
    if before.size != after.size:
        return f"is {after.size}, and the photo {before.size}"
    if hole is None:
        return ""
    outside = Image.open(io.BytesIO(hole)).convert("L").point([255] + [0] * 255)
    off = ImageStat.Stat(ImageChops.difference(before, after), outside).mean
    return f"is off by {max(off):.0f} levels outside the hole" if max(off) > _LEVELS else ""


def _original(walk: Walk, job: Job) -> bytes:
    version = {"VersionId": job.photo.version_id} if job.photo.version_id else {}
    return walk.stage.s3.get_object(Bucket=UPLOADS, Key=job.photo.key, **version)["Body"].read()  # type: ignore[arg-type]


def _payments(walk: Walk, statements: Sequence[Any]) -> Iterable[Breach]:
    """Hold the money that manifests and events alone tell of, over all runs, against what the stand-in has seen."""
    allowed = unanswered = 0
    for statement in statements:
        key = statement["photo"]["key"]
        for request in statement["adobe_jobs"]:
            allowed += max(0, request["posts"] - 1)
            unanswered += max(0, request["posts"] - bool(request["job_id"]))
            if request["posts"] > MAX_ATTEMPTS:
                yield Breach("paid twice", f"the {request['ask']} of {key} was sent {request['posts']} times")
            if request["posts"] > 1 and not statement["possible_duplicate"]:
                yield Breach("paid twice", f"the {request['ask']} of {key} was sent again, and the manifest hides it")
    extra = extra_posts(walk, statements)
    if extra > allowed:
        yield Breach("paid twice", f"{extra} jobs too many at Adobe, and the manifests know of {allowed}")
    known = sum(statement["requests"]["posts"] for statement in statements)
    passed, sent = _posts(walk, {"401"}), _posts(walk, set())
    if known < passed:
        yield Breach("paid twice", f"{passed} requests reached Adobe, and the manifests know of {known}")
    if known > sent + unanswered:
        yield Breach("lie", f"{sent} requests reached Adobe, and the manifests tell of {known}")


def _posts(walk: Walk, but: set[str]) -> int:
    """Count POSTs that the stand-in has seen, but for those with some answers: 401 is repeated at once with another token."""
    return sum(
        count
        for route, answers in walk.adobe.counters()["requests"].items()
        if route.startswith("POST ") and "/ims/" not in route
        for status, count in answers.items()
        if status not in but
    )


def _leaks(
    walk: Walk,
    events: Sequence[Mapping[str, Any]],
    results: Mapping[str, bytes],
    logs: str,
    *,
    work_may_hold_links: bool,
) -> Iterable[Breach]:
    """Look for secrets wherever they must not be: links may be in the work bucket for a day, and nowhere else."""
    places = {
        "a record": json.dumps(walk.stage.items(), default=str),
        "an event": json.dumps(list(events), default=str),
        "an execution": json.dumps(walk.stage.executions()),
        "a manifest": "".join(
            content.decode("utf-8", "replace") for key, content in results.items() if key.endswith(".json")
        ),
        "a log": logs,
    }
    if not work_may_hold_links:
        places["the work bucket"] = b"".join(walk.stage.work().values()).decode("utf-8", "replace")
    secrets = (*SECRET_WORDS, walk.adobe.settings.canary + "-", walk.adobe.settings.client_secret)
    for place, text in places.items():
        for secret in secrets:
            if secret in text:
                yield Breach("leak", f"{place} holds {secret!r}")
