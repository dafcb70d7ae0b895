"""The rooms of the house: who may import whom, what is pinned where, and nothing of anybody's machine."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import PurePosixPath

import pytest

from local.paths import ENVIRONMENT_FILE, ROOT
from tests.consistency.project import PACKAGE, Project, imported

_REQUIREMENTS = "layers/dependencies/requirements.txt"
_MACHINE_PATH = re.compile(
    "|".join(["/wor" + r"k/\w", "/roo" + r"t/\w", r"/hom" + r"e/\w", r"/Use" + r"rs/\w", r"[A-Z]:\\\\Use" + "rs"])
)
_REGISTRY = re.compile("index" + "-url|find" + "-links|pypi" + r"\.org/simple|files\.pythonhosted|trusted" + "-host")
_TEXT = (".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".in", ".json", ".cfg", ".sh", "Makefile", "run", ".gitignore")
#: What Lambda's Python runtime brings.
_RUNTIME = {"boto3", "botocore"}


# --- nothing of anybody's machine ---


def test_no_file_speaks_of_a_path_on_somebodys_machine(project: Project) -> None:
    found = [path for path in project.files() if path.endswith(_TEXT) and _MACHINE_PATH.search(project.text(path))]
    assert not found


def test_no_requirements_name_a_registry(project: Project) -> None:
    found = [path for path in [*project.files("*.txt"), *project.files("*.in")] if _REGISTRY.search(project.text(path))]
    assert not found


def test_the_readmes_commands_name_files_that_are_there(project: Project) -> None:
    text = project.text("README.md")
    events = re.findall(r"-e (events/\S+)", text)
    assert events
    assert not [path for path in events if path not in project.files("events/*")]
    environments = set(re.findall(r"-n (\S+)", text))
    assert environments <= {ENVIRONMENT_FILE.relative_to(ROOT).as_posix()}


# --- what is pinned ---


def _pins(project: Project, path: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[\w,]+\])?==([^\s;\\]+)", project.text(path), re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


def test_every_compiled_requirement_has_its_hashes(project: Project) -> None:
    for path in [*project.files("requirements/*.txt"), _REQUIREMENTS]:
        entries = re.split(r"\n(?=\S)", project.text(path).strip())
        assert entries
        bare = [
            entry.split("\n", 1)[0] for entry in entries if "--hash=sha256:" not in entry and not entry.startswith("#")
        ]
        assert not bare, path


def test_what_is_tested_is_what_is_deployed(project: Project) -> None:
    deployed = _pins(project, _REQUIREMENTS)
    assert deployed
    for path in ("requirements/local.txt", "requirements/test.txt"):
        here = _pins(project, path)
        differing = {name: (here.get(name), version) for name, version in deployed.items() if here.get(name) != version}
        assert not differing, path


def test_every_pin_that_is_wished_for_is_the_one_that_is_compiled(project: Project) -> None:
    for path in [*project.files("requirements/*.in"), "layers/dependencies/requirements.in"]:
        wished, compiled = _pins(project, path), _pins(project, path.removesuffix(".in") + ".txt")
        assert wished.items() <= compiled.items(), path


def test_all_that_is_deployed_imports_only_what_the_layers_or_the_runtime_bring(project: Project) -> None:
    brought = _pins(project, _REQUIREMENTS).keys() | _RUNTIME
    homes = packages_distributions()
    for path in [*project.package, *project.files("functions/*.py")]:
        for name in _third_party(project.tree(path)):
            home = {found.lower().replace("_", "-") for found in homes.get(name, [name])}
            assert home & brought, f"{path} imports {name}, which is in no layer"


def _third_party(tree: ast.Module) -> set[str]:
    """The top-level names of what a module imports when it runs; types alone are not needed then."""
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    running = ast.Module(
        [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in typing_only
        ],
        [],
    )
    names = {name.partition(".")[0] for name in imported(running)}
    return names - sys.stdlib_module_names - {"cleanplate"}


def test_the_layers_are_built_for_the_runtime_and_processor_of_the_functions(project: Project) -> None:
    runtime, (processor,) = project.globals["Runtime"], project.globals["Architectures"]
    version = runtime.removeprefix("python")
    for name, layer in project.resources("AWS::Serverless::LayerVersion").items():
        assert layer["CompatibleRuntimes"] == [runtime], name
        assert layer["CompatibleArchitectures"] == [processor], name
        metadata = project.template["Resources"][name]["Metadata"]
        assert metadata == {"BuildMethod": "makefile", "BuildArchitecture": processor}, name
        makefile = project.text(f"{layer['ContentUri'].strip('/')}/Makefile")
        assert re.search(rf"^build-{name}:", makefile, re.MULTILINE), name
        assert set(re.findall(r"\b(?:python)?(3\.\d+)\b", makefile)) == {version}, name
    wheels = project.text("layers/dependencies/Makefile")
    assert f"--python-platform {({'arm64': 'aarch64', 'x86_64': 'x86_64'})[processor]}-" in wheels


def test_every_function_has_both_layers(project: Project) -> None:
    layers = [{"Ref": name} for name in project.resources("AWS::Serverless::LayerVersion")]
    assert len(layers) == 2
    assert all(about["Layers"] == layers for about in project.functions.values())


def test_every_folder_of_the_package_is_installed_with_it(project: Project) -> None:
    listed = tomllib.loads(project.text("pyproject.toml"))["tool"]["setuptools"]["packages"]
    folders = {str(PurePosixPath(path).parent) for path in project.files(f"{PACKAGE}/*__init__.py")}
    assert set(listed) == {folder.removeprefix("layers/cleanplate/").replace("/", ".") for folder in folders}
    assert {str(PurePosixPath(path).parent) for path in project.package} == folders


# --- who may import whom ---


def test_nothing_deployed_imports_what_only_a_laptop_has(project: Project) -> None:
    for path in [*project.package, *project.files("functions/*.py")]:
        assert not {name.partition(".")[0] for name in imported(project.tree(path))} & {"local", "tests"}, path


def test_errors_and_nouns_import_nothing_of_ours(project: Project) -> None:
    for name in ("errors", "models"):
        assert not [found for found in imported(project.tree(f"{PACKAGE}/{name}.py")) if "cleanplate" in found], name


@pytest.mark.parametrize(
    "name",
    [
        "steps/mask_selection",
        "rate_limit/reservations",
        "rate_limit/state",
        "rate_limit/breakers",
        "rate_limit/forecast",
        "rate_limit/polling",
        "uploads/options",
        "uploads/identity",
    ],
)
def test_policy_has_neither_input_nor_output_nor_a_clock(project: Project, name: str) -> None:
    banned = {"boto3", "botocore", "os", "pathlib", "random", "requests", "socket", "time", "urllib3"}
    reached = project.reached_from(f"{PACKAGE}/{name}.py")
    for path in reached:
        assert not {found.partition(".")[0] for found in imported(project.tree(path))} & banned, path


def test_only_one_module_reads_the_environment_and_only_one_builds_clients(project: Project) -> None:
    """The linter says the same; an exception granted to it somewhere would be seen here."""
    for path in [*project.package, *project.files("functions/*.py")]:
        tree = project.tree(path)
        names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if not path.endswith("/settings.py"):
            assert not names & {"os.environ", "os.getenv"}, path
        if not path.endswith("/clients.py"):
            assert not names & {"boto3.client", "boto3.resource", "boto3.Session", "boto3.session.Session"}, path


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("functions/check_job/app.py", "import os"),
        ("functions/check_job/app.py", "import boto3"),
        ("functions/check_job/app.py", "import requests"),
        ("functions/check_job/app.py", "from time import sleep"),
        ("functions/check_job/app.py", "import local.embedded_aws.server"),
        (f"{PACKAGE}/jobs/ledger.py", "import tests.consistency"),
        (f"{PACKAGE}/jobs/ledger.py", "from os import environ"),
        (f"{PACKAGE}/jobs/ledger.py", "from boto3 import client"),
        (f"{PACKAGE}/jobs/ledger.py", "from . import models"),
    ],
)
def test_the_linter_refuses_what_the_rooms_forbid(path: str, line: str) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--output-format=json", "--select=TID", f"--stdin-filename={path}", "-"],
        cwd=ROOT, input=f"{line}\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert {found["code"] for found in json.loads(said.stdout)} & {"TID251", "TID252"}, said.stdout + said.stderr
