"""Put a photo into the waiting room, and see that somebody attends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from cleanplate.models import Job
from cleanplate.services import Services

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

logger = Logger(child=True)

#: Another execution is tried after so many seconds, should one have died before it could say that it was there.
_TRY_AGAIN = 60.0


def wait_for_turn(job: Job, not_before: float, services: Services) -> None:
    """Put a photo into the waiting room and see that somebody attends it."""
    route = job.options.fill_route if job.own_mask else job.options.mask_route
    attendance = services.room.enter(job, route=route, not_before=not_before, now=services.clock())
    if attendance.until <= services.clock():
        open_room(attendance.until, services)


def open_room(left_at: float, services: Services) -> None:
    """Start an attendant; ``left_at`` is when the last one was expected to have gone, so that many start the same one."""
    client: SFNClient = services.make_stepfunctions()
    name = f"room-{int(left_at * 1000)}-{int(services.clock() // _TRY_AGAIN)}"
    try:
        client.start_execution(stateMachineArn=services.settings.waiting_room_arn, name=name, input="{}")
    except client.exceptions.ExecutionAlreadyExists:
        logger.info("an attendant was started before")
