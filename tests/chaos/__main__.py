"""``make prove``: break it on purpose, in every way that is known, and count what comes of it.

Prints one table, writes the same to ``out/prove.json``, and ends with 1 where a promise was broken or something came
otherwise than ``docs/outcomes.md`` says.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
import traceback
from collections.abc import Sequence

from local.paths import ROOT
from tests.chaos.report import Report

OUT = ROOT / "out" / "prove.json"
#: The module of each part.
PARTS = {
    "faults": "tests.chaos.catalogue",
    "crashes": "tests.chaos.crashes",
    "duplicates": "tests.chaos.duplicates",
    "model": "tests.chaos.model",
    "planted": "tests.chaos.mutants",
    "properties": "tests.chaos.properties",
    "files": "tests.chaos.files",
    "leaks": "tests.chaos.leaks",
    "rights": "tests.chaos.rights",
}


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="make prove", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a part that stands for the whole")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}", metavar="A,B")
    given = parser.parse_args(words)
    names = [name.strip() for name in given.only.split(",") if name.strip()]
    if not names or not PARTS.keys() >= set(names):
        parser.error(f"--only takes some of {', '.join(PARTS)}; not {given.only!r}")
    report = Report(loud=True)
    begun = time.monotonic()
    for name in names:
        part = time.monotonic()
        try:
            importlib.import_module(PARTS[name]).run(report, quick=given.quick)
        except Exception as fault:  # noqa: BLE001 - it stands in the report
            # What the other parts have found is worth an hour.
            traceback.print_exc()
            report.findings.append(f"{name}: it broke off: {fault!r}")
        report.figures[name] = time.monotonic() - part
    report.figures["in all"] = time.monotonic() - begun
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    print(report.text())
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    return 0 if report.held else 1


if __name__ == "__main__":
    sys.exit(main())
