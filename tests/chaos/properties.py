"""Try every property of the unit tests with inputs that no run has seen, twenty times as many as ``make test`` does."""

from __future__ import annotations

import re
import subprocess
import sys

from local.paths import ROOT
from tests.chaos.report import Report

_COMMAND = (sys.executable, "-m", "pytest", "-q", "-m", "hypothesis", "-n", "2", "--no-header", "tests/unit")


def run(report: Report, *, quick: bool) -> None:
    """Count the properties that hold; a failing one is told with the input that shows it."""
    profile = "repeatable" if quick else "thorough"
    done = subprocess.run(
        [*_COMMAND, f"--hypothesis-profile={profile}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    for name in re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE):
        report.checked("properties", name, wrong=f"it does not hold: {done.stdout[-2000:]}")
    passed = re.search(r"(\d+) passed", done.stdout)
    for number in range(int(passed[1]) if passed else 0):
        report.checked("properties", f"property {number}")
    if done.returncode and "FAILED" not in done.stdout:
        report.checked("properties", "the tests", wrong=f"they broke off: {done.stdout[-2000:]}{done.stderr[-2000:]}")
