"""What the published JSON Schemas say of an event or a manifest, for every test that meets one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from local.dev.schemas import FOLDER, file_name


def described(key: str) -> dict[str, Any]:
    """Return what an outcome says of a result, for tests in which none is written."""
    return {"bucket": "the-results", "key": key, "bytes": 7, "media_type": "image/jpeg", "sha256": "ab" * 32}


@cache
def validator(name: str) -> Draft202012Validator:
    """Return the validator of one file in ``events/schemas``."""
    schema = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def check_event(event: Mapping[str, Any]) -> None:
    """Fail where an event of ours is not what its schema says, or has a field that the schema does not know."""
    name = file_name(event["detail-type"])
    detail = validator(name).schema["properties"]["detail"]
    _check(name, event, event["detail"], detail)


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Fail where a manifest is not what its schema says, or has a field that the schema does not know."""
    _check("manifest", manifest, manifest, validator("manifest").schema)


def manifest_faults(manifest: Mapping[str, Any]) -> str:
    """Return what :func:`check_manifest` has against a manifest; empty where it fits."""
    try:
        check_manifest(manifest)
    except AssertionError as error:
        return str(error)
    return ""


def _check(name: str, document: Mapping[str, Any], fields: Mapping[str, Any], schema: Any) -> None:
    wrong = [f"{name}: {error.json_path}: {error.message}" for error in validator(name).iter_errors(document)]
    assert not wrong, "\n".join(wrong)
    unknown = fields.keys() - schema["properties"].keys()
    assert not unknown, f"{name} has fields that its schema does not know: {sorted(unknown)}"
