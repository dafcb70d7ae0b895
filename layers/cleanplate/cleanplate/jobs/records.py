"""A job as an item of the Jobs table, and back: pure translation between a record's plain values and our types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from cleanplate.aws.dynamodb import expiry
from cleanplate.jobs.deadlines import due_at
from cleanplate.jobs.folder_counts import SHARDS
from cleanplate.jobs.waiting_room import WAITING_IN
from cleanplate.models import AdobeJob, AdobeRequest, Job, Options, Photo
from cleanplate.uploads.identity import photo_id
from cleanplate.uploads.options import options_from_dict, options_to_dict

#: The index of open jobs and its keys.
OPEN_JOBS, SHARD, DUE = "OpenJobs", "open_shard", "due_at"


def upload_key(photo: Photo) -> str:
    """Return the key of the item that names the first job of an upload."""
    return f"photo#{photo_id(photo)}"


def object_key(photo: Photo) -> str:
    """Return the key of the item that names the upload for which an object without a version stands."""
    return f"object#{photo_id(replace(photo, sequencer=''))}"


def selection_to_item(options: Options, own_mask: Photo | None) -> dict[str, Any]:
    """Return how an upload is to be cleaned, as attributes."""
    # No pixels to grow by are not the same as none said.
    said = {
        name: value for name, value in options_to_dict(options).items() if value or (value == 0 and value is not False)
    }
    return {"options": said, **({"own_mask": asdict(own_mask)} if own_mask else {})}


def selection_from_item(item: Mapping[str, Any]) -> tuple[Options, Photo | None]:
    """Return what :func:`selection_to_item` has made attributes of."""
    return options_from_dict(item["options"]), Photo(**item["own_mask"]) if item.get("own_mask") else None


def job_to_item(job: Job, *, record_days: int) -> dict[str, Any]:
    """Return a job's record, without what is empty: each begun kilobyte costs, with every write.

    Of no job that is over for good is there a place in the index of open jobs.
    """
    due = due_at(job)
    return _lean(
        {
            **{field.name: getattr(job, field.name) for field in fields(job)},
            "photo": asdict(job.photo),
            **selection_to_item(job.options, job.own_mask),
            "adobe_requests": {name: _request_to_item(request) for name, request in job.adobe_requests.items()},
            "earlier_requests": [{"name": one.name, **_request_to_item(one)} for one in job.earlier_requests],
            "expires_at": expiry(job.claimed_at, record_days),
            **({SHARD: _shard_of(job.job_id), DUE: due} if due is not None else {}),
        }
    )


def job_update(before: Job, after: Job, *, record_days: int) -> dict[str, Any]:
    """Return the update, as ``Table`` takes it, that writes what has changed and leaves alone whatever else the item holds."""
    old = job_to_item(before, record_days=record_days)
    new = job_to_item(after, record_days=record_days)
    gone = [name for name in old if name not in new]
    # Whoever is at it holds the photo now, not the waiting room.
    gone += [WAITING_IN] if after.status != "claimed" else []
    return {
        "values": {name: value for name, value in new.items() if name not in old or old[name] != value},
        "remove": gone,
        **(
            {"condition": "#revision = :seen", "seen": before.revision}
            if before.revision
            else {"condition": "attribute_not_exists(#revision)"}
        ),
    }


def job_from_item(item: Mapping[str, Any]) -> Job:
    """Return the job of a record."""
    options, own_mask = selection_from_item(item)
    requests, earlier = item.get("adobe_requests", {}), item.get("earlier_requests", ())
    return Job(
        **{
            **{field.name: item[field.name] for field in fields(Job) if field.name in item},
            "photo": Photo(**item["photo"]),
            "options": options,
            "own_mask": own_mask,
            "adobe_requests": {
                name: _request_from_item({**request, "name": name}) for name, request in requests.items()
            },
            "earlier_requests": tuple(_request_from_item(request) for request in earlier),
            "answered": tuple(item.get("answered", ())),
        }
    )


def _request_to_item(request: AdobeRequest) -> dict[str, Any]:
    return _lean({name: value for name, value in asdict(request).items() if name != "name"})


def _request_from_item(item: Mapping[str, Any]) -> AdobeRequest:
    adobe_job = AdobeJob(**item["adobe_job"]) if item.get("adobe_job") else None
    return AdobeRequest(**{**item, "adobe_job": adobe_job})


def _lean(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is not empty; what is left out is read back as its type's default, which is as empty."""
    return {name: value for name, value in values.items() if value}


def _shard_of(job_id: str) -> str:
    return str(int(job_id[-8:], 16) % SHARDS)
