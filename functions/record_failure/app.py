"""Ends one photo as failed and says why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.services import services
from cleanplate.steps.record_failure import record_failure

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function(correlation_id="execution")
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """A small dict in, a small dict out; every error keeps its class name for the state machine."""
    return record_failure(event["execution"], event["error"], event["cause"], services())
