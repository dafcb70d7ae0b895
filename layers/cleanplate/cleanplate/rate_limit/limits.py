"""What the account allows, and how much of that is ours: values alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from cleanplate.errors import SettingsError

_NEAR = 5.0  # seconds that a normal mask may reserve ahead, or two slots where they lie further apart


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What the account allows, and how much of that is ours.

    ``share_left`` (0 to 0.95) of both limits is left to the account's other users. ``per_day`` and ``daily_budget`` may
    be ``None``: no such limit. ``daily_budget`` counts paid requests (masks and fills) per UTC day. ``max_fills`` is how
    many fills a photo may need. ``routes`` holds what Adobe allows of one route alone: seconds between two of its POSTs,
    by its name. ``slack`` is the part of every minute that is kept in hand; it, ``minute`` and ``day`` are seconds.
    Raises ``SettingsError`` for values that cannot be meant.
    """

    per_minute: float = 60
    per_day: float | None = 9000
    polls_count: bool = False
    share_left: float = 0.0
    daily_budget: int | None = None
    max_fills: int = 1
    routes: Mapping[str, float] = field(default_factory=dict)
    slack: ClassVar[float] = 2.0
    minute: ClassVar[float] = 60.0
    day: ClassVar[float] = 86_400.0

    def __post_init__(self) -> None:
        _require("The limit per minute", self.per_minute, 1, 6000)
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
        return max(_NEAR, 2 * self.spacing)


def _require(what: str, value: object, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SettingsError(f"{what} is {value!r}: not a number")
    if not least <= value <= most:
        raise SettingsError(f"{what} is {value:g}: it must be from {least:g} to {most:g}")
