"""`make up`: the same stack, kept running until interrupted, for any S3 client or script to drop photos into."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cleanplate_cli.progress_poller import ProgressPoller
from cleanplate_cli.terminal import say, sentence, shown
from local.demo.job_watcher import JobSnapshot, look
from local.demo.left_photo import leave_photo
from local.demo.run import CloudArgs, about, as_stack, started
from local.errors import LocalError
from local.paths import ENVIRONMENT_FILE, STACK_FILE, log_of
from local.stack import SPEED, LocalCloud

if TYPE_CHECKING:
    from rich.console import Console

_LOOK_EVERY = 0.5


def up(args: CloudArgs, console: Console) -> int:
    """Run until interrupted; return the exit code."""
    _refuse_a_second()
    parameters = {**({"Remove": args.remove} if args.remove else {}), **(args.parameters or {})}
    cloud = LocalCloud(
        service=args.service,
        speed=args.speed or SPEED,
        wait_scale=args.wait_scale,
        port=args.port,
        parameters=parameters,
        log=log_of("up"),
    )
    with started(cloud, console):
        if args.remove:
            cloud.name_what_is_found([word.strip() for word in args.remove.split(",")])
        try:
            write_json(ENVIRONMENT_FILE, leave_photo(cloud, function_settings(cloud)))
            # Last, as it is what programs wait for.
            write_json(STACK_FILE, describe(cloud, event_bus=parameters.get("EventBusName", "default")))
            _welcome(cloud, args, console)
            _follow(cloud, console)
        finally:
            STACK_FILE.unlink(missing_ok=True)
            ENVIRONMENT_FILE.unlink(missing_ok=True)
    return 0


def describe(cloud: LocalCloud, *, event_bus: str = "default") -> dict[str, Any]:
    """Return what a program needs to use the stack."""
    stack = cloud.stack
    return {
        "endpoint_url": cloud.aws.endpoint_url,
        "region": cloud.aws.region,
        "access_key_id": cloud.aws.access_key_id,
        "secret_access_key": cloud.aws.secret_access_key,
        "uploads_bucket": stack.uploads_bucket,
        "results_bucket": stack.results_bucket,
        "jobs_table": stack.jobs_table,
        "adobe_api_url": cloud.service.api_url,
        "work_bucket": stack.work_bucket,
        "uploads_queue_url": stack.uploads_queue_url,
        "dead_letter_queue_url": stack.dead_letter_queue_url,
        "state_machine_arn": stack.state_machine_arn,
        "adobe_secret_arn": stack.adobe_secret_arn,
        "adobe_ims_url": cloud.service.ims_url,
        "event_bus": event_bus,
        # Every function and state machine by its logical id, and every output, as on AWS.
        "functions": dict(stack.functions),
        "state_machines": {
            name.removesuffix("Arn"): value for name, value in stack.outputs.items() if name.endswith("StateMachineArn")
        },
        "outputs": dict(stack.outputs),
        "pid": os.getpid(),
    }


def function_settings(cloud: LocalCloud) -> dict[str, dict[str, str]]:
    """Return each function's settings as `sam local invoke -n` takes them."""
    functions = cloud.aws.client("lambda")
    return {
        logical_id: {
            **functions.get_function_configuration(FunctionName=name).get("Environment", {}).get("Variables", {}),
            "AWS_ENDPOINT_URL": cloud.aws.endpoint_url,
        }
        for logical_id, name in cloud.stack.functions.items()
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file whole or not at all, for whoever waits for it to appear."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def _refuse_a_second() -> None:
    try:
        pid = int(json.loads(STACK_FILE.read_text(encoding="utf-8"))["pid"])
        os.kill(pid, 0)
    except (OSError, ValueError, KeyError, TypeError):
        return
    raise LocalError(f"A stack is up already (process {pid}); {shown(STACK_FILE)} says where. Stop that one first.")


def _welcome(cloud: LocalCloud, args: CloudArgs, console: Console) -> None:
    aws, stack = cloud.aws, cloud.stack
    secret = f"key {aws.access_key_id}, secret {aws.secret_access_key}"
    lines = [
        "Cleanplate is up. Ctrl-C stops it and removes everything.",
        "",
        f"  endpoint   {aws.endpoint_url}  (region {aws.region}, {secret})",
        f"  uploads    s3://{stack.uploads_bucket}",
        f"  results    s3://{stack.results_bucket}",
        f"  records    {stack.jobs_table}",
        f"  Adobe      {cloud.service.api_url}",
        f"  as JSON    {shown(STACK_FILE)}",
        f"  log        {shown(aws.log)}",
        "",
        *about(cloud, args.remove),
        *(
            []
            if args.remove or cloud.stand_in is None
            else ["It calls what it finds 'subject' and 'object'; `make up REMOVE=dog` has it called 'dog'."]
        ),
        "",
        "Drop a photo from another terminal, and fetch what comes of it:",
        "",
        "  export " + " ".join(f"{name}={value}" for name, value in aws.environment.items() if name != "AWS_REGION"),
        f"  aws s3 cp photo.jpg s3://{stack.uploads_bucket}/",
        f"  aws s3 cp --recursive s3://{stack.results_bucket}/ results/",
        "",
    ]
    say(console, "\n".join(lines))


def _follow(cloud: LocalCloud, console: Console) -> None:
    """Say how each photo gets on."""
    began = time.monotonic()
    latest: dict[str, str] = {}

    def show(what: str, words: str) -> None:
        if words and latest.get(what) != words:
            latest[what] = words
            say(console, f"{time.monotonic() - began:7.1f} s  {words}")

    with ProgressPoller(as_stack(cloud)) as poller:
        while True:
            cloud.aws.check()
            for snapshot in look(cloud.aws, cloud.stack):
                show(snapshot.job_id, f"{snapshot.key}: {_words(snapshot)}")
            show("", poller.words)
            time.sleep(_LOOK_EVERY)


def _words(snapshot: JobSnapshot) -> str:
    if snapshot.status != "failed":
        return snapshot.stage
    failure = snapshot.outcome
    message = sentence(str(failure.get("message")))
    return f"failed, {failure.get('reason')}. {message} What to do: {failure.get('what_to_do')}"
