"""JSON Schema of all that goes in and out, and the AsyncAPI page: ``python -m local.dev.schemas`` writes them again.

The types stand in ``cleanplate/schemas.py``; pydantic turns them into JSON Schema 2020-12.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from cleanplate import schemas
from cleanplate.outcomes import DETAIL_TYPES, FOLDER_DONE, REQUEST_REFUSED, SOURCE
from cleanplate.uploads.messages import REQUEST_DETAIL_TYPE
from local.paths import ROOT

FOLDER = ROOT / "events" / "schemas"
ASYNCAPI = ROOT / "docs" / "asyncapi.yaml"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: Types inside others in which an unknown name is refused.
_CLOSED = {"GivenOptions"}

#: What people and systems give: an unknown name in it is refused, so the schema refuses it too.
INPUTS: Mapping[str, Any] = {
    "sidecar": schemas.GivenOptions,
    "backfill_input": schemas.BackfillInput,
    "retry_input": schemas.RetryInput,
    "progress_question": schemas.ProgressQuestion,
}
#: What is written beside a result.
DOCUMENTS: Mapping[str, Any] = {"manifest": schemas.Statement}
#: Events on the bus: detail-type -> the type of the detail. Those that the stack sends name it as their source.
EVENTS_OUT: Mapping[str, Any] = {
    **dict.fromkeys(DETAIL_TYPES.values(), schemas.Statement),
    FOLDER_DONE: schemas.FolderDone,
    REQUEST_REFUSED: schemas.RequestRefused,
}
EVENTS_IN: Mapping[str, Any] = {REQUEST_DETAIL_TYPE: schemas.CleaningRequest}


def all_schemas() -> dict[str, dict[str, Any]]:
    """Return every schema by the name of its file, without the ending."""
    found = {name: _titled(name, _closed(_schema_of(kind))) for name, kind in INPUTS.items()}
    found |= {name: _titled(name, _schema_of(kind)) for name, kind in DOCUMENTS.items()}
    for detail_type, kind in {**EVENTS_IN, **EVENTS_OUT}.items():
        source = SOURCE if detail_type in EVENTS_OUT else None
        found[file_name(detail_type)] = _titled(detail_type, _event(detail_type, _schema_of(kind), source))
    return found


def file_name(detail_type: str) -> str:
    """Return the name of an event's schema: ``photo_cleaned`` for ``Photo Cleaned``."""
    return detail_type.lower().replace(" ", "_")


def render() -> dict[str, str]:
    """Return the text of every generated file by its path from the root."""
    texts = {
        f"events/schemas/{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in all_schemas().items()
    }
    return texts | {"docs/asyncapi.yaml": asyncapi()}


def asyncapi() -> str:
    """Return the AsyncAPI 3.0 page: one channel, the event bus; one message an event; schemas by reference."""
    messages = {
        file_name(detail_type): {
            "name": detail_type,
            "title": detail_type,
            "summary": (kind.__doc__ or "").strip().replace("``", "`"),
            "contentType": "application/json",
            "payload": {"schemaFormat": f"application/schema+json;version={_DIALECT}",
                        "schema": {"$ref": f"../events/schemas/{file_name(detail_type)}.json"}},
        }
        for detail_type, kind in {**EVENTS_IN, **EVENTS_OUT}.items()
    }  # fmt: skip
    page = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Cleanplate's events",
            "version": schemas.SCHEMA.rpartition("/")[2] + ".0.0",
            "description": "Events on the stack's EventBridge bus. Made from layers/cleanplate/cleanplate/schemas.py.",
        },
        "channels": {
            "bus": {
                "address": "EventBusName",
                "description": "The EventBridge bus that the stack parameter EventBusName names",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            "request": _operation("receive", EVENTS_IN),
            "tell": _operation("send", EVENTS_OUT),
        },
        "components": {"messages": messages},
    }
    return yaml.safe_dump(page, sort_keys=False, width=120, allow_unicode=True)


def _operation(action: str, events: Mapping[str, Any]) -> dict[str, Any]:
    channel = "#/channels/bus"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{file_name(each)}"} for each in events],
    }


def _schema_of(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a TypedDict class
    from pydantic import TypeAdapter  # noqa: PLC0415 - whoever reads the schemas needs none

    found: dict[str, Any] = _without_titles(TypeAdapter(kind).json_schema())
    for name in _CLOSED & found.get("$defs", {}).keys():
        found["$defs"][name] = _closed(found["$defs"][name])
    return found


def _without_titles(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the schema without the titles that only repeat a field's name, and with Markdown's single quotes."""
    if isinstance(schema, list):
        return [_without_titles(each) for each in schema]
    if not isinstance(schema, dict):
        return schema.replace("``", "`") if isinstance(schema, str) else schema
    return {
        name: _without_titles(value)
        for name, value in schema.items()
        if not (name == "title" and isinstance(value, str))
    }


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "additionalProperties": False}


def _titled(title: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": _DIALECT, "title": title.replace("_", " "), **schema}


def _event(detail_type: str, detail: dict[str, Any], source: str | None) -> dict[str, Any]:
    """Return the schema of a whole EventBridge event around its detail."""
    definitions = detail.pop("$defs", {})
    return {
        "type": "object",
        "required": ["source", "detail-type", "detail"],
        "properties": {
            "source": {"const": source} if source else {"type": "string"},
            "detail-type": {"const": detail_type},
            "detail": detail,
        },
        **({"$defs": definitions} if definitions else {}),
    }


def main() -> int:
    """Write what has changed, and remove schemas of what there is no longer."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    texts = render()
    for path in FOLDER.glob("*.json"):
        if path.relative_to(ROOT).as_posix() not in texts:
            path.unlink()
    for name, text in texts.items():
        (ROOT / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
