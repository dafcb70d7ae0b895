"""The rate limiter's item in the Jobs table: one state for all callers, changed by conditional writes.

A slot takes one read and one conditional write; no read where this process has seen the item less than a second ago, and
one write more for each caller that was faster in between (a refused write brings the item back). A refusal costs the
read alone; a new photo under a day limit or a budget one read more, of how many are in work. A success writes only
where there is something to reset.
"""

from __future__ import annotations

import math
import random as _random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from cleanplate.aws.dynamodb import Table
from cleanplate.rate_limit import breakers, polling, reservations
from cleanplate.rate_limit.limits import RateLimits
from cleanplate.rate_limit.state import Kind, RateLimitState, Slot, fresh

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

_T = TypeVar("_T")

#: A version is random: it tells a write from every other, also from those before the item was deleted.
_VERSION_BITS = 63
_ATTEMPTS = 10
#: Seconds; the longest pause before another attempt. Ten of them take 20 ms on average.
_PAUSE = 0.004
#: Seconds for which what was seen last is worth a write without another read.
_REMEMBERED = 1.0
#: Seconds that a caller waits that met a 429 together with too many others to write it down.
_PAUSE_OF_THE_REST = 5.0


class RateLimiter:
    """Slots for requests to Adobe, shared by every function of the stack.

    Times are on the table's clock, see ``now``. One instance serves one thread at a time.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table_name: str,
        limits: RateLimits,
        *,
        count_in_work: Callable[[], int] = lambda: 0,
        name: str = "adobe",
        clock: Callable[[], float] = time.time,
        random: Callable[[], float] = _random.random,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.limits = limits
        self._table = Table(client, table_name, heard=self._compare_clocks)
        self._key = f"limiter#{name}"
        self._count_in_work = count_in_work
        self._clock = clock
        self._random = random
        self._sleep = sleep
        self._known: RateLimitState | None = None
        self._known_at = 0.0
        #: When the answer that comes next was asked for; the table's clock minus ours lies between the other two.
        self._asked = 0.0
        self._min_ahead = float("-inf")
        self._max_ahead = float("inf")

    def now(self) -> float:
        """Return the time by which slots are given: the local clock, moved where DynamoDB's answers prove it wrong."""
        return self._clock() + min(max(0.0, self._min_ahead), self._max_ahead)

    def reserve(
        self,
        kind: Kind,
        *,
        route: str,
        within: float | None = None,
        not_before: float = 0.0,
        instead_of: float = 0.0,
    ) -> Slot:
        """Return a slot for one request, or when to ask again; see ``reservations.reserve``.

        Where too many callers write at once, the answer is not granted, ``contended``, and for a moment from now.
        """
        if kind == "poll" and not self.limits.polls_count:
            return Slot(max(self.now(), not_before))
        bounded = not math.isinf(self.limits.our_day) or self.limits.daily_budget is not None
        in_work = self._count_in_work() if kind == "mask" and bounded else 0

        def change(state: RateLimitState) -> tuple[RateLimitState, Slot]:
            return reservations.reserve(
                state,
                self.limits,
                self.now(),
                kind,
                route=route,
                within=within,
                in_work=in_work,
                not_before=not_before,
                instead_of=instead_of,
            )

        slot = self._change(change)
        if slot is None:
            return Slot(self.now() + 1 + 3 * self._random(), granted=False, reason="contended")
        return slot

    def close_gate(self, retry_after: float | None, reason: str) -> float:
        """Close the gate after a 429: nobody goes until ``retry_after`` seconds from now, or for a growing time where it is
        None.

        Answers when the gate opens.
        """

        def change(state: RateLimitState) -> tuple[RateLimitState, float]:
            now = self.now()
            until = None if retry_after is None else now + retry_after
            state = breakers.close(state, self.limits, now, until, reason)
            return state, state.gate_until

        until = self._change(change, attempts=3 * _ATTEMPTS)
        # Many at once means that many met the same 429: one of them has closed it.
        return until if until is not None else self.now() + _PAUSE_OF_THE_REST

    def record_success(self, route: str) -> None:
        """Record an answer that was not an error; without a call where no closure or streak is known."""
        if self._known is not None and breakers.succeeded(self._known, self.now(), route) is self._known:
            return
        self._change(lambda state: (breakers.succeeded(state, self.now(), route), True))

    def record_unavailable(self, route: str) -> None:
        """Record a 502 or 503 of ``route``."""
        self._change(lambda state: (breakers.unavailable(state, self.now(), route), True))

    def first_wait(self, route: str, jitter: float) -> int:
        """Return after how many seconds a first check is worth most; without a call right after a reservation.

        ``jitter`` (0 to 1): a low one makes it an early look, which tells something only against what was learnt.
        """
        durations = self._durations(route)
        return polling.first_wait(polling.expected(durations), jitter=jitter if durations else 1.0)

    def expected(self, route: str) -> float:
        """Return how long a job of ``route`` usually takes, in seconds."""
        return polling.expected(self._durations(route))

    def _durations(self, route: str) -> polling.DurationHistogram:
        state = self._known or self._read()
        return state.durations.get(route, {}) if state else {}

    def observe(self, route: str, seen_at: float, *, pending_at: float = 0.0) -> None:
        """Record that a job of ``route`` was seen finished so many seconds after its POST, and last unfinished at ``pending_at``.

        Given up without a word where others write at once: one observation less does no harm.
        """

        def change(state: RateLimitState) -> tuple[RateLimitState, bool]:
            durations = polling.observe(state.durations.get(route, {}), pending_at, seen_at)
            return replace(state, durations={**state.durations, route: durations}), True

        self._change(change, attempts=2)

    def state(self) -> RateLimitState:
        """Return what the rate limiter knows now, for reports: queue, gate, breakers, budget. One read."""
        return self._read() or fresh(self.limits, self.now())

    def _change(
        self, change: Callable[[RateLimitState], tuple[RateLimitState, _T]], attempts: int = _ATTEMPTS
    ) -> _T | None:
        """Apply ``change`` to the stored state, against all others that do the same; None when they kept winning."""
        is_new = self._known is not None and 0 <= self._clock() - self._known_at < _REMEMBERED
        stored = self._known if is_new else self._read()
        for _ in range(attempts):
            # Never written, or deleted: what this caller remembers is the best guess.
            state = stored or self._known or fresh(self.limits, self.now())
            changed, answer = change(state)
            if changed == state:
                return answer
            written, stored = self._write(changed, stored)
            if written:
                return answer
            self._sleep(_PAUSE * self._random())
        return None

    def _read(self) -> RateLimitState | None:
        self._asked = self._clock()
        return self._remember(self._table.get(self._key))

    def _write(self, state: RateLimitState, over: RateLimitState | None) -> tuple[bool, RateLimitState | None]:
        """Store ``state`` over that one (None: over nothing); False, and the stored one, where another was faster."""
        state = replace(state, version=secrets.randbits(_VERSION_BITS))
        item = state.to_item()
        self._asked = self._clock()
        if over is None:
            there = self._table.put_new(self._key, item)
        else:
            there = self._table.update(self._key, item, condition="#version = :over", over=over.version)
        # A repeat of this very write, whose answer was lost, is refused by what it wrote itself.
        if there is None or there.get("version") == state.version:
            self._known, self._known_at = state, self._clock()
            return True, state
        return False, self._remember(there)

    def _remember(self, item: Mapping[str, Any] | None) -> RateLimitState | None:
        """Return the state of an item, and keep it; without one the memory of the one before is left, to begin again from."""
        if not item:
            return None
        self._known, self._known_at = RateLimitState.from_item(item), self._clock()
        return self._known

    def _compare_clocks(self, answer: Mapping[str, Any]) -> None:
        """Compare with DynamoDB's time, which every answer carries in whole seconds: the one clock that all callers can see."""
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if not date:
            return
        try:
            theirs = parsedate_to_datetime(date).timestamp()
        except (TypeError, ValueError):
            return
        least, most = theirs - self._clock(), theirs + 1 - self._asked
        if least > self._max_ahead or most < self._min_ahead:
            # One of the clocks was set in between: begin again.
            self._min_ahead, self._max_ahead = least, most
        else:
            self._min_ahead, self._max_ahead = max(least, self._min_ahead), min(most, self._max_ahead)
