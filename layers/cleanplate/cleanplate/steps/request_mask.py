"""Step one: claim the photo, look at it, ask Adobe for its mask, start the execution."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from cleanplate.adobe.routes import ROUTES, Request, Route
from cleanplate.aws.storage import MARK, UploadedObject
from cleanplate.aws.temp_file import scratch_file
from cleanplate.errors import (
    CleanplateError,
    EmptyPhotoError,
    JobMovedOnError,
    KeyTooLongError,
    PhotoGoneError,
    PhotoRefusedError,
    PhotoReplacedError,
    PhotoTooLargeError,
    PostponedError,
)
from cleanplate.imaging import (
    PhotoFacts,
    can_send_as_is,
    check_own_mask,
    inspect_photo,
    looks_complete,
    make_view,
    verify_photo,
)
from cleanplate.models import TERMINAL, Job, Options, Photo
from cleanplate.outcomes import deliver, fail, failure_of, say_again
from cleanplate.services import Tools
from cleanplate.steps.submit import await_turn, send
from cleanplate.steps.work_files import work_key
from cleanplate.uploads.identity import job_id, refused_id
from cleanplate.uploads.messages import Upload, skip_reason
from cleanplate.uploads.options import (
    MAX_SIDECAR_BYTES,
    options_in_folders,
    options_in_metadata,
    options_in_sidecar,
    own_mask_key,
    resolve_options,
    sidecar_key,
)

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

logger = Logger(child=True)

_HEAD_BYTES = 65_536
_TAIL_BYTES = 65_536
_HOUR = 3600.0
#: Room for the endings of the result (``.heic.jpg``) and its manifest (``.json``) below S3's 1024.
_MAX_PHOTO_KEY_BYTES = 1000


def request_mask(upload: Upload, tools: Tools) -> None:
    """Bring one upload as far as its execution, or to a named failure.

    Raises :class:`PostponedError` where the message must come back later. Any other exception is a fault: the message
    comes back by itself, and finds in the ledger what was done.
    """
    _await_turn(upload, tools)
    stack = tools.settings
    skipped = skip_reason(upload.photo, frozenset({stack.results_bucket, stack.work_bucket}))
    found = None if skipped else tools.storage.look_up(upload.photo.bucket, upload.photo.key)
    if found and MARK in found.metadata and not upload.request_id:
        skipped = "a copy of our own output"
    if skipped:
        logger.info("skipped", extra={"key": upload.photo.key, "why": skipped})
        return
    job, refusal = _claim(upload, found, tools)
    logger.append_keys(job_id=job.job_id)
    if job.status in TERMINAL:
        if not (job.status == "failed" and upload.request_id and upload.request_id != job.request_id):
            deliver(job, tools)
            if job.announced and upload.request_id not in {"", job.request_id}:
                say_again(job, tools)
            return
        job = tools.ledger.reclaim(job, request_id=upload.request_id, now=tools.clock(), deadline_at=_deadline(tools))
    try:
        _begin(job, found, refusal, tools)
    except (PostponedError, JobMovedOnError):
        raise
    except CleanplateError as error:
        logger.warning("photo failed", extra={"reason": error.reason, "error_message": str(error)})
        # Only this run of the job: another may have begun meanwhile.
        fail(job, failure_of(error), tools)


def _await_turn(upload: Upload, tools: Tools) -> None:
    """Most messages come back several times to see whether it is their turn: that much is known without S3."""
    if upload.request_id or not upload.photo.version_id:
        return
    choice = tools.ledger.earlier_choice(upload.photo)
    job = tools.ledger.get(job_id(upload.photo, *choice)) if choice else None
    ask = job.asks.get("mask") if job else None
    if job and ask and job.status == "claimed" and not ask.attempts:
        logger.append_keys(job_id=job.job_id)
        await_turn(job, "mask", route=ROUTES[job.options.mask_route], status="masking", tools=tools)


def _deadline(tools: Tools) -> float:
    return tools.clock() + tools.settings.photo_deadline_hours * _HOUR


def _claim(upload: Upload, found: UploadedObject | None, tools: Tools) -> tuple[Job, PhotoRefusedError | None]:
    """The job, and why it must be refused where its options cannot be read."""
    photo = tools.ledger.one_upload(_pinned(upload, found), now=tools.clock())
    refusal: PhotoRefusedError | None = None
    options, own_mask = Options(), None
    try:
        options, own_mask = _read_options(upload, found, tools)
    except PhotoRefusedError as error:
        refusal = error
    if not upload.request_id:
        # A notification may come twice, with other companions beside the photo; the first time holds.
        if refusal is None:
            options, own_mask = tools.ledger.first_choice(photo, options, own_mask, now=tools.clock())
        elif (earlier := tools.ledger.earlier_choice(photo)) is not None:
            refusal, (options, own_mask) = None, earlier
    job = Job(
        job_id=refused_id(photo) if refusal else job_id(photo, options, own_mask),
        photo=photo,
        options=options,
        status="claimed",
        claimed_at=tools.clock(),
        deadline_at=_deadline(tools),
        own_mask=own_mask,
        request_id=upload.request_id,
    )
    return tools.ledger.claim(job), refusal


def _pinned(upload: Upload, found: UploadedObject | None) -> Photo:
    """The photo with its version, so that every later step reads the very bytes that were uploaded."""
    photo = upload.photo
    if found is None or photo.version_id:
        return photo
    if not photo.etag:
        # A request, or a photo that was found: whatever is newest at its place.
        return found.photo
    if photo.etag == found.photo.etag:
        return replace(photo, version_id=found.photo.version_id)
    return photo


def _read_options(upload: Upload, found: UploadedObject | None, tools: Tools) -> tuple[Options, Photo | None]:
    bucket, key = upload.photo.bucket, upload.photo.key
    own_mask = tools.storage.look_up(bucket, own_mask_key(key)) if found else None
    nearest: dict[str, Any] = {}
    if upload.options is not None:
        nearest = dict(upload.options)
    elif found and (sidecar := tools.storage.look_up(bucket, sidecar_key(key))):
        nearest = options_in_sidecar(tools.storage.read_small(sidecar.photo, max_bytes=MAX_SIDECAR_BYTES))
    options = resolve_options(
        defaults=tools.settings.default_options,
        folders=options_in_folders(key),
        metadata=options_in_metadata(found.metadata) if found else {},
        nearest=nearest,
        has_own_mask=own_mask is not None,
    )
    return options, own_mask.photo if own_mask else None


def _begin(job: Job, found: UploadedObject | None, refusal: PhotoRefusedError | None, tools: Tools) -> None:
    ask = job.asks.get("mask")
    # With the fill in work the photo is no longer needed where it was uploaded.
    if job.status != "filling" and (ask is None or not ask.adobe_job):
        if len(tools.result_key(job.photo).encode()) > _MAX_PHOTO_KEY_BYTES:
            raise KeyTooLongError(f"The key has {len(job.photo.key.encode())} bytes.")
        _check_still_there(job.photo, found)
        if refusal:
            raise refusal
        job = _look_at(job, found, tools)
        if not job.own_mask:
            job = _ask_for_mask(job, tools)
    elif job.run > 1 and job.status == "claimed" and found:
        # Another run with the mask of an earlier one: nothing more is paid for a version that was replaced.
        _check_not_replaced(job.photo, found.photo)
    _start_execution(job, tools)


def _check_still_there(photo: Photo, found: UploadedObject | None) -> None:
    if found is None:
        raise PhotoGoneError(f"{photo.key} is no longer in {photo.bucket}.")
    _check_not_replaced(photo, found.photo)


def _check_not_replaced(photo: Photo, now: Photo) -> None:
    if not photo.is_same_upload(now):
        raise PhotoReplacedError(f"{photo.key} was uploaded again before this version was begun.")


def _look_at(job: Job, found: UploadedObject | None, tools: Tools) -> Job:
    size = found.size if found else 0
    if size == 0:
        raise EmptyPhotoError(f"{job.photo.key} has no bytes.")
    if size > tools.settings.max_photo_bytes:
        raise PhotoTooLargeError(
            f"{job.photo.key} has {size} bytes; at most {tools.settings.max_photo_bytes} are taken."
        )
    if job.facts:
        return job
    with tools.storage.open_photo(job.photo, size=size) as file:
        facts = inspect_photo(file, max_megapixels=tools.settings.max_megapixels)
        file.seek(0)
        head = file.read(_HEAD_BYTES)
        file.seek(max(0, size - _TAIL_BYTES))
        complete = looks_complete(head, file.read(_TAIL_BYTES), facts)
    if not complete:
        with scratch_file() as file:
            tools.storage.fetch_photo(job.photo, file, max_bytes=tools.settings.max_photo_bytes)
            verify_photo(file)
    if job.own_mask:
        with scratch_file() as file:
            tools.storage.fetch_photo(job.own_mask, file, max_bytes=tools.settings.max_photo_bytes)
            check_own_mask(file, facts)
    return tools.ledger.note_facts(job, facts.to_dict(), now=tools.clock())


def _ask_for_mask(job: Job, tools: Tools) -> Job:
    route = ROUTES[job.options.mask_route]
    return send(
        job,
        "mask",
        route=route,
        status="masking",
        make_request=lambda: _mask_request(job, route, tools),
        tools=tools,
    )


def _mask_request(job: Job, route: Route, tools: Tools) -> Request:
    facts = PhotoFacts.from_dict(job.facts)
    image_url = (
        tools.storage.link_for_adobe(job.photo, work_key(job.job_id, "photo"))
        if can_send_as_is(facts, limit=route.pixel_limit)
        else _link_to_view(job, facts, route, tools)
    )
    output_url = tools.storage.link_to_write_work(work_key(job.job_id, "mask.png")) if route.writes_to_us else ""
    return Request(image_url=image_url, output_url=output_url, mask_format=job.options.mask_format)


def _link_to_view(job: Job, facts: PhotoFacts, route: Route, tools: Tools) -> str:
    with scratch_file() as file:
        tools.storage.fetch_photo(job.photo, file, max_bytes=tools.settings.max_photo_bytes)
        view = make_view(file, facts, limit=route.pixel_limit)
    key = work_key(job.job_id, f"view{view.extension}")
    tools.storage.write_work(key, view.content, view.media_type)
    return tools.storage.link_to_work(key)


def _start_execution(job: Job, tools: Tools) -> None:
    client: SFNClient = tools.make_stepfunctions()
    ask = job.asks.get("mask")
    # A pure function of the record, so that a repeated start is the same start. A mask that is there is not waited for.
    wait = max(0, round(ask.check_at - ask.submitted_at)) if ask and not ask.finished_at else 0
    start = {"job_id": job.job_id, "wait_seconds": wait}
    try:
        client.start_execution(
            stateMachineArn=tools.settings.state_machine_arn, name=job.execution_name, input=json.dumps(start)
        )
    except client.exceptions.ExecutionAlreadyExists:
        logger.info("the execution was started before")
