"""The operating page covers every alarm and nothing else, and names commands, reasons and parameters that exist."""

from __future__ import annotations

import ast
import re

from tests.consistency.project import PACKAGE, Project

OPERATING = "docs/operating.md"


def _sections(project: Project) -> dict[str, str]:
    """Title -> text of the sections about alarms."""
    parts = re.split(r"^## (.+)$", project.text(OPERATING), flags=re.MULTILINE)
    return {title: text for title, text in zip(parts[1::2], parts[2::2], strict=True) if title != "Commands"}


def test_alarms_and_sections_of_the_operating_page_match(project: Project) -> None:
    assert _sections(project).keys() == project.resources("AWS::CloudWatch::Alarm").keys()


def test_every_section_says_what_it_means_what_to_look_at_and_what_to_do(project: Project) -> None:
    for title, text in _sections(project).items():
        assert re.findall(r"^\*\*(\w+):\*\*", text, re.MULTILINE) == ["Means", "Data", "Look", "Do"], title


def test_the_operating_page_names_errors_and_parameters_that_exist(project: Project) -> None:
    words = set(re.findall(r"`(\w+)`", project.text(OPERATING)))
    bodies = [project.tree(f"{PACKAGE}/{path}").body for path in ("errors.py", "adobe/errors.py")]
    errors = {node.name for body in bodies for node in body if isinstance(node, ast.ClassDef)}
    assert {word for word in words if word.endswith("Error")} <= errors
    known = {name for part in ("Parameters", "Outputs", "Resources") for name in project.template[part]}
    capitals = {word for word in words if re.fullmatch(r"(?:[A-Z][a-z]+){2,}", word)}
    assert capitals - errors <= known


def test_the_operating_page_names_resources_that_exist(project: Project) -> None:
    named = set(re.findall(r"YOUR-([A-Z-]+)", project.text(OPERATING)))
    resources = {_dashed(name) for name in project.template["Resources"]}
    unknown = {
        name
        for name in named
        if not any(found in {name, f"{name}-STATE-MACHINE", f"NOTIFICATIONS-{name}"} for found in resources)
        and name.removesuffix("-ARN") not in resources
    }
    assert not unknown


def _dashed(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).upper()
