"""What `sam build` makes for AWS, with nothing but Python 3.11 at hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.dev import sam
from local.paths import ROOT
from tests.built.conftest import Build, search_path
from tests.consistency.project import Project, imported

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("built")]

_AARCH64 = 183
_RUNTIME_BRINGS = {"boto3", "botocore"}
_MEGABYTE = 1_000_000
_LAYERS = ("CleanplateLayer", "DependenciesLayer")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_it_succeeds_with_no_other_python_than_3_11_at_hand(build: Build) -> None:
    said = subprocess.run(
        ["sh", "-c", "command -v python3.13 python3.12 python3.14 python3 python"],
        env={"PATH": build.path}, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    seen = {Path(line).resolve().name for line in said.split()}
    assert seen <= {"python3.11"}
    assert (build.folder / "template.yaml").is_file()


def test_a_function_is_its_handler_and_nothing_else(build: Build) -> None:
    for name, about in Project().functions.items():
        built = build.folder / name
        assert [path.relative_to(built).as_posix() for path in _files(built)] == ["app.py"]
        assert (built / "app.py").read_bytes() == (ROOT / about["CodeUri"] / "app.py").read_bytes()


def test_the_package_is_built_whole_and_as_it_is(build: Build) -> None:
    built, source = build.folder / "CleanplateLayer" / "python", ROOT / "layers" / "cleanplate"
    wanted = {path.relative_to(source).as_posix() for path in _files(source / "cleanplate") if path.suffix != ".pyc"}
    found = {path.relative_to(built).as_posix() for path in _files(built) if path.suffix != ".pyc"}
    assert found == wanted
    assert all((built / name).read_bytes() == (source / name).read_bytes() for name in wanted)


def test_the_layers_together_are_small(build: Build) -> None:
    size = sum(path.stat().st_size for layer in _LAYERS for path in _files(build.folder / layer))
    assert size <= 120 * _MEGABYTE, f"{size / _MEGABYTE:.1f} MB"


def test_every_compiled_library_is_for_aarch64(build: Build) -> None:
    machines = {
        path.name: int.from_bytes(head[18:20], "little")
        for layer in _LAYERS
        for path in _files(build.folder / layer)
        if (head := _head(path)).startswith(b"\x7fELF")
    }
    assert len(machines) > 10
    assert {name: machine for name, machine in machines.items() if machine != _AARCH64} == {}
    assert all(name in machines for name in ("_pillow_heif.cpython-313-aarch64-linux-gnu.so",))


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(20)


def test_every_extension_module_is_for_the_python_that_runs_it(build: Build) -> None:
    tagged = [path.name for path in _files(build.folder / "DependenciesLayer") if ".cpython-" in path.name]
    assert tagged
    assert not [name for name in tagged if ".cpython-313-" not in name and ".cpython-313." not in name]


def test_every_imported_package_is_in_a_layer_or_in_the_runtime(build: Build) -> None:
    project = Project()
    wanted = {
        name.partition(".")[0]
        for path in [*project.package, *project.files("functions/*.py")]
        for name in imported(project.tree(path))
        if not name.startswith(("mypy_boto3_", "aws_lambda_powertools.utilities.typing"))
        # A program of its own finds what lies beside it.
        and str(Path(path).with_name(f"{name.partition('.')[0]}.py")) not in project.package
    }
    brought = {path.name.split(".")[0] for layer in _LAYERS for path in (build.folder / layer / "python").iterdir()}
    assert wanted - sys.stdlib_module_names - _RUNTIME_BRINGS <= brought


def test_no_bytecode_is_shipped_that_the_runtime_would_not_use(build: Build) -> None:
    """Here no Python 3.13 was at hand, so there is none at all."""
    assert not list(build.folder.rglob("*.pyc"))
    assert not list(build.folder.rglob("__pycache__"))


def test_bytecode_is_shipped_where_the_runtimes_own_python_is_at_hand(tmp_path: Path) -> None:
    python = _python_3_13()
    if python is None:
        pytest.skip("no working python3.13 on this machine")
    environment = sam.environment(offline=True)
    done = subprocess.run(
        ["make", "build-CleanplateLayer", f"ARTIFACTS_DIR={tmp_path}"],
        cwd=ROOT / "layers" / "cleanplate", capture_output=True, text=True, check=False,
        env={**environment, "PATH": os.pathsep.join([str(python.parent), environment["PATH"]])},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    sources = [path for path in _files(tmp_path) if path.suffix == ".py"]
    for source in sources:
        bytecode = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
        content = bytecode.read_bytes()
        # Flags 1: made from a hash of the source, and never checked against it again.
        assert content[4:8] == (1).to_bytes(4, "little"), bytecode
        assert str(tmp_path).encode() not in content, "bytecode tells of the machine that made it"
        assert b"/opt/python/cleanplate" in content


def _python_3_13() -> Path | None:
    found = [shutil.which("python3.13"), *map(str, Path("~/.pyenv/versions").expanduser().glob("3.13*/bin/python3.13"))]
    for program in filter(None, found):
        if subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0:
            return Path(program)
    return None


def test_every_built_handler_is_loaded_from_the_build(build: Build) -> None:
    program = (
        "import runpy, sys, cleanplate\n"
        "for path in sys.argv[1:]: assert callable(runpy.run_path(path)['lambda_handler'])\n"
        "print(cleanplate.__file__)"
    )
    handlers = [str(build.folder / name / "app.py") for name in Project().functions]
    said = subprocess.run(
        [sys.executable, "-S", "-c", program, *handlers],
        env={"PYTHONPATH": os.pathsep.join(map(str, search_path(build.folder))), "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert Path(said).is_relative_to(build.folder)
