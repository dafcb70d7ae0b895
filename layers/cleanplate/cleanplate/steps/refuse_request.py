"""Answer a request that cannot be carried out by an event ``Request Refused``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cleanplate.outcomes import REQUEST_REFUSED, put_event
from cleanplate.schemas import MAX_CORRELATION_ID, SCHEMA, RequestRefused
from cleanplate.uploads.messages import REQUEST_DETAIL_TYPE

if TYPE_CHECKING:
    from cleanplate.errors import InvalidRequestError, PhotoRefusedError
    from cleanplate.models import Photo
    from cleanplate.services import Services

#: Characters of a refused request that are given back; an event may hold 256 KiB.
_MAX_ECHO = 4000


def refuse_request(body: str, error: InvalidRequestError, services: Services) -> bool:
    """Publish ``Request Refused`` where a message is a request event; return False where it is none.

    ``body`` is the message as it came. Where several stacks share a bus, one of them answers. Raises
    :class:`NotAnnouncedError` where the event was not taken.
    """
    event = _request_in(body)
    if event is None:
        return False
    if not _is_ours(event, services):
        return True
    put_event(REQUEST_REFUSED, describe_refusal(event, error), services.settings.uploads_bucket, services)
    return True


def refuse(error: PhotoRefusedError, photo: Photo, services: Services) -> None:
    """Publish ``Request Refused`` about an upload that no event asked for."""
    refusal = describe_refusal({"detail": {"bucket": photo.bucket, "key": photo.key}}, error)
    put_event(REQUEST_REFUSED, refusal, photo.bucket, services)


def _is_ours(event: Mapping[str, Any], services: Services) -> bool:
    """Return whether this stack has to answer.

    It does where the bucket that is named is its own. Where it is no stack's, the first stack on the bus answers.
    """
    detail = event.get("detail")
    named = detail.get("bucket") if isinstance(detail, dict) else None
    if named in services.settings.photo_buckets:
        return True
    takers = _takers(services)
    if any(named in buckets for buckets in takers.values()):
        return False
    return not takers or services.settings.uploads_bucket in takers[min(takers)]


def _takers(services: Services) -> dict[str, list[str]]:
    """Return the rules of the bus that take requests, each with the buckets that they may name."""
    takers = {}
    for page in services.events.get_paginator("list_rules").paginate(EventBusName=services.settings.event_bus):
        for rule in page["Rules"]:
            pattern = json.loads(rule.get("EventPattern") or "{}")
            buckets = (pattern.get("detail") or {}).get("bucket") or []
            if REQUEST_DETAIL_TYPE in pattern.get("detail-type", []) and all(isinstance(one, str) for one in buckets):
                takers[rule["Name"]] = buckets
    return {name: buckets for name, buckets in takers.items() if buckets}


def describe_refusal(event: dict[str, Any], error: PhotoRefusedError) -> RequestRefused:
    """Return the detail of ``Request Refused``, with the request's own detail as far as it is short."""
    # Half characters, which JSON's escapes can make, fit into no event.
    echo = json.dumps(event.get("detail"), ensure_ascii=False).encode(errors="replace").decode()
    detail = json.loads(echo)
    correlation_id = detail.get("correlation_id") if isinstance(detail, dict) else ""
    return {
        "schema": SCHEMA,
        "request_id": str(event.get("id") or ""),
        "correlation_id": correlation_id[:MAX_CORRELATION_ID] if isinstance(correlation_id, str) else "",
        "reason": error.reason,
        "message": str(error),
        "what_to_do": error.what_to_do,
        "request": detail if len(echo) <= _MAX_ECHO else f"{echo[:_MAX_ECHO]} …",
    }


def _request_in(body: str) -> dict[str, Any] | None:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and event.get("detail-type") == REQUEST_DETAIL_TYPE else None
