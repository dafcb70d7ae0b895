"""A photo that `make up` leaves for the sample events, so that one function at a time can be tried on it.

Nobody is told of its upload, and the execution that `request_mask` starts for it waits for ever: each step is left to
whoever calls the next function.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cleanplate.models import Options, Photo
from cleanplate.settings import read_settings
from cleanplate.uploads.identity import job_id
from cleanplate.uploads.options import options_in_folders, resolve_options
from local.demo.photographs import photograph
from local.paths import EVENTS_FOLDER, ROOT
from local.stack import LocalCloud

#: What the sample events say, in events/.
KEY = "holiday 2026/Zoë's dog + cat (100%) [final] 🐶.jpg"
_BUCKET = "cleanplate-uploads-123456789012"
_JOB = "4f39005f5be9034a40d9a604dcb032223a7f6ae6"
_VERSION, _ETAG = "Xw2f0sT9kPq7LrB4nHd1cYv8mJz6aEuG", "5eb63bbbe01eeed093cb22bb8f5acdc3"
_DAYS = 30


def leave_photo(
    cloud: LocalCloud, settings: Mapping[str, dict[str, str]], events: Path = EVENTS_FOLDER
) -> dict[str, dict[str, str]]:
    """Upload the photo and write the sample events so that they name it; return each function's settings."""
    photo = _upload(cloud)
    resolved = {name: dict(variables) for name, variables in settings.items()}
    resolved["RequestMaskFunction"]["STATE_MACHINE_ARN"] = _machine_that_waits(cloud)
    job = job_id(photo, _options(resolved["RequestMaskFunction"]))
    words = {_BUCKET: photo.bucket, _JOB: job, _VERSION: photo.version_id, _ETAG: photo.etag}
    events.mkdir(parents=True, exist_ok=True)
    for sample in sorted((ROOT / "events").glob("*.json")):
        text = sample.read_text(encoding="utf-8")
        for old, new in words.items():
            text = text.replace(old, new)
        (events / sample.name).write_text(text, encoding="utf-8")
    return resolved


def _upload(cloud: LocalCloud) -> Photo:
    s3, bucket = cloud.aws.client("s3"), cloud.stack.uploads_bucket
    picture = io.BytesIO()
    photograph("chelsea").save(picture, "JPEG", quality=92)
    with _nobody_is_told(cloud):
        put = s3.put_object(Bucket=bucket, Key=KEY, Body=picture.getvalue())
    return Photo(bucket, KEY, put["VersionId"], put["ETag"].strip('"'), size=len(picture.getvalue()))


def _options(variables: Mapping[str, str]) -> Options:
    defaults = read_settings(variables).default_options
    folders = options_in_folders(KEY)
    return resolve_options(defaults=defaults, folders=folders, metadata={}, nearest={}, has_own_mask=False)


@contextmanager
def _nobody_is_told(cloud: LocalCloud) -> Iterator[None]:
    s3, bucket = cloud.aws.client("s3"), cloud.stack.uploads_bucket
    notifications: Any = s3.get_bucket_notification_configuration(Bucket=bucket)
    notifications.pop("ResponseMetadata")
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    try:
        yield
    finally:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=notifications)


def _machine_that_waits(cloud: LocalCloud) -> str:
    machines = cloud.aws.client("stepfunctions")
    definition = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": _DAYS * 86_400, "End": True}}}
    role = machines.describe_state_machine(stateMachineArn=cloud.stack.state_machine_arn)["roleArn"]
    made = machines.create_state_machine(name="samples", definition=json.dumps(definition), roleArn=role)
    return made["stateMachineArn"]
