"""What all callers share: one small value that is stored as one item, and how it passes with time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple, get_args

from cleanplate.models import FillRoute
from cleanplate.rate_limit.limits import RateLimits
from cleanplate.rate_limit.pace import Pace
from cleanplate.rate_limit.polling import DurationHistogram

Kind = Literal["mask", "fill", "poll"]
Reason = Literal["", "queue", "route", "gate", "breaker", "day", "budget", "contended"]
FILL_ROUTE = "fill-masked-areas"
#: Every route that fills; photos choose.
FILL_ROUTES: frozenset[str] = frozenset(get_args(FillRoute))
#: Seconds that a request may leave before its slot: waits are whole seconds, rounded to the nearest.
EARLY = 0.5
#: Seconds after which a slot that was not used is void; its holder reserves again.
LATE = 3.0
HALF_HOURS = 48  # parts of a day in which requests are counted
UNBEGUN = 10.0  # seconds after its slot in which a mask's POST is written down as begun, or never goes


@dataclass(frozen=True, slots=True)
class Slot:
    """The answer to a reservation.

    Granted: the request may go at ``at``. Not granted: nothing is reserved, ask again at ``at``. ``reason`` says what is
    waited for.
    """

    at: float
    granted: bool = True
    reason: Reason = ""

    def wait_seconds(self, now: float) -> int:
        """Whole seconds from ``now``, to the nearest for a slot; 0 means now. Asking again takes at least one."""
        if self.granted:
            return max(0, math.floor(self.at - now + EARLY))
        return max(1, math.ceil(self.at - now))


class Breaker(NamedTuple):
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
    """Everything that callers share. ``version`` belongs to whoever stores it.

    ``taken`` has a bit for each slot that was given, on the grid that begins at ``base``. ``day_counts`` is how many were
    given in each half hour of the last day. ``unbegun`` are the slots of new photos that may not be written down as in
    work yet, rather too many than too few. ``route_next`` is when a route with a limit of its own may have its next POST.
    ``pace`` is how fast requests were made of late.
    """

    version: int = 0
    spacing: float = 0.0
    base: float = 0.0
    taken: int = 0
    unbegun: tuple[float, ...] = ()
    day_counts: Mapping[int, int] = field(default_factory=dict)
    route_next: Mapping[str, float] = field(default_factory=dict)
    per_photo: float = 0.0
    pace: Pace = field(default_factory=Pace)
    budget_day: int = 0
    spent: int = 0
    gate_until: float = 0.0
    gate_closed: int = 0
    gate_reason: str = ""
    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    durations: Mapping[str, DurationHistogram] = field(default_factory=dict)

    def to_item(self) -> dict[str, Any]:
        """Return plain numbers, strings, lists and maps; below one kilobyte, so that a write costs one unit."""
        first, last = min(self.day_counts, default=0), max(self.day_counts, default=-1)
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "taken": f"{self.taken:x}",
            "day_first": first,
            "day_counts": [self.day_counts.get(part, 0) for part in range(first, last + 1)],
            "gate_reason": self.gate_reason[:100],
        }

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> RateLimitState:
        """Return the reverse of ``to_item``; what an older release did not write is at its default.

        Raises ``ValueError`` for values that are not what ``to_item`` wrote.
        """
        try:
            plain = {field.name: item[field.name] for field in fields(cls) if field.name in item}
            return cls(
                **{
                    **plain,
                    "version": int(item["version"]),
                    "taken": int(item.get("taken", "0"), 16),
                    "unbegun": tuple(item.get("unbegun", ())),
                    "day_counts": dict(enumerate(item.get("day_counts", ()), start=item.get("day_first", 0))),
                    "route_next": dict(item.get("route_next", {})),
                    "pace": Pace(*item.get("pace", ())),
                    "breakers": {route: Breaker(*breaker) for route, breaker in item.get("breakers", {}).items()},
                    "durations": {
                        route: {int(edge): weight for edge, weight in durations.items()}
                        for route, durations in item.get("durations", {}).items()
                    },
                }
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"not a rate limiter's item: {error!r}") from error


def fresh(limits: RateLimits, now: float) -> RateLimitState:
    """Return the state where there is none: never used before, or lost in mid-run.

    As if the last minute had been full, and as if the lost state had given slots for as long as anybody may usually
    reserve ahead: every second one of those is left to them. The first request may go at once.
    """
    slots = math.ceil(2 * limits.near / limits.spacing)
    every_second = sum(1 << bit for bit in range(1, slots, 2))
    return RateLimitState(spacing=limits.spacing, base=now, taken=every_second)


def advance(state: RateLimitState, limits: RateLimits, now: float) -> RateLimitState:
    """Return the state as of now: past slots forgotten, the grid started again where it lies idle or its spacing changed."""
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
        unbegun=tuple(at for at in state.unbegun if at > now - UNBEGUN),
        route_next={route: at for route, at in state.route_next.items() if at > now},
        day_counts=in_a_day(state, limits, now),
        budget_day=budget_day,
        spent=spent,
    )


def counted(state: RateLimitState, limits: RateLimits, at: float, n: int) -> RateLimitState:
    """Return the day's counts with ``n`` more requests at ``at``."""
    part = math.floor(at * HALF_HOURS / limits.day)
    return replace(state, day_counts={**state.day_counts, part: max(0, state.day_counts.get(part, 0) + n)})


def in_a_day(state: RateLimitState, limits: RateLimits, now: float) -> dict[int, int]:
    """Return the requests that count towards the day limit now, those included that are reserved ahead, by half hour."""
    oldest = math.floor(now * HALF_HOURS / limits.day) - HALF_HOURS
    return {part: n for part, n in state.day_counts.items() if part >= oldest}
