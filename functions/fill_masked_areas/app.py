"""Choose the masks of one photo and have Adobe fill the hole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.services import services
from cleanplate.steps.fill_masked_areas import fill_masked_areas

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function(correlation_id="job_id")
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001 - Lambda's signature
    """Plan the hole and send the fill requests.

    Event: ``{"job_id": str}``. Fails as ``NotReadyError``, whose text is for how many seconds to wait, or by the name of
    what the photo fails for.
    """
    fill_masked_areas(event["job_id"], services())
