"""Give a step what it works with, on moto and ministack instead of AWS and with a clock that a test sets."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cleanplate.adobe.client import AdobeClient
from cleanplate.adobe.routes import ROUTES
from cleanplate.aws.dynamodb import from_item
from cleanplate.aws.storage import Storage
from cleanplate.jobs.ledger import Ledger
from cleanplate.jobs.records import job_from_item
from cleanplate.jobs.waiting_room import WaitingRoom
from cleanplate.models import Job, Options, Photo
from cleanplate.rate_limit.limiter import RateLimiter
from cleanplate.services import Services, rate_limits
from cleanplate.settings import Settings, read_settings
from cleanplate.uploads.identity import job_id
from tests.aws import (
    ACCOUNT,
    REGION,
    client_as_new,
    ministack_dynamodb_client,
    moto_backend,
)
from tests.schemas import check_event

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

UPLOADS, RESULTS, WORK, TABLE = "the-uploads", "the-results", "the-work", "the-jobs"
_MACHINES = ("clean-photo", "waiting-room")
_QUEUES = ("uploads", "admitted", "dead_letter")
NOW = 1_800_000_000.25

ENVIRONMENT = {
    "UPLOADS_BUCKET": UPLOADS,
    "RESULTS_BUCKET": RESULTS,
    "WORK_BUCKET": WORK,
    "JOBS_TABLE": TABLE,
    "UPLOADS_QUEUE_URL": "",
    "STATE_MACHINE_ARN": "",
    "EVENT_BUS": "default",
    "ADOBE_API_URL": "https://image.adobe.io",
    "ADOBE_IMS_URL": "https://ims-na1.adobelogin.com",
    "ADOBE_SECRET": "the-secret",
    "ADOBE_SCOPES": "openid,AdobeID",
    "MASK_DEADLINE_SECONDS": "900",
    "FILL_DEADLINE_SECONDS": "900",
    "PHOTO_DEADLINE_HOURS": "24",
    "REQUESTS_PER_MINUTE": "6000",
    "REQUESTS_PER_DAY": "1000000",
    "COUNT_POLLS": "false",
    "SHARE_LEFT": "0",
    "DAILY_BUDGET": "0",
    "MAX_FILLS": "2",
    "MAX_MEGAPIXELS": "200",
    "MAX_PHOTO_MEGABYTES": "10",
    "MARK_AS_EDITED": "true",
    "RECORD_DAYS": "400",
    "FOLDER_QUIET_SECONDS": "0",
}


class Clock:
    """Give seconds since the epoch; they pass when a test says so."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


class KilledError(BaseException):
    """The process is gone in the middle of what it did; no ``except Exception`` sees it."""


class Stage:
    """Buckets, table, queue, state machine and bus, and the services on top of them.

    The table is ministack's, in this process: a call takes a fifth of the time that moto's takes, which is the second
    opinion where the table's writes themselves are looked at (``moto_table``).
    """

    def __init__(
        self,
        *,
        endpoint_url: str | None = None,
        make_adobe: Callable[[], AdobeClient] | None = None,
        moto_table: bool = False,
        **environment: str,
    ) -> None:
        self.clock = Clock()
        self._s3_url = endpoint_url
        self.dynamodb: DynamoDBClient = client_as_new("dynamodb") if moto_table else ministack_dynamodb_client()
        self.dynamodb.create_table(
            TableName=TABLE,
            AttributeDefinitions=[
                {"AttributeName": "job_id", "AttributeType": "S"},
                {"AttributeName": "open_shard", "AttributeType": "S"},
                {"AttributeName": "due_at", "AttributeType": "N"},
                {"AttributeName": "waiting_in", "AttributeType": "S"},
                {"AttributeName": "turn", "AttributeType": "N"},
            ],
            KeySchema=[{"AttributeName": "job_id", "KeyType": "HASH"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "OpenJobs",
                    "KeySchema": [
                        {"AttributeName": "open_shard", "KeyType": "HASH"},
                        {"AttributeName": "due_at", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                },
                {
                    "IndexName": "WaitingPhotos",
                    "KeySchema": [
                        {"AttributeName": "waiting_in", "KeyType": "HASH"},
                        {"AttributeName": "turn", "KeyType": "RANGE"},
                    ],
                    "Projection": {
                        "ProjectionType": "INCLUDE",
                        "NonKeyAttributes": ["not_before", "deadline_at", "entered_at"],
                    },
                },
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        self.machine_arn, self.room_arn = (
            f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}" for name in _MACHINES
        )
        self._events: list[dict[str, Any]] = []
        self._speak_our_time(self.dynamodb)
        self.settings: Settings = read_settings(
            {
                **ENVIRONMENT,
                **{
                    f"{name.upper()}_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"
                    for name in _QUEUES
                },
                "STATE_MACHINE_ARN": self.machine_arn,
                "WAITING_ROOM_ARN": self.room_arn,
                **environment,
            }
        )
        self.ledger = Ledger(self.dynamodb, table=TABLE, record_days=self.settings.record_days)
        self.make_adobe = make_adobe or _no_adobe

    # --- what most tests need only some of ---

    @cached_property
    def s3(self) -> S3Client:
        """Return S3 with the three buckets."""
        client: S3Client = client_as_new("s3", self._s3_url)
        for bucket in (UPLOADS, RESULTS, WORK):
            moto_backend("s3").create_bucket(bucket, REGION)
        moto_backend("s3").put_bucket_versioning(UPLOADS, "Enabled")
        return client

    @cached_property
    def storage(self) -> Storage:
        """Return the three buckets as steps use them."""
        return Storage(self.s3, work_bucket=WORK, results_bucket=RESULTS)

    @cached_property
    def events(self) -> EventBridgeClient:
        """Return the bus; what reaches it is kept."""
        client: EventBridgeClient = client_as_new("events")
        self._listen_to(client)
        return client

    @cached_property
    def stepfunctions(self) -> SFNClient:
        """Return Step Functions with the two machines."""
        client: SFNClient = client_as_new("stepfunctions")
        for name in _MACHINES:
            role = f"arn:aws:iam::{ACCOUNT}:role/machine"
            made = moto_backend("stepfunctions").create_state_machine(name, "{}", role)
            assert made.arn in (self.machine_arn, self.room_arn)
        return client

    @cached_property
    def sqs(self) -> SQSClient:
        """Return SQS with the queues. Time is the clock's: whoever receives a delayed message waits for its slot itself."""
        client: SQSClient = client_as_new("sqs")
        client.meta.events.register("provide-client-params.sqs.SendMessageBatch", _without_delay)
        for name in _QUEUES:
            client.create_queue(QueueName=name)
        return client

    @property
    def services(self) -> Services:
        """Return services as a fresh process has them."""
        return Services(
            settings=self.settings,
            ledger=self.ledger,
            storage=self.storage,
            limiter=RateLimiter(
                self.dynamodb,
                TABLE,
                rate_limits(self.settings),
                count_in_work=lambda: self.ledger.progress.in_work(self.settings.photo_buckets),
                clock=self.clock,
                random=lambda: 0.5,
                sleep=lambda _: None,
            ),
            room=WaitingRoom(self.dynamodb, table=TABLE, routes=tuple(ROUTES)),
            make_adobe=self.make_adobe,
            make_events=lambda: self.events,
            make_stepfunctions=lambda: self.stepfunctions,
            make_sqs=lambda: self.sqs,
            make_s3=lambda: self.s3,
            clock=self.clock,
            random=lambda: 0.5,
            sleep=self.clock.pass_by,
        )

    # --- doing ---

    def upload(self, key: str, content: bytes, **metadata: str) -> Photo:
        """Put an object into the uploads bucket; the photo as a notification would name it."""
        put = self.s3.put_object(Bucket=UPLOADS, Key=key, Body=content, Metadata=metadata)
        return Photo(
            bucket=UPLOADS,
            key=key,
            version_id=put.get("VersionId", ""),
            etag=put["ETag"].strip('"'),
            sequencer=f"{next(_SEQUENCE):016X}",
            size=len(content),
        )

    def claim(self, key: str = "dog.jpg", options: Options | None = None, **more: Any) -> Job:
        """Claim a job of a photo that need not be there."""
        photo = Photo(bucket=UPLOADS, key=key, version_id="v1", size=1000)
        options = options or Options()
        return self.ledger.claim(
            Job(
                job_id=job_id(photo, options, more.get("own_mask")),
                photo=photo,
                options=options,
                status="claimed",
                claimed_at=self.clock(),
                deadline_at=self.clock() + 86_400,
                **more,
            )
        )

    # --- looking ---

    def job(self, job_id: str) -> Job:
        """Return the job as the ledger has it."""
        job = self.ledger.get(job_id)
        assert job is not None
        return job

    def jobs(self) -> list[Job]:
        """Return every job in the ledger, oldest first."""
        found = [job_from_item(from_item(item)) for item in self.items() if "#" not in item["job_id"]["S"]]
        return sorted(found, key=lambda job: (job.claimed_at, job.job_id))

    def items(self) -> list[dict[str, Any]]:
        """Return everything in the Jobs table, as DynamoDB writes it."""
        return list(self.dynamodb.scan(TableName=TABLE)["Items"])

    def waiting(self) -> int:
        """Count the photos that wait in the room; one call, where the room itself looks into each of its lines."""
        return int(self.dynamodb.scan(TableName=TABLE, IndexName="WaitingPhotos", Select="COUNT")["Count"])

    def only_job(self) -> Job:
        """Return the one job that there is."""
        (job,) = self.jobs()
        return job

    def results(self) -> dict[str, bytes]:
        """Return everything in the results bucket."""
        return self._objects(RESULTS)

    def manifest(self, key: str) -> dict[str, Any]:
        """Return the manifest at a key of the results bucket."""
        found: dict[str, Any] = json.loads(self.content(RESULTS, key))
        return found

    def content(self, bucket: str, key: str) -> bytes:
        """Return an object's content, empty where there is none."""
        try:
            return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return b""

    def executions(self) -> list[tuple[str, dict[str, Any]]]:
        """Return name and input of every execution that was started."""
        started = self.stepfunctions.list_executions(stateMachineArn=self.machine_arn)["executions"]
        described = [self.stepfunctions.describe_execution(executionArn=one["executionArn"]) for one in started]
        return [(one["name"], json.loads(one["input"])) for one in described]

    def published(self, about: str = "Photo", *, keep: bool = False) -> list[dict[str, Any]]:
        """Return the events that were put on the bus since the last call; those about folders are not about photos.

        With ``keep`` the next call returns them too.
        """
        events, self._events = self._events, self._events if keep else []
        return [
            event
            for event in events
            if about in event["DetailType"] or event["DetailType"].startswith(("Nothing", "Mask"))
        ]

    @contextmanager
    def killed(self, *operations: str, when: str = "before", after: int = 0) -> Iterator[list[str]]:
        """Let the process die ``before`` or ``after`` one of these AWS calls, after some that go well.

        Gives the calls that came by, such as ``s3.PutObject``.
        """
        passed: list[str] = []
        handlers: list[tuple[Any, str, Callable[..., None]]] = []
        for operation in operations:
            service, _, name = operation.partition(".")
            client: Any = getattr(self, service)

            def kill(operation: str = operation, **_: Any) -> None:
                passed.append(operation)
                if len(passed) == after + 1:
                    raise KilledError(operation)

            moment = f"{when}-call.{client.meta.service_model.service_id.hyphenize()}.{name}"
            client.meta.events.register_first(moment, kill)
            handlers.append((client, moment, kill))
        try:
            yield passed
        finally:
            for client, moment, kill in handlers:
                client.meta.events.unregister(moment, kill)

    # --- setting up ---

    def _objects(self, bucket: str) -> dict[str, bytes]:
        listed = self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {one["Key"]: self.s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in listed}

    def work(self) -> dict[str, bytes]:
        """Return everything in the work bucket."""
        return self._objects(WORK)

    def _listen_to(self, events: EventBridgeClient) -> None:
        # What reached the bus, even where the caller died before it knew.
        send = events._endpoint.make_request  # type: ignore[attr-defined]

        def send_and_note(operation: Any, request: dict[str, Any]) -> Any:
            answer = send(operation, request)
            for entry in json.loads(request["body"]).get("Entries", []):
                detail = json.loads(entry["Detail"])
                check_event({"source": entry["Source"], "detail-type": entry["DetailType"], "detail": detail})
                self._events.append({**entry, "Detail": detail})
            return answer

        events._endpoint.make_request = send_and_note  # type: ignore[attr-defined]

    def _speak_our_time(self, client: DynamoDBClient) -> None:
        # The rate limiter compares its clock with the Date of DynamoDB's answers.
        def date(parsed: dict[str, Any], **_: Any) -> None:
            headers = parsed.setdefault("ResponseMetadata", {}).setdefault("HTTPHeaders", {})
            headers["date"] = formatdate(self.clock(), usegmt=True)

        client.meta.events.register("after-call.dynamodb", date)


def _without_delay(params: dict[str, Any], **_: Any) -> None:
    for entry in params["Entries"]:
        entry.pop("DelaySeconds", None)


_SEQUENCE = itertools.count(1)


def _no_adobe() -> AdobeClient:
    raise AssertionError("nothing here may ask Adobe")
