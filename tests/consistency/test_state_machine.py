"""What the state machine says and what the steps say: ids, words, names."""

from __future__ import annotations

import ast
import re
from typing import Any

from tests.consistency.project import MACHINE, PACKAGE, Project, nested, words_in

_COMPARISON = re.compile(r"^\{% \$states\.input\.(\w+) = '([\w-]+)' %\}$")


def _values_of(tree: ast.AST, key: str) -> set[str]:
    """Every word that the dict displays of a module give to a key."""
    return {
        word
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for name, value in zip(node.keys, node.values, strict=True)
        if isinstance(name, ast.Constant) and name.value == key
        for word in _results(value, tree)
    }


def _results(value: ast.expr, tree: ast.AST) -> set[str]:
    """The words that an expression can be: a word, one of two, or what a function of the module returns."""
    if isinstance(value, ast.IfExp):
        return _results(value.body, tree) | _results(value.orelse, tree)
    if isinstance(value, ast.Name):
        return {word for made in _assigned(tree, value.id) for word in _results(made, tree)}
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return {word for returned in _returned(tree, value.func.id) for word in _results(returned, tree)}
    return {value.value} if isinstance(value, ast.Constant) and isinstance(value.value, str) else set()


def _assigned(tree: ast.AST, name: str) -> list[ast.expr]:
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name
    ]


def _returned(tree: ast.AST, function: str) -> list[ast.expr]:
    return [
        node.value
        for definition in ast.walk(tree)
        if isinstance(definition, ast.FunctionDef) and definition.name == function
        for node in ast.walk(definition)
        if isinstance(node, ast.Return) and node.value is not None
    ]


def _keys(tree: ast.AST, key: str) -> list[set[str]]:
    """The keys of every dict display that has a certain one."""
    displays = [
        {name.value for name in node.keys if isinstance(name, ast.Constant) and isinstance(name.value, str)}
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
    ]
    return [keys for keys in displays if key in keys]


def _said_by(project: Project, step: str) -> set[str]:
    tree = project.tree(project.step_path(step))
    said = {
        word
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_answer"
        for word in _results(node.args[0], tree)
    }
    return said | _values_of(tree, "state")


def _asked(choice: dict[str, Any], field: str) -> set[str]:
    found = set()
    for rule in choice["Choices"]:
        match = _COMPARISON.match(rule["Condition"])
        assert match, f"{rule['Condition']} is not a plain comparison with a word"
        assert match[1] == field
        found.add(match[2])
    return found


def test_every_placeholder_is_substituted_and_every_substitution_is_used(project: Project) -> None:
    machines = project.resources("AWS::Serverless::StateMachine")
    assert machines["CleanPhotoStateMachine"]["DefinitionUri"] == MACHINE
    assert {about["DefinitionUri"] for about in machines.values()} == set(project.files("statemachine/*.asl.yaml"))
    for name, about in machines.items():
        placeholders = {
            found
            for value in nested(project.machines[name])
            if isinstance(value, str)
            for found in re.findall(r"\$\{(\w+)\}", value)
        }
        assert placeholders == about["DefinitionSubstitutions"].keys(), name


def test_every_substituted_function_is_the_one_that_its_name_says(project: Project) -> None:
    for about in project.resources("AWS::Serverless::StateMachine").values():
        for name, value in about["DefinitionSubstitutions"].items():
            if name.endswith("FunctionArn"):
                assert value == {"Fn::GetAtt": [name.removesuffix("Arn"), "Arn"]}


def _tasks_before_choices(project: Project) -> list[tuple[str, dict[str, Any], set[str]]]:
    """Task, the choice that follows it, and the words that its step says."""
    found = []
    for machine, name, task in project.tasks():
        choice = machine["States"].get(task.get("Next", ""), {})
        if choice.get("Type") == "Choice":
            step = project.folder_called_by(task).rpartition("/")[2]
            found.append((name, choice, _said_by(project, step)))
    assert len(found) >= 2
    return found


def test_every_word_that_a_choice_waits_for_is_returned_by_a_step(project: Project) -> None:
    for task, choice, said in _tasks_before_choices(project):
        unsaid = _asked(choice, "state") - said
        assert not unsaid, f"the step of {task} never says {sorted(unsaid)}"


def test_only_one_word_of_a_step_is_left_to_a_choices_default(project: Project) -> None:
    for task, choice, said in _tasks_before_choices(project):
        left = said - _asked(choice, "state")
        assert len(left) == 1, f"{task}: {sorted(left)} would all go to {choice['Default']}"


def test_the_execution_starts_with_all_that_the_machine_reads_of_its_input(project: Project) -> None:
    (given,) = _keys(project.tree(f"{PACKAGE}/steps/request_mask.py"), "job_id")
    assert given == {"job_id", "wait_seconds"}
    read = {
        name
        for value in nested(project.machine)
        if isinstance(value, str)
        for name in re.findall(r"\$states\.input\.(\w+)", value)
    }
    # A failure adds its error and cause.
    assert read == given | {"error", "cause"}


def test_the_words_of_not_ready_are_the_seconds_that_the_machine_reads(project: Project) -> None:
    raised = [
        node.exc.args[0]
        for step in ("check_job", "fill_masked_areas")
        for node in project.nodes(f"{PACKAGE}/steps/{step}.py")
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id == "NotReadyError"
    ]
    assert [ast.unparse(words) for words in raised] == [
        "str(whole_seconds(seconds))",
        "str(whole_seconds(later.until - services.clock()))",
    ]


def test_every_step_that_a_task_names_is_one_that_check_job_knows(project: Project) -> None:
    step = next(
        node.value
        for node in project.nodes(f"{PACKAGE}/steps/check_job.py")
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "Step"
    )
    named = {
        payload["step"]
        for state in project.states("Task").values()
        if "step" in (payload := state["Arguments"]["Payload"])
    }
    assert named == words_in(step)


def test_the_payload_of_every_task_is_what_its_function_reads(project: Project) -> None:
    for _, name, state in project.tasks():
        folder = project.folder_called_by(state)
        read = {
            node.slice.value
            for node in project.nodes(f"{folder}/app.py")
            if isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and node.value.id == "event"
            and isinstance(node.slice, ast.Constant)
        }
        assert state["Arguments"]["Payload"].keys() == read, name


def test_expressions_read_the_states_own_values_and_no_variable(project: Project) -> None:
    """No checker sees a variable that nobody assigned."""
    machines = list(project.machines.values())
    expressions = [value for value in nested(machines) if isinstance(value, str) and "{%" in value]
    assert expressions
    names = {name for text in expressions for name in re.findall(r"\$\w+", text)}
    assert names <= {"$states", "$merge", "$number", "$parse"}


def test_states_are_named_by_one_rule(project: Project) -> None:
    for name, state in (item for machine in project.machines.values() for item in machine["States"].items()):
        assert re.fullmatch(r"([A-Z][a-z]+)+\??", name), name
        assert name.endswith("?") == (state["Type"] == "Choice"), name
        assert name.startswith("WaitFor") == (state["Type"] == "Wait"), name
