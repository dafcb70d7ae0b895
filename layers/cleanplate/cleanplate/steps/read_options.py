"""Read a photo's options and its own mask from the objects beside it in its bucket."""

from __future__ import annotations

from typing import Any

from cleanplate.aws.storage import UploadedObject
from cleanplate.models import Options, Photo
from cleanplate.services import Services
from cleanplate.uploads.messages import Upload
from cleanplate.uploads.options import (
    FOLDER_OPTIONS,
    MAX_SIDECAR_BYTES,
    folder_of,
    options_in_folders,
    options_in_metadata,
    options_in_sidecar,
    own_mask_keys,
    resolve_options,
    sidecar_key,
)


def read_options(upload: Upload, found: UploadedObject | None, services: Services) -> tuple[Options, Photo | None]:
    """Return the photo's options and its own mask, if any; raises as ``resolve_options`` does.

    A photo that is gone has only the options of its key, its folder and the stack.
    """
    bucket, key = upload.photo.bucket, upload.photo.key
    own_mask = _own_mask(bucket, key, services) if found else None
    folder_file = folder_of(key) + FOLDER_OPTIONS
    if upload.options is not None:
        nearest = dict(upload.options)
    else:
        nearest = _read_file(bucket, sidecar_key(key), "The sidecar", services) if found else {}
    options = resolve_options(
        defaults=services.settings.default_options,
        folder_file=_read_file(bucket, folder_file, folder_file, services) if found else {},
        folder_file_key=folder_file,
        folders=options_in_folders(key),
        metadata=options_in_metadata(found.metadata) if found else {},
        nearest=nearest,
        has_own_mask=own_mask is not None,
    )
    return options, own_mask


def _read_file(bucket: str, key: str, what: str, services: Services) -> dict[str, Any]:
    """Return the options in a JSON file, none where it is not there; an error calls the file ``what``."""
    content = services.storage.read(bucket, key, max_bytes=MAX_SIDECAR_BYTES + 1)
    return options_in_sidecar(content, what=what) if content is not None else {}


def _own_mask(bucket: str, key: str, services: Services) -> Photo | None:
    there = (services.storage.look_up(bucket, mask) for mask in own_mask_keys(key))
    return next((found.photo for found in there if found), None)
