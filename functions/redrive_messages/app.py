"""Sends dead letters into the uploads queue once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from cleanplate.aws.metrics import metrics
from cleanplate.aws.tracing import tracer
from cleanplate.operations.redrive_messages import redrive_messages
from cleanplate.services import services

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler(capture_response=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:  # noqa: ARG001 - Lambda's signature
    """Nothing in, a small dict out."""
    return redrive_messages(lambda: context.get_remaining_time_in_millis() / 1000, services())
