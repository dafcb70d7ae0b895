"""What the Jobs table remembers of an upload: who it is, and the options that it was first read with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cleanplate.aws.dynamodb import from_item, is_refused, item_key, item_there, to_item
from cleanplate.jobs.records import expiry, object_key, selection_from_item, selection_to_item, upload_key
from cleanplate.models import Options, Photo
from cleanplate.uploads.identity import job_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class KnownUploads:
    """Items of their own, written once. The DynamoDB client is handed in; times are seconds since the epoch."""

    def __init__(self, client: DynamoDBClient, *, table: str, record_days: int) -> None:
        self._db = client
        self._table = table
        self._record_days = record_days

    def identify(self, photo: Photo, *, now: float) -> Photo:
        """Return the upload that an object stands for; where it has a version, that says it.

        Without one an upload is told by ETag and sequencer, and only S3's own notification brings a sequencer. Whoever finds
        the object in another way is given the sequencer of that notification, and one that comes after it becomes the same
        upload: one object is one job, however it was heard of.
        """
        if photo.version_id or not photo.etag:
            return photo
        found = self._put_if_absent(object_key(photo), {"sequencer": photo.sequencer}, now)
        if found is None or (photo.sequencer and found["sequencer"]):
            # The same bytes, uploaded again under the same key, are another upload.
            return photo
        return replace(photo, sequencer=found["sequencer"])

    def remember_options(
        self, photo: Photo, options: Options, own_mask: Photo | None, *, now: float
    ) -> tuple[Options, Photo | None]:
        """Return the options that an upload was first read with.

        A redelivered notification may find a sidecar that was not there before; it must not become a second job.
        """
        item = {"first_job": job_id(photo, options, own_mask), **selection_to_item(options, own_mask)}
        found = self._put_if_absent(upload_key(photo), item, now)
        return (options, own_mask) if found is None else selection_from_item(found)

    def remembered_options(self, photo: Photo) -> tuple[Options, Photo | None] | None:
        """Return what :meth:`remember_options` has kept of an upload, if anything."""
        item = self._read(upload_key(photo))
        return selection_from_item(item) if item else None

    def _read(self, key: str) -> dict[str, Any] | None:
        answer = self._db.get_item(TableName=self._table, Key=item_key(key), ConsistentRead=True)
        return from_item(answer["Item"]) if "Item" in answer else None

    def _put_if_absent(self, key: str, values: Mapping[str, object], now: float) -> dict[str, Any] | None:
        """Return None where the item was written, else what was there."""
        item = {"job_id": key, **values, "expires_at": expiry(now, self._record_days)}
        try:
            self._db.put_item(
                TableName=self._table,
                Item=to_item(item),
                ConditionExpression="attribute_not_exists(job_id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if not is_refused(error):
                raise
            return item_there(error) or self._read(key) or item
        return None
