"""Dead letters, sent into the uploads queue once more."""

from __future__ import annotations

from collections.abc import Callable

from cleanplate.services import Services

#: Ten messages take well below a second; what is left over is the next call's. Seconds.
_TIME_FOR_TEN = 15.0


def redrive_messages(seconds_left: Callable[[], float], services: Services) -> dict[str, int]:
    """Return ``{"sent": n, "left": m}``; no more are sent than there were, for one that is still unreadable comes back
    at once.

    Safe to repeat: what is sent twice becomes one job all the same.
    """
    letters = services.dead_letters
    sent, most = 0, letters.unseen()
    while sent < most and seconds_left() > _TIME_FOR_TEN:
        taken = letters.take(most - sent)
        if not taken:
            break
        # Sent before removed: cut short in between, a message is there twice, which is one job all the same.
        services.uploads_queue.send([letter["Body"] for letter in taken])
        letters.remove(taken)
        sent += len(taken)
    return {"sent": sent, "left": letters.unseen()}
