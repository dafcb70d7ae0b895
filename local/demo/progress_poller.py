"""Asking the stack itself how far its photos are: its ``report_progress``, as anybody on AWS would."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from local.embedded_aws.deploy import Stack
    from local.embedded_aws.server import EmbeddedAws

_KINDS = ("waiting", "in_work", "cleaned", "nothing_to_remove", "failed")
_FUNCTION = "ReportProgressFunction"


class ProgressAsked:
    """Polls every few seconds on a thread of its own, from entering to leaving; :attr:`words` are the latest answer."""

    def __init__(self, aws: EmbeddedAws, stack: Stack, *, every: float = 3.0) -> None:
        self._aws, self._function, self._every = aws, stack.functions[_FUNCTION], every
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)
        self.words = ""

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
                answer = self._aws.client("lambda").invoke(FunctionName=self._function, Payload=b"{}")
                said = json.loads(answer["Payload"].read())
                self.words = "" if answer.get("FunctionError") else in_words(said)
            except Exception:  # noqa: BLE001 - no photo's fate hangs on it, and the stack may be stopping
                self.words = ""
            self._leaving.wait(self._every)


def in_words(report: Mapping[str, Any]) -> str:
    """Return one line of a report: ``7 photos: 2 waiting, 3 in work, 2 cleaned; the last is done in about 40 s``."""
    counted = [f"{report[kind]} {kind.replace('_', ' ')}" for kind in _KINDS if report[kind]]
    if report["not_yet_seen"]:
        counted.insert(0, f"{report['not_yet_seen']} not yet seen")
    if not counted:
        return ""
    photos = report["photos"]
    line = f"{photos} photo{'' if photos == 1 else 's'}: {', '.join(counted)}"
    if report["done_in_seconds"]:
        line += f"; the last is done in about {report['done_in_seconds']} s"
    return ". ".join([line, " ".join(report["held"])]) if report["held"] else line
