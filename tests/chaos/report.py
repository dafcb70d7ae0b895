"""Add up what was tried and what came of it: the table that ``make prove`` prints and the JSON beside it.

Every part (faults, crashes, duplicates …) has a ``run(report: Report, *, quick: bool) -> None`` and calls
:meth:`Report.tried` once for each thing that it tried.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, get_args

from tests.chaos.promises import Kind, Verdict

#: How each kind of breach is named in the table.
PLURALS: dict[str, str] = {
    "hang": "hangs",
    "lie": "lies",
    "lost": "losses",
    "paid twice": "paid twice",
    "leak": "leaks",
}
assert set(PLURALS) == set(get_args(Kind))


@dataclass(slots=True)
class Report:
    """Hold the count so far. ``loud`` shows a line of progress on a terminal."""

    loud: bool = False
    #: Things tried, by kind: "faults", "crash points", "duplicates", "model paths", "leak checks", "rights".
    counts: Counter[str] = field(default_factory=Counter)
    breaches: Counter[str] = field(default_factory=Counter)
    results: int = 0
    failures: int = 0
    extra_posts: int = 0
    #: What went wrong, in words, each beside the name of what was tried.
    findings: list[str] = field(default_factory=list)
    #: Seconds by part, and whatever else a part measures.
    figures: dict[str, float] = field(default_factory=dict)

    def tried(self, kind: str, name: str, verdict: Verdict, *, unexpected: str = "") -> None:
        """Count one thing that was tried; ``unexpected`` says what came of it instead of what should have."""
        self.counts[kind] += 1
        self.results += verdict.results
        self.failures += verdict.failures
        self.extra_posts += verdict.extra_posts
        for breach in verdict.breaches:
            self.breaches[breach.kind] += 1
            self.findings.append(f"{name}: {breach.kind}: {breach.words}")
        if unexpected:
            self.findings.append(f"{name}: {unexpected}")
        if self.loud:
            self._show(kind, name)

    def _show(self, kind: str, name: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{kind} {self.counts[kind]}: {name}"[:118])
            sys.stderr.flush()
        elif self.counts[kind] % 100 == 0:
            print(f"{self.counts[kind]} {kind} tried", file=sys.stderr, flush=True)

    def checked(self, kind: str, name: str, *, wrong: str = "") -> None:
        """Count a check in which no photo went by."""
        self.tried(kind, name, Verdict(results=0, failures=0, extra_posts=0, breaches=()), unexpected=wrong)

    @property
    def held(self) -> bool:
        """Return whether every promise was kept and everything came as expected."""
        return not self.findings

    @property
    def rows(self) -> list[tuple[str, int]]:
        """Return the table, top to bottom."""
        return [
            *((f"{kind} tried", count) for kind, count in self.counts.items()),
            ("photos", self.results + self.failures),
            ("results", self.results),
            ("named failures", self.failures),
            ("extra POSTs, each recorded as possible_duplicate", self.extra_posts),
            *((plural, self.breaches[kind]) for kind, plural in PLURALS.items()),
        ]

    def text(self) -> str:
        """Return the table as text, with what went wrong below it."""
        width = max(len(name) for name, _ in self.rows)
        lines = [f"{name:<{width}}  {count:>7,}" for name, count in self.rows]
        seconds = [f"{name}: {value:.0f} s" for name, value in self.figures.items()]
        wrong = [f"WRONG  {finding}" for finding in self.findings]
        verdict = "Every promise was kept." if self.held else f"{len(self.findings)} findings."
        return "\n".join([*lines, *([", ".join(seconds)] if seconds else []), *wrong, verdict])

    def as_json(self) -> dict[str, Any]:
        """Return the same for a program."""
        return {
            "held": self.held,
            "rows": dict(self.rows),
            "seconds": {name: round(value, 1) for name, value in self.figures.items()},
            "findings": self.findings,
        }
