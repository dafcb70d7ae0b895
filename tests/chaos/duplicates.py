"""Try events that come five times, out of order or at once; photos that are replaced or deleted on the way; runs of an
execution's end before, after and beside the machine's own record of it.

Each is an act on a walk, and what must come of it: how the photos end, oldest upload first, and how many jobs Adobe is
paid for. ``judge`` sees to the promises.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest.mock import patch

from cleanplate.aws.storage import Storage
from cleanplate.errors import (
    JobMovedOnError,
    LedgerBusyError,
    PostponedError,
)
from cleanplate.jobs.result_owners import ResultOwners
from cleanplate.models import Job, JobStatus, Photo
from cleanplate.outcomes import FOLDER_DONE, publish, publish_folder_if_quiet
from cleanplate.steps.record_failure import record_failure
from cleanplate.steps.request_mask import request_mask
from cleanplate.steps.save_result import save_result
from cleanplate.uploads.messages import FolderEnded, Upload, read_own
from tests.chaos import long_runs
from tests.chaos.promises import Verdict, judge
from tests.chaos.report import Report
from tests.chaos.world import MakeWalk, logs, world
from tests.integration.steps.walk import Walk, heic_bytes, photo_bytes
from tests.stage import UPLOADS

TIMES = 5
#: moto is no database: more callers at once tell nothing more.
AT_ONCE = 4
MASK, FILL = "POST /v1/mask-objects", "POST /v1/fill-masked-areas"
OLD, NEW = photo_bytes(seed=1), photo_bytes(seed=2)


@dataclass(frozen=True, slots=True)
class Case:
    """``ends``: how the photos end, by upload; ``paid``: jobs at Adobe, where it is always the same."""

    name: str
    act: Callable[[Walk], object]
    ends: tuple[str, ...] = ("cleaned",)
    paid: int | None = 2
    uploads: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: How they may end as well, where two race.
    or_ends: tuple[str, ...] = ()


def _upload(walk: Walk, content: bytes = OLD, key: str = "dog.jpg", **metadata: str) -> Photo:
    # No two uploads are of the same moment.
    walk.stage.clock.pass_by(1)
    return walk.stage.upload(key, content, **metadata)


def _at_once(act: Callable[[int], object], times: int = TIMES) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(act, range(times)))


def _receive(walk: Walk, photo: Photo, **more: Any) -> None:
    """Receive a message once; what is put off is left to whoever delivers it again."""
    try:
        request_mask(Upload(photo, **more), walk.stage.services)
    except (PostponedError, JobMovedOnError):
        return


# --- one photo, many times --------------------------------------------------------------------------------------------


def _five_times(walk: Walk) -> None:
    photo = _upload(walk)
    for _ in range(TIMES):
        walk.publish(photo)
        walk.execute()


def _five_times_before_the_execution(walk: Walk) -> None:
    photo = _upload(walk)
    for _ in range(TIMES):
        walk.publish(photo)
    walk.execute()


def _five_at_once(walk: Walk) -> None:
    photo = _upload(walk)
    _at_once(lambda _: _receive(walk, photo))
    walk.publish(photo)
    walk.execute()


def _five_refused_at_once(walk: Walk) -> None:
    photo = _upload(walk, b"no photo at all")
    _at_once(lambda _: _receive(walk, photo))
    walk.publish(photo)


def _five_photos_out_of_order(walk: Walk) -> None:
    photos = [_upload(walk, key=f"folder/{number}.jpg") for number in range(TIMES)]
    messages = [photo for photo in photos for _ in range(TIMES)]
    random.Random(7).shuffle(messages)
    for photo in messages:
        walk.publish(photo)
    walk.execute()


def _redrive(walk: Walk) -> None:
    """Receive an old message from the dead letters, days after the result."""
    photo = _upload(walk)
    walk.publish(photo)
    walk.execute()
    before = walk.stage.results()
    for _ in range(3):
        walk.stage.clock.pass_by(2 * 86_400)
        walk.publish(photo)
        walk.execute()
    assert walk.stage.results() == before


def _five_requests(walk: Walk) -> None:
    """Receive one request event five times, after a failure: it is one more run."""
    walk.adobe.add_rules({"route": MASK, "times": 1, "fault": "failed"})
    photo = _upload(walk)
    walk.publish(photo)
    walk.execute()
    for _ in range(TIMES):
        walk.publish(Photo(UPLOADS, photo.key), request_id="r1")
    _at_once(lambda _: _receive(walk, Photo(UPLOADS, photo.key), request_id="r1"))
    walk.execute()
    assert walk.stage.only_job().run == 2


def _request_of_an_earlier_run(walk: Walk) -> None:
    """Receive a request again that an earlier run has answered: it begins no run."""
    walk.adobe.add_rules({"route": MASK, "times": 3, "fault": "failed"})
    photo = _upload(walk)
    walk.publish(photo)
    walk.execute()
    for request_id in ("r1", "r2", "r1"):
        _receive(walk, Photo(UPLOADS, photo.key), request_id=request_id)
        walk.execute()


def _five_approvals(walk: Walk) -> None:
    """Receive one approval of a mask five times, then five at once: its fill is bought once."""
    photo = _upload(walk, review="true")
    walk.publish(photo)
    walk.execute()
    for _ in range(TIMES):
        _receive(walk, Photo(UPLOADS, photo.key), request_id="a1", approve=True)
    _at_once(lambda _: _receive(walk, Photo(UPLOADS, photo.key), request_id="a1", approve=True))
    walk.publish(photo)
    walk.execute()


def _folder_that_trickles(walk: Walk) -> None:
    """Clean two photos, one after the other, and receive each message about their folder many times: it is published as done once."""
    for key in ("shoot/1.jpg", "shoot/2.jpg"):
        _receive(walk, _upload(walk, key=key))
        walk.execute()
    queue, messages = walk.stage.settings.admitted_queue_url, list[FolderEnded]()
    while received := walk.stage.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        messages += [one for one in (read_own(message["Body"]) for message in received) if isinstance(one, FolderEnded)]
    assert messages, "nobody looks whether the folder is quiet"
    first, *_ = messages
    for _ in range(TIMES):
        publish_folder_if_quiet(first, walk.stage.services)
    assert not _folders_done(walk), "the folder was published before it was quiet"
    for message in messages * TIMES:
        publish_folder_if_quiet(message, walk.stage.services)
    _at_once(lambda number: publish_folder_if_quiet(messages[number % len(messages)], walk.stage.services))
    done = _folders_done(walk)
    assert [event["Detail"]["photos"] for event in done] == [2], f"the folder was published {len(done)} times"


def _folders_done(walk: Walk) -> list[dict[str, Any]]:
    return [event for event in walk.stage.published("", keep=True) if event["DetailType"] == FOLDER_DONE]


def _every_step_twice(walk: Walk) -> None:
    """Call each function twice, as Step Functions does where an answer is lost."""
    for name, function in list(walk._functions.items()):
        if name == "RecordFailureFunction":
            continue

        def twice(event: dict[str, Any], function: Any = function) -> Any:
            function(event)
            return function(event)

        if name != "CheckJobFunction":
            walk._functions[name] = twice
    walk.publish(_upload(walk))
    walk.execute()


def _last_step_at_once(walk: Walk) -> None:
    photo = _upload(walk)
    save = walk._functions["SaveResultFunction"]

    def many(event: dict[str, Any]) -> Any:
        _at_once(lambda _: save_result(event["job_id"], walk.stage.services))
        return save(event)

    walk._functions["SaveResultFunction"] = many
    walk.publish(photo)
    walk.execute()


# --- replaced and deleted ---------------------------------------------------------------------------------------------


def _replaced_in_work(walk: Walk) -> None:
    old = _upload(walk)
    walk.publish(old)
    walk.publish(_upload(walk, NEW))
    walk.execute()
    _newest_is_there(walk)


def _replaced_before_it_is_read(walk: Walk) -> None:
    old, new = _upload(walk), _upload(walk, NEW)
    walk.publish(old)
    walk.publish(new)
    walk.execute()
    _newest_is_there(walk)


def _notification_of_the_newer_first(walk: Walk) -> None:
    old, new = _upload(walk), _upload(walk, NEW)
    walk.publish(new)
    walk.execute()
    walk.publish(old)
    walk.execute()
    _newest_is_there(walk)


def _two_versions_at_once(walk: Walk) -> None:
    old, new = _upload(walk), _upload(walk, NEW)
    _at_once(lambda number: _receive(walk, (old, new)[number % 2]), 4)
    for photo in (new, old):
        walk.publish(photo)
    walk.execute()
    _newest_is_there(walk)


def _late_failure(walk: Walk, *, ended: bool) -> None:
    """Let the older version's fill fail after the newer version has ended, or while it is in work."""
    old = _upload(walk)
    walk.adobe.add_rules({"route": FILL, "times": 1, "fault": "failed"})
    walk.publish(old)
    ((first, start),) = walk.stage.executions()
    fill = walk._functions["FillMaskedAreasFunction"]

    def overtaken(event: dict[str, Any]) -> Any:
        answer = fill(event)
        walk._functions["FillMaskedAreasFunction"] = fill
        walk.publish(_upload(walk, NEW))
        if ended:
            ((name, other),) = [one for one in walk.stage.executions() if one[0] != first]
            walk.ended.add(name)
            walk._run(name, other)
        return answer

    walk._functions["FillMaskedAreasFunction"] = overtaken
    walk.ended.add(first)
    walk._run(first, start)
    walk.execute()
    _newest_is_there(walk)


def _covered_while_it_was_composed(walk: Walk) -> None:
    """Upload and clean a newer version between the older one's composing and its write."""
    _overtaken_at(walk, ResultOwners, "hold", executed=True)


def _replaced_while_it_writes(walk: Walk) -> None:
    """Upload a newer version just before the older one writes its result, and clean it after that."""
    _overtaken_at(walk, Storage, "save_result", executed=False)


def _overtaken_at(walk: Walk, where: type, name: str, *, executed: bool) -> None:
    walk.publish(_upload(walk))
    ((first, start),) = walk.stage.executions()
    real = getattr(where, name)
    seen: list[str] = []

    def overtaken(*arguments: Any, **named: Any) -> Any:
        if not seen:
            seen.append(name)
            walk.publish(_upload(walk, NEW))
            if executed:
                walk.execute()
        return real(*arguments, **named)

    walk.ended.add(first)
    with patch.object(where, name, overtaken):
        walk._run(first, start)
    assert seen
    walk.execute()
    _newest_is_there(walk)


def _two_requests_of_one_photo(walk: Walk) -> None:
    """Request a photo twice with other options: the later ones are what its owner wants."""
    photo = _upload(walk)
    _request(walk, photo, "r1", grow=10)
    _request(walk, photo, "r2", grow=3)
    walk.execute()
    _object_and_manifest_are_of(walk, walk.stage.jobs()[1].job_id)


def _a_request_while_the_result_is_written(walk: Walk) -> None:
    """Request a photo while its first job writes: the request's job waits for the key and then writes both."""
    photo = _upload(walk)
    walk.publish(photo)
    ((first, start),) = walk.stage.executions()
    save = Storage.save_result
    seen: list[str] = []

    def saved(*arguments: Any, **named: Any) -> Any:
        answer = save(*arguments, **named)
        if not seen:
            _request(walk, photo, "r1", grow=3)
            seen.append(walk.stage.jobs()[1].job_id)
            try:
                walk.stage.ledger.owners.hold(
                    walk.stage.job(seen[0]), "dog.jpg", now=walk.stage.clock(), has_finished=lambda _: False
                )
            except LedgerBusyError:
                return answer
            raise AssertionError("two jobs write at one key")
        return answer

    walk.ended.add(first)
    with patch.object(Storage, "save_result", saved):
        walk._run(first, start)
    walk.execute()
    _object_and_manifest_are_of(walk, seen[0])


def _two_photos_of_one_result(walk: Walk) -> None:
    """``dog.heic`` and ``dog.heic.jpg``: the second one is refused before anything is paid, and keeps its own manifest."""
    first = _upload(walk, heic_bytes(), "dog.heic")
    second = _upload(walk, NEW, "dog.heic.jpg")
    for photo in (first, second):
        walk.publish(photo)
    walk.execute()
    reason = walk.stage.manifest("dog.heic.jpg.json").get("reason")
    assert reason == "ResultKeyTakenError", "the second photo was not refused"
    job = next(job for job in walk.stage.jobs() if job.photo.key == "dog.heic")
    assert walk.stage.manifest("dog.heic.json")["job_id"] == job.job_id
    result = walk.stage.results()["dog.heic.jpg"]
    assert job.outcome["result"]["sha256"] == hashlib.sha256(result).hexdigest(), "the other photo's result is there"


def _failed_and_then_clean(walk: Walk) -> None:
    """Clean a photo whose format changes, after it failed: the manifest of its failure is replaced by that of its result."""
    walk.adobe.add_rules({"route": MASK, "times": 1, "fault": {"do": "error", "status": 403}})
    walk.publish(_upload(walk, heic_bytes(), "dog.heic"))
    walk.publish(Photo(UPLOADS, "dog.heic"), request_id="r1")
    walk.execute()
    manifests = {key for key in walk.stage.results() if key.endswith(".json")}
    assert manifests == {"dog.heic.json"}, manifests
    assert walk.stage.manifest("dog.heic.json")["outcome"] == "cleaned"


def _notification_and_a_request(walk: Walk) -> None:
    photo = _upload(walk)
    walk.publish(photo)
    _request(walk, photo, "r1", grow=3)
    walk.execute()
    _object_and_manifest_are_of(walk, walk.stage.jobs()[1].job_id)


def _request(walk: Walk, photo: Photo, request_id: str, **options: Any) -> None:
    walk.stage.clock.pass_by(1)
    walk.publish(Photo(UPLOADS, photo.key), request_id=request_id, options=options)


def _object_and_manifest_are_of(walk: Walk, job_id: str, key: str = "dog.jpg") -> None:
    manifest, content = walk.stage.manifest("dog.jpg.json"), walk.stage.results()[key]
    assert manifest["job_id"] == job_id, "the manifest is another job's"
    assert manifest["result"]["sha256"] == hashlib.sha256(content).hexdigest(), "the object is another job's"


def _another_run_of_an_old_version(walk: Walk) -> None:
    """Request a version again that failed at its fill, when a newer one is clean."""
    walk.adobe.add_rules({"route": FILL, "times": 1, "fault": "failed"})
    old = _upload(walk)
    walk.publish(old)
    walk.execute()
    walk.publish(_upload(walk, NEW))
    walk.execute()
    walk.adobe.add_rules({"route": FILL, "fault": "failed"})
    walk.publish(Photo(UPLOADS, old.key, version_id=old.version_id), request_id="r1")
    walk.execute()
    _newest_is_there(walk)


def _deleted_in_work(walk: Walk) -> None:
    walk.publish(_upload(walk))
    walk.stage.s3.delete_object(Bucket=UPLOADS, Key="dog.jpg")
    walk.execute()


def _deleted_before(walk: Walk) -> None:
    photo = _upload(walk)
    walk.stage.s3.delete_object(Bucket=UPLOADS, Key="dog.jpg")
    for _ in range(TIMES):
        walk.publish(photo)


def _newest_is_there(walk: Walk) -> None:
    """Check that the result and the manifest are those of the newest upload."""
    newest = walk.stage.s3.head_object(Bucket=UPLOADS, Key="dog.jpg")["VersionId"]
    assert walk.stage.manifest("dog.jpg.json")["photo"]["version_id"] == newest, "an older version's manifest is there"
    (job,) = [job for job in walk.stage.jobs() if job.photo.version_id == newest]
    result = walk.stage.s3.head_object(Bucket="the-results", Key="dog.jpg")
    assert result["Metadata"]["cleanplate-job"] == job.job_id, "an older version's result is there"


# --- how an execution ended -------------------------------------------------------------------------------------------


def _report_end(walk: Walk, name: str, times: int = TIMES) -> None:
    for _ in range(times):
        record_failure(name, "ExecutionStoppedError", "FAILED", walk.stage.services)


def _end_reported_after_the_machine(walk: Walk) -> None:
    walk.adobe.add_rules({"route": MASK, "fault": "failed"})
    walk.publish(_upload(walk))
    walk.execute()
    _report_end(walk, walk.stage.only_job().execution_name)


def _end_reported_before_the_machine(walk: Walk) -> None:
    """Report the end before the machine's own RecordFailure."""
    walk.adobe.add_rules({"route": MASK, "fault": "failed"})
    walk.publish(_upload(walk))
    _report_end(walk, walk.stage.only_job().execution_name)
    walk.execute()


def _end_reported_beside_the_machine(walk: Walk) -> None:
    walk.adobe.add_rules({"route": MASK, "fault": "failed"})
    walk.publish(_upload(walk))
    name, record = walk.stage.only_job().execution_name, walk._functions["RecordFailureFunction"]

    def beside(event: dict[str, Any]) -> Any:
        _at_once(lambda number: _report_end(walk, name, 1) if number else record(event))
        return record(event)

    walk._functions["RecordFailureFunction"] = beside
    walk.execute()


def _end_reported_of_a_photo_that_is_clean(walk: Walk) -> None:
    walk.publish(_upload(walk))
    walk.execute()
    _report_end(walk, walk.stage.only_job().execution_name)
    publish(walk.stage.only_job(), walk.stage.services)


def _end_reported_while_the_photo_ends(walk: Walk) -> None:
    """Let the photo end as clean between the read and the write of whoever records its failure."""
    walk.publish(_upload(walk))
    finish = walk.stage.ledger.finish

    def late(job: Job, status: JobStatus, outcome: Mapping[str, Any], *, now: float) -> Job:
        if status == "failed":
            walk.execute()
        return finish(job, status, outcome, now=now)

    walk.stage.ledger.finish = late  # type: ignore[method-assign]
    _report_end(walk, walk.stage.only_job().execution_name)


def _end_of_the_first_run_reported_in_the_second(walk: Walk) -> None:
    walk.adobe.add_rules({"route": MASK, "times": 1, "fault": "failed"})
    photo = _upload(walk)
    walk.publish(photo)
    walk.execute()
    first = walk.stage.only_job().execution_name
    walk.publish(Photo(UPLOADS, photo.key), request_id="r1")
    _report_end(walk, first)
    walk.execute()


_REPLACED = ("PhotoReplacedError", "cleaned")
CASES: Sequence[Case] = (
    Case("notifications five times", _five_times),
    Case("notifications five times before the execution begins", _five_times_before_the_execution),
    Case("notifications five times at once", _five_at_once),
    Case("notifications of a refused photo at once", _five_refused_at_once, ("NotAPhotoError",), 0),
    Case("notifications of five photos out of order", _five_photos_out_of_order, ("cleaned",) * 5, 10, 5),
    Case("a redrive of an old message after the result", _redrive),
    Case("a request five times, then five at once", _five_requests, paid=3),
    Case("a request of an earlier run", _request_of_an_earlier_run, ("AdobeJobFailedError",), 3),
    Case("an approval five times, then five at once", _five_approvals),
    Case(
        "a folder whose photos trickle in",
        _folder_that_trickles,
        ("cleaned",) * 2,
        4,
        2,
        settings={"FOLDER_QUIET_SECONDS": "60"},
    ),
    Case("every step twice", _every_step_twice),
    Case("the last step at once", _last_step_at_once),
    Case("replaced while in work", _replaced_in_work, _REPLACED, None, 2),
    Case("replaced before it is read", _replaced_before_it_is_read, _REPLACED, 2, 2),
    Case("the notification of the newer version first", _notification_of_the_newer_first, _REPLACED, 2, 2),
    Case("two versions at once", _two_versions_at_once, _REPLACED, 2, 2),
    Case(
        "an old version fails after the newer one has ended",
        lambda walk: _late_failure(walk, ended=True),
        ("AdobeJobFailedError", "cleaned"),
        4,
        2,
    ),
    Case(
        "an old version fails while the newer one is in work",
        lambda walk: _late_failure(walk, ended=False),
        ("AdobeJobFailedError", "cleaned"),
        4,
        2,
    ),
    Case("a newer result comes while the older is composed", _covered_while_it_was_composed, _REPLACED, 4, 2),
    Case("replaced while the older is written", _replaced_while_it_writes, ("cleaned", "cleaned"), 4, 2),
    Case("two requests of one photo", _two_requests_of_one_photo, _REPLACED, 4, 2),
    Case("a notification, and a request with an option of its own", _notification_and_a_request, _REPLACED, 4, 2),
    Case("a request while the result is written", _a_request_while_the_result_is_written, ("cleaned", "cleaned"), 4, 2),
    Case("two photos of one result", _two_photos_of_one_result, ("cleaned", "ResultKeyTakenError"), 2, 2),
    Case("failed and then clean, in another format", _failed_and_then_clean),
    Case("another run of an old version", _another_run_of_an_old_version, _REPLACED, 4, 2),
    Case("deleted while in work", _deleted_in_work),
    Case("deleted before, notified five times", _deleted_before, ("PhotoGoneError",), 0),
    Case(
        "the end reported five times after the machine's own",
        _end_reported_after_the_machine,
        ("AdobeJobFailedError",),
        1,
    ),
    Case("the end reported before the machine's own", _end_reported_before_the_machine, ("ExecutionStoppedError",), 1),
    Case(
        "the end reported at once with the machine's own",
        _end_reported_beside_the_machine,
        ("AdobeJobFailedError",),
        1,
        or_ends=("ExecutionStoppedError",),
    ),
    Case("the end reported of a photo that is clean", _end_reported_of_a_photo_that_is_clean),
    Case("the end reported while the photo ends as clean", _end_reported_while_the_photo_ends),
    Case("the end of the first run reported in the second", _end_of_the_first_run_reported_in_the_second, paid=3),
    Case("runs that overlap", long_runs.runs_overlap),
    Case("a record that would expire in mid-run", long_runs.record_expires),
    Case("a fill that waits for hours", long_runs.fill_waits_for_hours, settings={"PHOTO_DEADLINE_HOURS": "240"}),
    Case("a slot that comes after the deadline", long_runs.slot_comes_too_late, ("DeadlinePassedError",), 0),
    *(
        Case(f"clocks {long_runs.APART:g} s apart, {name}", partial(long_runs.clocks_apart, seconds=seconds))
        for name, seconds in (("ahead", long_runs.APART), ("behind", -long_runs.APART))
    ),
    Case("jobs as slow as their deadline", long_runs.as_slow_as_the_deadline),
    Case(
        "a budget that is nearly spent",
        long_runs.budget_keeps_room,
        ("cleaned",) * 3,
        6,
        3,
        settings={"DAILY_BUDGET": "4", "MAX_FILLS": "1", "PHOTO_DEADLINE_HOURS": "240"},
    ),
    Case("a request that takes long to prepare", long_runs.prepared_before_its_slot),
)


def try_case(make: MakeWalk, case: Case) -> tuple[Verdict, str]:
    """Try one case; return its verdict, and what else is wrong, empty where nothing is."""
    with logs() as logged:
        walk = make(**case.settings)
        try:
            case.act(walk)
        except AssertionError as error:
            return judge(walk, walk.stage.published(), uploads=case.uploads, logs=logged.getvalue()), str(error)
        verdict = judge(walk, walk.stage.published(), uploads=case.uploads, logs=logged.getvalue())
    return verdict, _wrong(case, walk, verdict)


def _wrong(case: Case, walk: Walk, verdict: Verdict) -> str:
    jobs = walk.stage.jobs()
    found = tuple(str(job.outcome.get("reason", job.status)) for job in jobs)
    if len(jobs) != case.uploads or sorted(found) not in (sorted(case.ends), sorted(case.or_ends)):
        return f"the photos ended as {found}, expected {case.ends}"
    if verdict.extra_posts:
        return f"{verdict.extra_posts} POSTs too many"
    paid = sum(walk.jobs_at_adobe().values())
    if case.paid is not None and paid != case.paid:
        return f"{paid} jobs at Adobe, expected {case.paid}"
    return ""


def run(report: Report, *, quick: bool) -> None:
    """Try every case; those with callers at once ten times over."""
    with world() as make:
        for case in CASES:
            for _ in range(10 if "at once" in case.name and not quick else 1):
                verdict, wrong = try_case(make, case)
                report.tried("duplicates", f"duplicates: {case.name}", verdict, unexpected=wrong)
