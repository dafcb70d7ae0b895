"""Send photos that a bucket already holds to the uploads queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.operations.send_photos import send_photos
from cleanplate.services import services

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function()
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Send as many photos as have room in the queue.

    Event: ``bucket``, ``prefix``, ``after`` (S3's markers of the next page), ``sent`` (so far), ``confirm`` (at most in
    all) and ``ahead_hours``. Answer: ``state`` is ``more``, ``full`` with ``wait_seconds``, or ``sent``; with ``after``
    and ``sent``.
    """
    return send_photos(
        event["bucket"],
        event["prefix"],
        event["after"],
        event["sent"],
        event["confirm"],
        event["ahead_hours"],
        services(),
    )
