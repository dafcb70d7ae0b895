"""AWS on this machine: ministack as a child process, with IAM enforced, that leaves nothing behind.

with EmbeddedAws() as aws:
    aws.client("s3").create_bucket(Bucket="photos")
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import boto3
import botocore.session
import requests
from botocore.config import Config

from local.errors import AwsStoppedError, PortTakenError
from local.paths import ROOT
from local.startable import Startable

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

#: Of our environment the child sees these alone: no profile, credential or setting of the person may change what it does.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE",
              "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")  # fmt: skip
LOOPBACK = "127.0.0.1"
#: The same as in local.embedded_aws.process, which is not imported here: it loads all of ministack.
_FOLDER = "cleanplate-aws-"
#: Not as a module of its own name: the processes of functions, which are forked, would import it again.
_PROGRAM = "from local.embedded_aws.process import main; main()"


class EmbeddedAws(Startable):
    """One embedded AWS, from :meth:`start` to :meth:`stop`.

    ``port`` 0 takes a free one. ``wait_scale`` scales the state machine's waits and retries, nothing else. At most
    ``lanes`` functions run at a time: each is a process of some 60 MB. ``log`` is kept; without it the log goes with
    the rest.
    """

    region = "us-east-1"
    access_key_id = "test"
    secret_access_key = "test"  # noqa: S105 - opens nothing but this process, on loopback

    def __init__(self, *, port: int = 0, wait_scale: float = 1.0, lanes: int = 4, log: Path | None = None) -> None:
        self._asked_port = port
        self._wait_scale = wait_scale
        self._lanes = lanes
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        #: Told in the health answer: another server may take the port between our look and our start.
        self._badge = secrets.token_hex(8)
        self.port = 0

    @property
    def endpoint_url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def log(self) -> Path:
        """Everything that the server wrote."""
        if self._log is None:
            self._log = self._own_folder / "aws.log"
        return self._log

    @property
    def _own_folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=_FOLDER))
        return self._folder

    def start(self, deadline: float = 60.0) -> Self:
        """Start, and return when it answers; ``deadline`` in seconds."""
        if importlib.util.find_spec("ministack") is None:
            raise AwsStoppedError(
                "The embedded AWS needs the package ministack: run this through make, which installs it."
            )
        for attempts_left in (2, 1, 0):
            self.port = self._asked_port or free_port()
            try:
                self._start_once(time.monotonic() + deadline)
            except PortTakenError:
                if self._asked_port or not attempts_left:
                    raise
            else:
                break
        return self

    def _start_once(self, deadline: float) -> None:
        if not _is_free(self.port):
            raise _taken(self.port)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            # In a session of its own: Ctrl-C is ours to handle, and stopping the group stops its functions too.
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(self._lanes)],
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers(deadline)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and its functions, and remove what they kept. Safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            _end_group(process)
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
        folder, self._folder = self._folder, None
        if folder is not None:
            if self._log is not None and self._log.is_relative_to(folder):
                self._log = None
            shutil.rmtree(folder, ignore_errors=True)

    def check(self) -> None:
        """Raise :class:`AwsStoppedError` where the server has ended by itself."""
        if self._process is None or self._process.poll() is not None:
            raise AwsStoppedError(f"The embedded AWS has stopped. {self.last_words()}")

    def last_words(self, lines: int = 12) -> str:
        """Return the end of the log, for an error message."""
        try:
            words = self.log.read_text(errors="replace").strip().splitlines()[-lines:]
        except OSError:
            words = []
        return "Its last words:\n  " + "\n  ".join(words) if words else "It said nothing."

    def set_wait_scale(self, scale: float) -> None:
        """Scale the waits and retries of every execution from now on."""
        answer = requests.post(
            f"{self.endpoint_url}/_ministack/config",
            data=json.dumps({"stepfunctions._SFN_WAIT_SCALE": scale}),
            timeout=5,
            proxies={"http": ""},
        )
        if answer.json().get("applied", {}).get("stepfunctions._SFN_WAIT_SCALE") != scale:
            raise ValueError(f"{scale} is not a scale for waits: {answer.text}")

    # --- clients ---

    @property
    def environment(self) -> dict[str, str]:
        """What lets any other program, such as the AWS CLI, use this AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }

    @cached_property
    def session(self) -> boto3.Session:
        """A session that knows nothing of this person's profiles and configuration."""
        nowhere: dict[str, Any] = {
            "profile": (None, [], None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
        return boto3.Session(
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            region_name=self.region,
            botocore_session=botocore.session.Session(session_vars=nowhere),
        )

    @overload
    def client(self, service: Literal["cloudformation"]) -> CloudFormationClient: ...
    @overload
    def client(self, service: Literal["cloudwatch"]) -> CloudWatchClient: ...
    @overload
    def client(self, service: Literal["dynamodb"]) -> DynamoDBClient: ...
    @overload
    def client(self, service: Literal["events"]) -> EventBridgeClient: ...
    @overload
    def client(self, service: Literal["lambda"]) -> LambdaClient: ...
    @overload
    def client(self, service: Literal["s3"]) -> S3Client: ...
    @overload
    def client(self, service: Literal["secretsmanager"]) -> SecretsManagerClient: ...
    @overload
    def client(self, service: Literal["sqs"]) -> SQSClient: ...
    @overload
    def client(self, service: Literal["stepfunctions"]) -> SFNClient: ...
    @overload
    def client(self, service: str) -> Any: ...  # noqa: ANN401

    def client(self, service: str) -> Any:
        """Return a boto3 client of this AWS; one per service, safe to share between threads."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self.session.client(
                    service,  # type: ignore[call-overload]
                    endpoint_url=self.endpoint_url,
                    config=Config(
                        connect_timeout=5,
                        read_timeout=60,
                        retries={"mode": "standard", "total_max_attempts": 3},
                        proxies={},
                        s3={"addressing_style": "path"},
                        max_pool_connections=32,
                    ),
                )
            return self._clients[service]

    # --- the process ---

    def _environment(self) -> dict[str, str]:
        folder = self._own_folder
        temporary = folder / "tmp"
        temporary.mkdir(exist_ok=True)
        no_proxy = [os.environ.get("NO_PROXY") or os.environ.get("no_proxy", ""), LOOPBACK, "localhost"]
        return {
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            **self.environment,
            "NO_PROXY": ",".join(filter(None, no_proxy)),
            "no_proxy": ",".join(filter(None, no_proxy)),
            "HOME": str(folder),
            "TMPDIR": str(temporary),
            "STATE_DIR": str(folder / "state"),
            "PYTHONUNBUFFERED": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_VERSION": self._badge,
            "BIND_HOST": LOOPBACK,
            "AUTH": "true",
            "SFN_WAIT_SCALE": str(self._wait_scale),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": f"unix://{folder}/no-container-engine",
        }

    def _wait_until_it_answers(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise AwsStoppedError(f"The embedded AWS did not start. {self.last_words()}")
            with contextlib.suppress(requests.RequestException):
                answer = requests.get(f"{self.endpoint_url}/_ministack/health", timeout=2, proxies={"http": ""})
                if self._badge not in answer.text:
                    raise _taken(self.port)
                return
            time.sleep(0.05)
        raise AwsStoppedError(f"The embedded AWS does not answer on port {self.port}. {self.last_words()}")


def free_port() -> int:
    """Return a port on loopback on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _taken(port: int) -> PortTakenError:
    return PortTakenError(
        f"Port {port} is taken by another program. Stop that one, or choose another port: make up ARGS='--port 4577'"
    )


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads its own group, and everything in that group; asks first."""
    group = process.pid
    for kind, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, kind)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            process.poll()
            if not _group_lives(group):
                break
            time.sleep(0.02)
        else:
            continue
        break
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group of zombies
        return False
    return True
