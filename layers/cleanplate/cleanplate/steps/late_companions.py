"""Use or answer what comes late: sidecars, masks and folders' files after their photos, results copied back to the uploads."""

from __future__ import annotations

from collections.abc import Iterator

from cleanplate.aws.storage import MARK, UploadedObject
from cleanplate.errors import LateFolderFileError, OwnOutputError
from cleanplate.jobs.folder_counts import FolderScope
from cleanplate.models import Photo
from cleanplate.services import Services
from cleanplate.steps.approve_mask import newest_job
from cleanplate.steps.refuse_request import refuse
from cleanplate.uploads.identity import refused_id
from cleanplate.uploads.options import (
    FOLDER_MASK,
    FOLDER_OPTIONS,
    OWN_MASK_SUFFIX,
    SIDECAR_SUFFIX,
    own_mask_keys,
)
from cleanplate.uploads.photo_names import skip_reason


def photos_begun_before(companion: Photo, services: Services) -> Iterator[UploadedObject]:
    """Yield the photos of a sidecar or mask that were begun before it came.

    A folder's file that came late changes none of them; an event says so.
    """
    if companion.key.rpartition("/")[2] in {FOLDER_OPTIONS, FOLDER_MASK}:
        _answer_late_folder_file(companion, services)
        return
    for key in _keys_beside(companion, services):
        found = services.storage.look_up(companion.bucket, key)
        if found and MARK not in found.metadata and _has_begun(found.photo, services):
            yield found


def answer_copy(found: UploadedObject, services: Services) -> None:
    """Publish that a copy of a result is not cleaned by itself: a rule that copies results would otherwise never end."""
    error = OwnOutputError(f"{found.photo.key} is a result of this stack.")
    refuse(error, found.photo, services)


def _keys_beside(companion: Photo, services: Services) -> list[str]:
    if companion.key.endswith(SIDECAR_SUFFIX):
        keys = [companion.key.removesuffix(SIDECAR_SUFFIX)]
    else:
        stem = companion.key.removesuffix(OWN_MASK_SUFFIX)
        # The mask of photo.jpg, of photo.heic, or of a photo without an ending.
        below = services.storage.names_below(companion.bucket, f"{stem}.")
        keys = [stem, *(key for key in below if companion.key in own_mask_keys(key))]
    return [key for key in keys if key and not skip_reason(Photo(companion.bucket, key))]


def _has_begun(photo: Photo, services: Services) -> bool:
    photo = services.ledger.uploads.identify(photo, now=services.clock())
    return (
        services.ledger.uploads.remembered_options(photo) is not None
        or newest_job(photo, services) is not None
        or services.ledger.get(refused_id(photo)) is not None
    )


def _answer_late_folder_file(file: Photo, services: Services) -> None:
    (counts,) = services.ledger.progress.read(FolderScope.of(file))
    if counts is None or not counts.photos:
        return
    error = LateFolderFileError(
        f"{file.key} holds for photos that come from now on; {counts.photos} of its folder came before."
    )
    refuse(error, file, services)
