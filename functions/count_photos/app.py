"""Count what a backfill would clean and estimate what that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.operations.count_photos import count_photos
from cleanplate.services import services

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function()
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Count further pages of a bucket.

    Event: ``asked`` (the input of the backfill), ``after`` (S3's markers of the next page) and ``counted`` (the counts
    so far). Answer: ``state`` is ``more``, ``nothing_there``, ``nothing_to_clean``, ``estimated`` or ``confirmed``, with
    ``bucket``, ``after``, ``counted`` and ``estimate``.
    """
    return count_photos(event["asked"], event["after"], event["counted"], services())
