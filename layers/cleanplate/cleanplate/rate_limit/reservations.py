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
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cleanplate.errors import SettingsError
from cleanplate.rate_limit.polling import DurationHistogram

Kind = Literal["mask", "fill", "poll"]
LaneName = Literal["work", "urgent", "normal"]
Reason = Literal["", "queue", "gate", "breaker", "day", "budget", "contended"]

FILL_ROUTE = "fill-masked-areas"
#: Seconds; SQS hides a message for at most 12 h from its receipt, and the last part of that is not to be relied on.
LONGEST_PARK = 11 * 3600.0
#: Seconds that a request may leave before its slot: waits are whole seconds, rounded to the nearest.
EARLY = 0.5
#: Seconds after which a slot that was not used is void; its holder reserves again.
LATE = 3.0

_NEAR = 5.0  # seconds that a normal mask may reserve ahead, or two slots where they lie further apart
_FURTHEST = 5  # minutes; nobody reserves further ahead, which bounds the size of the state
_FAIR_SLOTS = 10  # one slot in so many is a normal mask's, however many urgent ones there are
_RETURN_AT = 0.5  # share of the forecast wait after which a parked photo asks again
_HALF_HOURS = 48  # parts of a day in which requests are counted
_MAX_FRONT = 4.0  # places that the front of a queue moves further than the one that was served
_IN_WORK = 300.0  # seconds after which a mask without a fill no longer counts as in work
_MEMORY = 1 / 400  # weight of the newest request in the running mean of requests per photo
_FIRST_GATE = 5.0  # seconds that a 429 without Retry-After closes the gate; doubled by each further one
_LONGEST_GATE = 900.0
_STREAK = 5  # 502/503 in a row that open a route's breaker
_FIRST_BREAK = 30.0  # seconds; doubled each time the probe fails
_LONGEST_BREAK = 900.0
_PROBE = 60.0  # seconds that the one probe of a half-open breaker has for its answer


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What the account allows, and how much of that is ours.

    ``share_left`` (0 to 0.95) of both limits is left to the account's other users. ``per_day`` and ``daily_budget`` may
    be ``None``: no such limit. ``daily_budget`` counts paid requests (masks and fills) per UTC day. ``slack`` is the
    part of every minute, in seconds, that is kept in hand. ``minute`` and ``day`` are their lengths in seconds; only
    local runs in scaled time change them. Raises ``SettingsError`` for values that cannot be meant.
    """

    per_minute: float = 60
    per_day: float | None = 9000
    polls_count: bool = False
    share_left: float = 0.0
    daily_budget: int | None = None
    slack: float = 2.0
    minute: float = 60.0
    day: float = 86400.0

    def __post_init__(self) -> None:
        _require("The limit per minute", self.per_minute, 1, 6000)
        _require("The length of a minute", self.minute, 0.5, 60)
        _require("The length of a day", self.day, 10 * self.minute, 86400)
        _require("The slack", self.slack, 0, self.minute / 2)
        _require("The share left to others", self.share_left, 0, 0.95)
        needed = self.requests_per_photo
        if self.per_day is not None:
            _require("The limit per day", self.per_day, needed, 100_000_000)
            if self.per_day < self.per_minute:
                raise SettingsError(
                    f"The limit per day ({self.per_day:g}) is smaller than the limit per minute ({self.per_minute:g})"
                )
        if self.daily_budget is not None:
            _require("The daily budget", self.daily_budget, 2, 100_000_000)
        if self.our_minute < 1:
            raise SettingsError(
                f"A share of {self.share_left:g} left to others leaves {self.our_minute:g} of {self.per_minute:g} "
                "requests per minute: less than one"
            )
        if self.our_day < needed:
            raise SettingsError(
                f"A share of {self.share_left:g} left to others leaves {self.our_day} of {self.per_day:g} requests per "
                f"day: one photo takes {needed}"
            )

    @property
    def our_minute(self) -> float:
        """Requests per minute that are ours."""
        return self.per_minute * (1 - self.share_left)

    @property
    def our_day(self) -> float:
        """Requests in any 24 hours that are ours; infinite where there is no such limit."""
        return math.inf if self.per_day is None else math.floor(self.per_day * (1 - self.share_left))

    @property
    def spacing(self) -> float:
        """Seconds between two slots."""
        return (self.minute + self.slack) / self.our_minute

    @property
    def requests_per_photo(self) -> int:
        """Counted requests of a photo that meets no delay: mask and fill, and a poll for each where polls count."""
        return 4 if self.polls_count else 2

    @property
    def near(self) -> float:
        """Seconds that a normal mask may reserve ahead."""
        return max(_NEAR * self.minute / 60, 2 * self.spacing)


@dataclass(frozen=True, slots=True)
class Slot:
    """The answer to a reservation.

    Granted: the request may go at ``at``. Not granted: nothing is reserved, ask again at ``at``, with ``ticket`` to
    keep the place in the queue. ``reason`` says what is waited for.
    """

    at: float
    granted: bool = True
    reason: Reason = ""
    ticket: int = 0

    def wait_seconds(self, now: float) -> int:
        """Whole seconds from ``now``, to the nearest for a slot; 0 means now. Asking again takes at least one."""
        if self.granted:
            return max(0, math.floor(self.at - now + EARLY))
        return max(1, math.ceil(self.at - now))


@dataclass(frozen=True, slots=True)
class Lane:
    """One queue: tickets handed out, about which of them is served now, the last slot's time."""

    tickets: int = 0
    front: float = 0.0
    last_at: float = 0.0

    @property
    def step(self) -> int:
        """What the next ticket adds: more than one only where tickets of a lost state are still being served."""
        return max(1, math.ceil(self.front) + 1 - self.tickets)

    @property
    def waiting(self) -> int:
        """Photos in this queue."""
        return max(0, round(self.tickets - self.front))


@dataclass(frozen=True, slots=True)
class Breaker:
    """Unavailable answers of one route in a row; open until ``until``, then one probe at a time."""

    streak: int = 0
    opened: int = 0
    until: float = 0.0
    probe_until: float = 0.0

    @property
    def is_open(self) -> bool:
        """True from the opening until the first success, the half-open time included."""
        return self.opened > 0


@dataclass(frozen=True, slots=True)
class RateLimitState:
    """Everything that callers share. ``version`` belongs to whoever stores it."""

    version: int = 0
    spacing: float = 0.0
    base: float = 0.0
    taken: int = 0
    day_first: int = 0
    day_counts: tuple[int, ...] = ()
    normal: Lane = Lane()
    urgent: Lane = Lane()
    work: Lane = Lane()
    in_work: float = 0.0
    in_work_at: float = 0.0
    per_photo: float = 0.0
    budget_day: int = 0
    spent: int = 0
    gate_until: float = 0.0
    gate_closed: int = 0
    gate_reason: str = ""
    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    durations: Mapping[str, DurationHistogram] = field(default_factory=dict)

    @property
    def lanes(self) -> dict[LaneName, Lane]:
        """The queues by name."""
        return {"normal": self.normal, "urgent": self.urgent, "work": self.work}

    def to_item(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and maps; below one kilobyte, so that a write costs one unit."""
        return {
            "version": self.version,
            "spacing": self.spacing,
            "base": self.base,
            "taken": f"{self.taken:x}",
            "day_first": self.day_first,
            "day_counts": list(self.day_counts),
            **{name: [round(lane.front, 2), round(lane.last_at, 3)] for name, lane in self.lanes.items()},
            **{f"{name}_tickets": lane.tickets for name, lane in self.lanes.items()},
            "in_work": round(self.in_work, 3),
            "in_work_at": round(self.in_work_at, 3),
            "per_photo": round(self.per_photo, 4),
            "budget_day": self.budget_day,
            "spent": self.spent,
            "gate_until": self.gate_until,
            "gate_closed": self.gate_closed,
            "gate_reason": self.gate_reason[:100],
            "breakers": {
                route: [b.streak, b.opened, round(b.until, 3), round(b.probe_until, 3)]
                for route, b in self.breakers.items()
            },
            "usual": {route: durations.to_item() for route, durations in self.durations.items()},
        }

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> RateLimitState:
        """The reverse of ``to_item``; what an older release did not write is at its default.

        Raises ``ValueError`` for values that are not what ``to_item`` wrote.
        """
        try:
            return cls(
                version=int(item["version"]),
                spacing=float(item.get("spacing", 0.0)),
                base=float(item.get("base", 0.0)),
                taken=int(item.get("taken", "0"), 16),
                day_first=int(item.get("day_first", 0)),
                day_counts=tuple(int(n) for n in item.get("day_counts", ())),
                normal=_lane(item, "normal"),
                urgent=_lane(item, "urgent"),
                work=_lane(item, "work"),
                in_work=float(item.get("in_work", 0.0)),
                in_work_at=float(item.get("in_work_at", 0.0)),
                per_photo=float(item.get("per_photo", 0.0)),
                budget_day=int(item.get("budget_day", 0)),
                spent=int(item.get("spent", 0)),
                gate_until=float(item.get("gate_until", 0.0)),
                gate_closed=int(item.get("gate_closed", 0)),
                gate_reason=str(item.get("gate_reason", "")),
                breakers={
                    str(route): Breaker(int(b[0]), int(b[1]), float(b[2]), float(b[3]))
                    for route, b in item.get("breakers", {}).items()
                },
                durations={
                    str(route): DurationHistogram.from_item(durations)
                    for route, durations in item.get("usual", {}).items()
                },
            )
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"not a pacer's item: {error!r}") from error


def fresh(limits: RateLimits, now: float) -> RateLimitState:
    """The state where there is none: never used before, or lost in mid-run.

    As if the last minute had been full, and as if the lost state had given slots for as long as anybody may usually
    reserve ahead: every second one of those is left to them. The first request may go at once.
    """
    slots = math.ceil(2 * limits.near / limits.spacing)
    every_second = sum(1 << bit for bit in range(1, slots, 2))
    return RateLimitState(spacing=limits.spacing, base=now, taken=every_second)


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
    closed = _closed_route(state, now, kind, route, instead_of)
    before = state
    if instead_of > 0:
        if state.gate_until <= instead_of and now <= instead_of + LATE and not closed:
            return state, Slot(instead_of, ticket=ticket)
        state = _give_back(state, limits, kind, route, instead_of)
    state = _advance(state, limits, now)
    opens, why = _opens(state, limits, max(now, not_before, state.gate_until), kind, route)
    if closed > opens:
        opens, why = closed, "breaker"
    at = _first_free(state, limits, opens)
    name = lane_name(kind, urgent=urgent)
    lane: Lane = getattr(state, name)
    position = (ticket or lane.tickets + 1) - math.floor(lane.front)
    reach = _reach(state, limits, name, position, now, at)
    if why in ("", "gate") and at <= min(max(now, not_before) + reach, now + _FURTHEST * limits.minute):
        state = _with_lane(state, name, replace(lane, front=_front(lane, ticket), last_at=at))
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
    return _with_lane(state, name, replace(lane, tickets=ticket)), ticket


def close(state: RateLimitState, limits: RateLimits, now: float, until: float | None, reason: str) -> RateLimitState:
    """The gate closed for everybody after a 429, until ``until``, or for a time that doubles with each closure.

    A time that is over, or none, counts as not told; a day is the longest.

    Answers to requests that were on their way when it closed count as the same closure.
    """
    again = now >= state.gate_until
    strikes = state.gate_closed + 1 if again or not state.gate_closed else state.gate_closed
    if until is None or not math.isfinite(until) or until <= now:
        until = now + min(_LONGEST_GATE, _FIRST_GATE * 2.0 ** min(strikes - 1, 20))
    until = max(state.gate_until, min(until, now + limits.day))
    return replace(state, gate_until=until, gate_closed=strikes, gate_reason=reason)


def succeeded(state: RateLimitState, now: float, route: str) -> RateLimitState:
    """After an answer that was not an error: the route's breaker is closed, the gate's next closure is a first one.

    A success while the gate is closed was sent before and says nothing about it.
    """
    if route in state.breakers:
        state = replace(state, breakers={name: b for name, b in state.breakers.items() if name != route})
    if state.gate_closed and now >= state.gate_until:
        state = replace(state, gate_closed=0, gate_reason="")
    return state


def unavailable(state: RateLimitState, now: float, route: str) -> RateLimitState:
    """After a 502 or 503 of ``route``: a streak opens its breaker, a failed probe opens it for twice as long."""
    breaker = state.breakers.get(route, Breaker())
    streak = breaker.streak + 1
    # Answers to requests that were on their way when it opened do not open it further.
    if streak >= _STREAK and now >= breaker.until:
        opened = breaker.opened + 1
        until = now + min(_LONGEST_BREAK, _FIRST_BREAK * 2.0 ** min(opened - 1, 20))
        breaker = Breaker(streak, opened, until)
    else:
        breaker = replace(breaker, streak=streak)
    return replace(state, breakers={**state.breakers, route: breaker})


def opening(state: RateLimitState, limits: RateLimits, now: float, route: str = "") -> tuple[float, Reason]:
    """When new photos are next let in, and what keeps them out until then; ``now`` and nothing where nothing does.

    The ordinary queue is not meant: this says until when photos are *held* by the gate, a breaker, the day or the budget.
    """
    state = _advance(state, limits, now)
    opens, why = _opens(state, limits, max(now, state.gate_until), "mask", route)
    closed = _closed_route(state, now, "mask", route, 0.0)
    return (closed, "breaker") if closed > opens else (opens, why)


def photo_time(state: RateLimitState, limits: RateLimits) -> float:
    """Seconds of the minute limit that one photo takes, from the requests that photos took lately."""
    return limits.spacing * (state.per_photo or limits.requests_per_photo)


def forecast(state: RateLimitState, limits: RateLimits, now: float, photos: int, within: float = 60 * 86400.0) -> float:
    """When the last of so many waiting photos gets its slot, with minute limit, day limit and budget as they are used.

    At most ``now + within``: what lies beyond is not looked for.
    """
    start = max(now, state.gate_until)
    per_photo = state.per_photo or limits.requests_per_photo
    requests = photos * per_photo
    if math.isinf(limits.our_day) and limits.daily_budget is None:
        return min(start + requests * limits.spacing, now + within)
    width = limits.day / _HALF_HOURS
    paid = min(per_photo, 2.0) / per_photo
    part = math.floor(start / width)
    counts = {state.day_first + i: float(n) for i, n in enumerate(state.day_counts)}
    in_day = sum(n for i, n in counts.items() if part - _HALF_HOURS <= i)
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
        in_day += room - counts.get(part - _HALF_HOURS, 0.0)
        part += 1
        at = end
    return now + within


def used_in_a_day(state: RateLimitState, limits: RateLimits, now: float) -> int:
    """Requests that count towards the day limit now, those included that are reserved ahead."""
    oldest = math.floor(now * _HALF_HOURS / limits.day) - _HALF_HOURS
    return sum(state.day_counts[max(0, oldest - state.day_first) :])


def going_out(state: RateLimitState, limits: RateLimits, now: float) -> float:
    """Requests per minute that are being sent, as of the last seconds."""
    span = LATE + limits.spacing
    slots = (state.base + bit * state.spacing for bit in range(state.taken.bit_length()) if state.taken >> bit & 1)
    return sum(now - span < at <= now for at in slots) * limits.minute / span


def _advance(state: RateLimitState, limits: RateLimits, now: float) -> RateLimitState:
    """The state as of now: past slots forgotten, the grid begun anew where it lies idle or its spacing changed."""
    spacing, base, taken = state.spacing, state.base, state.taken
    if not math.isclose(spacing, limits.spacing, rel_tol=1e-9):
        # The stack was deployed with other limits: all that was given stays, the new grid begins behind it.
        last = base + (taken.bit_length() - 1) * spacing
        spacing, base, taken = limits.spacing, max(now, last + max(spacing, limits.spacing)), 0
    elif base + (taken.bit_length() - 1) * spacing <= now - spacing:
        # Nothing within one spacing behind or ahead of now: the next request need not wait for the old grid.
        base, taken = now, 0
    else:
        # A little of the past is kept for callers whose clocks are behind.
        past = math.floor((now - 5.0 - base) / spacing)
        if past > 0:
            base, taken = base + past * spacing, taken >> past
    width = limits.day / _HALF_HOURS
    part = math.floor(now / width)
    first, counts = state.day_first, state.day_counts
    if counts and first < part - _HALF_HOURS - 1:
        counts = counts[part - _HALF_HOURS - 1 - first :]
        first = part - _HALF_HOURS - 1
    budget_day, spent = state.budget_day, state.spent
    today = math.floor(now / limits.day)
    # Only forwards: a caller whose clock is behind midnight must not bring yesterday's budget back.
    if today > budget_day:
        budget_day, spent = today, 0
    return replace(
        state,
        spacing=spacing,
        base=base,
        taken=taken,
        day_first=first,
        day_counts=counts,
        budget_day=budget_day,
        spent=spent,
    )


def _first_free(state: RateLimitState, limits: RateLimits, earliest: float) -> float:
    """The first slot at or after ``earliest`` that was not given."""
    index = max(0, math.ceil((earliest - state.base) / limits.spacing - 1e-6))
    ahead = state.taken >> index
    index += ((ahead + 1) & ~ahead).bit_length() - 1
    return state.base + index * limits.spacing


def _opens(state: RateLimitState, limits: RateLimits, earliest: float, kind: Kind, route: str) -> tuple[float, Reason]:
    """When day limit, budget and gate next allow a request of this kind, and which of them is waited for."""
    in_work = _in_work(state, earliest)
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
    width = limits.day / _HALF_HOURS
    part = math.floor(earliest / width)
    counted = list(state.day_counts)
    oldest = part - _HALF_HOURS
    in_day = sum(counted[max(0, oldest - state.day_first) :])
    while in_day + needed > limits.our_day:
        index = oldest - state.day_first
        if index >= len(counted):
            break
        if index >= 0:
            in_day -= counted[index]
        oldest += 1
    return max(earliest, (oldest + _HALF_HOURS) * width) if oldest > part - _HALF_HOURS else earliest


def _closed_route(state: RateLimitState, now: float, kind: Kind, route: str, held: float) -> float:
    """Until when a breaker keeps this request back; 0 where none does."""
    if kind == "poll":
        return 0.0
    closed = 0.0
    own = state.breakers.get(route)
    if own is not None and own.is_open:
        is_the_probe = held > 0 and abs(held + _PROBE - own.probe_until) < 0.01
        closed = max(own.until, 0.0 if is_the_probe else own.probe_until)
    if kind == "mask" and route != FILL_ROUTE:
        # A mask that cannot be filled is money spent for nothing; half-open, one photo at a time goes to see.
        fill = state.breakers.get(FILL_ROUTE)
        if fill is not None and fill.is_open:
            closed = max(closed, fill.until, now + _PROBE if _in_work(state, now) >= 0.5 and not held else 0.0)
    return closed if closed > now else 0.0


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
    state = replace(_counted(state, limits, at, 1), taken=state.taken | 1 << index)
    in_work = _in_work(state, now)
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
        breakers = {**breakers, route: replace(own, probe_until=at + _PROBE)}
    return replace(
        state,
        in_work=in_work,
        in_work_at=max(now, state.in_work_at),
        per_photo=min(20.0, max(1.0, 1 / share)),
        spent=state.spent + (kind != "poll"),
        breakers=breakers,
    )


def _in_work(state: RateLimitState, now: float) -> float:
    """Photos with a mask and without their fill. They fade: one that fails or needs no fill never says so."""
    return state.in_work * math.exp(-max(0.0, now - state.in_work_at) / _IN_WORK)


def _counted(state: RateLimitState, limits: RateLimits, at: float, n: int) -> RateLimitState:
    """The day's counts with ``n`` more requests at ``at``."""
    part = math.floor(at * _HALF_HOURS / limits.day)
    counts = list(state.day_counts)
    first = state.day_first if counts else part
    if part < first:
        counts = [0] * (first - part) + counts
        first = part
    counts += [0] * (part - first + 1 - len(counts))
    counts[part - first] = max(0, counts[part - first] + n)
    return replace(state, day_first=first, day_counts=tuple(counts))


def _give_back(state: RateLimitState, limits: RateLimits, kind: Kind, route: str, at: float) -> RateLimitState:
    """The counts without a slot that was not used. Its time stays given: others may have built on it."""
    part = math.floor(at * _HALF_HOURS / limits.day) - state.day_first
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
    return replace(_counted(state, limits, at, -1), in_work=in_work, spent=spent)


def _with_lane(state: RateLimitState, name: LaneName, lane: Lane) -> RateLimitState:
    if name == "work":
        return replace(state, work=lane)
    return replace(state, urgent=lane) if name == "urgent" else replace(state, normal=lane)


def _lane(item: Mapping[str, Any], name: LaneName) -> Lane:
    front, last_at = item.get(name, (0.0, 0.0))
    return Lane(int(item.get(f"{name}_tickets", 0)), float(front), float(last_at))


def _require(what: str, value: object, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SettingsError(f"{what} is {value!r}: not a number")
    if not least <= value <= most:
        raise SettingsError(f"{what} is {value:g}: it must be from {least:g} to {most:g}")
