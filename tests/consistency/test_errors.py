"""The names of errors are a contract between Python and the state machine."""

from __future__ import annotations

import ast
import re
from typing import Any

from tests.consistency.project import PACKAGE, TEMPLATE, Project, nested

ERRORS = f"{PACKAGE}/errors.py"

#: What Lambda's service integration and the states language say themselves, as documented.
PLATFORM = {
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Sandbox.Timedout",
    "States.ALL",
    "States.DataLimitExceeded",
    "States.HeartbeatTimeout",
    "States.Permissions",
    "States.QueryEvaluationError",
    "States.Runtime",
    "States.TaskFailed",
    "States.Timeout",
}


def _classes(project: Project) -> dict[str, tuple[str, ast.ClassDef]]:
    """Every error class of the package: name -> its base and its definition."""
    found = {
        node.name: (base.id, node)
        for path in project.package
        for node in project.nodes(path)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name)
    }

    def is_ours(name: str) -> bool:
        return name == "CleanplateError" or (name in found and is_ours(found[name][0]))

    return {name: about for name, about in found.items() if is_ours(name)}


def _error_names(project: Project, field: str) -> set[str]:
    return {
        name
        for machine in project.machines.values()
        for state in machine["States"].values()
        for clause in state.get(field, [])
        for name in clause["ErrorEquals"]
    }


def test_every_error_in_retry_or_catch_is_a_class_or_the_platforms(project: Project) -> None:
    named = _error_names(project, "Retry") | _error_names(project, "Catch")
    unknown = named - _classes(project).keys() - PLATFORM
    assert not unknown, f"nothing raises {sorted(unknown)}"


def test_every_error_that_the_template_gives_to_a_function_is_a_class(project: Project) -> None:
    given: set[str] = set()
    for value in nested(project.template["Resources"]):
        if isinstance(value, str):
            given |= set(re.findall(r'"error": "(\w+)"', value))
    assert given, f"{TEMPLATE} gives no error to record_failure any more; correct this test."
    assert not given - _classes(project).keys()


def test_every_error_in_a_sample_event_is_a_class(project: Project) -> None:
    given = {project.event(path)["error"] for path in project.files("events/record_failure*.json")}
    assert not given - _classes(project).keys() - PLATFORM


def test_every_error_is_drawn_in_the_tree_below_its_base(project: Project) -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (ast.get_docstring(project.tree(ERRORS), clean=True) or "").splitlines():
        if match := re.fullmatch(r"    (?P<branch>[│├└─ ]*)(?P<name>\w+Error)\b.*", line):
            depth = len(match["branch"]) // 4
            above[depth:] = [match["name"]]
            drawn[match["name"]] = above[depth - 1] if depth else "Exception"
    assert drawn == {name: base for name, (base, _) in _classes(project).items()}


def test_every_error_says_what_to_do_in_words_of_its_own_class(project: Project) -> None:
    silent = [
        name
        for name, (_, node) in _classes(project).items()
        if not any(
            isinstance(line, ast.Assign)
            and isinstance(line.targets[0], ast.Name)
            and line.targets[0].id == "what_to_do"
            for line in node.body
        )
    ]
    assert not silent


def test_every_error_ends_in_error(project: Project) -> None:
    assert not [name for name in _classes(project) if not name.endswith("Error")]


def test_every_raise_of_an_error_by_name_is_read_in_the_terms_of_a_step(project: Project) -> None:
    """A time-out that the machine retries must not end as the nameless StepCrashedError."""
    mapping = next(
        node
        for node in project.nodes(f"{PACKAGE}/error_names.py")
        if isinstance(node, ast.FunctionDef) and node.name == "error_named"
    )
    mapped = {
        node.value for node in ast.walk(mapping) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    timeouts = {name for name in _error_names(project, "Retry") if "time" in name.lower() and "." in name}
    timeouts -= {name for name in timeouts if name.startswith("Runtime.")}
    assert not timeouts - mapped


def _retries(project: Project) -> list[Any]:
    return [state.get("Retry") for _, _, state in project.tasks()]


def test_all_retry_blocks_are_one(project: Project) -> None:
    """CloudFormation's YAML knows no anchors in a definition, so the block is repeated; this keeps it one."""
    first, *others = _retries(project)
    assert first
    assert all(other == first for other in others)


def test_all_catch_blocks_are_one(project: Project) -> None:
    first, *others = [state["Catch"][-1] for state in project.states("Task").values() if "Catch" in state]
    assert all(other == first for other in others)
