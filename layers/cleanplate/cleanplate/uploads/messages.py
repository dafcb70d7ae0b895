"""Read the messages of the queues into types, and write those that the stack sends itself.

About uploads: S3's notification, the same through EventBridge, the request event ``Photo Cleaning Requested``, and
``Photo Found``, which a backfill sends. About the stack's own work: ``Photo Admitted`` and ``Folder Ended``. Only S3's
direct notifications encode the key, so only there it is decoded, once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import unquote_plus

from cleanplate.errors import InvalidRequestError
from cleanplate.models import Job, Photo
from cleanplate.schemas import MAX_CORRELATION_ID, CleaningRequest
from cleanplate.uploads.identity import refused_id
from cleanplate.uploads.options import is_text, request_options

REQUEST_DETAIL_TYPE = "Photo Cleaning Requested"
FOUND_DETAIL_TYPE = "Photo Found"
ADMITTED_DETAIL_TYPE = "Photo Admitted"
FOLDER_ENDED_DETAIL_TYPE = "Folder Ended"


@dataclass(frozen=True, slots=True)
class Upload:
    """A photo to clean.

    ``request_id`` is the id of a request event, which may retry a failed photo; empty for an upload. ``options`` are those
    of the event; with None the options that lie with the photo apply. ``correlation_id`` is the caller's own text.
    ``approve`` approves the mask that waits.
    """

    photo: Photo
    options: Mapping[str, Any] | None = None
    request_id: str = ""
    correlation_id: str = ""
    approve: bool = False


@dataclass(frozen=True, slots=True)
class Admitted:
    """A claimed photo whose slot has come, in seconds since the epoch; 0 for one whose deadline has passed."""

    job_id: str
    slot_at: float


@dataclass(frozen=True, slots=True)
class FolderEnded:
    """A folder whose last photo has ended, by the job ``job_id``: how many runs had begun in it, and when the last one did.

    ``folder`` has its last slash and is empty for the top of the bucket; ``begun_at`` is in seconds since the epoch.
    """

    job_id: str
    bucket: str
    folder: str
    begun: int
    begun_at: float


def read_own(body: str) -> Admitted | FolderEnded | None:
    """Return the content of a message that the stack has sent itself; None for any other."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    kind = message.get("detail-type") if isinstance(message, dict) else None
    try:
        if kind == ADMITTED_DETAIL_TYPE:
            detail = message["detail"]
            return Admitted(_word("job id", detail["job_id"]), float(detail["slot_at"]))
        if kind == FOLDER_ENDED_DETAIL_TYPE:
            return FolderEnded(**message["detail"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidRequestError(f"The message lacks or misspells {error}.") from None
    return None


def admitted_message(job_id: str, slot_at: float) -> str:
    """Return the message body that lets a waiting photo in."""
    return json.dumps({"detail-type": ADMITTED_DETAIL_TYPE, "detail": {"job_id": job_id, "slot_at": slot_at}})


def folder_ended_message(ended: FolderEnded) -> str:
    """Return the message body after which a folder is checked for being done."""
    return json.dumps({"detail-type": FOLDER_ENDED_DETAIL_TYPE, "detail": asdict(ended)})


def read_uploads(body: str) -> Iterator[Upload]:
    """Yield the uploads that one queue message names; none for a test event or a deletion.

    Raises :class:`InvalidRequestError` where the message is none of the four kinds.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRequestError("The message is not JSON.") from None
    if not isinstance(message, dict):
        raise InvalidRequestError("The message is not a JSON object.")
    if message.get("Event") == "s3:TestEvent":
        return
    try:
        if "Records" in message:
            yield from _from_notification(message)
        elif message.get("source") == "aws.s3":
            yield from _from_eventbridge(message)
        elif message.get("detail-type") == FOUND_DETAIL_TYPE:
            detail = message["detail"]
            yield Upload(Photo(bucket=_word("bucket", detail["bucket"]), key=_word("key", detail["key"])))
        elif message.get("detail-type") == REQUEST_DETAIL_TYPE:
            yield _from_request(message)
        else:
            raise InvalidRequestError("The message is neither an S3 notification nor a 'Photo Cleaning Requested'.")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidRequestError(f"The message lacks or misspells {error}.") from None


def _from_notification(event: Mapping[str, Any]) -> Iterator[Upload]:
    for record in event["Records"]:
        if record["eventName"].startswith("ObjectCreated:"):
            about = record["s3"]["object"]
            key = unquote_plus(about["key"])
            yield _uploaded(record["s3"]["bucket"]["name"], key, about.get("versionId"), about.get("eTag"), about)


def _from_eventbridge(event: Mapping[str, Any]) -> Iterator[Upload]:
    if event["detail-type"] == "Object Created":
        about = event["detail"]["object"]
        bucket = event["detail"]["bucket"]["name"]
        yield _uploaded(bucket, about["key"], about.get("version-id"), about.get("etag"), about)


def _uploaded(bucket: object, key: object, version_id: object, etag: object, about: Mapping[str, Any]) -> Upload:
    return Upload(
        Photo(
            bucket=_word("bucket", bucket),
            key=_word("key", key),
            version_id=_real_version(version_id),
            etag=_any_word("etag", etag).strip('"'),
            sequencer=_any_word("sequencer", about.get("sequencer")),
            size=_size(about.get("size")),
        )
    )


def _from_request(event: Mapping[str, Any]) -> Upload:
    detail = event["detail"]
    if not isinstance(detail, dict):
        raise InvalidRequestError("The request's detail must be a JSON object with bucket and key.")
    _check_names(detail)
    options, approve = detail.get("options"), detail.get("approve", False)
    if not isinstance(approve, bool):
        raise InvalidRequestError(f"The request's approve is {approve!r}; it is true or false.")
    if approve and options is not None:
        raise InvalidRequestError("A mask is approved with the options that it was made with; leave the options out.")
    if not isinstance(options, dict | None):
        raise InvalidRequestError("The request's options must be a JSON object.")
    return Upload(
        Photo(
            bucket=_word("bucket", detail["bucket"]),
            key=_word("key", detail["key"]),
            version_id=_real_version(detail.get("version_id")),
        ),
        options=options,
        request_id=_word("id", event["id"]),
        correlation_id=_correlation_id(detail.get("correlation_id")),
        approve=approve,
    )


def _check_names(detail: Mapping[str, Any]) -> None:
    """Refuse a name that is nearly one of ours, and so a typing error; other names are ignored."""
    accepted = list(CleaningRequest.__annotations__)
    for name in detail:
        near = get_close_matches(str(name).lower(), accepted, n=1, cutoff=0.8)
        if name not in accepted and near:
            raise InvalidRequestError(f"The request has an unknown name {name!r}; did you mean {near[0]!r}?")


def _correlation_id(given: object) -> str:
    if given is None:
        return ""
    if not isinstance(given, str) or len(given) > MAX_CORRELATION_ID or not is_text(given):
        raise InvalidRequestError(f"The correlation_id must be text of at most {MAX_CORRELATION_ID} characters.")
    return given


def _word(name: str, value: object) -> str:
    if not isinstance(value, str) or not value or not is_text(value):
        raise InvalidRequestError(f"The message's {name} is {value!r}; it must be text.")
    return value


def _any_word(name: str, value: object) -> str:
    return "" if value in (None, "") else _word(name, value)


def _real_version(version_id: object) -> str:
    return "" if version_id == "null" else _any_word("version id", version_id)


def _size(size: object) -> int | None:
    return int(size) if isinstance(size, int | str) else None


def found_message(photo: Photo) -> str:
    """Return the message body about a photo that a backfill found: bucket and key, of the newest version when it is read."""
    return json.dumps({"detail-type": FOUND_DETAIL_TYPE, "detail": {"bucket": photo.bucket, "key": photo.key}})


def retry_message(job: Job, retry_id: str) -> str:
    """Return the message body that asks for another run of a failed job: the same photo with the same options.

    The request's id follows from the retry's and the job's, so that sending it twice is one request.
    """
    # Options that could not be read may have been corrected: they are read again.
    unread = job.job_id == refused_id(job.photo)
    detail = {
        "bucket": job.photo.bucket,
        "key": job.photo.key,
        "version_id": job.photo.version_id or None,
        "options": None if unread else request_options(job.options),
    }
    return json.dumps({"detail-type": REQUEST_DETAIL_TYPE, "id": f"{retry_id}/{job.job_id}", "detail": detail})
