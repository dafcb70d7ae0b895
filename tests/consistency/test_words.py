"""Check the project's words: short sentences for names of tests, and terms instead of private ones."""

from __future__ import annotations

import ast
import re

from tests.consistency.project import Project

_LONGEST_NAME = 70
_CODE = ("layers/cleanplate/*.py", "functions/*.py", "local/*.py", "cleanplate_cli/*.py", "statemachine/*.yaml")
_PROSE = ("docs/*.md", "README.md", "CONTRIBUTING.md", "SECURITY.md", "template.yaml")
#: Private words that once stood for a term of docs/architecture.md, as words or as parts of an identifier.
_PRIVATE = re.compile(
    r"(?<![a-z])(?:pac(?:er|ing)|tall(?:y|ies)|anew|laptops?|(?<!verb_)nouns?|mend(?:s|ed)?"
    r"|say_again|note_said|end_round|in_turn|(?:first|earlier)_choice)(?![a-z])",
    re.IGNORECASE,
)


def test_no_test_has_a_name_longer_than_seventy_characters(project: Project) -> None:
    long = [
        f"{path}: {node.name}"
        for path in project.files("tests/*.py")
        for top in project.tree(path).body
        for node in (top, *getattr(top, "body", ()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and len(node.name) > _LONGEST_NAME
    ]
    assert not long


def test_code_and_docs_use_the_projects_terms(project: Project) -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for pattern in (*_CODE, *_PROSE)
        for path in project.files(pattern)
        for number, line in enumerate(project.text(path).splitlines(), start=1)
        if _PRIVATE.search(line)
    ]
    assert not found
