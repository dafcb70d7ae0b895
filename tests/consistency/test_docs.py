from __future__ import annotations

import pytest

from local.dev.docs import TABLES, render
from tests.consistency.project import Project


@pytest.mark.parametrize("page", TABLES)
def test_the_generated_tables_are_up_to_date(project: Project, page: str) -> None:
    text = project.text(page)
    assert render(page, text) == text, f"{page} is out of date: run `.venv/bin/python -m local.dev.docs`."
