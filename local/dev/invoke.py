"""`make invoke`: run one function of this checkout, in a process of its own, beside the stack of a running `make up`."""

from __future__ import annotations

import json
import re
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cleanplate_cli.errors import CommandError
from cleanplate_cli.terminal import say, shown
from local.dev.emulator import Emulator, emulator_program
from local.paths import ENVIRONMENT_FILE, EVENTS_FOLDER, ROOT, SCRATCH, STACK_FILE

if TYPE_CHECKING:
    from rich.console import Console

_SECONDS = "300"


def invoke(function: str, event: str, console: Console) -> int:
    """Give ``function`` the event in a file and print its log and its answer; 0 where it answered, 1 where it failed."""
    stack, settings = _read(STACK_FILE), _read(ENVIRONMENT_FILE)
    if function not in settings:
        raise CommandError(f"FUNCTION is one of {', '.join(sorted(settings))}; for example FUNCTION=CheckJobFunction.")
    path = Path(event) if event else EVENTS_FOLDER / f"{folder_of(function)}.json"
    log = SCRATCH / f"{function}.log"
    answer, log_text = answer_of(function, _read(path), {**_of_stack(stack), **settings[function]}, log)
    say(console, log_text.strip())
    say(console, json.dumps(answer, indent=2, ensure_ascii=False))
    return 1 if isinstance(answer, dict) and "errorType" in answer else 0


def folder_of(function: str) -> str:
    """Return the folder below functions/, such as check_job of CheckJobFunction."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", function.removesuffix("Function")).lower()


def answer_of(function: str, event: Any, environment: Mapping[str, str], log: Path) -> tuple[Any, str]:  # noqa: ANN401 - JSON
    """Return what the function answers, or its error as Lambda tells it, and what it said until then."""
    program = emulator_program()
    if program is None:
        raise CommandError(
            "AWS's Runtime Interface Emulator in SAM CLI's package runs on Linux alone; elsewhere call the deployed "
            "function with `aws lambda invoke`, as docs/development.md shows."
        )
    packages = [ROOT / "layers" / "cleanplate", Path(sysconfig.get_path("purelib"))]
    folder = ROOT / "functions" / folder_of(function)
    with Emulator(
        program, folder=folder, search_path=packages, function=function, environment=environment, log=log
    ) as emulator:
        # The log is read before the emulator goes, of whose absence the function complains at length.
        return emulator.invoke(event), emulator.log


def _of_stack(stack: Mapping[str, str]) -> dict[str, str]:
    return {
        "AWS_REGION": stack["region"],
        "AWS_DEFAULT_REGION": stack["region"],
        "AWS_ACCESS_KEY_ID": stack["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": stack["secret_access_key"],
        "AWS_LAMBDA_FUNCTION_TIMEOUT": _SECONDS,
        "POWERTOOLS_TRACE_DISABLED": "true",
    }


def _read(path: Path) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = " Start `make up` in another terminal." if path in {STACK_FILE, ENVIRONMENT_FILE} else ""
        raise CommandError(f"There is no {shown(path)}.{hint}") from None
    except ValueError as error:
        raise CommandError(f"{shown(path)} is not JSON: {error}") from None
