"""Put the fill into the original and write the result of one photo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.outcomes import Ending
from cleanplate.services import services
from cleanplate.steps.save_result import save_result

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function(correlation_id="job_id")
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Ending:  # noqa: ARG001 - Lambda's signature
    """Write the result and the manifest, and publish the outcome.

    Event: ``{"job_id": str}``.
    Answer: ``{"outcome": "cleaned" | "nothing_to_remove" | "mask_ready" | "failed"}``.
    """
    return save_result(event["job_id"], services())
