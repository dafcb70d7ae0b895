"""Chooses the masks of one photo and has Adobe fill what they cover."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.services import services
from cleanplate.steps.fill_masked_areas import fill_masked_areas

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function(correlation_id="job_id")
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """A small dict in, a small dict out; every error keeps its class name for the state machine."""
    return fill_masked_areas(event["job_id"], services())
