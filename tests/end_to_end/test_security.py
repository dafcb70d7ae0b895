"""What a deployed stack keeps to itself, looked at from outside."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.embedded_aws.deploy import deploy
from tests.end_to_end.conftest import System


def test_no_function_setting_holds_a_secret(system: System) -> None:
    client = system.aws.client("lambda")
    settings = system.adobe.settings
    assert system.stack.functions
    for name in system.stack.functions.values():
        settings_of_function = json.dumps(client.get_function_configuration(FunctionName=name), default=str)
        assert settings.client_secret not in settings_of_function, name
        assert settings.client_id not in settings_of_function, name


# --- a key of one's own ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def key(_system: System) -> str:
    created = _system.aws.client("kms").create_key(Description="the stack's")
    return str(created["KeyMetadata"]["Arn"])


@pytest.fixture(scope="module")
def keyed(_system: System, key: str) -> Iterator[System]:
    """A second stack, encrypted with a key of its own."""
    cloud = _system.cloud
    parameters = {
        **cloud._deployed_parameters(),
        "KmsKeyArn": key,
        "BucketKeyArns": f"{key},{key}",
        "NotificationEmail": "ops@example.com",
    }
    system = copy.copy(_system)
    system.stack = deploy(cloud.aws, parameters, name="keyed", max_concurrency=2)
    system.expect_quick_jobs()
    for bucket in (system.stack.uploads_bucket, system.stack.results_bucket, system.stack.work_bucket):
        # In the template, and dropped by the embedded AWS.
        system.aws.client("s3").put_bucket_encryption(
            Bucket=bucket,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}]
            },
        )
    yield system
    cloud.aws.client("cloudformation").delete_stack(StackName="keyed")


def test_a_photo_is_cleaned_in_buckets_that_a_key_encrypts(keyed: System, key: str, photo: bytes) -> None:
    keyed.adobe.clear_rules()
    dropped = keyed.drop(photo)
    ended = keyed.wait(dropped)
    assert ended.outcome == "cleaned"
    s3 = keyed.aws.client("s3")
    places = [
        (keyed.stack.uploads_bucket, dropped.key),
        (keyed.stack.results_bucket, ended.manifest["result"]["key"]),
        (keyed.stack.results_bucket, ended.manifest["manifest"]["key"]),
        *(
            (keyed.stack.work_bucket, one["Key"])
            for one in s3.list_objects_v2(Bucket=keyed.stack.work_bucket)["Contents"]
        ),
    ]
    assert len(places) > 4
    for bucket, name in places:
        head = s3.head_object(Bucket=bucket, Key=name)
        assert (head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")) == ("aws:kms", key), name


def test_queues_secret_and_logs_are_encrypted_with_the_key(keyed: System, key: str) -> None:
    aws, stack = keyed.aws, keyed.stack
    for url in (stack.uploads_queue_url, stack.dead_letter_queue_url):
        attributes = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert attributes["KmsMasterKeyId"] == key
    assert aws.client("secretsmanager").describe_secret(SecretId=stack.adobe_secret_arn)["KmsKeyId"] == key
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix="/aws/vendedlogs/states/keyed")["logGroups"]
    assert {group.get("kmsKeyId") for group in groups} == {key}


def test_only_the_keyed_stacks_functions_may_use_a_key_and_that_one_alone(
    system: System, keyed: System, key: str
) -> None:
    for stack, keys in ((system.stack, set()), (keyed.stack, {key})):
        found: set[str] = set()
        for name in stack.functions.values():
            for rule in _statements(system, name):
                if any(action.startswith("kms:") for action in _list(rule["Action"])):
                    found |= set(_list(rule["Resource"]))
        assert found == keys, stack.name


def _statements(system: System, function: str) -> list[dict[str, Any]]:
    role = system.aws.client("lambda").get_function_configuration(FunctionName=function)["Role"].rpartition("/")[2]
    iam = system.aws.client("iam")
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    documents = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
    return [rule for document in documents for rule in document["Statement"]]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
