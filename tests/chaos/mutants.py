"""Plant bugs in the product; for each there is the check of this suite that must catch it.

A check is made on the sound product first and must be content with it; then the bug is planted, in this process or in
the definition that is played, and the same check must complain.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast
from unittest.mock import Mock, patch

from cleanplate import outcomes
from cleanplate.adobe.client import AdobeClient
from cleanplate.adobe.errors import AnswerLostError
from cleanplate.adobe.routes import Request, Route
from cleanplate.aws.storage import SavedObject, Storage
from cleanplate.errors import StepCrashedError
from cleanplate.jobs import ledger as ledger_module
from cleanplate.jobs.folder_counts import Progress
from cleanplate.jobs.ledger import Ledger
from cleanplate.jobs.records import job_update
from cleanplate.jobs.result_owners import ResultOwners
from cleanplate.jobs.reuse import approved_run, next_run
from cleanplate.models import AdobeJob, AdobeRequest, Failure, Job, JobStatus, Options, Photo
from cleanplate.services import Services
from cleanplate.steps import approve_mask, fetch_pictures, work_files
from cleanplate.steps import request_mask as request_mask_step
from cleanplate.steps.submit import send
from tests import machine
from tests.chaos import long_runs
from tests.chaos.boundaries import Moment, handler_module
from tests.chaos.catalogue import play
from tests.chaos.crashes import SCENARIOS, walk_once
from tests.chaos.duplicates import CASES, try_case
from tests.chaos.faults import FAULTS
from tests.chaos.promises import Verdict, judge
from tests.chaos.report import Report
from tests.chaos.world import MakeWalk, world
from tests.consistency import test_times
from tests.consistency.project import TEMPLATE, Project
from tests.integration.steps.walk import photo_bytes
from tests.stage import RESULTS

#: Makes a check; what it complains of, empty where it is content.
Check = Callable[[MakeWalk], str]
Plant = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug; ``caught_by`` names the check, ``finding`` is a word of what it says."""

    name: str
    plant: Plant
    caught_by: str
    check: Check
    finding: str


def _in_words(verdict: Verdict, wrong: str = "") -> str:
    return "; ".join([*(f"{breach.kind}: {breach.words}" for breach in verdict.breaches), *([wrong] if wrong else [])])


# --- the checks -------------------------------------------------------------------------------------------------------


def crash(scenario_name: str, moment: Moment, call: str) -> Check:
    """Make a check by the crash point at the first such call of a scenario; no ``call`` is the undisturbed walk."""
    (scenario,) = [scenario for scenario in SCENARIOS if scenario.name == scenario_name]

    def check(make: MakeWalk) -> str:
        plain = walk_once(make, scenario)
        if not call:
            return _in_words(plain.verdict)
        return _in_words(walk_once(make, scenario, (plain.passed.index(call), moment)).verdict)

    return check


def duplicates(case_name: str) -> Check:
    """Make a check by a case of duplicates and order."""
    (case,) = [case for case in CASES if case.name == case_name]
    return lambda make: _in_words(*try_case(make, case))


def faulty(name: str) -> Check:
    """Make a check by a fault of the catalogue, with what must come of it."""
    (fault,) = [fault for fault in FAULTS if fault.name == name]
    return lambda make: _in_words(*play(make, fault))


def walked(route: str, action: Any) -> Check:
    """Make a check by a plain walk on which Adobe misbehaves once."""

    def check(make: MakeWalk) -> str:
        walk = make()
        walk.adobe.add_rules({"route": route, "times": 1, "fault": action})
        walk.publish(walk.stage.upload("dog.jpg", photo_bytes()))
        walk.execute()
        return _in_words(judge(walk, walk.stage.published()))

    return check


def _result_is_stolen(make: MakeWalk) -> str:
    """Walk a photo whose result is gone as soon as it was written."""
    walk = make()
    walk.publish(walk.stage.upload("dog.jpg", photo_bytes()))

    def steal(**_: Any) -> None:
        walk.stage.s3.delete_object(Bucket=RESULTS, Key="dog.jpg")

    walk.stage.s3.meta.events.register("after-call.s3.PutObject", steal)
    walk.execute()
    return _in_words(judge(walk, walk.stage.published()))


def _name_outlives_its_record(make: MakeWalk) -> str:
    """Look only at how the photo ends: the record is gone with its account."""
    walk = make()
    long_runs.name_outlives_its_record(walk)
    return "" if walk.stage.only_job().status == "cleaned" else "nobody waits for the second mask"


def _faults_are_errors(_: MakeWalk) -> str:
    """Check that within few receives the handler's fault is an error of the call, which rings an alarm."""
    faults = list[str]()
    for receives in (1, 3, 12):
        try:
            _receive_with_a_fault(receives)
        except ConnectionError as error:
            faults.append(str(error))
    return "" if faults else "a function that fails in every call is silent"


def _app() -> Any:
    return handler_module("request_mask")


def _receive_with_a_fault(receives: int) -> None:
    queue = Mock(url="the-uploads")
    record = {
        "body": "{}",
        "messageId": "m",
        "receiptHandle": "r",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:1:the-uploads",
        "attributes": {"ApproximateReceiveCount": str(receives)},
    }
    with (
        patch.object(_app(), "services", lambda: Mock(uploads_queue=queue, admitted_queue=queue)),
        patch.object(_app(), "read_own", Mock(side_effect=ConnectionError("S3 does not answer"))),
    ):
        _app().lambda_handler({"Records": [record]}, Mock())


def _visibility(_: MakeWalk) -> str:
    try:
        test_times.test_a_message_stays_hidden_six_times_as_long_as_its_function_may_run(_project())
    except AssertionError as error:
        return f"AssertionError: {error}"
    return ""


# --- the bugs ---------------------------------------------------------------------------------------------------------


def _begin_without_intent(ledger: Ledger, job: Job, name: str, *, route: str, status: JobStatus, now: float) -> Job:
    request = job.adobe_requests.get(name, AdobeRequest(name))
    if request.adobe_job:
        return job
    begun = replace(request, route=route, attempts=request.attempts + 1, intent_at=now)
    return replace(job, adobe_requests={**job.adobe_requests, name: begun})


def _record_all_the_same(ledger: Ledger, job: Job, request: AdobeRequest, *, now: float) -> Job:
    status: JobStatus = "masking" if request.name == "mask" else "filling"
    noted = replace(request, lease_until=0.0)
    requests = {**job.adobe_requests, request.name: noted}
    return ledger._change(job, lambda current: replace(current, status=status, adobe_requests=requests), now)


@contextmanager
def _no_intent() -> Iterator[None]:
    with (
        patch.object(Ledger, "begin_request", _begin_without_intent),
        patch.object(Ledger, "record_adobe_job", _record_all_the_same),
    ):
        yield


def _claim_again(ledger: Ledger, job: Job) -> Job:
    claim = _SOUND_CLAIM
    ledger._table.client.delete_item(TableName=ledger._table.name, Key={"job_id": {"S": job.job_id}})
    return claim(ledger, job)


def _finish_whatever_was(ledger: Ledger, job: Job, status: JobStatus, outcome: Mapping[str, Any], *, now: float) -> Job:
    return ledger._change(job, lambda current: replace(current, status=status, outcome=outcome, published=False), now)


def _submit_again(client: AdobeClient, route: Route, request: Request) -> AdobeJob:
    try:
        return _SOUND_SUBMIT(client, route, request)
    except AnswerLostError:
        return _SOUND_SUBMIT(client, route, request)


def _start_with_a_link(job: Job, services: Services) -> None:
    start = {
        "job_id": job.job_id,
        "wait_seconds": 0,
        "photo": services.storage.link_to_photo(job.photo, "image/jpeg"),
    }
    services.make_stepfunctions().start_execution(
        stateMachineArn=services.settings.state_machine_arn, name=job.execution_name, input=json.dumps(start)
    )


@contextmanager
def _all_errors_swallowed() -> Iterator[None]:
    definition = copy.deepcopy(machine.read_machine())
    definition["States"]["NeverMind"] = {"Type": "Wait", "Seconds": 1, "End": True}
    for state in definition["States"].values():
        for catch in state.get("Catch", []):
            catch["Next"] = "NeverMind"
    with patch.object(machine, "read_machine", lambda: definition):
        yield


def _believed(_storage: Storage, saved: SavedObject, _job_id: str) -> SavedObject:
    return saved


@contextmanager
def _short_visibility() -> Iterator[None]:
    text = Project().text(TEMPLATE)
    planted = text.replace("VisibilityTimeout: 1080", "VisibilityTimeout: 300")
    assert planted != text
    with patch.dict(globals(), {"_project": lambda: Project({TEMPLATE: planted})}):
        yield


@contextmanager
def _keys_for_anybody() -> Iterator[None]:
    with (
        patch.object(ResultOwners, "take", lambda *_, **__: None),
        patch.object(ResultOwners, "hold", lambda *_, **__: None),
    ):
        yield


def _without_renewal(*arguments: Any, **named: Any) -> dict[str, Any]:
    update = _SOUND_UPDATE(*arguments, **named)
    update["values"].pop("expires_at", None)
    return update


def _account_of_one_run(job: Job, now: float) -> Job:
    return replace(_SOUND_NEXT_RUN(job, now), earlier_requests=())


def _posts_in_flight_forgotten(job: Job, now: float) -> Job:
    kept = _SOUND_NEXT_RUN(job, now)
    known = {name: request for name, request in kept.adobe_requests.items() if request.adobe_job}
    return replace(kept, adobe_requests=known)


def _approved_without_its_mask(job: Job, now: float, *, options: Options, own_mask: Photo | None) -> Job:
    run = _SOUND_APPROVED_RUN(job, now, options=options, own_mask=own_mask)
    spent = (*run.earlier_requests, *run.adobe_requests.values())
    return replace(run, adobe_requests={}, earlier_requests=spent)


def _folder_at_once(job: Job, services: Services) -> None:
    _SOUND_PUBLISH_FOLDER(job, replace(services, settings=replace(services.settings, folder_quiet=0)))


def _next_run_is(planted: Callable[[Job, float], Job]) -> AbstractContextManager[object]:
    return patch.dict(Ledger.reclaim.__kwdefaults__, prepare=planted)


def _raise(_job: Job, failure: Failure, _services: Services) -> Job:
    raise StepCrashedError(failure.message)


def _send_unprepared(*arguments: Any, make_request: Callable[[], Request], **named: Any) -> Job:
    return _SOUND_SEND(*arguments, make_request=lambda: cast("Request", make_request), **named)


def _submit_prepared(client: AdobeClient, route: Route, request: Any) -> AdobeJob:
    return _SOUND_SUBMIT(client, route, request() if callable(request) else request)


@contextmanager
def _masks_for_a_day() -> Iterator[None]:
    with (
        patch.object(work_files, "picture_key", work_files.request_key),
        patch.object(fetch_pictures, "picture_key", work_files.request_key),
    ):
        yield


@contextmanager
def _prepared_after_its_slot() -> Iterator[None]:
    with (
        patch.object(request_mask_step, "send", _send_unprepared),
        patch.object(AdobeClient, "submit", _submit_prepared),
    ):
        yield


_SOUND_UPDATE = job_update
_SOUND_NEXT_RUN = next_run
_SOUND_APPROVED_RUN = approved_run
_SOUND_PUBLISH_FOLDER = outcomes.publish_folder
_SOUND_SEND = send
_project: Callable[[], Project] = Project
_SOUND_CLAIM = Ledger.claim
_SOUND_SUBMIT = AdobeClient.submit

BUGS = (
    Bug(
        "intent not written",
        _no_intent,
        "crash point: killed after POST /v1/mask-objects",
        crash("plain", "after", "POST /v1/mask-objects"),
        "paid twice",
    ),
    Bug(
        "claim not conditional",
        lambda: patch.object(Ledger, "claim", _claim_again),
        "duplicates: notifications five times",
        duplicates("notifications five times"),
        "paid twice",
    ),
    Bug(
        "terminal state unconditional",
        lambda: patch.object(Ledger, "finish", _finish_whatever_was),
        "duplicates: the end reported while the photo ends as clean",
        duplicates("the end reported while the photo ends as clean"),
        "lie",
    ),
    Bug(
        "retry on POST",
        lambda: patch.object(AdobeClient, "submit", _submit_again),
        "fault: the answer to a POST is lost once",
        walked("POST /v1/mask-objects", "lost_answer"),
        "paid twice",
    ),
    Bug(
        "signed URL in state",
        lambda: patch.object(request_mask_step, "_start_execution", _start_with_a_link),
        "the leak check of every walk",
        crash("plain", "before", ""),
        "leak: an execution",
    ),
    Bug(
        "States.ALL swallowed",
        _all_errors_swallowed,
        "fault: Adobe forgets the job",
        walked("POST /v1/mask-objects", "job_gone"),
        "hang",
    ),
    Bug(
        "success without checking the object",
        lambda: patch.object(Storage, "_check", _believed),
        "a result that is gone after it was written",
        _result_is_stolen,
        "lie",
    ),
    Bug(
        "visibility timeout too short",
        _short_visibility,
        "consistency: a message stays hidden six times as long as its function may run",
        _visibility,
        "AssertionError",
    ),
    *(
        Bug(
            f"a key of the results for anybody: {case}",
            _keys_for_anybody,
            f"duplicates: {case}",
            duplicates(case),
            word,
        )
        for case, word in (
            ("an old version fails after the newer one has ended", "an older version's manifest"),
            ("a newer result comes while the older is composed", "an older version's manifest"),
            ("two photos of one result", "the second photo was not refused"),
            ("two requests of one photo", "the manifest is another job"),
        )
    ),
    Bug(
        "a key of the results for several writers",
        lambda: patch.object(ResultOwners, "hold", lambda *_, **__: None),
        "duplicates: a request while the result is written",
        duplicates("a request while the result is written"),
        "StepCrashedError",
    ),
    Bug(
        "the manifest beside the result's key instead of the photo's",
        lambda: patch.object(
            outcomes, "_manifest_key", lambda key, job: f"{(job.outcome.get('result') or {}).get('key', key)}.json"
        ),
        "duplicates: failed and then clean, in another format",
        duplicates("failed and then clean, in another format"),
        "dog.heic.json",
    ),
    Bug(
        "masks kept for a day only",
        _masks_for_a_day,
        "duplicates: a fill that waits for hours",
        duplicates("a fill that waits for hours"),
        "WorkGoneError",
    ),
    Bug(
        "photos in work not counted",
        lambda: patch.object(Progress, "in_work", lambda *_: 0),
        "duplicates: a budget that is nearly spent",
        duplicates("a budget that is nearly spent"),
        "3 masks were bought",
    ),
    Bug(
        "an execution's name without its claim",
        lambda: patch.object(Job, "execution_name", property(lambda job: f"{job.job_id}-{job.run}")),
        "a name that outlives its record",
        _name_outlives_its_record,
        "nobody waits",
    ),
    Bug(
        "each run with an account of its own",
        lambda: _next_run_is(_account_of_one_run),
        "duplicates: a request five times, then five at once",
        duplicates("a request five times, then five at once"),
        "paid twice",
    ),
    Bug(
        "only the last request remembered",
        lambda: patch.object(Job, "has_heard", lambda job, request_id: request_id in {"", job.request_id}),
        "duplicates: a request of an earlier run",
        duplicates("a request of an earlier run"),
        "the photos ended as",
    ),
    Bug(
        "an approval that buys the mask again",
        lambda: patch.object(approve_mask, "approved_run", _approved_without_its_mask),
        "duplicates: an approval five times, then five at once",
        duplicates("an approval five times, then five at once"),
        "3 jobs at Adobe",
    ),
    Bug(
        "a fill that nobody has approved",
        lambda: patch.object(Job, "awaits_review", property(lambda _: False)),
        "fault: the answer to the request for a mask is lost, where it is to be approved",
        faulty("mask-request/mask-objects/lost-202-to-approve"),
        "mask_ready",
    ),
    Bug(
        "a folder that every message publishes",
        lambda: patch.object(Progress, "claim_completion", lambda *_, **__: True),
        "duplicates: a folder whose photos trickle in",
        duplicates("a folder whose photos trickle in"),
        "the folder was published",
    ),
    Bug(
        "a folder published before it is quiet",
        lambda: patch.object(outcomes, "publish_folder", _folder_at_once),
        "duplicates: a folder whose photos trickle in",
        duplicates("a folder whose photos trickle in"),
        "nobody looks",
    ),
    Bug(
        "POSTs in flight forgotten by the next run",
        lambda: _next_run_is(_posts_in_flight_forgotten),
        "duplicates: runs that overlap",
        duplicates("runs that overlap"),
        "paid twice",
    ),
    Bug(
        "a retry that does not renew its record",
        lambda: patch.object(ledger_module, "job_update", _without_renewal),
        "duplicates: a record that would expire in mid-run",
        duplicates("a record that would expire in mid-run"),
        "lost its record",
    ),
    Bug(
        "a deadline that passes while waiting taken for a crash",
        lambda: patch.object(request_mask_step, "fail", _raise),
        "duplicates: a slot that comes after the deadline",
        duplicates("a slot that comes after the deadline"),
        "hang",
    ),
    Bug(
        "a request prepared after its slot",
        _prepared_after_its_slot,
        "duplicates: a request that takes long to prepare",
        duplicates("a request that takes long to prepare"),
        "after its slot",
    ),
    Bug(
        "a fault that is never an error",
        lambda: patch.object(_app(), "_RINGS_AT", 1000),
        "a function that fails in every call",
        _faults_are_errors,
        "silent",
    ),
)


def caught(make: MakeWalk, bug: Bug) -> str:
    """Return what is wrong with the catching of a bug; empty where its check complains of it, and of nothing without it."""
    content = bug.check(make)
    if content:
        return f"without the bug the check complains: {content}"
    with bug.plant():
        finding = bug.check(make)
    if not finding:
        return f"not caught by {bug.caught_by}"
    return "" if bug.finding in finding else f"caught for another reason: {finding}"


def run(report: Report, *, quick: bool) -> None:
    """Plant every bug; they are few and quick."""
    with world() as make:
        for bug in BUGS:
            report.checked("planted bugs", f"planted: {bug.name} (by {bug.caught_by})", wrong=caught(make, bug))
