"""The uploads queue: putting an early message off, sending news of photos, seeing how long it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cleanplate.aws import clients
from cleanplate.errors import NotAnnouncedError, PostponedError
from cleanplate.models import Job, Photo
from cleanplate.rate_limit.polling import whole_seconds
from cleanplate.services import Services
from cleanplate.uploads.messages import found_message, retry_message

#: SQS holds a message back for 12 hours at most, counted from when it was received. Seconds.
_LONGEST_WAIT = 42_000
#: What one photo may need in the worst case: view, token, POST. Seconds.
_TIME_FOR_ONE = 75.0
#: As many as SQS takes in one call, and how often those are sent again that it did not take.
_BATCH = 10
_SENDINGS = 4

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef


class UploadsQueue:
    """The queue of news of photos."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def check_time_left(self, seconds: float) -> None:
        """Raise :class:`PostponedError` where the function's time would not do for another photo."""
        if seconds < _TIME_FOR_ONE:
            raise PostponedError("The function's time is nearly used up.", self._services.clock())

    def return_soon(self, receipt_handle: str, receives: int) -> None:
        """After a fault: let the message come back in 10 s, 20 s … 15 min, not only when its visibility runs out."""
        wait = min(10 * 2 ** min(receives - 1, 10), 900)
        self.postpone(receipt_handle, PostponedError("A fault.", self._services.clock() + wait))

    def postpone(self, receipt_handle: str, later: PostponedError) -> None:
        """Let the message come back at the time that the error names."""
        clients.sqs().change_message_visibility(
            QueueUrl=self._services.settings.uploads_queue_url,
            ReceiptHandle=receipt_handle,
            VisibilityTimeout=min(whole_seconds(later.until - self._services.clock()), _LONGEST_WAIT),
        )

    def unseen(self) -> int:
        """About how many messages nobody has looked at, or whose time has come again."""
        return self._count("ApproximateNumberOfMessages")

    def length(self) -> int:
        """About how many messages there are, those included that are put off or in work."""
        return self._count(
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        )

    def send(self, photos: Sequence[Photo]) -> None:
        """News of photos that were found; raises :class:`NotAnnouncedError` where SQS does not take it."""
        self.send_bodies([found_message(photo) for photo in photos])

    def request_runs(self, jobs: Sequence[Job], retry_id: str) -> None:
        """Requests for another run of failed jobs; raises :class:`NotAnnouncedError` where SQS does not take them."""
        self.send_bodies([retry_message(job, retry_id) for job in jobs])

    def send_bodies(self, bodies: Sequence[str]) -> None:
        """Messages as they are; raises :class:`NotAnnouncedError` where SQS does not take them."""
        for first in range(0, len(bodies), _BATCH):
            entries: list[SendMessageBatchRequestEntryTypeDef] = [
                {"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies[first : first + _BATCH])
            ]
            for _ in range(_SENDINGS):
                answer = clients.sqs().send_message_batch(
                    QueueUrl=self._services.settings.uploads_queue_url, Entries=entries
                )
                refused = {entry["Id"] for entry in answer.get("Failed", [])}
                entries = [entry for entry in entries if entry["Id"] in refused]
                if not entries:
                    break
            else:
                raise NotAnnouncedError(f"SQS did not take {len(entries)} messages.")

    def _count(self, *names: QueueAttributeNameType) -> int:
        answer = clients.sqs().get_queue_attributes(
            QueueUrl=self._services.settings.uploads_queue_url, AttributeNames=names
        )
        return sum(int(answer["Attributes"].get(name, 0)) for name in names)
