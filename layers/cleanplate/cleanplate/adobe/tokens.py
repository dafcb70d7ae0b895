"""The access token from Adobe's identity service (IMS), by client credentials.

One token per process: fetched once however many threads ask, renewed shortly before ``expires_in`` says.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import requests
from urllib3.exceptions import HTTPError

from cleanplate.adobe.answers import read_error
from cleanplate.adobe.connections import read_answer
from cleanplate.adobe.errors import (
    AdobeUnavailableError,
    AnswerUnreadableError,
    CredentialsRefusedError,
    ForeignLinkError,
    RateLimitedError,
)

#: Connect and read time-outs in seconds.
TIMEOUTS = (5, 15)
_RENEW_BEFORE = 300.0
#: Seconds; Adobe's tokens live for a day.
_LONGEST = 86_400.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """The stack's account at Adobe. ``repr`` shows no secret."""

    client_id: str
    client_secret: str = field(repr=False)
    scopes: str = ""
    org_id: str = ""


def read_credentials(secret: Mapping[str, str], *, scopes: str, org_id: str) -> Credentials:
    """Return credentials from the secret's JSON; raises :class:`CredentialsRefusedError` where a part is missing.

    ``scopes`` and ``org_id`` are the stack's; what the secret itself says of them goes before.
    """
    try:
        client_id, client_secret = secret["client_id"].strip(), secret["client_secret"].strip()
    except (KeyError, TypeError, AttributeError):
        client_id = client_secret = ""
    if not client_id or not client_secret:
        raise CredentialsRefusedError("The Adobe secret lacks client_id or client_secret.")
    own_scopes, own_org_id = (str(secret.get(name) or "").strip() for name in ("scopes", "org_id"))
    return Credentials(client_id, client_secret, own_scopes or scopes, own_org_id or org_id)


class CredentialsReader(Protocol):
    """Reads the credentials; with ``force_fetch`` from where they are kept and not from a cache."""

    def __call__(self, *, force_fetch: bool) -> Credentials: ...


class TokenSource:
    """Gives the token, and forgets it when Adobe no longer takes it.

    ``read_credentials`` is called with ``force_fetch`` when the last ones were refused, so that a corrected secret is seen at
    once.
    """

    def __init__(
        self,
        *,
        ims_url: str,
        session: requests.Session,
        read_credentials: CredentialsReader,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ims_url = ims_url
        self._session = session
        self._read_credentials = read_credentials
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0
        self._credentials: Credentials | None = None
        self._doubted = False

    @property
    def credentials(self) -> Credentials:
        """Return the credentials that the current token was made with."""
        if self._credentials is None:
            self._credentials = self._read_credentials(force_fetch=False)
        return self._credentials

    def token(self) -> str:
        """Return a token that is good for at least some minutes; errors as :meth:`_fetch`."""
        with self._lock:
            if not self._token or self._clock() >= self._renew_at:
                self._renew()
            return self._token

    def forget(self, token: str) -> None:
        """Fetch another token at the next call, unless somebody already did: Adobe refused this one."""
        with self._lock:
            if token == self._token:
                self._token = ""

    def doubt(self) -> None:
        """Read the secret again at the next call: Adobe refused the token of these credentials."""
        with self._lock:
            self._token = ""
            self._doubted = True

    def _renew(self) -> None:
        if self._doubted:
            self._credentials = self._read_credentials(force_fetch=True)
            self._doubted = False
        try:
            self._fetch(self.credentials)
        except CredentialsRefusedError:
            corrected = self._read_credentials(force_fetch=True)
            if corrected == self._credentials:
                raise
            self._credentials = corrected
            self._fetch(corrected)

    def _fetch(self, credentials: Credentials) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
            "scope": credentials.scopes,
        }
        try:
            with self._session.post(
                f"{self._ims_url}/ims/token/v3", data=form, timeout=TIMEOUTS, allow_redirects=False, stream=True
            ) as response:
                read_answer(response)
        except (requests.RequestException, HTTPError, ForeignLinkError) as error:
            raise AdobeUnavailableError(f"Adobe's identity service did not answer ({type(error).__name__}).") from None
        if response.status_code == requests.codes.too_many_requests:
            raise RateLimitedError("Adobe's identity service answered 429.", 30.0)
        if 400 <= response.status_code < 500:
            # The body can echo the credentials, so only its short error code is repeated.
            raise CredentialsRefusedError(
                f"Adobe's identity service answered {response.status_code} {_short_code(response)}.".replace(" .", ".")
            )
        if response.status_code != requests.codes.ok:
            raise AdobeUnavailableError(f"Adobe's identity service answered {response.status_code}.")
        self._keep(response)

    def _keep(self, response: requests.Response) -> None:
        try:
            body = response.json()
            token, lifetime = body["access_token"], float(body.get("expires_in", 3600))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise AnswerUnreadableError("Adobe's identity service answered without an access token.") from None
        if not isinstance(token, str) or not token:
            raise AnswerUnreadableError("Adobe's identity service answered with an empty access token.")
        if not lifetime <= _LONGEST:
            # Infinity and NaN are numbers to Python's JSON: a token without an end would never be renewed.
            lifetime = _LONGEST
        self._token = token
        self._renew_at = self._clock() + max(lifetime - _RENEW_BEFORE, lifetime / 2)


def _short_code(response: requests.Response) -> str:
    try:
        code, _ = read_error(response.json())
    except (ValueError, RecursionError):
        return ""
    # Adobe's words are like invalid_client; a secret never is.
    return code if re.fullmatch("[a-z_]{1,40}", code) else ""
