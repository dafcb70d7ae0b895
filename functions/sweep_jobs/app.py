"""End photos of which nothing more was heard, and publish outcomes that were not published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.operations.sweep_jobs import sweep_jobs
from cleanplate.services import services

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function()
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Sweep as many late jobs as the function's time allows.

    The event is not read. Answer: ``{"swept": int, "delivered": int, "more": bool}``.
    """
    return sweep_jobs(lambda: context.get_remaining_time_in_millis() / 1000, services())
