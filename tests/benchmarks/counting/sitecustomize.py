"""Put first on a function's PYTHONPATH, this notes every request to AWS and Adobe, and every pause: a line of JSON each.

DynamoDB is asked for the capacity that each call consumed.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import botocore.client
import botocore.exceptions
import requests

_WITH_CAPACITY = {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchGetItem", "Query"}
_READS = {"GetItem", "BatchGetItem", "Query"}

# Private, and the one place through which every call of every client goes.
_client: Any = botocore.client.BaseClient
_call = _client._make_api_call
_send = requests.Session.send
_sleep = time.sleep


def _note(**line: object) -> None:
    folder = os.environ.get("COUNT_REQUESTS_IN")
    if folder:
        told = {"function": os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""), **line}
        with Path(folder, f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")


def _item(parameters: dict[str, Any]) -> str:
    """What kind of item of the Jobs table a call is about: the beginning of its key."""
    if "TransactItems" in parameters:
        return f"transaction of {len(parameters['TransactItems'])}"
    key = (parameters.get("Key") or parameters.get("Item") or {}).get("job_id", {}).get("S", "many")
    return key.partition("#")[0] if "#" in key or key == "many" else "job"


def _call_and_note(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
    service = self.meta.service_model.service_name
    if service == "dynamodb" and operation in _WITH_CAPACITY:
        parameters = {**parameters, "ReturnConsumedCapacity": "TOTAL"}
    began = time.monotonic()
    # A refused conditional write is paid like one that was taken.
    units, error = 1.0, ""
    try:
        answer = _call(self, operation, parameters)
        consumed = answer.pop("ConsumedCapacity", [])
        units = sum(one["CapacityUnits"] for one in (consumed if isinstance(consumed, list) else [consumed]))
    except botocore.exceptions.ClientError as refused:
        error = refused.response["Error"]["Code"]
        raise
    else:
        return answer
    finally:
        kind = "read" if operation in _READS else "write"
        capacity = {f"{kind}_units": units, "item": _item(parameters)} if service == "dynamodb" else {}
        _note(service=service, operation=operation, seconds=time.monotonic() - began, error=error, **capacity)


def _send_and_note(self: Any, request: Any, **named: Any) -> Any:
    began = time.monotonic()
    try:
        return _send(self, request, **named)
    finally:
        # A picture is fetched by a signed link, which is no request to Adobe's API and counts towards no limit of it.
        service = "adobe" if "Authorization" in request.headers else "link"
        _note(service=service, operation=request.method, seconds=time.monotonic() - began, error="")


def _sleep_and_note(seconds: float) -> None:
    _sleep(seconds)
    _note(service="pause", operation="", seconds=seconds, error="")


_client._make_api_call = _call_and_note
# Lambda is paid while a function waits.
time.sleep = _sleep_and_note  # type: ignore[assignment]
requests.Session.send = _send_and_note  # type: ignore[method-assign]
