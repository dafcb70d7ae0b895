"""Bytes from outside, whatever they hold: they become our types or are refused by name. The rest of the fuzzing lies
beside what it is about: notifications in test_events.py, options in test_options.py, Adobe's JSON in test_answers.py."""

from __future__ import annotations

import contextlib
import json
import math
import time
from typing import Any
from unittest.mock import patch

import requests
from hypothesis import example, given
from hypothesis import strategies as st

from cleanplate.adobe.errors import AnswerUnreadableError
from cleanplate.adobe.tokens import Credentials, TokenSource
from cleanplate.errors import (
    InvalidOptionsError,
    InvalidRequestError,
)
from cleanplate.uploads.messages import read_uploads
from cleanplate.uploads.options import MAX_SIDECAR_BYTES, options_in_folders, options_in_sidecar, parse_options
from tests.unit.uploads.test_options import JSON

_DEEP = 100_000
#: Beginnings that a reader of JSON goes on with.
_NEARLY_JSON = st.sampled_from(
    ["{", "[", '"', '{"Records": [', '{"detail": {"bucket": "b"', "\ufeff{}", "NaN", "\\ud800"]
)


@given(st.text() | st.tuples(_NEARLY_JSON, st.text()).map("".join))
@example("[" * _DEEP)
@example('{"Records":' * _DEEP)
@example('{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"size": ' + "9" * 5000 + "}}}]}")
@example("\x00")
@example("")
def test_whatever_text_a_message_is_it_is_photos_or_refused_by_name(body: str) -> None:
    try:
        uploads = list(read_uploads(body))
    except InvalidRequestError:
        return
    assert all(upload.photo.key and upload.photo.bucket for upload in uploads)


@given(st.binary() | st.text().map(str.encode) | JSON.map(lambda found: json.dumps(found).encode()))
@example(b"[" * MAX_SIDECAR_BYTES)
@example(b'{"remove":' * 1600)
@example(b'{"grow": ' + b"9" * 5000 + b"}")
@example(b'{"grow": 1e400}')
@example(b'{"min_score": NaN}')
@example(b'{"remove": ["' + b"a" * 15_000 + b'"]}')
@example(b"\xff\xfe{\x00}\x00")
@example(b"{" + b" " * MAX_SIDECAR_BYTES + b"}")
def test_whatever_bytes_a_sidecar_has_they_are_options_or_refused_by_name(content: bytes) -> None:
    try:
        found = options_in_sidecar(content)
        parsed = parse_options(found, source="The sidecar")
    except InvalidOptionsError:
        return
    assert len(content) <= MAX_SIDECAR_BYTES
    # What is kept with the job, published in events and sent to Adobe stays small.
    assert len(json.dumps(parsed)) <= 2 * MAX_SIDECAR_BYTES


@given(
    st.lists(st.text() | st.sampled_from(["remove=dog", "grow=", "=5", "min_score=1=2", "REMOVE=a", ".."])).map(
        "/".join
    )
)
@example("/" * 1024)
@example("remove=" + "a" * 1000 + "/b.jpg")
@example("remove=../../etc/passwd/b.jpg")
@example("remove=\x00/b.jpg")
def test_whatever_folders_a_key_has_they_are_options_or_refused_by_name(key: str) -> None:
    found = options_in_folders(key)
    assert all(value in key for value in found.values())
    with contextlib.suppress(InvalidOptionsError):
        parse_options(found, source="The folder")


def _answer(body: Any) -> requests.Response:
    response = requests.Response()
    response.status_code = 200
    response._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return response


@given(st.fixed_dictionaries({}, optional={"access_token": JSON, "expires_in": JSON}) | JSON | st.binary())
@example({"access_token": "t", "expires_in": math.inf})
@example({"access_token": "t", "expires_in": math.nan})
@example({"access_token": "t", "expires_in": -1})
@example({"access_token": "t", "expires_in": "86399"})
@example({"access_token": "t", "expires_in": 10**400})
@example({"access_token": "", "expires_in": 1})
@example(b"[" * _DEEP)
def test_whatever_ims_answers_it_is_a_token_with_an_end_or_unreadable(body: Any) -> None:
    tokens = TokenSource(
        ims_url="https://ims.example.com",
        session=requests.Session(),
        read_credentials=lambda *, force_fetch: Credentials("a", "b"),
    )
    with patch.object(requests.models, "complexjson", json), contextlib.suppress(AnswerUnreadableError):
        # Where simplejson is installed, as it is not for a function, requests would take that.
        tokens._keep(_answer(body))
        assert isinstance(tokens._token, str)
        assert tokens._token
        assert tokens._renew_at <= time.monotonic() + 86_400
