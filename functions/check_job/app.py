"""Wait for one photo's mask or fill at Adobe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.services import services
from cleanplate.steps.check_job import wait_for_job

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function(correlation_id="job_id")
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001 - Lambda's signature
    """Return when Adobe has made what the step waits for, and it is stored.

    Event: ``{"job_id": str, "step": "mask" | "fill", "waited": seconds since the last check}``.
    Raises ``NotReadyError`` (its text is the seconds to wait before the next call), ``NotSentError``, ``NotApprovedError``,
    or the error that the photo fails for.
    """
    wait_for_job(event["job_id"], event["step"], services(), waited=event["waited"])
