"""One measured number beside its limit and its baseline, and how a table of them is printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """``ok`` is None where the number is stated and not judged. ``ratio`` is value over limit, or over baseline."""

    name: str
    value: float
    unit: str
    limit: str = ""
    baseline: str = ""
    ratio: float | None = None
    ok: bool | None = None

    @property
    def verdict(self) -> str:
        """One word."""
        return "" if self.ok is None else "ok" if self.ok else "MISSED"

    def to_json(self) -> dict[str, Any]:
        """For a program that reads it."""
        rounded = {"value": round(self.value, 6), "ratio": None if self.ratio is None else round(self.ratio, 4)}
        return asdict(self) | rounded


@dataclass(frozen=True, slots=True)
class Table:
    """A part of the suite: its figures, and what has to be known to read them."""

    title: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For a program that reads it."""
        return {
            "title": self.title,
            "figures": [figure.to_json() for figure in self.figures],
            "notes": list(self.notes),
            "missed": [figure.name for figure in self.figures if figure.ok is False],
        }


def at_most(name: str, value: float, limit: float, unit: str, *, baseline: str = "") -> Figure:
    """A number that must not pass its limit."""
    ratio = value / limit if limit else None
    return Figure(name, value, unit, f"<= {limit:g}", baseline, ratio, value <= limit)


def at_least(name: str, value: float, limit: float, unit: str, *, baseline: str = "") -> Figure:
    """A number that must reach its limit."""
    ratio = value / limit if limit else None
    return Figure(name, value, unit, f">= {limit:g}", baseline, ratio, value >= limit)


def stated(name: str, value: float, unit: str, *, baseline: str = "", over: float | None = None) -> Figure:
    """A number that is shown and not judged; ``over`` is the baseline's, for the ratio."""
    return Figure(name, value, unit, "", baseline, value / over if over else None)


def print_table(table: Table) -> None:
    """For people, at a terminal or in a log."""
    print(f"\n{table.title}\n{'=' * len(table.title)}")
    names = max((len(figure.name) for figure in table.figures), default=0)
    limits = max((len(figure.limit) for figure in table.figures), default=0)
    units = max((len(figure.unit) for figure in table.figures), default=0)
    for figure in table.figures:
        # A limit of nothing has a ratio that is not a number.
        ratio = f"x {figure.ratio:.3f}" if figure.ratio is not None and figure.ratio == figure.ratio else ""
        line = (
            f"{figure.name:{names}}  {_number(figure.value):>10} {figure.unit:{units}}  "
            f"{figure.limit:>{limits}}  {ratio:>9}  {figure.verdict:6}  {figure.baseline}"
        )
        print(line.rstrip())
    for note in table.notes:
        print(f"  {note}")


def missed(tables: Iterable[Table]) -> list[str]:
    """The names of all missed numbers."""
    return [figure.name for table in tables for figure in table.figures if figure.ok is False]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 or value == int(value) else f"{value:.4g}"
