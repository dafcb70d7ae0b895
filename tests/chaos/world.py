"""Make walks without pytest: moto, the bridge to its buckets, Adobe's stand-in, and what the functions log."""

from __future__ import annotations

import io
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol
from unittest.mock import patch
from urllib.parse import urlsplit

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from moto import mock_aws
from requests.adapters import BaseAdapter

from cleanplate.adobe import client as adobe_client
from cleanplate.adobe import connections, tokens
from cleanplate.adobe.client import AdobeClient
from cleanplate.adobe.tokens import Credentials
from local.adobe import Settings, StandIn
from tests.aws import REGION
from tests.integration.conftest import client_for
from tests.integration.steps.walk import S3OverHttp, Walk
from tests.stage import Stage

if TYPE_CHECKING:
    import requests

#: Adobe's stand-in with cheap pixels and jobs that end at once.
FAST = Settings(port=0, allow_loopback=True, quiet=True, pixels="fast", limits=False, duration=0.0)
#: The logger of whoever calls a step, as every function has one.
LOGGER = Logger()


@dataclass(slots=True)
class Unreachable:
    """Calls to Adobe that meet a closed door: which, as a glob over ``METHOD /path``, and how many (None: all)."""

    route: str
    times: int | None = None


class MakeWalk(Protocol):
    """Make a walk on a stage of its own; ``settings`` of the stack by their environment variables."""

    def __call__(self, *, unreachable: Unreachable | None = None, **settings: str) -> Walk: ...


@dataclass(slots=True)
class Grounds:
    """What walks can share: the stand-in and the bridge."""

    adobe: StandIn
    bridge: S3OverHttp = field(default_factory=S3OverHttp)

    @contextmanager
    def walks(self) -> Iterator[MakeWalk]:
        """Yield what makes walks, each on an empty moto, with a stand-in of its own."""
        mock = mock_aws()

        def make(*, unreachable: Unreachable | None = None, **settings: str) -> Walk:
            mock.stop()
            mock.start()
            self._renew()
            client = lru_cache(maxsize=1)(lambda: self._client(unreachable))
            stage = Stage(endpoint_url=self.bridge.url, make_adobe=client, moto_table=False, **settings)
            self.bridge.stage = stage
            return Walk(stage, self.adobe)

        places = {"AWS_DEFAULT_REGION": REGION, "MOTO_S3_CUSTOM_ENDPOINTS": self.bridge.url}
        with patch.dict(os.environ, places), mock:
            yield make

    def _renew(self) -> None:
        # A new one each time: what a client has given up may go on for a while, and would be counted in the next walk.
        self.adobe.stop()
        self.adobe = StandIn(FAST).start()

    def _client(self, unreachable: Unreachable | None) -> AdobeClient:
        credentials = Credentials(self.adobe.settings.client_id, self.adobe.settings.client_secret)
        client = client_for(self.adobe.url, lambda _: credentials)
        if unreachable is not None:
            session = client._session
            session.mount(self.adobe.url, _ClosedDoor(session.get_adapter(self.adobe.url), unreachable))
        return client


@contextmanager
def grounds() -> Iterator[Grounds]:
    """Run the stand-in and the bridge for as long as they are needed."""
    found = Grounds(StandIn(FAST).start())
    try:
        yield found
    finally:
        found.adobe.stop()
        found.bridge.close()


@contextmanager
def world() -> Iterator[MakeWalk]:
    """Yield what makes walks, with all that they need."""
    with grounds() as found, found.walks() as make:
        yield make


class _ClosedDoor(BaseAdapter):
    """Sends some calls to a port at which nobody listens: the network's refusal is a real one."""

    def __init__(self, usual: BaseAdapter, unreachable: Unreachable) -> None:
        super().__init__()
        self._usual = usual
        self._which = unreachable
        self._left = unreachable.times
        with socket.create_server(("127.0.0.1", 0)) as gone:
            self._port: int = gone.getsockname()[1]

    def send(self, request: requests.PreparedRequest, *rest: Any, **named: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        met = fnmatchcase(f"{request.method} {parts.path}", self._which.route)
        if met and (self._left is None or self._left > 0):
            self._left = None if self._left is None else self._left - 1
            request.url = parts._replace(netloc=f"127.0.0.1:{self._port}").geturl()
        return self._usual.send(request, *rest, **named)

    def close(self) -> None:
        self._usual.close()


@contextmanager
def logs(level: int = logging.INFO) -> Iterator[io.StringIO]:
    """Yield what functions log meanwhile, metrics and libraries' warnings included, in the form that they have deployed."""
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    handler.setFormatter(LambdaPowertoolsFormatter())
    ours, root = LOGGER._logger, logging.getLogger()
    before = ours.level, ours.handlers
    ours.setLevel(level)
    ours.handlers = [handler]
    root.addHandler(handler)
    try:
        with redirect_stdout(logged):
            yield logged
    finally:
        ours.setLevel(before[0])
        ours.handlers = before[1]
        root.removeHandler(handler)


@contextmanager
def impatient(read_seconds: float = 0.6) -> Iterator[None]:
    """Shorten time-outs to what a test can wait for."""
    with (
        patch.object(adobe_client, "TIMEOUTS", (1, read_seconds)),
        patch.object(tokens, "TIMEOUTS", (1, read_seconds)),
        patch.object(connections, "_ANSWER_SECONDS", 2 * read_seconds),
        patch.object(adobe_client, "_DOWNLOAD_SECONDS", 2 * read_seconds),
    ):
        yield
