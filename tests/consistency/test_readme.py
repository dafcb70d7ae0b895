from __future__ import annotations

from local.dev.readme import README, render


def test_the_readmes_tables_are_what_the_code_says() -> None:
    text = README.read_text(encoding="utf-8")
    assert render(text) == text, "The README's tables are out of date: run `.venv/bin/python -m local.dev.readme`."
