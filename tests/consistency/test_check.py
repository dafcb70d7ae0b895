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


def test_cfn_lint_finds_faults_and_its_warnings_count() -> None:
    whole = transformed()["Resources"]
    resources = {name: whole[name] for name in ("WorkBucket", "CheckAccountLogGroup", "JobsTable")}
    resources["WorkBucket"]["Properties"] = {"Colour": "green"}
    resources["CheckAccountLogGroup"]["Properties"] = {"RetentionInDays": 4}
    resources["JobsTable"]["Properties"].pop("KeySchema")
    findings = check.lint_template({"Parameters": {"Unused": {"Type": "String"}}, "Resources": resources})
    for said in ("'Colour' was unexpected", "4 is not one of", "'KeySchema' is a required property", "W2001"):
        assert any(said in finding for finding in findings), said


@needs_sam
def test_sam_sees_a_fault_in_the_template(tmp_path: Path) -> None:
    faulty = tmp_path / "template.yaml"
    function = {"Runtime": "python3.13", "Handler": "app.handler", "InlineCode": "1", "MemorySize": 64}
    resources = {"F": {"Type": "AWS::Serverless::Function", "Properties": function}}
    faulty.write_text(json.dumps({"Transform": "AWS::Serverless-2016-10-31", "Resources": resources}), encoding="utf-8")
    assert any("64" in finding for finding in check.validate(faulty))


@needs_sam
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda states: states["WaitForFill"].update(Next="Nowhere"), "Nowhere"),
        (lambda states: states["CheckFill"]["Retry"][0].update(BackoffRate="often"), "BackoffRate"),
        (lambda states: states["SaveResult"].pop("End"), "SaveResult"),
        (lambda states: states["CheckFill"].update(TimeoutSeconds="{% $later %}"), "TimeoutSeconds"),
    ],
    ids=["a missing state", "a word for a number", "no end", "an expression elsewhere"],
)
def test_statelint_sees_a_fault_in_the_machine(fault: Callable[[Json], None], said: str) -> None:
    machine = copy.deepcopy(read_yaml(ROOT / MACHINE))
    assert check.lint_machine(machine) == []
    fault(machine["States"])
    assert any(said in finding for finding in check.lint_machine(machine))


@needs_sam
def test_a_false_alarm_that_is_no_longer_raised_is_to_be_removed() -> None:
    machine = copy.deepcopy(read_yaml(ROOT / MACHINE))
    for state in machine["States"].values():
        if state["Type"] == "Wait":
            state["Seconds"] = 1
    (finding,) = check.lint_machine(machine)
    assert "FALSE_ALARMS" in finding


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


def test_mypy_reads_every_function_though_each_is_called_app(project: Any) -> None:
    """Two modules of one name in one run would be refused; read from the root, each has a name of its own."""
    said = check._tool("-m", "mypy", "--no-error-summary", *project.files("functions/*/app.py"))
    assert not [line for line in said if "functions/" in line], said


@needs_audit
def test_checkov_sees_a_bucket_that_is_open_to_the_public() -> None:
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"AccessControl": "PublicRead"}}
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Photos": bucket}}
    assert any("Photos: CKV_AWS_20 " in finding for finding in audit.audit_template(template))


@needs_audit
def test_what_parliament_no_longer_gets_wrong_is_to_be_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "WRONG", {**audit.WRONG, ("UNKNOWN_ACTION", "s3:Nothing"): "a reason"})
    assert audit.audit_roles() == ["parliament no longer says UNKNOWN_ACTION of s3:Nothing: remove it from WRONG."]


@needs_audit
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"Action": "s3:GetObjects"}, "UNKNOWN_ACTION"),
        ({"Resource": {"Fn::GetAtt": ["UploadsQueue", "Arn"]}}, "RESOURCE_MISMATCH"),
        ({"Condition": {"StringEquals": {"s3:colour": "green"}}}, "UNKNOWN_CONDITION_FOR_ACTION"),
    ],
)
def test_parliament_sees_a_fault_in_a_role(fault: Json, said: str) -> None:
    template = transformed()
    role = template["Resources"]["SaveResultFunctionRole"]["Properties"]
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*", **fault}
    role["Policies"][0]["PolicyDocument"]["Statement"].append(statement)
    findings = audit.audit_roles(template)
    assert findings
    assert all(finding.startswith("SaveResultFunctionRole: ") and said in finding for finding in findings)
