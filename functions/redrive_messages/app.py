"""Send dead letters to the uploads queue again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.operations.redrive_messages import redrive_messages
from cleanplate.services import services

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function()
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:  # noqa: ARG001 - Lambda's signature
    """Redrive as many messages as the function's time allows.

    The event is not read. Answer: ``{"sent": int, "left": int}``.
    """
    return redrive_messages(lambda: context.get_remaining_time_in_millis() / 1000, services())
