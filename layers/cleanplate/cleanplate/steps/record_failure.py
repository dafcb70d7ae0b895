"""End a photo as failed: in the record, in its manifest, and by an event."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from cleanplate.models import TERMINAL, Job
from cleanplate.outcomes import Ending, fail, failure_named, publish
from cleanplate.services import Services

logger = Logger(child=True)


def record_failure(execution_name: str, error: str, cause: str, services: Services) -> Ending:
    """Record and publish why the run of an execution failed; an ended job, or a newer run, is left as it is."""
    job = services.read_job(Job.id_in(execution_name))
    if job.execution_name != execution_name:
        logger.info("the execution was of another run", extra={"execution": execution_name})
        return {"outcome": job.status}
    failure = failure_named(error, cause)
    if job.status in TERMINAL:
        publish(job, services)
        return {"outcome": job.status, "reason": job.outcome.get("reason", "")}
    logger.warning("photo failed", extra={"reason": failure.reason, "error_message": failure.message})
    fail(job, failure, services)
    return {"outcome": "failed", "reason": failure.reason}
