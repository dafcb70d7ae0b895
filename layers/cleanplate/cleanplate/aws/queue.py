"""One SQS queue: sending, hiding, taking, counting messages, and telling how many there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cleanplate.errors import NotAnnouncedError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import MessageTypeDef, SendMessageBatchRequestEntryTypeDef

#: As many as SQS takes or gives in one call, and how often those are sent again that it did not take.
_BATCH = 10
_SENDINGS = 4
#: SQS delays a message for a quarter of an hour at most. Seconds.
_LONGEST_DELAY = 900
#: A message is hidden for so long while it is sent again. Seconds.
_HIDDEN = 60
_LONGEST_REASON = 500
#: Seconds that a message is hidden after its first fault, by how much more after each further one, and at most: a dozen
#: receives take six hours.
_FIRST_PAUSE = 10
_PAUSE_GROWTH = 3
_LONGEST_PAUSE = 3600


class Queue:
    """A queue by its URL. The client is built when it is first needed."""

    def __init__(self, make_client: Callable[[], SQSClient], url: str) -> None:
        self._make_client = make_client
        self.url = url

    def send(self, bodies: Sequence[str], *, delay: float = 0.0) -> None:
        """Send messages, to be received ``delay`` seconds from now, to the nearest whole one.

        Raises :class:`NotAnnouncedError` if SQS refuses.
        """
        seconds = max(0, min(round(delay), _LONGEST_DELAY))
        for first in range(0, len(bodies), _BATCH):
            entries: list[SendMessageBatchRequestEntryTypeDef] = [
                {"Id": str(number), "MessageBody": body, "DelaySeconds": seconds}
                for number, body in enumerate(bodies[first : first + _BATCH])
            ]
            for _ in range(_SENDINGS):
                answer = self._make_client().send_message_batch(QueueUrl=self.url, Entries=entries)
                refused = {entry["Id"] for entry in answer.get("Failed", [])}
                entries = [entry for entry in entries if entry["Id"] in refused]
                if not entries:
                    break
            else:
                raise NotAnnouncedError(f"SQS did not take {len(entries)} messages.")

    def set_aside(self, body: str, why: Exception) -> None:
        """Put a message that nobody will ever be able to read here, with the reason."""
        self._make_client().send_message(
            QueueUrl=self.url,
            MessageBody=body,
            MessageAttributes={"reason": {"DataType": "String", "StringValue": str(why)[:_LONGEST_REASON]}},
        )

    def return_after_fault(self, receipt_handle: str, receives: int) -> None:
        """Let a message come back in 10 s, 30 s … 1 h, by how often it was received, not when its visibility ends."""
        pause = min(_FIRST_PAUSE * _PAUSE_GROWTH ** min(receives - 1, 10), _LONGEST_PAUSE)
        self._make_client().change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=receipt_handle, VisibilityTimeout=pause
        )

    def take(self, most: int) -> list[MessageTypeDef]:
        """Receive up to ten messages; they come back in a minute unless they are removed."""
        answer = self._make_client().receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=min(_BATCH, most),
            WaitTimeSeconds=1,
            VisibilityTimeout=_HIDDEN,
        )
        return answer.get("Messages", [])

    def remove(self, messages: Sequence[MessageTypeDef]) -> None:
        """Delete messages that were taken."""
        self._make_client().delete_message_batch(
            QueueUrl=self.url,
            Entries=[
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(messages)
            ],
        )

    def length(self, *, hidden: bool = False) -> int:
        """Return about how many messages nobody has looked at, or whose time has come again; and those that are ``hidden``."""
        names: list[QueueAttributeNameType] = ["ApproximateNumberOfMessages"]
        if hidden:
            names += ["ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
        answer = self._make_client().get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return sum(int(answer["Attributes"].get(name, 0)) for name in names)
