"""One function at a time, from the checkout, with the sample events beside a running stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local.demo.left_photo import KEY, leave_photo
from local.demo.up import describe, function_settings
from local.dev.emulator import emulator_program
from local.dev.invoke import _of_stack, answer_of, folder_of
from tests.end_to_end.conftest import System

pytestmark = pytest.mark.skipif(
    emulator_program() is None, reason="no Runtime Interface Emulator: make setup, on Linux"
)

#: The photo's own way first, then what operators ask for.
ORDER = (
    "RequestMaskFunction",
    "CheckJobFunction",
    "FillMaskedAreasFunction",
    "CheckJobFunction.fill",
    "SaveResultFunction",
    "RecordFailureFunction",
)


def test_every_sample_event_fits_the_running_stack(system: System, tmp_path: Path) -> None:
    settings = leave_photo(system.cloud, function_settings(system.cloud), tmp_path)
    others = sorted(settings.keys() - {step.partition(".")[0] for step in ORDER})
    for step in (*ORDER, *others):
        function, _, variant = step.partition(".")
        sample = tmp_path / ".".join(filter(None, [folder_of(function), variant, "json"]))
        event = json.loads(sample.read_text(encoding="utf-8"))
        environment = {**_of_stack(describe(system.cloud)), **settings[function]}
        answer: Any
        answer, log = answer_of(function, event, environment, tmp_path / "log")
        while isinstance(answer, dict) and answer.get("errorType") == "NotReadyError":
            answer, log = answer_of(function, event, environment, tmp_path / "log")
        assert "errorType" not in (answer or {}), (step, answer, log[-2000:])
        assert "Traceback" not in log, step
    objects = system.aws.client("s3").list_objects_v2(Bucket=system.stack.results_bucket)["Contents"]
    assert {KEY, f"{KEY}.json"} <= {one["Key"] for one in objects}
