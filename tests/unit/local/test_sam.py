from __future__ import annotations

from pathlib import Path

import pytest

from local.dev import sam
from local.paths import ROOT


@pytest.mark.parametrize("words", [[], ["--no-confirm-changeset"]])
def test_a_deploy_asks_once_and_writes_into_no_file_of_gits(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = tmp_path / sam.ANSWERS.name
    monkeypatch.setattr(sam, "ANSWERS", answers)
    assert sam.deploy_words(words) == [
        "deploy", "--config-file", "samconfig.local.toml", "--guided", *words,
    ]  # fmt: skip
    # As SAM CLI writes what it was given.
    answers.write_text('[default.deploy.parameters]\ns3_prefix = "cleanplate"\n', encoding="utf-8")
    assert "--guided" not in sam.deploy_words([])
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "samconfig.local.toml" in ignored
