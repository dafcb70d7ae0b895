"""The first step: claim the photo, inspect it, request its mask and start the execution, or let it wait for its slot."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from cleanplate import imaging
from cleanplate.adobe.routes import ROUTES, Request, Route
from cleanplate.aws.metrics import Metric, count
from cleanplate.aws.storage import MARK, UploadedObject
from cleanplate.aws.temp_file import scratch_file
from cleanplate.errors import (
    CleanplateError,
    DeadlinePassedError,
    EmptyPhotoError,
    InvalidRequestError,
    JobMovedOnError,
    KeyTooLongError,
    LedgerBusyError,
    OwnMaskSizeError,
    PhotoGoneError,
    PhotoRefusedError,
    PhotoReplacedError,
    PhotoTooLargeError,
    PostponedError,
    ReviewExpiredError,
)
from cleanplate.models import TERMINAL, AdobeRequest, Job, Options, Photo
from cleanplate.outcomes import fail, failure_of, publish, republish
from cleanplate.services import Services
from cleanplate.steps.approve_mask import answers_review, approve, is_done_by, job_to_approve, newest_job
from cleanplate.steps.enter_waiting_room import enter_waiting_room
from cleanplate.steps.late_companions import answer_copy, photos_begun_before
from cleanplate.steps.read_options import read_options
from cleanplate.steps.refuse_request import refuse
from cleanplate.steps.submit import send, take_turn
from cleanplate.steps.work_files import fill_name, work_key
from cleanplate.uploads.identity import job_id, refused_id
from cleanplate.uploads.messages import Admitted, Upload
from cleanplate.uploads.photo_names import COMPANIONS, skip_reason

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

logger = Logger(child=True)

_HOUR = 3600.0
#: One job in this many has its trace recorded: a trace costs as much as a request that writes to S3.
TRACED_IN = 20
#: Room for the endings of the result (``.heic.jpg``) and its manifest (``.json``) below S3's 1024.
_MAX_PHOTO_KEY_BYTES = 1000


def request_mask(upload: Upload, services: Services) -> None:
    """Take one upload to its execution, into the waiting room, or to a named failure.

    Raises :class:`InvalidRequestError` for a request that cannot be carried out. Whatever else is raised is a fault: the
    message comes back, and the ledger tells what was done.
    """
    skipped = skip_reason(upload.photo, services.settings.own_buckets)
    if skipped and upload.request_id:
        raise InvalidRequestError(f"{upload.photo.key} in {upload.photo.bucket} is not a photo to clean: {skipped}.")
    found = None if skipped else _look_up(upload, services)
    if found and MARK in found.metadata and not upload.request_id:
        skipped = "a copy of our own output"
    if skipped:
        count(Metric.LEFT_ALONE)
        logger.info("skipped", extra={"key": upload.photo.key, "why": skipped})
        _handle_skipped(upload, found, skipped, services)
        return
    job, refusal = _claim_or_approve(upload, found, services)
    logger.append_keys(job_id=job.job_id)
    if job.status in TERMINAL:
        was_answered = job.has_heard(upload.request_id) and not job.published
        # Whoever ended it may have been cut short before it was published.
        job = publish(job, services)
        if not _asks_for_another_run(upload, job):
            if not was_answered and upload.request_id not in {"", job.request_id}:
                republish(job, services, request_id=upload.request_id, correlation_id=upload.correlation_id)
            return
        job = services.ledger.reclaim(
            job,
            request_id=upload.request_id,
            correlation_id=upload.correlation_id,
            now=services.clock(),
            deadline_at=_deadline(services),
        )
    elif not job.has_heard(upload.request_id):
        job = services.ledger.join(job, upload.request_id, upload.correlation_id, now=services.clock())
    _advance(job, found, refusal, services)


def _look_up(upload: Upload, services: Services) -> UploadedObject | None:
    photo, accepted = upload.photo, services.settings.photo_buckets
    if photo.bucket not in accepted:
        raise InvalidRequestError(
            f"The bucket {photo.bucket} is none of this stack's; it cleans {' and '.join(accepted)}."
        )
    return services.storage.look_up(photo.bucket, photo.key)


def _handle_skipped(upload: Upload, found: UploadedObject | None, why: str, services: Services) -> None:
    """Handle an upload that is not cleaned: answer a copy of a result, use a sidecar or mask that came after its photo."""
    if found and upload.photo.etag:
        answer_copy(found, services)
    if why in COMPANIONS and upload.photo.bucket in services.settings.photo_buckets:
        for late in photos_begun_before(upload.photo, services):
            _clean_with_companion(late, services)


def _claim_or_approve(
    upload: Upload, found: UploadedObject | None, services: Services
) -> tuple[Job, PhotoRefusedError | None]:
    """Return the upload's job, and the error it must fail with where its options cannot be read."""
    if not upload.approve:
        return _claim(upload, found, services)
    job = job_to_approve(_pinned(upload, found), services)
    if job.status == "mask_ready":
        job = approve(job, upload, services, deadline_at=_deadline(services))
    return job, None


def _clean_with_companion(found: UploadedObject, services: Services) -> None:
    """Clean a photo with the sidecar or mask that came after it, where that changes anything; a mask may answer a review."""
    upload = Upload(found.photo)
    photo = services.ledger.uploads.identify(found.photo, now=services.clock())
    try:
        options, own_mask = read_options(upload, found, services)
    except PhotoRefusedError as error:
        refuse(error, photo, services)
        return
    job = _claim_as(upload, photo, options, own_mask, services)
    if job.status in TERMINAL:
        publish(job, services)
    else:
        _advance(job, found, None, services)


def _asks_for_another_run(upload: Upload, job: Job) -> bool:
    if job.status != "failed" or job.has_heard(upload.request_id):
        return False
    # An approval that comes too late must not pay for another mask.
    return not (upload.approve and job.outcome.get("reason") == ReviewExpiredError.__name__)


def request_admitted(admitted: Admitted, services: Services) -> None:
    """Send a waiting photo whose slot has come; raises as :func:`request_mask` does, which has claimed it."""
    logger.append_keys(job_id=admitted.job_id)
    job = services.ledger.get(admitted.job_id)
    if job is None:
        return
    if job.status in TERMINAL:
        # Whoever ended it may have been cut short before it was published.
        publish(job, services)
        return
    found = services.storage.look_up(job.photo.bucket, job.photo.key)
    _advance(job, found, None, services, slot_at=admitted.slot_at)


def _advance(
    job: Job,
    found: UploadedObject | None,
    refusal: PhotoRefusedError | None,
    services: Services,
    *,
    slot_at: float = 0.0,
) -> None:
    try:
        _begin(job, found, refusal, services, slot_at=slot_at)
    except (LedgerBusyError, JobMovedOnError):
        raise
    except PostponedError as later:
        logger.info("waits", extra={"why": str(later), "until": later.until})
        enter_waiting_room(job, later.until, services)
    except CleanplateError as error:
        logger.warning("photo failed", extra={"reason": error.reason, "error_message": str(error)})
        # Ends only this run: another may have begun meanwhile.
        fail(job, failure_of(error), services)


def _deadline(services: Services) -> float:
    return services.clock() + services.settings.photo_deadline_hours * _HOUR


def _claim(upload: Upload, found: UploadedObject | None, services: Services) -> tuple[Job, PhotoRefusedError | None]:
    photo = services.ledger.uploads.identify(_pinned(upload, found), now=services.clock())
    refusal: PhotoRefusedError | None = None
    options, own_mask = Options(), None
    try:
        options, own_mask = read_options(upload, found, services)
    except PhotoRefusedError as error:
        refusal = error
    if not upload.request_id:
        # A notification may come twice, with other companions beside the photo: the options of the first time count.
        if refusal is None:
            options, own_mask = services.ledger.uploads.remember_options(photo, options, own_mask, now=services.clock())
        elif (earlier := services.ledger.uploads.remembered_options(photo)) is not None:
            refusal, (options, own_mask) = None, earlier
    if refusal is None:
        return _claim_as(upload, photo, options, own_mask, services), None
    return services.ledger.claim(_new_job(upload, photo, options, own_mask, services, refused_id(photo))), refusal


def _claim_as(upload: Upload, photo: Photo, options: Options, own_mask: Photo | None, services: Services) -> Job:
    """Return the job of these options, claimed if it is new; where they answer a review, the reviewed job in its next run."""
    new = _new_job(upload, photo, options, own_mask, services, job_id(photo, options, own_mask))
    if own_mask and (newest := newest_job(photo, services)):
        if answers_review(newest, own_mask):
            return approve(newest, upload, services, deadline_at=new.deadline_at, options=options, own_mask=own_mask)
        if is_done_by(newest, options, own_mask):
            return newest
    there = services.ledger.claim(new)
    if there.status == "mask_ready" and not new.awaits_review:
        # A request for the same without a review approves it.
        return approve(there, upload, services, deadline_at=new.deadline_at)
    return there


def _new_job(
    upload: Upload, photo: Photo, options: Options, own_mask: Photo | None, services: Services, name: str
) -> Job:
    return Job(
        job_id=name,
        photo=photo,
        options=options,
        status="claimed",
        claimed_at=services.clock(),
        deadline_at=_deadline(services),
        own_mask=own_mask,
        request_id=upload.request_id,
        correlation_id=upload.correlation_id,
    )


def _pinned(upload: Upload, found: UploadedObject | None) -> Photo:
    """Return the photo with its version, so that every later step reads the bytes that were uploaded."""
    photo = upload.photo
    if found is None or photo.version_id:
        return photo
    if not photo.etag:
        # A request, or a photo found by a backfill, means the newest object at its key.
        return found.photo
    if photo.etag == found.photo.etag:
        return replace(photo, version_id=found.photo.version_id)
    return photo


def _begin(
    job: Job,
    found: UploadedObject | None,
    refusal: PhotoRefusedError | None,
    services: Services,
    *,
    slot_at: float,
) -> None:
    request = job.adobe_requests.get("mask")
    # Once its fill is at Adobe the photo may be gone from the uploads bucket.
    if job.status != "filling" and (request is None or not request.adobe_job):
        if len(services.result_key(job.photo).encode()) > _MAX_PHOTO_KEY_BYTES:
            raise KeyTooLongError(f"The key has {len(job.photo.key.encode())} bytes.")
        _check_still_there(job.photo, found)
        if refusal:
            raise refusal
        if services.clock() >= job.deadline_at:
            raise DeadlinePassedError("No slot at Adobe came free before the photo's deadline.")
        job = _inspect(job, found, services)
        _take_result_key(job, services)
        job = _take_fill_slot(job, slot_at, services) if job.own_mask else _post_mask(job, slot_at, services)
    elif job.run > 1 and job.status == "claimed" and found:
        # This run has the mask of an earlier one. A version that was replaced is not worth a fill.
        _check_not_replaced(job.photo, found.photo)
        _take_result_key(job, services)
    _start_execution(job, services)


def _take_result_key(job: Job, services: Services) -> None:
    """Own the keys of manifest and result before anything is paid for; raises as :meth:`ResultOwners.take` does."""
    key = services.result_key(job.photo)
    extension = imaging.result_extension(imaging.PhotoFacts.from_dict(job.facts), job.options.output_format)
    pictures = services.review_keys(job.photo) if job.awaits_review else ()
    for owned in dict.fromkeys([key, key + extension, *pictures]):
        services.ledger.owners.take(job, owned, now=services.clock())


def _check_still_there(photo: Photo, found: UploadedObject | None) -> None:
    if found is None:
        raise PhotoGoneError(f"{photo.key} is no longer in {photo.bucket}.")
    _check_not_replaced(photo, found.photo)


def _check_not_replaced(photo: Photo, now: Photo) -> None:
    if not photo.is_same_upload(now):
        raise PhotoReplacedError(f"{photo.key} was uploaded again before this version was begun.")


def _inspect(job: Job, found: UploadedObject | None, services: Services) -> Job:
    size = found.size if found else 0
    if size == 0:
        raise EmptyPhotoError(f"{job.photo.key} has no bytes.")
    if size > services.settings.max_photo_bytes:
        raise PhotoTooLargeError(
            f"{job.photo.key} has {size} bytes; at most {services.settings.max_photo_bytes} are taken."
        )
    if job.facts:
        return job
    with services.storage.open_photo(job.photo, size=size) as file:
        facts = imaging.inspect_photo(file, max_megapixels=services.settings.max_megapixels)
    imaging.check_memory(facts, size=size, target=imaging.target_format(facts, job.options.output_format, []))
    with scratch_file() as file:
        services.storage.fetch_photo(job.photo, file, max_bytes=services.settings.max_photo_bytes)
        facts = replace(facts, has_end_mark=imaging.verify_photo(file))
    if job.own_mask:
        with scratch_file() as file:
            services.storage.fetch_photo(job.own_mask, file, max_bytes=services.settings.max_photo_bytes)
            try:
                imaging.check_own_mask(file, facts)
            except OwnMaskSizeError as error:
                raise OwnMaskSizeError(f"{job.own_mask.key}: {error}") from error
    return services.ledger.record_facts(job, facts.to_dict(), now=services.clock())


def _take_fill_slot(job: Job, slot_at: float, services: Services) -> Job:
    """Take the slot for the fill of a photo with its own mask, whose execution starts then."""
    request = job.adobe_requests.get(fill_name(1), AdobeRequest(fill_name(1)))
    if request.slot_at or request.attempts:
        return job
    slot_at = take_turn(job, route=ROUTES[job.options.fill_route], slot_at=slot_at, services=services)
    return services.ledger.record_slot(job, replace(request, slot_at=slot_at), now=services.clock())


def _post_mask(job: Job, slot_at: float, services: Services) -> Job:
    route = ROUTES[job.options.mask_route]
    return send(
        job,
        "mask",
        route=route,
        status="masking",
        make_request=lambda: _mask_request(job, route, services),
        services=services,
        slot_at=slot_at,
    )


def _mask_request(job: Job, route: Route, services: Services) -> Request:
    facts = imaging.PhotoFacts.from_dict(job.facts)
    image_url = (
        services.storage.link_for_adobe(job.photo, work_key(job.job_id, "photo"), facts.media_type)
        if imaging.can_send_as_is(facts, limit=route.pixel_limit)
        else _link_to_copy(job, facts, route, services)
    )
    output_url = services.storage.link_to_write_work(work_key(job.job_id, "mask.png")) if route.writes_to_us else ""
    return Request(image_url=image_url, output_url=output_url, mask_format=job.options.mask_format)


def _link_to_copy(job: Job, facts: imaging.PhotoFacts, route: Route, services: Services) -> str:
    key = work_key(job.job_id, "view.jpg")
    # A photo that has waited has its copy already, unless it waited for more than a day.
    if services.storage.look_up(services.settings.work_bucket, key) is None:
        with scratch_file() as file:
            services.storage.fetch_photo(job.photo, file, max_bytes=services.settings.max_photo_bytes)
            view = imaging.make_view(file, facts, limit=route.pixel_limit)
        services.storage.write_work(key, view.content, view.media_type)
    return services.storage.link_to_work(key)


def _trace_header(job: Job) -> str:
    """Return X-Ray's header for the job's trace, which is recorded for one job in ``TRACED_IN``."""
    sampled = int(job.job_id[:8], 16) % TRACED_IN == 0
    return f"Root=1-{int(job.claimed_at):08x}-{job.job_id[:24]};Sampled={int(sampled)}"


def _start_execution(job: Job, services: Services) -> None:
    client: SFNClient = services.make_stepfunctions()
    # Always the same, so that Step Functions takes a repeated start for the same one.
    start = {"job_id": job.job_id, "wait_seconds": 0}
    try:
        client.start_execution(
            stateMachineArn=services.settings.state_machine_arn,
            name=job.execution_name,
            input=json.dumps(start),
            traceHeader=_trace_header(job),
        )
    except client.exceptions.ExecutionAlreadyExists:
        logger.info("the execution was started before")
