"""The process of a function, forked from one that has imported :mod:`local.embedded_aws.libraries`.

Imports are two thirds of what a start costs. The process has memory, environment, folder and output of its own, as if
its bootstrap had been executed; ministack sees no difference.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

#: The file beside a bootstrap that tells what it exports; where there is none the bootstrap is executed.
EXPORTS = "exports.json"

_forking = multiprocessing.get_context("forkserver")


def prepare_to_fork() -> bool:
    """Start the process to fork from, and return whether functions can be forked on this machine."""
    if sys.platform != "linux":  # Apple's libraries bear no fork that no exec follows
        return False
    _forking.set_forkserver_preload(["local.embedded_aws.libraries"])
    try:
        forkserver.ensure_running()
    except OSError:  # the name of the folder for temporary files is too long for a socket's address
        return False
    return True


def start(command: list[str], *, cwd: str, env: dict[str, str], **pipes: Any) -> Forked | subprocess.Popen[bytes]:  # noqa: ANN401
    """Start the function that lies unpacked in ``cwd``, as :class:`subprocess.Popen` does."""
    try:
        exports = json.loads(Path(cwd, EXPORTS).read_bytes())
    except FileNotFoundError:
        return subprocess.Popen(command, cwd=cwd, env=env, **pipes)
    return Forked(cwd, {**env, **exports})


class Forked:
    """What ministack uses of a :class:`subprocess.Popen`."""

    def __init__(self, folder: str, environment: dict[str, str]) -> None:
        reader, writer = _forking.Pipe(duplex=False)
        with reader, writer:
            self._process = _forking.Process(target=_run, args=(folder, environment, writer), daemon=True)
            self._process.start()
            self.stdout: IO[bytes] = os.fdopen(os.dup(reader.fileno()), "rb")
        self.terminate, self.kill = self._process.terminate, self._process.kill

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Return the exit code when it has ended; :class:`subprocess.TimeoutExpired` after ``timeout`` seconds."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("the function", timeout)
        return self._process.exitcode


def _run(folder: str, environment: dict[str, str], output: Connection) -> None:
    """Do in the new process what ``python -m awslambdaric`` does, with nothing of ours in sight."""
    with output:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())
    installed = [path for path in sys.path if path != str(Path.cwd())]
    sys.path[:] = [folder, *environment["PYTHONPATH"].split(os.pathsep), *installed]
    for name in [name for name in sys.modules if name.partition(".")[0] == "local"]:
        del sys.modules[name]
    os.chdir(folder)
    os.environ.update(environment)  # what the server has, and more
    from awslambdaric.__main__ import main  # noqa: PLC0415 - reads the environment

    main(["awslambdaric", environment["_HANDLER"]])
