"""Adobe's HTTP: send a request, ask about a job, fetch a picture.

Only GETs are repeated within a call. A POST is a purchase: whether it may be repeated is the ledger's decision, so
every way in which it can go wrong has its own error here.
"""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import IO, Any

import requests
from urllib3.exceptions import HTTPError, NewConnectionError

from cleanplate.adobe.answers import (
    PROMPT_UNSAFE,
    absolute_link,
    known_link,
    read_adobe_job,
    read_error,
    read_retry_after,
)
from cleanplate.adobe.connections import GET_TRIES, arriving, read_answer, succeeded, times_sent
from cleanplate.adobe.errors import (
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
    PromptRefusedError,
    RateLimitedError,
    RequestRefusedError,
)
from cleanplate.adobe.links import base_url, check_api_link, check_picture_link
from cleanplate.adobe.routes import Request, Route
from cleanplate.adobe.tokens import TIMEOUTS, TokenSource
from cleanplate.models import AdobeJob, Answer
from cleanplate.redaction import scrub

#: The whole of a picture: the read time-out alone would let a drip last for ever.
_DOWNLOAD_SECONDS = 60.0
_DOWNLOAD_TRIES = 3
#: Adobe's newer platform hosts results behind a short link that leads to S3.
_MAX_REDIRECTS = 3
_INPUT_WORDS = re.compile(r"(?i)\b(input|source|href|link|presigned|download)")
#: OpenSSL's reason where the other end does not speak TLS at all, so that the handshake never came to its end.
_NO_TLS = "WRONG_VERSION_NUMBER"
#: Adobe's v2 platform uses one 403 for entitlement, quota and load; only the last one passes by itself.
_LOAD_WORDS = re.compile(r"(?i)high[\s-]+traffic|too many requests")
_CREDENTIAL_CODES = {"403000", "403003"}


class AdobeClient:
    """One account at one API; ``session`` and ``tokens`` are shared by all calls of the process."""

    def __init__(self, *, api_url: str, session: requests.Session, tokens: TokenSource) -> None:
        self._api_url = api_url
        self._session = session
        self._tokens = tokens

    def submit(self, route: Route, request: Request) -> AdobeJob:
        """POST one job: paid, sent exactly once, or twice where the first was refused for its token.

        Raises :class:`AnswerLostError` where a job may exist, and :class:`AdobeUnavailableError` that says whether one
        may; :class:`ForeignLinkError` where one does and cannot be asked about. Every other error means that none does.
        """
        root = base_url(self._api_url, route.host)
        response, sent = self._with_token("POST", f"{root}{route.path}", route.body(request))
        try:
            return replace(self._accepted(response, route, root), requests=sent)
        except AdobeError as error:
            error.requests = sent - isinstance(error, AnswerLostError | ForeignLinkError)
            raise

    def _accepted(self, response: requests.Response, route: Route, root: str) -> AdobeJob:
        """Return the job that a POST has made; raises as :meth:`submit`."""
        body = _json(response)
        if not succeeded(response):
            raise self._refusal(response, body)
        if not isinstance(body, dict):
            # The job was accepted, so this must not be mistaken for a refusal.
            raise AnswerLostError(f"Adobe answered {response.status_code} with a body that cannot be read.")
        try:
            job = read_adobe_job(
                body, response.headers, status_root=f"{root}{route.status_path}" if route.status_path else ""
            )
        except AnswerUnreadableError as error:
            raise AnswerLostError(str(error)) from None
        try:
            check_api_link(job.status_url, self._api_url)
        except ForeignLinkError:
            # The job is paid: it may be known where jobs of its kind are asked about.
            if not route.status_path or not job.job_id:
                raise
            link = known_link(job.job_id, status_root=f"{root}{route.status_path}")
            return replace(job, status_url=link)
        return job

    def sign_in(self) -> None:
        """Get a token where there is none; raises :class:`CredentialsRefusedError` or :class:`AdobeUnavailableError`."""
        self._tokens.token()

    def probe(self, route: Route) -> int:
        """POST a request without a picture, of which no job can come; return the answer's status.

        400 says that the route is alive. Where Adobe's own checks come in another order, 403 and 404 come first.
        """
        response, _ = self._with_token("POST", f"{base_url(self._api_url, route.host)}{route.path}", {})
        return response.status_code

    def get_status(self, route: Route, job: AdobeJob, *, work_key: str = "") -> Answer:
        """GET a job's state; a 429 is an answer too: pending, with the time to wait."""
        response, sent = self._with_token("GET", check_api_link(job.status_url, self._api_url), None)
        body = _json(response)
        if response.status_code in {404, 410}:
            raise AdobeJobGoneError(f"Adobe answered {response.status_code} for job {job.job_id}.")
        if not succeeded(response):
            error = self._refusal(response, body)
            if isinstance(error, RateLimitedError):
                return Answer("pending", "too_many_requests", retry_after=error.retry_after, requests=sent)
            if isinstance(error, AdobeUnavailableError):
                error.requests = sent
            raise error
        if not isinstance(body, dict):
            raise AdobeUnavailableError(
                "Adobe answered a status request with a body that cannot be read.", requests=sent
            )
        answer = route.read(body, work_key=work_key)
        retry_after = read_retry_after(response.headers, body, now=time.time()) if answer.state == "pending" else None
        return replace(answer, retry_after=retry_after, requests=sent)

    def download(self, url: str, into: IO[bytes], *, max_bytes: int) -> int:
        """Stream a result picture, without credentials; returns its size in bytes.

        Up to three redirects are followed, each to a link and an address that are checked as the first. What breaks off
        is fetched again from its beginning: that costs nothing. Raises :class:`ForeignLinkError`,
        :class:`DownloadTooLargeError`, :class:`DownloadFailedError`.
        """
        deadline = time.monotonic() + _DOWNLOAD_SECONDS
        start = into.tell()
        for _ in range(_DOWNLOAD_TRIES):
            try:
                return self._fetch(url, into, max_bytes=max_bytes, deadline=deadline)
            except (requests.RequestException, HTTPError) as error:
                why = type(error).__name__
            into.seek(start)
            into.truncate()
            if time.monotonic() > deadline:
                break
        raise DownloadFailedError(f"Adobe's result broke off ({why}).")

    def _fetch(self, url: str, into: IO[bytes], *, max_bytes: int, deadline: float) -> int:
        for _ in range(_MAX_REDIRECTS + 1):
            check_picture_link(url, self._api_url)
            with self._session.get(url, stream=True, timeout=TIMEOUTS, allow_redirects=False) as response:
                target = self._session.get_redirect_target(response)
                if target is None:
                    return _save(response, into, max_bytes=max_bytes, deadline=deadline)
                url = absolute_link(url, target)
        raise DownloadFailedError(f"Adobe's result link was redirected more than {_MAX_REDIRECTS} times.")

    def _refusal(self, response: requests.Response, body: object) -> AdobeError:
        error = _error_of(response, body)
        if isinstance(error, CredentialsRefusedError):
            # IMS may have taken what the API does not: only the secret itself can tell whether it was corrected.
            self._tokens.doubt()
        return error

    def _with_token(self, method: str, url: str, body: Mapping[str, Any] | None) -> tuple[requests.Response, int]:
        """Send a request with the token, once more with another where it is refused; returns also how many were sent."""
        token = self._tokens.token()
        response, sent = self._send(method, url, body, token)
        if response.status_code == requests.codes.unauthorized:
            self._tokens.forget(token)
            try:
                response, more = self._send(method, url, body, self._tokens.token())
            except AdobeError as error:
                error.requests += sent
                raise
            sent += more
        return response, sent

    def _send(self, method: str, url: str, body: Mapping[str, Any] | None, token: str) -> tuple[requests.Response, int]:
        sent = GET_TRIES
        credentials = self._tokens.credentials
        headers = {"Authorization": f"Bearer {token}", "x-api-key": credentials.client_id, "Accept": "application/json"}
        if body is not None and credentials.org_id:
            headers["x-gw-ims-org-id"] = credentials.org_id
        try:
            with self._session.request(
                method, url, json=body, headers=headers, timeout=TIMEOUTS, allow_redirects=False, stream=True
            ) as response:
                sent = times_sent(response)
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
            raise AdobeUnavailableError(
                f"Adobe did not answer ({type(error).__name__}).", requests=0 if _never_sent(error) else sent
            ) from None
        return response, sent


def _save(response: requests.Response, into: IO[bytes], *, max_bytes: int, deadline: float) -> int:
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


def _never_sent(error: Exception) -> bool:
    """Return whether no connection came about, so that the request cannot have reached Adobe.

    Told by the types of the error and of what caused it, never by words, which a server may have chosen.
    """
    return any(
        isinstance(cause, requests.ConnectTimeout | NewConnectionError | ssl.SSLCertVerificationError)
        or (isinstance(cause, ssl.SSLError) and cause.reason == _NO_TLS)
        for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it was made of; requests and urllib3 wrap one into the other in several ways."""
    found, ahead = set[int](), [error]
    while ahead:
        cause = ahead.pop()
        if id(cause) in found:
            continue
        found.add(id(cause))
        yield cause
        parts = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        ahead += [part for part in parts if isinstance(part, BaseException)]


def _json(response: requests.Response) -> object:
    try:
        found = response.json()
        # Half characters, which JSON's escapes can make, fit into no record, manifest or event.
        return json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None


def _error_of(response: requests.Response, body: object) -> AdobeError:
    """Return the error for an answer that is not a success; for a POST only 5xx leave open whether a job exists."""
    status = response.status_code
    code, words = read_error(body if body is not None else "")
    access = response.headers.get("X-Access-Error", "")
    text = scrub(f"Adobe answered {status} {code} {access}: {words or 'no words'}")
    if status < 400:
        return ForeignLinkError(f"Adobe answered {status}, a redirect; it was not followed.")
    retry_after = read_retry_after(response.headers, body, now=time.time())
    is_load = status == requests.codes.forbidden and (retry_after is not None or _LOAD_WORDS.search(words))
    if status == requests.codes.too_many_requests or is_load:
        return RateLimitedError(text, retry_after)
    if status == requests.codes.unauthorized or code in _CREDENTIAL_CODES:
        return CredentialsRefusedError(text)
    if status == 410 or (status in {403, 404} and _INPUT_WORDS.search(words)):
        return InputLinkRefusedError(text)
    if status == requests.codes.forbidden:
        return AccessRefusedError(text)
    if code == PROMPT_UNSAFE:
        return PromptRefusedError(text)
    if status == 504:
        return AnswerLostError(text) if response.request.method == "POST" else AdobeUnavailableError(text)
    if status == 408 or status >= 500:
        return AdobeUnavailableError(
            text, job_may_exist=response.request.method == "POST" and status in {500, 502, 503}
        )
    return RequestRefusedError(text)
