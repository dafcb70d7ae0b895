"""Who touches no pixels pays for no imaging library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "layers" / "cleanplate"
HEAVY = "{'PIL', 'pillow_heif', '_pillow_heif', 'numpy'}"


def loaded_by(statement: str) -> str:
    code = f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); {statement}; print(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["cleanplate", "cleanplate.errors", "cleanplate.models"])
def test_the_package_itself_loads_no_imaging_library(module: str) -> None:
    assert loaded_by(f"import {module}") == "[]"


def test_imaging_loads_pillow_and_its_heic_reader_and_no_more() -> None:
    assert loaded_by("import cleanplate.imaging") == "['PIL', '_pillow_heif', 'pillow_heif']"
