"""Admit photos that wait for Adobe, in order, each with its slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.services import services
from cleanplate.steps.admit_photos import admit_photos

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function(correlation_id="owner")
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take the execution's name; return whether somebody still waits, and for how long nobody can be admitted."""
    return admit_photos(event["owner"], lambda: context.get_remaining_time_in_millis() / 1000, services())
