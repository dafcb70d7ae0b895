"""What X-Ray keeps of a request to Adobe, which many more may read than the logs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from aws_xray_sdk import global_sdk_config
from aws_xray_sdk.core import xray_recorder
from aws_xray_sdk.core.context import Context
from aws_xray_sdk.ext.requests.patch import _xray_traced_requests

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
    found = Kept()
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
