from __future__ import annotations

import gzip
import io
import json
import logging
import os
import socket
import ssl
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cleanplate.adobe.client import AdobeClient
from cleanplate.adobe.errors import (
    AccessRefusedError,
    AdobeError,
    AdobeJobGoneError,
    AdobeUnavailableError,
    AnswerLostError,
    CredentialsRefusedError,
    DownloadFailedError,
    DownloadTooLargeError,
    ForeignLinkError,
    InputLinkRefusedError,
    PromptRefusedError,
    RateLimitedError,
    RequestRefusedError,
)
from cleanplate.adobe.links import base_url, check_address, check_api_link
from cleanplate.adobe.routes import FILL, ROUTES, Request
from cleanplate.adobe.tokens import Credentials
from cleanplate.models import AdobeJob, Answer
from tests.integration.conftest import client_for
from tests.integration.scripted import Act, Scripted, close, drip, hang, raw, reply, reset

OBJECTS = ROUTES["mask-objects"]
REQUEST = Request(image_url="https://b.s3.amazonaws.com/dog.jpg?X-Amz-Signature=abc")


@pytest.fixture
def adobe(server: Scripted) -> AdobeClient:
    return client_for(server.url)


def accepted(server: Scripted, job_id: str = "j1") -> Act:
    return reply(202, {"jobId": job_id, "statusUrl": f"{server.url}/v1/status/{job_id}"})


def submit(adobe: AdobeClient) -> AdobeJob:
    return adobe.submit(OBJECTS, REQUEST)


def request(adobe: AdobeClient, server: Scripted) -> Answer:
    return adobe.get_status(OBJECTS, AdobeJob("j1", f"{server.url}/v1/status/j1"))


# --- what is sent -----------------------------------------------------------------------------------------------------------


def test_a_post_carries_token_key_and_body(server: Scripted, adobe: AdobeClient) -> None:
    server.script = [accepted(server)]
    assert submit(adobe) == AdobeJob("j1", f"{server.url}/v1/status/j1")
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", "/v1/mask-objects")
    assert seen.headers["authorization"] == "Bearer token-1"
    assert seen.headers["x-api-key"] == "the-id"
    assert seen.headers["content-type"] == "application/json"
    assert json.loads(seen.body) == {"image": {"source": {"url": REQUEST.image_url}}}
    assert "x-gw-ims-org-id" not in seen.headers


def test_the_organisation_is_named_with_a_post_where_it_is_given(server: Scripted) -> None:
    adobe = client_for(server.url, lambda _: Credentials("the-id", "the-secret", org_id="X@AdobeOrg"))
    server.script = [accepted(server), reply(200, {"status": "running"})]
    submit(adobe)
    request(adobe, server)
    assert [seen.headers.get("x-gw-ims-org-id") for seen in server.seen] == ["X@AdobeOrg", None]


def test_every_request_goes_on_a_connection_of_its_own(server: Scripted, adobe: AdobeClient) -> None:
    """A function sleeps between two calls; a POST on a connection that died meanwhile would lose its answer."""
    server.keeps_open = True
    server.script = [accepted(server)]
    for _ in range(3):
        submit(adobe)
    assert len({seen.port for seen in [*server.seen, *server.token_requests]}) == 4


def test_the_environment_adds_nothing(server: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login stolen password stolen\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.script = [accepted(server)]
    submit(client_for(server.url))
    assert server.seen[0].headers["authorization"] == "Bearer token-1"


# --- where Adobe puts the link ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"jobId": "j1", "statusUrl": "{url}/v1/status/j1"}, {}),
        ({"jobID": "j1", "_links": {"self": {"href": "{url}/v1/status/j1"}}}, {}),
        ({"_links": {"self": {"href": "{url}/v1/status/j1"}}}, {}),
        ({"jobId": "j1"}, {"Location": "{url}/v1/status/j1"}),
        ({"jobId": "j1"}, {"Location": "/v1/status/j1"}),
        ({"jobId": "j1"}, {"Link": '<{url}/v1/status/j1>; rel="self"'}),
        ({"jobId": "j1"}, {}),
    ],
)
def test_the_status_link_is_found_and_requested(
    server: Scripted, adobe: AdobeClient, body: dict[str, Any], headers: dict[str, str]
) -> None:
    answer = json.loads(json.dumps(body).replace("{url}", server.url))
    header = {name: value.replace("{url}", server.url) for name, value in headers.items()}
    server.script = [reply(202, answer, **dict[str, Any](header)), reply(200, {"jobId": "j1", "status": "running"})]
    job = submit(adobe)
    assert job.job_id == "j1"
    assert adobe.get_status(OBJECTS, job) == Answer("pending", "running")
    assert server.seen[1].path == "/v1/status/j1"


def test_a_job_id_with_colons_and_slashes_is_used_as_it_is(server: Scripted, adobe: AdobeClient) -> None:
    server.script = [reply(202, {"jobId": "urn:ff:jobs:x/1 ü"}), reply(200, {"status": "running"})]
    adobe.get_status(OBJECTS, submit(adobe))
    assert server.seen[1].path == "/v1/status/urn%3Aff%3Ajobs%3Ax%2F1%20%C3%BC"


FOREIGN = [
    "https://status.example.com/v1/status/j1",
    "http://image.adobe.io/v1/status/j1",
    "https://adobe.io.example.com/v1/status/j1",
    "https://notadobe.io/v1/status/j1",
    "https://image.adobe.io@evil.example/x",
    "https://evil.example\\.adobe.io/v1/status/j1",
    "https://evil.example\t.adobe.io/v1/status/j1",
    "https://evil.example#.adobe.io/",
    "https://evil.example?.adobe.io/",
    "https://user:pass@image.adobe.io/v1/status/j1",
    "https://image.adobe.io:8443/v1/status/j1",
    "https://127.0.0.1/v1/status/j1",
    "ftp://image.adobe.io/x",
    "//evil.example/x",
    "https://[::1/x",
]


@pytest.mark.parametrize("link", FOREIGN)
def test_a_foreign_status_link_gives_way_to_the_known_one(server: Scripted, adobe: AdobeClient, link: str) -> None:
    server.script = [reply(202, {"jobId": "a b/1", "statusUrl": link})]
    assert submit(adobe) == AdobeJob("a b/1", f"{server.url}/v1/status/a%20b%2F1")


def test_a_foreign_link_alone_still_gives_the_id(server: Scripted, adobe: AdobeClient) -> None:
    server.script = [reply(202, {"_links": {"self": {"href": "https://status.example.com/sensei/status/a%20b/?x=1"}}})]
    assert submit(adobe) == AdobeJob("a b", f"{server.url}/v1/status/a%20b")


@pytest.mark.parametrize("link", ["https://status.example.com", "https://status.example.com/?j1", "https://[::1/j1"])
def test_without_an_id_a_foreign_link_is_refused_and_nothing_bought_again(
    server: Scripted, adobe: AdobeClient, link: str
) -> None:
    server.script = [reply(202, {"statusUrl": link})]
    with pytest.raises(ForeignLinkError):
        submit(adobe)
    assert len(server.seen) == 1
    with pytest.raises(ForeignLinkError):
        adobe.get_status(OBJECTS, AdobeJob("j1", link))
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "link",
    [
        "https://image.adobe.io/v1/status/urn%3Aff%3Ajobs%3Ax%3A1",
        "https://photoshop-api.adobe.io:443/v2/status/j1?x=1",
        "HTTPS://IMAGE.ADOBE.IO/v1/status/j1",
        "http://127.0.0.1:8085/v1/status/j1",
    ],
)
def test_adobes_hosts_and_the_configured_origin_are_followed(link: str) -> None:
    assert check_api_link(link, "http://127.0.0.1:8085") == link


# --- a POST is sent once --------------------------------------------------------------------------------------------------------

JSON_500 = {"type": "JobError", "code": "500", "title": "t", "details": []}


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (reply(400, {"type": "InputValidationError", "code": "400", "title": "bad"}), RequestRefusedError),
        (reply(402, {"type": "TrialLimitExceededError", "details": "over"}), RequestRefusedError),
        (reply(403, {"error_code": "403003", "message": "Api Key is invalid"}), CredentialsRefusedError),
        (reply(403, {"error_code": "403000", "message": "Api Key is required"}), CredentialsRefusedError),
        (reply(403, {"error_code": "unauthorized_forbidden", "message": "quota"}), AccessRefusedError),
        (reply(403, b"", X_Access_Error="quota_exhausted"), AccessRefusedError),
        (reply(403, {"error_code": "unauthorized_forbidden", "message": "high traffic"}), RateLimitedError),
        (reply(403, {"error_code": "unauthorized_forbidden", "message": "quota"}, Retry_After="9"), RateLimitedError),
        (reply(403, {"title": "cannot read the input link"}), InputLinkRefusedError),
        (reply(404, {"title": "The source URL is not there"}), InputLinkRefusedError),
        (reply(404, {"type": "ResourceNotFound", "title": "Resource not found"}), RequestRefusedError),
        (reply(405, b""), RequestRefusedError),
        (reply(408, b""), AdobeUnavailableError),
        (reply(409, {"type": "FileOverwriteError"}), RequestRefusedError),
        (reply(410, {"type": "FileLinkInvalidError"}), InputLinkRefusedError),
        (reply(413, b"<html></html>"), RequestRefusedError),
        (reply(415, {"type": "InvalidContentTypeError"}), RequestRefusedError),
        (reply(422, {"error_code": "validation_error", "validation_errors": ["x"]}), RequestRefusedError),
        (reply(429, b""), RateLimitedError),
        (reply(451, {"error_code": "unauthorized_legal_reasons"}), RequestRefusedError),
        (reply(500, JSON_500), AdobeUnavailableError),
        (reply(502, b"<html>Bad Gateway</html>"), AdobeUnavailableError),
        (reply(503, b""), AdobeUnavailableError),
        (reply(504, b""), AnswerLostError),
        (reply(301, b"", Location="https://evil.example/"), ForeignLinkError),
        (reply(307, b"", Location="/v1/mask-objects"), ForeignLinkError),
        (reply(202, b"not json"), AnswerLostError),
        (reply(202, b""), AnswerLostError),
        (reply(202, []), AnswerLostError),
        (reply(202, {}), AnswerLostError),
        (reply(202, b"[" * 100_000), AnswerLostError),
        (reply(202, b" " * 4_100_000 + b"{}"), AnswerLostError),
        (reply(202, b'{"jobId": "j1"', length=1000), AnswerLostError),
        (reply(202, b"not gzip", Content_Encoding="gzip"), AnswerLostError),
        (raw(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{}"), AnswerLostError),
        (raw(b"this is no HTTP\r\n\r\n"), AnswerLostError),
        (reset, AnswerLostError),
        (close, AnswerLostError),
        (hang, AnswerLostError),
        (drip(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n"), AnswerLostError),
        (reply(500, b"{", length=1000), AdobeUnavailableError),
        (reply(400, b"{", length=1000), RequestRefusedError),
        (drip(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 100000\r\n\r\n"), AdobeUnavailableError),
    ],
    ids=range(43),
)
def test_a_post_is_sent_once_however_it_ends_and_each_end_has_its_name(
    server: Scripted, adobe: AdobeClient, impatient: None, act: Act, error: type[AdobeError]
) -> None:
    server.script = [act]
    with pytest.raises(AdobeError) as raised:
        submit(adobe)
    assert type(raised.value) is error
    assert [seen.method for seen in server.seen] == ["POST"]


@pytest.mark.parametrize(("status", "may_exist"), [(500, True), (502, True), (503, True), (408, False)])
def test_adobe_retries_inside_so_after_5xx_a_job_may_exist(
    server: Scripted,
    adobe: AdobeClient,
    status: int,
    may_exist: bool,
) -> None:
    server.script = [reply(status)]
    with pytest.raises(AdobeUnavailableError) as raised:
        submit(adobe)
    assert raised.value.job_may_exist is may_exist
    with pytest.raises(AdobeUnavailableError) as raised:
        request(adobe, server)
    assert not raised.value.job_may_exist


def test_messages_of_refusals_have_no_links_or_tokens(server: Scripted, adobe: AdobeClient) -> None:
    title = f"cannot use {REQUEST.image_url} with Bearer token-1"
    server.script = [reply(400, {"type": "InputValidationError", "code": 400, "title": title})]
    with pytest.raises(RequestRefusedError) as raised:
        submit(adobe)
    assert "cannot use https://b.s3.amazonaws.com/dog.jpg?…" in str(raised.value)
    assert "abc" not in str(raised.value)
    assert "token-1" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        (429, {"Retry_After": "7"}, b"", 7),
        (429, {}, {"Retry-After": "3"}, 3),
        (429, {}, b"", None),
        (429, {"Retry_After": "x"}, b"", None),
        (429, {"Retry_After": "Fri, 27 Nov 2026 12:01:00 GMT", "Date": "Fri, 27 Nov 2026 12:00:00 GMT"}, b"", 60),
        (403, {"Retry_After": "7"}, b"", 7),
        (403, {}, {"message": "Not available due to high traffic"}, None),
    ],
)
def test_a_429_or_a_403_for_load_says_how_long_to_wait(
    server: Scripted, adobe: AdobeClient, status: int, headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    server.script = [reply(status, body, **dict[str, Any](headers))]
    with pytest.raises(RateLimitedError) as raised:
        submit(adobe)
    assert raised.value.retry_after == seconds
    assert request(adobe, server) == Answer("pending", "too_many_requests", retry_after=seconds)


def test_where_nobody_listens_nothing_was_sent(server: Scripted, adobe: AdobeClient) -> None:
    server.script = [accepted(server)]
    submit(adobe)
    server.shut()
    with pytest.raises(AdobeUnavailableError):
        submit(adobe)
    with pytest.raises(AdobeUnavailableError):
        request(adobe, server)


def test_where_no_name_is_known_nothing_was_sent(server: Scripted) -> None:
    with pytest.raises(AdobeUnavailableError):
        client_for("https://no-such-host.invalid").submit(OBJECTS, REQUEST)


def test_tls_that_cannot_begin_sends_nothing(server: Scripted, adobe: AdobeClient) -> None:
    server.script = [raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")]
    adobe._api_url = server.url.replace("http:", "https:")
    with pytest.raises(AdobeUnavailableError):
        submit(adobe)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1, which only those trust who were given it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(tz=UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*form) + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Scripted]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Scripted(tls=context)
    yield server
    server.shut()


def test_over_tls_every_request_has_a_connection_of_its_own_too(secure: Scripted, certificate: Path) -> None:
    adobe = client_for(secure.url)
    adobe._session.verify = str(certificate)
    secure.keeps_open = True
    secure.script = [accepted(secure)]
    for _ in range(3):
        submit(adobe)
    assert len({seen.port for seen in [*secure.seen, *secure.token_requests]}) == 4


def test_an_impostor_gets_no_token_and_no_post(secure: Scripted, certificate: Path) -> None:
    adobe = client_for(secure.url)
    adobe._tokens._token, adobe._tokens._renew_at = "token-0", float("inf")
    secure.script = [accepted(secure)]
    with pytest.raises(AdobeUnavailableError):
        submit(adobe)
    assert secure.seen == []


def test_tls_that_breaks_after_the_post_is_a_lost_answer(secure: Scripted, certificate: Path) -> None:
    """urllib3 would count it as an "other" error, which it repeats whatever the method is."""

    def garble(connection: socket.socket) -> None:
        # Beneath TLS: bytes that are no record.
        os.write(connection.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))

    adobe = client_for(secure.url)
    adobe._session.verify = str(certificate)
    secure.script = [garble]
    with pytest.raises(AnswerLostError, match="SSLError"):
        submit(adobe)
    assert [seen.method for seen in secure.seen] == ["POST"]


@pytest.mark.parametrize("name", ["client_id", "org_id"])
@pytest.mark.parametrize("value", ["über", "a\nb", "日本"])
def test_credentials_that_fit_into_no_header_are_refused_at_once(server: Scripted, name: str, value: str) -> None:
    given = {"client_id": "the-id", "client_secret": "the-secret", name: value}
    server.script = [accepted(server)]
    adobe = client_for(server.url, lambda _: Credentials(**given))
    if value == "über":
        submit(adobe)  # which latin-1 can spell
        return
    with pytest.raises(CredentialsRefusedError):
        submit(adobe)
    assert server.seen == []


# --- a GET is tried again -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [reply(500), reply(502), reply(503), reply(504), reset, close], ids=range(6))
def test_a_status_request_is_tried_again_within_the_call(server: Scripted, adobe: AdobeClient, act: Act) -> None:
    server.script = [act, act, reply(200, {"status": "running"})]
    assert request(adobe, server) == Answer("pending", "running", requests=3)
    assert [seen.method for seen in server.seen] == ["GET"] * 3


@pytest.mark.parametrize(
    "act",
    [
        reply(408),
        reply(500),
        reply(502, b"<html>"),
        reply(504),
        reset,
        close,
        hang,
        reply(200, b"not json"),
        reply(200, []),
        reply(200, b'{"status"', length=1000),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
    ],
    ids=range(11),
)
def test_a_status_request_that_keeps_failing_means_unavailable(
    server: Scripted, adobe: AdobeClient, impatient: None, act: Act
) -> None:
    server.script = [act]
    with pytest.raises(AdobeUnavailableError) as raised:
        request(adobe, server)
    assert {seen.method for seen in server.seen} == {"GET"}
    assert raised.value.requests == len(server.seen) <= 3


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, AdobeJobGoneError),
        (410, AdobeJobGoneError),
        (401, CredentialsRefusedError),
        (403, AccessRefusedError),
        (400, RequestRefusedError),
        (302, ForeignLinkError),
    ],
)
def test_a_status_request_that_is_refused_names_why(
    server: Scripted, adobe: AdobeClient, status: int, error: type[AdobeError]
) -> None:
    server.script = [reply(status, b"", Location="https://evil.example/")]
    with pytest.raises(error):
        request(adobe, server)


def test_adobes_retry_after_is_passed_on(server: Scripted, adobe: AdobeClient) -> None:
    server.script = [
        reply(200, {"status": "running"}, Retry_After="9"),
        reply(200, {"status": "x", "Retry-After": "4"}),
    ]
    assert request(adobe, server) == Answer("pending", "running", retry_after=9)
    assert request(adobe, server) == Answer("pending", "x", retry_after=4)


def test_an_answer_may_come_compressed(server: Scripted, adobe: AdobeClient) -> None:
    server.script = [reply(200, gzip.compress(b'{"status": "running"}'), Content_Encoding="gzip")]
    assert request(adobe, server) == Answer("pending", "running")


def test_half_a_character_in_an_answer_is_replaced(server: Scripted, adobe: AdobeClient) -> None:
    item = {"label": "half \ud83d", "destination": {"url": "https://r/m"}}
    server.script = [reply(200, {"status": "succeeded", "semanticMasks": [item]})]
    assert request(adobe, server).masks[0].label == "half ?"


# --- 401 ------------------------------------------------------------------------------------------------------------------------


def test_a_token_that_is_refused_is_renewed_once(server: Scripted, adobe: AdobeClient) -> None:
    server.script = [reply(401, {"error_code": "401013", "message": "Oauth token is not valid"}), accepted(server)]
    submit(adobe)
    assert [seen.headers["authorization"] for seen in server.seen] == ["Bearer token-1", "Bearer token-2"]
    submit(adobe)
    assert len(server.token_requests) == 2


def test_a_token_that_is_refused_twice_is_a_matter_of_credentials(server: Scripted, adobe: AdobeClient) -> None:
    server.script = [reply(401, {"error_code": "401013", "message": "Oauth token is not valid"})]
    with pytest.raises(CredentialsRefusedError):
        submit(adobe)
    assert len(server.seen) == 2


@pytest.mark.parametrize("refusal", [reply(401), reply(403, {"error_code": "403003", "message": "Api Key is invalid"})])
def test_a_corrected_secret_is_read_after_the_api_refused_the_old(server: Scripted, refusal: Act) -> None:
    """GIVEN credentials that IMS takes and the API does not WHEN the secret is corrected THEN the next call uses it."""
    secret = ["old-id"]
    adobe = client_for(
        server.url, lambda force_fetch: Credentials(secret[0] if force_fetch else "old-id", "the-secret")
    )
    server.script = [refusal]
    with pytest.raises(CredentialsRefusedError):
        submit(adobe)
    secret[0] = "new-id"
    server.script = [accepted(server)]
    submit(adobe)
    assert server.seen[-1].headers["x-api-key"] == "new-id"


# --- downloads ------------------------------------------------------------------------------------------------------------------


def download(adobe: AdobeClient, server: Scripted, max_bytes: int = 1000) -> bytes:
    into = io.BytesIO(b"kept:")
    into.seek(5)
    size = adobe.download(f"{server.url}/r/m0.png", into, max_bytes=max_bytes)
    content = into.getvalue()
    assert content.startswith(b"kept:")
    assert len(content) == size + 5
    return content[5:]


def test_a_picture_is_fetched_without_credentials(server: Scripted, adobe: AdobeClient) -> None:
    server.script = [accepted(server), reply(200, b"pixels")]
    submit(adobe)
    assert download(adobe, server) == b"pixels"
    assert not {"authorization", "x-api-key"} & set(server.seen[1].headers)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_result_is_found_behind_three_redirects_without_credentials(
    server: Scripted, adobe: AdobeClient, status: int
) -> None:
    server.script = [
        reply(status, b"", Location="/r/one", Set_Cookie="secret=1"),
        reply(status, b"", Location=f"{server.url}/r/two"),
        reply(status, b"not this", Location="three?x=1"),
        reply(200, b"pixels"),
    ]
    assert download(adobe, server) == b"pixels"
    assert [seen.path for seen in server.seen] == ["/r/m0.png", "/r/one", "/r/two", "/r/three?x=1"]
    for seen in server.seen:
        assert not {"authorization", "x-api-key", "cookie", "referer"} & set(seen.headers)


def test_four_redirects_are_a_failed_download(server: Scripted, adobe: AdobeClient) -> None:
    server.script = [reply(302, b"", Location="/r/m0.png")]
    with pytest.raises(DownloadFailedError, match="more than 3"):
        download(adobe, server)
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    "target",
    [
        "http://results.example.com/m.png",
        "//r/m.png",
        "file:///etc/passwd",
        "https://user:pw@r.example/",
        "https://[::1/",
    ],
)
def test_each_hop_is_checked_as_the_first(server: Scripted, adobe: AdobeClient, target: str) -> None:
    server.script = [reply(302, b"", Location=target)]
    with pytest.raises(ForeignLinkError):
        download(adobe, server)
    assert len(server.seen) == 1


def test_a_hop_to_an_address_inside_is_not_taken(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    adobe = client_for(server.url)
    addresses = ["93.184.215.14", "169.254.169.254"]

    def check(host: str, _: str, __: tuple[str, ...]) -> None:
        check_address(host, addresses.pop(0), ("https://image.adobe.io",))

    monkeypatch.setattr("cleanplate.adobe.connections.check_address", check)
    server.script = [reply(302, b"", Location="/r/two"), reply(200, b"pixels")]
    with pytest.raises(ForeignLinkError, match="not a public address"):
        download(adobe, server)
    assert [seen.path for seen in server.seen] == ["/r/m0.png"]


@pytest.mark.parametrize("status", [304, 400, 403, 404, 410, 500])
def test_a_link_that_no_longer_works_is_a_failed_download(server: Scripted, adobe: AdobeClient, status: int) -> None:
    server.script = [reply(status, b"<Error>Request has expired</Error>", Location=f"{server.url}/elsewhere")]
    with pytest.raises(DownloadFailedError):
        download(adobe, server)
    assert {seen.path for seen in server.seen} == {"/r/m0.png"}


@pytest.mark.parametrize(
    "act",
    [
        reply(200, b"pix", length=6),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\npix\r\n"),
        reply(200, b"not gzip", Content_Encoding="gzip"),
        reset,
        reply(503),
    ],
    ids=range(5),
)
def test_what_broke_off_is_fetched_again_from_its_beginning(server: Scripted, adobe: AdobeClient, act: Act) -> None:
    server.script = [act, reply(200, b"pixels")]
    assert download(adobe, server) == b"pixels"


@pytest.mark.parametrize("act", [reply(200, b"pix", length=6), reset, close, hang], ids=range(4))
def test_what_always_breaks_off_is_a_failed_download(
    server: Scripted, adobe: AdobeClient, impatient: None, act: Act
) -> None:
    server.script = [act]
    with pytest.raises(DownloadFailedError):
        download(adobe, server)


def test_a_host_that_hangs_is_given_up_within_a_pictures_time(
    server: Scripted, adobe: AdobeClient, impatient: None
) -> None:
    """Of nine tries of fifteen seconds each the function would not see the end."""
    server.script = [hang]
    with pytest.raises(DownloadFailedError):
        download(adobe, server)
    assert len(server.seen) <= 3


def test_a_drip_is_not_waited_for(server: Scripted, adobe: AdobeClient, impatient: None) -> None:
    server.script = [drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")]
    with pytest.raises(DownloadFailedError, match="took longer"):
        adobe.download(f"{server.url}/r/m0.png", io.BytesIO(), max_bytes=200_000)


@pytest.mark.parametrize("length", [None, 10])
def test_a_picture_over_the_cap_is_refused_whatever_its_length_claims(
    server: Scripted, adobe: AdobeClient, length: int | None
) -> None:
    server.script = [reply(200, b"x" * 1001)]
    with pytest.raises(DownloadTooLargeError):
        download(adobe, server, max_bytes=1000)
    assert len(server.seen) == 1


def test_a_small_file_that_unpacks_without_end_is_refused(server: Scripted, adobe: AdobeClient) -> None:
    server.script = [reply(200, gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")]
    into = io.BytesIO()
    with pytest.raises(DownloadTooLargeError):
        adobe.download(f"{server.url}/r/m0.png", into, max_bytes=100_000)
    assert len(into.getvalue()) <= 100_000


@pytest.mark.parametrize(
    "url",
    ["http://results.example.com/m.png", "file:///etc/passwd", "ftp://r/m.png", "//r/m.png", "", "https://", "m.png"],
)
def test_a_picture_is_fetched_over_https_alone(adobe: AdobeClient, url: str) -> None:
    with pytest.raises(ForeignLinkError):
        adobe.download(url, io.BytesIO(), max_bytes=10)


# --- nothing leaks --------------------------------------------------------------------------------------------------------------


def test_neither_secret_nor_token_nor_signature_gets_into_errors_and_logs(
    server: Scripted, caplog: pytest.LogCaptureFixture, impatient: None
) -> None:
    caplog.set_level(logging.DEBUG)
    adobe = client_for(server.url)
    said: list[str] = [repr(adobe), repr(adobe._tokens), repr(adobe._tokens.credentials)]
    for act in (
        reply(400, {"title": f"no {REQUEST.image_url}"}),
        reply(401),
        reset,
        hang,
        reply(202, b"x"),
        reply(503),
    ):
        server.script = [act]
        for call in (lambda: submit(adobe), lambda: request(adobe, server)):
            try:
                call()
            except AdobeError as error:
                said.append("".join(traceback.format_exception(error)))
    for secret in ("the-secret", "token-1", "token-2", "Signature=abc"):
        assert secret not in " ".join(said)
        assert secret not in caplog.text


def test_the_fill_goes_the_same_way(server: Scripted, adobe: AdobeClient) -> None:
    server.script = [accepted(server)]
    adobe.submit(FILL, Request(image_url="https://i", mask_urls=["https://m"]))
    assert server.seen[0].path == "/v1/fill-masked-areas"
    assert json.loads(server.seen[0].body)["masks"] == [{"source": {"url": "https://m"}}]


# --- Firefly --------------------------------------------------------------------------------------------------------------------

FIREFLY = ROUTES["firefly-fill"]
TO_FIREFLY = Request(image_url="https://i", mask_urls=["https://m"], size=(640, 480), prompt="sand")


def test_fireflys_job_is_asked_about_at_the_link_as_given(server: Scripted, adobe: AdobeClient) -> None:
    link = f"{server.url}/shard-7/v3/status/urn:ff:jobs:x:1"
    done = {"status": "succeeded", "result": {"outputs": [{"image": {"url": f"{server.url}/r.png"}}]}}
    server.script = [reply(202, {"jobId": "urn:ff:jobs:x:1", "statusUrl": link}), reply(200, done)]
    job = adobe.submit(FIREFLY, TO_FIREFLY)
    assert job == AdobeJob("urn:ff:jobs:x:1", link)
    assert adobe.get_status(FIREFLY, job).image_url == f"{server.url}/r.png"
    assert [seen.path for seen in server.seen] == ["/v3/images/fill-async", "/shard-7/v3/status/urn:ff:jobs:x:1"]
    assert "/shard-7" in check_api_link("https://firefly-epo851243.adobe.io/shard-7", "https://image.adobe.io")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"jobId": "j1", "statusUrl": "https://status.example.com/j1"}, ForeignLinkError),
        ({"jobId": "j1"}, AnswerLostError),
    ],
)
def test_fireflys_link_is_never_made_up(
    server: Scripted, adobe: AdobeClient, body: dict[str, str], error: type[AdobeError]
) -> None:
    server.script = [reply(202, body)]
    with pytest.raises(error):
        adobe.submit(FIREFLY, TO_FIREFLY)


def test_words_that_firefly_does_not_take_are_a_named_refusal(server: Scripted, adobe: AdobeClient) -> None:
    server.script = [reply(422, {"error_code": "prompt_unsafe", "message": "The prompt is not allowed"})]
    with pytest.raises(PromptRefusedError):
        adobe.submit(FIREFLY, TO_FIREFLY)


@pytest.mark.parametrize(
    ("api", "base"),
    [
        ("https://image.adobe.io", "https://firefly-api.adobe.io"),
        ("http://127.0.0.1:8085", "http://127.0.0.1:8085"),
        ("https://adobe.example.com", "https://adobe.example.com"),
    ],
)
def test_firefly_is_on_a_host_of_its_own_at_adobe_alone(api: str, base: str) -> None:
    assert base_url(api, FIREFLY.host) == base
    assert base_url(api, FILL.host) == api
