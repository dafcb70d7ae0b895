"""The Jobs table: who claimed a photo, what was paid for, and how it ended.

Intent is written before a POST and Adobe's job after it. Every write is conditional, so that a redelivered message,
a repeated step and a crash at any point find the truth instead of paying twice. A job's moves from waiting to in work
to its end are transactions with the tallies of its folder and its bucket, see ``progress``. Other kinds of item share
the table, told apart by the partition key ``job_id``: ``photo#<photo id>``, the first job of an upload,
``object#<photo id>``, the upload that an object without a version stands for, and ``manifest#<photo id>``, the job that
the manifest of a key tells of.

An open job, which has not ended or whose outcome was not announced, is in the index ``OpenJobs`` by the time when it is
late (``deadlines.due_at``): for the sweeper, who so reads late jobs alone. The index is sparse, holds keys only and is
spread over ``SHARDS``. A photo that meets no delay costs it 12 write units: one each to come and to go, two for each of
five moves (mask sent; fill's slot taken, begun, sent; ended); three quarters of a cent for a thousand photos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, cast

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from cleanplate.aws.dynamodb import get_many, reasons, retry_on_conflict
from cleanplate.errors import AskInFlightError, JobMovedOnError, PostOutcomeUnknownError
from cleanplate.jobs.deadlines import due_at
from cleanplate.jobs.folder_counts import SHARDS, Progress, count_writes
from cleanplate.models import TERMINAL, AdobeJob, AdobeRequest, Job, JobStatus, Options, Photo
from cleanplate.uploads.identity import job_id, photo_id
from cleanplate.uploads.options import options_from_dict, options_to_dict

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

#: A POST whose answer was lost may be sent once more.
MAX_ATTEMPTS = 2
#: Longer than any function that POSTs may live (180 s): until then the answer may still be written. Seconds.
LEASE_SECONDS = 200.0
#: Most answers are there long before the lease ends. Seconds.
_LOOK_AGAIN_SECONDS = 15.0
#: Adobe's result links are good for an hour at least; an answer is used again only well within it. Seconds.
ANSWER_SECONDS = 3000.0
#: Failures that lie in what Adobe had given last: another run must not be given the same again.
_SPOILT = frozenset({"MaskUnusableError", "FillUnusableError", "DownloadFailedError", "WorkGoneError"})
#: Failures that say nothing of what Adobe was still at work on: another run goes on asking about it.
_BLAMELESS = frozenset(
    {
        "AccessRefusedError",
        "CredentialsRefusedError",
        "ExecutionStoppedError",
        "StepCrashedError",
        "StepTimedOutError",
    }
)
_DAY = 86_400
#: The index of open jobs and its keys.
OPEN_JOBS, _SHARD, _DUE = "OpenJobs", "open_shard", "due_at"

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


def _to_item(value: object) -> object:
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, Mapping):
        return {name: _to_item(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_to_item(inner) for inner in value]
    return value


def _from_item(value: object) -> Any:  # noqa: ANN401 - JSON-like
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _from_item(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_from_item(inner) for inner in value]
    return value


def _values(**values: object) -> dict[str, Any]:
    return {f":{name}": _serialize(_to_item(value)) for name, value in values.items()}


def look_again_at(request: AdobeRequest, now: float) -> float:
    """When to look whether another call's POST was answered: soon, and at the latest when its lease ends."""
    return min(request.lease_until, now + _LOOK_AGAIN_SECONDS)


def _shard_of(job_id: str) -> str:
    return str(int(job_id[-8:], 16) % SHARDS)


def _moved_on(job_id: str) -> JobMovedOnError:
    return JobMovedOnError(f"Job {job_id} has moved on since it was read.")


def _read_request(name: str, item: Mapping[str, Any]) -> AdobeRequest:
    adobe_job = AdobeJob(**item["adobe_job"]) if item.get("adobe_job") else None
    return AdobeRequest(**{**item, "name": name, "adobe_job": adobe_job})


def _read_choice(item: Mapping[str, Any]) -> tuple[Options, Photo | None]:
    return options_from_dict(item["options"]), Photo(**item["own_mask"]) if item.get("own_mask") else None


def _is_at_work(request: AdobeRequest, now: float) -> bool:
    return request.adobe_job is not None and not request.finished_at and now - request.submitted_at < ANSWER_SECONDS


def _waited_for_again(request: AdobeRequest, now: float) -> AdobeRequest:
    """Asked about at once, and given as long as it was given at first."""
    return replace(
        request,
        check_at=request.submitted_at,
        deadline_at=now + (request.deadline_at - request.submitted_at),
        slot_at=0.0,
    )


def _kept(job: Job, now: float) -> list[AdobeRequest]:
    """The asks of a failed job whose answers another run may use, or may still wait for."""
    good = [
        request
        for request in job.adobe_requests.values()
        if request.finished_at and now - request.finished_at < ANSWER_SECONDS
    ]
    if job.outcome.get("reason") in _BLAMELESS:
        good += [
            _waited_for_again(request, now) for request in job.adobe_requests.values() if _is_at_work(request, now)
        ]
    masks = [request for request in good if request.name == "mask"]
    fills = [request for request in good if request.name != "mask"]
    if job.outcome.get("reason") in _SPOILT:
        # The masks were sound if it came to a fill.
        return (
            masks if any(request.finished_at for name, request in job.adobe_requests.items() if name != "mask") else []
        )
    # A fill belongs to the mask that it was made with.
    return masks + fills if masks or job.own_mask else []


def _read_job(item: Mapping[str, Any]) -> Job:
    return Job(
        job_id=item["job_id"],
        photo=Photo(**item["photo"]),
        options=options_from_dict(item["options"]),
        status=item["status"],
        run=item["run"],
        claimed_at=item["claimed_at"],
        deadline_at=item["deadline_at"],
        own_mask=Photo(**item["own_mask"]) if item.get("own_mask") else None,
        facts=item.get("facts", {}),
        adobe_requests={name: _read_request(name, request) for name, request in item.get("adobe_requests", {}).items()},
        outcome=item.get("outcome", {}),
        request_id=item.get("request_id", ""),
        correlation_id=item.get("correlation_id", ""),
        published=bool(item.get("published")),
    )


class Ledger:
    """The Jobs table. The DynamoDB client is handed in; times are seconds since the epoch."""

    def __init__(self, client: DynamoDBClient, *, table: str, record_days: int) -> None:
        self._db = client
        self._table = table
        self._record_days = record_days
        #: The tallies that this ledger's writes keep.
        self.progress = Progress(client, table=table, record_days=record_days)

    # --- claiming ---

    def one_upload(self, photo: Photo, *, now: float) -> Photo:
        """The upload that an object stands for; where it has a version, that says it.

        Without one an upload is told by ETag and sequencer, and only S3's own news brings a sequencer. Whoever finds
        the object in another way is given the sequencer of that news, and news that comes after it becomes the same
        upload: one object is one job, however it was heard of.
        """
        if photo.version_id or not photo.etag:
            return photo
        item = {
            "job_id": self._object_key(photo),
            "sequencer": photo.sequencer,
            "expires_at": int(now) + self._record_days * _DAY,
        }
        found = self._put_if_absent(item)
        if found is None or (photo.sequencer and found["sequencer"]):
            # The same bytes, uploaded again under the same key, are another upload.
            return photo
        return replace(photo, sequencer=found["sequencer"])

    def first_choice(
        self, photo: Photo, options: Options, own_mask: Photo | None, *, now: float
    ) -> tuple[Options, Photo | None]:
        """The options that an upload was first read with.

        A redelivered notification may find a sidecar that was not there before; it must not become a second job.
        """
        key = f"photo#{photo_id(photo)}"
        item = {
            "job_id": key,
            "first_job": job_id(photo, options, own_mask),
            "options": options_to_dict(options),
            "own_mask": asdict(own_mask) if own_mask else None,
            "expires_at": int(now) + self._record_days * _DAY,
        }
        found = self._put_if_absent(item)
        return (options, own_mask) if found is None else _read_choice(found)

    def earlier_choice(self, photo: Photo) -> tuple[Options, Photo | None] | None:
        """What :meth:`first_choice` has kept of an upload, if anything."""
        key = {"job_id": {"S": f"photo#{photo_id(photo)}"}}
        answer = self._db.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return _read_choice(self._plain(answer["Item"])) if "Item" in answer else None

    def claim(self, job: Job) -> Job:
        """Write a new job, or return the one that is there already."""
        # A message that waited for its turn comes back many times: a read costs a tenth of a refused transaction.
        found = self.get(job.job_id)
        if found is not None:
            return found
        item = {
            "job_id": job.job_id,
            "photo": asdict(job.photo),
            "options": options_to_dict(job.options),
            "own_mask": asdict(job.own_mask) if job.own_mask else None,
            "status": "claimed",
            "run": job.run,
            "claimed_at": job.claimed_at,
            "deadline_at": job.deadline_at,
            "facts": {},
            "adobe_requests": {},
            "outcome": {},
            "request_id": job.request_id,
            "correlation_id": job.correlation_id,
            "published": False,
            "updated_at": job.claimed_at,
            _SHARD: _shard_of(job.job_id),
            _DUE: due_at(job),
            "expires_at": int(job.claimed_at) + self._record_days * _DAY,
        }
        put = {
            "TableName": self._table,
            "Item": {name: _serialize(_to_item(value)) for name, value in item.items()},
            "ConditionExpression": "attribute_not_exists(job_id)",
        }
        there = self._write_counted({"Put": put}, job, before=None, after="claimed", now=job.claimed_at)
        return job if there is None else _read_job(there)

    def reclaim(self, job: Job, *, request_id: str, now: float, deadline_at: float, correlation_id: str = "") -> Job:
        """Begin another run of a failed job; what was paid for and can still be fetched is kept."""
        kept = {request.name: request for request in _kept(job, now)}
        again = replace(
            job,
            status="claimed",
            run=job.run + 1,
            adobe_requests=kept,
            outcome={},
            published=False,
            request_id=request_id,
            correlation_id=correlation_id,
            claimed_at=now,
            deadline_at=deadline_at,
        )
        update = self._expression(
            job.job_id,
            "SET #status = :claimed, #run = :next, adobe_requests = :adobe_requests, outcome = :empty, published = :no, "
            "request_id = :request, correlation_id = :correlation, claimed_at = :now, deadline_at = :deadline, updated_at = :now, "
            f"{_SHARD} = :shard, {_DUE} = :due",
            "#status = :failed AND #run = :run",
            claimed="claimed",
            failed="failed",
            next=again.run,
            run=job.run,
            adobe_requests={name: self._request_item(request) for name, request in kept.items()},
            empty={},
            no=False,
            request=request_id,
            correlation=correlation_id,
            now=now,
            deadline=deadline_at,
            shard=_shard_of(job.job_id),
            due=due_at(again),
        )
        reason = str(job.outcome.get("reason", ""))
        found = self._write_counted({"Update": update}, job, before="failed", after="claimed", now=now, reason=reason)
        if found is not None:
            raise _moved_on(job.job_id)
        return again

    def get(self, job_id: str) -> Job | None:
        """The job as it is now."""
        item = self._read_item(job_id)
        return _read_job(self._plain(item)) if item else None

    def statuses(self, photos: Sequence[Photo]) -> list[JobStatus | None]:
        """How the first job of each upload stands; None where there is none. Hundreds at once, for a few calls."""
        objects = get_many(self._db, self._table, (self._object_key(photo) for photo in photos if not photo.version_id))
        uploads = []
        for photo in photos:
            known = objects.get(self._object_key(photo)) if not photo.version_id else None
            uploads.append(replace(photo, sequencer=known["sequencer"]["S"]) if known else photo)
        firsts = get_many(self._db, self._table, (f"photo#{photo_id(photo)}" for photo in uploads))
        first_jobs = {key: item["first_job"]["S"] for key, item in firsts.items()}
        jobs = get_many(self._db, self._table, first_jobs.values())
        found = (jobs.get(first_jobs.get(f"photo#{photo_id(photo)}", "")) for photo in uploads)
        return [cast("JobStatus", job["status"]["S"]) if job else None for job in found]

    def record_facts(self, job: Job, facts: Mapping[str, Any], *, now: float) -> Job:
        """Keep what was seen of the photo."""
        return self._update_open(job, "SET facts = :facts, updated_at = :now", facts=facts, now=now)

    # --- paying ---

    def record_slot(self, job: Job, request: AdobeRequest, *, slot_at: float, ticket: int, now: float) -> Job:
        """Keep the slot, or the place in the queue, that the pacer gave to a request that has to wait.

        Raises :class:`JobMovedOnError` where another call has begun to send it: its intent must not be written over.
        """
        return self._write_request(
            job, replace(request, slot_at=slot_at, ticket=ticket), now=now, unless_begun_since=request
        )

    def begin_request(self, job: Job, name: str, *, route: str, status: JobStatus, now: float) -> AdobeRequest:
        """Write the intent to POST; only who gets an :class:`Ask` back may send it.

        Raises :class:`AskInFlightError` while another call may still be sending, and
        :class:`PostOutcomeUnknownError` where the answer was lost for the last permitted time.
        """
        request = job.adobe_requests.get(name, AdobeRequest(name))
        if request.adobe_job is not None:
            return request
        if request.intent_at and now < request.lease_until:
            raise AskInFlightError(f"The {name} request is being sent by another call.", look_again_at(request, now))
        if request.attempts >= MAX_ATTEMPTS:
            raise PostOutcomeUnknownError(f"Adobe's answer to the {name} request was lost {request.attempts} times.")
        begun = replace(
            request,
            route=route,
            attempts=request.attempts + 1,
            intent_at=now,
            lease_until=now + LEASE_SECONDS,
            slot_at=0.0,
        )
        try:
            self._write_request(job, begun, now=now, status=status, unless_begun_since=request)
        except JobMovedOnError:
            current = self.get(job.job_id)
            if current is None or current.run != job.run or current.status in TERMINAL:
                raise
            found = current.adobe_requests[name]
            if found.adobe_job is not None:
                return found
            raise AskInFlightError(
                f"The {name} request is being sent by another call.", look_again_at(found, now)
            ) from None
        return begun

    def withdraw_request(self, job: Job, request: AdobeRequest, *, now: float) -> Job:
        """Adobe certainly made no job of this POST: it does not count as an attempt, but as a refusal."""
        withdrawn = replace(
            request,
            attempts=request.attempts - 1,
            refusals=request.refusals + 1,
            intent_at=0.0,
            lease_until=0.0,
            slot_at=0.0,
        )
        return self._write_request(job, withdrawn, now=now)

    def record_answer_lost(self, job: Job, request: AdobeRequest, *, now: float, until: float) -> Job:
        """The answer to a POST was lost: it may be sent once more, from ``until`` on."""
        return self._write_request(job, replace(request, lease_until=until), now=now)

    def record_adobe_job(self, job: Job, request: AdobeRequest, *, now: float) -> Job:
        """Keep the job that a POST has made, and when it is to be asked about."""
        return self._write_request(job, replace(request, lease_until=0.0), now=now)

    def record_poll(self, job: Job, request: AdobeRequest, *, now: float) -> Job:
        """Keep what one status request has shown, or when the next one is due."""
        return self._write_request(job, request, now=now)

    # --- ending ---

    def finish(self, job: Job, status: JobStatus, outcome: Mapping[str, Any], *, now: float) -> bool:
        """End this run of the job; False where it had ended already, and then nothing is changed."""
        run = job.run
        while job.run == run and job.status not in TERMINAL:
            update = self._expression(
                job.job_id,
                f"SET #status = :status, outcome = :outcome, updated_at = :now, {_DUE} = :due",
                "#run = :run AND #status = :seen",
                status=status,
                outcome=outcome,
                now=now,
                run=run,
                seen=job.status,
                due=due_at(replace(job, status=status, outcome={"ended_at": now})),
            )
            reason = str(outcome.get("reason", "")) if status == "failed" else ""
            found = self._write_counted(
                {"Update": update}, job, before=job.status, after=status, now=now, reason=reason
            )
            if found is None:
                return True
            if not found:
                break
            # It may only have gone from waiting to in work since it was read, which the tallies must be told.
            job = _read_job(found)
        return False

    def take_manifest(self, job: Job, *, now: float) -> bool:
        """Let the manifest at the photo's key tell of this job; False where it tells of a later upload by now.

        Whoever was claimed later was uploaded later: what was replaced before it was begun is refused at once.
        """
        mine = {
            "by": job.job_id,
            "upload": photo_id(job.photo),
            "claimed": job.claimed_at,
            "expires": int(now) + self._record_days * _DAY,
        }
        try:
            self._db.update_item(
                TableName=self._table,
                Key={"job_id": {"S": self._manifest_key(job.photo)}},
                UpdateExpression="SET #by = :by, upload = :upload, claimed_at = :claimed, expires_at = :expires",
                ConditionExpression="attribute_not_exists(claimed_at) OR claimed_at <= :claimed OR upload = :upload",
                ExpressionAttributeNames={"#by": "by"},
                ExpressionAttributeValues=_values(**mine),
            )
        except self._db.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def manifest_of(self, photo: Photo) -> str | None:
        """The job that the manifest at a photo's key tells of."""
        item = self._read_item(self._manifest_key(photo))
        return item["by"]["S"] if item else None

    def record_published(self, job: Job, *, now: float) -> None:
        """The event of this run's outcome is out."""
        self._update(
            job.job_id,
            f"SET published = :yes, updated_at = :now REMOVE {_SHARD}, {_DUE}",
            "#run = :run",
            run=job.run,
            yes=True,
            now=now,
        )

    # --- sweeping ---

    def late(self, now: float) -> Iterator[str]:
        """The ids of open jobs whose time is over, the latest of each shard first, as the index has it: it lags behind."""
        for shard in range(SHARDS):
            pages = self._db.get_paginator("query").paginate(
                TableName=self._table,
                IndexName=OPEN_JOBS,
                KeyConditionExpression=f"{_SHARD} = :shard AND {_DUE} < :now",
                ExpressionAttributeValues=_values(shard=str(shard), now=now),
            )
            for page in pages:
                yield from (item["job_id"]["S"] for item in page["Items"])

    def failed(self, bucket: str, prefix: str, *, after: str) -> tuple[list[Job], str]:
        """Failed jobs of photos below a prefix, and where to go on; empty where that was the last page.

        One megabyte of the table is read, 128 read units, whatever is found in it: for an operator's rare command.
        """
        scan: dict[str, Any] = {
            "TableName": self._table,
            "FilterExpression": "#status = :failed AND photo.#bucket = :bucket",
            "ExpressionAttributeNames": {"#status": "status", "#bucket": "bucket"},
            "ExpressionAttributeValues": _values(failed="failed", bucket=bucket),
        }
        if prefix:
            scan["FilterExpression"] += " AND begins_with(photo.#key, :prefix)"
            scan["ExpressionAttributeNames"]["#key"] = "key"
            scan["ExpressionAttributeValues"] |= _values(prefix=prefix)
        if after:
            scan["ExclusiveStartKey"] = {"job_id": {"S": after}}
        page = self._db.scan(**scan)
        goes_on = page.get("LastEvaluatedKey", {}).get("job_id", {}).get("S", "")
        return [_read_job(self._plain(item)) for item in page["Items"]], goes_on

    # --- one table, one way to write it ---

    @staticmethod
    def _object_key(photo: Photo) -> str:
        return f"object#{photo_id(replace(photo, sequencer=''))}"

    @staticmethod
    def _manifest_key(photo: Photo) -> str:
        return f"manifest#{photo_id(Photo(photo.bucket, photo.key))}"

    @staticmethod
    def _request_item(request: AdobeRequest) -> dict[str, Any]:
        return {name: value for name, value in asdict(request).items() if name != "name"}

    def _write_request(
        self,
        job: Job,
        request: AdobeRequest,
        *,
        now: float,
        status: JobStatus | None = None,
        unless_begun_since: AdobeRequest | None = None,
    ) -> Job:
        update = f"SET adobe_requests.#request = :request, updated_at = :now, {_DUE} = :due"
        condition = ""
        due = due_at(
            replace(job, status=status or job.status, adobe_requests={**job.adobe_requests, request.name: request})
        )
        values: dict[str, object] = {"request": self._request_item(request), "now": now, "due": due}
        if status:
            update += ", #status = :status"
            values["status"] = status
        if unless_begun_since is not None:
            condition = (
                "(attribute_not_exists(adobe_requests.#request) OR "
                "(adobe_requests.#request.intent_at = :seen AND adobe_requests.#request.attempts = :attempts AND adobe_requests.#request.adobe_job = :none))"
            )
            values |= {"seen": unless_begun_since.intent_at, "attempts": unless_begun_since.attempts, "none": None}
        if status is None or job.status != "claimed":
            return self._update_open(job, update, condition, names={"#request": request.name}, **values)
        # The first request of a run: from now on the photo is in work.
        condition = f"#run = :run AND #status = :claimed AND {condition or 'attribute_exists(job_id)'}"
        values |= {"run": job.run, "claimed": "claimed"}
        expression = self._expression(job.job_id, update, condition, names={"#request": request.name}, **values)
        if self._write_counted({"Update": expression}, job, before="claimed", after=status, now=now) is not None:
            raise _moved_on(job.job_id)
        return replace(job, status=status, adobe_requests={**job.adobe_requests, request.name: request})

    def _update_open(
        self, job: Job, update: str, condition: str = "", *, names: Mapping[str, str] | None = None, **values: object
    ) -> Job:
        still_open = "#run = :run AND NOT (#status IN (:cleaned, :nothing, :failed))"
        return self._update(
            job.job_id,
            update,
            f"{still_open} AND {condition}" if condition else still_open,
            names=names,
            run=job.run,
            cleaned="cleaned",
            nothing="nothing_to_remove",
            failed="failed",
            **values,
        )

    def _update(
        self, key: str, update: str, condition: str, *, names: Mapping[str, str] | None = None, **values: object
    ) -> Job:
        expression = self._expression(key, update, condition, names=names, **values)
        try:
            answer = retry_on_conflict(lambda: self._db.update_item(**expression, ReturnValues="ALL_NEW"))
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                raise _moved_on(key) from None
            raise
        return _read_job(self._plain(answer["Attributes"]))

    def _expression(
        self, key: str, update: str, condition: str, *, names: Mapping[str, str] | None = None, **values: object
    ) -> dict[str, Any]:
        used = {"#run": "run", "#status": "status", **(names or {})}
        return {
            "TableName": self._table,
            "Key": {"job_id": {"S": key}},
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {name: real for name, real in used.items() if name in update + condition},
            "ExpressionAttributeValues": _values(**values),
        }

    def _write_counted(
        self,
        write: Mapping[Literal["Put", "Update"], Mapping[str, Any]],
        job: Job,
        *,
        before: JobStatus | None,
        after: JobStatus,
        now: float,
        reason: str = "",
    ) -> dict[str, Any] | None:
        """Write a job's move and count it, both or neither; None where it was written, else what was there."""
        expires_at = int(now) + self._record_days * _DAY
        counts = count_writes(
            self._table,
            job.photo,
            job.job_id,
            before=before,
            after=after,
            reason=reason,
            now=now,
            expires_at=expires_at,
        )
        refusable = {
            kind: {**content, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"} for kind, content in write.items()
        }
        items = cast("list[TransactWriteItemTypeDef]", [refusable, *counts])
        try:
            retry_on_conflict(lambda: self._db.transact_write_items(TransactItems=items))
        except ClientError as error:
            if reasons(error)[:1] != ["ConditionalCheckFailed"]:
                raise
            found = cast("Mapping[str, Any]", error.response)["CancellationReasons"][0].get("Item")
            return self._plain(found or self._read_item(job.job_id) or {})
        return None

    def _read_item(self, key: str) -> Mapping[str, Any] | None:
        return self._db.get_item(TableName=self._table, Key={"job_id": {"S": key}}, ConsistentRead=True).get("Item")

    def _put_if_absent(self, item: Mapping[str, object]) -> dict[str, Any] | None:
        """None where the item was written, else what was there."""
        try:
            self._db.put_item(
                TableName=self._table,
                Item={name: _serialize(_to_item(value)) for name, value in item.items()},
                ConditionExpression="attribute_not_exists(job_id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            found = cast("Mapping[str, Any]", error.response).get("Item")
            if found is None:
                # An older DynamoDB endpoint does not return the item with the refusal.
                found = self._read_item(str(item["job_id"]))
            return self._plain(found or {})
        return None

    @staticmethod
    def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
        return {name: _from_item(_deserialize(value)) for name, value in item.items()}
