"""The Jobs table: who claimed a photo, what was paid for, and how it ended.

Intent is written before a POST and Adobe's job after it. Every write is one function of the job as it was read; it is
written only over the very revision that it was made from, and made again from the newest one where another call was
faster. So a redelivered message, a repeated step and a crash at any point find the truth instead of paying twice. Each
revision bears a random token, by which a write that botocore repeats after a lost answer recognises itself. Every write
returns the job as it then is, and raises :class:`JobMovedOnError` where it is not for this run to write any more.

A job's moves from waiting to in work to its end are transactions with the counts of its folder and its bucket, see
``folder_counts``. Which kinds of item there are, and the index of open jobs: docs/architecture.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from cleanplate.adobe.errors import PostOutcomeUnknownError
from cleanplate.aws.dynamodb import Table
from cleanplate.errors import AskInFlightError, JobMovedOnError, LedgerBusyError
from cleanplate.jobs.folder_counts import SHARDS, Progress, counted_moves
from cleanplate.jobs.known_uploads import KnownUploads
from cleanplate.jobs.records import (
    DUE,
    OPEN_JOBS,
    SHARD,
    job_from_item,
    job_to_item,
    job_update,
    object_key,
    upload_key,
)
from cleanplate.jobs.result_owners import ResultOwners
from cleanplate.jobs.reuse import next_run
from cleanplate.models import TERMINAL, AdobeRequest, Job, JobStatus, Photo

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: A POST whose answer was lost may be sent once more.
MAX_ATTEMPTS = 2
#: Longer than any function that POSTs may live (180 s): until then the answer may still be written. Seconds.
LEASE_SECONDS = 200.0
#: Most answers are there long before the lease ends. Seconds.
_LOOK_AGAIN_SECONDS = 15.0
#: So often is a change made again from what another call has just written.
_TRIES = 8
#: So many request ids of one job are remembered.
_MAX_REQUEST_IDS = 100


def check_not_in_flight(request: AdobeRequest, now: float) -> None:
    """Raise :class:`AskInFlightError` while another call may still be sending a request.

    Its answer is looked for soon, and at the latest when its lease ends.
    """
    if now < request.lease_until:
        look_again_at = min(request.lease_until, now + _LOOK_AGAIN_SECONDS)
        raise AskInFlightError(f"The {request.name} request is being sent by another call.", look_again_at)


def _moved_on(job: Job) -> JobMovedOnError:
    return JobMovedOnError(f"Job {job.job_id} has moved on since it was read.")


def _with(job: Job, request: AdobeRequest) -> Job:
    return replace(job, adobe_requests={**job.adobe_requests, request.name: request})


class Ledger:
    """The Jobs table. The DynamoDB client is handed in; times are seconds since the epoch."""

    def __init__(self, client: DynamoDBClient, *, table: str, record_days: int) -> None:
        self._table = Table(client, table, record_days=record_days)
        #: The counts that this ledger's writes keep.
        self.progress = Progress(self._table)
        #: Whose result lies at a key.
        self.owners = ResultOwners(self._table)
        #: What is remembered of each upload.
        self.uploads = KnownUploads(self._table)

    # --- claiming ---

    def claim(self, job: Job) -> Job:
        """Write a new job, or return the one that is there already."""
        # A message that comes back finds its job: a read costs a tenth of a refused transaction.
        return self.get(job.job_id) or self._save(None, job, job.claimed_at)[1]

    def reclaim(
        self,
        job: Job,
        *,
        request_id: str,
        now: float,
        deadline_at: float,
        correlation_id: str = "",
        prepare: Callable[[Job, float], Job] = next_run,
    ) -> Job:
        """Begin another run of a job that failed or waits for approval; ``prepare`` keeps what was paid for."""

        def again(current: Job) -> Job:
            if current.run != job.run or current.status not in {"failed", "mask_ready"}:
                raise _moved_on(job)
            return replace(
                prepare(current, now),
                status="claimed",
                run=current.run + 1,
                outcome={},
                published=False,
                request_id=request_id,
                correlation_id=correlation_id,
                also_asked={},
                answered=(*current.answered, current.request_id, *current.also_asked)[-_MAX_REQUEST_IDS:],
                claimed_at=now,
                deadline_at=deadline_at,
            )

        return self._change(job, again, now)

    def join(self, job: Job, request_id: str, correlation_id: str, *, now: float) -> Job:
        """Let a request for a job that is open already be answered with its outcome."""

        def joined(current: Job) -> Job:
            if current.has_heard(request_id) or len(current.also_asked) >= _MAX_REQUEST_IDS:
                return current
            return replace(current, also_asked={**current.also_asked, request_id: correlation_id})

        return self._change_open(job, joined, now)

    def get(self, job_id: str) -> Job | None:
        """Return the job as it is now."""
        item = self._table.get(job_id)
        return job_from_item(item) if item else None

    def statuses(self, photos: Sequence[Photo]) -> list[JobStatus | None]:
        """Return how the first job of each upload stands; None where there is none. Hundreds at once, for a few calls."""
        objects = self._table.get_many(object_key(photo) for photo in photos if not photo.version_id)
        uploads = [
            replace(photo, sequencer=objects[key]["sequencer"]) if (key := object_key(photo)) in objects else photo
            for photo in photos
        ]
        firsts = self._table.get_many(upload_key(photo) for photo in uploads)
        jobs = self._table.get_many(item["first_job"] for item in firsts.values())
        found = (jobs.get(firsts.get(upload_key(photo), {}).get("first_job", "")) for photo in uploads)
        return [cast("JobStatus", job["status"]) if job else None for job in found]

    def record_facts(self, job: Job, facts: Mapping[str, Any], *, now: float) -> Job:
        """Keep what was seen of the photo."""
        return self._change_open(job, lambda current: replace(current, facts=facts), now)

    # --- paying ---

    def record_slot(self, job: Job, request: AdobeRequest, *, now: float) -> Job:
        """Keep the slot of a request that has to wait, or what kept it from being sent.

        Where another call has begun to send it, neither is needed, and its intent must not be written over.
        """

        def keep(current: Job) -> Job:
            there = current.adobe_requests.get(request.name, AdobeRequest(request.name))
            is_same = (there.intent_at, there.attempts) == (request.intent_at, request.attempts)
            return _with(current, request) if is_same and not there.adobe_job else current

        return self._change_open(job, keep, now)

    def begin_request(self, job: Job, name: str, *, route: str, status: JobStatus, now: float) -> Job:
        """Write the intent to POST. Only who is given a request without a job at Adobe may send it.

        Raises :class:`AskInFlightError` while another call may still be sending, and
        :class:`PostOutcomeUnknownError` where the answer was lost for the last permitted time.
        """

        def begin(current: Job) -> Job:
            request = current.adobe_requests.get(name, AdobeRequest(name))
            if request.adobe_job is not None:
                return current
            check_not_in_flight(request, now)
            if request.attempts >= MAX_ATTEMPTS:
                raise PostOutcomeUnknownError(
                    f"Adobe's answer to the {name} request was lost {request.attempts} times."
                )
            begun = replace(
                request,
                route=route,
                run=current.run,
                attempts=request.attempts + 1,
                intent_at=now,
                lease_until=now + LEASE_SECONDS,
                slot_at=0.0,
                fate="",
            )
            return replace(_with(current, begun), status=status)

        return self._change_open(job, begin, now)

    def withdraw_request(self, job: Job, request: AdobeRequest, *, sent: int, now: float) -> Job:
        """Record that Adobe tells of no job after these POSTs: they count as refusals, and not as an attempt."""
        withdrawn = replace(
            request,
            attempts=request.attempts - 1,
            refusals=request.refusals + sent,
            intent_at=0.0,
            lease_until=0.0,
            slot_at=0.0,
        )
        return self.record_poll(job, withdrawn, now=now)

    def record_adobe_job(self, job: Job, request: AdobeRequest, *, now: float) -> Job:
        """Keep the job that a POST has made, and when it is to be asked about.

        What one run has paid for is the next one's too, where that still waits for the answer. Where the run has ended
        meanwhile it is kept, the outcome counts as not published, as its manifest knows of no job, and
        :class:`JobMovedOnError` is raised.
        """

        def accept(current: Job) -> Job:
            there = current.adobe_requests.get(request.name, AdobeRequest(request.name))
            is_awaited = (there.intent_at, there.adobe_job) == (request.intent_at, None)
            if not is_awaited and (current.run != job.run or current.status in TERMINAL):
                raise _moved_on(job)
            kept = _with(current, replace(request, lease_until=0.0))
            return replace(kept, published=False) if current.status in TERMINAL else kept

        accepted = self._change(job, accept, now)
        if accepted.run != job.run or accepted.status in TERMINAL:
            raise _moved_on(job)
        return accepted

    def record_poll(self, job: Job, request: AdobeRequest, *, now: float) -> Job:
        """Keep what one status request has shown, or when the next one is due."""
        return self._change_open(job, lambda current: _with(current, request), now)

    # --- ending ---

    def finish(self, job: Job, status: JobStatus, outcome: Mapping[str, Any], *, now: float) -> Job:
        """End this run of the job, once more where ``job`` waits for approval; raises :class:`JobMovedOnError` where it
        had ended already.
        """

        def end(current: Job) -> Job:
            is_reviewed = job.status == current.status == "mask_ready"
            if current.run != job.run or (current.status in TERMINAL and not is_reviewed):
                raise _moved_on(job)
            return replace(current, status=status, outcome=outcome, published=False)

        return self._change(job, end, now)

    def record_published(self, job: Job, *, now: float) -> Job:
        """Record that the event of this run's outcome was published."""

        def published(current: Job) -> Job:
            if current.run != job.run:
                raise _moved_on(job)
            return replace(current, published=True)

        return self._change(job, published, now)

    # --- sweeping ---

    def late(self, now: float) -> Iterator[str]:
        """Yield the ids of open jobs whose time is over, the latest of each shard first, as the index has it: it lags behind."""
        for shard in range(SHARDS):
            late = self._table.query(OPEN_JOBS, f"#{SHARD} = :shard AND #{DUE} < :now", shard=str(shard), now=now)
            yield from (item["job_id"] for item in late)

    def failed(self, bucket: str, prefix: str, *, after: str) -> tuple[list[Job], str]:
        """Return failed jobs of photos below a prefix, and where to go on; empty where that was the last page.

        One megabyte of the table is read, 128 read units, whatever is found in it: for an operator's rare command.
        """
        where = "#status = :failed AND #photo.#bucket = :bucket"
        below = {"prefix": prefix} if prefix else {}
        if prefix:
            where += " AND begins_with(#photo.#key, :prefix)"
        found, goes_on = self._table.scan(where, after=after, failed="failed", bucket=bucket, **below)
        return [job_from_item(item) for item in found], goes_on

    # --- one way to write ---

    def _change_open(self, job: Job, change: Callable[[Job], Job], now: float) -> Job:
        """Change a job whose run is still open."""

        def checked(current: Job) -> Job:
            if current.run != job.run or current.status in TERMINAL:
                raise _moved_on(job)
            return change(current)

        return self._change(job, checked, now)

    def _change(self, job: Job, change: Callable[[Job], Job], now: float) -> Job:
        """Write what a change makes of the job, made again from the newest revision wherever another call was faster."""
        current = job
        for _ in range(_TRIES):
            changed = change(current)
            if changed == current:
                return current
            written, current = self._save(current, changed, now)
            if written:
                return current
        raise LedgerBusyError(f"Too many calls are writing job {job.job_id} at once.", now + _LOOK_AGAIN_SECONDS)

    def _save(self, before: Job | None, after: Job, now: float) -> tuple[bool, Job]:
        """Write ``after`` over ``before``, None for nothing, and count the move; return whether, and what is there now."""
        after = replace(after, revision=secrets.token_hex(8))
        days = self._table.record_days
        counts = counted_moves(self._table, before, after, now=now)
        if before is None:
            found = self._table.put_new(after.job_id, job_to_item(after, record_days=days), together_with=counts)
        else:
            update = job_update(before, after, record_days=days)
            found = self._table.update(after.job_id, together_with=counts, **update)
        if found is None:
            return True, after
        if not found:
            raise _moved_on(after)
        there = job_from_item(found)
        # A repeat of this very write, whose answer was lost, is refused by what it wrote itself.
        return there.revision == after.revision, there
