"""End late jobs, publish outcomes that were not published, and count how full Adobe's day is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from cleanplate.aws.metrics import COMPARED, Metric, count, gauge
from cleanplate.errors import (
    DeadlinePassedError,
    ExecutionStoppedError,
    JobOverdueError,
)
from cleanplate.jobs.deadlines import due_at
from cleanplate.models import TERMINAL, Failure, Job
from cleanplate.outcomes import expire_review, fail, failure_named, failure_of, publish
from cleanplate.rate_limit import reservations
from cleanplate.rate_limit.state import in_a_day
from cleanplate.services import Services
from cleanplate.steps.enter_waiting_room import start_admitting

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

logger = Logger(child=True)

#: Seconds for one job, which takes one at most. Jobs that are left over are the next call's.
_TIME_FOR_ONE = 20.0


def sweep_jobs(seconds_left: Callable[[], float], services: Services) -> dict[str, Any]:
    """Return how many jobs were ended and how many outcomes published, and whether late ones are left for the next
    call.

    A job that cannot be ended does not keep the others from it; its error is raised when they are done.
    """
    _tell_of_the_day(services)
    _tell_who_waits(services)
    done, faults, more = {Metric.SWEPT: 0, Metric.DELIVERED_LATE: 0, Metric.EXPIRED: 0}, list[Exception](), False
    for job_id in services.ledger.late(services.clock()):
        if seconds_left() < _TIME_FOR_ONE:
            more = True
            break
        try:
            if measure := _sweep(job_id, services):
                done[measure] += 1
        except Exception as fault:
            logger.exception("a late job could not be ended", extra={"job_id": job_id})
            faults.append(fault)
    for measure, number in done.items():
        count(measure, number)
    if faults:
        raise faults[0]
    return {"swept": done[Metric.SWEPT], "delivered": done[Metric.DELIVERED_LATE], "more": more}


def _sweep(job_id: str, services: Services) -> Metric | None:
    job = services.ledger.get(job_id)
    # The index lags behind; the job itself knows.
    due = due_at(job) if job else None
    if job is None or due is None or due >= services.clock():
        return None
    if job.status == "mask_ready" and job.published:
        expire_review(job, services)
        return Metric.EXPIRED
    if job.status in TERMINAL:
        publish(job, services)
        logger.warning("outcome published late", extra={"job_id": job.job_id, "outcome": job.status})
        return Metric.DELIVERED_LATE
    execution = _execution(job, services)
    failure = _why(job, execution, services)
    # The record first: a step of a running execution reads it, and then ends by itself too.
    fail(job, failure, services)
    if execution and execution["status"] == "RUNNING":
        services.make_stepfunctions().stop_execution(
            executionArn=execution["executionArn"], error=failure.reason, cause=failure.message
        )
    logger.warning(
        "late job ended",
        extra={"job_id": job.job_id, "reason": failure.reason, "error_message": failure.message},
    )
    return Metric.SWEPT


def _execution(job: Job, services: Services) -> DescribeExecutionOutputTypeDef | None:
    """Return the execution of this run; None where there is none, or it is too long ago for Step Functions to know."""
    client = services.make_stepfunctions()
    machine = services.settings.state_machine_arn.replace(":stateMachine:", ":execution:")
    try:
        return client.describe_execution(executionArn=f"{machine}:{job.execution_name}")
    except client.exceptions.ExecutionDoesNotExist:
        return None


def _why(job: Job, execution: DescribeExecutionOutputTypeDef | None, services: Services) -> Failure:
    status = execution["status"] if execution else ""
    if execution and status == "FAILED":
        # It could not be recorded when it happened.
        return failure_named(execution.get("error", ""), execution.get("cause", ""))
    if status in {"ABORTED", "TIMED_OUT"}:
        return failure_of(ExecutionStoppedError(f"The execution was {status.lower().replace('_', ' ')}."))
    if not any(request.adobe_job for request in job.adobe_requests.values()) and services.clock() > job.deadline_at:
        return failure_of(DeadlinePassedError("No slot at Adobe came free before the photo's deadline."))
    where = f"its execution was {status.lower()}" if status else "it had no execution"
    return failure_of(JobOverdueError(f"Nothing was recorded any more while the job was {job.status}; {where}."))


def _tell_who_waits(services: Services) -> None:
    """Count how long the first waiting photo has waited, and see that an execution admits photos."""
    now, first = services.clock(), services.room.first_turn()
    count(Metric.SECONDS_WAITED, 0 if first is None else max(0.0, now - first))
    lease = services.room.lease()
    if first is not None and lease.until <= now:
        start_admitting(lease.until, services)


def _tell_of_the_day(services: Services) -> None:
    state, limits, now = services.limiter.state(), services.limiter.limits, services.limiter.now()
    if not math.isinf(limits.our_day):
        gauge(Metric.DAY_USED, 100 * sum(in_a_day(state, limits, now).values()) / limits.our_day)
    if limits.daily_budget is not None:
        spent = state.spent if state.budget_day == math.floor(now / limits.day) else 0
        gauge(Metric.BUDGET_USED, 100 * spent / limits.daily_budget)
    _, held_by = reservations.opening(state, limits, now)
    count(Metric.HELD, 1 if held_by else 0)
    for measure in COMPARED:
        count(measure, 0)
