"""The front doors, opened as people open them: as programs of their own, from a copy of the checkout elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local.adobe import Settings, StandIn
from local.paths import ROOT

STACK_KEYS = {
    "endpoint_url",
    "region",
    "access_key_id",
    "secret_access_key",
    "uploads_bucket",
    "results_bucket",
    "jobs_table",
    "adobe_api_url",
}
#: Nobody waits here for the sake of Adobe's pace.
FAST = ("--wait-scale", "0.1", "--parameter", "CountPolls=false", "--parameter", "RequestsPerMinute=6000")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone holds of what runs, in a folder whose name has a space."""
    copy = tmp_path_factory.mktemp("clone") / "clean plate"
    copy.mkdir()
    for name in ("cleanplate_cli", "functions", "layers", "local", "statemachine"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "template.yaml", copy)
    return copy


@pytest.fixture(scope="module")
def _adobe() -> Iterator[StandIn]:
    with StandIn(Settings(port=0, allow_loopback=True, duration=0.2, pixels="fast", limits=False, quiet=True)) as adobe:
        yield adobe


@pytest.fixture
def adobe(_adobe: StandIn) -> StandIn:
    """An Adobe that somebody else runs; this one is as fast as a test needs."""
    _adobe.clear_rules()
    return _adobe


def at(adobe: StandIn) -> dict[str, str]:
    """The environment that names a service and its account."""
    account = adobe.settings
    return {
        "ADOBE_API_URL": adobe.url,
        "ADOBE_IMS_URL": adobe.url,
        "ADOBE_CLIENT_ID": account.client_id,
        "ADOBE_CLIENT_SECRET": account.client_secret,
    }


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test's own folder for temporary files, with a name short enough for a socket in it."""
    return tmp_path_factory.mktemp("t")


@pytest.fixture
def start(checkout: Path, temporary: Path) -> Iterator[Start]:
    """Open a door; whatever a test leaves open is closed."""
    opened: list[subprocess.Popen[str]] = []

    def start(*words: str, **environment: str) -> subprocess.Popen[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ADOBE_", "AWS_"))}
        process = subprocess.Popen(
            [sys.executable, "-m", "local", *words],
            cwd=checkout,
            env={**inherited, "TMPDIR": str(temporary), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        opened.append(process)
        return process

    yield start
    for process in opened:
        if process.poll() is None:
            process.terminate()
            process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def descendants(pid: int) -> set[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in map(str.split, listed.splitlines())}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def alive(pids: set[int]) -> set[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,stat="], capture_output=True, text=True, check=True).stdout
    running = {int(pid) for pid, state in map(str.split, listed.splitlines()) if not state.startswith("Z")}
    return pids & running


def read_stack(checkout: Path, process: subprocess.Popen[str], deadline: float = 30.0) -> dict[str, Any]:
    """The stack.json of this process; one that was killed leaves its own behind."""
    until = time.monotonic() + deadline
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            stack: dict[str, Any] = json.loads((checkout / ".local" / "stack.json").read_text())
            if stack["pid"] == process.pid:
                return stack
        time.sleep(0.05)
    raise AssertionError(
        f"no stack.json: {process.communicate()[0] if process.poll() is not None else 'still starting'}"
    )


def read_until(process: subprocess.Popen[str], *words: str, deadline: float = 60.0) -> str:
    """All that the process prints until each of these words is there; it is ended where they do not come."""
    assert process.stdout is not None
    output = ""
    giving_up = threading.Timer(deadline, process.kill)
    giving_up.start()
    try:
        for line in process.stdout:
            output += line
            if all(word in output for word in words):
                return output
    finally:
        giving_up.cancel()
    raise AssertionError(f"{words!r} was never said: {output}")


def test_run_goes_on_where_it_was_interrupted(
    start: Start, photo: bytes, adobe: StandIn, temporary: Path, tmp_path: Path
) -> None:
    mine, out = tmp_path / "my photos", tmp_path / "out put"
    mine.mkdir()
    good = [mine / "a dog's cup.jpg", mine / "endless.jpg"]
    for file in good:
        file.write_bytes(photo)
    (mine / "broken.jpg").write_bytes(b"this is no photograph")
    adobe.add_rules({"route": "POST /v1/mask-objects", "photo": "endless.jpg", "fault": "never_finishes"})

    def run(*files: Path) -> subprocess.Popen[str]:
        photos = " ".join(f'"{file}"' for file in files)
        return start("run", "--deadline", "60", *FAST, PHOTOS=photos, REMOVE="subject", OUT=str(out), **at(adobe))

    interrupted = run(mine)
    until = time.monotonic() + 150
    while len(list(out.glob("*.jpg.json"))) < 2 and interrupted.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    interrupted.send_signal(signal.SIGINT)
    output, _ = interrupted.communicate(timeout=30)
    assert interrupted.returncode == 130, output
    assert f"Adobe's API is {adobe.url}" in output
    assert "2 of 3 photos saved" in output
    assert "the same command goes on with the rest" in output
    manifest = json.loads((out / "a dog's cup.jpg.json").read_text())
    assert manifest["outcome"] == "cleaned"
    assert (out / "a dog's cup.jpg").stat().st_size == manifest["result"]["bytes"]
    assert (out / "pictures" / "a dog's cup.jpg.before-mask-after.jpg").exists()
    page = (out / "index.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3
    assert "NotAPhotoError" in page
    assert list(temporary.iterdir()) == []

    # A second run passes over what is done, and leaves alone what somebody put beside it.
    adobe.clear_rules()
    (out / "notes.txt").write_text("mine")
    (out / "index.html").write_text("mine")
    again = run(mine)
    output, _ = again.communicate(timeout=90)
    assert again.returncode == 1, output
    assert "1 photo done already in" in output
    assert "Cleaning 2 photos on" in output
    assert "broken.jpg: NotAPhotoError" in output
    assert "What to do: Upload a JPEG" in output
    assert "2 of 3 went well" in output
    assert {(out / name).read_text() for name in ("notes.txt", "index.html")} == {"mine"}
    assert (out / "index (2).html").read_text().count("data:image/jpeg;base64,") == 6

    # Where nothing is left to do, no stack is started.
    nothing_left = run(*good)
    output, _ = nothing_left.communicate(timeout=90)
    assert nothing_left.returncode == 0, output
    assert "2 photos done already" in output
    assert "embedded AWS" not in output
    assert {file.read_bytes() for file in good} == {photo}


def test_a_killed_up_leaves_nothing_running(start: Start, checkout: Path, temporary: Path) -> None:
    """Where no service is named it starts a stand-in for Adobe, which ends with it as the embedded AWS does."""
    up = start("up")
    stack = read_stack(checkout, up)
    with urllib.request.urlopen(f"{stack['adobe_api_url']}/stand-in/counters", timeout=5) as answer:
        assert answer.status == 200
    started = descendants(up.pid)
    assert len(started) >= 2

    up.kill()
    up.wait(5)

    until = time.monotonic() + 30
    while alive(started) and time.monotonic() < until:
        time.sleep(0.1)
    assert alive(started) == set()
    assert list(temporary.iterdir()) == []
    assert (checkout / ".local" / "stack.json").exists(), "what the next one is not to be put off by"


def test_up_serves_any_s3_client_and_leaves_nothing(
    start: Start, checkout: Path, photo: bytes, adobe: StandIn, temporary: Path
) -> None:
    # As a killed one leaves it.
    (checkout / ".local").mkdir(exist_ok=True)
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    (checkout / ".local" / "stack.json").write_text(json.dumps({"pid": killed.pid}))

    up = start("up", *FAST, **at(adobe))
    stack = read_stack(checkout, up)
    assert stack.keys() >= STACK_KEYS
    assert stack["adobe_api_url"] == adobe.url
    settings = json.loads((checkout / ".local" / "env-vars.json").read_text())
    assert settings["RequestMaskFunction"]["UPLOADS_BUCKET"] == stack["uploads_bucket"]

    s3 = boto3.client(
        "s3",
        endpoint_url=stack["endpoint_url"],
        region_name=stack["region"],
        aws_access_key_id=stack["access_key_id"],
        aws_secret_access_key=stack["secret_access_key"],
        config=Config(proxies={}),
    )
    s3.put_object(Bucket=stack["uploads_bucket"], Key="Grüße & 1+1.jpg", Body=photo)
    s3.get_waiter("object_exists").wait(
        Bucket=stack["results_bucket"], Key="Grüße & 1+1.jpg.json", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    s3.close()
    welcome = read_until(up, "Grüße & 1+1.jpg: cleaned", "1 photo: 1 cleaned")
    started = descendants(up.pid)
    assert not any("local.adobe" in line for line in commands(started)), "a stand-in was started beside the given one"

    up.send_signal(signal.SIGTERM)
    output, _ = up.communicate(timeout=20)

    assert up.returncode == 0, output
    assert "nothing is left running" in output
    assert f"s3://{stack['uploads_bucket']}" in welcome
    assert alive(started) == set()
    assert not (checkout / ".local" / "stack.json").exists()
    assert list(temporary.iterdir()) == []


def commands(pids: set[int]) -> list[str]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if int(line.split(None, 1)[0]) in pids]


def test_a_taken_port_is_said_in_one_sentence(start: Start, adobe: StandIn) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        up = start("up", "--port", str(port), ADOBE_API_URL=adobe.url)
        output, _ = up.communicate(timeout=30)
    assert up.returncode == 2
    assert f"Port {port} is taken by another program." in output
    assert "Traceback" not in output


def test_adobe_alone_serves_any_client(start: Start) -> None:
    adobe = start("adobe", "--port", "0")
    assert adobe.stdout is not None
    url = adobe.stdout.readline().split()[-1]
    with urllib.request.urlopen(f"{url}/stand-in/counters", timeout=5) as answer:
        assert answer.status == 200

    adobe.send_signal(signal.SIGINT)

    assert adobe.wait(10) == 0
