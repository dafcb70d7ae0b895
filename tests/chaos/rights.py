"""Least privilege, tried: from each function's role one action at a time is taken away, and something must break.

The embedded AWS enforces what functions may do, so the deployed policy itself is changed, in the running stack, and put
back afterwards. What it does not enforce (KMS keys, roles of state machines, rules, queues) and what only a rare moment
needs is in ``UNTRIED`` with where it is proved instead; ``test_rights.py`` sees that nothing is in neither.
"""

from __future__ import annotations

import copy
import io
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from cleanplate.jobs.ledger import Ledger
from cleanplate.jobs.waiting_room import WAITING_IN, WAITING_PHOTOS, WaitingRoom
from cleanplate.uploads.messages import admitted_message
from local.adobe import Settings
from local.stack import LocalCloud
from tests.chaos.report import Report
from tests.end_to_end.conftest import OTHER_BUCKET, REQUESTS_PER_DAY, REQUESTS_PER_MINUTE, Dropped, System
from tests.integration.steps.walk import photo_bytes

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeNameType

#: Statement and action.
Right = tuple[str, str]
#: Does what needs the right; True where all went as it should.
Scenario = Callable[[System], bool]

_PATIENCE = 40.0
#: The end-to-end tests' own.
_WAIT_SCALE = 0.1
_UNREAD = {"do": "failed", "message": "Failed to download image"}
_DENIED = ("AccessDenied", "not authorized to perform", "Forbidden", "AuthorizationError")


@dataclass(frozen=True, slots=True)
class Trial:
    """One action of one statement of one function's role."""

    function: str
    sid: str
    action: str

    @property
    def name(self) -> str:
        return f"{self.function} without {self.action} ({self.sid})"


# --- what needs rights ----------------------------------------------------------------------------------------------


def a_photo_is_cleaned(system: System) -> bool:
    """Clean a photo, from its upload to its result."""
    return _outcome(system, photo_bytes()) == "cleaned"


def a_photo_is_cleaned_without_a_detour(system: System) -> bool:
    """Clean a photo, and see its execution end well: what one step could not publish, the one for failures would."""
    dropped = system.drop(photo_bytes(), _new_key())
    if _ended(system, dropped) != "cleaned":
        return False
    (snapshot,) = system.find(dropped)
    arn = system.execution_of(snapshot.job_id)
    describe = system.aws.client("stepfunctions").describe_execution
    _until(system, lambda: describe(executionArn=arn)["status"] != "RUNNING")
    return describe(executionArn=arn)["status"] == "SUCCEEDED"


def a_mask_is_offered(system: System) -> bool:
    """Buy only the mask of a photo, and show it before it is filled."""
    return _ended(system, system.drop(photo_bytes(), _new_key(), review="true")) == "mask_ready"


def a_photo_that_adobe_cannot_read_is_cleaned(system: System) -> bool:
    """Clean a photo of which Adobe reads a copy in the work bucket, by a link that the function signs."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(photo_bytes())) as image:
        image.convert("CMYK").save(out, "JPEG")
    return _outcome(system, out.getvalue()) == "cleaned"


def a_file_that_is_no_photo_is_refused(system: System) -> bool:
    """Refuse a file with a manifest and an event, by the first function alone."""
    return _outcome(system, b"no photo at all, and long enough to be looked at") == "failed"


def a_job_that_fails_at_adobe_is_recorded(system: System) -> bool:
    """Record a failure, by the last function on its way."""
    key = _new_key("failing")
    system.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": "failed", "photo": key})
    return _outcome(system, photo_bytes(), key) == "failed"


def a_photo_whose_link_adobe_could_not_read_is_cleaned(system: System) -> bool:
    """Clean a photo whose mask's job fails once for its link, which another function signs again."""
    key = _new_key("unread")
    system.adobe.add_rules({"route": "POST /v1/mask-objects", "photo": key, "times": 1, "fault": _UNREAD})
    return _outcome(system, photo_bytes(), key) == "cleaned"


def a_photo_waits_for_adobe(system: System) -> bool:
    """Clean a photo that is refused once for too many requests: it waits, though nobody had let photos in before."""
    _until(system, lambda: _leased_until(system) <= time.time())
    key = _new_key("patient")
    rule = {"route": "POST /v1/mask-objects", "photo": key, "times": 1}
    system.adobe.add_rules({**rule, "fault": {"do": "too_many_requests", "retry_after": 1}})
    return _outcome(system, photo_bytes(), key) == "cleaned"


def a_photo_waits_where_the_limiter_is_lost(system: System) -> bool:
    """Delete the rate limiter's item while a photo waits that was refused for too many requests."""
    key = _new_key("patient")
    rule = {"route": "POST /v1/mask-objects", "photo": key, "times": 1}
    system.adobe.add_rules({**rule, "fault": {"do": "too_many_requests", "retry_after": 15}})
    dropped = system.drop(photo_bytes(), key)
    client, table = system.aws.client("dynamodb"), system.stack.jobs_table

    def waits() -> bool:
        return bool(
            client.query(
                TableName=table,
                IndexName=WAITING_PHOTOS,
                KeyConditionExpression=f"{WAITING_IN} = :in",
                ExpressionAttributeValues={":in": {"S": "normal/mask-objects"}},
            )["Items"]
        )

    _until(system, waits)
    _delete_the_limiter(system)
    return _ended(system, dropped) == "cleaned"


def a_message_comes_back_after_a_fault(system: System) -> bool:
    """Send a message about a record that nobody can read; it is gone long before the message would be seen again."""
    client, table = system.aws.client("dynamodb"), system.stack.jobs_table
    sqs, lambdas = system.aws.client("sqs"), system.aws.client("lambda")
    about = lambdas.get_function_configuration(FunctionName=system.stack.functions["RequestMaskFunction"])
    queue = about["Environment"]["Variables"]["ADMITTED_QUEUE_URL"]
    key = {"job_id": {"S": f"rights-{uuid.uuid4().hex}"}}
    counts: Sequence[QueueAttributeNameType] = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")

    def left() -> list[int]:
        found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=counts)["Attributes"]
        return [int(found[count]) for count in counts]

    client.put_item(TableName=table, Item=key)
    try:
        sqs.send_message(QueueUrl=queue, MessageBody=admitted_message(key["job_id"]["S"], 0.0))
        # Received, and not done with: nobody has read the record.
        hidden = _until(system, lambda: left()[1] > 0) and not _until(system, lambda: not any(left()), patience=3.0)
    finally:
        client.delete_item(TableName=table, Key=key)
    return hidden and _until(system, lambda: not any(left()))


def admitting_is_started_again(system: System) -> bool:
    """Let the sweeper start another execution that lets photos in, where one waits and the first is gone."""
    client, table = system.aws.client("dynamodb"), system.stack.jobs_table
    _until(system, lambda: _leased_until(system) <= time.time())
    # Put off, but not for so long that the execution would still be there in the next trial.
    key, later = {"job_id": {"S": f"rights-{uuid.uuid4().hex}"}}, {"N": str(time.time() + 20)}
    waiting = {WAITING_IN: {"S": "normal/mask-objects"}, "not_before": later, "deadline_at": later}
    client.put_item(TableName=table, Item={**key, **waiting, "turn": {"N": "1"}, "entered_at": {"N": "1"}})
    try:
        answer = _invoke(system, "SweepJobsFunction", {})
        return answer is not None and _until(system, lambda: _leased_until(system) > time.time())
    finally:
        client.delete_item(TableName=table, Key=key)


def _leased_until(system: System) -> float:
    return WaitingRoom(system.aws.client("dynamodb"), table=system.stack.jobs_table, routes=()).lease().until


def an_unreadable_message_is_set_aside(system: System) -> bool:
    """Find an unreadable message among the dead letters."""
    sqs, dead = system.aws.client("sqs"), system.stack.dead_letter_queue_url
    words = f"unreadable {uuid.uuid4().hex}"
    sqs.send_message(QueueUrl=system.stack.uploads_queue_url, MessageBody=words)

    def lies_there() -> bool:
        answer = sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return any(words in message["Body"] for message in answer.get("Messages", []))

    return _until(system, lies_there)


def a_stray_request_is_answered(system: System) -> bool:
    """Refuse a request that names a bucket of nobody's."""
    correlation_id = uuid.uuid4().hex
    detail = {"bucket": "a-bucket-of-nobodys", "key": "dog.jpg", "correlation_id": correlation_id}
    system.aws.client("events").put_events(
        Entries=[{"Source": "a.shop", "DetailType": "Photo Cleaning Requested", "Detail": json.dumps(detail)}]
    )
    try:
        return bool(system.refused(correlation_id))
    except AssertionError:
        return False


def dead_letters_are_redriven(system: System) -> bool:
    """Redrive one dead letter at least."""
    system.aws.client("sqs").send_message(
        QueueUrl=system.stack.dead_letter_queue_url, MessageBody=json.dumps({"Event": "s3:TestEvent"})
    )
    return bool(_invoke(system, "RedriveMessagesFunction", {}))


def a_photo_in_a_bucket_without_versions_is_cleaned(system: System) -> bool:
    """Clean a photo that is read by its key alone."""
    return _is_cleaned_without_versions(system, _new_key())


def a_link_without_a_version_is_signed_again(system: System) -> bool:
    """Clean such a photo where Adobe could not read the first link."""
    key = _new_key("unread")
    system.adobe.add_rules({"route": "POST /v1/mask-objects", "photo": key, "times": 1, "fault": _UNREAD})
    return _is_cleaned_without_versions(system, key)


def a_folder_has_its_page(system: System) -> bool:
    """Write the page of a folder that is done, with small pictures of its photos."""
    return _has_page(system, {"folder": _folder(system)})


def a_folder_of_a_bucket_without_versions_has_its_page(system: System) -> bool:
    """Write the page of a folder whose photos are read by their keys alone."""
    folder = f"rights-{uuid.uuid4().hex}/"
    return _is_cleaned_without_versions(system, f"{folder}a.jpg") and _has_page(
        system, {"bucket": OTHER_BUCKET, "folder": folder}
    )


def _has_page(system: System, asked: Mapping[str, str]) -> bool:
    answer = _invoke(system, "WriteFolderPageFunction", asked)
    return answer is not None and answer["pages"] == 1


def _is_cleaned_without_versions(system: System, key: str) -> bool:
    s3 = system.aws.client("s3")
    if OTHER_BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=OTHER_BUCKET)
    s3.put_object(Bucket=OTHER_BUCKET, Key=key, Body=photo_bytes())
    detail = json.dumps({"bucket": OTHER_BUCKET, "key": key})
    system.aws.client("events").put_events(
        Entries=[{"Source": "a.shop", "DetailType": "Photo Cleaning Requested", "Detail": detail}]
    )
    return _ended(system, Dropped(key, "")) == "cleaned"


def a_photo_is_cleaned_where_the_limiter_is_lost_before_its_fill(system: System) -> bool:
    """Delete the rate limiter's item between the refusal of a fill and its next try."""
    key = _new_key()
    rule = {"route": "POST /v1/fill-masked-areas", "photo": key, "times": 1}
    system.adobe.add_rules({**rule, "fault": {"do": "too_many_requests", "retry_after": 3}})
    dropped = system.drop(photo_bytes(), key)
    ledger = Ledger(system.aws.client("dynamodb"), table=system.stack.jobs_table, record_days=1)

    def was_refused() -> bool:
        jobs = [ledger.get(snapshot.job_id) for snapshot in system.find(dropped)]
        return any(job and "fill-1" in job.adobe_requests and job.adobe_requests["fill-1"].refusals for job in jobs)

    _until(system, was_refused)
    _delete_the_limiter(system)
    return _ended(system, dropped) == "cleaned"


def a_photo_is_cleaned_where_the_limiter_is_lost_meanwhile(system: System) -> bool:
    """Delete the rate limiter's item while Adobe makes the mask."""
    key = _new_key()
    dropped = _drop_slow(system, key)
    _until(system, lambda: any(snapshot.status == "masking" for snapshot in system.find(dropped)))
    _delete_the_limiter(system)
    return _ended(system, dropped) == "cleaned"


def a_late_photo_is_ended(system: System) -> bool:
    """Let the sweeper end a photo that is late, and stop its execution."""
    # Or the execution would be the first to see that it is late, as it may even so.
    system.aws.set_wait_scale(2.0)
    try:
        swept = (_sweep_late_photo(system) for _ in range(3))
        return next((answer for answer in swept if answer != "early"), "") == "swept"
    finally:
        system.aws.set_wait_scale(_WAIT_SCALE)


def _sweep_late_photo(system: System) -> Literal["swept", "early", "refused"]:
    """Return how it went; ``early`` where the execution saw it first."""
    dropped = _drop_slow(system, _new_key(), seconds=600)
    if not _until(system, lambda: any(one.stage == "Adobe makes the mask" for one in system.find(dropped))):
        return "refused"
    (snapshot,) = system.find(dropped)
    # As if Adobe's answer had been lost days ago; the time of the claim stays, as the execution is named by it.
    system.aws.client("dynamodb").update_item(
        TableName=system.stack.jobs_table,
        Key={"job_id": {"S": snapshot.job_id}},
        UpdateExpression="SET due_at = :past, deadline_at = :past, adobe_requests.mask.intent_at = :past "
        "REMOVE adobe_requests.mask.adobe_job",
        ExpressionAttributeValues={":past": {"N": "1000"}},
    )
    answer = _invoke(system, "SweepJobsFunction", {})
    if answer is not None and not answer["swept"]:
        return "early"
    return "swept" if answer is not None and _ended(system, dropped) == "failed" else "refused"


def the_account_is_found_in_order(system: System) -> bool:
    """Make every check of the account; each needs a right of its own."""
    answer = _invoke(system, "CheckAccountFunction", {})
    return isinstance(answer, dict) and answer.get("ok") is True


def _drop_slow(system: System, key: str, seconds: float = 2.0) -> Dropped:
    action = {"do": "duration", "seconds": seconds}
    system.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": action, "photo": key})
    return system.drop(photo_bytes(), key)


def _delete_the_limiter(system: System) -> None:
    client, table = system.aws.client("dynamodb"), system.stack.jobs_table
    for item in client.scan(TableName=table, ProjectionExpression="job_id")["Items"]:
        if item["job_id"]["S"].startswith("limiter#"):
            client.delete_item(TableName=table, Key={"job_id": item["job_id"]})


def _answers(function: str, make: Callable[[System], Mapping[str, Any]]) -> Scenario:
    def scenario(system: System) -> bool:
        return _invoke(system, function, make(system)) is not None

    scenario.__doc__ = f"{function} answers."
    return scenario


def _folder(system: System) -> str:
    """Return a folder in which a photo was seen."""
    name = f"rights-{uuid.uuid4().hex}/"
    system.clean(photo_bytes(), f"{name}a.jpg")
    return name


def _to_retry(system: System, confirm: int | None) -> dict[str, Any]:
    folder = f"rights-{uuid.uuid4().hex}/"
    system.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": "failed", "photo": folder})
    system.clean(photo_bytes(), f"{folder}a.jpg")
    asked = {"bucket": "", "prefix": folder, "reason": "", "confirm": confirm, "retry_id": uuid.uuid4().hex}
    return {"asked": asked, "after": "", "sent": 0, "failed_for": {}}


_REPORT = _answers("ReportProgressFunction", lambda system: {"folder": _folder(system)})
_COUNT = _answers(
    "CountPhotosFunction",
    lambda system: {
        "asked": {"bucket": system.stack.uploads_bucket, "prefix": _unsent(system)},
        "after": {},
        "counted": {},
    },
)
_SEND = _answers(
    "SendPhotosFunction",
    lambda system: {
        "bucket": system.stack.uploads_bucket,
        "prefix": _unsent(system),
        "after": {},
        "sent": 0,
        "confirm": 9,
        "ahead_hours": 12,
    },
)


def _unsent(system: System) -> str:
    """Return a folder with a photo of which no job is known, as its notification was lost."""
    folder = f"rights-{uuid.uuid4().hex}/"
    s3, bucket = system.aws.client("s3"), system.stack.uploads_bucket
    answer: dict[str, Any] = {**s3.get_bucket_notification_configuration(Bucket=bucket)}
    kept: Any = {name: about for name, about in answer.items() if name != "ResponseMetadata"}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    try:
        system.drop(photo_bytes(), f"{folder}a.jpg")
    finally:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=kept)
    return folder


#: What a function does most of the time, or all of it.
USUAL: dict[str, Scenario] = {
    "RequestMaskFunction": a_photo_is_cleaned,
    "AdmitPhotosFunction": a_photo_waits_for_adobe,
    "CheckJobFunction": a_photo_is_cleaned,
    "FillMaskedAreasFunction": a_photo_is_cleaned,
    "SaveResultFunction": a_photo_is_cleaned,
    "RecordFailureFunction": a_job_that_fails_at_adobe_is_recorded,
    "ReportProgressFunction": _REPORT,
    "CountPhotosFunction": _COUNT,
    "SendPhotosFunction": _SEND,
    "RetryPhotosFunction": _answers("RetryPhotosFunction", lambda system: _to_retry(system, 1)),
    "RedriveMessagesFunction": dead_letters_are_redriven,
    "SweepJobsFunction": a_late_photo_is_ended,
    "WriteFolderPageFunction": a_folder_has_its_page,
    "CheckAccountFunction": the_account_is_found_in_order,
}

#: What its usual work does not need.
SPECIAL: dict[Trial, Scenario] = {
    Trial("RequestMaskFunction", "KeepWork", "s3:GetObject"): a_photo_that_adobe_cannot_read_is_cleaned,
    Trial("RequestMaskFunction", "KeepWork", "s3:PutObject"): a_photo_that_adobe_cannot_read_is_cleaned,
    Trial("RequestMaskFunction", "WriteResults", "s3:PutObject"): a_file_that_is_no_photo_is_refused,
    Trial("RequestMaskFunction", "PublishOutcome", "events:PutEvents"): a_file_that_is_no_photo_is_refused,
    Trial("RequestMaskFunction", "SeeWhoTakesRequests", "events:ListRules"): a_stray_request_is_answered,
    Trial("RequestMaskFunction", "ReturnMessagesAfterFaults", "sqs:ChangeMessageVisibility"): (
        a_message_comes_back_after_a_fault
    ),
    Trial("RequestMaskFunction", "OpenWaitingRoom", "states:StartExecution"): a_photo_waits_for_adobe,
    Trial("AdmitPhotosFunction", "WriteJobsAndTakeSlots", "dynamodb:PutItem"): a_photo_waits_where_the_limiter_is_lost,
    Trial("SweepJobsFunction", "OpenWaitingRoom", "states:StartExecution"): admitting_is_started_again,
    Trial("CheckJobFunction", "ReadPhotos", "s3:GetObject"): a_link_without_a_version_is_signed_again,
    Trial("CheckJobFunction", "ReadPhotos", "s3:GetObjectVersion"): a_photo_whose_link_adobe_could_not_read_is_cleaned,
    Trial("CheckJobFunction", "WriteJobsAndTakeSlots", "dynamodb:PutItem"): (
        a_photo_is_cleaned_where_the_limiter_is_lost_meanwhile
    ),
    Trial("FillMaskedAreasFunction", "WriteJobsAndTakeSlots", "dynamodb:PutItem"): (
        a_photo_is_cleaned_where_the_limiter_is_lost_before_its_fill
    ),
    Trial("FillMaskedAreasFunction", "ReadPhotos", "s3:GetObject"): a_photo_in_a_bucket_without_versions_is_cleaned,
    Trial("WriteFolderPageFunction", "ReadPhotos", "s3:GetObject"): a_folder_of_a_bucket_without_versions_has_its_page,
    Trial("SaveResultFunction", "PublishOutcome", "events:PutEvents"): a_photo_is_cleaned_without_a_detour,
    Trial("RequestMaskFunction", "LookAtFoldersWhenQuiet", "sqs:SendMessage"): a_file_that_is_no_photo_is_refused,
    Trial("SaveResultFunction", "LookAtFoldersWhenQuiet", "sqs:SendMessage"): a_photo_is_cleaned_without_a_detour,
    Trial("SaveResultFunction", "ReadMasks", "s3:GetObject"): a_mask_is_offered,
    Trial("SaveResultFunction", "ReadPhotos", "s3:GetObject"): a_photo_in_a_bucket_without_versions_is_cleaned,
    Trial("RequestMaskFunction", "SetUnreadableMessagesAside", "sqs:SendMessage"): an_unreadable_message_is_set_aside,
}

#: Statement and action, of one function or of all ("*"): where it is proved instead.
UNTRIED: dict[Trial, str] = {
    **{
        Trial("*", sid, action): "the embedded AWS asks no key: tests/template/test_keys.py"
        for sid in ("UseKey", "UseBucketKeys", "ReadWithKey", "ReadWithBucketKeys", "WriteWithBucketKeys")
        for action in ("kms:Decrypt", "kms:GenerateDataKey")
    },
    **{
        Trial("*", sid, action): "the embedded AWS asks nobody for this: tests/template/test_rights.py"
        for sid, actions in {
            "SeeQuota": ("lambda:GetAccountSettings",),
            "Trace": ("xray:PutTelemetryRecords", "xray:PutTraceSegments"),
            "WriteLogs": ("logs:CreateLogStream", "logs:PutLogEvents"),
            "TakeMessages": ("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"),
        }.items()
        for action in actions
    },
    **{
        Trial("*", sid, "s3:ListBucket"): (
            "the embedded AWS says 404 of what is not there, whoever asks; S3 says 403 to those who may not list: "
            "tests/template/test_rights.py"
        )
        for sid in ("TellMissingFromForbidden", "TellUnkeptFromForbidden", "TellUnwrittenFromForbidden")
    },
}


# --- taking away ----------------------------------------------------------------------------------------------------


def trials(system: System) -> list[Trial]:
    """Return every action of every statement of every function's deployed role."""
    found = []
    for function in sorted(system.stack.functions):
        for _, document in _policies(system, function):
            found += [
                Trial(function, rule["Sid"], action)
                for rule in document["Statement"]
                for action in _list(rule["Action"])
            ]
    return found


def is_untried(trial: Trial) -> str:
    """Return where it is proved instead, or nothing."""
    return UNTRIED.get(trial) or UNTRIED.get(Trial("*", trial.sid, trial.action), "")


def scenario_of(trial: Trial) -> Scenario:
    """Return what must break without the right."""
    return SPECIAL.get(trial) or USUAL[trial.function]


@contextmanager
def without(system: System, trial: Trial) -> Iterator[None]:
    """Take this one action from the role in the running stack."""
    iam, role = system.aws.client("iam"), _role(system, trial.function)
    before = _policies(system, trial.function)
    for name, document in before:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(_less(document, trial)))
    _restart(system, trial.function)
    try:
        yield
    finally:
        for name, document in before:
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))
        _restart(system, trial.function)
        system.adobe.clear_rules()
        _settle(system)


def _settle(system: System, deadline: float = 30.0) -> None:
    """Wait until nobody speaks of this refusal any more, or it would be taken for the next one."""
    client, machine = system.aws.client("stepfunctions"), system.stack.state_machine_arn
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        logs = _Logs(system)
        running = client.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
        time.sleep(0.5)
        if not running and not logs.denial():
            return


def _less(document: Mapping[str, Any], trial: Trial) -> dict[str, Any]:
    less = copy.deepcopy(dict(document))
    for rule in less["Statement"]:
        if rule["Sid"] == trial.sid:
            # A statement of nothing is none; this one allows what nobody asks for.
            rule["Action"] = [one for one in _list(rule["Action"]) if one != trial.action] or ["sts:GetSessionToken"]
    return less


def _restart(system: System, function: str) -> None:
    """End processes that are kept warm: they remember secrets and tokens."""
    client, name = system.aws.client("lambda"), system.stack.functions[function]
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    variables["RESTARTED"] = uuid.uuid4().hex
    client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


def _policies(system: System, function: str) -> list[tuple[str, dict[str, Any]]]:
    iam, role = system.aws.client("iam"), _role(system, function)
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    return [(name, iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]) for name in names]


def _role(system: System, function: str) -> str:
    name = system.stack.functions[function]
    return str(system.aws.client("lambda").get_function_configuration(FunctionName=name)["Role"].rpartition("/")[2])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# --- watching -------------------------------------------------------------------------------------------------------


def _outcome(system: System, content: bytes, key: str = "") -> str:
    """Return how a photo ended; ``denied`` as soon as a function says so, and nothing where nothing came of it in time."""
    return _ended(system, system.drop(content, key or _new_key()))


def _new_key(name: str = "dog") -> str:
    """Return the key of a photo in a folder of its own, which is done when the photo is."""
    return f"rights/{uuid.uuid4().hex}/{name}.jpg"


def _ended(system: System, dropped: Dropped) -> str:
    ended: list[str] = []

    def look() -> bool:
        ended[:] = [snapshot.status for snapshot in system.find(dropped) if snapshot.ended]
        return bool(ended)

    return ended[0] if _until(system, look) else "denied"


def _until(system: System, done: Callable[[], bool], patience: float = _PATIENCE) -> bool:
    """Return whether it came about; not, as soon as a log speaks of a refusal."""
    logs = _Logs(system)
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if done():
            return True
        if logs.denial():
            return False
        time.sleep(0.2)
    return False


class _Logs:
    """Read what was logged since: by the server, and by the functions that the state machine calls."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._begun = system.aws.log.stat().st_size
        self._since = int(time.time() * 1000)

    def denial(self) -> bool:
        """Return whether a call was refused."""
        with self._system.aws.log.open("rb") as log:
            log.seek(self._begun)
            text = log.read().decode(errors="replace")
        if any(word in text for word in _DENIED):
            return True
        logs = self._system.aws.client("logs")
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        return any(
            word in event["message"]
            for group in groups
            for event in logs.filter_log_events(logGroupName=group, startTime=self._since)["events"]
            for word in _DENIED
        )


def _invoke(system: System, function: str, event: Mapping[str, Any]) -> Any:
    """Return the function's answer, or None where it failed."""
    answer = system.aws.client("lambda").invoke(
        FunctionName=system.stack.functions[function], Payload=json.dumps(event).encode()
    )
    return None if answer.get("FunctionError") else json.loads(answer["Payload"].read())


def run(report: Report, *, quick: bool) -> None:
    """Try every right of every function; the end-to-end tests have a part of it."""
    if quick:
        return
    adobe = Settings(port=0, allow_loopback=True, duration=0.2, pixels="fast", limits=False, quiet=True)
    parameters = {
        "CountPolls": "false",
        "RequestsPerMinute": str(REQUESTS_PER_MINUTE),
        "RequestsPerDay": str(REQUESTS_PER_DAY),
        "OtherBucket": OTHER_BUCKET,
        # That a folder is done comes by a message, as in a stack that people use.
        "FolderQuietSeconds": "1",
    }
    with LocalCloud(adobe=adobe, wait_scale=_WAIT_SCALE, parameters=parameters) as cloud:
        system = System(cloud)
        wanted = [trial for trial in trials(system) if not is_untried(trial)]
        for scenario in dict.fromkeys(map(scenario_of, wanted)):
            worked = scenario(system)
            system.adobe.clear_rules()
            name = str(scenario.__doc__).split("\n")[0]
            report.checked("rights", f"with every right: {name}", wrong="" if worked else "does not work")
        for trial in wanted:
            with without(system, trial):
                worked = scenario_of(trial)(system)
            report.checked("rights", trial.name, wrong="nothing breaks: is it needed?" if worked else "")
