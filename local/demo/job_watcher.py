"""Where the photos are: read from the Jobs table, which is written before any event and so is never behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from local.embedded_aws.deploy import Stack
from local.embedded_aws.server import EmbeddedAws

_STAGES = {
    "claimed": "looks at the photo",
    "nothing_to_remove": "nothing to remove",
    "mask_ready": "mask waits for approval",
}
TERMINAL = ("cleaned", "nothing_to_remove", "mask_ready", "failed")

_plain = TypeDeserializer().deserialize


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """One job as its record says it is now."""

    job_id: str
    key: str
    version_id: str
    status: str
    stage: str
    outcome: Mapping[str, Any]
    published: bool

    @property
    def ended(self) -> bool:
        """Record, manifest and event are all there."""
        return self.status in TERMINAL and self.published

    @property
    def manifest_key(self) -> str:
        """Where the manifest lies in the results bucket."""
        return f"{self.key}.json"


def look(aws: EmbeddedAws, stack: Stack, key: str = "") -> list[JobSnapshot]:
    """Return every job of the stack, or those of the photos with one key."""
    only: Any = {
        "FilterExpression": "photo.#key = :key",
        "ExpressionAttributeNames": {"#key": "key"},
        "ExpressionAttributeValues": {":key": {"S": key}},
    }
    scan = aws.client("dynamodb").get_paginator("scan")
    pages = scan.paginate(TableName=stack.jobs_table, ConsistentRead=True, **(only if key else {}))
    items = [{name: _plain(value) for name, value in item.items()} for page in pages for item in page["Items"]]
    return [_sight(item) for item in items if isinstance(item.get("photo"), dict) and "status" in item]


def _sight(item: Mapping[str, Any]) -> JobSnapshot:
    return JobSnapshot(
        job_id=item["job_id"],
        key=item["photo"]["key"],
        version_id=item["photo"].get("version_id", ""),
        status=item["status"],
        stage=_stage(item),
        outcome=_numbers(item.get("outcome", {})),
        published=bool(item.get("published")),
    )


def _stage(item: Mapping[str, Any]) -> str:
    """Return what is going on, in words."""
    status, adobe_requests = item["status"], item.get("adobe_requests", {})
    if status == "masking":
        request = adobe_requests.get("mask", {})
        if request.get("finished_at"):
            return "mask ready"
        return "Adobe makes the mask" if request.get("adobe_job") else "asks for the mask"
    if status == "filling":
        fills = [request for name, request in adobe_requests.items() if name.startswith("fill")]
        if fills and all(request.get("finished_at") for request in fills):
            return "saves the result"
        return "Adobe fills the hole"
    return _STAGES.get(status, str(status))


def _numbers(value: Any) -> Any:  # noqa: ANN401 - any part of an item
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_numbers(inner) for inner in value]
    return value


def read_manifest(aws: EmbeddedAws, stack: Stack, snapshot: JobSnapshot) -> dict[str, Any] | None:
    """Return the manifest of an ended job; None where there is none, as for a photo that was replaced meanwhile."""
    content = read_object(aws, stack.results_bucket, snapshot.manifest_key)
    manifest = json.loads(content) if content is not None else None
    return manifest if isinstance(manifest, dict) and manifest.get("job_id") == snapshot.job_id else None


def read_object(aws: EmbeddedAws, bucket: str, key: str) -> bytes | None:
    """Return an object's bytes, or None where there is no such object."""
    try:
        return aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
            return None
        raise


def function_errors(aws: EmbeddedAws, most: int = 8) -> Iterator[str]:
    """Yield the last lines of the functions' logs that report errors, for a photo that gives no reason itself."""
    logs = aws.client("logs")
    found: list[tuple[int, str]] = []
    for group in logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]:
        events = logs.filter_log_events(logGroupName=group["logGroupName"]).get("events", [])
        found += [(event["timestamp"], event["message"].strip()) for event in events if "rror" in event["message"]]
    for _, message in sorted(found)[-most:]:
        yield message[:600]
