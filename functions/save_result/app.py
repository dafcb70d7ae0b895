"""Puts the fill into the original and writes the result of one photo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from cleanplate.aws.metrics import metrics
from cleanplate.aws.tracing import tracer
from cleanplate.services import services
from cleanplate.steps.save_result import save_result

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()


@logger.inject_lambda_context(clear_state=True, correlation_id_path="job_id")
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler(capture_response=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """A small dict in, a small dict out; every error keeps its class name for the state machine."""
    return save_result(event["job_id"], services())
