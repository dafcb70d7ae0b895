"""What a cold start costs: importing a handler and building its first client, beside a bare boto3 client for S3.

Processor time in child processes that see what a function sees on Lambda: the layer, tracing on, bytecode there.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping

from local.paths import ROOT
from tests.benchmarks.figures import Figure, Table, stated

LAYER = ROOT / "layers" / "cleanplate"
FUNCTIONS = ROOT / "functions"
_ROUNDS = 15
_MAX = 1.25
_BARE = "import boto3; boto3.session.Session().client('s3')"
#: What a call may load on top, of the handler that needs it: stated, so that putting an import off does not look like
#: saving it.
_LATER = {
    "save_result, the pixels": ("save_result", "from cleanplate import imaging; imaging.compose"),
    "check_job, Adobe's client": ("check_job", "import cleanplate.adobe.account"),
    "check_job, a trace": ("check_job", "from cleanplate.aws import tracing; tracing.make_tracer()"),
}
_ENVIRONMENT = {
    "PYTHONPATH": str(LAYER),
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    # Powertools and the X-Ray SDK look at these to know that they are on Lambda.
    "AWS_LAMBDA_FUNCTION_NAME": "function",
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "LAMBDA_TASK_ROOT": "/var/task",
}


def run(quick: bool = False) -> Table:
    """Every handler; by turns, so that a busy moment of the machine hits all alike."""
    names = sorted(path.parent.name for path in FUNCTIONS.glob("*/app.py"))
    programs = {"": _BARE, **{name: _of_handler(name) for name in names}}
    programs |= {name: f"{_of_handler(handler)}; {more}" for name, (handler, more) in _LATER.items()}
    times: dict[str, list[float]] = {name: [] for name in programs}
    for code in programs.values():
        _processor_seconds(code)  # writes the bytecode
    for _ in range(3 if quick else _ROUNDS):
        for name, code in programs.items():
            times[name].append(_processor_seconds(code))
    return Table(
        "Import: handler and first client",
        tuple(_figures({name: statistics.median(found) for name, found in times.items()})),
        (f"Processor time, median of {len(times[''])} child processes, Python {sys.version.split()[0]}.",),
    )


def _figures(medians: Mapping[str, float]) -> list[Figure]:
    bare = medians[""] * 1000
    figures = [stated("bare boto3, S3 client", bare, "ms")]
    for name, seconds in medians.items():
        if name in _LATER:
            figures.append(stated(name, seconds * 1000, "ms", baseline=f"{bare:.0f} ms", over=bare))
        elif name:
            ratio = seconds / medians[""]
            figures.append(
                Figure(name, seconds * 1000, "ms", f"<= {_MAX:g} x bare", f"{bare:.0f} ms", ratio, ratio <= _MAX)
            )
    return figures


def _of_handler(name: str) -> str:
    folder = str(FUNCTIONS / name)
    return f"sys.path.insert(0, {folder!r}); import app; from cleanplate.aws import clients; clients.s3()"


def _processor_seconds(code: str) -> float:
    timed = f"import sys, time\nbegan = time.process_time()\n{code}\nprint(time.process_time() - began)"
    environment = {"PATH": os.environ.get("PATH", ""), **_ENVIRONMENT}
    child = subprocess.run([sys.executable, "-c", timed], env=environment, capture_output=True, text=True, check=True)
    return float(child.stdout)
