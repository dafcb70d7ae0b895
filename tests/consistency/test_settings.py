"""Settings: read in one module, set in the template, chosen by parameters."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from aws_lambda_powertools.shared import constants

from cleanplate.errors import SettingsError
from cleanplate.rate_limit.limits import RateLimits
from cleanplate.settings import read_settings
from cleanplate.uploads.options import parse_options
from tests.consistency.project import PACKAGE, TEMPLATE, Project, nested

SETTINGS = f"{PACKAGE}/settings.py"
OPTIONS = f"{PACKAGE}/uploads/options.py"
MODELS = f"{PACKAGE}/models.py"
_READERS = {"_text", "_number", "_switch", "_url", "get"}


def _default_options(project: Project) -> dict[str, str]:
    found = _assigned(project, SETTINGS, "DEFAULT_OPTIONS")
    options: dict[str, str] = ast.literal_eval(found)
    return options


def _assigned(project: Project, path: str, name: str) -> ast.expr:
    for node in project.tree(path).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == name and isinstance(node, ast.Assign | ast.AnnAssign):
            assert node.value is not None
            return node.value
    raise AssertionError(f"{path} has no {name}")


def _read_by_field(project: Project) -> dict[str, set[str]]:
    """Field of Settings -> the variables that it is read from."""
    reading = next(
        node
        for node in project.tree(SETTINGS).body
        if isinstance(node, ast.FunctionDef) and node.name == "read_settings"
    )
    local = _local_values(reading)
    found: dict[str, set[str]] = {}
    for node in ast.walk(reading):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Settings":
            for keyword in node.keywords:
                name = keyword.value.id if isinstance(keyword.value, ast.Name) else ""
                found[keyword.arg or ""] = _variables(local.get(name, keyword.value))
    found["default_options"] = set(_default_options(project).values())
    return found


def _local_values(function: ast.FunctionDef) -> dict[str, ast.expr]:
    """Name -> value of the plain assignments in a function, pairs included."""
    found: dict[str, ast.expr] = {}
    for node in function.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            assert isinstance(node.value, ast.Tuple)
            names = [target.id for target in node.targets[0].elts if isinstance(target, ast.Name)]
            found |= dict(zip(names, node.value.elts, strict=True))
    return found


def _variables(tree: ast.AST) -> set[str]:
    return {
        value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and (getattr(node.func, "id", "") or getattr(node.func, "attr", "")) in _READERS
        for value in node.args
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and re.fullmatch(r"[A-Z_]+", value.value)
    }


def _optional(project: Project) -> set[str]:
    """Fields that may be empty, because not every function has them."""
    reading = next(
        node for node in project.nodes(SETTINGS) if isinstance(node, ast.FunctionDef) and node.name == "read_settings"
    )
    return {
        keyword.arg or ""
        for node in ast.walk(reading)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Settings"
        for keyword in node.keywords
        if isinstance(keyword.value, ast.Call) and getattr(keyword.value.func, "attr", "") == "get"
    }


def _without_unused_properties(project: Project, path: str, reached: set[str]) -> Iterator[ast.AST]:
    """What a module runs; of the services that every function has at hand only those that this one takes."""
    if not path.endswith("/services.py"):
        yield project.tree(path)
        return
    others = {name for other in reached - {path} for name in _attributes(project.tree(other))}
    for node in project.tree(path).body:
        if isinstance(node, ast.ClassDef):
            yield from (part for part in node.body if not isinstance(part, ast.FunctionDef) or part.name in others)
        else:
            yield node


@cache
def _attributes(tree: ast.AST) -> frozenset[str]:
    return frozenset(node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute))


def _needed_by(project: Project, function: str) -> set[str]:
    """Every variable that one function needs."""
    fields = _read_by_field(project)
    optional = _optional(project)
    reached = project.reached_from(f"{project.functions[function]['CodeUri'].strip('/')}/app.py")
    used = {
        name
        for path in reached
        for top in _without_unused_properties(project, path, reached)
        for name in _attributes(top)
    }
    return {name for field, names in fields.items() if field not in optional or field in used for name in names}


def _set_in_the_template(project: Project) -> set[str]:
    return {name for function in project.functions for name in project.variables(function)}


def test_every_setting_that_a_function_needs_is_set_for_it(project: Project) -> None:
    for function in project.functions:
        missing = _needed_by(project, function) - project.variables(function).keys()
        assert not missing, f"{function} lacks {sorted(missing)}"


def test_every_setting_in_the_template_is_read(project: Project) -> None:
    read = {name for names in _read_by_field(project).values() for name in names}
    # boto3 itself reads where AWS is.
    ours = _set_in_the_template(project) - {"AWS_ENDPOINT_URL"}
    unread = {name for name in ours - read if not name.startswith("POWERTOOLS_")}
    assert not unread


def test_a_setting_that_one_function_has_to_itself_is_needed_by_it(project: Project) -> None:
    for function in project.functions:
        own = project.resources("AWS::Serverless::Function")[function].get("Environment", {}).get("Variables", {})
        assert own.keys() <= _needed_by(project, function), function


def test_every_powertools_setting_is_one_that_powertools_reads(project: Project) -> None:
    known = {value for value in vars(constants).values() if isinstance(value, str)}
    ours = {name for name in _set_in_the_template(project) if name.startswith("POWERTOOLS_")}
    assert ours
    assert not ours - known


def test_every_field_of_the_settings_is_used(project: Project) -> None:
    used = {
        node.attr
        for path in project.package
        if path != SETTINGS
        for node in project.nodes(path)
        if isinstance(node, ast.Attribute)
    }
    # Both buckets of photos are read through the settings' own properties.
    assert not _read_by_field(project).keys() - used - {"uploads_bucket", "other_bucket"}


def test_every_option_with_a_default_is_an_option_and_a_setting(project: Project) -> None:
    readers = _assigned(project, OPTIONS, "_READERS")
    accepted = {
        key.value
        for node in ast.walk(readers)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    fields = {
        line.target.id
        for node in project.tree(MODELS).body
        if isinstance(node, ast.ClassDef) and node.name == "Options"
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }
    assert accepted == fields
    assert _default_options(project).keys() <= accepted
    shared = project.globals["Environment"]["Variables"]
    assert set(_default_options(project).values()) <= shared.keys()


def test_the_stacks_defaults_are_the_options_own(project: Project) -> None:
    (defaults,) = (
        node for node in project.tree(MODELS).body if isinstance(node, ast.ClassDef) and node.name == "Options"
    )
    own = {
        line.target.id: ast.literal_eval(line.value)
        for line in defaults.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value is not None
    }
    chosen = {option: _parameter_of(project, name)["Default"] for option, name in _default_options(project).items()}
    parsed = parse_options(chosen, source="The template")
    assert parsed == {option: own[option] for option in parsed}


def test_a_parameter_takes_the_values_that_its_option_takes(project: Project) -> None:
    for option, alias in {"mask_route": "MaskRoute", "output_format": "OutputFormat"}.items():
        allowed = set(_parameter_of(project, _default_options(project)[option])["AllowedValues"])
        literal = _assigned(project, MODELS, alias)
        accepted = {node.value for node in ast.walk(literal) if isinstance(node, ast.Constant)}
        # A mask of one's own lies beside a photo; no stack can choose it for all.
        assert allowed == accepted - {"own-mask"}


def _parameter_of(project: Project, variable: str) -> dict[str, Any]:
    reference = project.globals["Environment"]["Variables"][variable]
    parameter: dict[str, Any] = project.template["Parameters"][reference["Ref"]]
    return parameter


def _used_parameters(project: Project) -> set[str]:
    used: set[str] = set()
    for section in ("Globals", "Conditions", "Resources", "Outputs"):
        for value in nested(project.template.get(section, {})):
            if isinstance(value, dict) and isinstance(value.get("Ref"), str):
                used.add(value["Ref"])
            if isinstance(value, dict) and "Fn::Sub" in value:
                sub = value["Fn::Sub"]
                used |= set(re.findall(r"\$\{(\w+)\}", sub if isinstance(sub, str) else sub[0]))
    return used


def test_every_parameter_is_used(project: Project) -> None:
    unused = project.template["Parameters"].keys() - _used_parameters(project)
    assert not unused, f"{TEMPLATE} has parameters that do nothing: {sorted(unused)}"


def test_every_parameter_is_in_one_group(project: Project) -> None:
    groups = project.template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(project.template["Parameters"])


def test_every_parameter_says_what_it_is_and_what_it_may_be(project: Project) -> None:
    for name, about in project.template["Parameters"].items():
        assert about.get("Description"), name
        limits = {"AllowedValues", "AllowedPattern", "MinValue", "MinLength"} & about.keys()
        assert limits or name in {"UploadsPrefix", "EventBusName"}, f"{name} takes anything"


def test_every_number_that_a_parameter_allows_is_one_that_the_code_accepts(project: Project) -> None:
    """Else a stack deploys, and then every call of every function fails."""
    for name, about in project.template["Parameters"].items():
        for value in (about.get("MinValue"), about.get("MaxValue")):
            if value is not None:
                try:
                    _accept(project, {name: str(value)})
                except SettingsError as refused:
                    raise AssertionError(f"{name} may be {value}, but: {refused}") from refused


def _accept(project: Project, chosen: dict[str, str]) -> None:
    """Read the settings of a stack as a function does; the other parameters have their defaults."""
    parameters = project.template["Parameters"]
    environ = {}
    for name, value in project.globals["Environment"]["Variables"].items():
        parameter = value["Ref"] if isinstance(value, dict) and "Ref" in value else ""
        default = str(parameters[parameter]["Default"]) if parameter in parameters else name.lower()
        environ[name] = chosen.get(parameter, default)
    stack = read_settings(environ)
    RateLimits(
        per_minute=stack.requests_per_minute,
        per_day=stack.requests_per_day,
        polls_count=stack.count_polls,
        share_left=stack.share_left,
        daily_budget=stack.daily_budget or None,
    )


def test_every_parameter_that_a_message_names_exists(project: Project) -> None:
    said = {
        word
        for node in project.nodes(f"{PACKAGE}/errors.py")
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"\b[Rr]ais(?:e|ing)\b", node.value)
        for word in re.findall(r"\b(Max[A-Z]\w+)", node.value)
    }
    assert said
    assert said <= project.template["Parameters"].keys()
