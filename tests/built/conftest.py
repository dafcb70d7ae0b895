from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cleanplate.jobs.ledger import Ledger
from local.adobe import Settings, StandIn
from local.dev import sam
from local.dev.emulator import Emulator, emulator_program
from local.embedded_aws.deploy import Stack, deploy
from local.embedded_aws.server import EmbeddedAws
from local.paths import ROOT
from tests.consistency.project import Project

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: The names in the sample events.
UPLOADS, RESULTS = "cleanplate-uploads-123456789012", "cleanplate-results-123456789012"
#: What the makefiles of the layers call, and SAM CLI itself.
_PROGRAMS = ("sh", "bash", "env", "make", "cp", "find", "mkdir", "rm", "python3.11")
#: In place of the deployed machine, so that every step is left to the tests. Seconds.
_WAITING = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 86_400, "End": True}}}


@dataclass(frozen=True)
class Build:
    """What `sam build` made, and of what it could see."""

    folder: Path
    path: str


def search_path(build: Path) -> list[Path]:
    """The built package first; what else the functions need from this environment, since arm64 wheels do not load here."""
    return [build / "CleanplateLayer" / "python", Path(sysconfig.get_path("purelib"))]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The project, built as `make build` does, but with no Python at hand other than 3.11."""
    if not sam.PYTHON.exists():
        pytest.skip("SAM CLI is not set up: make setup")
    folder = tmp_path_factory.mktemp("sam")
    programs = folder / "programs"
    programs.mkdir()
    for name in _PROGRAMS:
        if found := shutil.which(name, path=os.pathsep.join([*os.defpath.split(os.pathsep), os.environ["PATH"]])):
            (programs / name).symlink_to(found)
    environment = sam.environment(offline=True)
    path = os.pathsep.join([str(programs), str(sam.PYTHON.parent)])
    done = subprocess.run(
        [
            str(sam.PYTHON), "-m", "samcli", "build", "--no-cached",
            "--build-dir", str(folder / "build"), "--cache-dir", str(folder / "cache"),
        ],
        cwd=ROOT, env={**environment, "PATH": path, "UV_PYTHON_INSTALL_DIR": str(folder / "none")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return Build(folder / "build", path)


@dataclass(frozen=True)
class Stage:
    """The built functions beside an embedded AWS with the deployed stack, and Adobe's stand-in."""

    aws: EmbeddedAws
    adobe: StandIn
    stack: Stack
    build: Path
    logs: Path
    _program: Path
    _opened: ExitStack
    _emulators: dict[str, Emulator] = field(default_factory=dict)

    @property
    def s3(self) -> S3Client:
        return self.aws.client("s3")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.aws.client("dynamodb"), table=self.stack.jobs_table, record_days=1)

    def invoke(self, function: str, event: Any) -> Any:
        """Have a built function answer an event, with the settings and the rights that the template gives it."""
        if function not in self._emulators:
            emulator = Emulator(
                self._program,
                folder=self.build / function,
                search_path=search_path(self.build),
                function=function,
                environment=self._environment(function),
                log=self.logs / f"{function}.log",
            )
            self._emulators[function] = self._opened.enter_context(emulator)
        return self._emulators[function].invoke(event)

    def log(self, function: str) -> str:
        """What a function said so far."""
        return self._emulators[function].log

    def _environment(self, function: str) -> dict[str, str]:
        about = self.aws.client("lambda").get_function_configuration(FunctionName=self.stack.functions[function])
        role = self.aws.client("sts").assume_role(RoleArn=about["Role"], RoleSessionName=function)
        return {
            **about["Environment"]["Variables"],
            "AWS_ENDPOINT_URL": self.aws.endpoint_url,
            "AWS_REGION": self.aws.region,
            "AWS_DEFAULT_REGION": self.aws.region,
            "AWS_ACCESS_KEY_ID": role["Credentials"]["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": role["Credentials"]["SecretAccessKey"],
            "AWS_SESSION_TOKEN": role["Credentials"]["SessionToken"],
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(about["Timeout"]),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(about["MemorySize"]),
        }


@pytest.fixture(scope="session")
def stage(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    program = emulator_program()
    if program is None:
        pytest.skip("SAM CLI has no Runtime Interface Emulator for this machine")
    with ExitStack() as opened:
        settings = Settings(port=0, allow_loopback=True, quiet=True, pixels="fast", duration=0.5, limits=False)
        adobe = opened.enter_context(StandIn(settings))
        aws = opened.enter_context(EmbeddedAws())
        for bucket in (UPLOADS, RESULTS):
            aws.client("s3").create_bucket(Bucket=bucket)
        aws.client("s3").put_bucket_versioning(Bucket=UPLOADS, VersioningConfiguration={"Status": "Enabled"})
        stack = deploy(
            aws,
            {
                "AdobeClientId": settings.client_id,
                "AdobeClientSecret": settings.client_secret,
                "AdobeApiUrl": adobe.url,
                "AdobeImsUrl": adobe.url,
                "CountPolls": "false",
                "RequestsPerMinute": "6000",
                "RequestsPerDay": "1000000",
                "ExistingUploadsBucket": UPLOADS,
                "ExistingResultsBucket": RESULTS,
            },
        )
        aws.client("stepfunctions").update_state_machine(
            stateMachineArn=stack.state_machine_arn, definition=json.dumps(_WAITING)
        )
        logs = tmp_path_factory.mktemp("logs")
        yield Stage(aws, adobe, stack, build.folder, logs, program, opened)


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Any]:
    """A sample event by its name."""
    project = Project()
    return lambda name: project.event(f"events/{name}.json")
