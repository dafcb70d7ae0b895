"""How true the forecasts of a run were, by what it printed: ``make run … | tee run.log``, then
``python -m tests.benchmarks.forecasts run.log``.

Each line that says when the last photo will be done is held against when it was: within a fifth of the run's whole time, and,
harder, within a fifth of what was left. Output that goes to a pipe has a line in ten seconds.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"^\s*(?P<at>[\d.]+) s  (?P<words>.*)$")
_SHOWN = re.compile(r"about (?P<number>[\d.]+) (?P<unit>s|min|h|days)\b")
_ENDED = re.compile(r": (cleaned|nothing to remove|mask ready|failed)$")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "days": 86_400.0}
_TOLERANCE = 0.2


@dataclass(frozen=True, slots=True)
class Shown:
    """One line: when it was printed, what it said was left, and what was. Seconds."""

    at: float
    left: float
    was_left: float

    @property
    def is_right(self) -> bool:
        """Whether the end that it shows is within a fifth of the real one."""
        return abs(self.left - self.was_left) <= _TOLERANCE * (self.at + self.was_left)

    @property
    def is_right_of_the_rest(self) -> bool:
        """Whether the time left is right within a fifth of itself."""
        return abs(self.left - self.was_left) <= _TOLERANCE * self.was_left


def read(lines: Sequence[str]) -> list[Shown]:
    """Return the forecasts of a run's output; empty where it has none."""
    found = [(float(match["at"]), match["words"]) for line in lines if (match := _LINE.match(line))]
    end = max((at for at, words in found if _ENDED.search(words)), default=0.0)
    return [Shown(at, left, end - at) for at, words in found for left in _left(words) if at < end]


def _left(words: str) -> Iterator[float]:
    if match := _SHOWN.search(words):
        yield float(match["number"]) * _SECONDS[match["unit"]]


def main(paths: Sequence[str]) -> int:
    """Print each forecast of these logs, and how many were right."""
    for path in paths:
        shown = read(Path(path).read_text(encoding="utf-8").splitlines())
        for one in shown:
            mark = "right" if one.is_right else "wrong"
            print(f"{one.at:7.1f} s  said {one.left:6.0f} s left, were {one.was_left:6.0f} s  {mark}")
        whole, rest = sum(one.is_right for one in shown), sum(one.is_right_of_the_rest for one in shown)
        print(f"{path}: {whole} of {len(shown)} within a fifth of the whole time, {rest} of what was left")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
