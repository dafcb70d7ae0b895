"""The project's SAM template: read, transformed without a network, and given to linters."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import yaml

from local.paths import TEMPLATE

# libyaml's loader is ten times as fast; a wheel may be without it.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's short forms, which become their long ones."""


def _short_form(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _short_form)


def parse_yaml(text: str) -> dict[str, Any]:
    """Return the text of a template or a state machine as plain values."""
    document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    if not isinstance(document, dict):
        raise TypeError("A YAML mapping is needed, with names at its top.")
    return document


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a template or a state machine as plain values."""
    return parse_yaml(path.read_text(encoding="utf-8"))


def resources(template: dict[str, Any], kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the logical id and the properties of every resource of one type."""
    for logical_id, resource in template.get("Resources", {}).items():
        if resource.get("Type") == kind:
            yield logical_id, resource.setdefault("Properties", {})


def transformed(path: Path = TEMPLATE, parameters: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the CloudFormation template that SAM makes of ours, made offline.

    Code is what it is in the template, so a linter sees no S3 locations of a particular machine.
    """
    # Half a second of imports, for those who need it.
    from samtranslator.parser.parser import Parser  # noqa: PLC0415
    from samtranslator.translator.translator import Translator  # noqa: PLC0415

    template = copy.deepcopy(read_yaml(path))
    for _, properties in resources(template, "AWS::Serverless::Function"):
        properties["CodeUri"] = "s3://artifacts/function.zip"
    for _, properties in resources(template, "AWS::Serverless::LayerVersion"):
        properties["ContentUri"] = "s3://artifacts/layer.zip"
    for _, properties in resources(template, "AWS::Serverless::StateMachine"):
        if isinstance(properties.get("DefinitionUri"), str):
            properties["Definition"] = read_yaml(path.parent / properties.pop("DefinitionUri"))
    # A region has to be named for the transform to run at all; it says nothing about where the stack goes.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
    return json.loads(json.dumps(translator.translate(template, parameters or {})))  # type: ignore[no-any-return]
