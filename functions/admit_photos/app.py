"""Lets photos in that wait their turn at Adobe, in order, each with its slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.services import services
from cleanplate.steps.admit_photos import admit_photos

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function(correlation_id="owner")
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """The execution's name in; out whether somebody still waits, and for how long nobody can be let in."""
    return admit_photos(event["owner"], lambda: context.get_remaining_time_in_millis() / 1000, services())
