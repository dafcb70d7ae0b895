"""`make doctor`: have a stack check itself and its Adobe account, and show what it found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.table import Table

from local.errors import LocalError
from local.paths import STACK_FILE, shown

if TYPE_CHECKING:
    from rich.console import Console

_OUTPUT = "CheckAccountFunctionName"


def doctor(stack: str, console: Console) -> int:
    """Check the deployed ``stack``, or without a name the one of `make up`; 0 where all is well."""
    session = _session_of_make_up() if not stack else {}
    try:
        answer = _invoke(stack or "cleanplate", session)
    except (ClientError, BotoCoreError) as error:
        raise LocalError(f"AWS did not let the stack be checked: {error}") from None
    console.print(_table(answer["checks"]))
    wrong = sum(1 for check in answer["checks"] if not check["ok"])
    console.print("All is well." if not wrong else f"{wrong} of {len(answer['checks'])} are not well.", highlight=False)
    return 0 if answer["ok"] else 1


def _session_of_make_up() -> dict[str, str]:
    try:
        about: dict[str, str] = json.loads(STACK_FILE.read_text(encoding="utf-8"))
        return {
            "endpoint_url": about["endpoint_url"],
            "region_name": about["region"],
            "aws_access_key_id": about["access_key_id"],
            "aws_secret_access_key": about["secret_access_key"],
        }
    except (OSError, ValueError, KeyError):
        raise LocalError(
            f"There is no {shown(STACK_FILE)}: name a deployed stack, as in `make doctor STACK=cleanplate`, "
            "or start `make up` first."
        ) from None


def _invoke(stack: str, session: Mapping[str, Any]) -> dict[str, Any]:
    described = boto3.client("cloudformation", **session).describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    if _OUTPUT not in outputs:
        raise LocalError(f"The stack {stack} has no output {_OUTPUT}: deploy this version of it first.")
    answer = boto3.client("lambda", **session).invoke(FunctionName=outputs[_OUTPUT])
    said: dict[str, Any] = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        raise LocalError(f"The check itself failed: {said.get('errorType')}: {said.get('errorMessage')}")
    return said


def _table(checks: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("", "check", "found", "what to do"):
        table.add_column(title, overflow="fold")
    for check in checks:
        mark = "[green]✔[/]" if check["ok"] else "[red]✘[/]"
        table.add_row(mark, check["check"], check["found"], check["what_to_do"])
    return table
