"""The command ``cleanplate``: photos in and out of a deployed stack."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from cleanplate_cli.commands import LocalStack, Samples, add_commands, run_command
from cleanplate_cli.errors import CommandError
from cleanplate_cli.terminal import say

CANNOT_START = 2
INTERRUPTED = 130


class InterruptedRun(BaseException):
    """Somebody wants us to stop: Ctrl-C, SIGTERM, or the terminal was closed."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command on a stack that is named; the exit code."""
    parser = argparse.ArgumentParser(prog="cleanplate", description="Clean photos by a deployed stack.")
    add_commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    return go(parser.parse_args(words), None, None)


def go(
    args: argparse.Namespace, local_stack: LocalStack | None, samples: Samples | None, stopped: int = INTERRUPTED
) -> int:
    """Run what was asked for, with errors in words and an orderly end when interrupted."""
    for name in _signals():
        signal.signal(name, _interrupt)
    if Path(os.environ.get("CALLED_FROM") or ".").is_dir():
        # `make -C checkout run PHOTOS=here/` means the place where it was called.
        os.chdir(os.environ.get("CALLED_FROM") or ".")
    # A pipe has no width of its own.
    console = Console(width=None if sys.stdout.isatty() else 120)
    command: Callable[..., int] = args.command
    try:
        if getattr(args, "is_plain", False):
            return command(args, console)
        return run_command(args, console, local_stack, samples)
    except CommandError as error:
        say(Console(stderr=True), str(error))
        return CANNOT_START
    except (BotoCoreError, ClientError) as error:
        say(
            Console(stderr=True),
            f"AWS did not do what was asked: {error}. Check the region, the credentials that the AWS CLI uses "
            "(AWS_PROFILE, AWS_REGION) and their rights; what was done stays done, and the same command goes on.",
        )
        return CANNOT_START
    except InterruptedRun:
        console.print("Stopped; nothing is left running here.", highlight=False)
        return stopped


def _signals() -> list[signal.Signals]:
    # Windows has no hang-up.
    return [found for name in ("SIGINT", "SIGTERM", "SIGHUP") if (found := getattr(signal, name, None))]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # Once is enough: what follows is the clean-up, which must not be cut short.
    for name in _signals():
        signal.signal(name, signal.SIG_IGN)
    raise InterruptedRun


if __name__ == "__main__":
    sys.exit(main())
