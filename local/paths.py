"""Where things lie in a checkout."""

from __future__ import annotations

import os
from pathlib import Path

#: The checkout.
ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "template.yaml"
#: Logs and what a running stack tells about itself; never in a commit, removed by `make clean`.
SCRATCH = ROOT / ".local"
STACK_FILE = SCRATCH / "stack.json"
#: Settings for `sam local invoke -n`, pointing a function at the stack of `make up`.
ENVIRONMENT_FILE = SCRATCH / "env-vars.json"
#: The sample events, as they fit the stack of `make up`.
EVENTS_FOLDER = SCRATCH / "events"


def log_of(command: str) -> Path:
    """Return a log file of this process's own; those of processes that are gone are removed."""
    for old in SCRATCH.glob(f"{command}-*.log"):
        try:
            os.kill(int(old.stem.rpartition("-")[2]), 0)
        except (ValueError, ProcessLookupError):
            old.unlink(missing_ok=True)
        except PermissionError:
            pass
    return SCRATCH / f"{command}-{os.getpid()}.log"
