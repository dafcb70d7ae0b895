"""When to ask whether a job is ready: this project's policy beside those of the field, on the same durations.

Counted for photos with two jobs each: requests to Adobe (two POSTs and every status request) and the waiting added to
Adobe's own time, relative to it. Run it by itself for the table.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from cleanplate.rate_limit import polling
from cleanplate.rate_limit.polling import DurationHistogram

#: Seconds from a status request's decision to its arrival: the function's start and the way to Adobe.
LATENCY = 0.2
DEADLINE = 900.0


class Policy(Protocol):
    def first(self) -> float: ...

    def following(self, polls: int, last_wait: float, elapsed: float) -> float: ...

    def finished(self, pending_at: float, seen_at: float) -> None: ...


@dataclass
class Fixed:
    """What other clients do: a first wait, an interval, a factor, a cap. They learn nothing."""

    first_wait: float
    interval: float
    factor: float = 1.0
    cap: float = math.inf

    def first(self) -> float:
        return self.first_wait

    def following(self, polls: int, last_wait: float, elapsed: float) -> float:
        return min(self.cap, self.interval * self.factor ** (polls - 1))

    def finished(self, pending_at: float, seen_at: float) -> None:
        """Nothing is kept."""


@dataclass
class Ours:
    """The policy of ``cleanplate.rate_limit.polling``, observing as it goes."""

    random: random.Random
    durations: DurationHistogram = field(default_factory=dict)
    expected: float = polling.DEFAULT_EXPECTED

    def first(self) -> float:
        self.expected = polling.expected(self.durations)
        return polling.first_wait(self.expected, self.random.random())

    def following(self, polls: int, last_wait: float, elapsed: float) -> float:
        return polling.next_wait(polls, last_wait, elapsed, self.expected, None, DEADLINE, self.random.random())

    def finished(self, pending_at: float, seen_at: float) -> None:
        self.durations = polling.observe(self.durations, pending_at, seen_at)


POLICIES: dict[str, Callable[[random.Random], Policy]] = {
    "ours": Ours,
    "2 s, sleeps first": lambda _: Fixed(2, 2),
    "2 s, polls first": lambda _: Fixed(0, 2),
    "5 s, polls first": lambda _: Fixed(0, 5),
    "2 s x 1.5 to 30 s": lambda _: Fixed(0, 2, 1.5, 30),
}

Durations = Callable[[random.Random], float]


def _lognormal(median: float, spread: float) -> Durations:
    return lambda rng: min(600.0, rng.lognormvariate(math.log(median), spread))


def _mix(rng: random.Random) -> float:
    """Small, usual and large photos on one route."""
    return min(600.0, rng.lognormvariate(math.log(rng.choice((3.0, 10.0, 10.0, 30.0, 90.0))), 0.4))


def _faster(rng: random.Random, counted: list[int]) -> float:
    counted[0] += 1
    return 40.0 if counted[0] <= 500 else 6.0


SPREADS: dict[str, Callable[[], Durations]] = {
    "5 s": lambda: lambda _: 5.0,
    "3 s": lambda: lambda _: 3.0,
    "10 s": lambda: lambda _: 10.0,
    "30 s": lambda: lambda _: 30.0,
    "90 s": lambda: lambda _: 90.0,
    "log-normal, 8 s": lambda: _lognormal(8, 0.5),
    "log-normal mix": lambda: _mix,
    "40 s, then 6 s": lambda: lambda rng, counted=[0]: _faster(rng, counted),  # type: ignore[misc]
}


def walk(policy: Policy, duration: float) -> tuple[int, float]:
    """One job: status requests, and when it was seen finished, in seconds after its POST."""
    wait = policy.first()
    at, pending_at, polls = 0.0, 0.0, 0
    while True:
        at += wait + LATENCY
        polls += 1
        if at >= duration:
            policy.finished(pending_at, at)
            return polls, at
        pending_at = at
        wait = policy.following(polls, wait, at)


def measure(make: Callable[[random.Random], Policy], durations: Durations, photos: int) -> dict[str, float]:
    """Requests per photo and waiting added, over photos with two jobs of one spread on two routes."""
    rng = random.Random(7)
    policies = [make(random.Random(11)), make(random.Random(13))]
    requests = 0
    added: list[float] = []
    for _ in range(photos):
        took = seen = 0.0
        for policy in policies:
            duration = durations(rng)
            polls, seen_at = walk(policy, duration)
            requests += 1 + polls
            took += duration
            seen += seen_at
        added.append((seen - took) / took)
    return {
        "requests": requests / photos,
        "p50": statistics.median(added),
        "p90": statistics.quantiles(added, n=10)[8],
        "mean": statistics.fmean(added),
    }


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows for every spread and policy; the limits hold for ours, the others are beside it."""
    photos = 300 if quick else 2000
    rows: list[dict[str, Any]] = []
    for spread, durations in SPREADS.items():
        measured = {name: measure(make, durations(), photos) for name, make in POLICIES.items()}
        base = measured["2 s, sleeps first"]
        for name, values in measured.items():
            ours = name == "ours"
            # While it observes that the jobs have become faster, a tenth of the waits is long whatever it does.
            steady = "then" not in spread
            requests_limit = 4.5 if spread == "5 s" else base["requests"]
            rows += [
                _row(f"{spread}: {name}: requests per photo", values["requests"], "requests", requests_limit, ours),
                _row(f"{spread}: {name}: waiting added, p50", values["p50"], "of Adobe's time", 0.25, ours),
                _row(f"{spread}: {name}: waiting added, p90", values["p90"], "of Adobe's time", 1.0, ours and steady),
            ]
    return rows


def _row(name: str, value: float, unit: str, limit: float, judged: bool) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "baseline_or_limit": round(limit, 3),
        "ratio": round(value / limit, 3),
        "ok": value <= limit or not judged,
    }


def main() -> int:
    """Print the table; 1 where ours misses a limit."""
    rows = run(quick="--quick" in sys.argv[1:])
    values = {row["name"]: row for row in rows}
    print(f"{'':18} {'':20} {'requests/photo':>15} {'added p50':>10} {'added p90':>10}")
    for spread in SPREADS:
        for policy in POLICIES:
            shown = [
                values[f"{spread}: {policy}: {what}"]
                for what in ("requests per photo", "waiting added, p50", "waiting added, p90")
            ]
            missed = "" if all(row["ok"] for row in shown) else "  MISSED"
            print(
                f"{spread:18} {policy:20} {shown[0]['value']:>15.2f} {shown[1]['value']:>10.0%} "
                f"{shown[2]['value']:>10.0%}{missed}"
            )
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
