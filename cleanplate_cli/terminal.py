"""What is printed at the terminal: sentences, a table of how the photos ended, and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from cleanplate.page.html import summary
from cleanplate_cli.collecting import Ending
from cleanplate_cli.progress_board import COLOURS, MARKS

if TYPE_CHECKING:
    from rich.console import Console

#: More rows than this say less than a few: the page has them all.
_ROWS = 60


def say(console: Console, words: str) -> None:
    """Print ``words`` as they are, in one line however long; nothing where there are none."""
    if words:
        console.print(words, highlight=False, markup=False, soft_wrap=True)


def counted(photos: Sized) -> str:
    """Return how many, in words: ``1 photo``, ``7 photos``."""
    return f"{len(photos)} photo{'' if len(photos) == 1 else 's'}"


def shown(path: Path) -> str:
    """Return a path as people like to read it: from here, where it is below."""
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(path)


def summary_of(endings: Iterable[Ending]) -> str:
    """Return in one sentence how the photos ended."""
    return summary([ending.outcome for ending in endings])


def report(
    endings: Sequence[Ending],
    page: Path,
    function_errors: Sequence[str],
    seconds: float,
    console: Console,
    stack: str = "",
) -> None:
    """Say how each photo ended, what to do about those that failed, and where it all is."""
    table = Table(box=None, padding=(0, 2), show_edge=False)
    table.add_column("")
    table.add_column("photo", overflow="fold")
    table.add_column("outcome")
    table.add_column("result", overflow="fold")
    table.add_column("time", justify="right")
    by_need = sorted(endings, key=lambda ending: ending.went_well)
    rows = endings if len(endings) <= _ROWS else by_need[:_ROWS]
    for ending in rows:
        colour = COLOURS.get(ending.outcome, "")
        kept = ending.went_well or ending.outcome == "nothing_to_remove"
        table.add_row(
            Text(MARKS.get(ending.outcome, "?"), colour),
            Text(ending.key),
            Text(ending.reason if not kept and ending.reason else ending.outcome.replace("_", " "), colour),
            Text(ending.result if kept else ""),
            Text(f"{ending.seconds:.1f} s"),
        )
    console.print()
    console.print(table)
    if len(rows) < len(endings):
        console.print(f"  and {len(endings) - len(rows)} more, see the page", highlight=False)
    for ending in endings:
        if not ending.went_well or ending.outcome == "nothing_to_remove":
            console.print()
            console.print(Text(f"{ending.key}: {why(ending)}"), soft_wrap=True)
            if ending.what_to_do:
                console.print(Text(f"What to do: {ending.what_to_do}"), soft_wrap=True)
    if any(ending.outcome == "mask_ready" for ending in endings):
        where = f" OUT={shlex.quote(str(page.parent))}" + (f" STACK={shlex.quote(stack)}" if stack else "")
        console.print()
        console.print(
            Text(f"Masks wait for approval, as they are or edited: make approve PHOTOS=…{where} (cleanplate approve)."),
            soft_wrap=True,
        )
    for error in function_errors:
        console.print(Text(f"  {error}", "dim"), soft_wrap=True)
    well = sum(ending.went_well for ending in endings)
    console.print()
    console.print(Text(summary_of(endings)), soft_wrap=True)
    console.print(
        Text(f"{well} of {len(endings)} went well in {seconds:.0f} s. Results and page: {shown(page)}"), soft_wrap=True
    )


def why(ending: Ending) -> str:
    """Return why a photo was not cleaned, in whole sentences."""
    if ending.outcome == "nothing_to_remove":
        seen = ", ".join(ending.labels_seen) or "nothing"
        return (
            f"{sentence(ending.message) or 'Nothing to remove; the original is passed on.'} Seen in the photo: {seen}."
        )
    return sentence(f"{ending.reason}. {ending.message}" if ending.message else ending.reason)


def sentence(words: str) -> str:
    """Return the words with a full stop, unless they end as a sentence does."""
    return words if not words or words.rstrip().endswith((".", "!", "?", ".)")) else f"{words.rstrip()}."
