"""``python -m local.adobe``: the stand-in in the foreground, until interrupted."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import threading

from local.adobe.control import routes_in_words
from local.adobe.server import Server
from local.adobe.settings import Settings, add_arguments, from_arguments
from local.adobe.stand_in import ENDS_WITH_PARENT, LISTENING, StandInError, serve

CANNOT_START = 2


def main(words: list[str] | None = None) -> int:
    """Run until interrupted; 0 after a clean stop, 2 when it cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m local.adobe",
        description="Adobe's stand-in: a real server with the imaging API's contract, for any client of it. "
        "Masks and fills are real computations, and not Adobe's quality.",
    )
    add_arguments(parser)
    parser.add_argument(ENDS_WITH_PARENT, action="store_true", help=argparse.SUPPRESS)
    try:
        args = parser.parse_args(words)
        settings = from_arguments(args)
    except ValueError as error:
        print(f"{error}", file=sys.stderr)
        return CANNOT_START
    try:
        asyncio.run(_run(settings, ends_with_parent=args.ends_with_parent))
    except StandInError as error:
        print(error, file=sys.stderr)
        return CANNOT_START
    return 0


async def _run(settings: Settings, *, ends_with_parent: bool) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopping.set)
    if ends_with_parent:
        threading.Thread(target=_stop_with_parent, args=(loop, stopping), daemon=True).start()
    runner, url = await serve(Server(settings))
    print(f"{LISTENING}{url}", flush=True)
    for line in _welcome(settings):
        print(line)
    sys.stdout.flush()
    await stopping.wait()
    await runner.cleanup()
    print("Stopped.", flush=True)


def _stop_with_parent(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    # The parent holds the other end of standard input, which ends even where the parent is killed.
    while os.read(0, 1024):
        pass
    with contextlib.suppress(RuntimeError):  # the loop is gone already
        loop.call_soon_threadsafe(stopping.set)


def _welcome(settings: Settings) -> list[str]:
    if settings.limits:
        polls = "status requests count" if settings.count_polls else "status requests do not count"
        limits = f"{settings.requests_per_minute} a minute, {settings.requests_per_day} a day on /v1, {polls}"
    else:
        limits = "none"
    hosts = ["Adobe's list over https", *(["this machine"] if settings.allow_loopback else []), *settings.extra_hosts]
    return [
        "",
        f"  client id      {settings.client_id}",
        f"  client secret  {settings.client_secret}",
        f"  input links    {', '.join(hosts)}" + ("" if settings.allow_loopback else "  (--allow-loopback for more)"),
        f"  limits         {limits}; time runs x{settings.time_scale:g}",
        "",
        *routes_in_words(),
        "",
        "Ctrl-C stops it.",
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
