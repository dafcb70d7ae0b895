"""What is created, and how: what no linter says. Every test takes the transformed template, so that a fault can be added."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cleanplate.jobs.reuse import MASK_KEPT_SECONDS
from local.dev.world import World, worlds
from local.paths import ROOT
from tests.consistency.project import PACKAGE, Project

Template = dict[str, Any]

_DAY = 86_400
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
S3_EVENTS = {
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
}


# --- buckets ---


def test_every_bucket_is_closed_to_the_public(template: Template) -> None:
    for name, bucket in World(template).of_type("AWS::S3::Bucket").items():
        block = bucket["PublicAccessBlockConfiguration"]
        wanted = {"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}
        assert block == dict.fromkeys(wanted, True), name
        assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}], name


def test_every_bucket_is_encrypted(template: Template) -> None:
    for name, bucket in World(template).of_type("AWS::S3::Bucket").items():
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] in {"AES256", "aws:kms"}, name


def test_every_bucket_refuses_what_does_not_come_by_tls(template: Template) -> None:
    world = World(template)
    refusals = {
        policy["Bucket"]: [rule for rule in policy["PolicyDocument"]["Statement"] if rule["Effect"] == "Deny"]
        for policy in world.of_type("AWS::S3::BucketPolicy").values()
    }
    for name in world.of_type("AWS::S3::Bucket"):
        (refusal,) = refusals[name]
        assert refusal["Principal"] == "*"
        assert refusal["Action"] == "s3:*"
        assert set(refusal["Resource"]) == {f"{name}.Arn", f"{name}.Arn/*"}
        assert refusal["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_work_is_gone_after_a_day_and_masks_outlive_the_deadline(template: Template) -> None:
    """Steps may write below these two prefixes alone, so each object has its rule."""
    rules = World(template).of_type("AWS::S3::Bucket")["WorkBucket"]["LifecycleConfiguration"]["Rules"]
    assert all(rule["Status"] == "Enabled" for rule in rules)
    days = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules}
    assert days.keys() == {"jobs/", "masks/"}
    assert days["jobs/"] == 1
    longest = MASK_KEPT_SECONDS / 3600 + template["Parameters"]["PhotoDeadlineHours"]["MaxValue"]
    assert days["masks/"] * 24 > longest + 24


def test_photos_keep_their_versions_and_what_is_there_never_expires(template: Template) -> None:
    for name in ("UploadsBucket", "ResultsBucket"):
        bucket = World(template).of_type("AWS::S3::Bucket")[name]
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        for rule in bucket["LifecycleConfiguration"]["Rules"]:
            harmless = {"AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration", "ExpiredObjectDeleteMarker"}
            assert rule.keys() <= {"Id", "Status"} | harmless, name


def test_what_was_deleted_is_gone_for_good_once_no_job_can_want_it(template: Template) -> None:
    world = World(template, {"DeletedDays": "14"})
    for name, bucket in world.of_type("AWS::S3::Bucket").items():
        if bucket.get("VersioningConfiguration", {}).get("Status") == "Enabled":
            ends = [
                (rule["NoncurrentVersionExpiration"]["NoncurrentDays"], rule["ExpiredObjectDeleteMarker"])
                for rule in bucket["LifecycleConfiguration"]["Rules"]
                if rule["Status"] == "Enabled" and "NoncurrentVersionExpiration" in rule
            ]
            assert ends == [("14", True)], name
    # A photo that waits for a slot is read by its version, and then worked on for as long as its execution may take.
    parameters = template["Parameters"]
    assert parameters["DeletedDays"]["MinValue"] * _DAY > parameters["PhotoDeadlineHours"]["MaxValue"] * 3600 + 2 * _DAY
    assert parameters["DeletedDays"]["MinValue"] * _DAY > world.clean_photo["TimeoutSeconds"]


def test_photos_results_and_records_outlive_the_stack(template: Template) -> None:
    for name in ("UploadsBucket", "ResultsBucket", "JobsTable"):
        resource = template["Resources"][name]
        # A first deploy that fails leaves nothing behind that would be in the next one's way.
        assert resource["DeletionPolicy"] == "RetainExceptOnCreate", name
        assert resource["UpdateReplacePolicy"] == "Retain", name


def test_s3_notifies_of_uploads_by_an_existing_event(template: Template) -> None:
    for world in worlds(template):
        for name, bucket in world.of_type("AWS::S3::Bucket").items():
            for notification in bucket.get("NotificationConfiguration", {}).get("QueueConfigurations", []):
                assert notification["Event"] in S3_EVENTS
                assert (name, notification["Queue"]) == ("UploadsBucket", "UploadsQueue.Arn")


def test_only_the_uploads_bucket_notifies(template: Template) -> None:
    for world in worlds(template):
        telling = {
            name for name, bucket in world.of_type("AWS::S3::Bucket").items() if bucket.get("NotificationConfiguration")
        }
        rules = {name for name in world.of_type("AWS::Events::Rule") if name == "UploadedRule"}
        assert len(telling | rules) == 1, world.parameters


def test_the_uploads_prefix_is_kept_to_in_both_ways(template: Template) -> None:
    new = World(template, {"UploadsPrefix": "incoming/"})
    (notification,) = new.of_type("AWS::S3::Bucket")["UploadsBucket"]["NotificationConfiguration"][
        "QueueConfigurations"
    ]
    assert notification["Filter"] == {"S3Key": {"Rules": [{"Name": "prefix", "Value": "incoming/"}]}}
    existing = World(template, {"UploadsPrefix": "incoming/", "ExistingUploadsBucket": "theirs"})
    pattern = existing.of_type("AWS::Events::Rule")["UploadedRule"]["EventPattern"]
    assert pattern["detail"] == {"bucket": {"name": ["theirs"]}, "object": {"key": [{"prefix": "incoming/"}]}}
    all_keys = World(template, {"ExistingUploadsBucket": "theirs"})
    assert "object" not in all_keys.of_type("AWS::Events::Rule")["UploadedRule"]["EventPattern"]["detail"]


# --- queue ---


def test_a_message_stays_hidden_six_times_as_long_as_its_function_may_run(template: Template) -> None:
    world = World(template)
    queues, functions = world.of_type("AWS::SQS::Queue"), world.of_type("AWS::Lambda::Function")
    for source in world.of_type("AWS::Lambda::EventSourceMapping").values():
        queue = queues[source["EventSourceArn"].removesuffix(".Arn")]
        assert queue["VisibilityTimeout"] >= 6 * functions[source["FunctionName"]]["Timeout"]


def test_failing_messages_go_to_a_dead_letter_queue_with_retention(template: Template) -> None:
    queues = World(template).of_type("AWS::SQS::Queue")
    dead = queues["UploadsQueue"]["RedrivePolicy"]["deadLetterTargetArn"].removesuffix(".Arn")
    assert dead == "DeadLetterQueue"
    assert queues[dead]["MessageRetentionPeriod"] == 14 * _DAY


def test_every_queue_is_encrypted(template: Template) -> None:
    for name, queue in World(template).of_type("AWS::SQS::Queue").items():
        assert queue.get("SqsManagedSseEnabled") is True or queue.get("KmsMasterKeyId"), name


def test_every_message_is_a_call_of_its_own(template: Template) -> None:
    """An error of the call is then an error of that one message, which the alarm on errors sees."""
    sources = World(template).of_type("AWS::Lambda::EventSourceMapping").values()
    assert len(sources) == 2
    for source in sources:
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert source["BatchSize"] == 1
    (capped,) = [source for source in sources if "ScalingConfig" in source]
    assert capped["ScalingConfig"]["MaximumConcurrency"] >= 2


# --- records ---


def test_the_table_forgets_by_the_attribute_that_the_ledger_writes(template: Template) -> None:
    (table,) = World(template).of_type("AWS::DynamoDB::Table").values()
    expiry = table["TimeToLiveSpecification"]
    assert expiry["Enabled"] is True
    assert f'"{expiry["AttributeName"]}": expiry(' in Project().text(f"{PACKAGE}/jobs/records.py")


def test_the_tables_key_is_the_one_that_the_code_uses(template: Template) -> None:
    (table,) = World(template).of_type("AWS::DynamoDB::Table").values()
    ((key, kind),) = [(part["AttributeName"], part["KeyType"]) for part in table["KeySchema"]]
    assert kind == "HASH"
    assert {"AttributeName": key, "AttributeType": "S"} in table["AttributeDefinitions"]
    assert set(re.findall(r'\{"(\w+)": \{"S":', Project().text(f"{PACKAGE}/aws/dynamodb.py"))) == {key}


def test_the_index_of_open_jobs_is_the_ledgers_and_holds_only_keys(template: Template) -> None:
    (table,) = World(template).of_type("AWS::DynamoDB::Table").values()
    index, _ = table["GlobalSecondaryIndexes"]
    keys = [(part["AttributeName"], part["KeyType"]) for part in index["KeySchema"]]
    names = f'"{index["IndexName"]}", "{keys[0][0]}", "{keys[1][0]}"'
    assert f"OPEN_JOBS, SHARD, DUE = {names}" in Project().text(f"{PACKAGE}/jobs/records.py")
    assert [kind for _, kind in keys] == ["HASH", "RANGE"]
    types = {about["AttributeName"]: about["AttributeType"] for about in table["AttributeDefinitions"]}
    assert [types[name] for name, _ in keys] == ["S", "N"]
    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}


def test_the_index_of_waiting_photos_is_the_one_that_the_room_reads(template: Template) -> None:
    (table,) = World(template).of_type("AWS::DynamoDB::Table").values()
    _, index = table["GlobalSecondaryIndexes"]
    keys = [(part["AttributeName"], part["KeyType"]) for part in index["KeySchema"]]
    names = f'"{index["IndexName"]}", "{keys[0][0]}", "{keys[1][0]}"'
    room = Project().text(f"{PACKAGE}/jobs/waiting_room.py")
    assert f"WAITING_PHOTOS, WAITING_IN, TURN = {names}" in room
    assert [kind for _, kind in keys] == ["HASH", "RANGE"]
    types = {about["AttributeName"]: about["AttributeType"] for about in table["AttributeDefinitions"]}
    assert [types[name] for name, _ in keys] == ["S", "N"]
    assert all(f'"{name}"' in room for name in index["Projection"]["NonKeyAttributes"])


def test_the_table_is_encrypted_and_can_be_restored(template: Template) -> None:
    (table,) = World(template).of_type("AWS::DynamoDB::Table").values()
    # A table without a word about it is encrypted with a key of AWS's own, for nothing; any other key is billed.
    assert "SSESpecification" not in table
    (keyed,) = World(template, {"KmsKeyArn": "arn:k"}).of_type("AWS::DynamoDB::Table").values()
    assert keyed["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": "arn:k"}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_the_secret_is_json_whatever_the_parameters_hold(template: Template) -> None:
    for name in ("AdobeClientId", "AdobeClientSecret"):
        pattern = template["Parameters"][name]["AllowedPattern"]
        assert re.fullmatch(pattern, "p8e-A_b,c:d@e{f}/é+=")
        assert not [text for text in ('a"b', "a\\b", "a\nb") if re.fullmatch(pattern, text)], name


def test_no_other_parameter_writes_the_secret_again(template: Template) -> None:
    """CloudFormation writes a secret's value where its text in the template changes, over what was put there by hand.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-secretsmanager-secret.html
    """

    def texts(name: str, value: str) -> list[Any]:
        secrets = World(template, {name: value}).of_type("AWS::SecretsManager::Secret").values()
        return [
            (secret.get("SecretString"), secret.get("GenerateSecretString"), secret.get("Name")) for secret in secrets
        ]

    writing = {name for name in template["Parameters"] if texts(name, "one") != texts(name, "two")}
    assert writing == {"AdobeClientId", "AdobeClientSecret"}


def test_secrets_are_never_shown_as_parameters(template: Template) -> None:
    for name in ("AdobeClientId", "AdobeClientSecret"):
        assert template["Parameters"][name]["NoEcho"] is True


def test_no_output_and_no_variable_holds_the_secret_itself(template: Template) -> None:
    world = World(template, {"AdobeClientSecret": "very-secret", "AdobeClientId": "rather-secret"})
    secrets = ("very-secret", "rather-secret")
    shown = {name: resource for name, resource in world.resources.items() if name != "AdobeSecret"}
    assert not any(secret in str(shown) or secret in str(world.outputs) for secret in secrets)


# --- functions, logs, traces ---


def test_every_function_has_a_handler_in_code_that_is_there(template: Template) -> None:
    functions = World(template).of_type("AWS::Lambda::Function")
    assert functions
    for name, function in functions.items():
        folder = re.sub(r"(?<!^)(?=[A-Z])", "_", name.removesuffix("Function")).lower()
        module, _, handler = function["Handler"].partition(".")
        code = ROOT / "functions" / folder / f"{module}.py"
        assert code.is_file(), name
        assert f"\ndef {handler}(event" in code.read_text(), name


def test_every_functions_logs_are_kept_for_a_time_that_is_chosen(template: Template) -> None:
    world = World(template, {"LogDays": "7"})
    groups = world.of_type("AWS::Logs::LogGroup")
    assert {group.get("RetentionInDays") for group in groups.values()} == {"7"}


def test_every_function_has_its_log_group_before_its_first_call(template: Template) -> None:
    """Where the group is not there yet, Lambda makes one that keeps logs for ever."""
    groups = World(template).of_type("AWS::Logs::LogGroup")
    names = [group["LogGroupName"] for group in groups.values()]
    assert len(set(names)) == len(names)
    for name, function in World(template).of_type("AWS::Lambda::Function").items():
        group = function["LoggingConfig"]["LogGroup"]
        assert group == f"{name.removesuffix('Function')}LogGroup"
        # CloudFormation makes first what is referred to, so the group must not refer to the function.
        assert name not in str(template["Resources"][group])


def test_every_function_and_every_machine_is_traced(template: Template) -> None:
    world = World(template)
    for name, function in world.of_type("AWS::Lambda::Function").items():
        assert function["TracingConfig"] == {"Mode": "PassThrough"}, name
    for name, machine in world.of_type("AWS::StepFunctions::StateMachine").items():
        assert machine["TracingConfiguration"] == {"Enabled": True}, name


def test_every_machine_logs_its_errors_and_none_of_its_data(template: Template) -> None:
    world = World(template)
    for name, machine in world.of_type("AWS::StepFunctions::StateMachine").items():
        logging = machine["LoggingConfiguration"]
        assert logging["IncludeExecutionData"] is False, name
        assert logging["Level"] in {"ERROR", "ALL", "FATAL"}, name
        (destination,) = logging["Destinations"]
        group = destination["CloudWatchLogsLogGroup"]["LogGroupArn"].removesuffix(".Arn")
        assert group == f"{name.removesuffix('StateMachine')}LogGroup"
        # Names that begin so share one resource policy, which is limited in size.
        assert world.of_type("AWS::Logs::LogGroup")[group]["LogGroupName"].startswith("/aws/vendedlogs/states/"), name


def test_every_state_machine_is_a_standard_one(template: Template) -> None:
    for name, machine in World(template).of_type("AWS::StepFunctions::StateMachine").items():
        assert machine["StateMachineType"] == "STANDARD", name


# --- the stack as a whole ---


def test_one_bucket_for_both_uploads_and_results_is_refused(template: Template) -> None:
    (said,) = World(template, {"ExistingUploadsBucket": "one", "ExistingResultsBucket": "one"}).refused_by()
    assert "two buckets" in said


@pytest.mark.parametrize(("partition", "taken"), [("aws", 1), ("aws-us-gov", 1), ("aws-cn", 0), ("aws-eusc", 0)])
def test_a_partition_that_adobe_does_not_fetch_from_is_refused(template: Template, partition: str, taken: int) -> None:
    said = World(template, {"AWS::Partition": partition}).refused_by()
    assert ["Adobe" in words for words in said] == [True] * (1 - taken)


def test_a_budget_that_pays_for_no_photo_is_refused(template: Template) -> None:
    (said,) = World(template, {"DailyBudget": "1"}).refused_by()
    assert "budget" in said
    assert not World(template, {"DailyBudget": "2"}).refused_by()


def test_two_buckets_are_not_refused(template: Template) -> None:
    for world in worlds(template):
        assert not World(template, {**world.parameters, "WebhookSecret": "sixteen letters."}).refused_by()
    swapped = World(template, {"ExistingUploadsBucket": "one", "ExistingResultsBucket": "two"})
    assert not swapped.refused_by()


def test_a_webhook_without_a_secret_is_refused(template: Template) -> None:
    assert World(template, {"WebhookUrl": "https://shop.example.com/hook"}).refused_by()


def test_nothing_speaks_of_a_resource_that_its_conditions_leave_out(template: Template) -> None:
    for world in worlds(template):
        missing = {(who, whom) for who, whom in world.references() if not world.has(whom)}
        assert not missing, world.parameters


def test_the_functions_get_the_names_of_existing_buckets(template: Template) -> None:
    for world in worlds(template):
        uploads = world.parameters["ExistingUploadsBucket"] or "UploadsBucket"
        results = world.parameters["ExistingResultsBucket"] or "ResultsBucket"
        for function in world.of_type("AWS::Lambda::Function").values():
            variables = function["Environment"]["Variables"]
            assert (variables["UPLOADS_BUCKET"], variables["RESULTS_BUCKET"]) == (uploads, results)
        assert world.outputs["UploadsBucketName"]["Value"] == uploads
        assert world.outputs["ResultsBucketName"]["Value"] == results
