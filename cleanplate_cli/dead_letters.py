"""The messages that came to nothing: listed, sent once more, or deleted where that would only fail again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from cleanplate_cli.errors import CommandError
from cleanplate_cli.stack import Stack

if TYPE_CHECKING:
    from rich.console import Console

_QUEUE, _REDRIVE = "DeadLetterQueueUrl", "RedriveMessagesFunctionName"
#: While a list is read, its messages are hidden from whoever else reads. Seconds.
_HIDDEN = 60
#: Letters that one call looks at.
_MOST = 1000
#: SQS gives some messages and keeps others back: so many empty answers mean that there are no more.
_EMPTY_ANSWERS = 2
_WORDS_SHOWN = 200


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message: its id, what it says, and why it was set aside; no reason where it only was not delivered."""

    id: str
    body: str
    reason: str
    handle: str

    @property
    def about(self) -> str:
        """The photo's key where it names one, else the beginning of what it says."""
        try:
            keys = [str(key) for key in _keys(json.loads(self.body))]
        except (ValueError, RecursionError):
            keys = []
        return ", ".join(keys) or self.body[:_WORDS_SHOWN]


def dead_letters(stack: Stack, action: str, ids: Sequence[str], console: Console) -> int:
    """List, delete or redrive the dead letters of a stack; return 0, or 1 where an id names none of them.

    ``delete`` without ids takes those with a reason: nobody could read them, so a redrive brings them back at once.
    """
    missing = {_QUEUE, _REDRIVE} - stack.outputs.keys()
    if missing:
        raise CommandError(f"The stack {stack.name} has no output {missing.pop()}: deploy this version of it first.")
    if action == "redrive":
        return _redrive(stack, console)
    return _delete(stack, ids, console) if action == "delete" else _list(stack, console)


def _list(stack: Stack, console: Console) -> int:
    messages = _read(stack)
    _release(stack, messages)
    if messages:
        table = Table(box=None, pad_edge=False)
        for title in ("id", "about", "why it was set aside"):
            table.add_column(title, overflow="fold")
        for message in messages:
            table.add_row(*map(Text, (message.id, message.about, message.reason or "was not delivered")))
        console.print(table)
    unreadable = sum(1 for message in messages if message.reason)
    words = f"{len(messages)} dead letter{'' if len(messages) == 1 else 's'}, {unreadable} of them unreadable."
    if unreadable:
        words += " `cleanplate dead-letters delete` deletes the unreadable ones."
    if len(messages) > unreadable:
        words += " `cleanplate dead-letters redrive` sends the others once more."
    console.print(Text(words), soft_wrap=True)
    return 0


def _delete(stack: Stack, ids: Sequence[str], console: Console) -> int:
    messages = _read(stack)
    chosen = [message for message in messages if (message.id in ids if ids else message.reason)]
    _release(stack, [message for message in messages if message not in chosen])
    _in_batches(stack, "delete_message_batch", chosen)
    unknown = sorted(set(ids) - {message.id for message in messages})
    console.print(Text(f"{len(chosen)} deleted, {len(messages) - len(chosen)} left."), soft_wrap=True)
    if unknown:
        console.print(Text(f"No dead letter has the id {', '.join(unknown)}."), soft_wrap=True)
    return 1 if unknown else 0


def _redrive(stack: Stack, console: Console) -> int:
    answer = stack.invoke(stack.outputs[_REDRIVE])
    console.print(Text(f"{answer['sent']} sent once more, {answer['left']} left."), soft_wrap=True)
    return 0


def _read(stack: Stack) -> list[DeadLetter]:
    """Return the messages, which are hidden from now on, until they are released."""
    found: dict[str, DeadLetter] = {}
    empty = 0
    while empty < _EMPTY_ANSWERS and len(found) < _MOST:
        answer = stack.client("sqs").receive_message(
            QueueUrl=stack.outputs[_QUEUE],
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            VisibilityTimeout=_HIDDEN,
            WaitTimeSeconds=1,
        )
        messages = answer.get("Messages", [])
        empty = 0 if messages else empty + 1
        for message in messages:
            reason = message.get("MessageAttributes", {}).get("reason", {}).get("StringValue", "")
            # Of two receipts of one message the newer one holds.
            found[message["MessageId"]] = DeadLetter(
                message["MessageId"], message["Body"], reason, message["ReceiptHandle"]
            )
    return list(found.values())


def _release(stack: Stack, messages: Sequence[DeadLetter]) -> None:
    _in_batches(stack, "change_message_visibility_batch", messages, VisibilityTimeout=0)


def _in_batches(stack: Stack, operation: str, messages: Sequence[DeadLetter], **how: Any) -> None:  # noqa: ANN401 - boto3's
    for first in range(0, len(messages), 10):
        entries = [
            {"Id": str(number), "ReceiptHandle": message.handle, **how}
            for number, message in enumerate(messages[first : first + 10])
        ]
        answer = getattr(stack.client("sqs"), operation)(QueueUrl=stack.outputs[_QUEUE], Entries=entries)
        if answer.get("Failed"):
            raise CommandError("SQS did not take all of it; run the same once more.")


def _keys(value: object) -> Iterator[object]:
    """Yield whatever a message calls a key."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "key" and isinstance(inner, str):
                yield inner
            else:
                yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)
