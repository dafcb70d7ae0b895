"""What the Jobs table remembers of an upload: its identity, and the options that it was first read with."""

from __future__ import annotations

from dataclasses import replace

from cleanplate.aws.dynamodb import Table
from cleanplate.jobs.records import object_key, selection_from_item, selection_to_item, upload_key
from cleanplate.models import Options, Photo
from cleanplate.uploads.identity import job_id


class KnownUploads:
    """Items of their own, written once. Times are seconds since the epoch."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def identify(self, photo: Photo, *, now: float) -> Photo:
        """Return the upload that an object stands for; where it has a version, that says it.

        Without one an upload is known by its ETag and sequencer, and only S3's own notification brings a sequencer. Whoever finds
        the object in another way is given the sequencer of that notification, and one that comes after it becomes the same
        upload: one object is one job, however it was found.
        """
        if photo.version_id or not photo.etag:
            return photo
        item = {"sequencer": photo.sequencer, "expires_at": self._table.expiry(now)}
        found = self._table.put_new(object_key(photo), item)
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
        item = {
            "first_job": job_id(photo, options, own_mask),
            **selection_to_item(options, own_mask),
            "expires_at": self._table.expiry(now),
        }
        found = self._table.put_new(upload_key(photo), item)
        return (options, own_mask) if found is None else selection_from_item(found)

    def remembered_options(self, photo: Photo) -> tuple[Options, Photo | None] | None:
        """Return what :meth:`remember_options` has kept of an upload, if anything."""
        item = self._table.get(upload_key(photo))
        return selection_from_item(item) if item else None
