"""Deploy the project's own template.yaml into an embedded AWS.

Its meaning is left as it is. What changes is how code gets there: a function becomes a zip of its folder and a
``bootstrap`` that runs AWS's own runtime client, with the layers on ``PYTHONPATH`` straight from the checkout. Where the
embedded AWS drops what a template says, the same is done afterwards by API.
"""

from __future__ import annotations

import copy
import io
import json
import os
import re
import shlex
import sys
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.embedded_aws.function_process import EXPORTS
from local.embedded_aws.server import EmbeddedAws
from local.embedded_aws.template import read_yaml, resources
from local.errors import DeployError
from local.paths import TEMPLATE

ARTIFACTS_BUCKET = "cleanplate-artifacts"

_FUNCTION = "AWS::Serverless::Function"
_LAYER = "AWS::Serverless::LayerVersion"
_STATE_MACHINE = "AWS::Serverless::StateMachine"
_SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - a resource type
_BUCKET = "AWS::S3::Bucket"
_ALARM = "AWS::CloudWatch::Alarm"
#: Where the embedded AWS looks for what an alarm's expression comes to, under the alarm's logical id; see _prepare.
EXPRESSIONS = "Expressions"
_TABLES = ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable")
#: The oldest date that a zip can hold, so that the same content is the same zip.
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack: the outputs by name, and all of them as they are."""

    name: str
    uploads_bucket: str
    results_bucket: str
    work_bucket: str
    jobs_table: str
    uploads_queue_url: str
    dead_letter_queue_url: str
    state_machine_arn: str
    adobe_secret_arn: str
    outputs: Mapping[str, str]
    #: Logical id of each function -> its name in the embedded AWS.
    functions: Mapping[str, str]


def deploy(
    aws: EmbeddedAws,
    parameters: Mapping[str, str] | None = None,
    *,
    name: str = "cleanplate",
    template: Path = TEMPLATE,
    environment: Mapping[str, str] | None = None,
    max_concurrency: int = 4,
    deadline: float = 60.0,
) -> Stack:
    """Create the stack and wait for it; ``parameters`` override the template's defaults.

    ``environment`` is set in every function's process on top of what the template says. No event source hands out more
    than ``max_concurrency`` batches at a time.
    """
    document = read_yaml(template)
    given = dict(parameters or {})
    unknown = given.keys() - document.get("Parameters", {}).keys()
    if unknown:
        raise DeployError(f"{template.name} has no parameter {', '.join(sorted(unknown))}; correct the name.")

    package = Package(aws, template.parent, environment or {})
    prepared = _prepare(copy.deepcopy(document), package, max_concurrency)
    url = package.upload(f"{name}.template.json", json.dumps(prepared).encode())
    cloudformation = aws.client("cloudformation")
    if _is_there(aws, name):
        raise DeployError(f"A stack called {name} is deployed already; give this one another name.")
    try:
        cloudformation.create_stack(
            StackName=name,
            TemplateURL=url,
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except cloudformation.exceptions.AlreadyExistsException:
        pass  # the answer was lost, and the SDK has asked twice
    except ClientError as error:
        raise DeployError(f"The embedded AWS refused {template.name}: {error.response['Error']['Message']}") from None
    _wait(aws, name, time.monotonic() + deadline)

    physical = {
        resource["LogicalResourceId"]: resource.get("PhysicalResourceId", "")
        for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
        for resource in page["StackResourceSummaries"]
    }
    _apply_what_was_dropped(aws, _with_numbers(document, given), physical)
    functions = [logical_id for logical_id, _ in resources(document, _FUNCTION) if logical_id in physical]
    return _stack(aws, name, {logical_id: physical[logical_id] for logical_id in functions})


def log_group(aws: EmbeddedAws, function: str) -> str:
    """Return the name of the log group that a function writes to."""
    configuration = aws.client("lambda").get_function_configuration(FunctionName=function)
    name: str = configuration["LoggingConfig"]["LogGroup"]
    return name


# --- code ---


class Package:
    """Puts code where the embedded AWS finds it, as `sam package` does for AWS."""

    def __init__(self, aws: EmbeddedAws, root: Path, environment: Mapping[str, str]) -> None:
        self._aws = aws
        self.root = root
        self._environment = environment
        self.layers: list[Path] = []
        aws.client("s3").create_bucket(Bucket=ARTIFACTS_BUCKET)

    def upload(self, key: str, content: bytes) -> str:
        """Keep ``content``; the URL in S3's path style, which the embedded CloudFormation reads."""
        self._aws.client("s3").put_object(Bucket=ARTIFACTS_BUCKET, Key=key, Body=content)
        return f"{self._aws.endpoint_url}/{ARTIFACTS_BUCKET}/{key}"

    def function(self, logical_id: str, folder: Path) -> dict[str, str]:
        """Zip one function's folder with its bootstrap, and with what allows it to be forked instead."""
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }
        files["bootstrap"] = self._bootstrap().encode()
        if not self._environment:  # which may matter to a library when it is imported
            files[EXPORTS] = json.dumps(self._exports()).encode()
        return self._zip(f"{logical_id}.zip", files)

    def layer(self, logical_id: str) -> dict[str, str]:
        """Stand for a layer; its content is read where it is edited."""
        return self._zip(f"{logical_id}.zip", {"python/README": b"Served from the checkout by each bootstrap.\n"})

    def _exports(self) -> dict[str, str]:
        path = os.pathsep.join(str(layer) for layer in self.layers)
        return {"PYTHONPATH": path, "POWERTOOLS_TRACE_DISABLED": "true", **self._environment}

    def _bootstrap(self) -> str:
        return "\n".join(
            [
                "#!/bin/sh",
                *(f"export {name}={shlex.quote(value)}" for name, value in self._exports().items()),
                f'exec {shlex.quote(sys.executable)} -m awslambdaric "$_HANDLER"',
                "",
            ]
        )

    def _zip(self, key: str, files: Mapping[str, bytes]) -> dict[str, str]:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                entry = zipfile.ZipInfo(name, _LONG_AGO)
                entry.external_attr = (0o755 if name == "bootstrap" else 0o644) << 16
                archive.writestr(entry, content)
        self.upload(key, buffer.getvalue())
        return {"Bucket": ARTIFACTS_BUCKET, "Key": key}


# --- the template ---


def _prepare(template: dict[str, Any], package: Package, max_concurrency: int) -> dict[str, Any]:
    """Return the template with its code packaged, for functions that bring their own runtime."""
    for logical_id, properties in resources(template, _LAYER):
        content = package.root / str(properties["ContentUri"])
        if any(content.glob("*/__init__.py")):  # an import root; third-party packages are this interpreter's own
            package.layers.append(content.resolve())
        properties["ContentUri"] = package.layer(logical_id)
    shared = template.get("Globals", {}).get("Function", {})
    for logical_id, properties in resources(template, _FUNCTION):
        folder = package.root / str(properties.get("CodeUri", shared.get("CodeUri", ".")))
        properties |= {"CodeUri": package.function(logical_id, folder), "Runtime": "provided.al2023"}
        _cap(properties, max_concurrency)
        _drop(properties, "Layers", "Architectures")
    _drop(shared, "Runtime", "CodeUri", "Layers", "Architectures")
    for _, properties in resources(template, _STATE_MACHINE):
        if isinstance(properties.get("DefinitionUri"), str):
            properties["Definition"] = read_yaml(package.root / properties.pop("DefinitionUri"))
    for logical_id, properties in resources(template, _ALARM):
        if "Metrics" in properties:
            # It knows no arithmetic. Whoever works out the expression tells it the value, and it compares and rings.
            periods = [query["MetricStat"]["Period"] for query in properties.pop("Metrics") if "MetricStat" in query]
            properties |= {
                "Namespace": EXPRESSIONS,
                "MetricName": logical_id,
                "Statistic": "Maximum",
                "Period": periods[0],
            }
    secrets = {logical_id for logical_id, _ in resources(template, _SECRET)}
    prepared: dict[str, Any] = _with_secret_arns(template, secrets)
    return prepared


def _drop(properties: dict[str, Any], *names: str) -> None:
    for name in names:
        properties.pop(name, None)


def _cap(function: dict[str, Any], most: int) -> None:
    for event in function.get("Events", {}).values():
        if event["Type"] == "SQS":
            scaling = event["Properties"].setdefault("ScalingConfig", {})
            scaling["MaximumConcurrency"] = _least(scaling.get("MaximumConcurrency"), most)


def _least(given: object, most: int) -> int:
    return min(given, most) if isinstance(given, int) else most


def _with_secret_arns(value: Any, secrets: set[str]) -> Any:  # noqa: ANN401 - any part of a template
    """Return ``value`` with the attribute ``Id`` for each ``Ref`` of a secret.

    A ``Ref`` is the secret's ARN on AWS, but its name in the embedded one, where ``Id`` is the ARN.
    """
    if isinstance(value, list):
        return [_with_secret_arns(item, secrets) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"Ref"} and value["Ref"] in secrets:
        return {"Fn::GetAtt": [value["Ref"], "Id"]}
    if value.keys() == {"Fn::Sub"}:
        sub = value["Fn::Sub"]
        text, *variables = sub if isinstance(sub, list) else [sub]
        text = re.sub(r"\$\{(\w+)\}", lambda match: f"${{{match[1]}.Id}}" if match[1] in secrets else match[0], text)
        return {"Fn::Sub": [text, *_with_secret_arns(variables, secrets)] if variables else text}
    return {key: _with_secret_arns(item, secrets) for key, item in value.items()}


# --- the stack ---


def _is_there(aws: EmbeddedAws, name: str) -> bool:
    try:
        aws.client("cloudformation").describe_stacks(StackName=name)
    except ClientError:
        return False
    return True


def _wait(aws: EmbeddedAws, name: str, deadline: float) -> None:
    cloudformation = aws.client("cloudformation")
    while time.monotonic() < deadline:
        aws.check()
        status = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        if status == "CREATE_COMPLETE":
            return
        if not status.endswith("IN_PROGRESS") or "ROLLBACK" in status:
            break
        time.sleep(0.05)
    else:
        raise DeployError(f"The stack {name} was not ready in time. {aws.last_words()}")
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in events if event.get("ResourceStatus", "").endswith("FAILED")]
    why = "; ".join(
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
        for event in reversed(failed)
        if "cancelled" not in event.get("ResourceStatusReason", "").lower()
    )
    raise DeployError(f"The stack {name} ended as {status}. {why or aws.last_words()}")


def _stack(aws: EmbeddedAws, name: str, functions: Mapping[str, str]) -> Stack:
    described = aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    try:
        return Stack(
            name=name,
            uploads_bucket=outputs["UploadsBucketName"],
            results_bucket=outputs["ResultsBucketName"],
            work_bucket=outputs["WorkBucketName"],
            jobs_table=outputs["JobsTableName"],
            uploads_queue_url=outputs["UploadsQueueUrl"],
            dead_letter_queue_url=outputs["DeadLetterQueueUrl"],
            state_machine_arn=outputs["CleanPhotoStateMachineArn"],
            adobe_secret_arn=outputs["AdobeSecretArn"],
            outputs=outputs,
            functions=functions,
        )
    except KeyError as missing:
        raise DeployError(f"The template has no output {missing}; it has {', '.join(sorted(outputs))}.") from None


def _with_numbers(template: dict[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Return the template with a number wherever it refers to a parameter that is one."""
    numbers = {
        name: int(float(given.get(name, about["Default"])))
        for name, about in template.get("Parameters", {}).items()
        if about["Type"] == "Number"
    }

    def resolve(value: Any) -> Any:  # noqa: ANN401 - any part of a template
        if isinstance(value, dict):
            if value.keys() == {"Ref"} and value["Ref"] in numbers:
                return numbers[value["Ref"]]
            return {name: resolve(inner) for name, inner in value.items()}
        return [resolve(item) for item in value] if isinstance(value, list) else value

    resolved: dict[str, Any] = resolve(template)
    return resolved


def _apply_what_was_dropped(aws: EmbeddedAws, template: dict[str, Any], physical: Mapping[str, str]) -> None:
    """Bucket lifecycles, TTL and point-in-time recovery: in the template, but not kept by the embedded AWS."""
    for logical_id, properties in resources(template, _BUCKET):
        rules = properties.get("LifecycleConfiguration", {}).get("Rules", [])
        if rules and physical.get(logical_id):
            aws.client("s3").put_bucket_lifecycle_configuration(
                Bucket=physical[logical_id],
                LifecycleConfiguration={"Rules": [_lifecycle_rule(rule) for rule in rules]},
            )
    for kind in _TABLES:
        for logical_id, properties in resources(template, kind):
            table, dynamodb = physical.get(logical_id, ""), aws.client("dynamodb")
            expiry = properties.get("TimeToLiveSpecification")
            if table and expiry:
                dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=expiry)
            if table and properties.get("PointInTimeRecoverySpecification"):
                dynamodb.update_continuous_backups(
                    TableName=table, PointInTimeRecoverySpecification=properties["PointInTimeRecoverySpecification"]
                )


def _lifecycle_rule(rule: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return one rule in the words of S3's API; what a template writes flat is nested there."""
    nested = {
        "ID": rule.get("Id"),
        "Status": rule["Status"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
        "Expiration": {
            key: value
            for key, value in {
                "Days": rule.get("ExpirationInDays"),
                "ExpiredObjectDeleteMarker": rule.get("ExpiredObjectDeleteMarker"),
            }.items()
            if value is not None
        },
        "NoncurrentVersionExpiration": rule.get("NoncurrentVersionExpiration"),
        "AbortIncompleteMultipartUpload": rule.get("AbortIncompleteMultipartUpload"),
    }
    return {key: value for key, value in nested.items() if value}
