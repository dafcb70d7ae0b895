"""Claim each photo that a notification names or whose slot has come, look at it, and request its mask from Adobe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from cleanplate.aws.handler import lambda_function
from cleanplate.aws.metrics import Metric, count
from cleanplate.errors import InvalidRequestError
from cleanplate.outcomes import publish_folder_if_quiet
from cleanplate.services import services
from cleanplate.steps.refuse_request import refuse_request
from cleanplate.steps.request_mask import request_admitted, request_mask
from cleanplate.uploads.messages import Admitted, FolderEnded, read_own, read_uploads

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
#: A fault that is met so often in one message is an error of the function, which rings. One that heals is not.
_RINGS_AT = 3


def handle_message(body: str) -> None:
    """Do what one message asks for; whatever is raised is a fault, and the message comes back."""
    count(Metric.MESSAGES)
    try:
        match read_own(body):
            case Admitted() as admitted:
                request_admitted(admitted, services())
            case FolderEnded() as ended:
                publish_folder_if_quiet(ended, services())
            case None:
                for upload in read_uploads(body):
                    request_mask(upload, services())
    except InvalidRequestError as unreadable:
        logger.exception("unreadable message")
        if not refuse_request(body, unreadable, services()):
            services().dead_letters.set_aside(body, unreadable)
        count(Metric.UNREADABLE)


@lambda_function()
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Take one SQS message, and return it where it must come back."""
    (record,) = event["Records"]
    try:
        handle_message(record["body"])
    except Exception:
        logger.exception("fault")
        queue, receives = services().uploads_queue, int(record["attributes"]["ApproximateReceiveCount"])
        if not queue.url.endswith(record["eventSourceARN"].rpartition(":")[2]):
            queue = services().admitted_queue
        queue.return_after_fault(record["receiptHandle"], receives)
        if receives >= _RINGS_AT:
            raise
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
    return {"batchItemFailures": []}
