"""Have a stack check itself and its Adobe account, and show what it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from cleanplate_cli.errors import CommandError
from cleanplate_cli.stack import Stack

if TYPE_CHECKING:
    from rich.console import Console

_OUTPUT = "CheckAccountFunctionName"


def doctor(stack: Stack, console: Console) -> int:
    """Check a stack; 0 where all is well. Nothing is paid."""
    if _OUTPUT not in stack.outputs:
        raise CommandError(f"The stack {stack.name} has no output {_OUTPUT}: deploy this version of it first.")
    report = stack.invoke(stack.outputs[_OUTPUT])
    console.print(_table(report["checks"]))
    wrong = sum(1 for check in report["checks"] if not check["ok"])
    console.print("All is well." if not wrong else f"{wrong} of {len(report['checks'])} are not well.", highlight=False)
    return 0 if report["ok"] else 1


def _table(checks: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("", "check", "found", "what to do"):
        table.add_column(title, overflow="fold")
    for check in checks:
        mark = Text("✔", "green") if check["ok"] else Text("✘", "red")
        table.add_row(mark, Text(check["check"]), Text(check["found"]), Text(check["what_to_do"]))
    return table
