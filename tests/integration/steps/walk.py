"""Take a photo through its steps without a cloud: SQS played by a loop, the state machine by an interpreter of its own file, AWS by moto,
Adobe by its stand-in."""

from __future__ import annotations

import http.server
import io
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pillow_heif
from PIL import Image, ImageDraw

from cleanplate.errors import (
    CleanplateError,
    JobMovedOnError,
    NotReadyError,
)
from cleanplate.models import Job, Photo
from cleanplate.outcomes import publish_folder_if_quiet
from cleanplate.rate_limit.polling import whole_seconds
from cleanplate.steps.admit_photos import admit_photos
from cleanplate.steps.check_job import check_job, reserve_fill
from cleanplate.steps.fill_masked_areas import fill_masked_areas
from cleanplate.steps.record_failure import record_failure
from cleanplate.steps.request_mask import request_admitted, request_mask
from cleanplate.steps.save_result import save_result
from cleanplate.uploads.messages import Admitted, FolderEnded, Upload, read_own
from local.adobe import StandIn
from tests.machine import Function, Machine
from tests.stage import KilledError, Stage


@cache
def photo_bytes(kind: str = "JPEG", size: tuple[int, int] = (120, 80), seed: int = 1) -> bytes:
    """Return noise around a disc: enough of a photo for every check that is not about beauty."""
    noise = np.random.default_rng(seed).integers(90, 130, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    ImageDraw.Draw(image).ellipse((45, 25, 75, 55), fill=(220, 40, 40))
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


@cache
def heic_bytes(size: tuple[int, int] = (120, 80), seed: int = 3) -> bytes:
    """Return a photo as phones take it; its result has another format."""
    pillow_heif.register_heif_opener()
    out = io.BytesIO()
    Image.open(io.BytesIO(photo_bytes(size=size, seed=seed))).convert("RGB").save(out, "HEIF", quality=90)
    return out.getvalue()


@cache
def mask_bytes(size: tuple[int, int] = (120, 80), fill: int | None = None) -> bytes:
    """Return a mask with a white disc, or of one level."""
    image = Image.new("L", size, fill or 0)
    if fill is None:
        ImageDraw.Draw(image).ellipse((45, 25, 75, 55), fill=255)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


class S3OverHttp:
    """Serve presigned links to moto's buckets to somebody who is no client of moto."""

    def __init__(self) -> None:
        self.stage: Stage | None = None
        bridge = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, content = bridge.get(self.path)
                self.answer(status, content)

            def do_PUT(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                bucket, key, _ = _object(self.path)
                assert bridge.stage is not None
                bridge.stage.s3.put_object(Bucket=bucket, Key=key, Body=content)
                self.answer(200, b"")

            def answer(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Pass over a reader that leaves in the middle."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and content of an object by the path of its link."""
        bucket, key, version = _object(path)
        assert self.stage is not None
        try:
            answer = self.stage.s3.get_object(Bucket=bucket, Key=key, **version)  # type: ignore[arg-type]
        except self.stage.s3.exceptions.ClientError:
            return 404, b""
        return 200, answer["Body"].read()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _object(path: str) -> tuple[str, str, dict[str, str]]:
    parts = urlsplit(path)
    bucket, _, key = parts.path.lstrip("/").partition("/")
    versions = parse_qs(parts.query).get("versionId", [])
    return bucket, unquote(key), {"VersionId": versions[0]} if versions else {}


class Walk:
    """Make deliveries and executions as AWS does: at least once, retried after a crash."""

    def __init__(self, stage: Stage, adobe: StandIn) -> None:
        self.stage = stage
        self.adobe = adobe
        self.ended: set[str] = set()
        self.polls = 0
        self.states: list[str] = []
        self._others = {job["jobId"] for job in adobe.jobs()}
        self._functions: dict[str, Function] = {
            "CheckJobFunction": self._check,
            "FillMaskedAreasFunction": lambda event: fill_masked_areas(event["job_id"], stage.services),
            "SaveResultFunction": lambda event: save_result(event["job_id"], stage.services),
            "RecordFailureFunction": lambda event: record_failure(
                event["execution"], event["error"], event["cause"], stage.services
            ),
        }
        self._machine = Machine(self._functions, wait=self._pass_by, clock=stage.clock)

    # --- SQS ---

    def publish(
        self,
        photo: Photo,
        *,
        request_id: str = "",
        correlation_id: str = "",
        options: dict[str, Any] | None = None,
    ) -> Exception | None:
        """Deliver a message until it is done with, and let in who waits; return the fault that ended the message, if any."""
        upload = Upload(photo, options=options, request_id=request_id, correlation_id=correlation_id)
        fault = self._deliver(lambda: request_mask(upload, self.stage.services))
        self.admit()
        return fault

    def _deliver(self, handle: Callable[[], None]) -> Exception | None:
        for _ in range(12):
            try:
                handle()
            except (KilledError, JobMovedOnError):
                # The message comes back when its visibility runs out.
                self._pass_by(1080)
            except CleanplateError as fault:
                return fault
            else:
                return None
        raise AssertionError("the message came back a dozen times")

    def admit(self) -> None:
        """Let photos in until nobody waits; each goes on when its message is received."""
        for _ in range(1000):
            leased = self.stage.services.room.lease().until > self.stage.clock()
            received = self._receive_admitted()
            if not received and self.stage.waiting() == 0:
                if leased:
                    self.look_into_the_room(60)
                return
            # Where nobody could be let in, a call that lasts looks at the lease alone.
            self.stage.clock.pass_by(self.look_into_the_room(20.5 if received else 50))
        raise AssertionError("photos wait for ever")

    def look_into_the_room(self, seconds: float) -> int:
        """Call the function that lets photos in; return for how many seconds the machine waits then."""
        until = self.stage.clock() + seconds
        try:
            answer = admit_photos("room-0-0", lambda: until - self.stage.clock(), self.stage.services)
        except KilledError:
            return 1
        return int(answer["wait_seconds"])

    def _receive_admitted(self) -> bool:
        if "sqs" not in vars(self.stage):
            # Nobody has sent anything.
            return False
        received = self.stage.sqs.receive_message(
            QueueUrl=self.stage.settings.admitted_queue_url, MaxNumberOfMessages=10, VisibilityTimeout=600
        ).get("Messages", [])
        for message in received:
            self._deliver(partial(self._handle_own, read_own(message["Body"])))
            self.stage.sqs.delete_message(
                QueueUrl=self.stage.settings.admitted_queue_url, ReceiptHandle=message["ReceiptHandle"]
            )
        return bool(received)

    def _handle_own(self, message: Admitted | FolderEnded | None) -> None:
        if isinstance(message, Admitted):
            request_admitted(message, self.stage.services)
        else:
            assert message is not None
            publish_folder_if_quiet(message, self.stage.services)

    # --- Step Functions ---

    def execute(self) -> None:
        """Run every execution that was started to its end."""
        for name, start in self.stage.executions():
            if name not in self.ended:
                self.ended.add(name)
                self._run(name, start)

    def clean(self, photo: Photo) -> Job:
        """Take one photo to its end."""
        self.publish(photo)
        self.execute()
        return self.stage.only_job()

    def _run(self, name: str, start: dict[str, Any]) -> None:
        ended = self._machine.run(name, start)
        self.states.extend(ended.states)
        if ended.status != "SUCCEEDED":
            # The rule on Step Functions' status events.
            self._functions["RecordFailureFunction"](
                {"execution": name, "error": "ExecutionStoppedError", "cause": ended.status}
            )

    def _check(self, event: dict[str, Any]) -> dict[str, Any] | None:
        self.polls += 1
        if not event["waited"]:
            # What is ready in a moment is ready for all tests, however busy the machine is.
            self._give_adobe(0.5)
        job, wait = check_job(event["job_id"], event["step"], self.stage.services, waited=event["waited"])
        if wait:
            assert wait >= 1
            time.sleep(0.01)  # the stand-in works by the clock on the wall
        elif event["step"] == "mask" and (wait := reserve_fill(job, self.stage.services)) < 1:
            self.stage.services.sleep(wait)
            return None
        if wait:
            raise NotReadyError(str(whole_seconds(wait)))
        return None

    def _pass_by(self, seconds: float) -> None:
        """Let time pass for us; in a minute or more Adobe, which works by the clock on the wall, does something too."""
        if seconds >= 60:
            self._give_adobe(2)
        self.stage.clock.pass_by(seconds)

    def _give_adobe(self, seconds: float) -> None:
        """Wait until Adobe has done all that it was asked for, but no longer than so many seconds."""
        until, pause = time.monotonic() + seconds, 0.005
        while self._is_adobe_at_work() and time.monotonic() < until:
            time.sleep(pause)
            pause *= 2

    def _is_adobe_at_work(self) -> bool:
        ours = [job for job in self.adobe.jobs() if job["jobId"] not in self._others]
        return any(job["status"] not in {"succeeded", "failed"} for job in ours)

    def settle(self) -> None:
        """Wait until Adobe has done all that it was asked for."""
        self._give_adobe(10)
        assert not self._is_adobe_at_work(), "Adobe is still at work"

    # --- looking ---

    def posts(self) -> dict[str, int]:
        """Count the POSTs that reached Adobe's paid routes."""
        counted = self.adobe.counters()["requests"]
        return {
            route.removeprefix("POST /v1/").removeprefix("POST /"): sum(answers.values())
            for route, answers in counted.items()
            if route.startswith("POST ") and "/ims/" not in route
        }

    def jobs_at_adobe(self) -> dict[str, int]:
        """Count the jobs that Adobe was paid for."""
        return {
            route.removeprefix("/v1/").removeprefix("/"): count
            for route, count in self.adobe.counters()["jobs"].items()
        }

    def posts_in_the_ledger(self) -> int:
        """Count the POSTs that the records know of."""
        return sum(request.attempts + request.refusals for job in self.stage.jobs() for request in job.all_requests)
