"""What Adobe's refusals close: the gate after a 429, one route after a streak of 502 and 503. Pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

from cleanplate.rate_limit.limits import RateLimits
from cleanplate.rate_limit.state import FILL_ROUTES, Breaker, Kind, RateLimitState

_FIRST_GATE = 5.0  # seconds that a 429 without Retry-After closes the gate; doubled by each further one
_LONGEST_GATE = 900.0
_STREAK = 5  # 502/503 in a row that open a route's breaker
_FIRST_BREAK = 30.0  # seconds; doubled each time the probe fails
_LONGEST_BREAK = 900.0
PROBE = 60.0  # seconds that the one probe of a half-open breaker has for its answer


def close(state: RateLimitState, limits: RateLimits, now: float, until: float | None, reason: str) -> RateLimitState:
    """Return the state with the gate closed for everybody after a 429, until ``until``, or for a time that doubles with each closure.

    A time that is over, or none, counts as none; a day is the longest. What Adobe names holds for a first closure;
    a further one before any success lasts at least a second, then two, then four …, so that an account that is refused
    again and again is not asked every second.

    Answers to requests that were on their way when it closed count as the same closure.
    """
    again = now >= state.gate_until
    strikes = state.gate_closed + 1 if again or not state.gate_closed else state.gate_closed
    if until is None or not math.isfinite(until) or until <= now:
        until = now + min(_LONGEST_GATE, _FIRST_GATE * 2.0 ** min(strikes - 1, 20))
    again_until = now + min(_LONGEST_GATE, 2.0 ** min(strikes - 2, 20)) if strikes > 1 else now
    until = max(state.gate_until, again_until, min(until, now + limits.day))
    return replace(state, gate_until=until, gate_closed=strikes, gate_reason=reason)


def succeeded(state: RateLimitState, now: float, route: str) -> RateLimitState:
    """Return the state after an answer that was not an error: the route's breaker is closed, the gate's next closure is a first
    one.

    A success while the gate is closed was sent before and says nothing about it.
    """
    if route in state.breakers:
        state = replace(state, breakers={name: b for name, b in state.breakers.items() if name != route})
    if state.gate_closed and now >= state.gate_until:
        state = replace(state, gate_closed=0, gate_reason="")
    return state


def unavailable(state: RateLimitState, now: float, route: str) -> RateLimitState:
    """Return the state after a 502 or 503 of ``route``: a streak opens its breaker, a failed probe opens it for twice as long."""
    breaker = state.breakers.get(route, Breaker())
    streak = breaker.streak + 1
    # Answers to requests that were on their way when it opened do not open it further.
    if streak >= _STREAK and now >= breaker.until:
        opened = breaker.opened + 1
        until = now + min(_LONGEST_BREAK, _FIRST_BREAK * 2.0 ** min(opened - 1, 20))
        breaker = Breaker(streak, opened, until)
    else:
        breaker = breaker._replace(streak=streak)
    return replace(state, breakers={**state.breakers, route: breaker})


def closed_route(
    state: RateLimitState, now: float, kind: Kind, route: str, held: float = 0.0, in_work: int = 0
) -> float:
    """Return until when a breaker keeps this request back; 0 where none does. ``held``: the slot that it has, 0 for
    none.
    """
    if kind == "poll":
        return 0.0
    closed = 0.0
    own = state.breakers.get(route)
    if own is not None and own.is_open:
        is_the_probe = held > 0 and abs(held + PROBE - own.probe_until) < 0.01
        closed = max(own.until, 0.0 if is_the_probe else own.probe_until)
    if kind == "mask" and route not in FILL_ROUTES:
        # A mask that cannot be filled is money spent for nothing; half-open, one photo at a time goes to see.
        for fill in (state.breakers[name] for name in FILL_ROUTES & state.breakers.keys()):
            if fill.is_open:
                closed = max(closed, fill.until, now + PROBE if in_work and not held else 0.0)
    return closed if closed > now else 0.0
