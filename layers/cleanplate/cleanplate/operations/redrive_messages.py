"""Dead letters, sent into the uploads queue once more."""

from __future__ import annotations

from collections.abc import Callable

from cleanplate.operations.dead_letters import DeadLetters
from cleanplate.services import Services

#: Ten messages take well below a second; what is left over is the next call's. Seconds.
_TIME_FOR_TEN = 15.0


def redrive_messages(seconds_left: Callable[[], float], services: Services) -> dict[str, int]:
    """``{"sent": n, "left": m}``; no more are sent than there were, for one that is still unreadable comes back at once.

    Safe to repeat: what is sent twice becomes one job all the same.
    """
    letters = DeadLetters(services)
    sent, most = 0, letters.number()
    while sent < most and seconds_left() > _TIME_FOR_TEN:
        now = letters.redrive(most - sent)
        if not now:
            break
        sent += now
    return {"sent": sent, "left": letters.number()}
