from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import pytest

from cleanplate.adobe.connections import make_session
from cleanplate.adobe.errors import (
    AdobeError,
    AdobeUnavailableError,
    AnswerUnreadableError,
    CredentialsRefusedError,
    RateLimitedError,
)
from cleanplate.adobe.tokens import Credentials, TokenSource, read_credentials
from tests.integration.scripted import Act, Scripted, close, hang, reply, reset

GOOD = Credentials("the-id", "p8e-the-Secret")
WRONG = Credentials("the-id", "p8e-old-Secret")


class Vault:
    """Where the credentials lie; a memory of it may be older."""

    def __init__(self, kept: Credentials, remembered: Credentials | None = None) -> None:
        self.kept, self.remembered = kept, remembered or kept
        self.read: list[bool] = []

    def __call__(self, *, force_fetch: bool) -> Credentials:
        self.read.append(force_fetch)
        if force_fetch:
            self.remembered = self.kept
        return self.remembered


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


def source(server: Scripted, vault: Vault, clock: Any = time.monotonic) -> TokenSource:
    return TokenSource(ims_url=server.url, session=make_session(server.url), read_credentials=vault, clock=clock)


def test_a_token_is_requested_as_the_contract_says(server: Scripted) -> None:
    vault = Vault(Credentials("the id", "s&=+", scopes="openid,AdobeID"))
    assert source(server, vault).token() == "token-1"
    (seen,) = server.token_requests
    assert (seen.method, seen.path) == ("POST", "/ims/token/v3")
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(seen.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["the id"],
        "client_secret": ["s&=+"],
        "scope": ["openid,AdobeID"],
    }


@pytest.mark.parametrize(
    ("lifetime", "good_for"), [(86_399, 86_099), (600, 300), (400, 200), (60, 30), ("3600", 3300), (None, 3300)]
)
def test_a_token_is_kept_until_shortly_before_its_end(
    server: Scripted, clock: Time, lifetime: Any, good_for: float
) -> None:
    body = {"access_token": "t", "token_type": "bearer"} | ({} if lifetime is None else {"expires_in": lifetime})
    server.tokens = [reply(200, body)]
    tokens = source(server, Vault(GOOD), clock)
    tokens.token()
    clock.now += good_for - 1
    tokens.token()
    assert len(server.token_requests) == 1
    clock.now += 1
    tokens.token()
    assert len(server.token_requests) == 2


def test_however_many_threads_want_a_token_it_is_fetched_once(server: Scripted) -> None:
    def slow(connection: Any) -> None:
        time.sleep(0.1)
        reply(200, {"access_token": "t", "expires_in": 3600})(connection)

    server.tokens = [slow]
    tokens = source(server, Vault(GOOD))
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: tokens.token(), range(16))) == {"t"}
    assert len(server.token_requests) == 1


def test_however_many_threads_were_refused_the_token_is_renewed_once(server: Scripted) -> None:
    tokens = source(server, Vault(GOOD))
    old = tokens.token()

    def refused(_: int) -> str:
        tokens.forget(old)
        return tokens.token()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(refused, range(16))) == {"token-2"}
    assert len(server.token_requests) == 2


def test_a_corrected_secret_is_seen_at_once(server: Scripted) -> None:
    """GIVEN a secret that IMS refuses and that was corrected meanwhile THEN the same call goes on with the new one."""
    vault = Vault(kept=GOOD, remembered=WRONG)
    server.tokens = [
        reply(401, {"error": "invalid_client", "error_description": "x"}),
        reply(200, {"access_token": "t", "expires_in": 3600}),
    ]
    assert source(server, vault).token() == "t"
    sent = [parse_qs(seen.body.decode())["client_secret"] for seen in server.token_requests]
    assert sent == [["p8e-old-Secret"], ["p8e-the-Secret"]]


def test_a_wrong_secret_is_tried_once_per_call(server: Scripted) -> None:
    vault = Vault(WRONG)
    server.tokens = [reply(401, {"error": "invalid_client", "error_description": "x"})]
    tokens = source(server, vault)
    for _ in range(2):
        with pytest.raises(CredentialsRefusedError, match="401 invalid_client"):
            tokens.token()
    assert len(server.token_requests) == 2
    assert vault.read.count(True) == 2


def test_a_secret_that_was_incomplete_and_is_corrected_is_seen_at_once(server: Scripted) -> None:
    def vault(*, force_fetch: bool) -> Credentials:
        return GOOD if force_fetch else read_credentials({}, scopes="", org_id="")

    tokens = TokenSource(ims_url=server.url, session=make_session(server.url), read_credentials=vault)
    assert tokens.token() == "token-1"


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (reply(400, {"error": "unauthorized_client"}), CredentialsRefusedError),
        (reply(403, b"<html>"), CredentialsRefusedError),
        (reply(429, b""), RateLimitedError),
        (reply(500, b""), AdobeUnavailableError),
        (reply(503, b"<html>"), AdobeUnavailableError),
        (reply(302, b"", Location="https://evil.example/"), AdobeUnavailableError),
        (reset, AdobeUnavailableError),
        (close, AdobeUnavailableError),
        (hang, AdobeUnavailableError),
        (reply(200, b"<html>"), AnswerUnreadableError),
        (reply(200, b"[" * 100_000), AnswerUnreadableError),
        (reply(200, []), AnswerUnreadableError),
        (reply(200, {}), AnswerUnreadableError),
        (reply(200, {"access_token": "", "expires_in": 5}), AnswerUnreadableError),
        (reply(200, {"access_token": 5, "expires_in": 5}), AnswerUnreadableError),
        (reply(200, {"access_token": "t", "expires_in": "soon"}), AnswerUnreadableError),
        (reply(200, {"access_token": "t", "expires_in": 10**400}), AnswerUnreadableError),
    ],
    ids=range(17),
)
def test_every_way_without_a_token_has_its_name_and_is_tried_once(
    server: Scripted, monkeypatch: pytest.MonkeyPatch, act: Act, error: type[AdobeError]
) -> None:
    monkeypatch.setattr("cleanplate.adobe.tokens.TIMEOUTS", (1, 0.3))
    server.tokens = [act]
    with pytest.raises(AdobeError) as raised:
        source(server, Vault(GOOD)).token()
    assert type(raised.value) is error
    assert len(server.token_requests) == 1


def test_an_odd_lifetime_does_not_last_for_ever(server: Scripted, clock: Time) -> None:
    server.tokens = [reply(200, {"access_token": "t", "expires_in": -5})]
    tokens = source(server, Vault(GOOD), clock)
    tokens.token()
    tokens.token()
    assert len(server.token_requests) == 2


@pytest.mark.parametrize(
    "echo",
    [
        {"error": "p8e-the-Secret"},
        {"error": "invalid_client", "error_description": "client_secret=p8e-the-Secret"},
        {"error_code": "p8e-the-Secret", "message": "p8e-the-Secret"},
    ],
)
def test_a_secret_that_ims_echoes_is_not_repeated(server: Scripted, echo: dict[str, str]) -> None:
    server.tokens = [reply(400, echo)]
    with pytest.raises(CredentialsRefusedError) as raised:
        source(server, Vault(GOOD)).token()
    assert "p8e" not in str(raised.value) + repr(raised.value.__context__)


def test_credentials_do_not_show_their_secret() -> None:
    assert "p8e" not in repr(GOOD) + str(GOOD) + f"{GOOD}"


@pytest.mark.parametrize(
    "secret",
    [
        {},
        {"client_id": "a"},
        {"client_secret": "b"},
        {"client_id": "", "client_secret": "b"},
        {"client_id": 5},
        [],
        None,
    ],
)
def test_an_incomplete_secret_is_refused_by_name(secret: Any) -> None:
    with pytest.raises(CredentialsRefusedError, match="lacks client_id or client_secret"):
        read_credentials(secret, scopes="openid", org_id="")


def test_a_secret_is_read_as_people_paste_it() -> None:
    pasted = json.loads('{"client_id": " a\\n", "client_secret": "b ", "scopes": " ", "org_id": "X@AdobeOrg\\n"}')
    credentials = read_credentials(pasted, scopes="openid,AdobeID", org_id="Y@AdobeOrg")
    assert credentials == Credentials("a", "b", "openid,AdobeID", "X@AdobeOrg")
