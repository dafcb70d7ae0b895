"""Which links in Adobe's answers may be followed, and with what."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from cleanplate.adobe.errors import ForeignLinkError
from cleanplate.settings import is_loopback

_ADOBE_SUFFIX = ".adobe.io"
#: Whose hosts are never inside a network of the stack's own.
_ADOBES = (_ADOBE_SUFFIX, ".adobelogin.com")
#: Addresses of version 6 that stand for one of version 4 in their last 32 bits (RFC 6052).
_NAT64 = IPv6Network("64:ff9b::/96")
#: Anything else in a host is read differently by different parsers: what is checked must be where the request goes.
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "", "", None
    host, authority = (parts.hostname or "").lower(), parts.netloc.lower()
    plain = authority if port is None else authority.removesuffix(f":{port}")
    if not _HOST.fullmatch(plain) or any(letter <= " " or letter == "\\" for letter in url):
        return "", "", None
    return parts.scheme.lower(), host, port


def base_url(api_url: str, host: str) -> str:
    """Return the origin of a route that Adobe serves on ``host``; any server but Adobe's serves all routes on one."""
    return f"https://{host}" if host and _origin(api_url)[1].endswith(_ADOBE_SUFFIX) else api_url


def check_api_link(url: str, api_url: str) -> str:
    """Return a link that gets the token: https on Adobe's hosts, or the very origin that the stack is configured for."""
    scheme, host, port = _origin(url)
    if (host and _origin(url) == _origin(api_url)) or (
        scheme == "https" and host.endswith(_ADOBE_SUFFIX) and port in {None, 443}
    ):
        return url
    raise ForeignLinkError(f"Adobe's status link leads to {scheme}://{host}, which is not Adobe's.")


def check_picture_link(url: str, api_url: str) -> str:
    """Return a link that gets no credentials: https anywhere, or loopback where the stack itself is configured for it."""
    scheme, host, _ = _origin(url)
    if (scheme == "https" and host and not is_loopback(host)) or (
        is_loopback(host) and is_loopback(_origin(api_url)[1])
    ):
        return url
    raise ForeignLinkError(f"Adobe's picture link leads to {scheme}://{host}, which is not followed.")


def check_address(host: str, address: str, origins: tuple[str, ...]) -> None:
    """Refuse a connection to ``host`` that has ended at no public address, so that no answer leads into a network of ours.

    ``origins`` are the URLs that the stack is configured for. Their own hosts may be wherever they are, but for Adobe's;
    and where one of them is on loopback, every host may. Raises :class:`ForeignLinkError`.
    """
    if is_public(address):
        return
    configured = {_origin(origin)[1] for origin in origins}
    if host.strip("[]").lower() in {name for name in configured if not name.endswith(_ADOBES)}:
        return
    if is_loopback(address) and any(is_loopback(name) for name in configured):
        return
    raise ForeignLinkError(f"{host} is at {address}, which is not a public address; nothing was sent there.")


def is_public(address: str) -> bool:
    """Return whether an address, of either version, is a public one of a single receiver."""
    try:
        found = _innermost(ip_address(address))
    except ValueError:
        return False
    shut = found.is_private or found.is_multicast or found.is_reserved or found.is_link_local or found.is_unspecified
    return found.is_global and not shut and not (isinstance(found, IPv6Address) and found.is_site_local)


def _innermost(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the address of version 4 that one of version 6 only wraps: that is where the packets go."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
