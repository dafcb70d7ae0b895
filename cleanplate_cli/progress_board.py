"""Progress that people like: a live board on a terminal, one line per change everywhere else."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cleanplate_cli.inputs import Upload

if TYPE_CHECKING:
    from rich.console import Console

MARKS = {"cleaned": "✔", "nothing_to_remove": "○", "mask_ready": "◐", "failed": "✘", "missing": "?"}
COLOURS = {"cleaned": "green", "nothing_to_remove": "yellow", "mask_ready": "yellow", "failed": "red", "missing": "red"}


#: A log needs no line for every second. Seconds.
_REPORT_EVERY = 10.0


@dataclass(slots=True)
class PhotoProgress:
    """One photo on its way. Times are of the monotonic clock."""

    photo: Upload
    stage: str = "waits to be uploaded"
    outcome: str = ""
    #: Where it has no manifest: what happened, and what to do.
    reason: str = ""
    message: str = ""
    what_to_do: str = ""
    uploaded_as: str = ""
    version_id: str = ""
    #: Its content and options, see ``task_of``.
    task: str = ""
    manifest: Mapping[str, Any] | None = None
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it has been under way, or was."""
        return (self.ended or time.monotonic()) - self.began

    def end(self, outcome: str, stage: str = "") -> None:
        """Note how it ended."""
        self.outcome, self.ended = outcome, time.monotonic()
        self.stage = stage or outcome.replace("_", " ")


class Board(Protocol):
    """Where progress is shown."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, tracks: Sequence[PhotoProgress], report: str = "") -> None:
        """Show how things are now; ``report`` sums it up."""


def make_board(console: Console) -> Board:
    """Return the board that suits where the output goes."""
    return LiveBoard(console) if console.is_terminal else PlainBoard(console)


class PlainBoard:
    """For logs and pipes: a line whenever something has changed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._shown: dict[str, str] = {}
        self._report, self._reported = "", -_REPORT_EVERY

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, tracks: Sequence[PhotoProgress], report: str = "") -> None:
        """Print what is new."""
        for progress in tracks:
            if self._shown.get(progress.photo.key) != progress.stage:
                self._shown[progress.photo.key] = progress.stage
                self._say(f"{progress.photo.key}: {progress.stage}")
        if report and report != self._report and time.monotonic() - self._reported > _REPORT_EVERY:
            self._report, self._reported = report, time.monotonic()
            self._say(report)

    def _say(self, words: str) -> None:
        clock = time.monotonic() - self._began
        self._console.print(f"{clock:6.1f} s  {words}", markup=False, highlight=False, soft_wrap=True)


class LiveBoard:
    """For people at a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._spinner = Spinner("dots")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, tracks: Sequence[PhotoProgress], report: str = "") -> None:
        """Draw the board again."""
        self._live.update(self._table(tracks, report))

    def _table(self, tracks: Sequence[PhotoProgress], report: str) -> Table:
        done = [progress for progress in tracks if progress.outcome]
        open_ = [progress for progress in tracks if not progress.outcome]
        table = Table.grid(padding=(0, 2))
        table.add_column(width=1)
        table.add_column(overflow="fold", ratio=2)
        table.add_column(ratio=2)
        table.add_column(justify="right", width=7)
        room = max(4, self._console.height - 5)
        shown = tracks if len(tracks) <= room else [*open_, *reversed(done)][:room]
        for progress in shown:
            colour = COLOURS.get(progress.outcome, "cyan")
            mark = Text(MARKS[progress.outcome], colour) if progress.outcome else self._spinner
            table.add_row(
                mark, Text(progress.photo.key), Text(progress.stage, colour), Text(f"{progress.seconds:.1f} s", "dim")
            )
        bar = ProgressBar(total=max(1, len(tracks)), completed=len(done), width=30)
        table.add_row("", bar, Text(f"{len(done)} of {len(tracks)} photos"), "")
        whole = Table.grid()
        whole.add_row(table)
        whole.add_row(Text(f"   {report}", "dim"))
        return whole
