"""Dead letters, sent into the uploads queue once more."""

from __future__ import annotations

from collections.abc import Callable

from cleanplate.tools import Tools
from cleanplate.uploads_queue import UploadsQueue

#: Ten messages take well below a second; what is left over is the next call's. Seconds.
_TIME_FOR_TEN = 15.0


def redrive_messages(seconds_left: Callable[[], float], tools: Tools) -> dict[str, int]:
    """``{"sent": n, "left": m}``; no more are sent than there were, for one that is still unreadable comes back at once.

    Safe to repeat: what is sent twice becomes one job all the same.
    """
    queue = UploadsQueue(tools)
    sent, most = 0, queue.dead_letters()
    while sent < most and seconds_left() > _TIME_FOR_TEN:
        now = queue.redrive(most - sent)
        if not now:
            break
        sent += now
    return {"sent": sent, "left": queue.dead_letters()}
