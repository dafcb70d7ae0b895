"""A server whose every answer a test writes down, byte by byte: for what no well-behaved server can be told to send."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Act = Callable[[socket.socket], None]


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    port: int  # the client's: another one is another connection


def reply(status: int = 200, body: Any = b"", *, length: int | None = None, **headers: str) -> Act:
    """An answer; ``body`` is bytes or JSON, ``length`` what Content-Length claims. Underscores in names are dashes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(content) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode()
    return lambda connection: connection.sendall(head + content)


def raw(content: bytes) -> Act:
    """These bytes, then the end of the connection."""
    return lambda connection: connection.sendall(content)


def reset(connection: socket.socket) -> None:
    """The connection is torn down instead of an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close(connection: socket.socket) -> None:
    """The connection ends politely, without an answer."""


def hang(connection: socket.socket) -> None:
    """No answer for as long as the client has patience."""
    connection.settimeout(10)
    connection.recv(1)


def drip(head: bytes, every: float = 0.05) -> Act:
    """A head, and then a byte now and then, for longer than any client here should have patience."""

    def send(connection: socket.socket) -> None:
        connection.sendall(head)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            connection.sendall(b" ")
            time.sleep(every)

    return send


@dataclass
class Scripted:
    """Answers requests in the order of ``script``; its last act serves for all that follow. Tokens come by themselves."""

    script: list[Act] = field(default_factory=list)
    tokens: list[Act] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    token_requests: list[Seen] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    keeps_open: bool = False  # whatever the client wishes

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self) -> None:
        """From now on connections are refused."""
        # A listener that somebody waits on is only gone after a shutdown.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, (_, port) = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, port), daemon=True).start()

    def _serve(self, connection: socket.socket, port: int) -> None:
        if self.tls is not None:
            try:
                connection = self.tls.wrap_socket(connection, server_side=True)
            except OSError:
                return
        with connection:
            try:
                while (request := _read(connection, port)) is not None:
                    act = self._next(request)
                    act(connection)
                    wants_end = request.headers.get("connection") == "close" and not self.keeps_open
                    if act in (reset, close) or wants_end:
                        return
            except OSError:
                return

    def _next(self, request: Seen) -> Act:
        with self._lock:
            if request.path.startswith("/ims/"):
                self.token_requests.append(request)
                count = len(self.token_requests)
                good = reply(200, {"access_token": f"token-{count}", "token_type": "bearer", "expires_in": 86399})
                return self.tokens[min(count, len(self.tokens)) - 1] if self.tokens else good
            self.seen.append(request)
            return self.script[min(len(self.seen), len(self.script)) - 1]


def _read(connection: socket.socket, port: int) -> Seen | None:
    content = b""
    while b"\r\n\r\n" not in content:
        chunk = connection.recv(65_536)
        if not chunk:
            return None
        content += chunk
        if content[0] == 0x16:
            return Seen("TLS", "", {}, content, port)
    head, _, body = content.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65_536)
    method, path, _ = first.split(" ", 2)
    return Seen(method, path, headers, body, port)
