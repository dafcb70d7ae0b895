"""When a run will be done, from how its photos have ended so far. Pure policy: no clock."""

from __future__ import annotations

from collections.abc import Sequence

#: Endings that a forecast needs: of fewer, the next one may be anything.
_ENOUGH = 3
#: Endings that the pace is taken from, as a share of all: what is long ago says little of now.
_RECENT = 0.5


def seconds_left(ended: Sequence[float], photos: int, now: float) -> float | None:
    """Return seconds until the last of ``photos`` ends, by the pace of those that have ``ended`` (times, ascending).

    None where too little is known. Nothing is taken for granted of how many are worked on at a time: between the first
    ending and the latest one, the pace holds all of that.
    """
    done = len(ended)
    if done >= photos:
        return 0.0
    if done < _ENOUGH:
        return None
    recent = ended[-max(_ENOUGH, round(done * _RECENT)) :]
    if recent[-1] <= recent[0]:
        return None
    pace = (recent[-1] - recent[0]) / (len(recent) - 1)
    # The time since the last ending counts for the next one, as far as it goes.
    waited = min(now - recent[-1], pace)
    overdue = max(0.0, now - recent[-1] - 2 * pace)
    return (photos - done) * pace - waited + overdue


def in_words(seconds: float) -> str:
    """Return a time as people say it: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.1f} days"
