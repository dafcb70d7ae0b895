"""The stand-in as a library: in a thread of this process, or in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Literal, Self

from aiohttp import web

from local.adobe.answers import Json
from local.adobe.server import Server
from local.adobe.settings import Settings, to_arguments
from local.startable import Startable

START_SECONDS = 30.0
STOP_SECONDS = 10.0
_ROOT = Path(__file__).resolve().parents[2]
LISTENING = "Adobe's stand-in is listening on "
#: The option of a stand-in whose standard input is held by its parent, so that not even a killed one leaves it behind.
ENDS_WITH_PARENT = "--ends-with-parent"


class StandInError(RuntimeError):
    """The stand-in could not start, in one sentence."""


async def serve(server: Server) -> tuple[web.AppRunner, str]:
    """Bind and serve in the running loop; returns the runner to clean up, and the base URL."""
    settings = server.settings
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
    except OSError as error:
        await runner.cleanup()
        raise StandInError(_why(error, settings)) from None
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return runner, f"http://{host}:{runner.addresses[0][1]}"


def _why(error: OSError, settings: Settings) -> str:
    if error.errno == errno.EADDRINUSE:
        port = settings.port
        return f"Port {port} on {settings.host} is in use: stop what listens there, or choose another port (0 is any)."
    if error.errno == errno.EACCES:
        return f"Port {settings.port} may not be used without more rights: choose one above 1023, such as 8085."
    return f"Cannot listen on {settings.host} port {settings.port}: {error.strerror or error}."


class StandIn(Startable):
    """Adobe's stand-in, started and stopped::

        with StandIn(Settings(port=0, allow_loopback=True, duration=0.2)) as adobe:
            adobe.add_rules({"route": "POST /v1/mask-objects", "times": 1, "fault": "reset"})
            ...  # requests to adobe.url
            assert adobe.counters()["jobs"] == {"/v1/mask-objects": 1}

    ``where="process"`` keeps its work out of this process's interpreter, for measurements.
    """

    def __init__(self, settings: Settings | None = None, where: Literal["thread", "process"] = "thread") -> None:
        self.settings = settings or Settings(port=0, allow_loopback=True, quiet=True)
        self.where = where
        self.url = ""
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._problem: Exception | None = None

    def start(self) -> Self:
        """Start and wait until it answers; raises :class:`StandInError` with a sentence when it cannot."""
        if self.where == "process":
            self._start_process()
        else:
            self._thread = threading.Thread(target=self._run_thread, name="adobe-stand-in", daemon=True)
            self._thread.start()
            if not self._started.wait(START_SECONDS):
                raise StandInError("The stand-in did not start in time.")
            if self._problem:
                raise self._problem
        return self

    def stop(self) -> None:
        """Stop; open connections are cut. Stopping twice is fine."""
        if self._loop and self._stopping:
            with contextlib.suppress(RuntimeError):  # the loop is gone already
                self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread:
            self._thread.join(STOP_SECONDS)
            self._thread = None
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()
            self._process = None

    # --- control, over the same routes that everybody can use -----------------------------------------------------------

    def add_rules(self, rules: Json | list[Json]) -> list[Json]:
        """Add one rule or several; returns them with their numbers."""
        added: list[Json] = self.control("POST", "/stand-in/rules", rules)
        return added

    def clear_rules(self) -> None:
        """Forget all rules."""
        self.control("DELETE", "/stand-in/rules")

    def counters(self) -> Json:
        """Return what happened so far."""
        counted: Json = self.control("GET", "/stand-in/counters")
        return counted

    def clear_counters(self) -> None:
        """Count from nothing again."""
        self.control("DELETE", "/stand-in/counters")

    def jobs(self) -> list[Json]:
        """Return the newest jobs, with the real reasons of failures."""
        listed: list[Json] = self.control("GET", "/stand-in/jobs")
        return listed

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Send one control request; returns its JSON, or None."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, content, headers, method=method)  # noqa: S310  http is meant
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=STOP_SECONDS) as response:
                answer = response.read()
        except urllib.error.HTTPError as error:
            raise ValueError(error.read().decode()) from None
        return json.loads(answer) if answer else None

    # --- the two places where it can run ----------------------------------------------------------------------------------

    def _run_thread(self) -> None:
        try:
            asyncio.run(self._serve_until_stopped())
        except Exception as error:  # noqa: BLE001  raised again in the thread that asked for the start
            self._problem = error
            self._started.set()

    async def _serve_until_stopped(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        runner, self.url = await serve(Server(self.settings))
        self._started.set()
        try:
            await self._stopping.wait()
        finally:
            await runner.cleanup()

    def _start_process(self) -> None:
        command = [sys.executable, "-m", "local.adobe", ENDS_WITH_PARENT, *to_arguments(self.settings)]
        if not self.settings.quiet:
            command.append("--quiet")  # nobody reads the pipe after the first line
        self._process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None, text=True
        )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line.startswith(LISTENING):
            self.stop()
            raise StandInError("The stand-in's process ended before it listened; its reason stands above.")
        self.url = line.removeprefix(LISTENING).strip()
