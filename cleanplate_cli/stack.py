"""A stack to work with: one deployed to AWS, found by its name; or a local one, found by its ``stack.json``."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cleanplate_cli.errors import CommandError
from cleanplate_cli.inputs import Upload


@dataclass(frozen=True, slots=True)
class Stack:
    """Where a stack's parts are, and how to call them. ``client`` gives a boto3 client by the service's name."""

    name: str
    client: Callable[[str], Any]
    uploads_bucket: str
    results_bucket: str
    work_bucket: str
    progress_function: str
    event_bus: str = "default"
    outputs: Mapping[str, str] = field(default_factory=dict)
    #: Nobody pays there, and nobody else puts photos there.
    is_private: bool = False
    #: What to say before people judge the pictures.
    about: Sequence[str] = ()
    #: The same for whoever sees the page.
    note: str = ""
    check: Callable[[], None] = lambda: None
    before_upload: Callable[[Upload], None] = lambda _: None
    #: What is going on with each key, where that is known.
    stages: Callable[[], Mapping[str, str]] = dict
    function_errors: Callable[[], Sequence[str]] = tuple

    def read(self, bucket: str, key: str) -> bytes | None:
        """Return an object's bytes, or None where there is no such object."""
        try:
            content: bytes = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise
        return content

    def invoke(self, function: str, event: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Return what a function of the stack answers; raise :class:`CommandError` where it fails."""
        answer = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event or {}).encode())
        content = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            raise CommandError(f"{function} failed: {content.get('errorType')}: {content.get('errorMessage')}")
        return content


def find_stack(name: str) -> Stack:
    """Return the stack of this name, or the one that a JSON file like ``.local/stack.json`` describes.

    Raises :class:`CommandError` where there is none, or it is not one of ours.
    """
    try:
        return _in_file(Path(name)) if name.endswith(".json") else _deployed(name)
    except (BotoCoreError, ClientError) as error:
        raise CommandError(
            f"The stack {name} cannot be looked up: {error}. Check its name, and the region and credentials "
            "that the AWS CLI uses (AWS_PROFILE, AWS_REGION)."
        ) from None


def _in_file(path: Path) -> Stack:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        session = boto3.Session(
            aws_access_key_id=found["access_key_id"],
            aws_secret_access_key=found["secret_access_key"],
            region_name=found["region"],
        )
        outputs, bus = found["outputs"], found["event_bus"]
    except OSError:
        raise CommandError(f"{path} is not there. `make up` writes it while it runs.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path} does not describe a stack ({error}). `make up` writes one that does.") from None
    return _of(str(path), outputs, bus, session, endpoint_url=found["endpoint_url"])


def _deployed(name: str) -> Stack:
    session = boto3.Session()
    stack = session.client("cloudformation", config=_CONFIG).describe_stacks(StackName=name)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    parameters = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in stack.get("Parameters", [])}
    return _of(name, outputs, parameters.get("EventBusName") or "default", session)


_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 6}, max_pool_connections=32)


def _of(
    name: str, outputs: Mapping[str, str], bus: str, session: boto3.Session, *, endpoint_url: str | None = None
) -> Stack:
    config = _CONFIG
    if endpoint_url:
        config = config.merge(Config(proxies={}, s3={"addressing_style": "path"}))
    clients: dict[str, Any] = {}
    lock = threading.Lock()

    def client(service: str) -> Any:  # noqa: ANN401 - boto3's clients have no common type
        with lock:
            if service not in clients:
                clients[service] = session.client(
                    service,  # type: ignore[call-overload]
                    endpoint_url=endpoint_url,
                    config=config,
                )
            return clients[service]

    try:
        return Stack(
            name,
            client,
            uploads_bucket=outputs["UploadsBucketName"],
            results_bucket=outputs["ResultsBucketName"],
            work_bucket=outputs["WorkBucketName"],
            progress_function=outputs["ReportProgressFunctionName"],
            event_bus=bus,
            outputs=outputs,
        )
    except KeyError as error:
        raise CommandError(f"The stack {name} has no output {error}; is it one of Cleanplate?") from None
