"""The dead letters: messages that nobody can read, and news that came back too often or was never delivered."""

from __future__ import annotations

from cleanplate.aws import clients
from cleanplate.aws.queue import UploadsQueue
from cleanplate.services import Services

#: As many as SQS gives out in one call.
_BATCH = 10
#: A letter is hidden for so long while it is sent anew. Seconds.
_HIDDEN = 60
_LONGEST_REASON = 500


class DeadLetters:
    """The dead-letter queue."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._url = services.settings.dead_letter_queue_url

    def set_aside(self, body: str, why: Exception) -> None:
        """Put a message that nobody will ever be able to read here at once, with the reason."""
        clients.sqs().send_message(
            QueueUrl=self._url,
            MessageBody=body,
            MessageAttributes={"reason": {"DataType": "String", "StringValue": str(why)[:_LONGEST_REASON]}},
        )

    def redrive(self, most: int) -> int:
        """Send up to ten letters into the uploads queue and then remove them; how many, 0 where none are to be had.

        Sent before removed: cut short in between, a message is there twice, which is one job all the same.
        """
        sqs = clients.sqs()
        letters = sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(_BATCH, most),
            WaitTimeSeconds=1,
            VisibilityTimeout=_HIDDEN,
        ).get("Messages", [])
        UploadsQueue(self._services).send_bodies([letter["Body"] for letter in letters])
        if letters:
            # What is not removed here is sent once more by the next redrive.
            sqs.delete_message_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": letter["ReceiptHandle"]}
                    for number, letter in enumerate(letters)
                ],
            )
        return len(letters)

    def number(self) -> int:
        """About how many there are."""
        answer = clients.sqs().get_queue_attributes(QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"].get("ApproximateNumberOfMessages", 0))
