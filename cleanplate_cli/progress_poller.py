"""Asking the stack itself how far its photos are: its ``report_progress``, as anybody on AWS would."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Self

from cleanplate_cli.stack import Stack

_KINDS = ("waiting", "in_work", "cleaned", "nothing_to_remove", "mask_ready", "failed")


class ProgressPoller:
    """Polls every few seconds on a thread of its own, from entering to leaving; :attr:`report` is the latest answer."""

    def __init__(self, stack: Stack, folder: str | None = None, *, every: float = 3.0) -> None:
        self._stack, self._folder, self._every = stack, folder, every
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
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

    def _poll(self) -> None:
        while not self._leaving.is_set():
            try:
                self.report = ask_progress(self._stack, self._folder)
            except Exception:  # noqa: BLE001 - no photo's fate hangs on it, and the stack may be stopping
                self.report = {}
            self._leaving.wait(self._every)


def ask_progress(stack: Stack, folder: str | None = None) -> dict[str, Any]:
    """Return the stack's own report on a folder, or on its whole bucket; raises :class:`CommandError`."""
    report: dict[str, Any] = stack.invoke(stack.progress_function, {} if folder is None else {"folder": folder})
    return report


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
