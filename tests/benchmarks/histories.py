"""Histories of executions, functions and their logs in the embedded AWS."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cleanplate.models import Job
from local.embedded_aws.deploy import Stack, log_group
from local.embedded_aws.server import EmbeddedAws

_REPORT = re.compile(r"^REPORT RequestId: \S+\s+Duration: ([\d.]+) ms", re.MULTILINE)


def transitions(aws: EmbeddedAws, stack: Stack, jobs: Iterable[str]) -> dict[str, int]:
    """State transitions that each job's execution is charged for: states entered, and tasks tried again."""
    machine = aws.client("stepfunctions")
    arns = {
        Job.id_in(one["name"]): one["executionArn"]
        for page in machine.get_paginator("list_executions").paginate(stateMachineArn=stack.state_machine_arn)
        for one in page["executions"]
    }
    found = {}
    for job_id in jobs:
        pages = machine.get_paginator("get_execution_history").paginate(executionArn=arns[job_id])
        kinds = Counter(event["type"] for page in pages for event in page["events"])
        entered = sum(number for kind, number in kinds.items() if kind.endswith("StateEntered"))
        found[job_id] = entered + max(0, kinds["TaskScheduled"] - kinds["TaskStateEntered"])
    return found


@dataclass(frozen=True, slots=True)
class Calls:
    """What one function's calls came to."""

    invocations: int
    seconds: float
    processor: float
    log_bytes: int


def function_calls(
    aws: EmbeddedAws, functions: Mapping[str, str], since_ms: int, used_before: Mapping[str, float]
) -> dict[str, Calls]:
    """By logical id, from the reports in the logs since then; processor time over what had been used before."""
    logs = aws.client("logs")
    used = processor_by_function(aws)
    found = {}
    for logical_id, name in functions.items():
        text: list[str] = []
        with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=log_group(aws, name), startTime=since_ms
            )
            text = [event["message"] for page in pages for event in page["events"]]
        durations = [float(match[1]) / 1000 for line in text for match in _REPORT.finditer(line)]
        processor = used.get(name, 0.0) - used_before.get(name, 0.0)
        log_bytes = sum(len(line.encode()) for line in text)
        found[logical_id] = Calls(len(durations), sum(durations), processor, log_bytes)
    return found


def processor_by_function(aws: EmbeddedAws) -> dict[str, float]:
    """Processor time of the functions' processes, by function, where the machine tells (Linux)."""
    found: defaultdict[str, float] = defaultdict(float)
    server = aws._process.pid if aws._process else 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(words[2]) != server:  # the process group
                continue
            variables = (folder / "environ").read_bytes().split(b"\0")
            for variable in variables:
                if variable.startswith(b"AWS_LAMBDA_FUNCTION_NAME="):
                    name = variable.partition(b"=")[2].decode()
                    found[name] += (float(words[11]) + float(words[12])) / os.sysconf("SC_CLK_TCK")
    return dict(found)


def noted_requests(folder: Path) -> list[dict[str, Any]]:
    """What :mod:`counting` wrote down."""
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_text(encoding="utf-8").splitlines()]
    return [json.loads(line) for line in lines]
