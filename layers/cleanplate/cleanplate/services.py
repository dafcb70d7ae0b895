"""Everything that a step uses: built once per process, or by a test from its own parts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cleanplate.adobe.routes import ROUTES
from cleanplate.aws import clients
from cleanplate.aws.queue import Queue
from cleanplate.aws.results_folder import ResultsFolder
from cleanplate.aws.storage import Storage
from cleanplate.errors import JobMovedOnError
from cleanplate.jobs.ledger import Ledger
from cleanplate.jobs.waiting_room import WaitingRoom
from cleanplate.models import TERMINAL, Job, JobStatus, Photo
from cleanplate.rate_limit.limiter import RateLimiter
from cleanplate.rate_limit.limits import RateLimits
from cleanplate.settings import Settings, settings
from cleanplate.uploads.options import OWN_MASK_SUFFIX

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

    from cleanplate.adobe.client import AdobeClient


@dataclass(frozen=True)
class Services:
    """The ledger, the buckets, Adobe, the rate limiter, the clock."""

    settings: Settings
    ledger: Ledger
    storage: Storage
    limiter: RateLimiter
    room: WaitingRoom
    make_adobe: Callable[[], AdobeClient]
    make_events: Callable[[], EventBridgeClient]
    make_stepfunctions: Callable[[], SFNClient]
    make_sqs: Callable[[], SQSClient] = clients.sqs
    make_s3: Callable[[], S3Client] = clients.s3
    clock: Callable[[], float] = time.time
    random: Callable[[], float] = random.random
    sleep: Callable[[float], None] = time.sleep

    @property
    def adobe(self) -> AdobeClient:
        """Adobe's API; built when first needed, since many calls end before."""
        return self.make_adobe()

    @property
    def events(self) -> EventBridgeClient:
        """EventBridge; built when first needed."""
        return self.make_events()

    @property
    def uploads_queue(self) -> Queue:
        """The queue of messages about photos."""
        return Queue(self.make_sqs, self.settings.uploads_queue_url)

    @property
    def admitted_queue(self) -> Queue:
        """The queue of photos whose slot has come, and of folders that may be done."""
        return Queue(self.make_sqs, self.settings.admitted_queue_url)

    @property
    def dead_letters(self) -> Queue:
        """The queue of messages that cannot be read, came back too often or were never delivered."""
        return Queue(self.make_sqs, self.settings.dead_letter_queue_url)

    def result_key(self, photo: Photo) -> str:
        """Return the key of a photo's result, without the extension that its format may add: the photo's own key.

        Results of another bucket than the watched one lie in a folder of that bucket's name.
        """
        return photo.key if photo.bucket == self.settings.uploads_bucket else f"{photo.bucket}/{photo.key}"

    def results_folder(self, bucket: str, folder: str) -> ResultsFolder:
        """Return where the results of a folder of photos lie."""
        return ResultsFolder(
            self.make_s3(), bucket=self.settings.results_bucket, folder=self.result_key(Photo(bucket, folder))
        )

    def review_keys(self, photo: Photo) -> tuple[str, str]:
        """Return the keys of a mask that waits for approval and of its preview, in the results bucket."""
        key = self.result_key(photo)
        return f"{key}{OWN_MASK_SUFFIX}", f"{key}.preview.jpg"

    def read_job(self, job_id: str) -> Job:
        """Return a job that must exist; raises :class:`JobMovedOnError` where it does not."""
        job = self.ledger.get(job_id)
        if job is None:
            raise JobMovedOnError(f"There is no job {job_id}.")
        return job

    def read_open_job(self, job_id: str) -> Job:
        """Return a job that has not ended; raises :class:`JobMovedOnError` where it has."""
        job = self.read_job(job_id)
        if job.status in TERMINAL:
            raise JobMovedOnError(f"Job {job_id} has already ended as {job.status}.")
        return job

    def request_deadline(self, status: JobStatus) -> int:
        """Return how long Adobe may work on one request, in seconds."""
        return self.settings.mask_deadline if status == "masking" else self.settings.fill_deadline


def rate_limits(stack: Settings) -> RateLimits:
    """Return Adobe's limits for the stack: those of the account, and those of single routes."""
    return RateLimits(
        per_minute=stack.requests_per_minute,
        per_day=stack.requests_per_day,
        polls_count=stack.count_polls,
        share_left=stack.share_left,
        daily_budget=stack.daily_budget or None,
        max_fills=stack.max_fills,
        routes={name: route.post_spacing for name, route in ROUTES.items() if route.post_spacing},
    )


@lru_cache(maxsize=1)
def services() -> Services:
    """Return the services of this process."""
    stack = settings()
    dynamodb, table = clients.dynamodb(), stack.jobs_table
    ledger = Ledger(dynamodb, table=table, record_days=stack.record_days)
    return Services(
        settings=stack,
        ledger=ledger,
        storage=Storage(clients.s3(), work_bucket=stack.work_bucket, results_bucket=stack.results_bucket),
        limiter=RateLimiter(
            dynamodb,
            table,
            rate_limits(stack),
            count_in_work=lambda: ledger.progress.in_work(stack.photo_buckets),
        ),
        room=WaitingRoom(dynamodb, table=table, routes=tuple(ROUTES)),
        make_adobe=clients.adobe,
        make_events=clients.events,
        make_stepfunctions=clients.stepfunctions,
    )
