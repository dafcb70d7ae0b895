"""One deployed stack with Adobe's stand-in for all end-to-end tests, made fast: no real pictures, short waits.

A photo takes a second or two. Tests share the stack, so each uses keys of its own; rules and counters of the stand-in
are cleared before each.
"""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from cleanplate.adobe.routes import ROUTES
from cleanplate.jobs.ledger import Ledger
from cleanplate.models import Job
from cleanplate.rate_limit.limiter import RateLimiter
from cleanplate.rate_limit.limits import RateLimits
from local.adobe import Settings, StandIn
from local.demo.job_watcher import JobSnapshot, look, read_manifest, read_object
from local.demo.photographs import photograph
from local.stack import LocalCloud
from tests.schemas import check_event

DEADLINE = 60.0
#: Nobody waits here for the sake of Adobe's pace.
REQUESTS_PER_MINUTE, REQUESTS_PER_DAY = 6000, 1_000_000
#: One that the stack may read, besides its own; a test creates it.
OTHER_BUCKET = "their-archive"
#: Modules that share a stack, by the name of their group; what is not named here shares one more. Much of their time is
#: waiting, so the groups wait beside each other.
GROUPS = {
    "test_alarms": "alarms",
    **dict.fromkeys(("test_folder_by_a_stack", "test_invoke", "test_operate", "test_progress_and_backfill"), "folders"),
}


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Mark every module of this folder."""
    if isinstance(collector, pytest.Module):
        collector.add_marker(pytest.mark.end_to_end)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give each group its worker, and so its stack (``--dist loadgroup``)."""
    if "_system" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.xdist_group(GROUPS.get(item.path.stem, "end_to_end")))


@dataclass(frozen=True)
class Dropped:
    """A photo that was put into the uploads bucket."""

    key: str
    version_id: str


@dataclass(frozen=True)
class Ended:
    """How it ended: the record as seen, the manifest, and the result's bytes."""

    snapshot: JobSnapshot
    manifest: Mapping[str, Any]
    result: bytes | None

    @property
    def outcome(self) -> str:
        return self.snapshot.status

    @property
    def reason(self) -> str:
        return str(self.manifest.get("reason", ""))


def until(
    look: Callable[[], dict[str, Any]],
    is_so: Callable[[dict[str, Any]], bool],
    deadline: float = DEADLINE,
    *,
    every: float = 0.2,
) -> dict[str, Any]:
    """Return what ``look`` gives once it is so; it is called every so many seconds."""
    end = time.monotonic() + deadline
    while not is_so(found := look()):
        assert time.monotonic() < end, found
        time.sleep(every)
    return found


def output(execution: dict[str, Any]) -> dict[str, Any]:
    assert execution["status"] == "SUCCEEDED", execution
    found: dict[str, Any] = json.loads(execution["output"])
    return found


class System:
    """The deployed stack, with what tests do to it."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.aws = cloud.aws
        self.stack = cloud.stack
        self.events_queue = self._listen()
        self._events: list[dict[str, Any]] = []
        self.pages(wanted=False)
        self.expect_quick_jobs()

    @property
    def adobe(self) -> StandIn:
        assert self.cloud.stand_in is not None
        return self.cloud.stand_in

    def invoke(self, function: str, event: Mapping[str, Any] | None = None) -> Any:
        """A function's answer; where it failed, what Lambda says of the error."""
        answer = self.aws.client("lambda").invoke(
            FunctionName=self.stack.functions[function], Payload=json.dumps(event or {})
        )
        return json.loads(answer["Payload"].read())

    def sweep(self) -> dict[str, Any]:
        """Have the sweeper come, and return what it says it did."""
        answer: dict[str, Any] = self.invoke("SweepJobsFunction")
        assert "errorType" not in answer, answer
        return answer

    def pages(self, *, wanted: bool) -> None:
        """Have pages written of folders that are done, or not: each costs processor time that most tests can do without."""
        self.subscribe("WriteFolderPageFunction", wanted=wanted)

    def expect_quick_jobs(self) -> None:
        """Let the stack know how quick the stand-in is: it would wait for six seconds before its first status request."""
        # With the stack's own limits: a grid of others would be left as it is for a while.
        limits = RateLimits(per_minute=REQUESTS_PER_MINUTE, per_day=REQUESTS_PER_DAY)
        limiter = RateLimiter(self.aws.client("dynamodb"), self.stack.jobs_table, limits)
        for route in ROUTES:
            limiter.observe(route, 1.0)

    def subscribe(self, function: str, *, wanted: bool) -> None:
        """Have a function called for the events that its one rule names, or not."""
        events = self.aws.client("events")
        (rule,) = events.list_rule_names_by_target(TargetArn=self._arn(function))["RuleNames"]
        (events.enable_rule if wanted else events.disable_rule)(Name=rule)

    def _arn(self, function: str) -> str:
        name = self.stack.functions[function]
        return str(self.aws.client("lambda").get_function_configuration(FunctionName=name)["FunctionArn"])

    def execute(self, machine: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The ended execution of a state machine, named by the stack's output."""
        client = self.aws.client("stepfunctions")
        arn = client.start_execution(stateMachineArn=self.stack.outputs[machine], input=json.dumps(asked))[
            "executionArn"
        ]
        return until(
            lambda: dict(client.describe_execution(executionArn=arn)),
            lambda execution: execution["status"] != "RUNNING",
        )

    def record(self, job_id: str) -> Job:
        """Return a job as its record says it is now."""
        found = Ledger(self.aws.client("dynamodb"), table=self.stack.jobs_table, record_days=1).get(job_id)
        assert found is not None, job_id
        return found

    def execution_of(self, job_id: str) -> str:
        """Return the ARN of the execution that a job's run has."""
        arn = self.stack.state_machine_arn.replace(":stateMachine:", ":execution:")
        return f"{arn}:{self.record(job_id).execution_name}"

    def drop(self, content: bytes, key: str = "", *, prefix: str = "", **metadata: str) -> Dropped:
        """Put a photo into the uploads bucket; ``metadata`` are options such as ``remove``."""
        key = key or f"{prefix}{uuid.uuid4().hex}.jpg"
        answer = self.aws.client("s3").put_object(
            Bucket=self.stack.uploads_bucket, Key=key, Body=content, Metadata=metadata
        )
        return Dropped(key, answer["VersionId"])

    def find(self, dropped: Dropped) -> list[JobSnapshot]:
        """Every job of one upload; there should be one."""
        return [
            snapshot
            for snapshot in look(self.aws, self.stack, dropped.key)
            if snapshot.version_id == dropped.version_id
        ]

    def wait(self, dropped: Dropped, deadline: float = DEADLINE) -> Ended:
        """Wait for the outcome, record, manifest and event."""
        until = time.monotonic() + deadline
        found: list[JobSnapshot] = []
        while time.monotonic() < until:
            if not any(self.version_of(event) == dropped.version_id for event in self._events):
                # To wait for its event costs less than to scan the table again and again.
                self._receive_events()
                continue
            found = self.find(dropped)
            if found and all(snapshot.ended for snapshot in found):
                snapshot = found[0]
                manifest = read_manifest(self.aws, self.stack, snapshot)
                assert manifest is not None, f"{dropped.key} ended as {snapshot.status} without a manifest"
                result = manifest.get("result")
                content = read_object(self.aws, self.stack.results_bucket, result["key"]) if result else None
                return Ended(snapshot, manifest, content)
            time.sleep(0.25)
        raise AssertionError(f"{dropped.key} came to nothing in {deadline:g} s: {found}. {self.aws.last_words(40)}")

    def clean(self, content: bytes, key: str = "", *, prefix: str = "", **metadata: str) -> Ended:
        """Drop a photo and wait for what comes of it."""
        return self.wait(self.drop(content, key, prefix=prefix, **metadata))

    def published(self, key: str, deadline: float = 10.0, *, count: int = 1) -> list[dict[str, Any]]:
        """The events about one photo that came over the bus, at least ``count``."""
        until = time.monotonic() + deadline
        while True:
            found = [event for event in self._events if self.key_of(event) == key]
            if len(found) >= count or time.monotonic() > until:
                return found
            self._receive_events()

    def refused(self, correlation_id: str, deadline: float = 30.0) -> dict[str, Any]:
        """Return the detail of the ``Request Refused`` that answers one request."""
        until = time.monotonic() + deadline
        while True:
            for event in self._events:
                if event["detail-type"] == "Request Refused" and event["detail"]["correlation_id"] == correlation_id:
                    found: dict[str, Any] = event["detail"]
                    return found
            assert time.monotonic() < until, f"nobody refused {correlation_id}"
            self._receive_events()

    def folders_done(self, folder: str) -> list[dict[str, Any]]:
        """The detail of every ``Folder Done`` about a folder, when the bus has fallen silent."""
        quiet = 0
        while quiet < 3:
            quiet = 0 if self._receive_events() else quiet + 1
        return [
            event["detail"]
            for event in self._events
            if event["detail-type"] == "Folder Done" and event["detail"]["folder"] == folder
        ]

    @staticmethod
    def key_of(event: Mapping[str, Any]) -> str | None:
        """Return the key of the photo that an event is about."""
        about = event["detail"].get("photo") or event["detail"].get("request")
        return about.get("key") if isinstance(about, dict) else None

    @staticmethod
    def version_of(event: Mapping[str, Any]) -> str | None:
        """Return the version of the photo whose outcome an event tells."""
        version: str | None = (event["detail"].get("photo") or {}).get("version_id")
        return version

    def _receive_events(self) -> int:
        """Keep what comes over the bus within a second, for whichever test asks for it; return how many events came."""
        sqs = self.aws.client("sqs")
        answer = sqs.receive_message(QueueUrl=self.events_queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        messages = answer.get("Messages", [])
        for message in messages:
            event = json.loads(message["Body"])
            check_event(event)
            self._events.append(event)
            sqs.delete_message(QueueUrl=self.events_queue, ReceiptHandle=message["ReceiptHandle"])
        return len(messages)

    def _listen(self) -> str:
        """Send every event of ours to a queue."""
        sqs, events = self.aws.client("sqs"), self.aws.client("events")
        url = sqs.create_queue(QueueName="published")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": arn}]}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
        events.put_rule(Name="published", EventPattern=json.dumps({"source": ["cleanplate"]}))
        events.put_targets(Rule="published", Targets=[{"Id": "published", "Arn": arn}])
        return url


@pytest.fixture(scope="session")
def _system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with LocalCloud(
        adobe=Settings(port=0, allow_loopback=True, duration=0.2, pixels="fast", limits=False, quiet=True),
        wait_scale=0.1,
        # Each of a function's processes costs half a second of processor time before it does anything.
        lanes=2,
        parameters={
            "CountPolls": "false",
            "RequestsPerMinute": str(REQUESTS_PER_MINUTE),
            "RequestsPerDay": str(REQUESTS_PER_DAY),
            "OtherBucket": OTHER_BUCKET,
        },
        log=tmp_path_factory.mktemp("aws") / "aws.log",
    ) as cloud:
        yield System(cloud)


@pytest.fixture
def system(_system: System) -> System:
    """The deployed stack, with a stand-in that behaves."""
    _system.aws.check()
    _system.adobe.clear_rules()
    _system.adobe.clear_counters()
    return _system


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A small JPEG photograph."""
    buffer = io.BytesIO()
    photograph("coffee").save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
