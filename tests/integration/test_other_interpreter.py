"""The state machine, played by an interpreter that is not the embedded one and not ours: LocalStack's, as moto carries it.

moto leaves out what evaluated JSONata there (a Java program); jsonata-python, which is not ours either, stands in for it.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import jsonata
import pytest
from moto import mock_aws

from local.embedded_aws.template import read_yaml
from local.paths import ROOT

Answer = dict[str, Any] | Exception | None
JOB = {"job_id": "4f39005f5be9034a40d9a604dcb032223a7f6ae6", "wait_seconds": 0}
DONE = None
SAVED = {"outcome": "cleaned"}
MASK_AGAIN = ("WaitForMask", "CheckMask")
FILL_AGAIN = ("WaitForFill", "CheckFill")
ENDS = ("RecordFailure", "PhotoFailed")


class CrashError(Exception):
    """A function that fails; its text is the error's name."""

    message = "injected"


class PendingError(CrashError):
    """A job that is not ready; its message is the seconds to wait."""

    message = "0"


class SlowError(Exception):
    """A function that answers too late."""


PENDING = PendingError("NotReadyError")
UNSENT = CrashError("NotSentError")
FAILED = CrashError("AdobeJobFailedError")


#: What is called, in order, with its answers; how the execution ends, with what error, and the states that it enters.
BRANCHES: dict[str, tuple[list[tuple[str, Answer]], str, str, tuple[str, ...]]] = {
    "happy": (
        [("CheckJob", DONE), ("FillMaskedAreas", DONE), ("CheckJob", DONE), ("SaveResult", SAVED)],
        "SUCCEEDED", "", ("CheckMask", "FillMaskedAreas", "CheckFill", "SaveResult"),
    ),
    "pending": (
        [("CheckJob", PENDING), ("CheckJob", DONE), ("FillMaskedAreas", DONE), ("CheckJob", PENDING),
         ("CheckJob", DONE), ("SaveResult", SAVED)],
        "SUCCEEDED", "", ("CheckMask", *MASK_AGAIN, "FillMaskedAreas", "CheckFill", *FILL_AGAIN, "SaveResult"),
    ),
    "waiting": (
        [("CheckJob", DONE), ("FillMaskedAreas", PENDING), ("CheckJob", UNSENT), ("FillMaskedAreas", DONE),
         ("CheckJob", DONE), ("SaveResult", SAVED)],
        "SUCCEEDED", "",
        ("CheckMask", "FillMaskedAreas", *FILL_AGAIN, "FillMaskedAreas", "CheckFill", "SaveResult"),
    ),
    "failed": (
        [("CheckJob", FAILED), ("RecordFailure", {})], "FAILED", "AdobeJobFailedError", ("CheckMask", *ENDS),
    ),
    "crash": (
        [("CheckJob", CrashError("Runtime.ExitError"))] * 2 + [("RecordFailure", {})],
        "FAILED", "Runtime.ExitError", ("CheckMask", *ENDS),
    ),
    "a crash that a repeat repairs": (
        [("CheckJob", CrashError("Runtime.ExitError")), ("CheckJob", DONE), ("FillMaskedAreas", DONE),
         ("CheckJob", DONE), ("SaveResult", SAVED)],
        "SUCCEEDED", "", ("CheckMask", "FillMaskedAreas", "CheckFill", "SaveResult"),
    ),
    "a named failure": (
        [("CheckJob", DONE), ("FillMaskedAreas", CrashError("MaskUnusableError")), ("RecordFailure", {})],
        "FAILED", "MaskUnusableError", ("CheckMask", "FillMaskedAreas", *ENDS),
    ),
    "time-out": (
        # This interpreter lets no Fail state say a name that begins with States. The record has the true one by then.
        [("CheckJob", SlowError())] * 2 + [("RecordFailure", {})], "FAILED", "States.Runtime", ("CheckMask", *ENDS),
    ),
    "RecordFailure failing": (
        [("CheckJob", FAILED), *[("RecordFailure", CrashError("AwsUnavailableError"))] * 2],
        "FAILED", "AwsUnavailableError", ("CheckMask", "RecordFailure"),
    ),
}  # fmt: skip


@cache
def _definition() -> str:
    """Return the deployed definition; only times are shorter and repeats fewer, so that the test does not take them."""
    definition = copy.deepcopy(read_yaml(ROOT / "statemachine" / "clean_photo.asl.yaml"))
    for state in definition["States"].values():
        if state["Type"] == "Task":
            state["TimeoutSeconds"] = 2
            for clause in state["Retry"]:
                clause |= {"IntervalSeconds": 1, "MaxAttempts": 1, "MaxDelaySeconds": 2}
    return json.dumps(definition).replace("${Partition}", "aws").replace("FunctionArn}", "}")


@cache
def _parse_once(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a parser that remembers: the definition is parsed for each machine and each execution, 0.1 s each time."""
    return cache(parse)


def _evaluate(text: str) -> Any:
    expression = jsonata.Jsonata(text)
    # Step Functions' own, in place of JSONata's $eval.
    expression.register_lambda("parse", json.loads)
    return expression.evaluate(None)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[list[tuple[str, Answer]]], dict[str, Any]]]:
    """Give the machine the answers of its functions; how it ended, and the states that it entered."""
    from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
    from moto.stepfunctions.parser.asl.jsonata import jsonata as evaluator
    from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

    monkeypatch.setattr(evaluator, "_eval_jsonata", _evaluate)
    monkeypatch.setattr(AmazonStateLanguageParser, "parse", _parse_once(AmazonStateLanguageParser.parse))
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        client = boto3.client("stepfunctions", region_name="us-east-1")
        role = "arn:aws:iam::123456789012:role/machine"
        arn = client.create_state_machine(name="m", definition=_definition(), roleArn=role)["stateMachineArn"]

        def run(calls: list[tuple[str, Answer]]) -> dict[str, Any]:
            left = list(calls)

            def invoke(parameters: dict[str, Any], **_: Any) -> dict[str, Any]:
                function, answer = left.pop(0)
                assert parameters["FunctionName"] == f"${{{function}}}"
                if isinstance(answer, SlowError):
                    time.sleep(3)
                if isinstance(answer, Exception):
                    message = getattr(answer, "message", "")
                    payload = {"errorType": str(answer), "errorMessage": message}
                    return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": payload}
                return {"StatusCode": 200, "Payload": answer}

            monkeypatch.setattr(lambda_eval_utils, "_invoke_lambda_function", invoke)
            execution = client.start_execution(stateMachineArn=arn, input=json.dumps(JOB))["executionArn"]
            until = time.monotonic() + 60
            while (about := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
                assert time.monotonic() < until
                time.sleep(0.05)
            events = client.get_execution_history(executionArn=execution)["events"]
            entered = [
                each["stateEnteredEventDetails"]["name"] for each in events if "stateEnteredEventDetails" in each
            ]
            return {**about, "entered": tuple(entered), "left": left}

        yield run


@pytest.mark.parametrize("branch", BRANCHES)
def test_another_interpreter_takes_every_branch_as_it_is_meant(
    play: Callable[[list[tuple[str, Answer]]], dict[str, Any]], branch: str
) -> None:
    calls, status, error, states = BRANCHES[branch]
    ended = play(calls)
    assert (ended["status"], ended.get("error", ""), ended["entered"]) == (status, error, states)
    assert not ended["left"]
