"""Faults of the job that a POST has just created."""

from __future__ import annotations

from dataclasses import dataclass, field

from local.adobe.answers import Answer
from local.adobe.faults.base import Fault, is_status, named, only
from local.adobe.jobs import FAILURE_STYLES, Failure, Job, failed_body


@named("duration")
@dataclass(slots=True)
class Duration(Fault):
    """On a POST: the job takes this many service seconds."""

    seconds: float = 5.0

    def on_job(self, job: Job) -> None:
        job.duration = self.seconds


@named("never_finishes")
@dataclass(slots=True)
class NeverFinishes(Fault):
    """On a POST: the job stays running for ever."""

    def on_job(self, job: Job) -> None:
        job.never_finishes = True


@named("failed")
@dataclass(slots=True)
class Failed(Fault):
    """On a POST: the job fails at its end. On a status request: it says so now. ``style`` places the reason."""

    style: str = ""
    code: str = "processing_error"
    message: str = "the job could not be processed"

    def __post_init__(self) -> None:
        if self.style not in ("", *FAILURE_STYLES):
            raise ValueError(f"style is one of {', '.join(FAILURE_STYLES)}")

    def on_job(self, job: Job) -> None:
        job.failure = Failure(self.message, self.code, self.style)

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if is_status(answer) and job is not None:
            failure = Failure(self.message, self.code, self.style)
            answer.body = {**only(answer, "jobid", "_links"), "status": "failed", **failed_body(job, failure)}


@named("labels")
@dataclass(slots=True)
class Labels(Fault):
    """On a mask POST: the names that the masks get, best first; the last one serves for the rest."""

    names: list[str] | str = field(default_factory=lambda: ["subject"])

    def on_job(self, job: Job) -> None:
        job.labels = (self.names,) if isinstance(self.names, str) else tuple(self.names)


@named("many_masks")
@dataclass(slots=True)
class ManyMasks(Fault):
    """On a mask POST: this many masks, copies of those found; 0 finds nothing at all."""

    count: int = 300

    def on_job(self, job: Job) -> None:
        job.mask_count = self.count


@named("job_id")
@dataclass(slots=True)
class JobId(Fault):
    """On a POST: something before the job's id, such as ``urn:ff:jobs:x:`` or ``a b/ü:``."""

    prefix: str = "urn:ff:jobs:eso851243:"

    def on_job(self, job: Job) -> None:
        job.job_id = self.prefix + job.job_id


@named("cropped_masks")
@dataclass(slots=True)
class CroppedMasks(Fault):
    """On a mask POST: each mask is as large as its box instead of the photo."""

    def on_job(self, job: Job) -> None:
        job.crops_masks = True
