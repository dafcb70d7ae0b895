"""Temporary files for what is too large for memory."""

from __future__ import annotations

import tempfile
from typing import BinaryIO, cast


def scratch_file() -> BinaryIO:
    """Return an open temporary file that is deleted when it is closed."""
    return cast(BinaryIO, tempfile.TemporaryFile(prefix="cleanplate-"))
