"""The project as text: what the checks read, so that a mutant needs no other checkout."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from local.embedded_aws.template import parse_yaml, resources
from local.paths import ROOT

TEMPLATE = "template.yaml"
MACHINE = "statemachine/clean_photo.asl.yaml"
PACKAGE = "layers/cleanplate/cleanplate"


@cache
def _kept() -> tuple[str, ...]:
    """Return every file that is in a commit, or would be: all but what .gitignore names."""
    ignored = [".git", *(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split())]
    found: list[str] = []
    for folder, below, names in os.walk(ROOT):
        below[:] = [name for name in below if not any(fnmatch(name, pattern) for pattern in ignored)]
        found += [
            (Path(folder) / name).relative_to(ROOT).as_posix()
            for name in names
            if not any(fnmatch(name, pattern) for pattern in ignored)
        ]
    return tuple(sorted(found))


@cache
def _read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def _yaml(text: str) -> dict[str, Any]:
    return parse_yaml(text)


@cache
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def _nodes(text: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(_tree(text)))


class Project:
    """This checkout, with some files' text replaced: ``None`` stands for a file that is not there."""

    def __init__(self, changed: Mapping[str, str | None] | None = None) -> None:
        self._changed = dict(changed or {})

    # --- files ---

    def files(self, pattern: str = "*") -> list[str]:
        """Paths from the root, with slashes; ``*`` matches slashes too."""
        names = ({*_kept(), *self._changed}) - {name for name, text in self._changed.items() if text is None}
        return sorted(name for name in names if fnmatch(name, pattern))

    def text(self, path: str) -> str:
        """Return the text of one file."""
        changed = self._changed.get(path)
        return _read(path) if changed is None else changed

    def tree(self, path: str) -> ast.Module:
        """Return one Python file, parsed."""
        return _tree(self.text(path))

    def nodes(self, path: str) -> tuple[ast.AST, ...]:
        """Return every node of one Python file."""
        return _nodes(self.text(path))

    def step_path(self, step: str) -> str:
        """Return the path of the module that does a function's work: a step of a photo, or an operation."""
        paths = [f"{PACKAGE}/{package}/{step}.py" for package in ("steps", "operations")]
        return next(path for path in paths if path in self.files(f"{PACKAGE}/*.py"))

    def event(self, path: str) -> Any:
        """Return one sample event."""
        return json.loads(self.text(path))

    # --- template ---

    @cached_property
    def template(self) -> dict[str, Any]:
        """The SAM template. Not to be changed."""
        return _yaml(self.text(TEMPLATE))

    @cached_property
    def globals(self) -> dict[str, Any]:
        """What all functions share."""
        shared: dict[str, Any] = self.template["Globals"]["Function"]
        return shared

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return logical id -> properties."""
        return dict(resources(self.template, kind))

    @cached_property
    def functions(self) -> dict[str, dict[str, Any]]:
        """Logical id of each function -> its properties on top of what all share."""
        return {name: self.globals | own for name, own in self.resources("AWS::Serverless::Function").items()}

    def variables(self, function: str) -> dict[str, Any]:
        """Return the environment of one function."""
        own = self.resources("AWS::Serverless::Function")[function].get("Environment", {}).get("Variables", {})
        return {**self.globals["Environment"]["Variables"], **own}

    def seconds(self, function: str) -> int:
        """Return the time limit of one function."""
        return int(self.functions[function]["Timeout"])

    @property
    def function_folders(self) -> list[str]:
        """The folders below functions/."""
        return [PurePosixPath(path).parts[1] for path in self.files("functions/*/app.py")]

    # --- state machines ---

    @cached_property
    def machine(self) -> dict[str, Any]:
        """The workflow of one photo. Not to be changed."""
        return _yaml(self.text(MACHINE))

    @cached_property
    def machines(self) -> dict[str, dict[str, Any]]:
        """Logical id -> definition of every state machine. Not to be changed."""
        found = self.resources("AWS::Serverless::StateMachine")
        return {name: _yaml(self.text(about["DefinitionUri"])) for name, about in found.items()}

    def states(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the states of one type in the workflow of one photo."""
        return {name: state for name, state in self.machine["States"].items() if state["Type"] == kind}

    def tasks(self) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
        """Yield every task of every machine: the machine, the task's name, the task."""
        for machine in self.machines.values():
            yield from ((machine, name, state) for name, state in machine["States"].items() if state["Type"] == "Task")

    def folder_called_by(self, task: dict[str, Any]) -> str:
        """Return the folder of the function that a task calls."""
        return str(self.functions[called_by(task)]["CodeUri"]).strip("/")

    # --- code ---

    @cached_property
    def package(self) -> list[str]:
        """The modules of the shared package."""
        return self.files(f"{PACKAGE}/*.py")

    def reached_from(self, path: str) -> set[str]:
        """Return a module and all of ours that it imports, at whatever remove."""
        reached: set[str] = set()
        ahead = [path]
        while ahead:
            module = ahead.pop()
            if module not in reached:
                reached.add(module)
                ahead += [found for name in imported(self.tree(module)) if (found := self._module(name))]
        return reached

    def _module(self, name: str) -> str:
        path = f"layers/cleanplate/{name.replace('.', '/')}"
        return next((found for found in (f"{path}.py", f"{path}/__init__.py") if found in self.package), "")


def called_by(task: dict[str, Any]) -> str:
    """Return the logical id of the function that a task calls."""
    name: str = task["Arguments"]["FunctionName"]
    return name.removeprefix("${").removesuffix("Arn}")


@cache
def imported(tree: ast.AST) -> tuple[str, ...]:
    """Return the dotted name of everything that a module imports; of ``from a import b`` both ``a`` and ``a.b``."""
    return tuple(_imported(tree))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def camel_case(snake_case: str) -> str:
    """``check_job`` -> ``CheckJob``."""
    return "".join(word.capitalize() for word in snake_case.split("_"))


def words_in(node: ast.AST) -> set[str]:
    """Return every text constant below a node."""
    return {found.value for found in ast.walk(node) if isinstance(found, ast.Constant) and isinstance(found.value, str)}


def nested(value: Any) -> Iterator[Any]:
    """Yield every value inside plain JSON, itself first."""
    yield value
    if isinstance(value, dict):
        for inner in value.values():
            yield from nested(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nested(inner)
