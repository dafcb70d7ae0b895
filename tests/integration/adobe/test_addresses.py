"""A link may be good to look at and lead inside: what counts is the address at the other end of the connection."""

from __future__ import annotations

import io
import resource
import socket
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from cleanplate.adobe.client import AdobeClient
from cleanplate.adobe.connections import make_session
from cleanplate.adobe.errors import (
    AdobeUnavailableError,
    DownloadFailedError,
    DownloadTooLargeError,
    ForeignLinkError,
)
from cleanplate.adobe.links import is_public
from cleanplate.adobe.routes import ROUTES, Request
from cleanplate.adobe.tokens import Credentials, TokenSource
from cleanplate.models import AdobeJob
from tests.integration.conftest import client_for
from tests.integration.scripted import Scripted, close, drip, reply

ADOBE = "https://image.adobe.io"
OBJECTS = ROUTES["mask-objects"]
REQUEST = Request(image_url="https://b.s3.amazonaws.com/dog.jpg?X-Amz-Signature=abc")

Resolve = Callable[..., None]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, server: Scripted) -> Resolve:
    """Makes every name lead to these addresses, one after the other; 127.0.0.1 is where the server listens."""
    real, port = socket.getaddrinfo, int(server.url.rpartition(":")[2])

    def resolve_to(*addresses: str) -> None:
        queue = list(addresses)

        def getaddrinfo(host: Any, *_: Any, **__: Any) -> list[Any]:
            address = queue.pop(0) if len(queue) > 1 else queue[0]
            return real(address, port, type=socket.SOCK_STREAM)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return resolve_to


@pytest.fixture
def client() -> AdobeClient:
    """A client as it is deployed, with a token at hand."""
    session = make_session(ADOBE, "https://ims-na1.adobelogin.com")
    tokens = TokenSource(
        ims_url="https://ims-na1.adobelogin.com",
        session=session,
        read_credentials=lambda *, force_fetch: Credentials("the-id", "the-secret"),
    )
    tokens._token, tokens._renew_at = "token-0", float("inf")
    return AdobeClient(api_url=ADOBE, session=session, tokens=tokens)


def untouched(server: Scripted) -> bool:
    """Not even the first word of TLS has arrived."""
    return not server.seen and not server.token_requests


def test_a_picture_whose_name_leads_inside_is_not_fetched(
    server: Scripted, client: AdobeClient, names: Resolve
) -> None:
    names("127.0.0.1")
    with pytest.raises(ForeignLinkError, match="not a public address"):
        client.download("https://results.example.com/m.png", io.BytesIO(), max_bytes=10)
    assert untouched(server)


def test_a_name_that_leads_elsewhere_the_second_time_is_not_believed(
    server: Scripted, client: AdobeClient, names: Resolve
) -> None:
    """DNS rebinding: whoever asked before was given a public address."""
    names("93.184.215.14", "127.0.0.1")
    socket.getaddrinfo("results.example.com", 443)
    with pytest.raises(ForeignLinkError):
        client.download("https://results.example.com/m.png", io.BytesIO(), max_bytes=10)
    assert untouched(server)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]"])
def test_loopback_in_another_spelling_is_loopback(server: Scripted, client: AdobeClient, host: str) -> None:
    port = server.url.rpartition(":")[2]
    with pytest.raises(ForeignLinkError):
        client.download(f"https://{host}:{port}/m.png", io.BytesIO(), max_bytes=10)
    assert untouched(server)


def test_a_status_link_that_leads_inside_gets_no_token(server: Scripted, client: AdobeClient, names: Resolve) -> None:
    names("127.0.0.1")
    with pytest.raises(ForeignLinkError):
        client.get_status(OBJECTS, AdobeJob("j1", "https://evil.adobe.io/v1/status/j1"))
    with pytest.raises(ForeignLinkError):
        client.get_status(OBJECTS, AdobeJob("j1", f"{ADOBE}/v1/status/j1"))
    assert untouched(server)


def test_if_adobes_name_resolves_to_a_private_address_nothing_is_sent(
    server: Scripted, client: AdobeClient, names: Resolve
) -> None:
    names("127.0.0.1")
    with pytest.raises(AdobeUnavailableError, match="not a public address"):
        client.submit(OBJECTS, REQUEST)
    client._tokens._token = ""
    with pytest.raises(AdobeUnavailableError):
        client.submit(OBJECTS, REQUEST)
    assert untouched(server)


def test_a_server_of_the_stacks_own_choice_may_be_inside_and_nobody_else(names: Resolve, server: Scripted) -> None:
    """GIVEN a stack that is configured for an API within its network WHEN names lead there THEN only that one is connected to."""
    adobe = client_for("https://adobe.internal")
    names("127.0.0.1")
    server.script = [close]
    with pytest.raises(DownloadFailedError, match="SSLError"):
        adobe.download("https://adobe.internal/m.png", io.BytesIO(), max_bytes=10)
    assert server.seen[0].method == "TLS"
    with pytest.raises(ForeignLinkError):
        adobe.download("https://elsewhere.internal/m.png", io.BytesIO(), max_bytes=10)


def test_on_loopback_only_loopback_is_opened(monkeypatch: pytest.MonkeyPatch, server: Scripted, names: Resolve) -> None:
    """A stand-in on this machine is no reason to read the metadata of the machine."""
    adobe = client_for(server.url)
    names("127.0.0.1")
    monkeypatch.setattr(socket.socket, "getpeername", lambda _: ("169.254.169.254", 80))
    with pytest.raises(ForeignLinkError, match=r"169\.254\.169\.254"):
        adobe.download("https://metadata.example.com/latest", io.BytesIO(), max_bytes=10)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "169.254.170.2",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:1::1",
        "not an address",
        "",
    ],
)
def test_addresses_that_are_nobodys_or_ours_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "52.216.0.1", "2606:2800:21f::1", "64:ff9b::5db8:d70e", "::ffff:8.8.8.8"]
)
def test_addresses_of_the_public_internet_are_public(address: str) -> None:
    assert is_public(address)


# --- no redirect is followed with credentials ----------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere() -> Iterator[Scripted]:
    other = Scripted([reply(200, b"stolen")])
    yield other
    other.shut()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("what", ["post", "status", "token"])
def test_a_redirect_takes_nothing_along(server: Scripted, elsewhere: Scripted, what: str, status: int) -> None:
    adobe = client_for(server.url)
    redirect = reply(status, b"", Location=f"{elsewhere.url}/v1/status/j1")
    server.script = [redirect]
    if what == "token":
        server.tokens = [redirect]
    expected: dict[str, tuple[type[Exception], Callable[[], object]]] = {
        "post": (ForeignLinkError, lambda: adobe.submit(OBJECTS, REQUEST)),
        "status": (ForeignLinkError, lambda: adobe.get_status(OBJECTS, AdobeJob("j1", f"{server.url}/v1/status/j1"))),
        "token": (AdobeUnavailableError, lambda: adobe.submit(OBJECTS, REQUEST)),
    }
    error, call = expected[what]
    with pytest.raises(error):
        call()
    assert untouched(elsewhere)


@pytest.mark.parametrize("target", ["https://[::1/x", "//", "https://a b/", "\\\\x", "https://\xff/"])
def test_a_redirect_that_leads_nowhere_is_refused_by_name(server: Scripted, target: str) -> None:
    adobe = client_for(server.url)
    server.script = [reply(302, b"", Location=target)]
    with pytest.raises(ForeignLinkError):
        adobe.submit(OBJECTS, REQUEST)
    with pytest.raises((ForeignLinkError, DownloadFailedError)):
        adobe.download(f"{server.url}/m.png", io.BytesIO(), max_bytes=10)


# --- caps -----------------------------------------------------------------------------------------------------------


def test_a_stream_without_end_is_left_at_the_cap(server: Scripted) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    server.script = [endless]
    into = io.BytesIO()
    with pytest.raises(DownloadTooLargeError):
        client_for(server.url).download(f"{server.url}/m.png", into, max_bytes=3_000_000)
    assert len(into.getvalue()) <= 3_000_000


@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, gzip"])
def test_what_unpacks_to_much_more_is_never_unpacked(server: Scripted, coding: str) -> None:
    """Neither in the file nor in memory."""
    packed = _packed_zeros(200, 31 if "gzip" in coding else 15)
    if coding == "gzip, gzip":
        packer = zlib.compressobj(9, wbits=31)
        packed = packer.compress(packed) + packer.flush()
    server.script = [reply(200, packed, Content_Encoding=coding)]
    into = io.BytesIO()
    before = _peak_megabytes()
    with pytest.raises(DownloadTooLargeError):
        client_for(server.url).download(f"{server.url}/m.png", into, max_bytes=1_000_000)
    assert len(into.getvalue()) <= 1_000_000
    assert _peak_megabytes() - before < 100


def test_an_answer_in_words_that_unpacks_to_much_more_is_cut(server: Scripted) -> None:
    server.script = [reply(200, _packed_zeros(200, 31), Content_Encoding="gzip")]
    before = _peak_megabytes()
    with pytest.raises(AdobeUnavailableError):
        client_for(server.url).get_status(OBJECTS, AdobeJob("j1", f"{server.url}/v1/status/j1"))
    assert _peak_megabytes() - before < 100


def test_a_token_that_drips_is_not_waited_for(server: Scripted, impatient: None) -> None:
    server.tokens = [drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")]
    with pytest.raises(AdobeUnavailableError):
        client_for(server.url).submit(OBJECTS, REQUEST)
    assert server.seen == []


@cache
def _packed_zeros(megabytes: int, wbits: int) -> bytes:
    packer = zlib.compressobj(1, wbits=wbits, strategy=zlib.Z_RLE)
    return b"".join([*(packer.compress(bytes(1_000_000)) for _ in range(megabytes)), packer.flush()])


def _peak_megabytes() -> float:
    # In kilobytes, but on macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1000 if peak < 10**8 else peak / 10**6
