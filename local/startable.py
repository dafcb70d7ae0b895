"""What is started and stopped: by name, or with ``with``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Startable(ABC):
    """Started where a ``with`` block begins, stopped where it ends."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def start(self) -> Self:
        """Start it; return itself."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it; again does nothing."""
