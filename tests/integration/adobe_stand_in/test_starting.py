"""Starting and stopping, as a command, as a process and as a thread."""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from local.adobe import Settings, StandIn
from local.adobe.__main__ import main
from local.adobe.settings import add_arguments, from_arguments, to_arguments
from local.adobe.stand_in import LISTENING, StandInError
from tests.integration.adobe_stand_in.wire import FAST, Client

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_where_it_listens_and_stops_cleanly(word: signal.Signals) -> None:
    command = [sys.executable, "-m", "local.adobe", "--port=0", "--pixels=fast", "--allow-loopback"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        assert first.startswith(LISTENING)
        url = first.removeprefix(LISTENING).strip()
        with urllib.request.urlopen(url + "/stand-in/health", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(word)
        rest, errors = process.stdout.read(), process.stderr.read()
        process.wait(10)
    assert process.returncode == 0
    assert errors == ""
    for said in ("stand-in-client-id", "stand-in-client-secret", "/v1/mask-objects", "Stopped."):
        assert said in rest


def test_a_port_in_use_is_one_clear_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    assert f"Port {port}" in said
    assert "choose another port" in said


def test_a_setting_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--time-scale", "0"]) == 2
    assert "time_scale" in capsys.readouterr().err


def test_the_library_says_the_same_when_the_port_is_in_use() -> None:
    with StandIn(FAST) as first:
        port = int(first.url.rsplit(":", 1)[1])
        with pytest.raises(StandInError, match=f"Port {port}"):
            StandIn(Settings(port=port, quiet=True)).start()


def test_a_process_of_its_own_serves_and_ends(capfd: pytest.CaptureFixture[str]) -> None:
    with StandIn(FAST, where="process") as stand_in:
        client = Client(stand_in)
        assert client.headers["Authorization"] != "Bearer None"
        client.http.close()
        url = stand_in.url
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url + "/stand-in/health", timeout=2)
    assert capfd.readouterr().err == ""


def test_every_setting_survives_the_command_line() -> None:
    settings = Settings(port=1, labels=("a", "b"), limits=False, duration=2.5, extra_hosts=("x.test",), pixels="fast")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert from_arguments(parser.parse_args(to_arguments(settings))) == settings
