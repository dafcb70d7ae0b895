"""Report how far a folder or a bucket is, and when it will be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.operations.report_progress import report_progress
from cleanplate.services import services

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function()
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Report the counts of a folder, or without one of a bucket.

    Event: ``{"bucket": str, "folder": str}``, both optional.
    Answer: counts, ``done_at``, ``held`` and the pace, as docs/using.md shows.
    """
    return report_progress(event, services())
