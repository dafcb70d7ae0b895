"""When to ask Adobe about a job again: pure arithmetic, in seconds.

A job's duration is unknown, but the route's earlier jobs show what to expect. The first check aims just past that; each
later one comes after a fixed share of the time that has gone by, so that the time added to Adobe's own stays in
proportion however long the job takes. ``Retry-After`` wins over both, and a deadline ends the waiting.

Durations are observed for each route, in a small histogram. A finished job gives an interval: it was not ready at the
last check but one and was ready at the last. Taking the last check for the duration would make the estimate creep
upwards for ever (it waits longer, sees later, waits longer). So the job's weight is spread over its interval in
proportion to what is believed already (Turnbull's self-consistent estimate), and now and then a first check comes
early on purpose, which is the only way to notice that Adobe has become faster.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from cleanplate.errors import DeadlinePassedError

#: Upper ends of the histogram's bins in whole seconds, about a fifth apart; what takes longer counts as the last.
EDGES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 29, 35, 42, 50, 60, 72, 86, 103, 124, 150, 180, 240, 300)

#: The first check before any job was observed: just past five seconds (routes of this kind take 3 to 15 s).
DEFAULT_EXPECTED = 6.0

#: A later check comes when this share of the time since the POST has gone by once more.
GROWTH = 0.2
#: Seconds; no wait between two checks is longer, unless Adobe asks for it.
LONGEST_WAIT = 60.0

_FIRST_REFUSAL = 2.0
_LONGEST_REFUSAL = 300.0

#: What one more check is worth, as a share of the job's own duration added to the waiting.
_PRICE_OF_A_CHECK = 0.07
#: Share of first checks that come early to look whether Adobe has become faster, and how early.
_EARLY_SHARE = 0.08
_EARLY_AT = 0.7
#: Weight of the newest job; the histogram forgets with about the last forty jobs.
_NEWEST = 1 / 40
#: Belief that is left in every bin, so that nothing is ever held impossible.
_FLOOR = 0.002
#: Bins with less than this are dropped, which bounds the size of what is kept.
_DUST = 0.001


@dataclass(frozen=True, slots=True)
class DurationHistogram:
    """How long the jobs of one route take: share of jobs by bin (the bin's upper end in seconds)."""

    shares: Mapping[int, float] = field(default_factory=dict)
    jobs: int = 0

    def to_item(self) -> dict[str, float]:
        """Return the histogram as plain numbers, at most one for each bin."""
        return {"jobs": self.jobs, **{str(edge): round(share, 4) for edge, share in sorted(self.shares.items())}}

    @classmethod
    def from_item(cls, item: Mapping[str, object]) -> DurationHistogram:
        """Return the reverse of ``to_item``; what cannot be read is left out."""
        shares: dict[int, float] = {}
        for name, share in item.items():
            if name.isdecimal() and int(name) in EDGES and isinstance(share, int | float) and 0 < share <= 1:
                shares[int(name)] = float(share)
        jobs = item.get("jobs", 0)
        return cls(shares, int(jobs) if isinstance(jobs, int | float) and shares else 0)


def expected(durations: DurationHistogram | None) -> float:
    """Return the seconds after the POST at which a first check is best; a default until a job was observed."""
    if durations is None or not durations.shares:
        return DEFAULT_EXPECTED
    longest = max(durations.shares)
    return float(min((edge for edge in EDGES if edge <= longest), key=lambda edge: _cost(edge, durations.shares)))


def first_wait(expected: float, jitter: float = 1.0) -> int:
    """Whole seconds from the POST to the first check. ``jitter`` (0 to 1): a low one makes it an early look."""
    wait = _sane(expected)
    if jitter < _EARLY_SHARE:
        wait = math.floor(wait * _EARLY_AT)
    return max(1, math.ceil(wait))


def next_wait(
    polls_done: int,
    last_wait: float,
    elapsed: float,
    expected: float,
    retry_after: float | None,
    deadline: float,
    jitter: float,
) -> int:
    """Whole seconds until the next check of a job that is still pending.

    ``elapsed`` and ``deadline`` count from the POST; ``jitter`` (0 to 1) moves the wait by up to a tenth, so that photos
    dropped together do not ask together. Raises ``DeadlinePassedError`` when the deadline is reached: the last check
    falls on the deadline itself.
    """
    left = deadline - elapsed
    if left <= 0:
        raise DeadlinePassedError(f"Adobe's job was not ready after {elapsed:.0f} s and {polls_done} checks")
    if retry_after is not None and math.isfinite(retry_after) and retry_after > 0:
        wait = retry_after
    elif elapsed < _sane(expected):
        # After an early check, or a short Retry-After, the expected duration is still ahead.
        wait = _sane(expected) - elapsed
    else:
        # Never shorter than half the wait before: a clock that jumped back must not start a storm of checks.
        wait = max(GROWTH * elapsed, last_wait / 2) * (0.9 + 0.2 * min(1.0, max(0.0, jitter)))
        wait = min(wait, LONGEST_WAIT)
    return whole_seconds(min(wait, left))


def wait_after_refusal(refusals: int, jitter: float) -> float:
    """Return the seconds until a POST that was refused (502, no connection) is sent again; ``jitter`` 0 to 1 spreads
    callers.

    Doubles from two seconds to five minutes, and is never below half of that.
    """
    return min(_LONGEST_REFUSAL, _FIRST_REFUSAL * 2.0 ** min(max(0, refusals), 20)) * (0.5 + jitter / 2)


def whole_seconds(seconds: float) -> int:
    """Return whole seconds as Step Functions and SQS take them: rounded, at least one."""
    return max(1, math.floor(seconds + 0.5)) if math.isfinite(seconds) else 1


def observe(durations: DurationHistogram | None, pending_at: float, seen_at: float) -> DurationHistogram:
    """Return the histogram with one more finished job.

    ``pending_at`` is when it was last seen unfinished (0: never), ``seen_at`` when it was seen finished; seconds after
    the POST. Observations that cannot be (a clock that jumped) change nothing.
    """
    durations = durations or DurationHistogram()
    if not (math.isfinite(pending_at) and math.isfinite(seen_at)) or seen_at <= 0 or not 0 <= pending_at < seen_at:
        return durations
    first = next((i for i, edge in enumerate(EDGES) if edge > pending_at), len(EDGES) - 1)
    last = next((i for i, edge in enumerate(EDGES) if edge >= seen_at), len(EDGES) - 1)
    within = EDGES[first : last + 1]
    shares = dict(durations.shares) or {_bin(DEFAULT_EXPECTED): 1.0}
    belief = {edge: shares.get(edge, 0.0) + _FLOOR for edge in within}
    whole = sum(belief.values())
    newest = max(_NEWEST, 1 / (durations.jobs + 2))
    for edge in shares:
        shares[edge] *= 1 - newest
    for edge, weight in belief.items():
        shares[edge] = shares.get(edge, 0.0) + newest * weight / whole
    kept = {edge: share for edge, share in shares.items() if share >= _DUST}
    total = sum(kept.values())
    return DurationHistogram({edge: share / total for edge, share in kept.items()}, min(durations.jobs + 1, 1_000_000))


def _cost(first: int, shares: Mapping[int, float]) -> float:
    """Mean waiting added, relative to the job's duration, plus the price of the checks after the first."""
    cost = 0.0
    for edge, share in shares.items():
        at, checks = float(first), 0
        while at < edge:
            at += max(1.0, min(LONGEST_WAIT, GROWTH * at))
            checks += 1
        cost += share * ((at - edge) / edge + _PRICE_OF_A_CHECK * checks)
    return cost


def _bin(seconds: float) -> int:
    return next((edge for edge in EDGES if edge >= seconds), EDGES[-1])


def _sane(expected: float) -> float:
    return min(float(EDGES[-1]), max(1.0, expected)) if math.isfinite(expected) else DEFAULT_EXPECTED
