"""``python -m local.adobe``: the stand-in in the foreground, until interrupted."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from local.adobe.control import routes_in_words
from local.adobe.server import Server
from local.adobe.settings import Settings, add_arguments, from_arguments
from local.adobe.stand_in import LISTENING, StandInError, serve

CANNOT_START = 2


def main(words: list[str] | None = None) -> int:
    """Run until interrupted; 0 after a clean stop, 2 when it cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m local.adobe",
        description="Adobe's stand-in: a real server with the imaging API's contract, for any client of it. "
        "Masks and fills are real computations, and not Adobe's quality.",
    )
    add_arguments(parser)
    try:
        settings = from_arguments(parser.parse_args(words))
    except ValueError as error:
        print(f"{error}", file=sys.stderr)
        return CANNOT_START
    try:
        asyncio.run(_run(settings))
    except StandInError as error:
        print(error, file=sys.stderr)
        return CANNOT_START
    return 0


async def _run(settings: Settings) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopping.set)
    runner, url = await serve(Server(settings))
    print(f"{LISTENING}{url}", flush=True)
    for line in _welcome(settings):
        print(line)
    sys.stdout.flush()
    await stopping.wait()
    await runner.cleanup()
    print("Stopped.", flush=True)


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
