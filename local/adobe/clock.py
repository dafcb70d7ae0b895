"""Adobe's time, which may pass faster than ours."""

from __future__ import annotations

import time


class ServiceClock:
    """Service seconds since the start; ``scale`` of them pass in one second on the wall."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self._start = time.monotonic()

    def now(self) -> float:
        """Return service seconds since the start."""
        return (time.monotonic() - self._start) * self.scale

    def on_the_wall(self, service_seconds: float) -> float:
        """Return how long ``service_seconds`` last for whoever waits."""
        return service_seconds / self.scale
