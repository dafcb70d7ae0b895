"""When a run will be done, from how far its photos have come so far. Pure policy: no clock."""

from __future__ import annotations

from collections.abc import Sequence

#: Photos that have ended, which a forecast needs: of fewer, the next one may take any time.
_ENOUGH = 3
#: Steps that the pace of late is taken from, as a share of all.
_RECENT = 0.5
#: From so many endings on, the pace of late is the better one: a stack is under way, and the world may have changed.
_MANY = 40


def seconds_left(began: float, steps: Sequence[float], ended: int, photos: int, now: float) -> float | None:
    """Return seconds until the last of ``photos`` has ended; None where too little is known.

    Each photo takes two steps: it is begun, and it ends. ``steps`` are the times of those that were taken, ascending;
    ``began`` is when the first photo was on its way. The endings alone would lag behind: at first masks are bought and
    nothing ends, and whatever holds the photos up, slots at Adobe or this machine's processors, masks and fills share it.
    """
    if ended >= photos:
        return 0.0
    if ended < _ENOUGH:
        return None
    left = max(photos - ended, 2 * photos - len(steps))
    # With few endings, each of them late for reasons of its own, the whole run is the best measure.
    whole = (now - began) / len(steps)
    recent = steps[-max(2 * _ENOUGH, round(len(steps) * _RECENT)) :]
    late = (now - recent[0]) / len(recent)
    weight = min(1.0, ended / _MANY)
    return left * ((1 - weight) * whole + weight * late)


def in_words(seconds: float) -> str:
    """Return a time as people say it: ``40 s``, ``2.5 min``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 600:
        return f"{round(seconds / 30) / 2:g} min"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.1f} days"
