"""Ask Adobe for the status of one photo's mask or fill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.services import services
from cleanplate.steps.check_job import Standing, check_job

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function(correlation_id="job_id")
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Standing:  # noqa: ARG001 - Lambda's signature
    """Check one step of a photo.

    Event: ``{"job_id": str, "step": "mask" | "fill", "waited": seconds since the last check}``.
    Answer: ``state`` is ``pending`` or ``waiting`` with ``wait_seconds``, ``succeeded``, or ``failed`` with ``error``
    and ``cause``.
    """
    return check_job(event["job_id"], event["step"], services(), waited=event["waited"])
