"""When waiting photos get their slots: pure arithmetic for reports."""

from __future__ import annotations

import math

from cleanplate.rate_limit.limits import RateLimits
from cleanplate.rate_limit.state import HALF_HOURS, RateLimitState, in_a_day


def forecast(state: RateLimitState, limits: RateLimits, now: float, photos: int, within: float = 60 * 86400.0) -> float:
    """Return when the last of so many waiting photos gets its slot, with minute limit, day limit and budget as they are
    used.

    At most ``now + within``: what lies beyond is not looked for.
    """
    start = max(now, state.gate_until)
    per_photo = state.per_photo or limits.requests_per_photo
    requests = photos * per_photo
    if math.isinf(limits.our_day) and limits.daily_budget is None:
        return min(start + requests * limits.spacing, now + within)
    width = limits.day / HALF_HOURS
    paid = min(per_photo, 2.0) / per_photo
    part = math.floor(start / width)
    counts: dict[int, float] = {**in_a_day(state, limits, start)}
    in_day = sum(counts.values())
    spent, budget_day = float(state.spent), state.budget_day
    at = start
    while at < now + within:
        end = (part + 1) * width
        today = math.floor(at / limits.day)
        if today != budget_day:
            spent, budget_day = 0.0, today
        room = min((end - at) / limits.spacing, limits.our_day - in_day)
        if limits.daily_budget is not None:
            room = min(room, (limits.daily_budget - spent) / paid)
        room = max(0.0, room)
        if requests <= room:
            return min(at + requests * limits.spacing, now + within)
        requests -= room
        spent += room * paid
        counts[part] = counts.get(part, 0.0) + room
        in_day += room - counts.get(part - HALF_HOURS, 0.0)
        part += 1
        at = end
    return now + within
