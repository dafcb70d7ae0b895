"""The program behind :class:`local.embedded_aws.server.EmbeddedAws`: ministack, with some manners added.

It ends with its parent: the parent holds the other end of standard input, so that not even a SIGKILL leaves a server or
a function behind. It runs a few functions at a time, and the others wait their turn as they would for a free CPU.
Loopback counts as TLS for ``aws:SecureTransport``: the buckets' and queues' policies refuse anything less, and on
AWS every client comes by https. And it knows what ministack does not yet: the condition key ``events:source``, ranges
of an object's version, and that a batch of messages takes the right to send one. And a function's last lines are in its
log however busy the machine is. Functions are forked where that can be done, which takes a quarter of a start's time.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
import termios
import threading
import time
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator, lambda_runtime
from ministack.services import lambda_svc, s3

from local.embedded_aws import function_process

#: How the name of the process's own folder begins.
FOLDER = "cleanplate-aws-"
#: So long a function's last lines are waited for, in seconds.
_PATIENCE = 5.0


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    folder = Path(tempfile.gettempdir()).parent
    if folder.name.startswith(FOLDER):  # as made for this process, and nothing that somebody else keeps
        for _ in range(10):  # another thread may be writing there
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
    os.killpg(0, signal.SIGKILL)


def _keep_to_lanes(lanes: int) -> None:
    free = threading.BoundedSemaphore(lanes)
    execute = lambda_svc._execute_function_provided_warm  # noqa: SLF001 - ministack has no setting that waits; its own cap refuses

    def execute_in_a_lane(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        with free:
            return execute(*arguments, **named)

    lambda_svc._execute_function_provided_warm = execute_in_a_lane  # noqa: SLF001


def _fork_functions() -> None:
    if function_process.prepare_to_fork():
        lambda_runtime.subprocess = SimpleNamespace(
            **{**vars(lambda_runtime.subprocess), "Popen": function_process.start}
        )


def _count_loopback_as_tls() -> None:
    # The default is for work that no request began, such as the creation of a stack.
    origin = ContextVar("request_origin", default=("127.0.0.1", True))
    iam_evaluator._request_origin = origin  # noqa: SLF001
    app.pin_request_origin = lambda address, _tls: origin.set((address, True))


def _know_whose_events() -> None:
    tags = iam_actions.request_tag_context

    def request_context(service: str, action: str, body: bytes, *rest: Any) -> dict[str, Any]:  # noqa: ANN401
        context: dict[str, Any] = tags(service, action, body, *rest)
        if action == "events:PutEvents":
            sources = {entry.get("Source", "") for entry in json.loads(body).get("Entries", [])}
            # One source is one value; several are a set, which no condition on a single value accepts.
            context["events:source"] = sources.pop() if len(sources) == 1 else sorted(sources)
        return context

    iam_actions.request_tag_context = request_context


def _let_batches_be_sent_like_messages() -> None:
    extract = iam_actions.extract_iam_action

    def action_of(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        action = extract(*arguments, **named)
        # Of SQS's batches IAM knows nothing: each is allowed by the action of its single form.
        return action.removesuffix("Batch") if action and action.startswith("sqs:") else action

    iam_actions.extract_iam_action = action_of


def _read_ranges_of_versions() -> None:
    get = s3._get_object  # noqa: SLF001

    def get_object(bucket: str, key: str, headers: dict[str, str], query: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        status, answered, body = get(bucket, key, headers, query)
        asked = headers.get("range", "")
        if status != 200 or not asked or "versionId" not in (query or {}):
            return status, answered, body
        found = s3._parse_range(asked, len(body))  # noqa: SLF001
        if found is None:
            return 416, {"Content-Range": f"bytes */{len(body)}"}, b""
        start, end = found
        part = body[start : end + 1]
        whole_object = {name for name in answered if name.lower().startswith("x-amz-checksum")}
        kept = {name: value for name, value in answered.items() if name not in whole_object}
        length = {"Content-Length": str(len(part)), "Content-Range": f"bytes {start}-{end}/{len(body)}"}
        return 206, {**kept, **length}, part

    s3._get_object = get_object  # noqa: SLF001


def _log_all_that_a_function_said() -> None:
    drain = lambda_runtime.ProvidedWorker._drain_stderr_bounded  # noqa: SLF001

    def drain_after_the_pipe(worker: Any, **waits: float) -> str:  # noqa: ANN401
        # What the function wrote is in the pipe when it answers. On a busy machine the reader comes later, and the lines
        # would wait for the next call, which may never come.
        deadline = time.monotonic() + _PATIENCE
        while _has_unread(worker) and time.monotonic() < deadline:
            time.sleep(0.001)
        return str(drain(worker, **{"idle_confirm": 0.01, **waits}))

    lambda_runtime.ProvidedWorker._drain_stderr_bounded = drain_after_the_pipe  # noqa: SLF001


def _has_unread(worker: Any) -> bool:  # noqa: ANN401
    try:
        return any(fcntl.ioctl(worker._proc.stdout, termios.FIONREAD, bytes(4)))  # noqa: SLF001
    except (AttributeError, OSError, ValueError):
        return False  # it has ended


def main() -> None:
    """Serve until told to stop. The one argument is how many functions may run at once."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _keep_to_lanes(int(sys.argv.pop()))
    _fork_functions()
    _count_loopback_as_tls()
    _know_whose_events()
    _let_batches_be_sent_like_messages()
    _read_ranges_of_versions()
    _log_all_that_a_function_said()
    app.main()
