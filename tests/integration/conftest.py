from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cleanplate.adobe.client import AdobeClient
from cleanplate.adobe.connections import make_session
from cleanplate.adobe.tokens import Credentials, TokenSource
from tests.integration.scripted import Scripted


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Mark every module below this folder."""
    if isinstance(collector, pytest.Module):
        collector.add_marker(pytest.mark.integration)


def client_for(
    url: str, credentials: Callable[[bool], Credentials] = lambda _: Credentials("the-id", "the-secret")
) -> AdobeClient:
    """A client as a fresh process has it, except that it does not rest between two tries."""
    session = make_session(url)
    for adapter in session.adapters.values():
        retry = adapter.max_retries  # type: ignore[attr-defined]
        adapter.max_retries = retry.new(backoff_factor=0, backoff_jitter=0)  # type: ignore[attr-defined]
    tokens = TokenSource(ims_url=url, session=session, read_credentials=lambda *, force_fetch: credentials(force_fetch))
    return AdobeClient(api_url=url, session=session, tokens=tokens)


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.shut()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs that a test can wait for."""
    monkeypatch.setattr("cleanplate.adobe.client.TIMEOUTS", (1, 0.3))
    monkeypatch.setattr("cleanplate.adobe.connections._ANSWER_SECONDS", 0.4)
    monkeypatch.setattr("cleanplate.adobe.client._DOWNLOAD_SECONDS", 0.4)
