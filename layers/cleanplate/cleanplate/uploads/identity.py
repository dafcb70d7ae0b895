"""Ids of uploads and jobs, derived from what was uploaded, so that a repeated step finds what it made before."""

from __future__ import annotations

import hashlib
import json

from cleanplate.models import Options, Photo
from cleanplate.uploads.options import options_to_dict

#: Options that were added later, with the value that stands for how it was before.
_ADDED = {"fill_route": "fill-masked-areas", "prompt": ""}

#: Options that do not change the result.
_NOT_IN_THE_PICTURE = frozenset({"urgent", "review"})


def _digest(parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _upload(photo: Photo) -> list[str]:
    version = [photo.version_id] if photo.version_id else ["", photo.etag, photo.sequencer]
    return [photo.bucket, photo.key, *version]


def photo_id(photo: Photo) -> str:
    """Return the id of an upload: a hash of bucket, key and version (or ETag and sequencer), 40 hexadecimal digits."""
    return _digest(_upload(photo))[:40]


def refused_id(photo: Photo) -> str:
    """Return the job id of an upload whose options cannot be read; no options that can be read give the same."""
    return _digest([_upload(photo), "refused"])[:40]


def job_id(photo: Photo, options: Options, own_mask: Photo | None = None) -> str:
    """Return the id of a job: a hash of upload, options and own mask, 40 hexadecimal digits.

    It is legal as a Step Functions name and in an S3 key.
    """
    mask = _upload(own_mask) if own_mask else None
    # An option that was added later is left out where nobody chose it, so that older jobs keep their ids.
    what = {
        name: value
        for name, value in options_to_dict(options).items()
        if name not in _NOT_IN_THE_PICTURE and not (name in _ADDED and _ADDED[name] == value)
    }
    return _digest([_upload(photo), what, mask])[:40]
