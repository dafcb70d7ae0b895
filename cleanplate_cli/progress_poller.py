"""Asking the stack itself how far its photos are: its ``report_progress``, as anybody on AWS would."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

_KINDS = ("waiting", "in_work", "cleaned", "nothing_to_remove", "mask_ready", "failed")


class ProgressAsked:
    """Polls every few seconds on a thread of its own, from entering to leaving; :attr:`report` is the latest answer."""

    def __init__(
        self, client: Callable[[str], Any], function: str, folder: str | None = None, *, every: float = 3.0
    ) -> None:
        self._client, self._function, self._every = client, function, every
        self._asked = json.dumps({} if folder is None else {"folder": folder}).encode()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)
        self.report: Mapping[str, Any] = {}

    @property
    def words(self) -> str:
        """The latest answer in one line; empty where there is none."""
        return in_words(self.report) if self.report else ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        # A first answer may take its process a second or two.
        self._thread.join(20)

    def _ask_on(self) -> None:
        while not self._leaving.is_set():
            try:
                self.report = ask_progress(self._client, self._function, self._asked)
            except Exception:  # noqa: BLE001 - no photo's fate hangs on it, and the stack may be stopping
                self.report = {}
            self._leaving.wait(self._every)


def ask_progress(client: Callable[[str], Any], function: str, asked: bytes = b"{}") -> dict[str, Any]:
    """Return the stack's own report; empty where it has none, as of a folder that it has not seen."""
    answer = client("lambda").invoke(FunctionName=function, Payload=asked)
    said = json.loads(answer["Payload"].read())
    return {} if answer.get("FunctionError") else dict(said)


def in_words(report: Mapping[str, Any]) -> str:
    """Return one line of a report: ``7 photos: 2 waiting, 3 in work, 2 cleaned; the last is done in about 40 s``."""
    counted = [f"{report[kind]} {kind.replace('_', ' ')}" for kind in _KINDS if report.get(kind)]
    if report["not_yet_seen"]:
        counted.insert(0, f"{report['not_yet_seen']} not yet seen")
    if not counted:
        return ""
    photos = report["photos"]
    line = f"{photos} photo{'' if photos == 1 else 's'}: {', '.join(counted)}"
    if report["done_in_seconds"]:
        line += f"; the last is done in about {report['done_in_seconds']} s"
    return ". ".join([line, " ".join(report["held"])]) if report["held"] else line
