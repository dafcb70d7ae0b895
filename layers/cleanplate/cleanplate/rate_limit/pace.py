"""How fast requests were made of late, whatever held them up: Adobe's limit, Lambda's concurrency, a machine's processors.

Pure policy: no clock. A photo takes two requests, its mask and its fill, so that they say how fast photos go before the
first of them has ended. All photos of a stack share the rate limiter, so its pace is that of all of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

#: Seconds without a request after which another spell of work begins: until then there was nothing to do.
_IDLE = 60.0
#: Requests that a pace needs: of fewer, the next one may take any time.
_ENOUGH = 6
#: The pace is the mean of the whole spell up to so many requests and seconds, and from then on of about as many.
_REQUESTS = 20
_SECONDS = 30.0


class Pace(NamedTuple):
    """The mean time between requests in this spell of work: of how many, seconds, and the time of the last one."""

    requests: int = 0
    interval: float = 0.0
    last: float = 0.0

    def with_request(self, at: float, held_until: float = 0.0) -> Pace:
        """Return the pace with one more request; what the gate held back until a moment is not counted as slow."""
        since = max(self.last, min(held_until, at))
        if at - since > _IDLE:
            return Pace(last=at)
        number = self.requests + 1
        if number * self.interval > _SECONDS:
            number = min(number, max(_REQUESTS, math.ceil(_SECONDS / self.interval)))
        # By a clock that is behind, no time has gone by.
        interval = self.interval + (max(0.0, at - since) - self.interval) / number
        return Pace(number, round(interval, 3), max(self.last, at))

    def seconds_between(self, now: float, held_until: float = 0.0) -> float:
        """Return the seconds that a request takes now, 0 where too little is known; a pause counts as it goes on."""
        paused = self.with_request(now, held_until)
        return max(self.interval, paused.interval) if min(self.requests, paused.requests) >= _ENOUGH else 0.0
