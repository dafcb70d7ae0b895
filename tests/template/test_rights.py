"""Who may do what: the rights of every role are those in the table below, which says what each is for."""

from __future__ import annotations

from typing import Any

import pytest

from local.dev.world import World, worlds

Template = dict[str, Any]
Rights = dict[tuple[str, str], str]

_READ_PHOTOS: Rights = {
    ("s3:GetObject", "arn:aws:s3:::UploadsBucket/*"): "the photo, its sidecar and its own mask; HEAD counts as GET",
    ("s3:GetObjectVersion", "arn:aws:s3:::UploadsBucket/*"): "the very version that was uploaded, also by signed link",
    ("s3:ListBucket", "arn:aws:s3:::UploadsBucket"): "without it S3 says 403 where an object is gone, not 404",
}
_READ_WORK: Rights = {
    ("s3:GetObject", "WorkBucket.Arn/jobs/*"): "what an earlier step kept",
    ("s3:ListBucket", "WorkBucket.Arn"): "without it S3 says 403 where nothing was kept, not 404",
}
_KEEP_WORK: Rights = {("s3:PutObject", "WorkBucket.Arn/jobs/*"): "what a later step needs"}
_READ_MASKS: Rights = {("s3:GetObject", "WorkBucket.Arn/masks/*"): "masks that were paid for"}
_KEEP_MASKS: Rights = {("s3:PutObject", "WorkBucket.Arn/masks/*"): "masks outlive the photo's deadline"}
_JOBS: Rights = {
    ("dynamodb:GetItem", "JobsTable.Arn"): "the job",
    ("dynamodb:UpdateItem", "JobsTable.Arn"): "what became of it",
}
_SLOTS: Rights = {("dynamodb:PutItem", "JobsTable.Arn"): "the limiter writes its item whole"}
_ADOBE: Rights = {("secretsmanager:GetSecretValue", "AdobeSecret"): "the token for Adobe's API"}
_TELL: Rights = {
    ("s3:PutObject", "arn:aws:s3:::ResultsBucket/*"): "the manifest",
    ("events:PutEvents", "arn:aws:events:us-east-1:123456789012:event-bus/default"): "the outcome",
}
_SEE_PROGRESS: Rights = {
    ("dynamodb:BatchGetItem", "JobsTable.Arn"): "counts of folders, and which photos have a job",
    ("dynamodb:GetItem", "JobsTable.Arn"): "the limiter's item",
    ("sqs:GetQueueAttributes", "UploadsQueue.Arn"): "how many messages nobody has looked at",
}
_LIST_PHOTOS: Rights = {
    ("s3:ListBucketVersions", "arn:aws:s3:::UploadsBucket"): "what the bucket holds, with the versions",
}
_TAKE_MESSAGES: Rights = {
    (action, f"{queue}.Arn"): reason
    for queue in ("UploadsQueue", "AdmittedQueue")
    for action, reason in {
        "sqs:ReceiveMessage": "Lambda takes the messages with the function's own rights",
        "sqs:DeleteMessage": "what is done is done",
        "sqs:GetQueueAttributes": "how many there are",
        "sqs:ChangeMessageVisibility": "after a fault a message comes back soon, and later each time",
    }.items()
}
_LOOK_LATER: Rights = {("sqs:SendMessage", "AdmittedQueue.Arn"): "has a folder looked at once it has been quiet"}
_COUNT_IN_WORK: Rights = {("dynamodb:BatchGetItem", "JobsTable.Arn"): "how many photos are in work"}
_SEE_WAITING: Rights = {("dynamodb:Query", "JobsTable.Arn/index/WaitingPhotos"): "who waits, in order"}
_OPEN_ROOM: Rights = {("states:StartExecution", "WaitingRoomStateMachine"): "somebody must let waiting photos in"}
_EXECUTIONS = "arn:aws:states:us-east-1:123456789012:execution:CleanPhotoStateMachine.Name:*"

RIGHTS: dict[str, Rights] = {
    "RequestMaskFunction": {
        **_TAKE_MESSAGES,
        **_READ_PHOTOS,
        **_READ_WORK,
        **_COUNT_IN_WORK,
        **_OPEN_ROOM,
        **_KEEP_WORK,
        **_JOBS,
        **_SLOTS,
        **_ADOBE,
        **_TELL,
        **_LOOK_LATER,
        ("states:StartExecution", "CleanPhotoStateMachine"): "starts the workflow",
        ("events:ListRules", "*"): "whose a request is where several stacks share a bus",
        ("sqs:SendMessage", "DeadLetterQueue.Arn"): "sets a message aside that nobody can read",
    },
    "AdmitPhotosFunction": {
        **_JOBS,
        **_SLOTS,
        **_COUNT_IN_WORK,
        **_SEE_WAITING,
        ("sqs:SendMessage", "AdmittedQueue.Arn"): "lets a photo in",
    },
    "CheckJobFunction": {
        **_READ_PHOTOS,
        **_READ_WORK,
        **_KEEP_WORK,
        **_READ_MASKS,
        **_KEEP_MASKS,
        **_JOBS,
        **_SLOTS,
        **_ADOBE,
    },
    "FillMaskedAreasFunction": {**_READ_PHOTOS, **_READ_WORK, **_READ_MASKS, **_KEEP_WORK, **_JOBS, **_SLOTS, **_ADOBE},
    "SaveResultFunction": {
        **_READ_PHOTOS,
        **_READ_WORK,
        **_READ_MASKS,
        **_JOBS,
        **_TELL,
        **_LOOK_LATER,
        ("s3:GetObject", "arn:aws:s3:::ResultsBucket/*"): "sees that the result is there, and takes its digest",
        ("s3:ListBucket", "arn:aws:s3:::ResultsBucket"): "without it S3 says 403 where the result is not there",
    },
    "RecordFailureFunction": {**_JOBS, **_TELL, **_LOOK_LATER},
    "WriteFolderPageFunction": {
        **_READ_PHOTOS,
        ("s3:ListBucket", "arn:aws:s3:::ResultsBucket"): "what lies in the folder",
        ("s3:GetObject", "arn:aws:s3:::ResultsBucket/*"): "manifests, results, and its own earlier pages",
        ("s3:PutObject", "arn:aws:s3:::ResultsBucket/*_cleanplate*.html"): "its pages, and nothing else",
    },
    "SweepJobsFunction": {
        **_JOBS,
        **_SEE_WAITING,
        **_OPEN_ROOM,
        **_TELL,
        **_LOOK_LATER,
        ("dynamodb:Query", "JobsTable.Arn/index/OpenJobs"): "finds late jobs, and reads no others",
        ("states:DescribeExecution", _EXECUTIONS): "why it ended, where nobody could write it down",
        ("states:StopExecution", _EXECUTIONS): "one that is late goes on no longer",
    },
    "ReportProgressFunction": _SEE_PROGRESS,
    "CountPhotosFunction": {**_SEE_PROGRESS, **_LIST_PHOTOS},
    "SendPhotosFunction": {
        **_SEE_PROGRESS,
        **_LIST_PHOTOS,
        ("sqs:SendMessage", "UploadsQueue.Arn"): "tells of photos as S3 does of new ones",
    },
    "RetryPhotosFunction": {
        ("dynamodb:Scan", "JobsTable.Arn"): "finds failed photos, page by page",
        ("dynamodb:GetItem", "JobsTable.Arn"): "the rate limiter's item",
        ("dynamodb:BatchGetItem", "JobsTable.Arn"): "how many photos wait",
        ("sqs:GetQueueAttributes", "UploadsQueue.Arn"): "how many more the queue may take",
        ("sqs:SendMessage", "UploadsQueue.Arn"): "asks for another run",
    },
    "CheckAccountFunction": {
        **_ADOBE,
        **_KEEP_WORK,
        **{
            ("s3:GetObject", objects): "a signed link of each bucket is fetched back"
            for objects in ("arn:aws:s3:::UploadsBucket/*", "arn:aws:s3:::ResultsBucket/*", "WorkBucket.Arn/jobs/*")
        },
        **{
            (action, bucket): "region, key, notifications, and something to fetch"
            for action in ("s3:GetBucketNotification", "s3:GetEncryptionConfiguration", "s3:ListBucket")
            for bucket in ("arn:aws:s3:::UploadsBucket", "arn:aws:s3:::ResultsBucket", "WorkBucket.Arn")
        },
        ("sns:ListSubscriptionsByTopic", "NotificationsTopic"): "who hears of alarms",
        ("lambda:GetAccountSettings", "*"): "how many functions may run at once",
    },
    "RedriveMessagesFunction": {
        ("sqs:ReceiveMessage", "DeadLetterQueue.Arn"): "takes dead letters",
        ("sqs:DeleteMessage", "DeadLetterQueue.Arn"): "removes them once they are sent",
        ("sqs:GetQueueAttributes", "DeadLetterQueue.Arn"): "how many there are",
        ("sqs:SendMessage", "UploadsQueue.Arn"): "sends them once more",
    },
}
#: Which tell of a bucket and change nothing.
LOOKS = {"s3:GetBucketNotification", "s3:GetEncryptionConfiguration"}
#: A statement on every resource needs its reason here.
TRACES: Rights = {
    ("xray:PutTraceSegments", "*"): "X-Ray knows no resources",
    ("xray:PutTelemetryRecords", "*"): "X-Ray knows no resources",
}
WILDCARDS = (
    {
        (f"{machine}StateMachineRole", "DeliverLogsAndTraces"): "log delivery and X-Ray know no resources"
        for machine in ("CleanPhoto", "WaitingRoom", "Backfill", "RetryFailedPhotos")
    }
    | {(f"{function}Role", "Trace"): "X-Ray knows no resources" for function in RIGHTS}
    | {("RequestMaskFunctionRole", "SeeWhoTakesRequests"): "rules of a bus are listed all or none"}
    | {("CheckAccountFunctionRole", "SeeQuota"): "the account's settings are no resource"}
    | {
        (
            "SweepJobsFunctionRole",
            "StopLateExecutions",
        ): "executions are named by their jobs; all are of this one machine"
    }
)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for policy in role.get("Policies", []) for rule in policy["PolicyDocument"]["Statement"]]


def _rights(role: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (action, resource)
        for rule in _statements(role)
        for action in _list(rule["Action"])
        for resource in _list(rule["Resource"])
    }


def test_every_function_has_the_rights_that_its_code_uses_and_no_other(template: Template) -> None:
    roles = World(template).of_type("AWS::IAM::Role")
    for name, role in roles.items():
        if not name.endswith("StateMachineRole"):
            function = name.removesuffix("Role")
            logs = f"{function.removesuffix('Function')}LogGroup.Arn"
            writes_logs = {("logs:CreateLogStream", logs), ("logs:PutLogEvents", logs)}
            assert _rights(role) == RIGHTS[function].keys() | TRACES.keys() | writes_logs, name


def test_every_function_has_a_role_to_itself(template: Template) -> None:
    functions = World(template).of_type("AWS::Lambda::Function")
    assert {name: function["Role"] for name, function in functions.items()} == {
        name: f"{name}Role.Arn" for name in functions
    }


def test_no_role_has_a_policy_that_aws_writes(template: Template) -> None:
    """Those that SAM adds let a function read every queue and write every log of the account."""
    for name, role in World(template).of_type("AWS::IAM::Role").items():
        assert "ManagedPolicyArns" not in role, name


def test_rights_on_everything_have_a_written_reason(template: Template) -> None:
    for name, role in World(template).of_type("AWS::IAM::Role").items():
        for rule in _statements(role):
            assert not [action for action in _list(rule["Action"]) if "*" in action], name
            if any(resource.strip("*") == "" or resource.endswith(":*") for resource in _list(rule["Resource"])):
                assert (name, rule["Sid"]) in WILDCARDS


def test_rights_follow_the_buckets_whether_new_or_existing(template: Template) -> None:
    for world in worlds(template):
        uploads = world.parameters["ExistingUploadsBucket"] or "UploadsBucket"
        results = world.parameters["ExistingResultsBucket"] or "ResultsBucket"
        saving = _rights(world.of_type("AWS::IAM::Role")["SaveResultFunctionRole"])
        assert ("s3:GetObjectVersion", f"arn:aws:s3:::{uploads}/*") in saving
        assert ("s3:PutObject", f"arn:aws:s3:::{results}/*") in saving


def test_no_function_may_write_where_photos_are_uploaded(template: Template) -> None:
    for world in worlds(template):
        uploads = world.parameters["ExistingUploadsBucket"] or "UploadsBucket"
        for name, role in world.of_type("AWS::IAM::Role").items():
            writing = {action for action, resource in _rights(role) if f":{uploads}" in resource}
            assert (
                writing <= {"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketVersions"} | LOOKS
            ), name


def test_every_machine_may_invoke_exactly_the_functions_that_it_calls(template: Template) -> None:
    world = World(template)
    for name, definition in world.machines.items():
        called = {
            state["Arguments"]["FunctionName"] for state in definition["States"].values() if state["Type"] == "Task"
        }
        role = world.of_type("AWS::IAM::Role")[f"{name}Role"]
        assert {resource for action, resource in _rights(role) if action == "lambda:InvokeFunction"} == called, name
        assert world.of_type("AWS::StepFunctions::StateMachine")[name]["RoleArn"] == f"{name}Role.Arn"


def test_every_role_can_be_taken_by_its_own_service_alone(template: Template) -> None:
    for name, role in World(template).of_type("AWS::IAM::Role").items():
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        service = "states.amazonaws.com" if "StateMachine" in name else "lambda.amazonaws.com"
        assert _list(trust["Principal"]["Service"]) == [service], name


def test_a_rule_may_reach_its_target(template: Template) -> None:
    for world in worlds(template):
        permitted = {
            (permission["FunctionName"], permission["SourceArn"])
            for permission in world.of_type("AWS::Lambda::Permission").values()
        }
        for name, rule in world.of_type("AWS::Events::Rule").items():
            for target in rule["Targets"]:
                to = target["Arn"].removesuffix(".Arn")
                if "RoleArn" in target:
                    (rule_of_role,) = _statements(
                        world.of_type("AWS::IAM::Role")[target["RoleArn"].removesuffix(".Arn")]
                    )
                    assert f"/{to}/" in rule_of_role["Resource"], name
                elif to.endswith("Function"):
                    assert (to, f"{name}.Arn") in permitted, name
                else:
                    assert to in {"UploadsQueue", "NotificationsTopic"}, f"{name}: who lets it reach {to}?"


@pytest.mark.parametrize("service", ["s3.amazonaws.com", "events.amazonaws.com"])
def test_the_queue_accepts_messages_from_this_account_alone(template: Template, service: str) -> None:
    policy = World(template).of_type("AWS::SQS::QueuePolicy")["UploadsQueuePolicy"]
    (allowed,) = [
        rule
        for rule in policy["PolicyDocument"]["Statement"]
        if rule["Effect"] == "Allow" and rule["Principal"] == {"Service": service}
    ]
    assert policy["Queues"] == ["UploadsQueue"]
    assert (allowed["Action"], allowed["Resource"]) == ("sqs:SendMessage", "UploadsQueue.Arn")
    assert "123456789012" in str(allowed["Condition"])


def test_the_dead_letter_queue_accepts_only_undelivered_events(template: Template) -> None:
    policy = World(template).of_type("AWS::SQS::QueuePolicy")["DeadLetterQueuePolicy"]
    (allowed,) = [rule for rule in policy["PolicyDocument"]["Statement"] if rule["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
    assert (allowed["Action"], allowed["Resource"]) == ("sqs:SendMessage", "DeadLetterQueue.Arn")
    assert ":123456789012:rule/*" in str(allowed["Condition"])
    assert policy["Queues"] == ["DeadLetterQueue"]


def test_what_a_rule_cannot_deliver_to_the_queue_is_kept(template: Template) -> None:
    for world in worlds(template):
        for name, rule in world.of_type("AWS::Events::Rule").items():
            for target in rule["Targets"]:
                if target["Arn"] == "UploadsQueue.Arn":
                    assert target["DeadLetterConfig"] == {"Arn": "DeadLetterQueue.Arn"}, name


def test_every_queue_refuses_what_does_not_come_by_tls(template: Template) -> None:
    world = World(template, {"NotificationEmail": "ops@example.com"})
    refusing = set()
    for policy in world.of_type("AWS::SQS::QueuePolicy").values():
        (refusal,) = [rule for rule in policy["PolicyDocument"]["Statement"] if rule["Effect"] == "Deny"]
        assert refusal["Principal"] == "*"
        assert refusal["Action"] == "sqs:*"
        assert refusal["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert refusal["Resource"] == f"{policy['Queues'][0]}.Arn"
        refusing |= set(policy["Queues"])
    assert refusing == world.of_type("AWS::SQS::Queue").keys()


def test_events_are_put_under_our_own_name_alone(template: Template) -> None:
    for name, role in World(template).of_type("AWS::IAM::Role").items():
        for rule in _statements(role):
            if "events:PutEvents" in _list(rule["Action"]):
                assert rule["Condition"] == {"StringEquals": {"events:source": "cleanplate"}}, name


@pytest.mark.parametrize("email", ["", "ops@example.com"])
def test_alarms_and_failures_may_be_published_to_the_topic(template: Template, email: str) -> None:
    world = World(template, {"NotificationEmail": email})
    (policy,) = world.of_type("AWS::SNS::TopicPolicy").values()
    allowed = {rule["Principal"]["Service"]: rule for rule in policy["PolicyDocument"]["Statement"]}
    assert allowed.keys() == {"cloudwatch.amazonaws.com", "events.amazonaws.com"}
    for rule in allowed.values():
        assert (rule["Effect"], rule["Action"], rule["Resource"]) == ("Allow", "sns:Publish", "NotificationsTopic")
    assert "Condition" in allowed["cloudwatch.amazonaws.com"]
    assert "Condition" not in allowed["events.amazonaws.com"], "EventBridge would deliver nothing"
    for name, alarm in world.of_type("AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmActions"] == ["NotificationsTopic"], name


def test_what_a_rule_passes_on_is_valid_json_whatever_a_photo_is_called(template: Template) -> None:
    """A transformer puts values in as they are, quotes and all, so it may name none that people choose."""
    harmless = {"$.detail.name": "our execution names are hexadecimal", "$.detail.status": "one of five words"}
    world = World(template, {"NotificationEmail": "ops@example.com"})
    for name, rule in world.of_type("AWS::Events::Rule").items():
        for target in rule["Targets"]:
            paths = target.get("InputTransformer", {}).get("InputPathsMap", {}).values()
            assert set(paths) <= harmless.keys(), name


def test_a_mail_about_a_failed_photo_that_does_not_arrive_is_kept(template: Template) -> None:
    world = World(template, {"NotificationEmail": "ops@example.com"})
    (target,) = world.of_type("AWS::Events::Rule")["PhotoFailedRule"]["Targets"]
    assert (target["Arn"], target["InputPath"]) == ("NotificationsTopic", "$.detail")
    assert target["DeadLetterConfig"] == {"Arn": "UndeliveredNotificationsQueue.Arn"}
    policy = world.of_type("AWS::SQS::QueuePolicy")["UndeliveredNotificationsQueuePolicy"]
    (allowed,) = [rule for rule in policy["PolicyDocument"]["Statement"] if rule["Effect"] == "Allow"]
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": "PhotoFailedRule.Arn"}}
    assert "UndeliveredNotificationsQueue" not in World(template).of_type("AWS::SQS::Queue")
