"""`make clean`: remove what was built and written, and nothing that somebody put there. Standard library alone."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from cleanplate_cli.errors import CommandError  # noqa: E402 - found from any folder
from cleanplate_cli.out_folder import clean  # noqa: E402

_BUILT = (".aws-sam", ".local", "build", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis")
#: Where `make run` writes unless told otherwise. People may have put files of their own there, or changed some.
_OUT = "out"


def main() -> int:
    """Clean this checkout; the exit code."""
    for name in _BUILT:
        shutil.rmtree(ROOT / name, ignore_errors=True)
    for folder in [
        path for path in ROOT.rglob("__pycache__") if not path.relative_to(ROOT).parts[0].startswith(".venv")
    ]:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        left = clean(ROOT / _OUT)
    except CommandError as error:
        print(error, file=sys.stderr)
        return 2
    if left:
        print(
            f"Left alone, as it is not what was written there: {', '.join(str(path.relative_to(ROOT)) for path in left)}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
