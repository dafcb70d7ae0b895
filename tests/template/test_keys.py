"""Keys of one's own: what is encrypted with them, and who may use them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from local.dev.world import World

Template = dict[str, Any]

KEY = "arn:aws:kms:us-east-1:123456789012:key/the-stacks"
BUCKET_KEYS = ["arn:aws:kms:us-east-1:123456789012:key/one", "arn:aws:kms:us-east-1:123456789012:key/two"]
EXISTING = {"ExistingUploadsBucket": "their-uploads", "ExistingResultsBucket": "their-results"}
#: What needs the key whenever it is done: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html,
#: and the pages on encryption at rest of DynamoDB, SQS and Secrets Manager.
TO_READ = {
    "s3:GetObject",
    "dynamodb:BatchGetItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:Scan",
    "dynamodb:UpdateItem",
    "secretsmanager:GetSecretValue",
    "sqs:ReceiveMessage",
}
TO_WRITE = {"s3:PutObject", "sqs:SendMessage", "sns:Publish"}


def _rules(role: dict[str, Any]) -> Iterator[tuple[str, set[str], set[str]]]:
    """Statement id, actions and resources of every statement of a role."""
    for policy in role.get("Policies", []):
        for rule in policy["PolicyDocument"]["Statement"]:
            yield rule["Sid"], _set(rule["Action"]), _set(rule["Resource"])


def _set(value: Any) -> set[str]:
    return set(value) if isinstance(value, list) else {value}


def _functions(world: World) -> dict[str, dict[str, Any]]:
    return {name: role for name, role in world.of_type("AWS::IAM::Role").items() if name.endswith("FunctionRole")}


def test_with_a_key_all_that_the_stack_keeps_is_encrypted_with_it(template: Template) -> None:
    world = World(template, {"KmsKeyArn": KEY, "NotificationEmail": "ops@example.com"})
    for name, bucket in world.of_type("AWS::S3::Bucket").items():
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}, name
        assert rule["BucketKeyEnabled"] is True, name
    named = {
        "AWS::SQS::Queue": "KmsMasterKeyId",
        "AWS::SNS::Topic": "KmsMasterKeyId",
        "AWS::SecretsManager::Secret": "KmsKeyId",
        "AWS::Logs::LogGroup": "KmsKeyId",
    }
    for kind, setting in named.items():
        assert world.of_type(kind), kind
        assert {about.get(setting) for about in world.of_type(kind).values()} == {KEY}, kind
    for name, queue in world.of_type("AWS::SQS::Queue").items():
        # SQS takes one or the other.
        assert "SqsManagedSseEnabled" not in queue, name
    (table,) = world.of_type("AWS::DynamoDB::Table").values()
    assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY}


def test_without_a_key_nothing_speaks_of_one(template: Template) -> None:
    world = World(template, {"NotificationEmail": "ops@example.com"})
    assert [name for name, about in world.resources.items() if "kms" in f"{name} {about}".lower()] == []


def test_a_function_may_use_the_stacks_key_for_its_own_data_only(template: Template) -> None:
    for name, role in _functions(World(template, {"KmsKeyArn": KEY})).items():
        rules = list(_rules(role))
        actions = {action for _, found, _ in rules for action in found}
        wanted = {"kms:Decrypt"} if actions & (TO_READ | TO_WRITE) else set()
        wanted |= {"kms:GenerateDataKey"} if actions & TO_WRITE else set()
        keyed = [(found, resources) for _, found, resources in rules if any("kms:" in action for action in found)]
        assert keyed == ([(wanted, {KEY})] if wanted else []), name


def test_a_function_may_use_the_keys_of_existing_buckets_it_uses(template: Template) -> None:
    for name, role in _functions(World(template, {"BucketKeyArns": ",".join(BUCKET_KEYS), **EXISTING})).items():
        rules = list(_rules(role))
        theirs = {
            action for _, found, resources in rules for action in found if any(":::their-" in at for at in resources)
        }
        wanted = {"kms:Decrypt"} if "s3:GetObject" in theirs else set()
        wanted |= {"kms:GenerateDataKey"} if "s3:PutObject" in theirs else set()
        keyed = [(found, resources) for _, found, resources in rules if any("kms:" in action for action in found)]
        assert keyed == ([(wanted, set(BUCKET_KEYS))] if wanted else []), name


def test_keys_are_named_by_their_arn(template: Template) -> None:
    """An alias would be a resource that no policy of a role can name."""
    for parameter in ("KmsKeyArn", "BucketKeyArns"):
        pattern = template["Parameters"][parameter]["AllowedPattern"]
        for good in (KEY, "", "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/mrk-12ab"):
            assert re.fullmatch(pattern, good), parameter
        for bad in ("alias/photos", "arn:aws:kms:us-east-1:123456789012:alias/photos", "*", "12ab-34cd"):
            assert not re.fullmatch(pattern, bad), parameter
    several = template["Parameters"]["BucketKeyArns"]["AllowedPattern"]
    assert re.fullmatch(several, f"{KEY},{KEY}")
    assert not [bad for bad in (f"{KEY},", f",{KEY}", f"{KEY} {KEY}", f"{KEY},*") if re.fullmatch(several, bad)]


def test_no_policy_of_the_stack_lets_the_public_in(template: Template) -> None:
    """A principal of everybody stands in refusals alone."""
    kinds = ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy")
    world = World(template, {"NotificationEmail": "ops@example.com"})
    policies = [about["PolicyDocument"] for kind in kinds for about in world.of_type(kind).values()]
    assert len(policies) >= 5
    for rule in (rule for policy in policies for rule in policy["Statement"]):
        if rule["Effect"] == "Allow":
            assert set(rule["Principal"]) == {"Service"}, rule["Sid"]
            # Of all, only EventBridge's statement for a topic takes none: nothing would be delivered.
            assert bool(rule.get("Condition")) != (rule["Sid"] == "OurRules"), rule["Sid"]
    for permission in world.of_type("AWS::Lambda::Permission").values():
        assert permission["Principal"].endswith(".amazonaws.com")
        assert permission["SourceArn"]
    assert not world.of_type("AWS::Lambda::Url")
