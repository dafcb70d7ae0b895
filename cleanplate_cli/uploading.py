"""Photos into the uploads bucket: several at a time, none over what somebody else put there, none twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from cleanplate.uploads.options import own_mask_keys
from cleanplate_cli.collecting import task_of
from cleanplate_cli.errors import CommandError
from cleanplate_cli.inputs import Upload, companions_by_photo
from cleanplate_cli.stack import Stack

#: Whose the object is, and what was asked for: on every object that is put here, so that a later run knows its own.
OWNER, TASK = "uploaded-by", "uploaded-as"
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


class NameTakenError(CommandError):
    """Another photo has this key in the uploads bucket."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """One photo in the bucket. ``is_new`` is false where the very same was there before."""

    task: str
    version_id: str
    is_new: bool


class Uploader:
    """Puts uploads below ``folder``. ``owner`` names the folder of results that this is for; ``again`` repeats what was done."""

    def __init__(self, stack: Stack, folder: str, owner: str, *, again: bool = False, lanes: int = 8) -> None:
        self._stack, self._folder, self._owner, self._again = stack, folder, owner, again
        self._pool = ThreadPoolExecutor(lanes)

    def start(self, uploads: Sequence[Upload]) -> dict[str, Future[Uploaded]]:
        """Begin with companions, which have to be there before their photos; then return a future for each photo's key."""
        companions = [upload for upload in uploads if upload.companion]
        for done in [self._pool.submit(self._put, upload, "") for upload in companions]:
            done.result()
        beside = companions_by_photo(uploads)
        return {
            photo.key: self._pool.submit(self._photo, photo, beside[photo.key])
            for photo in uploads
            if not photo.companion
        }

    def stop(self) -> None:
        """Finish what is under way, and begin nothing more."""
        self._pool.shutdown(cancel_futures=True)

    def _photo(self, photo: Upload, companions: Sequence[Upload]) -> Uploaded:
        self._stack.before_upload(photo)
        content = photo.read()
        return self._put(photo, task_of(photo, content, [other.read() for other in companions]), content)

    def _put(self, upload: Upload, task: str, content: bytes | None = None) -> Uploaded:
        content = upload.read() if content is None else content
        task = task or task_of(upload, content)
        place = {"Bucket": self._stack.uploads_bucket, "Key": self._folder + upload.key}
        what: dict[str, Any] = {
            **place,
            "Body": content,
            "Metadata": {**upload.metadata, OWNER: self._owner, TASK: task},
        }
        s3 = self._stack.client("s3")
        try:
            return Uploaded(task, s3.put_object(**what, IfNoneMatch="*").get("VersionId", ""), is_new=True)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _TAKEN:
                raise
        there = s3.head_object(**place)
        if there["Metadata"].get(TASK) == task and not self._again:
            return Uploaded(task, there.get("VersionId", ""), is_new=False)
        if there["Metadata"].get(OWNER) != self._owner:
            raise NameTakenError(f"{place['Key']} in {place['Bucket']} is another photo, which somebody else uploaded.")
        return Uploaded(task, s3.put_object(**what).get("VersionId", ""), is_new=True)


def put_mask(stack: Stack, key: str, mask: bytes) -> None:
    """Put the mask of a photo beside it, which approves that mask; whatever mask was there before is another one."""
    stack.client("s3").put_object(Bucket=stack.uploads_bucket, Key=own_mask_keys(key)[0], Body=mask)


def ask_again(stack: Stack, key: str, version_id: str, *, approve: bool = False) -> None:
    """Ask for another run of a photo that is in the bucket already, since it failed or its mask is good; what was paid for
    it is used.
    """
    detail: dict[str, object] = {"bucket": stack.uploads_bucket, "key": key, "version_id": version_id or None}
    if approve:
        detail["approve"] = True
    answer = stack.client("events").put_events(
        Entries=[
            {
                "Source": "cleanplate.cli",
                "DetailType": "Photo Cleaning Requested",
                "Detail": json.dumps(detail),
                "EventBusName": stack.event_bus,
            }
        ]
    )
    if answer.get("FailedEntryCount"):
        raise CommandError(f"EventBridge refused to take the request ({answer['Entries'][0].get('ErrorCode')}).")
