"""Adobe's request limits as sliding windows. Pure: whoever asks brings the time, in service seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

MINUTE = 60.0
DAY = 86_400.0


class SlidingWindow:
    """At most ``allowed`` requests in any ``seconds``. A refused request takes no room."""

    def __init__(self, allowed: int, seconds: float) -> None:
        self.allowed = allowed
        self.seconds = seconds
        self.busiest = 0
        self._taken: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Return seconds until there is room for one more request; 0 means now."""
        self._forget(now)
        if len(self._taken) < self.allowed:
            return 0.0
        return max(self._taken[0] + self.seconds - now, 1e-6)

    def take(self, now: float) -> None:
        """Use up room for one request."""
        self._forget(now)
        self._taken.append(now)
        self.busiest = max(self.busiest, len(self._taken))

    def clear(self) -> None:
        """Forget every request."""
        self._taken.clear()
        self.busiest = 0

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0] <= now - self.seconds:
            self._taken.popleft()


class Limit:
    """Windows that hold together: a request passes all of them, or takes room in none."""

    def __init__(self, windows: Iterable[SlidingWindow]) -> None:
        self.windows = tuple(windows)

    def admit(self, now: float) -> float:
        """Return 0 when the request may pass (and is counted), else the service seconds to wait."""
        wait = max((window.wait(now) for window in self.windows), default=0.0)
        if wait <= 0:
            for window in self.windows:
                window.take(now)
        return wait

    def clear(self) -> None:
        """Forget every request."""
        for window in self.windows:
            window.clear()


class Limits:
    """The published limits by family of routes (FFS technical usage notes; the hard ones).

    ``/v1`` is the masking service, ``/v3`` is Firefly. Retired ``/sensei`` had no limit of its own: the general one holds there.
    """

    def __init__(self, *, per_minute: int, per_day: int, count_polls: bool) -> None:
        self.minute = SlidingWindow(per_minute, MINUTE)
        masking = Limit([self.minute, SlidingWindow(per_day, DAY)])
        self._limits = {
            ("v1", "POST"): masking,
            ("v1", "GET"): masking if count_polls else Limit([SlidingWindow(310, 3.0)]),
            ("v2", "POST"): Limit([SlidingWindow(3, 3.0)]),
            ("v2", "GET"): Limit([SlidingWindow(1_000, 3.0)]),
            ("v3", "POST"): Limit([SlidingWindow(4, MINUTE), SlidingWindow(9_000, DAY)]),
            ("sensei", "POST"): Limit([SlidingWindow(16, 3.0), SlidingWindow(320, MINUTE)]),
            ("sensei", "GET"): Limit([SlidingWindow(310, 3.0)]),
        }

    def admit(self, family: str, method: str, now: float) -> float:
        """Return 0 when the request may pass, else the service seconds to wait."""
        limit = self._limits.get((family, method))
        return limit.admit(now) if limit else 0.0

    def clear(self) -> None:
        """Forget every request."""
        for limit in self._limits.values():
            limit.clear()
