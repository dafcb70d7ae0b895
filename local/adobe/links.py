"""Links to and from other people's storage: which hosts Adobe reads, and the reading itself."""

from __future__ import annotations

import ipaddress
from urllib.parse import unquote, urlsplit

import aiohttp

from local.adobe.answers import Problem
from local.adobe.settings import Settings

# The suffixes of UrlResource in the /v1 specification.
ADOBE_HOSTS = (
    "amazonaws.com",
    "windows.net",
    "dropboxusercontent.com",
    "assets.frame.io",
    "storage.googleapis.com",
)
MAX_BYTES = 200_000_000  # Adobe states no limit for /v1; this one only protects the machine.
FETCH_SECONDS = 60.0
PROBE_SECONDS = 5.0


class LinkError(Exception):
    """A link could not be used; ``status`` is what its host said, 0 where there was no answer."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


def photo_of(url: str) -> str:
    """Return the decoded path of a link: what rules and counters call the photo."""
    return unquote(urlsplit(url).path)


def validation_error(url: str, where: str, settings: Settings) -> Problem | None:
    """Return what Adobe would say against this link, without opening it."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
    except ValueError:
        return Problem(where, "format", 'should match format "uri"')
    if parts.scheme not in ("http", "https") or not host:
        return Problem(where, "pattern", 'should match pattern "^https://"')
    ours = (settings.allow_loopback and _is_loopback(host)) or _ends_with(host, settings.extra_hosts)
    if not ours and parts.scheme != "https":
        return Problem(where, "pattern", 'should match pattern "^https://"')
    if not ours and not _ends_with(host, ADOBE_HOSTS):
        return Problem(where, "host", f"has a host that is not supported: {host}", ", ".join(ADOBE_HOSTS))
    return None


def _ends_with(host: str, suffixes: tuple[str, ...]) -> bool:
    return any(host == suffix or host.endswith("." + suffix.lstrip(".")) for suffix in suffixes)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Storage:
    """Reads inputs and, for ``/sensei/mask``, writes outputs. No Authorization header ever goes along."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the session; a running event loop is needed."""
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64))

    async def close(self) -> None:
        """Close the session."""
        if self._session:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the storage session is not open")
        return self._session

    async def read(self, url: str) -> bytes:
        """Return the bytes behind a link."""
        try:
            async with self.session.get(url, timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS)) as response:
                if response.status != 200:
                    raise LinkError(f"the input link answered {response.status}", response.status)
                if (response.content_length or 0) > MAX_BYTES:
                    raise LinkError("the input is too large")
                return await response.read()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise LinkError(f"the input link could not be read: {type(error).__name__}") from None

    async def probe(self, url: str) -> None:
        """Ask for one byte: is the link good? A presigned GET allows no HEAD."""
        try:
            timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
            async with self.session.get(url, headers={"Range": "bytes=0-0"}, timeout=timeout) as response:
                if response.status >= 400:
                    raise LinkError(f"the input link answered {response.status}", response.status)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise LinkError(f"the input link could not be read: {type(error).__name__}") from None

    async def write(self, url: str, content: bytes, media_type: str) -> None:
        """PUT a result: Adobe's pages say POST, every sample presigns PUT."""
        headers = {"Content-Type": media_type}
        try:
            timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
            async with self.session.put(url, data=content, headers=headers, timeout=timeout) as response:
                if response.status >= 300:
                    raise LinkError(f"the output link answered {response.status}", response.status)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise LinkError(f"the output link could not be written: {type(error).__name__}") from None
