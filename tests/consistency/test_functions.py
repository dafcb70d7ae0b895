"""Every function folder has its resource, its log group and its sample events, and fits a screen."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from typing import Any
from urllib.parse import quote_plus

from moto.events.models import EventPattern

from cleanplate.models import Job, Options
from cleanplate.uploads.identity import job_id
from cleanplate.uploads.messages import Upload, read_uploads
from tests.consistency.project import PACKAGE, Project, camel_case, imported, words_in

_SCREEN = 60
#: The steps of one photo: their samples name its job.
_STEPS = ("check_job", "fill_masked_areas", "save_result", "record_failure")


def test_every_folder_is_a_function_and_every_function_a_folder(project: Project) -> None:
    resources = {name: about["CodeUri"].strip("/") for name, about in project.functions.items()}
    assert resources == {f"{camel_case(folder)}Function": f"functions/{folder}" for folder in project.function_folders}


def test_every_function_has_its_handler(project: Project) -> None:
    for name, about in project.functions.items():
        module, _, handler = about["Handler"].partition(".")
        tree = project.tree(f"{about['CodeUri'].strip('/')}/{module}.py")
        assert any(isinstance(node, ast.FunctionDef) and node.name == handler for node in tree.body), name


def test_every_function_has_its_step(project: Project) -> None:
    for folder in project.function_folders:
        modules = {f"{PACKAGE}/{package}/{folder}.py" for package in ("steps", "operations")}
        imported_ones = {
            f"{PACKAGE.rpartition('/')[0]}/{name.replace('.', '/')}.py"
            for name in imported(project.tree(f"functions/{folder}/app.py"))
        }
        assert modules & imported_ones & set(project.files(f"{PACKAGE}/*.py")), folder


def test_every_function_has_its_log_group(project: Project) -> None:
    groups = project.resources("AWS::Logs::LogGroup")
    for name in project.functions:
        group = groups.get(f"{name.removesuffix('Function')}LogGroup")
        assert group, f"{name} has no log group, so its logs would be kept for ever"
        dashed = re.sub(r"(?<!^)(?=[A-Z])", "-", name.removesuffix("Function")).lower()
        assert group["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/${{AWS::StackName}}-{dashed}"}


def test_functions_and_sample_events_match_by_name(project: Project) -> None:
    samples = {re.split(r"[/.]", path)[1] for path in project.files("events/*.json") if path.count("/") == 1}
    assert samples == set(project.function_folders)
    assert all(f"events/{folder}.json" in project.files("events/*") for folder in project.function_folders)


def test_every_handler_fits_a_screen(project: Project) -> None:
    long = {path: lines for path in project.files("functions/*.py") if (lines := _lines(project, path)) > _SCREEN}
    assert not long


def _lines(project: Project, path: str) -> int:
    return len(project.text(path).splitlines())


# --- sample events ---


def test_the_samples_of_a_step_are_payloads_that_the_machine_sends(project: Project) -> None:
    payloads: dict[str, list[set[str]]] = {}
    for _, _, state in project.tasks():
        folder = project.folder_called_by(state).rpartition("/")[2]
        payloads.setdefault(folder, []).append(set(state["Arguments"]["Payload"]))
    for folder, keys in payloads.items():
        for path in project.files(f"events/{folder}*.json"):
            assert set(project.event(path)) in keys, path


def test_every_step_of_check_job_has_a_sample_event(project: Project) -> None:
    asked = {
        payload["step"]
        for state in project.states("Task").values()
        if "step" in (payload := state["Arguments"]["Payload"])
    }
    assert {project.event(path)["step"] for path in project.files("events/check_job*.json")} == asked


def test_the_samples_speak_of_one_photo_and_its_job(project: Project) -> None:
    (upload,) = _uploads(project, "events/request_mask.json")
    named = {
        Job.id_in(event.get("job_id") or event["execution"])
        for step in _STEPS
        for path in project.files(f"events/{step}*.json")
        for event in [project.event(path)]
    }
    assert named == {job_id(upload.photo, Options())}


def test_every_job_id_in_a_sample_is_forty_hexadecimal_digits(project: Project) -> None:
    for step in _STEPS:
        for path in project.files(f"events/{step}*.json"):
            event = project.event(path)
            assert re.fullmatch(r"[0-9a-f]{40}(-\d+-\d+)?", event.get("job_id") or event["execution"]), path


def test_every_queue_message_has_the_digest_of_its_body(project: Project) -> None:
    for path in project.files("events/request_mask*.json"):
        for record in project.event(path)["Records"]:
            assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest(), path


def test_the_sample_keys_are_awkward_and_encoded_as_s3_does(project: Project) -> None:
    for path in ("events/request_mask.json", "events/request_mask.damaged.json"):
        for record in project.event(path)["Records"]:
            for message in _json(record["body"]).get("Records", []):
                key = message["s3"]["object"]["key"]
                (upload,) = read_uploads(json.dumps({"Records": [message]}))
                assert key == quote_plus(upload.photo.key, safe="/*"), path
    (upload,) = _uploads(project, "events/request_mask.json")
    assert set(" +%[]é🐶'()") <= set(upload.photo.key.replace("ë", "é"))


def test_both_kinds_of_s3_event_are_the_same_upload(project: Project) -> None:
    assert _uploads(project, "events/request_mask.json") == _uploads(project, "events/request_mask.eventbridge.json")


def test_the_sample_request_is_one_that_is_read(project: Project) -> None:
    (upload,) = _uploads(project, "events/request_mask.requested.json")
    assert upload.request_id
    assert upload.options


def test_the_test_event_of_s3_is_no_upload(project: Project) -> None:
    assert not _uploads(project, "events/request_mask.test_event.json")


def _uploads(project: Project, path: str) -> list[Upload]:
    return [upload for record in project.event(path)["Records"] for upload in read_uploads(record["body"])]


def _json(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        return {}
    return found


# --- rules ---


def _matches(pattern: dict[str, Any], event: Any) -> bool:
    return bool(EventPattern.load(json.dumps(pattern)).matches_event(event))


def _with(pattern: Any, **given: str) -> Any:
    """A rule's pattern for an existing bucket without a prefix."""
    if isinstance(pattern, dict):
        if pattern.keys() == {"Ref"}:
            return given.get(pattern["Ref"], pattern["Ref"])
        if pattern.keys() == {"Fn::If"}:
            condition, yes, no = pattern["Fn::If"]
            return _with(no if condition in {"CreatesUploads", "HasPrefix"} else yes, **given)
        resolved = {name: _with(value, **given) for name, value in pattern.items()}
        return {name: value for name, value in resolved.items() if value != "AWS::NoValue"}
    return [_with(value, **given) for value in pattern] if isinstance(pattern, list) else pattern


def test_the_rules_match_the_sample_events(project: Project) -> None:
    rules = project.resources("AWS::Events::Rule")
    for rule, sample in {
        "UploadedRule": "events/request_mask.eventbridge.json",
        "RequestedRule": "events/request_mask.requested.json",
    }.items():
        (record,) = project.event(sample)["Records"]
        event = json.loads(record["body"])
        bucket = event["detail"]["bucket"]
        name = bucket if isinstance(bucket, str) else bucket["name"]
        pattern = rules[rule]["EventPattern"]
        assert _matches(_with(pattern, ExistingUploadsBucket=name), event), rule
        assert not _matches(_with(pattern, ExistingUploadsBucket="another-bucket"), event), rule


def test_a_request_is_taken_by_one_of_two_rules_whatever_it_names(project: Project) -> None:
    rules = project.resources("AWS::Events::Rule")
    taken = [
        _with(rules[name]["EventPattern"], ExistingUploadsBucket="ours")
        for name in ("RequestedRule", "StrayRequestRule")
    ]
    named: list[Any] = ["ours", "of-nobody", "", 7, None, {}, {"name": "ours"}]
    for detail in ({}, {"key": "dog.jpg"}, *({"bucket": bucket, "key": "dog.jpg"} for bucket in named)):
        event = {"detail-type": "Photo Cleaning Requested", "source": "my.shop", "detail": detail}
        assert sum(_matches(pattern, event) for pattern in taken) == 1, detail


def test_the_rule_for_ended_executions_makes_the_sample_of_it(project: Project) -> None:
    (ended,) = project.functions["RecordFailureFunction"]["Events"].values()
    rule, sample = ended["Properties"], project.event("events/record_failure.execution_ended.json")
    event: dict[str, Any] = {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {
            "stateMachineArn": "CleanPhotoStateMachine",
            "name": sample["execution"],
            "status": sample["cause"],
        },
    }
    assert _matches(_with(rule["Pattern"]), event)
    assert not _matches(_with(rule["Pattern"]), {**event, "detail": {**event["detail"], "status": "SUCCEEDED"}})
    text = rule["InputTransformer"]["InputTemplate"]
    for name, path in rule["InputTransformer"]["InputPathsMap"].items():
        value: Any = event
        for part in path.removeprefix("$.").split("."):
            value = value[part]
        text = text.replace(f"<{name}>", json.dumps(value))
    assert json.loads(text) == sample


def test_the_rules_say_what_the_code_says(project: Project) -> None:
    patterns = [rule["EventPattern"] for rule in project.resources("AWS::Events::Rule").values()]
    ours = {word for pattern in patterns for word in pattern.get("detail-type", [])} - {"Object Created"}
    said = words_in(project.tree(f"{PACKAGE}/outcomes.py")) | words_in(project.tree(f"{PACKAGE}/uploads/messages.py"))
    assert ours <= said
    assert {word for pattern in patterns for word in pattern.get("source", [])} - {"aws.s3"} <= said
