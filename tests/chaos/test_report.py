from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chaos import __main__ as prove
from tests.chaos import catalogue
from tests.chaos.promises import Breach, Verdict
from tests.chaos.report import Report

SOUND = Verdict(results=1, failures=0, extra_posts=0, breaches=())


def test_what_was_tried_is_added_up() -> None:
    report = Report()
    report.tried("faults", "one", SOUND)
    report.tried("faults", "two", Verdict(results=0, failures=1, extra_posts=1, breaches=()))
    report.checked("rights", "three")
    rows = dict(report.rows)
    assert (rows["faults tried"], rows["rights tried"]) == (2, 1)
    assert (rows["photos"], rows["results"], rows["named failures"]) == (2, 1, 1)
    assert rows["extra POSTs, each recorded as possible_duplicate"] == 1
    assert [rows[name] for name in ("hangs", "lies", "losses", "paid twice", "leaks")] == [0, 0, 0, 0, 0]
    assert report.held
    assert "Every promise was kept." in report.text()


@pytest.mark.parametrize(
    ("verdict", "unexpected"),
    [
        (Verdict(results=1, failures=0, extra_posts=0, breaches=(Breach("lie", "no result"),)), ""),
        (SOUND, "came otherwise"),
    ],
)
def test_one_breach_or_one_surprise_is_no_proof(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    verdict: Verdict,
    unexpected: str,
) -> None:
    def run(report: Report, *, quick: bool) -> None:
        report.tried("faults", "sound", SOUND)
        if not quick:
            report.tried("faults", "broken", verdict, unexpected=unexpected)

    monkeypatch.setattr(catalogue, "run", run)
    monkeypatch.setattr(prove, "OUT", tmp_path / "prove.json")
    assert prove.main(["--only", "faults", "--quick"]) == 0
    assert prove.main(["--only", "faults"]) == 1
    printed = capsys.readouterr().out
    assert "WRONG  broken: " in printed
    written = json.loads((tmp_path / "prove.json").read_text())
    assert (written["held"], written["rows"]["faults tried"]) == (False, 2)


@pytest.mark.parametrize("words", [["--only", "fautls"], ["--only", ""]])
def test_a_part_that_is_none_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        prove.main(words)
    assert ended.value.code == 2
    assert "--only takes some of faults" in capsys.readouterr().err
