"""Connections to Adobe: each is used once, and nothing is sent before the address at its other end was checked."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.util.retry import Retry

from cleanplate.adobe.links import check_address
from cleanplate.redaction import without_queries

if TYPE_CHECKING:
    from urllib3._base_connection import BaseHTTPConnection

#: How often a GET is sent within a call before it is given up.
GET_TRIES = 3
_MAX_ANSWER_BYTES = 4_000_000
#: The whole of an answer: the read time-out alone would let a drip last for ever.
_ANSWER_SECONDS = 30.0
_CHUNK = 1 << 18
#: Its warning about a request that is tried again quotes the whole link, signature included.
_TELLTALE = "urllib3.connectionpool"


class _Connection(HTTPConnection):
    """A connection whose address is checked when it is made, whatever the name resolved to before."""

    def __init__(self, *arguments: Any, origins: tuple[str, ...] = (), **named: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **named)
        self._origins = origins

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        try:
            check_address(self.host, connected.getpeername()[0], self._origins)
        except BaseException:
            connected.close()
            raise
        return connected


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    """Keeps no connection open.

    A function sleeps between two calls, and a connection that died meanwhile loses the answer to the next POST.
    """

    ConnectionCls = _Connection

    def _put_conn(self, conn: BaseHTTPConnection | None) -> None:
        if conn is not None:
            conn.close()
        super()._put_conn(conn)


class _TlsPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Session(requests.Session):
    """A session whose errors quote no query of a link, since traces keep the words of every error.

    The client follows redirects itself. ``requests`` would read the target also of one that is not followed, and fail on
    an odd one after the request was made.
    """

    def resolve_redirects(self, *_: Any, **__: Any) -> Iterator[Any]:  # noqa: ANN401
        return iter(())

    def send(self, request: requests.PreparedRequest, **named: Any) -> requests.Response:  # noqa: ANN401
        try:
            return super().send(request, **named)
        except requests.RequestException as error:
            error.args = (without_queries(str(error)),)
            raise


def make_session(*origins: str) -> requests.Session:
    """Return a session whose GETs are tried three times on gateway faults and broken connections, and nothing else.

    ``origins`` are the URLs that the stack is configured for; see :func:`check_address`.
    """
    retry = Retry(
        total=GET_TRIES - 1,
        # Where TLS breaks in mid-answer, the request was sent; this count would repeat a POST too.
        other=0,
        backoff_factor=0.3,
        backoff_jitter=0.2,
        status_forcelist=(500, 502, 503, 504),
        allowed_methods=frozenset({"GET"}),
        respect_retry_after_header=False,
        raise_on_status=False,
    )
    logging.getLogger(_TELLTALE).setLevel(logging.ERROR)
    session = _Session()
    # No netrc, no proxy: what is sent is what is written here, and the address that is checked is the server's.
    session.trust_env = False
    session.headers["Connection"] = "close"
    # Nothing of one host's answers is sent to another.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    for scheme in ("https://", "http://"):
        adapter = HTTPAdapter(max_retries=retry)
        adapter.poolmanager.pool_classes_by_scheme = {
            # What a pool does not know it hands on to its connections.
            "http": partial(_Pool, origins=origins),
            "https": partial(_TlsPool, origins=origins),
        }
        session.mount(scheme, adapter)
    return session


def times_sent(response: requests.Response) -> int:
    """Return how many requests it took to get this answer."""
    before = response.raw.retries.history if response.raw.retries else ()
    return 1 + sum(not isinstance(past.error, ConnectTimeoutError | NewConnectionError) for past in before)


def arriving(response: requests.Response) -> Iterator[bytes]:
    """Return the body as it comes: ``iter_content`` would wait until a chunk is full."""
    while chunk := response.raw.read1(_CHUNK, decode_content=True):
        yield chunk


def read_answer(response: requests.Response) -> None:
    """Read a body, at most 4 MB of it and for at most 30 s; raises the errors of ``requests`` and ``urllib3``."""
    content = b""
    deadline = time.monotonic() + _ANSWER_SECONDS
    try:
        for chunk in arriving(response):
            content += chunk
            if len(content) > _MAX_ANSWER_BYTES:
                break
            if time.monotonic() > deadline:
                raise requests.ReadTimeout
    except (requests.RequestException, HTTPError):
        # The status alone says that nothing came of it; what a success holds must be whole.
        if succeeded(response):
            raise
    response._content = content[:_MAX_ANSWER_BYTES]  # noqa: SLF001 - requests has no cap of its own


def succeeded(response: requests.Response) -> bool:
    """Return whether the status is one of success."""
    return 200 <= response.status_code < 300
