"""When may the next request go to Adobe: pure arithmetic over one small state, no clock and no I/O of its own.

**Minute limit.** Slots lie on a grid whose spacing is the minute divided by the limit (the generic cell rate algorithm
without a burst). A slot is one bit, so that it cannot be given twice, and any sliding minute holds at most the limit
whatever is asked for in whatever order. The spacing keeps ``slack`` seconds of every minute in hand, because a request
leaves within about a second of its slot and not exactly on it.

**Day limit.** Adobe does not say when its day begins. A second GCRA would have to choose between spreading evenly (6
a minute, though 60 are allowed) and a burst that lets twice the limit into some sliding day. So the last day is
counted exactly, in half hours: the limit can be used up at full speed, any 24 hours hold at most the limit whenever
Adobe's day begins, and what was used comes free 24 hours later. A new mask leaves room for the fills that photos in
work still need.

**Who goes first** follows from how far ahead a caller may reserve. A slot is fixed once given, so whoever reserves far
ahead goes before whoever may not: photos in work (fills, polls that count) as far as they need, urgent masks twice as
far as others, others a few seconds. Once in ``_FAIR_SLOTS`` slots a normal mask may reach further than the urgent ones,
so that they are never starved. Whatever nobody reserved is anybody's: nothing is kept idle.

**The queue.** A mask that finds no slot near is not reserved but answered with a ticket and a time to ask again: half
of the forecast wait, at most ``LONGEST_PARK`` (SQS hides a message for at most 12 h). The halves are the price of
parking messages that cannot be called back: should the queue move up to twice as fast as forecast, somebody is always
there to take the slot. So a photo is received about log2(wait / 10 s) times, and about twice per day of waiting.

Times are seconds since the epoch. Limits: ``RateLimits``; the answers: ``Slot``.
"""

from __future__ import annotations

import math
from dataclasses import replace

from cleanplate.rate_limit.breakers import PROBE, closed_route
from cleanplate.rate_limit.forecast import forecast, photo_time
from cleanplate.rate_limit.limits import RateLimits
from cleanplate.rate_limit.state import (
    FILL_ROUTE,
    HALF_HOURS,
    LATE,
    Kind,
    Lane,
    LaneName,
    RateLimitState,
    Reason,
    Slot,
    advance,
    counted,
    photos_in_work,
    with_lane,
)

#: Seconds; SQS hides a message for at most 12 h from its receipt, and the last part of that is not to be relied on.
LONGEST_PARK = 11 * 3600.0
_FURTHEST = 5  # minutes; nobody reserves further ahead, which bounds the size of the state
_FAIR_SLOTS = 10  # one slot in so many is a normal mask's, however many urgent ones there are
_RETURN_AT = 0.5  # share of the forecast wait after which a parked photo asks again
_MAX_FRONT = 4.0  # places that the front of a queue moves further than the one that was served
_MEMORY = 1 / 400  # weight of the newest request in the running mean of requests per photo


def reserve(
    state: RateLimitState,
    limits: RateLimits,
    now: float,
    kind: Kind,
    urgent: bool = False,
    *,
    route: str = "",
    ticket: int = 0,
    not_before: float = 0.0,
    instead_of: float = 0.0,
) -> tuple[RateLimitState, Slot]:
    """A slot for one request, or the time to ask again; and the state to store, unchanged unless a slot was granted.

    ``mask`` stands for whatever begins the work on a photo: for one that brings its own mask that is its first fill,
    with ``FILL_ROUTE``. ``ticket`` is the photo's place in its queue (see ``queue_up``; 0: has none, and should take one
    when it is refused). ``instead_of`` is the slot that it was granted earlier and did not use
    yet: the answer if it still holds, else given back for another. ``not_before`` reserves ahead, for a poll whose time
    is known.
    """
    if kind == "poll" and not limits.polls_count:
        return state, Slot(max(now, not_before, state.gate_until))
    closed = closed_route(state, now, kind, route, instead_of)
    before = state
    if instead_of > 0:
        if state.gate_until <= instead_of and now <= instead_of + LATE and not closed:
            return state, Slot(instead_of, ticket=ticket)
        state = _give_back(state, limits, kind, route, instead_of)
    state = advance(state, limits, now)
    opens, why = _opens(state, limits, max(now, not_before, state.gate_until), kind, route)
    if closed > opens:
        opens, why = closed, "breaker"
    at = _first_free(state, limits, opens)
    name = lane_name(kind, urgent=urgent)
    lane: Lane = getattr(state, name)
    position = (ticket or lane.tickets + 1) - math.floor(lane.front)
    reach = _reach(state, limits, name, position, now, at)
    if why in ("", "gate") and at <= min(max(now, not_before) + reach, now + _FURTHEST * limits.minute):
        state = with_lane(state, name, replace(lane, front=_front(lane, ticket), last_at=at))
        return _granted(state, limits, now, kind, route, at), Slot(at, ticket=ticket)
    again = max(_ask_again_at(state, limits, opens, name, position), at - limits.near, not_before, now + 1.0)
    # Those that are parked for the longest time come back spread over the last tenth of it.
    again = min(again, now + LONGEST_PARK * (0.9 + 0.1 * (ticket * 0.618034 % 1)))
    return before, Slot(again, granted=False, reason=why or "queue", ticket=ticket)


def lane_name(kind: Kind, *, urgent: bool) -> LaneName:
    """The queue in which a request waits: photos in work, urgent new ones, other new ones."""
    if kind != "mask":
        return "work"
    return "urgent" if urgent else "normal"


def queue_up(state: RateLimitState, name: LaneName) -> tuple[RateLimitState, int]:
    """A place at the end of a queue, as a ticket."""
    lane: Lane = getattr(state, name)
    ticket = lane.tickets + lane.step
    return with_lane(state, name, replace(lane, tickets=ticket)), ticket


def opening(state: RateLimitState, limits: RateLimits, now: float, route: str = "") -> tuple[float, Reason]:
    """When new photos are next let in, and what keeps them out until then; ``now`` and nothing where nothing does.

    The ordinary queue is not meant: this says until when photos are *held* by the gate, a breaker, the day or the budget.
    """
    state = advance(state, limits, now)
    opens, why = _opens(state, limits, max(now, state.gate_until), "mask", route)
    closed = closed_route(state, now, "mask", route, 0.0)
    return (closed, "breaker") if closed > opens else (opens, why)


def _first_free(state: RateLimitState, limits: RateLimits, earliest: float) -> float:
    """The first slot at or after ``earliest`` that was not given."""
    index = max(0, math.ceil((earliest - state.base) / limits.spacing - 1e-6))
    ahead = state.taken >> index
    index += ((ahead + 1) & ~ahead).bit_length() - 1
    return state.base + index * limits.spacing


def _opens(state: RateLimitState, limits: RateLimits, earliest: float, kind: Kind, route: str) -> tuple[float, Reason]:
    """When day limit, budget and gate next allow a request of this kind, and which of them is waited for."""
    in_work = photos_in_work(state, earliest)
    new = kind == "mask" and route != FILL_ROUTE
    opens = earliest
    why: Reason = "gate" if state.gate_until >= earliest else ""
    if limits.daily_budget is not None and kind != "poll":
        # A new mask is only paid for where the fill can be paid for too, its own and those in work.
        needed = 2 + in_work if new else 1
        today = math.floor(opens / limits.day)
        if today <= state.budget_day and state.spent + needed > limits.daily_budget:
            opens, why = (state.budget_day + 1) * limits.day, "budget"
    if not math.isinf(limits.our_day):
        after = limits.requests_per_photo - 1
        needed = min(limits.our_day, 1 + after + math.ceil(in_work) * after if new else 1)
        free = _day_free_at(state, limits, opens, needed)
        if free > opens:
            opens, why = free, "day"
    return opens, why


def _day_free_at(state: RateLimitState, limits: RateLimits, earliest: float, needed: float) -> float:
    """When the day that ends then has room for ``needed`` more requests; half hours count whole until they are over."""
    width = limits.day / HALF_HOURS
    part = math.floor(earliest / width)
    counted = list(state.day_counts)
    oldest = part - HALF_HOURS
    in_day = sum(counted[max(0, oldest - state.day_first) :])
    while in_day + needed > limits.our_day:
        index = oldest - state.day_first
        if index >= len(counted):
            break
        if index >= 0:
            in_day -= counted[index]
        oldest += 1
    return max(earliest, (oldest + HALF_HOURS) * width) if oldest > part - HALF_HOURS else earliest


def _reach(state: RateLimitState, limits: RateLimits, name: LaneName, position: int, now: float, at: float) -> float:
    """Seconds that a photo may reserve ahead, where the next free slot is ``at``."""
    lane: Lane = getattr(state, name)
    if name == "work":
        return min(2 * limits.minute, 600 * limits.spacing)
    if position * photo_time(state, limits) > _due(state, limits):
        # Not its turn yet; but where nobody whose turn it is holds a slot, it is better used than lost.
        return limits.near if lane.last_at <= now else -1.0
    if name == "urgent":
        return 2 * limits.near
    if state.urgent.last_at > lane.last_at and at >= lane.last_at + _FAIR_SLOTS * limits.spacing:
        return 3 * limits.near
    # Whoever was passed by before reaches a little further than those who passed.
    return limits.near * (1.5 if position < -1 else 1.0)


def _front(lane: Lane, served: int) -> float:
    """About which ticket is served now, after one was.

    It follows the tickets a little of the way each, and upwards a few at most: one that is served out of turn must not
    make all before it believe that it is theirs too. Tickets whose photos are gone are caught up all the same.
    """
    if not served:
        return lane.front
    if served > lane.tickets:
        return float(served)  # a ticket of a state that was lost: the queue goes on from here
    return max(0.0, lane.front + 1 + min(_MAX_FRONT, (served - lane.front - 1) / 8))


def _due(state: RateLimitState, limits: RateLimits) -> float:
    """Seconds of forecast wait from which on it is a photo's turn."""
    return 2 * limits.near + photo_time(state, limits)


def _ask_again_at(state: RateLimitState, limits: RateLimits, opens: float, name: LaneName, position: int) -> float:
    """When a photo asks again that is so many places from the front of its queue."""
    photo = photo_time(state, limits)
    ahead = position = max(1, position)
    if name == "normal":
        # Urgent ones go first, but never take the share that keeps the normal ones moving.
        fair = math.ceil(position * _FAIR_SLOTS * limits.spacing / photo)
        ahead = min(position + state.urgent.waiting, fair)
    if ahead * photo <= _due(state, limits):
        return opens + ahead * photo - limits.near
    turn = forecast(state, limits, opens, ahead, within=LONGEST_PARK / _RETURN_AT)
    return opens + _RETURN_AT * (turn - opens)


def _granted(
    state: RateLimitState, limits: RateLimits, now: float, kind: Kind, route: str, at: float
) -> RateLimitState:
    """The state with the slot at ``at`` given and counted."""
    index = round((at - state.base) / limits.spacing)
    state = replace(counted(state, limits, at, 1), taken=state.taken | 1 << index)
    in_work = photos_in_work(state, now)
    per_photo = state.per_photo or float(limits.requests_per_photo)
    new = kind == "mask"
    if new and route != FILL_ROUTE:
        in_work += 1
    elif kind == "fill":
        in_work = max(0.0, in_work - 1)
    # Running mean of requests per new photo: each mask closes one photo's count.
    share = (1 / per_photo) + _MEMORY * ((1.0 if new else 0.0) - 1 / per_photo)
    breakers = state.breakers
    own = breakers.get(route)
    if own is not None and own.is_open and kind != "poll":
        breakers = {**breakers, route: replace(own, probe_until=at + PROBE)}
    return replace(
        state,
        in_work=in_work,
        in_work_at=max(now, state.in_work_at),
        per_photo=min(20.0, max(1.0, 1 / share)),
        spent=state.spent + (kind != "poll"),
        breakers=breakers,
    )


def _give_back(state: RateLimitState, limits: RateLimits, kind: Kind, route: str, at: float) -> RateLimitState:
    """The counts without a slot that was not used. Its time stays given: others may have built on it."""
    part = math.floor(at * HALF_HOURS / limits.day) - state.day_first
    if not 0 <= part < len(state.day_counts):
        return state
    in_work = state.in_work
    if kind == "mask" and route != FILL_ROUTE:
        in_work = max(0.0, in_work - 1)
    elif kind == "fill":
        in_work += 1
    spent = state.spent
    if kind != "poll" and math.floor(at / limits.day) == state.budget_day:
        spent = max(0, spent - 1)
    return replace(counted(state, limits, at, -1), in_work=in_work, spent=spent)
