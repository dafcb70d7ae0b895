"""Which links in Adobe's answers may be followed, and with what."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from cleanplate.errors import ForeignLinkError
from cleanplate.settings import is_loopback

_ADOBE_SUFFIX = ".adobe.io"
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


def check_api_link(url: str, api_url: str) -> str:
    """A link that gets the token: https on Adobe's hosts, or the very origin that the stack is configured for."""
    scheme, host, port = _origin(url)
    if (host and _origin(url) == _origin(api_url)) or (
        scheme == "https" and host.endswith(_ADOBE_SUFFIX) and port in {None, 443}
    ):
        return url
    raise ForeignLinkError(f"Adobe's status link leads to {scheme}://{host}, which is not Adobe's.")


def check_picture_link(url: str, api_url: str) -> str:
    """A link that gets no credentials: https anywhere, or loopback where the stack itself is configured for it."""
    scheme, host, _ = _origin(url)
    if (scheme == "https" and host and not is_loopback(host)) or (
        is_loopback(host) and is_loopback(_origin(api_url)[1])
    ):
        return url
    raise ForeignLinkError(f"Adobe's picture link leads to {scheme}://{host}, which is not followed.")
