"""Who touches no pixels pays for no imaging library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cleanplate import imaging

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "layers" / "cleanplate"
FUNCTIONS = ROOT / "functions"
HEAVY = "{'PIL', 'pillow_heif', '_pillow_heif', 'numpy'}"


def loaded_by(statement: str) -> str:
    code = f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); {statement}\nprint(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["cleanplate", "cleanplate.errors", "cleanplate.models", "cleanplate.imaging"])
def test_the_package_itself_loads_no_imaging_library(module: str) -> None:
    assert loaded_by(f"import {module}") == "[]"


def test_no_handler_loads_an_imaging_library_before_its_first_call() -> None:
    """All in one process, since most of what they load is the same; the first that loads one is named."""
    handlers = sorted(str(path) for path in FUNCTIONS.glob("*/app.py"))
    assert len(handlers) > 10
    each = f"""
import runpy
for handler in {handlers}:
    runpy.run_path(handler)
    if {HEAVY} & set(sys.modules):
        print(handler)
        break
"""
    assert loaded_by(each) == "[]"


def test_imaging_loads_pillow_with_the_first_name_and_no_more() -> None:
    assert loaded_by("from cleanplate import imaging; imaging.compose") == "['PIL']"


def test_the_heic_reader_is_loaded_by_the_first_heic() -> None:
    head = "io.BytesIO(b'\\0\\0\\0\\x18ftypheic' + bytes(12))"
    look = f"import io, contextlib; from cleanplate import imaging\nwith contextlib.suppress(Exception): imaging.inspect_photo({head}, max_megapixels=9)\n"
    assert loaded_by(look) == "['PIL', '_pillow_heif', 'pillow_heif']"


@pytest.mark.parametrize("name", imaging.__all__)
def test_each_name_of_the_package_is_found(name: str) -> None:
    assert getattr(imaging, name).__name__ == name


def test_a_misspelt_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="plan_fil"):
        imaging.plan_fil  # noqa: B018 - its absence is the point
