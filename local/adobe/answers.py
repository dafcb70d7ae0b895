"""What the stand-in says: the answer object, and every error shape that Adobe is known to use.

The letters name the shapes: A is the gateway's, B the legacy and /v1 specification's, B' what /sensei really
sent, B'' a job error, C the granular-labels guide's, D remove-background's, E the v2 platform's, F Firefly's, G an empty
body or HTML from something in front.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from xml.sax.saxutils import escape

Json = dict[str, Any]


@dataclass(slots=True)
class Answer:
    """One HTTP answer before it is sent; ``body`` is JSON when it is a dict."""

    status: int
    body: Json | bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def encoded(self) -> bytes:
        """Return the body as bytes."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request's body; ``where`` is a path such as ``.image.source.url``."""

    where: str
    keyword: str
    reason: str
    allowed: str = ""


_C_CODES = {
    400: "input_validation_error",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    429: "too_many_requests",
    500: "internal_server_error",
}
_D_CODES = {
    400: "validation_error",
    401: "unauthorized",
    403: "access_error",
    429: "rate_limited",
    500: "runtime_error",
}
_E_CODES = {
    400: "validation_error",
    401: "401013",
    403: "unauthorized_forbidden",
    404: "unknown_job_id",
    405: "unsupported_method",
    415: "invalid_content_type",
    429: "unauthorized_rate_limited",
    451: "unauthorized_legal_reasons",
    500: "runtime_error",
}
_F_CODES = {
    400: "bad_request",
    401: "access_error",
    403: "access_error",
    404: "unknown_job_id",
    408: "timeout_error",
    415: "invalid_content_type",
    422: "validation_error",
    429: "rate_limited",
    500: "runtime_error",
}
_B_TYPES = {
    401: "InvalidAuthTokenError",
    402: "TrialLimitExceededError",
    403: "AuthForbidden",
    404: "ResourceNotFound",
    409: "FileOverwriteError",
    410: "FileLinkInvalidError",
    415: "InvalidContentTypeError",
}


def phrase(status: int) -> str:
    """Return the status in words: 429 is ``Too Many Requests``."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def shape_a(status: int, code: str, message: str) -> Answer:
    """Return the gateway's ``{"error_code", "message"}``."""
    return Answer(status, {"error_code": code, "message": message})


def shape_b(status: int, title: str, details: list[Problem] | None = None, kind: str | None = None) -> Answer:
    """Return the legacy ``{"type", "code", "title", "details"}``; ``code`` is a string, as the specification has it."""
    listed = [
        {"allowedValues": item.allowed, "reason": f"{item.where} {item.reason}".strip()} for item in details or []
    ]
    named = kind or "InputValidationError"
    return Answer(status, {"type": named, "code": str(status), "title": title, "details": listed})


def shape_b_prime(problems: list[Problem]) -> Answer:
    """Return a 400 as ``/sensei/*`` really sent it: a validator's list under ``reason``, ``code`` a number."""
    reason = [
        {
            "keyword": item.keyword,
            "dataPath": item.where,
            "schemaPath": f"#/properties{item.where.replace('.', '/properties/')}/{item.keyword}",
            "params": {"allowedValues": item.allowed} if item.allowed else {},
            "message": item.reason,
        }
        for item in problems
    ]
    return Answer(400, {"code": 400, "type": "InputValidationError", "reason": reason})


def shape_b_second(message: str) -> Answer:
    """Return the job error that the /v1 specification gives a 500."""
    details = [{"name": "job", "reason": message}]
    body = {"type": "JobError", "code": "500", "title": message, "error_code": "internal_error", "details": details}
    return Answer(500, body)


def shape_c(status: int, message: str) -> Answer:
    """Return the granular-labels guide's ``{"error_code", "message"}`` with words for codes."""
    return Answer(status, {"error_code": _C_CODES.get(status, "internal_server_error"), "message": message})


def shape_d(status: int, message: str, problems: list[Problem] | None = None) -> Answer:
    """Return remove-background's body, with ``validation_errors`` where there are any."""
    body: Json = {"error_code": _D_CODES.get(status, "runtime_error"), "message": message}
    if problems:
        body["validation_errors"] = [f"{item.where} {item.reason}" for item in problems]
    return Answer(status, body)


def shape_e(status: int, message: str) -> Answer:
    """Return the v2 platform's body with its list of ``errors``."""
    code = _E_CODES.get(status, "runtime_error")
    body = {"error_code": code, "message": message, "errors": [{"error_code": code, "message": message}]}
    return Answer(status, body)


def shape_f(status: int, message: str, problems: list[Problem] | None = None) -> Answer:
    """Return Firefly's ``{"error_code", "message"}``, what is wrong with a body among the words."""
    words = "; ".join([message, *(f"{item.where} {item.reason}" for item in problems or [])])
    return Answer(status, {"error_code": _F_CODES.get(status, "runtime_error"), "message": words})


def html(status: int) -> Answer:
    """Return what a proxy says when nobody behind it does."""
    words = phrase(status)
    page = (
        f"<html>\r\n<head><title>{status} {words}</title></head>\r\n<body><h1>{status} {words}</h1></body>\r\n</html>"
    )
    return Answer(status, page.encode(), content_type="text/html")


def empty(status: int) -> Answer:
    """Return a status and nothing else."""
    return Answer(status, b"", content_type="")


def s3_error(status: int, code: str, message: str) -> Answer:
    """Return an error as S3 says it, for result links."""
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    )
    return Answer(status, xml.encode(), content_type="application/xml")


def error_in_shape(shape: str, status: int, message: str = "") -> Answer:
    """Return an error with ``status`` in the shape of that letter, or ``html``, ``empty``, ``s3``."""
    words = message or phrase(status)
    answer = _SHAPES[shape](status, words)
    answer.status = status
    return answer


_SHAPES: dict[str, Callable[[int, str], Answer]] = {
    "A": lambda status, words: shape_a(status, {401: "401013", 403: "403003"}.get(status, f"{status}000"), words),
    "B": lambda status, words: shape_b(status, words, kind=_B_TYPES.get(status)),
    "B'": lambda _, words: shape_b_prime([Problem(".input.href", "pattern", words)]),
    "B''": lambda _, words: shape_b_second(words),
    "C": shape_c,
    "D": shape_d,
    "E": shape_e,
    "F": shape_f,
    "html": lambda status, _: html(status),
    "empty": lambda status, _: empty(status),
    "s3": lambda status, words: s3_error(status, "AccessDenied", words),
}
ERROR_SHAPES = tuple(_SHAPES)


def refused(family: str, status: int, title: str, problems: list[Problem], v1_errors: str) -> Answer:
    """Return an error in the shape that the routes of ``family`` (v1, v2, v3, sensei) use for it."""
    if family == "v3":
        return shape_f(status, title, problems)
    if family == "v2":
        return shape_e(status, title) if status in (404, 405, 415) else shape_d(status, title, problems)
    if family == "sensei":
        return shape_b_prime(problems) if status == 400 else shape_b(status, title, problems, _B_TYPES.get(status))
    if v1_errors == "C":
        return shape_c(status, "; ".join([title, *(f"{item.where} {item.reason}" for item in problems)]))
    return shape_b(status, title, problems)
