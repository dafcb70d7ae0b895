"""Every call that leaves a function's process, seen just before it goes out and just after it has come back.

The functions are those that are deployed, handler and all: each with a process of its own that keeps its connection to
Adobe until it is killed. AWS is moto's, Adobe the stand-in; what those two ask of each other is no boundary.
"""

from __future__ import annotations

import importlib.util
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal
from unittest.mock import patch
from urllib.parse import quote_plus, urlsplit

import requests

from cleanplate.adobe import account
from cleanplate.adobe.client import AdobeClient
from cleanplate.aws import clients, metrics
from cleanplate.errors import CleanplateError
from cleanplate.models import Photo
from local.paths import ROOT
from tests.aws import client_as_new
from tests.integration.steps.walk import Walk
from tests.stage import KilledError

Moment = Literal["before", "after"]
#: Called at each boundary with its name, such as ``s3.PutObject`` or ``POST /v1/mask-objects``; may raise, may block.
Act = Callable[[str, Moment], None]

#: What a message is hidden for when nobody says otherwise, see the queue in the template. Seconds.
VISIBILITY = 1080
_MAX_RECEIVES = 60
#: Lambda tries an asynchronous call that failed twice more.
_ASYNC_TRIES = 3
_ID = re.compile(r"(?<=/results)/[^/]+|(?<=/status)/[^/]+")


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """What Lambda hands to a handler."""

    function_name: str
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:cleanplate"
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"

    remaining: Callable[[], int] = lambda: 180_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining()


@lru_cache
def handler_module(function: str) -> Any:
    """Import a function's own ``app.py`` as Lambda does."""
    spec = importlib.util.spec_from_file_location(f"app_of_{function}", ROOT / "functions" / function / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class HandledWalk(Walk):
    """Walk through the deployed handlers and a queue of SQS's; every call goes through ``act``."""

    def __init__(self, walk: Walk, act: Act, *, only: frozenset[str] = frozenset()) -> None:
        """``only``: the functions whose calls are reported; none means all."""
        super().__init__(walk.stage, walk.adobe)
        self._act = act
        self._only = only
        self._inside = threading.local()
        self._processes: dict[str, AdobeClient] = {}
        self._visibility = VISIBILITY
        #: What the functions have answered: it becomes a part of the execution's history.
        self.answers: list[dict[str, Any]] = []
        self.sqs = self.stage.sqs
        self.remaining: Callable[[], int] = lambda: 180_000
        self.secrets = client_as_new("secretsmanager")
        self.secrets.create_secret(
            Name=self.stage.settings.adobe_secret,
            SecretString=json.dumps(
                {"client_id": walk.adobe.settings.client_id, "client_secret": walk.adobe.settings.client_secret}
            ),
        )
        self.queue_url = self.stage.settings.uploads_queue_url
        self.settings = replace(
            self.stage.settings,
            adobe_api_url=walk.adobe.url,
            adobe_ims_url=walk.adobe.url,
        )
        self._functions |= {
            "CheckJobFunction": self._check,
            "FillMaskedAreasFunction": lambda event: self.invoke("fill_masked_areas", event),
            "SaveResultFunction": lambda event: self.invoke("save_result", event),
            "RecordFailureFunction": lambda event: self.invoke("record_failure", event),
        }
        self.never_ready = False
        for client in (self.stage.s3, self.stage.dynamodb, self.stage.events, self.stage.stepfunctions):
            self._watch(client)
        self._watch(self.sqs)
        self._watch(self.secrets)
        self.sqs.meta.events.register("provide-client-params.sqs.ChangeMessageVisibility", self._note_visibility)

    # --- one call of one function ---

    def invoke(self, function: str, event: dict[str, Any]) -> dict[str, Any]:
        """Call a deployed handler as Lambda would; :class:`KilledError` where its process is killed."""
        module = handler_module(function)
        services = replace(self.stage.services, settings=self.settings, make_adobe=lambda: self._adobe(function))
        self._inside.now = not self._only or function in self._only
        try:
            # What a killed process had counted died with it.
            metrics.metrics.clear_metrics()
            with (
                patch.object(module, "services", lambda: services),
                patch.object(requests.Session, "send", self._watched_send()),
                patch.object(account, "settings", lambda: self.settings),
            ):
                answer: dict[str, Any] = module.lambda_handler(event, LambdaContext(function, remaining=self.remaining))
        except KilledError:
            self._processes.pop(function, None)
            raise
        finally:
            self._inside.now = False
        self.answers.append(answer)
        return answer

    def _adobe(self, function: str) -> AdobeClient:
        if function not in self._processes:
            with patch.object(clients, "secretsmanager", lambda: self.secrets):
                self._processes[function] = account.make_client()
        return self._processes[function]

    # --- the boundaries ---

    def _watch(self, client: Any) -> None:
        service = client.meta.service_model.service_id.hyphenize()

        def report(moment: Moment, model: Any, **_: Any) -> None:
            if getattr(self._inside, "now", False):
                self._act(f"{service}.{model.name}", moment)

        client.meta.events.register(f"before-call.{service}", lambda **about: report("before", **about))
        client.meta.events.register(f"after-call.{service}", lambda **about: report("after", **about))

    def _watched_send(self) -> Callable[..., requests.Response]:
        send, walk = requests.Session.send, self

        def watched(session: requests.Session, request: requests.PreparedRequest, **named: Any) -> requests.Response:
            if not getattr(walk._inside, "now", False):
                return send(session, request, **named)
            name = f"{request.method} {_ID.sub('/…', urlsplit(request.url or '').path)}"
            walk._act(name, "before")
            response = send(session, request, **named)
            walk._act(name, "after")
            return response

        return watched

    def _note_visibility(self, params: dict[str, Any], **_: Any) -> None:
        self._visibility = params["VisibilityTimeout"]

    # --- SQS ---

    def send(self, photo: Photo, *, request_id: str = "", options: dict[str, Any] | None = None) -> None:
        """Put a notification of a photo, or somebody's request, into the queue."""
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=message_about(photo, request_id, options))

    def publish(
        self,
        photo: Photo,
        *,
        request_id: str = "",
        correlation_id: str = "",
        options: dict[str, Any] | None = None,
    ) -> None:
        self.send(photo, request_id=request_id, options=options)
        self.drain()

    def drain(self) -> None:
        """Receive messages until there is none, hidden ones included, and let photos in until nobody waits."""
        look = 20_500
        for _ in range(_MAX_RECEIVES):
            if self._receive_one(self.queue_url) or self._receive_one(self.settings.admitted_queue_url):
                look = 20_500
                continue
            room = self.stage.services.room
            if self.stage.waiting() == 0:
                if room.lease().until > self.stage.clock():
                    self._admit(60_000)
                return
            self.stage.clock.pass_by(self._admit(look))
            # Where nobody could be let in, a call that lasts looks at the lease alone.
            look = 50_000
        raise AssertionError(f"after {_MAX_RECEIVES} receives and looks somebody still waits")

    def _receive_one(self, url: str) -> bool:
        received = self.sqs.receive_message(QueueUrl=url, VisibilityTimeout=VISIBILITY, AttributeNames=["All"]).get(
            "Messages"
        )
        if not received:
            return False
        (message,) = received
        hidden = self.receive(message, url)
        if hidden is None:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        else:
            self.stage.clock.pass_by(hidden)
            self.sqs.change_message_visibility(
                QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        return True

    def _admit(self, milliseconds: int) -> int:
        """Call the function that lets photos in; return for how many seconds the machine waits then."""
        until = self.stage.clock() + milliseconds / 1000
        self.remaining = lambda: int(1000 * (until - self.stage.clock()))
        try:
            answer = self.invoke("admit_photos", {"owner": "room-0-0"})
        except KilledError:
            # The machine tries it again.
            return 2
        finally:
            self.remaining = lambda: 180_000
        return int(answer["wait_seconds"])

    def receive(self, message: Any, url: str = "") -> int | None:
        """Hand one message to the function; for how many seconds it is hidden then, None where it is done with."""
        self._visibility = VISIBILITY
        event = {"Records": [_record(message, (url or self.queue_url).rpartition("/")[2])]}
        try:
            answer = self.invoke("request_mask", event)
        except (KilledError, CleanplateError):
            # From the third fault on it is an error of the call too.
            return self._visibility
        return self._visibility if answer["batchItemFailures"] else None

    # --- Step Functions ---

    def _check(self, event: dict[str, Any]) -> dict[str, Any] | None:
        # The stand-in works by the clock on the wall: to walk the same way twice, it must be ready.
        if not self.never_ready:
            self.settle()
        answer = self.invoke("check_job", event)
        self.polls += 1
        return answer

    def _run(self, name: str, start: dict[str, Any]) -> None:
        ended = self._machine.run(name, start)
        if ended.status != "SUCCEEDED":
            self.report_end(name, ended.status)

    def report_end(self, name: str, status: str) -> None:
        """Call record_failure as the rule on Step Functions' status events does."""
        for _ in range(_ASYNC_TRIES):
            try:
                self.invoke("record_failure", {"execution": name, "error": "ExecutionStoppedError", "cause": status})
            except KilledError:
                continue
            return
        raise AssertionError("the function was killed three times")


def message_about(photo: Photo, request_id: str = "", options: dict[str, Any] | None = None) -> str:
    """Return the body of a message: S3's notification, or our own request event where there is a ``request_id``."""
    if request_id:
        detail: dict[str, Any] = {"bucket": photo.bucket, "key": photo.key}
        if options is not None:
            detail["options"] = options
        return json.dumps({"id": request_id, "detail-type": "Photo Cleaning Requested", "detail": detail})
    about = {
        "key": quote_plus(photo.key),
        "versionId": photo.version_id,
        "eTag": photo.etag,
        "sequencer": photo.sequencer,
        "size": photo.size,
    }
    record = {
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": photo.bucket}, "object": {name: value for name, value in about.items() if value}},
    }
    return json.dumps({"Records": [record]})


def _record(message: Any, queue: str) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {
            "ApproximateReceiveCount": message["Attributes"]["ApproximateReceiveCount"],
            "SentTimestamp": "0",
            "SenderId": "s3",
            "ApproximateFirstReceiveTimestamp": "0",
        },
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{queue}",
        "awsRegion": "eu-west-1",
    }
