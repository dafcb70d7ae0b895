"""`make check` itself: each of its tools finds a mutant, and what it finds fails the check."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from local.dev import audit, check, sam
from local.dev.check import Check
from local.embedded_aws.template import read_yaml, transformed
from local.paths import ROOT
from tests.consistency.project import MACHINE

Json = dict[str, Any]
needs_audit = pytest.mark.skipif(not audit.PYTHON.exists(), reason="checkov and parliament are not set up: make setup")
needs_sam = pytest.mark.skipif(not sam.PYTHON.exists(), reason="SAM CLI is not set up: make setup")


def test_cfn_lint_finds_faults_and_its_warnings_count(tmp_path: Path) -> None:
    whole = transformed()["Resources"]
    resources = {name: whole[name] for name in ("WorkBucket", "CheckAccountLogGroup", "JobsTable")}
    resources["WorkBucket"]["Properties"] = {"Colour": "green"}
    resources["CheckAccountLogGroup"]["Properties"] = {"RetentionInDays": 4}
    resources["JobsTable"]["Properties"].pop("KeySchema")
    function = "{Runtime: python3.13, Handler: app.handler, InlineCode: '1', MemorySize: 64}"
    topic = "  Topic:\n    Type: AWS::SNS::Topic\n"
    (tmp_path / "written.yaml").write_text(
        "Transform: AWS::Serverless-2016-10-31\nResources:\n"
        f"  F:\n    Type: AWS::Serverless::Function\n    Properties: {function}\n"
    )
    (tmp_path / "twice.yaml").write_text(f"Resources:\n{topic}{topic}")
    findings = check.lint_template(
        {"Parameters": {"Unused": {"Type": "String"}}, "Resources": resources}, *tmp_path.glob("*.yaml")
    )
    for said in (
        "'Colour' was unexpected", "4 is not one of", "'KeySchema' is a required property", "W2001",
        "64 is less than", "Duplicate",
    ):  # fmt: skip
        assert any(said in finding for finding in findings), said


@needs_sam
def test_sam_sees_a_fault_in_the_template(tmp_path: Path) -> None:
    faulty = tmp_path / "template.yaml"
    function = {"Runtime": "python3.13", "Handler": "app.handler", "InlineCode": "1", "Events": {"E": {"Type": "SQ"}}}
    resources = {"F": {"Type": "AWS::Serverless::Function", "Properties": function}}
    faulty.write_text(json.dumps({"Transform": "AWS::Serverless-2016-10-31", "Resources": resources}), encoding="utf-8")
    assert any("Event with id [E]" in finding for finding in check.validate(faulty))


def _without_its_next(states: Json) -> None:
    states["WaitForFill"].update(Next="Nowhere")


def _with_a_word_for_a_number(states: Json) -> None:
    states["CheckFill"]["Retry"][0].update(BackoffRate="often")


def _without_an_end(states: Json) -> None:
    states["SaveResult"].pop("End")


def _with_an_expression_elsewhere(states: Json) -> None:
    states["CheckFill"].update(TimeoutSeconds="{% $later %}")


def _without_what_raises_the_false_alarm(states: Json) -> None:
    for state in states.values():
        if state["Type"] == "Wait":
            state["Seconds"] = 1


#: A fault in the machine's states -> words of what is said of it.
FAULTS: dict[Callable[[Json], None], str] = {
    _without_its_next: "Nowhere",
    _with_a_word_for_a_number: "BackoffRate",
    _without_an_end: "SaveResult",
    _with_an_expression_elsewhere: "TimeoutSeconds",
    _without_what_raises_the_false_alarm: "remove it from FALSE_ALARMS",
}


@needs_sam
def test_statelint_sees_each_fault_in_the_machine_and_no_other() -> None:
    machine = read_yaml(ROOT / MACHINE)
    faulty = {fault.__name__: copy.deepcopy(machine) for fault in FAULTS}
    for fault in FAULTS:
        fault(faulty[fault.__name__]["States"])
    found = check.lint_definitions({"as it is": machine, **faulty})
    assert found.pop("as it is") == []
    for fault, said in FAULTS.items():
        assert found[fault.__name__], fault
        assert any(said in finding for finding in found[fault.__name__]), (fault, found)
    assert len(found["_without_what_raises_the_false_alarm"]) == 1


@needs_sam
def test_statelint_names_the_faults_of_a_single_machine() -> None:
    machine = copy.deepcopy(read_yaml(ROOT / MACHINE))
    _without_its_next(machine["States"])
    assert any("Nowhere" in finding for finding in check.lint_definitions({"one": machine})["one"])


def test_every_exception_has_its_reason() -> None:
    assert all(check.FALSE_ALARMS.values())


@pytest.mark.parametrize("number", range(len(check.checks())), ids=[each.name for each in check.checks()])
def test_what_any_one_tool_finds_fails_the_check(number: int) -> None:
    quiet = [Check(each.name, list) for each in check.checks()]
    said = io.StringIO()
    assert check.check(Console(file=said), quiet) == 0
    quiet[number] = Check(quiet[number].name, lambda: ["a fault"])
    assert check.check(Console(file=said), quiet) == 1
    assert "a fault" in said.getvalue()


def test_a_tool_that_fails_without_a_word_or_is_not_there_is_a_finding(tmp_path: Path) -> None:
    assert check._tool("-c", "raise SystemExit(3)")
    assert check._findings([str(tmp_path / "no-such-tool")])
    assert not check._tool("-c", "print('all is well')")


def test_ruff_and_mypy_fail_on_a_fault(tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.py"
    faulty.write_text("import os\nx: int = 'one'\ny  = 1\n")
    assert check._tool("-m", "ruff", "check", "--quiet", str(faulty))
    assert check._tool("-m", "ruff", "format", "--check", "--quiet", str(faulty))
    assert check._tool("-m", "mypy", "--no-error-summary", f"--cache-dir={tmp_path / 'cache'}", str(faulty))


def test_a_test_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    faulty, sound = tmp_path / "test_faulty.py", tmp_path / "test_sound.py"
    faulty.write_text("import nowhere\n")
    sound.write_text("def test_one() -> None:\n    pass\n")
    findings = check.collect_tests(sound, faulty)
    assert any("No module named 'nowhere'" in finding for finding in findings)
    assert not any("test_sound" in finding for finding in findings)


@needs_audit
def test_checkov_sees_a_bucket_that_is_open_to_the_public() -> None:
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"AccessControl": "PublicRead"}}
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Photos": bucket}}
    assert any("Photos: CKV_AWS_20 " in finding for finding in audit.audit_template(template))


#: A role -> a fault in one of its statements, and the issue that it is.
UNSOUND: dict[str, tuple[Json, str]] = {
    "SaveResultFunctionRole": ({"Action": "s3:GetObjects"}, "UNKNOWN_ACTION"),
    "CheckJobFunctionRole": ({"Resource": {"Fn::GetAtt": ["UploadsQueue", "Arn"]}}, "RESOURCE_MISMATCH"),
    "RequestMaskFunctionRole": (
        {"Condition": {"StringEquals": {"s3:colour": "green"}}},
        "UNKNOWN_CONDITION_FOR_ACTION",
    ),
}


@needs_audit
def test_parliament_sees_each_fault_and_what_it_no_longer_gets_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    template = transformed()
    for name, (fault, _) in UNSOUND.items():
        role = template["Resources"][name]["Properties"]
        statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*", **fault}
        role["Policies"][0]["PolicyDocument"]["Statement"].append(statement)
    monkeypatch.setattr(audit, "transformed", lambda: template)
    monkeypatch.setattr(audit, "WRONG", {**audit.WRONG, ("UNKNOWN_ACTION", "s3:Nothing"): "a reason"})
    findings = audit.audit_roles()
    assert findings.pop() == "parliament no longer says UNKNOWN_ACTION of s3:Nothing: remove it from WRONG."
    for finding in findings:
        name, _, issue = finding.partition(": ")
        assert UNSOUND[name][1] in issue
    assert {finding.partition(":")[0] for finding in findings} == UNSOUND.keys()
