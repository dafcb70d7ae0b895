"""Who a photo and a job are: names derived from what was uploaded, so that repeating an act finds what it made."""

from __future__ import annotations

import hashlib
import json

from cleanplate.models import Options, Photo
from cleanplate.uploads.options import options_to_dict


def _digest(parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _upload(photo: Photo) -> list[str]:
    version = [photo.version_id] if photo.version_id else ["", photo.etag, photo.sequencer]
    return [photo.bucket, photo.key, *version]


def photo_id(photo: Photo) -> str:
    """One upload: bucket, key and version (or ETag and sequencer). 40 hexadecimal digits."""
    return _digest(_upload(photo))[:40]


def refused_id(photo: Photo) -> str:
    """The job of an upload whose options cannot be read: never that of one whose options can."""
    return _digest([_upload(photo), "refused"])[:40]


def job_id(photo: Photo, options: Options, own_mask: Photo | None = None) -> str:
    """One upload with one set of options; legal as a Step Functions name and in an S3 key. 40 hexadecimal digits."""
    mask = _upload(own_mask) if own_mask else None
    # Being in a hurry does not make it another picture.
    what = {name: value for name, value in options_to_dict(options).items() if name != "urgent"}
    return _digest([_upload(photo), what, mask])[:40]
