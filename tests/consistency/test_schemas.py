"""The published schemas are those of the types, and say the same as the code that reads the inputs."""

from __future__ import annotations

import copy
import json
from dataclasses import fields
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError

from cleanplate import schemas
from cleanplate.errors import (
    CleanplateError,
    InvalidRequestError,
)
from cleanplate.models import Options
from cleanplate.steps.refuse_request import describe_refusal
from cleanplate.uploads.messages import read_uploads
from cleanplate.uploads.options import parse_options
from local.dev.schemas import ASYNCAPI, all_schemas, render
from tests.consistency.project import Project
from tests.schemas import check_event, check_manifest, validator

REQUEST = {
    "version": "0",
    "id": "a-request",
    "source": "a.shop",
    "detail-type": "Photo Cleaning Requested",
    "detail": {"bucket": "photos", "key": "dog.jpg", "options": {"remove": ["dog"]}, "correlation_id": "order 7"},
}


def test_the_files_are_what_the_types_say(project: Project) -> None:
    rendered = render()
    for path, text in rendered.items():
        assert project.text(path) == text, f"{path} is out of date: run `.venv/bin/python -m local.dev.schemas`."
    written = set(project.files("events/schemas/*.json"))
    assert written == {path for path in rendered if path.startswith("events/schemas/")}


def test_every_schema_is_one_of_the_2020_12_dialect() -> None:
    for name in all_schemas():
        assert validator(name).schema["$schema"].endswith("2020-12/schema")


def test_every_field_of_an_outcome_that_needs_it_says_what_it_means() -> None:
    for name, schema in all_schemas().items():
        described = schema["properties"].get("detail", schema)
        assert described.get("description"), name


def test_the_types_name_what_the_code_accepts() -> None:
    names = {field.name for field in fields(Options)}
    assert set(schemas.GivenOptions.__annotations__) == names
    assert set(schemas.UsedOptions.__annotations__) == names


@pytest.mark.parametrize(
    "options",
    [
        {"remove": "dog,person"},
        {"remove": ["dog*"], "min_score": 0.25, "invert": True, "urgent": "false"},
        {"grow": "auto", "feather": 12},
        {"grow": "12", "output_format": "webp", "mask_format": "binary", "mask_route": "create-mask"},
    ],
)
def test_options_that_are_accepted_fit_the_schema(options: dict[str, Any]) -> None:
    parse_options(options, source="The test")
    validator("sidecar").validate(options)


@pytest.mark.parametrize(
    "options",
    [{"remov": "dog"}, {"min_score": 2}, {"remove": 5}, {"grow": "12345"}, {"mask_route": "sam"}, {"urgent": "yes"}],
)
def test_options_that_are_refused_do_not_fit_it(options: dict[str, Any]) -> None:
    with pytest.raises(CleanplateError):
        parse_options(options, source="The test")
    with pytest.raises(ValidationError):
        validator("sidecar").validate(options)


def test_a_request_that_fits_the_schema_is_read() -> None:
    check_event(REQUEST)
    (upload,) = read_uploads(json.dumps(REQUEST))
    assert (upload.request_id, upload.correlation_id) == ("a-request", "order 7")


@pytest.mark.parametrize(
    "detail",
    [
        {},
        {"bucket": "photos"},
        {"bucket": "photos", "key": 5},
        {"bucket": "photos", "key": "a.jpg", "options": ["dog"]},
        {"bucket": "photos", "key": "a.jpg", "correlation_id": "x" * 257},
    ],
)
def test_a_request_that_does_not_fit_is_refused_with_an_answer(detail: dict[str, Any]) -> None:
    event = {**REQUEST, "detail": detail}
    with pytest.raises(ValidationError):
        validator("photo_cleaning_requested").validate(event)
    with pytest.raises(InvalidRequestError) as refused:
        list(read_uploads(json.dumps(event)))
    answer = describe_refusal(event, refused.value)
    assert answer["request"] == detail
    check_event({"source": "cleanplate", "detail-type": "Request Refused", "detail": answer})


@pytest.mark.parametrize("name", ["buckt", "Key", "option", "versionId", "correlationid"])
def test_a_misspelt_name_in_a_request_is_refused(name: str) -> None:
    event = copy.deepcopy(REQUEST)
    event["detail"][name] = "x"  # type: ignore[index]
    with pytest.raises(InvalidRequestError, match="did you mean"):
        list(read_uploads(json.dumps(event)))


def test_what_else_a_system_sends_along_is_its_own_business() -> None:
    event = copy.deepcopy(REQUEST)
    event["detail"] |= {"order": 7, "customer": "x"}  # type: ignore[operator]
    assert len(list(read_uploads(json.dumps(event)))) == 1


def test_a_long_request_is_given_back_cut() -> None:
    event = {**REQUEST, "detail": {"key": "x" * 100_000}}
    answer = describe_refusal(event, InvalidRequestError("no"))
    assert len(json.dumps(answer)) < 10_000


def test_the_asyncapi_page_names_every_event_and_its_schema() -> None:
    page = yaml.safe_load(ASYNCAPI.read_text(encoding="utf-8"))
    messages = page["components"]["messages"]
    assert {about["name"] for about in messages.values()} >= {"Photo Cleaned", "Request Refused", "Folder Done"}
    for about in messages.values():
        assert (ASYNCAPI.parent / about["payload"]["schema"]["$ref"]).is_file()


def test_the_sample_outcomes_fit_their_schemas(project: Project) -> None:
    samples = project.files("events/outcomes/*.json")
    names = {project.event(path)["detail-type"] for path in samples}
    assert names == {
        "Photo Cleaned", "Nothing To Remove", "Mask Ready", "Photo Failed", "Folder Done", "Request Refused",
    }  # fmt: skip
    for path in samples:
        event = project.event(path)
        check_event(event)
        if "outcome" in event["detail"]:
            check_manifest(event["detail"])
