"""Peak memory of the processes that this one starts, on Linux.

``ru_maxrss`` of a process begins at the size of the one that started it, so a small child of a large parent looks large.
VmHWM is its own, but is gone with it: a thread looks at it as long as it lives.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

_SECONDS_BETWEEN_LOOKS = 0.005


class WorkerPeaks:
    """The largest VmHWM of any process that this one has started since; megabytes."""

    def __init__(self) -> None:
        self.most = 0.0
        self._own = _command("self")
        # Not every kernel tells them; without, the peaks would look small.
        Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        pause = threading.Event()
        while not pause.wait(_SECONDS_BETWEEN_LOOKS):
            for started in Path("/proc/self/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    for process in started.read_text().split():
                        # Until it is another program, a child has its parent's memory for its own.
                        if _command(process) != self._own:
                            self.most = max(self.most, high_water_mark(process))


def _command(pid: str) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def high_water_mark(pid: str = "self") -> float:
    """Return a process's VmHWM in megabytes; 0 where it has none any more."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0
