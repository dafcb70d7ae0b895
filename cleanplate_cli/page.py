"""The page ``index.html`` of all that lies where results go."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cleanplate.errors import CleanplateError
from cleanplate.imaging import data_uri
from cleanplate.page.html import Card, article, page_html, picture_side
from cleanplate_cli.collecting import Ending, endings_before
from cleanplate_cli.out_folder import OutFolder
from cleanplate_cli.terminal import summary_of
from cleanplate_cli.triptych import preview, separate


def write_page(out: OutFolder, stack: str = "") -> str:
    """Write the page, whichever run its photos are of; return its path."""
    endings = list(endings_before(out).values())
    articles = [article(make_card(ending, out.path, at, len(endings), stack)) for at, ending in enumerate(endings)]
    notes = [summary_of(endings), *sorted({one.note for one in endings if one.note})]
    return out.save("index.html", page_html(articles, title="Cleanplate: before, mask, after", notes=notes).encode())


def make_card(ending: Ending, out: Path, at: int, photos: int, stack: str = "") -> Card:
    """Return photo number ``at``, as the page shows it, one of so many."""
    pictures = _pictures(ending, out, picture_side(photos))
    commands = {
        "approve": approve_command(ending.key, out=str(out), stack=stack) if ending.outcome == "mask_ready" else "",
        "redo": redo_command(ending.key, list(ending.options.items()), out=str(out), stack=stack),
    }
    return Card(
        name=ending.key,
        outcome=ending.outcome,
        result=ending.result,
        before_file="" if ending.is_sample or ending.outcome == "mask_ready" else _seen_from(out, Path(ending.origin)),
        after_file=ending.result if pictures.get("after") else "",
        facts=[(name, value) for name, value in ending.facts],
        reason=ending.reason if ending.outcome in {"failed", "missing"} else "",
        message=ending.message,
        what_to_do=ending.what_to_do,
        credit=ending.credit,
        labels_seen=ending.labels_seen,
        commands=[] if ending.is_sample else [(name, words) for name, words in commands.items() if words],
        at=at,
        **pictures,
    )


def _pictures(ending: Ending, out: Path, longest: int) -> Mapping[str, Any]:
    """Return the small pictures by their names on the card, none where there is none."""
    if not ending.picture:
        return {}
    try:
        content = (out / ending.picture).read_bytes()
        if ending.outcome not in {"cleaned", "nothing_to_remove"}:
            return {"before": data_uri(preview(content, longest))}
        parts = separate(content)
    except (CleanplateError, OSError):  # somebody took it away, or changed it
        return {}
    for picture in (parts.before, parts.mask, parts.after):
        picture.thumbnail((longest, longest))
    return {"before": data_uri(parts.before), "mask": data_uri(parts.mask, 60), "after": data_uri(parts.after)}


def _seen_from(out: Path, photo: Path) -> str:
    """Return the path of a photo as the page finds it on this machine; empty where none leads there."""
    try:
        return Path(os.path.relpath(photo, out.resolve())).as_posix()
    except ValueError:  # on another drive
        return ""


def approve_command(name: str, *, out: str, stack: str = "") -> str:
    """Return the command that has the mask of a photo filled, as it is or as somebody has edited it."""
    words = ["make", "approve", f"PHOTOS={shlex.quote(name)}", f"OUT={out}", *([f"STACK={stack}"] if stack else [])]
    return " ".join(shlex.quote(word) for word in words)


def redo_command(name: str, options: Sequence[tuple[str, str]], *, out: str, stack: str = "") -> str:
    """Return the command that does a photo once more, with the options that it had for the person to change."""
    given = dict(options)
    words = ["make", "redo", f"PHOTOS={shlex.quote(name)}", f"REMOVE={given.get('remove', 'subject')}"]
    words += [f"GROW={given.get('grow', '40')}", f"OUT={out}", *([f"STACK={stack}"] if stack else [])]
    return " ".join(shlex.quote(word) for word in words)
