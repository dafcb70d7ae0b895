"""The proof page names, for each fact about AWS and Adobe, the test that holds it: each must be there."""

from __future__ import annotations

import ast
import re

from tests.consistency.project import Project

_PAGE = "docs/proof.md"


def test_a_test_that_the_proof_page_names_is_there(project: Project) -> None:
    page = project.text(_PAGE)
    named = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", page)))
    assert len(named) > 40
    for file, test in named:
        functions = {node.name for node in project.nodes(f"tests/{file}") if isinstance(node, ast.FunctionDef)}
        assert test in functions, f"{file}::{test}"


def test_every_fact_is_held_by_a_test_or_stands_on_a_page(project: Project) -> None:
    part = project.text(_PAGE).split("## Facts that no emulator")[1].split("\n## ")[0]
    facts = re.findall(r"^\| (?!---|AWS \||Adobe \|)(.+?) \| (.+) \|$", part, re.MULTILINE)
    assert len(facts) > 20
    for fact, held_by in facts:
        assert "::" in held_by or re.search(r"\]\([a-z-]+\.md#", held_by), fact
