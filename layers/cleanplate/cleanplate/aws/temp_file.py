"""Scratch files: bytes that are too many for memory, gone when the step ends."""

from __future__ import annotations

import tempfile
from typing import BinaryIO, cast


def scratch_file() -> BinaryIO:
    """A file of its own that deletes itself when closed."""
    return cast(BinaryIO, tempfile.TemporaryFile(prefix="cleanplate-"))
