"""The check of stack and account, deployed: all is well, and each thing that can be wrong is found by its own line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rich.console import Console

from cleanplate_cli.doctor import doctor
from cleanplate_cli.stack import find_stack
from local.demo.up import describe, write_json
from tests.end_to_end.conftest import System

FUNCTION = "CheckAccountFunction"


def _check(system: System) -> dict[str, Any]:
    """Every line by its name."""
    report = system.invoke(FUNCTION)
    assert "checks" in report, report
    assert report["ok"] == all(check["ok"] for check in report["checks"])
    assert all(bool(check["what_to_do"]) != check["ok"] for check in report["checks"] if not check["ok"])
    return {check["check"]: check for check in report["checks"]}


def _wrong(system: System) -> set[str]:
    return {name for name, check in _check(system).items() if not check["ok"]}


@contextmanager
def _variable(system: System, name: str, value: str) -> Iterator[None]:
    client, function = system.aws.client("lambda"), system.stack.functions[FUNCTION]
    variables = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    client.update_function_configuration(FunctionName=function, Environment={"Variables": {**variables, name: value}})
    try:
        yield
    finally:
        client.update_function_configuration(FunctionName=function, Environment={"Variables": variables})


def test_all_is_well_and_nothing_is_paid_for(system: System, photo: bytes) -> None:
    assert system.clean(photo).outcome == "cleaned"
    system.adobe.clear_counters()
    checks = _check(system)
    assert not [name for name, check in checks.items() if not check["ok"]], checks
    assert checks["uploads bucket: signed link"]["found"] == "answers 200"
    assert checks["Adobe: fill-masked-areas"]["found"] == "alive (400 to an empty request)"
    assert not system.adobe.counters()["jobs"]


def test_the_doctor_shows_it_as_a_table(system: System, tmp_path: Any, photo: bytes) -> None:
    write_json(tmp_path / "stack.json", describe(system.cloud))
    console = Console(file=io.StringIO(), width=160)
    assert doctor(find_stack(str(tmp_path / "stack.json")), console) == 0
    report = console.file.getvalue()  # type: ignore[attr-defined]
    assert "✔" in report
    assert "✘" not in report
    assert "All is well." in report


def test_a_wrong_secret_is_found(system: System) -> None:
    secrets, arn = system.aws.client("secretsmanager"), system.stack.adobe_secret_arn
    right = secrets.get_secret_value(SecretId=arn)["SecretString"]
    secrets.put_secret_value(SecretId=arn, SecretString=json.dumps({**json.loads(right), "client_secret": "wrong"}))
    try:
        with _variable(system, "A_FRESH_PROCESS", "without a token"):
            checks = _check(system)
    finally:
        secrets.put_secret_value(SecretId=arn, SecretString=right)
    assert {name for name, check in checks.items() if not check["ok"]} == {"Adobe: account"}
    assert "wrong" not in json.dumps(checks)


@pytest.mark.parametrize("status", [404, 502])
def test_a_retired_route_is_found(system: System, status: int) -> None:
    system.adobe.add_rules({"route": "POST /v1/fill-masked-areas", "fault": {"do": "error", "status": status}})
    assert _wrong(system) == {"Adobe: fill-masked-areas"}


def test_a_retired_route_that_is_not_used_is_only_named(system: System) -> None:
    system.adobe.add_rules({"route": "POST /sensei/mask", "fault": {"do": "error", "status": 502}})
    checks = _check(system)
    assert checks["Adobe: create-mask"]["ok"]
    assert "retired" in checks["Adobe: create-mask"]["found"]


def test_an_account_that_may_not_use_a_route_is_found(system: System) -> None:
    system.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": {"do": "error", "status": 403}})
    assert _wrong(system) == {"Adobe: mask-objects"}


def test_alarms_that_nobody_hears_are_found(system: System) -> None:
    sns, topic = system.aws.client("sns"), system.stack.outputs["NotificationsTopicArn"]
    subscriptions = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    for one in subscriptions:
        sns.unsubscribe(SubscriptionArn=one["SubscriptionArn"])
    try:
        assert _wrong(system) == {"alarms"}
    finally:
        for one in subscriptions:
            sns.subscribe(TopicArn=topic, Protocol=one["Protocol"], Endpoint=one["Endpoint"])


def test_a_bucket_in_another_region_is_found(system: System) -> None:
    s3 = system.aws.client("s3")
    s3.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    _allow_everything(system, "far-away")
    with _variable(system, "RESULTS_BUCKET", "far-away"):
        checks = _check(system)
    assert not checks["results bucket: region"]["ok"]
    assert "eu-central-1" in checks["results bucket: region"]["what_to_do"]


def _allow_everything(system: System, bucket: str) -> None:
    configuration = system.aws.client("lambda").get_function_configuration(
        FunctionName=system.stack.functions[FUNCTION]
    )
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": configuration["Role"]},
        "Action": "s3:*",
        "Resource": resources,
    }
    system.aws.client("s3").put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )


def test_a_bucket_that_is_not_there_is_found(system: System) -> None:
    with _variable(system, "RESULTS_BUCKET", "no-such-bucket-anywhere"):
        assert "results bucket: region" in _wrong(system)


def test_uploads_of_which_nobody_tells_the_stack_are_found(system: System) -> None:
    s3, bucket = system.aws.client("s3"), system.stack.uploads_bucket
    answer: dict[str, Any] = {**s3.get_bucket_notification_configuration(Bucket=bucket)}
    notifications: Any = {name: about for name, about in answer.items() if name != "ResponseMetadata"}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    try:
        assert _wrong(system) == {"uploads bucket: notifications"}
    finally:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=notifications)


def test_a_bucket_with_a_key_that_the_functions_may_not_use_is_found(system: System) -> None:
    s3, bucket = system.aws.client("s3"), system.stack.results_bucket
    before: Any = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    key = "arn:aws:kms:us-east-1:123456789012:key/somebodys"
    rule: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    try:
        assert "results bucket: key" in _wrong(system)
    finally:
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=before)
