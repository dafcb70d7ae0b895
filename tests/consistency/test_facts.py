"""The proof page names, for each fact about AWS and Adobe, the test that holds it: each must be there."""

from __future__ import annotations

import ast
import re

import pytest

from local.paths import ROOT

_PAGE = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", _PAGE)))
_FACTS = re.findall(
    r"^\| (?!---|AWS \||Adobe \|)(.+?) \| (.+) \|$",
    _PAGE.split("## Facts that no emulator")[1].split("\n## ")[0],
    re.MULTILINE,
)


@pytest.mark.parametrize(("file", "test"), NAMED, ids=[test for _, test in NAMED])
def test_a_test_that_the_proof_page_names_is_there(file: str, test: str) -> None:
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("fact", "held_by"), _FACTS, ids=range(len(_FACTS)))
def test_every_fact_is_held_by_a_test_or_told_on_a_page(fact: str, held_by: str) -> None:
    assert "::" in held_by or re.search(r"\]\([a-z-]+\.md#", held_by), fact
