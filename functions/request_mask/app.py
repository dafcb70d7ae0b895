"""S3's news from the uploads queue: each photo is claimed, looked at, and its mask requested from Adobe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from cleanplate.aws.handler import lambda_function
from cleanplate.aws.metrics import Metric, count
from cleanplate.aws.queue import UploadsQueue
from cleanplate.errors import InvalidRequestError, PostponedError
from cleanplate.operations.dead_letters import DeadLetters
from cleanplate.services import services
from cleanplate.steps.refuse_request import refuse_request
from cleanplate.steps.request_mask import request_mask
from cleanplate.uploads.messages import read_uploads

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def handle_message(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """One message: usually one photo."""
    queue = UploadsQueue(services())
    count(Metric.MESSAGES)
    try:
        queue.check_time_left(lambda_context.get_remaining_time_in_millis() / 1000)
        for upload in read_uploads(record.body):
            request_mask(upload, services())
    except InvalidRequestError as unreadable:
        logger.exception("unreadable message")
        if not refuse_request(record.body, unreadable, services()):
            DeadLetters(services()).set_aside(record.body, unreadable)
        count(Metric.UNREADABLE)
    except PostponedError as later:
        logger.info("waits", extra={"why": str(later), "until": later.until})
        queue.postpone(record.receipt_handle, later)
        raise
    except Exception:
        logger.exception("fault")
        queue.return_soon(record.receipt_handle, int(record.attributes.approximate_receive_count))
        raise
    finally:
        logger.remove_keys(["job_id"])


@lambda_function()
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """SQS batch in, the messages that must come back out."""
    return process_partial_response(event, handle_message, processor, context)
