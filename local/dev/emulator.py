"""A function under AWS's own Runtime Interface Emulator, on loopback: the real runtime API, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import requests

from local.dev import sam
from local.embedded_aws.server import LOOPBACK, free_port
from local.startable import Startable

#: SAM CLI brings one for each processor.
_PROCESSOR = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), platform.machine())
_START_SECONDS = 30.0
_INVOKE_SECONDS = 60.0


def emulator_program() -> Path | None:
    """Return the emulator inside SAM CLI's package, or None where there is none that runs here."""
    found = sorted(
        sam.PYTHON.parents[1].glob(f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{_PROCESSOR}")
    )
    return found[0] if found and sys.platform == "linux" else None


class Emulator(Startable):
    """One function, from :meth:`start` to :meth:`stop`. One invoke at a time: two at once crash the emulator."""

    def __init__(
        self,
        program: Path,
        *,
        folder: Path,
        search_path: Sequence[Path],
        function: str,
        environment: Mapping[str, str],
        log: Path,
    ) -> None:
        self._program = program
        self._folder = folder
        self._search_path = search_path
        self._function = function
        self._given = dict(environment)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""

    @property
    def log(self) -> str:
        """Everything that the emulator and the function wrote."""
        return self._log.read_text(errors="replace")

    def start(self) -> Self:
        """Start the emulator; the function itself is loaded at its first invoke."""
        # No copy of the binary is made, and SAM CLI's has no execute bit everywhere: the loader takes it as it is.
        self._program.chmod(self._program.stat().st_mode | 0o100)
        port, runtime_port = free_port(), free_port()
        environment = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(map(str, self._search_path)),
            "PYTHONUNBUFFERED": "1",
            "LAMBDA_TASK_ROOT": str(self._folder),
            "AWS_LAMBDA_FUNCTION_NAME": self._function,
            "NO_PROXY": LOOPBACK,
            **self._given,
        }
        # A new file: the function of the last emulator complains at length into the old one that nobody is there.
        self._log.unlink(missing_ok=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(self._program),
                    "--runtime-interface-emulator-address", f"{LOOPBACK}:{port}",
                    "--runtime-api-address", f"{LOOPBACK}:{runtime_port}",
                    # Without site: no .pth file may put the checkout's own source on the path.
                    sys.executable, "-S", "-m", "awslambdaric", "app.lambda_handler",
                ],
                cwd=self._folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        self._url = f"http://{LOOPBACK}:{port}/2015-03-31/functions/function/invocations"
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex((LOOPBACK, port)) == 0:
                    return self
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"The emulator did not start:\n{self.log}")

    def invoke(self, event: Any) -> Any:  # noqa: ANN401 - JSON
        """Return what the function answers, or its error as Lambda tells it."""
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(self._url, data=json.dumps(event).encode(), timeout=_INVOKE_SECONDS)
        return json.loads(answer.content)

    def stop(self) -> None:
        """Stop the emulator and the function. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
