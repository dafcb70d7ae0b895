"""Search all that a whole run in the embedded AWS leaves behind for secrets that were put into it.

Tokens and signatures of the stand-in hold a word of their own; the client secret is one. Photos go well and badly, in
ways in which a server repeats to us what we sent it. Afterwards no log, history, message, record, event, manifest or
page may hold any of it. The work bucket alone keeps Adobe's answers, with the links in them, for a day: there only
tokens and the secret are searched for. X-Ray is searched by ``tests/integration/adobe/test_traces.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.adobe import Settings
from local.paths import ROOT
from local.stack import LocalCloud
from tests.chaos.promises import Breach, Verdict
from tests.chaos.report import Report
from tests.end_to_end.conftest import REQUESTS_PER_DAY, REQUESTS_PER_MINUTE, Ended, System
from tests.integration.steps.walk import photo_bytes

#: Parts of every link that AWS signs for a function.
OF_LINKS = ("X-Amz-Signature", "X-Amz-Security-Token")
#: These are tried again and again before they fail.
_SLOW = {"expired", "reset"}
MASK, STATUS, FILL = "POST /v1/mask-objects", "GET /v1/status/*", "POST /v1/fill-masked-areas"


@dataclass(frozen=True, slots=True)
class Bad:
    """One way to go wrong with words that must not be repeated: rules of the stand-in for photos of this name."""

    name: str
    reason: str
    rules: tuple[Mapping[str, Any], ...]


def bad_ways(settings: Settings) -> list[Bad]:
    """Return answers of servers that quote to us the link, the token and the secret that they were sent."""
    token, signature = f"{settings.canary}-token-0", f"{settings.canary}-signature-0"
    link = f"https://b.s3.amazonaws.com/dog.jpg?X-Amz-Credential=a&X-Amz-Security-Token={signature}&X-Amz-Signature={signature}"
    echo = f"cannot use {link} with Authorization: Bearer {token} and client_secret={settings.client_secret}"
    return [
        Bad(
            "echoed",
            "RequestRefusedError",
            ({"route": MASK, "fault": {"do": "error", "status": 422, "shape": "A", "message": echo}},),
        ),
        Bad(
            "page",
            "RequestRefusedError",
            ({"route": FILL, "fault": {"do": "respond", "status": 400, "text": f"<html>{echo}</html>"}},),
        ),
        Bad("failing", "AdobeJobFailedError", ({"route": MASK, "fault": {"do": "failed", "message": echo}},)),
        Bad("expired", "DownloadFailedError", ({"route": MASK, "fault": "result_expired"},)),
        Bad(
            "elsewhere",
            "ForeignLinkError",
            ({"route": MASK, "fault": {"do": "foreign_status_link", "keep_id": False}},),
        ),
        Bad(
            "sent-on",
            "ForeignLinkError",
            ({"route": STATUS, "fault": {"do": "redirect", "to": f"https://elsewhere.example/{token}?{signature}"}},),
        ),
        Bad("reset", "DownloadFailedError", ({"route": "GET /results/*", "fault": "reset"},)),
    ]


def refused_by_ims(settings: Settings) -> tuple[Mapping[str, Any], ...]:
    """Return rules that refuse the token, and then the account, quoting the secret."""
    echo = {"error": "invalid_client", "error_description": f"bad client_secret {settings.client_secret}"}
    return (
        {"route": MASK, "fault": "token_refused", "photo": "refused"},
        {"route": "POST /ims/token/*", "fault": {"do": "respond", "status": 400, "json": echo}},
    )


def go(system: System, *, fully: bool) -> list[tuple[str, str, Ended]]:
    """Clean one good photo and the bad ones; return name, expected reason and how each ended."""
    content = photo_bytes()
    settings = system.adobe.settings
    stamp = f"{time.monotonic_ns():x}"
    ways = [Bad("good", "", ()), *(way for way in bad_ways(settings) if fully or way.name not in _SLOW)]
    if fully:
        lost = {"route": MASK, "fault": "lost_answer"}
        ways.append(Bad("lost", "PostOutcomeUnknownError", (lost,)))
    for way in ways:
        for rule in way.rules:
            system.adobe.add_rules({**rule, "photo": f"{way.name}-{stamp}"})
    dropped = [(way, system.drop(content, f"leaks/{way.name}-{stamp}.jpg")) for way in ways]
    ended = [(way.name, way.reason, system.wait(photo)) for way, photo in dropped]
    system.adobe.clear_rules()
    if fully:
        for rule in refused_by_ims(settings):
            system.adobe.add_rules(rule)  # type: ignore[arg-type]
        ended.append(("refused", "CredentialsRefusedError", system.clean(content, f"leaks/refused-{stamp}.jpg")))
        system.adobe.clear_rules()
    # It quotes their reasons, and shows what lies beside it.
    written = system.invoke("WriteFolderPageFunction", {"folder": "leaks/"})
    assert written["pages"] == 1, written
    return ended


# --- where to look --------------------------------------------------------------------------------------------------


def places(system: System) -> Iterator[tuple[str, str]]:
    """Yield what the run left behind but the work bucket, piece by piece: (kind of place, its text)."""
    yield from (("logs", text) for text in _logs(system))
    yield from (("histories", text) for text in _histories(system))
    yield from (("messages", text) for text in _messages(system))
    yield from (("records", text) for text in _records(system))
    yield from (("events", json.dumps(event)) for event in system._events)
    yield from (("results", text) for text in _objects(system, system.stack.results_bucket))
    yield "the server's log", system.aws.log.read_text(errors="replace")


def search(system: System) -> tuple[dict[str, int], list[str]]:
    """Return how many pieces were looked at, by kind of place, and what was found."""
    settings = system.adobe.settings
    secrets = (f"{settings.canary}-token", settings.client_secret)
    secrets_and_links = (*OF_LINKS, f"{settings.canary}-", settings.client_secret)
    looked: dict[str, int] = {}
    found: list[str] = []

    def look(place: str, text: str, words: tuple[str, ...]) -> None:
        looked[place] = looked.get(place, 0) + 1
        folded = text.lower()
        for word in words:
            at = folded.find(word.lower())
            if at >= 0:
                found.append(f"{place} hold {word!r}: …{text[max(0, at - 120) : at + 60]}…")

    for place, text in places(system):
        look(place, text, secrets_and_links)
    for text in _objects(system, system.stack.work_bucket):
        look("work", text, secrets)
    return looked, found


def _logs(system: System) -> Iterator[str]:
    client = system.aws.client("logs")
    for page in client.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            events = client.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
            yield from (event["message"] for found in events for event in found["events"])


def _histories(system: System) -> Iterator[str]:
    client = system.aws.client("stepfunctions")
    for machine in client.list_state_machines()["stateMachines"]:
        pages = client.get_paginator("list_executions").paginate(stateMachineArn=machine["stateMachineArn"])
        for execution in (one for page in pages for one in page["executions"]):
            arn = execution["executionArn"]
            history = client.get_paginator("get_execution_history").paginate(executionArn=arn)
            yield json.dumps([page["events"] for page in history], default=str)
            yield json.dumps(client.describe_execution(executionArn=arn), default=str)


def _messages(system: System) -> Iterator[str]:
    client = system.aws.client("sqs")
    for url in client.list_queues().get("QueueUrls", []):
        seen: dict[str, str] = {}
        while True:
            # Left where they are, for whoever else looks.
            answer = client.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=20, AttributeNames=["All"]
            )
            if not answer.get("Messages"):
                break
            for message in answer["Messages"]:
                seen[message["ReceiptHandle"]] = json.dumps(message)
        for handle in seen:
            client.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
        yield from seen.values()


def _records(system: System) -> Iterator[str]:
    pages = system.aws.client("dynamodb").get_paginator("scan").paginate(TableName=system.stack.jobs_table)
    yield from (json.dumps(item, default=str) for page in pages for item in page["Items"])


def _objects(system: System, bucket: str) -> Iterator[str]:
    client = system.aws.client("s3")
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for one in page.get("Versions", []):
            answer = client.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
            yield json.dumps([one["Key"], answer["Metadata"]]) + answer["Body"].read().decode("latin-1")


def _keep_events_as_messages(system: System) -> None:
    """Send what is on the bus to a queue that nobody reads, so that there are messages to search."""
    sqs, events = system.aws.client("sqs"), system.aws.client("events")
    url = sqs.create_queue(QueueName="witness")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    events.put_rule(Name="witness", EventPattern=json.dumps({"source": [{"prefix": ""}]}))
    events.put_targets(Rule="witness", Targets=[{"Id": "witness", "Arn": arn}])


# --- the page -------------------------------------------------------------------------------------------------------


def page(settings: Settings, adobe_url: str) -> Iterator[tuple[str, str]]:
    """Yield what ``make run`` prints and writes about a photo that is refused with an echo: (file, its text)."""
    with tempfile.TemporaryDirectory() as folder:
        photo, out = Path(folder, "echoed.jpg"), Path(folder, "out")
        photo.write_bytes(photo_bytes(size=(320, 240)))
        done = subprocess.run(
            [sys.executable, "-m", "local", "run"],
            cwd=ROOT,
            env={
                **os.environ,
                "PHOTOS": str(photo),
                "OUT": str(out),
                "ADOBE_API_URL": adobe_url,
                "ADOBE_CLIENT_ID": settings.client_id,
                "ADOBE_CLIENT_SECRET": settings.client_secret,
            },
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        yield "the terminal", done.stdout + done.stderr
        for path in sorted(path for path in out.rglob("*") if path.is_file()):
            yield path.name, path.read_text(encoding="latin-1")


# --- all of it ------------------------------------------------------------------------------------------------------


def verdict_of(name: str, reason: str, ended: Ended, leaks: list[str]) -> tuple[Verdict, str]:
    """Return the verdict on one photo, and what came of it instead of what should have."""
    good = ended.outcome == "cleaned"
    extra = int(bool(ended.manifest.get("possible_duplicate")))
    verdict = Verdict(int(good), int(not good), extra, tuple(Breach("leak", words) for words in leaks))
    unexpected = "" if ended.reason == reason else f"{name} ended as {ended.outcome} {ended.reason}, not {reason}"
    return verdict, unexpected


def run(report: Report, *, quick: bool) -> None:
    """Run and search all of it, with every function logging all that it can; the end-to-end tests have a part of it."""
    if quick:
        return
    adobe = Settings(port=0, allow_loopback=True, duration=0.2, pixels="fast", limits=False, quiet=True)
    parameters = {
        "LogLevel": "DEBUG",
        "CountPolls": "false",
        "RequestsPerMinute": str(REQUESTS_PER_MINUTE),
        "RequestsPerDay": str(REQUESTS_PER_DAY),
    }
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "aws.log")
        with LocalCloud(adobe=adobe, wait_scale=0.1, parameters=parameters, log=log) as cloud:
            system = System(cloud)
            _keep_events_as_messages(system)
            ended = go(system, fully=True)
            for name, _, _ in ended:
                system.published(name, deadline=1.0)
            looked, found = search(system)
            for place in ("logs", "histories", "messages", "records", "events", "results", "work"):
                wrong = "" if looked.get(place) else f"there were no {place} to search"
                report.checked("leak checks", place, wrong=wrong)
            for number, (name, reason, end) in enumerate(ended):
                verdict, unexpected = verdict_of(name, reason, end, [] if number else found)
                report.tried("leak checks", name, verdict, unexpected=unexpected)
            echo = bad_ways(adobe)[0].rules[0]
            system.adobe.add_rules({**echo, "photo": "echoed"})
            secrets = (*OF_LINKS, f"{adobe.canary}-", adobe.client_secret)
            written = dict(page(adobe, system.adobe.url))
            wrong = "" if "index.html" in written else f"make run wrote no page: {written['the terminal'][-300:]}"
            leaked = [f"{place} holds {word!r}" for place, text in written.items() for word in secrets if word in text]
            verdict = Verdict(0, 0, 0, tuple(Breach("leak", words) for words in leaked))
            report.tried("leak checks", "make run", verdict, unexpected=wrong)
