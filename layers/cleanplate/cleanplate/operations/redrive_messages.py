"""Send dead letters to the uploads queue once more."""

from __future__ import annotations

from collections.abc import Callable

from cleanplate.services import Services

#: Seconds for ten messages, which take well below one. What is left over is the next call's.
_TIME_FOR_TEN = 15.0


def redrive_messages(seconds_left: Callable[[], float], services: Services) -> dict[str, int]:
    """Send them and return ``{"sent": n, "left": m}``: at most as many as there were, since one that is still unreadable
    comes back at once.

    Safe to repeat: what is sent twice becomes one job all the same.
    """
    letters = services.dead_letters
    sent, most = 0, letters.length()
    while sent < most and seconds_left() > _TIME_FOR_TEN:
        taken = letters.take(most - sent)
        if not taken:
            break
        # Sent before removed: after a crash in between a message is there twice, and still one job.
        # One by one: ten of the longest messages are more than SQS takes in one call.
        for letter in taken:
            services.uploads_queue.send([letter["Body"]])
        letters.remove(taken)
        sent += len(taken)
    return {"sent": sent, "left": letters.length()}
