"""Answer a request event that cannot be carried out, so that its sender is not met with silence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cleanplate.outcomes import REQUEST_REFUSED, put_event
from cleanplate.schemas import MAX_CORRELATION_ID, SCHEMA, RequestRefused
from cleanplate.uploads.messages import REQUEST_DETAIL_TYPE

if TYPE_CHECKING:
    from cleanplate.errors import InvalidRequestError, PhotoRefusedError
    from cleanplate.services import Services

#: Characters of a refused request that are given back; an event may hold 256 KiB.
_MAX_ECHO = 4000


def refuse_request(body: str, error: InvalidRequestError, services: Services) -> bool:
    """Publish ``Request Refused`` where a message is a request event; return False where it is none.

    ``body`` is the message as it came. Raises :class:`NotAnnouncedError` where the event was not taken.
    """
    event = _request_in(body)
    if event is None:
        return False
    statement = describe_refusal(event, error)
    put_event(
        services.events,
        REQUEST_REFUSED,
        statement,
        bucket=services.settings.uploads_bucket,
        bus=services.event_bus,
    )
    return True


def refuse(error: PhotoRefusedError, what: dict[str, Any], services: Services) -> None:
    """Publish ``Request Refused`` about what was uploaded: nobody asked for it by an event."""
    statement = describe_refusal({"detail": what}, error)
    put_event(services.events, REQUEST_REFUSED, statement, bucket=what["bucket"], bus=services.event_bus)


def describe_refusal(event: dict[str, Any], error: PhotoRefusedError) -> RequestRefused:
    """Return the detail of ``Request Refused``, with the request's own detail as far as it is short."""
    detail = event.get("detail")
    echo = json.dumps(detail, ensure_ascii=False)
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
