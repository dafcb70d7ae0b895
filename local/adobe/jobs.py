"""Adobe jobs: accepted, then on the clock until they succeed or fail, and the links to what they made."""

from __future__ import annotations

import asyncio
import math
import random
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.adobe.answers import Json
from local.adobe.bodies import JobRequest
from local.adobe.clock import ServiceClock
from local.adobe.links import LinkError, photo_of
from local.adobe.pictures import PictureError
from local.adobe.settings import Settings
from local.adobe.studio import Picture

Sign = Callable[[Picture], str]
Payload = Callable[[Sign], Json]

_NOT_STARTED_SHARE = 0.2
_MAX_NOT_STARTED = 1.0  # service seconds


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed. ``style`` is where the reason is put; empty means as the route does it."""

    message: str
    code: str = "processing_error"
    style: str = ""


@dataclass(slots=True)
class Job:
    """One job. What rules changed about it is kept here, so that every later request sees the same job."""

    job_id: str
    family: str  # v1, v2, v3, sensei
    route: str  # the POST's path
    request: JobRequest
    accepted_at: float  # service seconds
    duration: float  # service seconds
    created: datetime
    work: asyncio.Task[Payload] | None = None
    failure: Failure | None = None
    never_finishes: bool = False
    forgotten: bool = False
    crops_masks: bool = False
    cancelled: bool = False
    labels: tuple[str, ...] = ()
    mask_count: int | None = None
    spoils: list[Callable[[bytes], bytes]] = field(default_factory=list)
    result_seconds: float | None = None
    content: str = ""  # hash of the image's bytes, once read
    size: tuple[int, int] | None = None  # of the image, once read
    payload: Json | None = None
    polls: int = 0

    @property
    def photo(self) -> str:
        """Return the decoded path of the image's link."""
        return photo_of(self.request.image)

    @property
    def photos(self) -> tuple[str, ...]:
        """Return the decoded paths of every input link."""
        return tuple(photo_of(link) for link in self.request.links)

    def why(self) -> str:
        """Return the real reason of a failure, for people; empty while there is none."""
        if self.failure:
            return self.failure.message
        if self.work and self.work.done() and not self.work.cancelled() and (error := self.work.exception()):
            return str(error) or type(error).__name__
        return ""


class JobTable:
    """Every job since the start."""

    def __init__(self, settings: Settings, clock: ServiceClock) -> None:
        self._settings = settings
        self._clock = clock
        self._random = random.Random(settings.seed)
        self._jobs: dict[str, Job] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def draft(self, family: str, route: str, request: JobRequest) -> Job:
        """Return a new job, on the clock from now; rules may change it before it is added."""
        unique = str(uuid.uuid4())
        job_id = f"urn:ff:jobs:eso851243:{unique}" if family in ("v2", "v3") else unique
        drawn = self._random.lognormvariate(math.log(self._settings.median_seconds), self._settings.spread)
        duration = drawn if self._settings.duration is None else self._settings.duration
        return Job(job_id, family, route, request, self._clock.now(), duration, datetime.now(UTC))

    def add(self, job: Job) -> None:
        """Make the job known under its id."""
        self._jobs[job.job_id] = job

    def begin(self, job: Job, work: Callable[[], Awaitable[Payload]]) -> None:
        """Start reading inputs and making pixels, beside the clock."""

        async def run() -> Payload:
            return await work()

        job.work = asyncio.create_task(run())
        # The exception is read when the status is asked for; without this an unasked job would log it.
        job.work.add_done_callback(lambda task: task.cancelled() or task.exception())

    def find(self, job_id: str) -> Job | None:
        """Return the job of that id; None for one that never was or was forgotten."""
        job = self._jobs.get(job_id)
        return None if job is None or job.forgotten else job

    def word(self, job: Job) -> str:
        """Return ``not_started``, ``running``, ``succeeded``, ``failed`` or ``cancelled``, by the clock and the pixels."""
        if job.cancelled:
            return "cancelled"
        age = self._clock.now() - job.accepted_at
        if age < min(_MAX_NOT_STARTED, job.duration * _NOT_STARTED_SHARE):
            return "not_started"
        if age < job.duration or job.never_finishes:
            return "running"
        if job.failure:
            return "failed"
        if job.work is None or not job.work.done():
            return "running"
        return "failed" if job.work.cancelled() or job.work.exception() else "succeeded"

    def payload(self, job: Job, sign: Sign) -> Json:
        """Return what a succeeded job tells; its links are signed when it is first told."""
        if job.payload is None:
            if job.work is None:
                raise RuntimeError("the job has no work")
            job.payload = job.work.result()(sign)
        return job.payload

    def failure(self, job: Job) -> Failure:
        """Return the reason of a failed job as the service would word it."""
        if job.failure:
            return job.failure
        error = job.work.exception() if job.work and not job.work.cancelled() else None
        if isinstance(error, (PictureError, LinkError)):
            return Failure(str(error))
        return Failure("internal error")

    def listed(self, most: int = 200) -> list[Json]:
        """Return the newest jobs for people who look inside."""
        return [
            {
                "jobId": job.job_id,
                "route": job.route,
                "photo": job.photo,
                "content": job.content,
                "status": self.word(job),
                "age_seconds": round(self._clock.now() - job.accepted_at, 3),
                "duration_seconds": round(job.duration, 3),
                "polls": job.polls,
                "why": job.why(),
            }
            for job in list(self._jobs.values())[-most:][::-1]
        ]

    async def close(self) -> None:
        """Stop all work."""
        tasks = [job.work for job in self._jobs.values() if job.work and not job.work.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def failed_body(job: Job, failure: Failure) -> Json:
    """Return the fields that carry the reason, in each place that Adobe is known to put it (contract 4.2)."""
    style = (
        failure.style or {"v1": "error_code", "v2": "errorDetails", "v3": "error_code", "sensei": "errors"}[job.family]
    )
    error: dict[str, Any] = {
        "type": failure.code,
        "code": failure.code,
        "title": failure.message,
        "errorDetails": [{"name": "job", "reason": failure.message}],
    }
    match style:
        case "error_code":
            return {"error_code": failure.code, "message": failure.message}
        case "errors":
            return {"errors": error}
        case "errors_list":
            return {"errors": [error]}
        case "error":
            return {"error": error}
        case "details":
            details = [{"name": "job", "reason": failure.message}]
            return {
                "errors": {"type": failure.code, "code": failure.code, "title": failure.message, "details": details}
            }
        case "errorDetails":
            return {"errorDetails": [{"errorCode": failure.code, "message": failure.message}]}
        case "outputs":
            return {"outputs": [{"status": "failed", "errors": error}]}
        case "none":
            return {}
        case _:
            raise ValueError(f"no place for a reason is called {style!r}")


FAILURE_STYLES = ("error_code", "errors", "errors_list", "error", "details", "errorDetails", "outputs", "none")


@dataclass(slots=True)
class Result:
    """A finished picture behind an expiring link."""

    job: Job
    content: bytes
    media_type: str
    signature: str
    expires_at: float  # monotonic seconds, on the wall


class Results:
    """What succeeded jobs made, behind links that look presigned: long, unguessable, and soon dead."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._results: dict[str, Result] = {}

    def sign(self, base_url: str, job: Job, picture: Picture) -> str:
        """Return a new link to ``picture`` on the host that the client talks to."""
        self._forget_expired()
        token = secrets.token_urlsafe(24)
        signature = f"{self._settings.canary}-signature-{secrets.token_hex(24)}"
        life = self._settings.result_seconds if job.result_seconds is None else job.result_seconds
        content = picture.content
        for spoil in job.spoils:
            content = spoil(content)
        self._results[token] = Result(job, content, picture.media_type, signature, time.monotonic() + life)
        date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        credential = f"STANDIN%2F{date[:8]}%2Fus-east-1%2Fs3%2Faws4_request"
        return (
            f"{base_url}/results/{token}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}"
            f"&X-Amz-Date={date}&X-Amz-Expires={int(life)}&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
        )

    def find(self, token: str) -> Result | None:
        """Return the result behind a token."""
        return self._results.get(token)

    def _forget_expired(self) -> None:
        """Drop the bytes of dead links; the links stay known, so that they keep saying 403."""
        if len(self._results) % 100 == 0:
            now = time.monotonic()
            for result in self._results.values():
                if result.expires_at < now:
                    result.content = b""
