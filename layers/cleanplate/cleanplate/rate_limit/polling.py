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
from bisect import bisect_left, bisect_right
from collections.abc import Mapping

from cleanplate.errors import DeadlinePassedError

#: Upper ends of the histogram's bins in whole seconds, about a fifth apart; what takes longer counts as the last.
EDGES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 29, 35, 42, 50, 60, 72, 86, 103, 124, 150, 180, 240, 300)

#: How long the jobs of one route take: jobs by bin (its upper end in seconds), the earlier ones with ever less weight.
DurationHistogram = Mapping[int, float]

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
#: What is left of a job's weight after each further one: the histogram is of about the last forty jobs.
_REMEMBERED = 1 - 1 / 40
#: Belief that is left in every bin, as a share of all, so that nothing is ever held impossible.
_FLOOR = 0.002
#: Bins with less than this of a job are dropped, which bounds the size of what is kept.
_DUST = 0.04


def expected(durations: DurationHistogram) -> float:
    """Return the seconds after the POST at which a first check is best; a default until a job was observed."""
    longest = max(durations, default=0)
    edges = (edge for edge in EDGES if edge <= longest)
    return float(min(edges, key=lambda edge: _cost(edge, durations), default=DEFAULT_EXPECTED))


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


def observe(durations: DurationHistogram, pending_at: float, seen_at: float) -> DurationHistogram:
    """Return the histogram with one more finished job.

    ``pending_at`` is when it was last seen unfinished (0: never), ``seen_at`` when it was seen finished; seconds after
    the POST. Observations that cannot be (a clock that jumped) change nothing.
    """
    if not (math.isfinite(pending_at) and math.isfinite(seen_at)) or seen_at <= 0 or not 0 <= pending_at < seen_at:
        return durations
    first = bisect_right(EDGES[:-1], pending_at)
    within = EDGES[first : bisect_left(EDGES[:-1], seen_at) + 1]
    jobs = {edge: weight * _REMEMBERED for edge, weight in (durations or {int(DEFAULT_EXPECTED): 1.0}).items()}
    floor = _FLOOR * sum(jobs.values())
    belief = {edge: jobs.get(edge, 0.0) + floor for edge in within}
    whole = sum(belief.values())
    jobs |= {edge: jobs.get(edge, 0.0) + believed / whole for edge, believed in belief.items()}
    return {edge: round(weight, 3) for edge, weight in jobs.items() if weight >= _DUST}


def _cost(first: int, durations: DurationHistogram) -> float:
    """Mean waiting added, relative to the job's duration, plus the price of the checks after the first; for all jobs."""
    cost = 0.0
    for edge, weight in durations.items():
        at, checks = float(first), 0
        while at < edge:
            at += max(1.0, min(LONGEST_WAIT, GROWTH * at))
            checks += 1
        cost += weight * ((at - edge) / edge + _PRICE_OF_A_CHECK * checks)
    return cost


def _sane(expected: float) -> float:
    return min(float(EDGES[-1]), max(1.0, expected)) if math.isfinite(expected) else DEFAULT_EXPECTED
