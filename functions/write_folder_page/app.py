"""Write the page of a folder that is done beside its results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.operations.write_folder_page import write_folder_page
from cleanplate.services import services

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function(correlation_id="folder")
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Write ``_cleanplate.html``, and further pages where the folder has more than 500 photos.

    Event: the detail of ``Folder Done``, or ``{"bucket": str, "folder": str}``. Answer: ``{"pages": int, "photos": int,
    "answer": str}``; ``answer`` says why no page was written.
    """
    return write_folder_page(event, lambda: context.get_remaining_time_in_millis() / 1000, services())
