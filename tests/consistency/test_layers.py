"""Check which module may import which, and who reads the environment or builds clients."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import PurePosixPath

import pytest

from local.paths import ROOT
from tests.consistency.project import PACKAGE, Project, imported

#: The last part of what one module alone may use.
_TO_ONE_ALONE = {"environ", "getenv", "client", "resource", "Session"}


def test_every_folder_of_the_package_is_installed_with_it(project: Project) -> None:
    listed = tomllib.loads(project.text("pyproject.toml"))["tool"]["setuptools"]["packages"]
    folders = {str(PurePosixPath(path).parent) for path in project.files(f"{PACKAGE}/*__init__.py")}
    deployed = {folder.removeprefix("layers/cleanplate/").replace("/", ".") for folder in folders}
    assert set(listed) == deployed | {"cleanplate_cli"}
    assert {str(PurePosixPath(path).parent) for path in project.package} == folders


def test_the_command_needs_nothing_that_only_a_checkout_has(project: Project) -> None:
    for path in project.files("cleanplate_cli/*.py"):
        assert not {name.partition(".")[0] for name in imported(project.tree(path))} & {"local", "tests"}, path


def test_nothing_deployed_imports_local_or_tests(project: Project) -> None:
    for path in [*project.package, *project.files("functions/*.py")]:
        assert not {name.partition(".")[0] for name in imported(project.tree(path))} & {
            "cleanplate_cli",
            "local",
            "tests",
        }, path


def test_errors_and_models_import_nothing_of_ours(project: Project) -> None:
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
        "rate_limit/pace",
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
        read = [node for node in project.nodes(path) if isinstance(node, ast.Attribute) and node.attr in _TO_ONE_ALONE]
        names = {ast.unparse(node) for node in read}
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
def test_the_linter_refuses_what_the_layers_forbid(path: str, line: str) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--output-format=json", "--select=TID", f"--stdin-filename={path}", "-"],
        cwd=ROOT, input=f"{line}\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert {found["code"] for found in json.loads(said.stdout)} & {"TID251", "TID252"}, said.stdout + said.stderr


def test_modules_and_functions_that_are_deployed_stay_short(project: Project) -> None:
    too_long = []
    for path in [*project.package, *project.files("functions/*.py")]:
        too_long += [path] * (len(project.text(path).splitlines()) > 400)
        for node in project.nodes(path):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 50:
                too_long.append(f"{path}: {node.name}")
    assert not too_long
