"""The process of a function that is forked, beside one that its bootstrap starts: a function sees no difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.embedded_aws.deploy import Package
from local.embedded_aws.server import EmbeddedAws
from local.paths import ROOT

_APP = """
import os, sys, time
import boto3

calls = []

def lambda_handler(event, context):
    calls.append(event)
    print("to standard output")
    print("to standard error", file=sys.stderr)
    if "exit" in event:
        os._exit(event["exit"])
    time.sleep(event.get("sleep", 0))
    return {
        "process": os.getpid(), "group": os.getpgid(0), "calls": len(calls),
        "folder": os.getcwd(), "path": list(dict.fromkeys(sys.path)), "input": sys.stdin.read(),
        "environment": dict(os.environ), "region": boto3.Session().region_name,
        "ours": sorted(name for name in sys.modules if name.split(".")[0] in ("cleanplate", "local", "tests")),
    }
"""
#: Of one process alone, set by the shell that reads a bootstrap, or what lets "executed" be executed.
_OWN = {
    "AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "PWD", "OLDPWD", "SHLVL", "_", "GIVEN",
}  # fmt: skip

pytestmark = pytest.mark.xdist_group("function_processes")


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """Two functions of the same code: ``forked``, and ``executed``, whose stack sets something in its environment."""
    folder = tmp_path_factory.mktemp("function")
    (folder / "app.py").write_text(_APP)
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    with EmbeddedAws() as aws:
        role = aws.session.client("iam", endpoint_url=aws.endpoint_url).create_role(
            RoleName="function", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )
        for name, environment in {"forked": {}, "executed": {"GIVEN": "by the stack"}}.items():
            package = Package(aws, folder, environment)
            package.layers.append(ROOT / "layers" / "cleanplate")
            code = package.function(name, folder)
            aws.client("lambda").create_function(
                FunctionName=name,
                Runtime="provided.al2023",
                Handler="app.lambda_handler",
                Role=role["Role"]["Arn"],
                Code={"S3Bucket": code["Bucket"], "S3Key": code["Key"]},
                Environment={"Variables": {"SETTING": "a 'quoted' $value"}},
                Timeout=1,
            )
        yield aws


def _call(aws: EmbeddedAws, name: str, **event: Any) -> tuple[dict[str, Any], str]:
    """Return a function's answer and the end of its log."""
    answer = aws.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
    return json.load(answer["Payload"]), b64decode(answer.get("LogResult", "")).decode()


def _seen(aws: EmbeddedAws, name: str) -> dict[str, Any]:
    """Return what a function sees, without what is of one process alone."""
    seen, _ = _call(aws, name)
    seen["environment"] = {key: value for key, value in seen["environment"].items() if key not in _OWN}
    del seen["process"]
    text = json.dumps(seen).replace(seen["folder"], "FOLDER").replace(name, "NAME")
    generic: dict[str, Any] = json.loads(text)
    return generic


def _parent(process: int) -> str:
    """Return the command of the process that started another one."""
    parent = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]
    return Path(f"/proc/{parent}/cmdline").read_text()


def test_a_forked_function_sees_what_an_executed_one_sees(aws: EmbeddedAws) -> None:
    forked = _seen(aws, "forked")

    assert forked == _seen(aws, "executed")
    assert forked["environment"]["SETTING"] == "a 'quoted' $value"
    assert forked["ours"] == []
    assert forked["input"] == ""
    assert str(ROOT) not in forked["path"]


@pytest.mark.skipif(sys.platform != "linux", reason="functions are forked on Linux alone")
def test_functions_are_forked_where_the_stack_sets_no_environment(aws: EmbeddedAws) -> None:
    assert "forkserver" in _parent(_call(aws, "forked")[0]["process"])
    assert "forkserver" not in _parent(_call(aws, "executed")[0]["process"])


def test_all_that_a_function_writes_is_in_its_log(aws: EmbeddedAws) -> None:
    _, log = _call(aws, "forked")
    assert "to standard output" in log
    assert "to standard error" in log


@pytest.mark.parametrize(("event", "error"), [({"exit": 3}, "Runtime.ExitError"), ({"sleep": 30}, "Sandbox.Timedout")])
def test_a_process_that_ends_or_hangs_is_followed_by_a_new_one(
    aws: EmbeddedAws, event: dict[str, int], error: str
) -> None:
    before, _ = _call(aws, "forked")
    again, _ = _call(aws, "forked")
    assert (again["process"], again["calls"]) == (before["process"], before["calls"] + 1)

    failed, log = _call(aws, "forked", **event)
    assert failed["errorType"] == error
    assert "to standard error" in log
    with pytest.raises(ProcessLookupError):
        os.kill(before["process"], 0)

    after, _ = _call(aws, "forked")
    assert after["process"] != before["process"]
    assert after["calls"] == 1


def test_a_long_name_of_the_folder_for_temporary_files_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 25)  # a socket's address has 108 bytes
    folder.mkdir()
    prepare = "from local.embedded_aws.function_process import prepare_to_fork; prepare_to_fork()"
    subprocess.run([sys.executable, "-c", prepare], cwd=ROOT, env={**os.environ, "TMPDIR": str(folder)}, check=True)
    assert list(folder.iterdir()) == []


def test_nothing_outlives_a_server_that_is_killed(aws: EmbeddedAws) -> None:
    group = _call(aws, "forked")[0]["group"]
    assert aws._process is not None
    assert aws._process.stdin is not None
    aws._process.stdin.close()  # as the system does when the process that started the server has been killed

    until = time.monotonic() + 20
    while time.monotonic() < until:
        aws._process.poll()
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("processes are left")
