"""When may the next request go to Adobe: pure arithmetic over one small state, no clock and no I/O of its own.

**Minute limit.** Slots lie on a grid whose spacing is the minute divided by the limit (the generic cell rate algorithm
without a burst). A slot is one bit, so that it cannot be given twice, and any sliding minute holds at most the limit
whatever is asked for in whatever order. The spacing keeps ``slack`` seconds of every minute in hand, because a request
leaves within about a second of its slot and not exactly on it. A route with a limit of its own takes its slots at
least so far apart as that limit says.

**Day limit.** Adobe does not say when its day begins. A second GCRA would have to choose between spreading evenly (6
a minute, though 60 are allowed) and a burst that lets twice the limit into some sliding day. So the last day is
counted exactly, in half hours: the limit can be used up at full speed, any 24 hours hold at most the limit whenever
Adobe's day begins, and what was used comes free 24 hours later.

**Who goes first** follows from how far ahead a caller may reserve. A slot is fixed once given, so whoever reserves far
ahead goes before whoever may not: photos in work (fills, polls that count) as far as they need, new photos a few
seconds. Whatever nobody reserved is anybody's: nothing is kept idle. New photos among each other stand in the waiting
room (``jobs.waiting_room``) in exact order; here they ask one at a time.

**Room for fills.** A new photo is let in only where budget and day have room for its fills and for those of every photo
in work. How many those are is counted exactly by the ledger (``jobs.folder_counts``) and handed in; photos with a slot that
the ledger does not know yet are counted here, by their slots.

Times are seconds since the epoch. Limits: ``RateLimits``; the answers: ``Slot``.
"""

from __future__ import annotations

import math
from dataclasses import replace

from cleanplate.rate_limit.breakers import PROBE, closed_route
from cleanplate.rate_limit.limits import RateLimits
from cleanplate.rate_limit.state import (
    FILL_ROUTES,
    HALF_HOURS,
    LATE,
    Kind,
    RateLimitState,
    Reason,
    Slot,
    advance,
    counted,
    in_a_day,
)

_FURTHEST = 5  # minutes; nobody reserves further ahead, which bounds the size of the state
_MEMORY = 1 / 400  # weight of the newest request in the running mean of requests per photo


def reserve(
    state: RateLimitState,
    limits: RateLimits,
    now: float,
    kind: Kind,
    *,
    route: str = "",
    within: float | None = None,
    in_work: int = 0,
    not_before: float = 0.0,
    instead_of: float = 0.0,
) -> tuple[RateLimitState, Slot]:
    """Return a slot for one request, or the time to ask again; and the state to store, unchanged without a slot.

    ``mask`` stands for whatever begins the work on a photo: for one that brings its own mask that is its first fill,
    with one of ``FILL_ROUTES``. Such a slot lies at most ``within`` seconds ahead; ``in_work`` is how many photos are begun and
    have not ended. ``instead_of`` is the slot that was granted earlier and not used yet: the answer if it still holds,
    else given back for another. ``not_before`` reserves ahead, for a request whose time is known.
    """
    if kind == "poll" and not limits.polls_count:
        return state, Slot(max(now, not_before, state.gate_until))
    before, state = state, advance(state, limits, now)
    in_work += len(state.unbegun) if kind == "mask" else 0
    closed = closed_route(state, now, kind, route, instead_of, in_work)
    if instead_of > 0:
        if state.gate_until <= instead_of and now <= instead_of + LATE and not closed:
            return before, Slot(instead_of)
        state = _give_back(state, limits, kind, instead_of)
    earliest = max(now, not_before, state.gate_until)
    opens, why = _opens(state, limits, earliest, kind, route, in_work)
    if closed > opens:
        opens, why = closed, "breaker"
    if kind != "poll" and (spaced := state.route_next.get(route, 0.0)) > opens:
        opens, why = spaced, why or "route"
    at = _first_free(state, limits, opens)
    reach = min(2 * limits.minute, 600 * limits.spacing)
    if kind == "mask":
        reach = limits.near if within is None else within
    if why in ("", "gate", "route") and at <= min(max(now, not_before) + reach, now + _FURTHEST * limits.minute):
        # Whoever comes again for a slot that was not used has been counted.
        pace = state.pace if instead_of > 0 else state.pace.with_request(now, state.gate_until)
        return replace(_granted(state, limits, kind, route, at), pace=pace), Slot(at)
    return before, Slot(max(at - reach, not_before, now + limits.spacing / 4), granted=False, reason=why or "queue")


def opening(state: RateLimitState, limits: RateLimits, now: float, in_work: int = 0) -> tuple[float, Reason]:
    """Return when new photos are next let in, and what holds them until then; ``now`` and nothing where nothing does.

    Those ahead in the waiting room are not meant: this is about the gate, the fill's breaker, the day and the budget.
    """
    state = advance(state, limits, now)
    opens, why = _opens(state, limits, max(now, state.gate_until), "mask", "", in_work)
    closed = closed_route(state, now, "mask", "")
    return (closed, "breaker") if closed > opens else (opens, why)


def _first_free(state: RateLimitState, limits: RateLimits, earliest: float) -> float:
    """Return the first slot at or after ``earliest`` that was not given."""
    index = max(0, math.ceil((earliest - state.base) / limits.spacing - 1e-6))
    ahead = state.taken >> index
    index += ((ahead + 1) & ~ahead).bit_length() - 1
    return state.base + index * limits.spacing


def _opens(
    state: RateLimitState, limits: RateLimits, earliest: float, kind: Kind, route: str, in_work: int
) -> tuple[float, Reason]:
    """Return when day, budget and gate next allow a request of this kind, and which of them is waited for."""
    opens = earliest
    why: Reason = "gate" if state.gate_until >= earliest else ""
    own, others = 1, 0
    if kind == "mask":
        # A mask is only paid for where its fills can be paid for too, and those of all photos in work.
        own, others = limits.max_fills + (route not in FILL_ROUTES), limits.max_fills * in_work
    if limits.daily_budget is not None and kind != "poll":
        today = math.floor(opens / limits.day)
        if today <= state.budget_day and state.spent + min(own, limits.daily_budget) + others > limits.daily_budget:
            opens, why = (state.budget_day + 1) * limits.day, "budget"
    if not math.isinf(limits.our_day):
        polls = 2 if limits.polls_count and kind == "mask" else 1
        free = _day_free_at(state, limits, opens, min(limits.our_day, polls * own) + polls * others)
        if free > opens:
            opens, why = free, "day"
    return opens, why


def _day_free_at(state: RateLimitState, limits: RateLimits, earliest: float, needed: float) -> float:
    """Return when the day that ends then has room for ``needed`` requests; half hours count whole until they are over."""
    counts, free_at = in_a_day(state, limits, earliest), earliest
    too_many = sum(counts.values()) + needed - limits.our_day
    for part in sorted(counts):
        if too_many <= 0:
            break
        too_many -= counts[part]
        free_at = max(earliest, (part + 1 + HALF_HOURS) * limits.day / HALF_HOURS)
    return free_at


def _granted(state: RateLimitState, limits: RateLimits, kind: Kind, route: str, at: float) -> RateLimitState:
    """Return the state with the slot at ``at`` given and counted."""
    bit = 1 << round((at - state.base) / limits.spacing)
    per_photo = state.per_photo or float(limits.requests_per_photo)
    # Running mean of requests per new photo: each mask closes one photo's count.
    share = (1 / per_photo) + _MEMORY * ((1.0 if kind == "mask" else 0.0) - 1 / per_photo)
    breakers, route_next = state.breakers, state.route_next
    own = breakers.get(route)
    if own is not None and own.is_open and kind != "poll":
        breakers = {**breakers, route: own._replace(probe_until=at + PROBE)}
    if kind != "poll" and route in limits.routes:
        route_next = {**route_next, route: at + limits.routes[route]}
    return replace(
        counted(state, limits, at, 1),
        taken=state.taken | bit,
        unbegun=(*state.unbegun, at) if kind == "mask" else state.unbegun,
        route_next=route_next,
        per_photo=round(min(20.0, max(1.0, 1 / share)), 4),
        spent=state.spent + (kind != "poll"),
        breakers=breakers,
    )


def _give_back(state: RateLimitState, limits: RateLimits, kind: Kind, at: float) -> RateLimitState:
    """Return the counts without a slot that was not used. Its time stays given: others may have built on it."""
    if math.floor(at * HALF_HOURS / limits.day) not in state.day_counts:
        return state
    spent = state.spent
    if kind != "poll" and math.floor(at / limits.day) == state.budget_day:
        spent = max(0, spent - 1)
    unbegun = tuple(slot for slot in state.unbegun if slot != at)
    return replace(counted(state, limits, at, -1), unbegun=unbegun, spent=spent)
