"""``make bench``: every number beside its limit or its baseline, in one run; the same as JSON.

A missed number is shown as missed. Only with ``--strict`` it is an error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.paths import ROOT
from tests.benchmarks.figures import Figure, Table, from_row, missed, print_table

sys.path[:0] = [path for path in (str(ROOT / "layers" / "cleanplate"),) if path not in sys.path]


def _imports(quick: bool) -> Table:
    from tests.benchmarks import bench_imports

    return bench_imports.run(quick)


def _waiting(quick: bool) -> Table:
    """One line for each spread of durations, with what other policies come to beside it."""
    from tests.benchmarks import simulate_waiting

    lines: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in simulate_waiting.run(quick):
        spread, policy, what = row["name"].split(": ")
        lines.setdefault((spread, what), {})[policy] = row
    figures = []
    for (spread, what), rows in lines.items():
        others = ", ".join(f"{policy}: {row['value']:g}" for policy, row in rows.items() if policy != "ours")
        row = rows["ours"]
        # What is past its limit and yet not missed is shown and not judged.
        judged = row["value"] <= row["baseline_or_limit"] or not row["ok"]
        limit = f"<= {row['baseline_or_limit']:g}" if judged else ""
        ok = row["ok"] if judged else None
        figures.append(
            Figure(f"{spread}: {what}", row["value"], row["unit"], limit, others, row["ratio"] if judged else None, ok)
        )
    return Table("Requests and waiting beside the field's policies (simulated)", tuple(figures))


def _scale(quick: bool) -> Table:
    from tests.benchmarks import simulate_rate_limit

    return Table(
        "Scale: rate limiter and queue (simulated)", tuple(from_row(row) for row in simulate_rate_limit.run(quick))
    )


def _imaging(quick: bool) -> Table:
    from tests.benchmarks import bench_imaging

    return Table("Imaging", tuple(from_row(row) for row in bench_imaging.run(quick)["rows"]))


def _walk(quick: bool) -> Table:
    from tests.benchmarks import walk

    return walk.run(quick)


def _cost(quick: bool) -> Table:
    from tests.benchmarks import cost

    return cost.run(quick)


def _burst(quick: bool) -> Table:
    from tests.benchmarks import burst

    return burst.run(quick)


#: In this order: what measures time alone comes first, while the machine is cool.
PARTS: dict[str, Callable[[bool], Table]] = {
    "import": _imports,
    "imaging": _imaging,
    "waiting": _waiting,
    "scale": _scale,
    "walk": _walk,
    "cost": _cost,
    "burst": _burst,
}


def main(words: Sequence[str] | None = None) -> int:
    """Metric; 1 where a part could not be measured, or ``--strict`` and a number was missed."""
    told = _read(words)
    began = time.monotonic()
    tables: dict[str, Table] = {}
    failures: dict[str, str] = {}
    for name in told.only:
        started = time.monotonic()
        try:
            tables[name] = PARTS[name](told.quick)
        except Exception as error:  # noqa: BLE001 - one part's trouble must not cost the others' numbers
            failures[name] = f"{type(error).__name__}: {error}"
            print(f"\n{name}: could not be measured. {failures[name]}", file=sys.stderr)
        else:
            print_table(tables[name])
            print(f"  ({time.monotonic() - started:.0f} s)", flush=True)
    bad = missed(tables.values())
    judged = [figure for table in tables.values() for figure in table.figures if figure.ok is not None]
    print(f"\n{len(judged) - len(bad)} of {len(judged)} limits kept, in {time.monotonic() - began:.0f} s.")
    for name in bad:
        print(f"  missed: {name}")
    _write(told, tables, failures)
    return 1 if failures or (told.strict and bad) else 0


def _read(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", type=_names, default=list(PARTS), help=f"some of {','.join(PARTS)}", metavar="A,B")
    parser.add_argument("--quick", action="store_true", help="fewer photos and rounds")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a number is missed")
    parser.add_argument("--json", type=Path, default=ROOT / "out" / "bench.json", help="where the same goes as JSON")
    return parser.parse_args(words)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in PARTS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown) or 'nothing'}: choose from {', '.join(PARTS)}")
    return names


def _write(told: argparse.Namespace, tables: dict[str, Table], failures: dict[str, str]) -> None:
    found = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processors": os.cpu_count(),
            "architecture": platform.machine(),
            "python": platform.python_version(),
        },
        "quick": told.quick,
        "parts": {name: table.to_json() for name, table in tables.items()},
        "not_measured": failures,
    }
    told.json.parent.mkdir(parents=True, exist_ok=True)
    told.json.write_text(json.dumps(found, indent=2, allow_nan=True) + "\n", encoding="utf-8")
    print(f"As JSON: {told.json}")


if __name__ == "__main__":
    sys.exit(main())
