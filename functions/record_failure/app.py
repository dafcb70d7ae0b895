"""End one photo as failed, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.outcomes import Ending
from cleanplate.services import services
from cleanplate.steps.record_failure import record_failure

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function(correlation_id="execution")
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Ending:  # noqa: ARG001 - Lambda's signature
    """Record and publish why an execution failed.

    Event: ``{"execution": name, "error": class name, "cause": Lambda's JSON or plain text}``.
    Answer: ``outcome`` of the job and, where it failed, ``reason``.
    """
    return record_failure(event["execution"], event["error"], event["cause"], services())
