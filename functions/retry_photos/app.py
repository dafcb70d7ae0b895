"""Give failed photos another run: count them, or send them to the uploads queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.operations.retry_photos import retry_photos
from cleanplate.services import services

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function()
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Read further pages of the Jobs table.

    Event: ``asked`` (the input of the retry and ``retry_id``), ``after`` (where the table goes on), ``sent`` and
    ``failed_for`` (the counts so far). Answer: ``state`` is ``more``, ``full`` with ``wait_seconds``, or ``done`` with
    ``answer``; with ``after``, ``sent`` and ``failed_for``.
    """
    return retry_photos(event["asked"], event["after"], event["sent"], event["failed_for"], services())
