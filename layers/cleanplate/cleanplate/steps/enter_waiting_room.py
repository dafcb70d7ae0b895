"""Put a photo into the waiting room, and see that an execution is running that lets photos in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from cleanplate.models import Job
from cleanplate.services import Services

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

logger = Logger(child=True)

#: Seconds after which another execution is started, should one have died before it could register.
_START_AGAIN = 60.0


def enter_waiting_room(job: Job, not_before: float, services: Services) -> None:
    """Let a photo wait for its slot, from ``not_before`` on (seconds since the epoch).

    Raises :class:`JobMovedOnError` where this run of the job has ended or another has begun.
    """
    route = job.options.fill_route if job.own_mask else job.options.mask_route
    lease = services.room.enter(job, route=route, not_before=not_before, now=services.clock())
    if lease.until <= services.clock():
        start_admitting(lease.until, services)


def start_admitting(last_until: float, services: Services) -> None:
    """Start an execution that lets waiting photos in.

    ``last_until`` is when the last one was expected to have ended: of all who find that, one starts the next.
    """
    client: SFNClient = services.make_stepfunctions()
    name = f"room-{int(last_until * 1000)}-{int(services.clock() // _START_AGAIN)}"
    try:
        client.start_execution(stateMachineArn=services.settings.waiting_room_arn, name=name, input="{}")
    except client.exceptions.ExecutionAlreadyExists:
        logger.info("the execution that admits photos was started before")
