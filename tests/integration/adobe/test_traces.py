"""What X-Ray keeps of a request to Adobe, which many more may read than the logs."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from cleanplate.adobe.connections import make_session
from tests.integration.scripted import Act, Scripted, close, reply, reset


class Kept:
    """Instead of the daemon: what would have been sent to X-Ray."""

    def __init__(self) -> None:
        self.text = ""

    def send_entity(self, entity: Any) -> None:
        self.text += entity.serialize()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    from aws_xray_sdk import global_sdk_config
    from aws_xray_sdk.core import xray_recorder
    from aws_xray_sdk.core.context import Context

    found = Kept()
    xray_recorder._emitter._socket.close()  # the SDK would leave it open
    for name, value in (("_emitter", found), ("_sampling", False), ("_context", Context())):
        monkeypatch.setattr(xray_recorder, name, value)
    # Powertools turns the SDK off for the whole process where a handler is imported outside Lambda.
    was_on = global_sdk_config.sdk_enabled()
    global_sdk_config.set_sdk_enabled(True)
    xray_recorder.begin_segment("function")
    yield found
    global_sdk_config.set_sdk_enabled(was_on)


@pytest.mark.parametrize("act", [reply(200, b"x"), reply(403, b"x"), reset, close, None], ids=range(5))
def test_a_trace_holds_no_signature_and_no_token(server: Scripted, kept: Kept, act: Act | None) -> None:
    from aws_xray_sdk.core import xray_recorder
    from aws_xray_sdk.ext.requests.patch import _xray_traced_requests

    session = make_session(server.url)
    if act is None:
        server.shut()
    else:
        server.script = [act]
    link = f"{server.url}/r/m0.png?X-Amz-Credential=c0ffee&X-Amz-Signature=5ec2e7#5ec2e7"
    named = {"headers": {"Authorization": "Bearer 5ec2e7"}, "timeout": 5}
    with contextlib.suppress(OSError):
        _xray_traced_requests(session.request, session, ("GET", link), named)
    xray_recorder.end_segment()
    assert "/r/m0.png" in kept.text
    assert "5ec2e7" not in kept.text
    assert "c0ffee" not in kept.text


#: A function of ours as Lambda runs it, which asks DynamoDB and Adobe in each of two calls.
_FUNCTION = """
import contextlib, os, sys
from types import SimpleNamespace
from cleanplate.aws import clients, handler, tracing

url, *headers = sys.argv[1:]

@handler.lambda_function()
def lambda_handler(event, context):
    with contextlib.suppress(Exception):
        clients.dynamodb().get_item(TableName="jobs", Key={"job_id": {"S": "1"}})
    from cleanplate.adobe.connections import make_session
    tracing.follow_requests()
    make_session(url).get(url + "/v1/status/1", timeout=5)

context = SimpleNamespace(
    function_name="f", memory_limit_in_mb=1, invoked_function_arn="arn:aws:lambda:eu-west-1:1:function:f", aws_request_id="r"
)
for header in headers:
    os.environ["_X_AMZN_TRACE_ID"] = header
    lambda_handler({}, context)
print("aws_xray_sdk" in sys.modules, file=sys.stderr)
"""
_ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled="


def run_function(server: Scripted, *sampled: str) -> tuple[list[dict[str, Any]], str]:
    """What the daemon receives of calls with these decisions, and whether X-Ray's SDK was loaded."""
    server.script = [reply(200, b"{}")] * 2 * len(sampled)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        environment = {
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_ENDPOINT_URL": server.url,
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "LAMBDA_TASK_ROOT": "/var/task",
            "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{daemon.getsockname()[1]}",
            "POWERTOOLS_SERVICE_NAME": "cleanplate",
            "POWERTOOLS_METRICS_NAMESPACE": "Cleanplate",
            "PATH": os.environ["PATH"],
        }
        headers = [_ROOT + decision for decision in sampled]
        done = subprocess.run(
            [sys.executable, "-c", _FUNCTION, server.url, *headers],
            env=environment, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        daemon.settimeout(0)
        received = []
        with contextlib.suppress(BlockingIOError):
            while True:
                received.append(json.loads(daemon.recv(1 << 16).split(b"\n", 1)[1]))
    return received, done.stderr.strip().splitlines()[-1]


def names_of(documents: list[dict[str, Any]]) -> list[str]:
    return [name for found in documents for name in [found["name"], *names_of(found.get("subsegments", []))]]


def test_a_sampled_call_is_traced_with_its_requests(server: Scripted) -> None:
    received, _ = run_function(server, "1", "1")
    host = str(urlsplit(server.url).hostname)
    assert sorted(names_of(received)) == sorted(2 * ["## lambda_handler", "dynamodb", host])
    handlers = [found for found in received if found["name"] == "## lambda_handler"]
    assert [found["annotations"]["ColdStart"] for found in handlers] == [True, False]


def test_a_call_that_is_not_sampled_loads_no_sdk(server: Scripted) -> None:
    assert run_function(server, "0", "0") == ([], "False")


def test_a_later_call_is_traced_whole_and_is_no_cold_start(server: Scripted) -> None:
    received, _ = run_function(server, "0", "1")
    assert sorted(names_of(received)) == sorted(["## lambda_handler", "dynamodb", str(urlsplit(server.url).hostname)])
    (handler,) = (found for found in received if found["name"] == "## lambda_handler")
    assert handler["annotations"]["ColdStart"] is False
