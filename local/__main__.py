"""The local commands: ``python -m local run|up|adobe|doctor|invoke|check``; make calls them."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from cleanplate_cli.errors import CommandError

CANNOT_START = 2
INTERRUPTED = 130


class _Interrupted(BaseException):
    """Somebody wants us to stop: Ctrl-C, SIGTERM, or the terminal was closed."""


def main(words: Sequence[str] | None = None) -> int:
    """Open one door; the exit code."""
    words = list(sys.argv[1:] if words is None else words)
    if words[:1] == ["adobe"]:
        from local.adobe.__main__ import main as adobe  # noqa: PLC0415 - only what a door needs is loaded

        # Local photos are on loopback; --no-allow-loopback is as strict as Adobe.
        return adobe(["--allow-loopback", *words[1:]])
    told = _parser().parse_args(words)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    # A pipe has no width of its own.
    console = Console(width=None if sys.stdout.isatty() else 120)
    door: Callable[[argparse.Namespace, Console], int] = told.door
    try:
        return door(told, console)
    except CommandError as error:
        Console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
        return CANNOT_START
    except _Interrupted:
        console.print("Stopped; nothing is left running.", highlight=False)
        return 0 if words[:1] == ["up"] else INTERRUPTED


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # Once is enough: what follows is the clean-up, which must not be cut short.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    raise _Interrupted


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description="Cleanplate on this machine.")
    doors = parser.add_subparsers(required=True, metavar="DOOR")
    run = doors.add_parser("run", help="clean photos, show the results, stop")
    run.add_argument("photos", nargs="*", help="files, folders or patterns (default: $PHOTOS, else the samples)")
    run.add_argument("--out", default=os.environ.get("OUT") or "out", help="where results go (default: $OUT or out)")
    run.add_argument("--deadline", type=float, help="seconds after which photos without an outcome are named")
    run.set_defaults(door=_run)
    up = doors.add_parser("up", help="keep the stack running until interrupted")
    up.set_defaults(door=_up)
    for door in (run, up):
        door.add_argument("--remove", default=os.environ.get("REMOVE", ""), help="what to remove (default: $REMOVE)")
        door.add_argument("--port", type=int, default=0, help="where the embedded AWS listens (default: a free port)")
        door.add_argument("--speed", type=_factor, help="how many times faster time runs at the stand-in (default: 5)")
        door.add_argument(
            "--wait-scale", type=_factor, default=1.0, metavar="SHARE",
            help="scale the waits and retries of the state machine (default: 1, as on AWS)",
        )  # fmt: skip
        door.add_argument(
            "--parameter", action="append", default=[], type=_parameter, metavar="NAME=VALUE",
            help="a parameter of template.yaml; may be given several times",
        )  # fmt: skip
    doors.add_parser("adobe", help="only Adobe's stand-in; --help after it says more")
    doctor = doors.add_parser("doctor", help="check a deployed stack and its Adobe account, without paying")
    doctor.add_argument(
        "--stack", default=os.environ.get("STACK", ""), help="its name (default: $STACK, else make up's)"
    )
    doctor.set_defaults(door=_doctor)
    invoke = doors.add_parser("invoke", help="run one function of this checkout beside a running `make up`")
    invoke.add_argument(
        "--function", default=os.environ.get("FUNCTION", ""), help="such as CheckJobFunction ($FUNCTION)"
    )
    invoke.add_argument(
        "--event", default=os.environ.get("EVENT", ""), help="a JSON file (default: its sample; $EVENT)"
    )
    invoke.set_defaults(door=_invoke)
    check = doors.add_parser("check", help="validate the template and the state machine")
    check.set_defaults(door=_check)
    return parser


def _run(told: argparse.Namespace, console: Console) -> int:
    from cleanplate_cli.inputs import Found, find_photos, split_words  # noqa: PLC0415
    from local.demo.run import RunArgs, run  # noqa: PLC0415
    from local.demo.samples import sample_photos  # noqa: PLC0415
    from local.stack import service_in_environment  # noqa: PLC0415

    words = told.photos or split_words(os.environ.get("PHOTOS", ""))
    out = Path(told.out)
    options = {"remove": told.remove} if told.remove else {}
    found = find_photos(words, options, apart_from=out) if words else Found(sample_photos(told.remove))
    return run(
        RunArgs(
            drops=found.uploads,
            left=found.words,
            out=out,
            remove=told.remove,
            deadline=told.deadline,
            speed=told.speed,
            wait_scale=told.wait_scale,
            port=told.port,
            parameters=dict(told.parameter),
            service=service_in_environment(os.environ),
        ),
        console,
    )


def _up(told: argparse.Namespace, console: Console) -> int:
    from local.demo.up import RunArgs, up  # noqa: PLC0415
    from local.stack import service_in_environment  # noqa: PLC0415

    return up(
        RunArgs(
            remove=told.remove,
            speed=told.speed,
            wait_scale=told.wait_scale,
            port=told.port,
            parameters=dict(told.parameter),
            service=service_in_environment(os.environ),
        ),
        console,
    )


def _doctor(told: argparse.Namespace, console: Console) -> int:
    from local.dev.doctor import doctor  # noqa: PLC0415

    return doctor(told.stack, console)


def _invoke(told: argparse.Namespace, console: Console) -> int:
    from local.dev.invoke import invoke  # noqa: PLC0415

    return invoke(told.function, told.event, console)


def _check(_told: argparse.Namespace, console: Console) -> int:
    from local.dev.check import check  # noqa: PLC0415

    return check(console)


def _factor(word: str) -> float:
    factor = float(word)
    if not 0 < factor <= 100:
        raise argparse.ArgumentTypeError("a number above 0, at most 100")
    return factor


def _parameter(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{word!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
