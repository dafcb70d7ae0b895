"""``make check``: lint, format, types, the template and the state machine, each by the tool that knows it best.

cfn-lint reads the template as it is written and as SAM transforms it, with the state machines inside; its warnings count
as errors. SAM CLI and statelint lie in an environment of their own, and so do checkov and parliament
(``local/dev/audit.py``).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cleanplate_cli.terminal import say
from local.dev import sam
from local.dev.audit import audit_roles, audit_template
from local.embedded_aws.template import read_yaml, resources, transformed
from local.paths import ROOT, TEMPLATE

if TYPE_CHECKING:
    from rich.console import Console

#: What statelint gets wrong -> why. Each must still be said of the machine, or it is to be removed here.
FALSE_ALARMS: Mapping[str, str] = MappingProxyType(
    {
        r'State Machine\.States\.WaitFor\w+\.Seconds is "\{% [^%]+ %\}" but should be an Integer': (
            "in JSONata a Wait's Seconds may be an expression; statelint knows JSONPath's SecondsPath alone"
        ),
    }
)
_STATE_MACHINE = "AWS::Serverless::StateMachine"
_COLLECTED = re.compile(r"\S+\.py: \d+")
_COUNT = re.compile(r"(\d+|One) errors?:?")


@dataclass(frozen=True, slots=True)
class Check:
    """One tool: a name for people, and what it finds, line by line."""

    name: str
    find: Callable[[], list[str]]


def checks() -> list[Check]:
    """Return all checks, the longest first."""
    return [
        Check("types (mypy)", lambda: _tool("-m", "mypy", "--no-error-summary")),
        Check("tests (collected)", collect_tests),
        Check("template (checkov)", audit_template),
        Check("template (cfn-lint)", lambda: lint_template(transformed(), TEMPLATE)),
        Check("template (sam validate)", validate),
        Check("lint (ruff)", lambda: _tool("-m", "ruff", "check", "--quiet", ".")),
        Check("format (ruff)", lambda: _tool("-m", "ruff", "format", "--check", "--quiet", ".")),
        Check("roles (parliament)", audit_roles),
        Check("state machine (statelint)", lint_machines),
    ]


def check(console: Console, wanted: list[Check] | None = None) -> int:
    """0 where nothing was found; else every finding is printed."""
    failed = False
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        running = {pool.submit(_timed, each): each.name for each in (checks() if wanted is None else wanted)}
        for done in as_completed(running):
            findings, seconds = done.result()
            failed = failed or bool(findings)
            verdict = "[red]not ok[/]" if findings else "[green]ok[/]"
            console.print(f"{verdict:<20} {running[done]}  [dim]{seconds:.1f} s[/]", highlight=False)
            for finding in findings:
                say(console, f"  {finding}")
    return 1 if failed else 0


def _timed(each: Check) -> tuple[list[str], float]:
    began = time.monotonic()
    return each.find(), time.monotonic() - began


def collect_tests(*files: Path) -> list[str]:
    """Return what keeps pytest from reading the tests, or some files.

    Their bytecode is written on the way: workers that start at once would each compile everything.
    """
    said = _tool("-m", "pytest", "-c", "pyproject.toml", "-n", "0", "--collect-only", "-qq", *map(str, files))
    return [line for line in said if not _COLLECTED.fullmatch(line)]


def lint_template(template: Mapping[str, Any], *files: Path) -> list[str]:
    """Return what cfn-lint reports about a transformed template and about files; a warning counts as an error."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.json"
        path.write_text(json.dumps(template, indent=1), encoding="utf-8")
        program = str(Path(sys.executable).with_name("cfn-lint"))
        return _tool(program, "--format", "parseable", "--regions", sam.REGION, "--", str(path), *map(str, files))


def validate(template: Path = TEMPLATE) -> list[str]:
    """Return what keeps SAM CLI from transforming the template; its linter is cfn-lint, which is a check of its own."""
    # An environment that samconfig.toml does not know: of its default one the linter is a part.
    words = ["--template", str(template), "--region", sam.REGION, "--config-env", "check"]
    return _findings([str(sam.PYTHON), "-m", "samcli", "validate", *words], sam.environment(offline=True))


def lint_machines() -> list[str]:
    """Return what statelint reports about every state machine in the template."""
    files = [properties["DefinitionUri"] for _, properties in resources(read_yaml(TEMPLATE), _STATE_MACHINE)]
    found = lint_definitions({file: read_yaml(ROOT / file) for file in files})
    return [f"{file}: {finding}" for file, findings in found.items() for finding in findings]


def lint_definitions(definitions: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return what statelint reports about each definition, by its name and without false alarms, from one call of it."""
    with tempfile.TemporaryDirectory() as folder:
        names = {str(Path(folder) / f"{number}.json"): name for number, name in enumerate(definitions)}
        for path, name in names.items():
            Path(path).write_text(json.dumps(definitions[name]), encoding="utf-8")
        lines = _findings([str(sam.PYTHON), "-m", "statelint", *names])
    reported: dict[str, list[str]] = {name: [] for name in definitions}
    name = next(iter(definitions))  # of a single file it does not say the name
    for line in lines:
        name = names.get(line, name)
        if line not in names and not _COUNT.fullmatch(line.strip()):
            reported[name].append(line.strip())
    return {name: _without_false_alarms(lines) for name, lines in reported.items()}


def _without_false_alarms(lines: list[str]) -> list[str]:
    unheard = [alarm for alarm in FALSE_ALARMS if not any(re.fullmatch(alarm, line) for line in lines)]
    found = [line for line in lines if not any(re.fullmatch(alarm, line) for alarm in FALSE_ALARMS)]
    return found + [f"statelint no longer says {alarm!r}: remove it from FALSE_ALARMS." for alarm in unheard]


def _tool(*words: str) -> list[str]:
    return _findings([sys.executable, *words])


def _findings(command: list[str], environment: Mapping[str, str] | None = None) -> list[str]:
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"{command[0]} did not run: {error}"]
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode == 0:
        return []
    return lines or [f"{' '.join(command[:4])} ended with {done.returncode} and no output."]
