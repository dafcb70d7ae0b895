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
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from local.paths import ROOT
from tests.benchmarks.figures import Table, missed, print_table

#: Name of a part -> its module. In this order: what measures time alone comes first, while the machine is cool.
PARTS = {
    "import": "bench_imports",
    "imaging": "bench_imaging",
    "waiting": "simulate_waiting",
    "scale": "simulate_rate_limit",
    "walk": "walk",
    "cost": "cost",
    "burst": "burst",
}


def _measured(part: str, quick: bool) -> Table:
    # Imported when its turn comes: what one part loads, another would be measured with.
    table: Table = import_module(f"tests.benchmarks.{PARTS[part]}").run(quick)
    return table


def main(words: Sequence[str] | None = None) -> int:
    """Measure; return 1 where a part could not be measured, or ``--strict`` and a number was missed."""
    args = _read(words)
    began = time.monotonic()
    tables: dict[str, Table] = {}
    failures: dict[str, str] = {}
    for name in args.only:
        started = time.monotonic()
        try:
            tables[name] = _measured(name, args.quick)
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
    _write(args, tables, failures)
    return 1 if failures or (args.strict and bad) else 0


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


def _write(args: argparse.Namespace, tables: dict[str, Table], failures: dict[str, str]) -> None:
    found = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processors": os.cpu_count(),
            "architecture": platform.machine(),
            "python": platform.python_version(),
        },
        "quick": args.quick,
        "parts": {name: table.to_json() for name, table in tables.items()},
        "not_measured": failures,
    }
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(found, indent=2, allow_nan=True) + "\n", encoding="utf-8")
    print(f"As JSON: {args.json}")


if __name__ == "__main__":
    sys.exit(main())
