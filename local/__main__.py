"""The local commands: ``python -m local run|redo|retry|status|doctor|dead-letters|up|adobe|invoke|check``; make calls them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from rich.console import Console

from cleanplate_cli.__main__ import INTERRUPTED, go
from cleanplate_cli.commands import add_commands
from local.paths import STACK_FILE

if TYPE_CHECKING:
    from cleanplate_cli.inputs import Upload
    from cleanplate_cli.stack import Stack
    from local.demo.run import CloudArgs


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    words = list(sys.argv[1:] if words is None else words)
    if words[:1] == ["adobe"]:
        from local.adobe.__main__ import main as adobe  # noqa: PLC0415 - only what a command needs is loaded

        # In the local stack photos are on loopback; --no-allow-loopback is as strict as Adobe.
        return adobe(["--allow-loopback", *words[1:]])
    args = _parser().parse_args(words)
    if words[:1] in (["doctor"], ["dead-letters"]) and not args.stack and STACK_FILE.exists():
        args.stack = str(STACK_FILE)
    return go(args, _local_stack, _samples, stopped=0 if words[:1] == ["up"] else INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description="Cleanplate on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    starting = add_commands(commands)
    up = commands.add_parser("up", help="keep the stack running until interrupted")
    up.add_argument("--remove", default=os.environ.get("REMOVE", ""), help="what to remove (default: $REMOVE)")
    up.set_defaults(command=_up, is_plain=True)
    for command in (*starting, up):
        command.add_argument(
            "--port", type=_port, default=0, help="where the embedded AWS listens (default: a free port)"
        )
        command.add_argument(
            "--speed", type=_factor, help="how many times faster time runs at the stand-in (default: 5)"
        )
        command.add_argument(
            "--wait-scale", type=_factor, default=1.0, metavar="SHARE",
            help="scale the waits and retries of the state machine (default: 1, as on AWS)",
        )  # fmt: skip
        command.add_argument(
            "--parameter", action="append", default=[], type=_parameter, metavar="NAME=VALUE",
            help="a parameter of template.yaml; may be given several times",
        )  # fmt: skip
    commands.add_parser("adobe", help="only Adobe's stand-in; --help after it says more")
    invoke = commands.add_parser("invoke", help="run one function of this checkout beside a running `make up`")
    invoke.add_argument(
        "--function", default=os.environ.get("FUNCTION", ""), help="such as CheckJobFunction ($FUNCTION)"
    )
    invoke.add_argument(
        "--event", default=os.environ.get("EVENT", ""), help="a JSON file (default: its sample; $EVENT)"
    )
    invoke.set_defaults(command=_invoke, is_plain=True)
    check = commands.add_parser("check", help="validate the template and the state machine")
    check.set_defaults(command=_check, is_plain=True)
    return parser


def _cloud_args(args: argparse.Namespace) -> CloudArgs:
    from local.demo.run import CloudArgs as Args  # noqa: PLC0415
    from local.stack import service_in_environment  # noqa: PLC0415

    return Args(
        remove=args.remove,
        speed=args.speed,
        wait_scale=args.wait_scale,
        port=args.port,
        parameters=dict(args.parameter),
        service=service_in_environment(os.environ),
    )


def _local_stack(args: argparse.Namespace) -> AbstractContextManager[Stack]:
    from local.demo.run import local_stack  # noqa: PLC0415

    return local_stack(_cloud_args(args), Console(width=None if sys.stdout.isatty() else 120))


def _samples(remove: str) -> Sequence[Upload]:
    from local.demo.samples import sample_photos  # noqa: PLC0415

    return sample_photos(remove)


def _up(args: argparse.Namespace, console: Console) -> int:
    from local.demo.up import up  # noqa: PLC0415

    return up(_cloud_args(args), console)


def _invoke(args: argparse.Namespace, console: Console) -> int:
    from local.dev.invoke import invoke  # noqa: PLC0415

    return invoke(args.function, args.event, console)


def _check(_args: argparse.Namespace, console: Console) -> int:
    from local.dev.check import check  # noqa: PLC0415

    return check(console)


def _factor(word: str) -> float:
    factor = float(word)
    if not 0 < factor <= 100:
        raise argparse.ArgumentTypeError("a number above 0, at most 100")
    return factor


def _port(word: str) -> int:
    if not word.isdigit() or int(word) > 65_535:
        raise argparse.ArgumentTypeError(f"{word} is no port; ports are numbers up to 65535, and 0 takes a free one")
    return int(word)


def _parameter(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{word!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
