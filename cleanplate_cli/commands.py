"""The commands that people type: ``cleanplate run|status|redo|retry|approve|doctor|dead-letters``; what they mean."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cleanplate.errors import CleanplateError
from cleanplate.uploads.options import own_mask_keys, parse_options
from cleanplate_cli.collecting import Ending
from cleanplate_cli.dead_letters import dead_letters
from cleanplate_cli.doctor import doctor
from cleanplate_cli.errors import CommandError, PhotosError
from cleanplate_cli.inputs import Found, Upload, companion_keys, find_photos, split_words
from cleanplate_cli.out_folder import OutFolder
from cleanplate_cli.progress_poller import ask_progress, in_words
from cleanplate_cli.run import RunArgs, endings_in, run
from cleanplate_cli.stack import Stack, find_stack
from cleanplate_cli.telling import shown, summary_of, why

if TYPE_CHECKING:
    from rich.console import Console

#: Opens a stack where none is named; given what was asked for.
AtHome = Callable[[argparse.Namespace], AbstractContextManager[Stack]]
Samples = Callable[[str], Sequence[Upload]]

#: Folders of which `status` asks.
_FOLDERS = 20


def add_commands(doors: argparse._SubParsersAction[argparse.ArgumentParser]) -> list[argparse.ArgumentParser]:
    """Add the commands to a parser; returns those that may start a stack."""
    said = os.environ.get
    run_ = doors.add_parser("run", help="clean photos, and fetch the results")
    redo = doors.add_parser("redo", help="clean some photos once more, with other options")
    retry = doors.add_parser("retry", help="clean those photos of OUT once more that failed")
    approve = doors.add_parser("approve", help="fill the masks of photos that were run with --review")
    status = doors.add_parser("status", help="how far photos are")
    check = doors.add_parser("doctor", help="check a stack and its Adobe account, without paying")
    check.add_argument("--stack", default=said("STACK", ""), help="a deployed stack, or a stack.json ($STACK)")
    check.set_defaults(door=_doctor)
    letters = doors.add_parser("dead-letters", help="list, delete or redrive messages that came to nothing")
    letters.add_argument("action", nargs="?", choices=("list", "delete", "redrive"), default="list")
    letters.add_argument("ids", nargs="*", help="which to delete (default: those that nobody can read)")
    letters.add_argument("--stack", default=said("STACK", ""), help="a deployed stack, or a stack.json ($STACK)")
    letters.set_defaults(door=_dead_letters)
    for door in (run_, redo, retry, approve, status):
        door.add_argument("photos", nargs="*", help="files, folders or patterns (default: $PHOTOS)")
        door.add_argument("--stack", default=said("STACK", ""), help="a deployed stack, or a stack.json ($STACK)")
        door.add_argument("--out", default=said("OUT") or "out", help="where results go (default: $OUT or out)")
        door.add_argument(
            "--to",
            default=said("TO") or None,
            help="the folder in the uploads bucket (default: as on the disk; / for none; $TO)",
        )
    for door in (run_, redo, retry, approve):
        door.add_argument("--deadline", type=float, help="seconds after which photos without an outcome are named")
        door.add_argument(
            "--yes", action="store_true", default=bool(said("YES")), help="do not ask before many photos ($YES)"
        )
    for door in (run_, redo):
        door.add_argument("--remove", default=said("REMOVE", ""), help="what to remove (default: $REMOVE)")
        door.add_argument("--grow", default=said("GROW", ""), help="pixels by which the mask is grown (default: $GROW)")
        door.add_argument(
            "--option", action="append", default=[], metavar="NAME=VALUE",
            help="any other option; may be given several times",
        )  # fmt: skip
        door.add_argument(
            "--review",
            action="store_true",
            default=bool(said("REVIEW")),
            help="only make masks, to be approved ($REVIEW)",
        )
    run_.add_argument("--again", action="store_true", help="do again what is done already")
    run_.set_defaults(door=_run)
    redo.set_defaults(door=_redo)
    retry.set_defaults(door=_retry, remove="")
    approve.set_defaults(door=_approve, remove="")
    status.set_defaults(door=_status, remove="")
    return [run_, redo, retry, approve]


def open_door(told: argparse.Namespace, console: Console, at_home: AtHome | None, samples: Samples | None) -> int:
    """Run the command that was asked for; its exit code."""
    code: int = told.door(told, console, at_home, samples)
    return code


def options_of(told: argparse.Namespace) -> dict[str, str]:
    """Return the options that somebody gave, checked as the functions check them; raises :class:`CommandError`."""
    options = {name: word for name in ("remove", "grow") if (word := getattr(told, name, "").strip())}
    for word in getattr(told, "option", []):
        name, equals, value = word.partition("=")
        if not equals:
            raise CommandError(f"--option {word} is not NAME=VALUE, such as --option min_score=0.8.")
        options[name.strip()] = value.strip()
    if getattr(told, "review", False):
        options["review"] = "true"
    try:
        parse_options(options, source="The command")
    except CleanplateError as error:
        raise CommandError(str(error)) from None
    return options


def _opener(told: argparse.Namespace, at_home: AtHome | None) -> Callable[[], AbstractContextManager[Stack]]:
    if told.stack:
        # Looked up before anything is read or written.
        stack = find_stack(told.stack)
        return lambda: nullcontext(stack)
    if at_home is None:
        raise CommandError(
            "Name a stack: --stack cleanplate (or STACK=cleanplate). In a checkout, `make run` does the same on this "
            "machine without one."
        )
    return lambda: at_home(told)


def _folder(told: argparse.Namespace, words: Sequence[str]) -> str:
    """Return where photos go in the uploads bucket: named, or as the folder on the disk is called."""
    if not told.stack:
        return ""
    if told.to is not None:
        name = told.to.strip("/")
        return f"{name}/" if name else ""
    paths = [Path(word).expanduser() for word in words]
    folder = paths[0].resolve() if len(paths) == 1 and paths[0].is_dir() else paths[0].absolute().parent
    return f"{folder.name or 'photos'}/"


def _run(told: argparse.Namespace, console: Console, at_home: AtHome | None, samples: Samples | None) -> int:
    options = options_of(told)
    words = told.photos or split_words(os.environ.get("PHOTOS", ""))
    out = Path(told.out)
    if words:
        found = find_photos(words, options, apart_from=out)
    elif samples is None or told.stack:
        raise PhotosError("Name the photos: files, folders or patterns, such as cleanplate run holiday/ --remove dog")
    else:
        found = Found(samples(told.remove))
    asked = RunArgs(
        found.uploads,
        out,
        folder=_folder(told, words),
        left=found.words,
        where=f"by the stack {told.stack}" if told.stack else "on this machine",
        stack=told.stack,
        again=told.again,
        yes=told.yes,
        deadline=told.deadline,
    )
    return run(asked, _opener(told, at_home), console)


def _redo(told: argparse.Namespace, console: Console, at_home: AtHome | None, _samples: Samples | None) -> int:
    """Clean the named photos once more: by their place, or by the name that they have among the results."""
    options = options_of(told)
    return _once_more(
        told, console, at_home, _chosen(told, "done once more: make redo PHOTOS=dog.jpg REMOVE=leash"), options
    )


def _chosen(told: argparse.Namespace, what: str) -> list[Ending]:
    """Return the photos of OUT that somebody names; raises :class:`PhotosError`."""
    words = told.photos or split_words(os.environ.get("PHOTOS", ""))
    if not words:
        raise PhotosError(f"Name the photos that are to be {what}")
    known = [ending for ending in endings_in(Path(told.out)).values() if not ending.is_sample]
    chosen: dict[str, Ending] = {}
    for word in words:
        path = Path(word).expanduser()
        origins = {str(path.resolve())} | (
            {str(file.resolve()) for file in path.rglob("*")} if path.is_dir() else set()
        )
        found = [ending for ending in known if ending.origin in origins or word in {ending.key, ending.result}]
        if not found:
            raise PhotosError(
                f"No photo {word} was cleaned into {shown(Path(told.out))}. It has: {_some([e.key for e in known])}."
            )
        chosen |= {ending.origin: ending for ending in found}
    return list(chosen.values())


def _approve(told: argparse.Namespace, console: Console, at_home: AtHome | None, _samples: Samples | None) -> int:
    """Fill the masks of the named photos: as they lie in OUT, where somebody may have edited them."""
    named = _chosen(told, "approved: make approve PHOTOS=dog.jpg")
    waiting = [ending for ending in named if ending.outcome == "mask_ready"]
    if not waiting:
        raise PhotosError(f"No mask waits for approval of {_some([ending.key for ending in named])}.")
    masks: dict[str, bytes | None] = {}
    with OutFolder(Path(told.out)) as out:
        for ending in waiting:
            is_theirs = not out.is_unchanged(ending.result)
            # A stack that starts with the command knows of no mask before.
            masks[ending.key] = (out.path / ending.result).read_bytes() if is_theirs or not told.stack else None
    return _once_more(told, console, at_home, waiting, None, masks)


def _retry(told: argparse.Namespace, console: Console, at_home: AtHome | None, _samples: Samples | None) -> int:
    known = endings_in(Path(told.out)).values()
    failed = [ending for ending in known if not ending.went_well and not ending.is_sample]
    if not failed:
        console.print(f"Nothing has failed in {shown(Path(told.out))}. {summary_of(known)}", highlight=False)
        return 0
    return _once_more(told, console, at_home, failed, None)


def _once_more(
    told: argparse.Namespace,
    console: Console,
    at_home: AtHome | None,
    endings: Sequence[Ending],
    options: dict[str, str] | None,
    masks: Mapping[str, bytes | None] | None = None,
) -> int:
    """Send the photos again: ``options`` go over those that each photo had; None for another run with just the same."""
    gone = [ending.origin for ending in endings if not Path(ending.origin).is_file()]
    if gone:
        raise PhotosError(f"No longer there: {_some(gone)}. Put it back, or name others.")
    by_place = {ending.origin: ending for ending in endings}
    found = find_photos([ending.origin for ending in endings], {})
    companions = {
        file: None
        for ending in endings
        for name in companion_keys(Path(ending.origin).name)
        if (file := Path(ending.origin).with_name(name)).is_file()
    }
    uploads = []
    for upload in find_photos([*by_place, *map(str, companions)], {}).uploads if companions else found.uploads:
        ending = by_place.get(upload.origin)
        if ending is not None:
            upload = replace(upload, key=ending.key, options={**ending.options, **(options or {})})  # noqa: PLW2901
        uploads.append(upload)
    if not told.stack:
        uploads = [*(_mask_of(key, mask) for key, mask in (masks or {}).items() if mask), *uploads]
    places = {ending.uploaded_as.removesuffix(ending.key) for ending in endings if ending.uploaded_as}
    folder = f"{told.to.strip('/')}/" if told.to else (places.pop() if len(places) == 1 else "")
    told.remove = told.remove or next((ending.options.get("remove", "") for ending in endings), "")
    asked = RunArgs(
        uploads,
        Path(told.out),
        folder=folder if told.stack else "",
        where=f"by the stack {told.stack}" if told.stack else "on this machine",
        stack=told.stack,
        again=options is not None,
        retry=options is None,
        approvals=masks or {},
        yes=told.yes,
        deadline=told.deadline,
    )
    return run(asked, _opener(told, at_home), console)


@dataclass(frozen=True, slots=True)
class _MaskFile:
    """A mask from OUT, to be put beside its photo."""

    file: str
    content: bytes
    shows: str = ""
    credit: str = ""


def _mask_of(key: str, mask: bytes) -> Upload:
    name = own_mask_keys(key)[0]
    return Upload(name, _MaskFile(name, mask), companion=True)


def _status(told: argparse.Namespace, console: Console, _at_home: AtHome | None, _samples: Samples | None) -> int:
    """Print what the stack reports, and what lies in OUT; return 0 where nothing has failed."""

    def say(words: str) -> None:
        console.print(words, highlight=False, markup=False, soft_wrap=True)

    out = Path(told.out)
    endings = list(endings_in(out).values()) if out.is_dir() else []
    if told.stack:
        stack = find_stack(told.stack)
        # A report is of one folder; those inside it are folders of their own.
        folders = sorted({e.uploaded_as[: e.uploaded_as.rfind("/") + 1] for e in endings if e.uploaded_as})
        named = [f"{told.to.strip('/')}/"] if told.to else folders[:_FOLDERS]
        for folder in named or [""]:
            asked = json.dumps({"folder": folder} if named else {}).encode()
            said = ask_progress(stack.client, stack.progress_function, asked)
            where = folder or stack.uploads_bucket
            say(f"{where}: {in_words(said) or 'no photo was seen there' if said else 'no photo was seen there'}.")
    if endings:
        say(f"In {shown(out)}: {summary_of(endings)}")
    elif not told.stack:
        say(f"Nothing was cleaned into {shown(out)} yet.")
    failed = [ending for ending in endings if not ending.went_well]
    for ending in failed:
        say(f"  {ending.key}: {why(ending)}" + (f" What to do: {ending.what_to_do}" if ending.what_to_do else ""))
    if failed:
        say("`make retry` (cleanplate retry) does those once more.")
    return 1 if failed else 0


def _doctor(told: argparse.Namespace, console: Console, _at_home: AtHome | None, _samples: Samples | None) -> int:
    return doctor(_named(told, "doctor"), console)


def _dead_letters(told: argparse.Namespace, console: Console, _home: AtHome | None, _samples: Samples | None) -> int:
    return dead_letters(_named(told, "dead-letters"), told.action, told.ids, console)


def _named(told: argparse.Namespace, command: str) -> Stack:
    if not told.stack:
        raise CommandError(
            f"Name a stack: make {command} STACK=cleanplate, or cleanplate {command} --stack cleanplate. That of "
            "`make up` is meant without a name while it runs."
        )
    return find_stack(told.stack)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "none"
