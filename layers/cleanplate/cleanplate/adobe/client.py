"""Adobe's HTTP: send a request, ask about a job, fetch a picture.

Only GETs are repeated within a call. A POST is a purchase: whether it may be repeated is the ledger's decision, so
every way in which it can go wrong has its own error here.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import IO, Any

import requests
from urllib3.exceptions import HTTPError

from cleanplate.adobe.answers import read_adobe_job, read_error, read_retry_after, scrub
from cleanplate.adobe.connections import arriving, read_answer, succeeded
from cleanplate.adobe.links import check_api_link, check_picture_link
from cleanplate.adobe.routes import Request, Route
from cleanplate.adobe.tokens import TIMEOUTS, TokenSource
from cleanplate.errors import (
    AccessRefusedError,
    AdobeError,
    AdobeJobGoneError,
    AdobeUnavailableError,
    AnswerLostError,
    AnswerUnreadableError,
    CredentialsRefusedError,
    DownloadFailedError,
    DownloadTooLargeError,
    ForeignLinkError,
    InputLinkRefusedError,
    RateLimitedError,
    RequestRefusedError,
)
from cleanplate.models import AdobeJob, Answer

#: The whole of a picture: the read time-out alone would let a drip last for ever.
_DOWNLOAD_SECONDS = 60.0
_DOWNLOAD_TRIES = 3
_INPUT_WORDS = re.compile(r"(?i)\b(input|source|href|link|presigned|download)")
#: What stands in errors that ended a request before it was sent.
_NEVER_SENT = ("NewConnectionError", "NameResolutionError", "CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER")
_CREDENTIAL_CODES = {"403000", "403003"}


class AdobeClient:
    """One account at one API; ``session`` and ``tokens`` are shared by all calls of the process."""

    def __init__(self, *, api_url: str, session: requests.Session, tokens: TokenSource) -> None:
        self._api_url = api_url
        self._session = session
        self._tokens = tokens

    def submit(self, route: Route, request: Request) -> AdobeJob:
        """POST one job: paid, sent exactly once, or twice where the first was refused for its token.

        Raises :class:`AnswerLostError` where a job may exist; every other error means that none does.
        """
        response = self._with_token("POST", f"{self._api_url}{route.path}", route.body(request))
        body = _json(response)
        if not succeeded(response):
            raise self._refusal(response, body)
        if not isinstance(body, dict):
            # The job was accepted, so this must not be mistaken for a refusal.
            raise AnswerLostError(f"Adobe answered {response.status_code} with a body that cannot be read.")
        try:
            job = read_adobe_job(body, response.headers, status_root=f"{self._api_url}{route.status_path}")
        except AnswerUnreadableError as error:
            raise AnswerLostError(str(error)) from None
        check_api_link(job.status_url, self._api_url)
        return job

    def request(self, route: Route, job: AdobeJob, *, work_key: str = "") -> Answer:
        """GET a job's state; a 429 is an answer too: pending, with the time to wait."""
        response = self._with_token("GET", check_api_link(job.status_url, self._api_url), None)
        body = _json(response)
        retry_after = read_retry_after(response.headers, body)
        if response.status_code == requests.codes.too_many_requests:
            return Answer("pending", "too_many_requests", retry_after=retry_after)
        if response.status_code in {404, 410}:
            raise AdobeJobGoneError(f"Adobe answered {response.status_code} for job {job.job_id}.")
        if not succeeded(response):
            raise self._refusal(response, body)
        if not isinstance(body, dict):
            raise AdobeUnavailableError("Adobe answered the status request with a body that cannot be read.")
        answer = route.read(body, work_key=work_key)
        if answer.state == "pending" and retry_after is not None:
            return Answer("pending", answer.word, retry_after=retry_after)
        return answer

    def download(self, url: str, into: IO[bytes], *, max_bytes: int) -> int:
        """Stream a result picture, without credentials or redirects; returns its size in bytes.

        What breaks off is fetched again from its beginning: that costs nothing.
        """
        check_picture_link(url, self._api_url)
        deadline = time.monotonic() + _DOWNLOAD_SECONDS
        start = into.tell()
        for _ in range(_DOWNLOAD_TRIES):
            try:
                return self._fetch(url, into, max_bytes=max_bytes, deadline=deadline)
            except (requests.RequestException, HTTPError) as error:
                why = type(error).__name__
            into.seek(start)
            into.truncate()
        raise DownloadFailedError(f"Adobe's result broke off ({why}).")

    def _fetch(self, url: str, into: IO[bytes], *, max_bytes: int, deadline: float) -> int:
        with self._session.get(url, stream=True, timeout=TIMEOUTS, allow_redirects=False) as response:
            if response.status_code != requests.codes.ok:
                raise DownloadFailedError(f"Adobe's result link answered {response.status_code}.")
            size = 0
            for chunk in arriving(response):
                size += len(chunk)
                if size > max_bytes:
                    raise DownloadTooLargeError(f"Adobe's result is larger than {max_bytes} bytes.")
                if time.monotonic() > deadline:
                    raise DownloadFailedError(f"Adobe's result took longer than {_DOWNLOAD_SECONDS:g} s.")
                into.write(chunk)
        return size

    def _refusal(self, response: requests.Response, body: object) -> AdobeError:
        error = _error_of(response, body)
        if isinstance(error, CredentialsRefusedError):
            # IMS may have taken what the API does not: only the secret itself can tell whether it was corrected.
            self._tokens.doubt()
        return error

    def _with_token(self, method: str, url: str, body: Mapping[str, Any] | None) -> requests.Response:
        token = self._tokens.token()
        response = self._send(method, url, body, token)
        if response.status_code == requests.codes.unauthorized:
            self._tokens.forget(token)
            response = self._send(method, url, body, self._tokens.token())
        return response

    def _send(self, method: str, url: str, body: Mapping[str, Any] | None, token: str) -> requests.Response:
        credentials = self._tokens.credentials
        headers = {"Authorization": f"Bearer {token}", "x-api-key": credentials.client_id, "Accept": "application/json"}
        if body is not None and credentials.org_id:
            headers["x-gw-ims-org-id"] = credentials.org_id
        try:
            with self._session.request(
                method, url, json=body, headers=headers, timeout=TIMEOUTS, allow_redirects=False, stream=True
            ) as response:
                read_answer(response)
        except ForeignLinkError as error:
            if method == "POST":
                # Before a word was said: unlike a job whose link is unusable, this may be tried again.
                raise AdobeUnavailableError(str(error)) from None
            raise
        except (requests.exceptions.InvalidHeader, UnicodeError):
            raise CredentialsRefusedError("The client id, organisation or token does not fit into a header.") from None
        except (requests.RequestException, HTTPError) as error:
            if method == "POST" and not _never_sent(error):
                raise AnswerLostError(f"Adobe's answer to a POST was lost ({type(error).__name__}).") from None
            raise AdobeUnavailableError(f"Adobe did not answer ({type(error).__name__}).") from None
        return response


def _never_sent(error: Exception) -> bool:
    """Say whether no connection came about, so that the request cannot have reached Adobe."""
    return isinstance(error, requests.ConnectTimeout) or any(sign in repr(error) for sign in _NEVER_SENT)


def _json(response: requests.Response) -> object:
    try:
        found = response.json()
        # Half characters, which JSON's escapes can make, fit into no record, manifest or event.
        return json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None


def _error_of(response: requests.Response, body: object) -> AdobeError:
    """Return the error for an answer that is not a success; for a POST each of them means that no job exists, but 504."""
    status = response.status_code
    code, words = read_error(body if body is not None else "")
    access = response.headers.get("X-Access-Error", "")
    text = scrub(f"Adobe answered {status} {code} {access}: {words or 'no words'}")
    if status < 400:
        return ForeignLinkError(f"Adobe answered {status}, a redirect; it was not followed.")
    if status == requests.codes.too_many_requests:
        return RateLimitedError(text, read_retry_after(response.headers, body))
    if status == requests.codes.unauthorized or code in _CREDENTIAL_CODES:
        return CredentialsRefusedError(text)
    if status == 410 or (status in {403, 404} and _INPUT_WORDS.search(words)):
        return InputLinkRefusedError(text)
    if status == requests.codes.forbidden:
        return AccessRefusedError(text)
    if status == 504:
        return AnswerLostError(text) if response.request.method == "POST" else AdobeUnavailableError(text)
    if status == 408 or status >= 500:
        return AdobeUnavailableError(text)
    return RequestRefusedError(text)
