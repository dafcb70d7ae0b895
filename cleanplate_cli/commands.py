"""The commands that people type: ``cleanplate run|status|redo|retry|approve|doctor|dead-letters``; what they mean."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cleanplate.errors import CleanplateError
from cleanplate.uploads.options import own_mask_keys, parse_options
from cleanplate_cli.collecting import Ending
from cleanplate_cli.dead_letters import dead_letters
from cleanplate_cli.doctor import doctor
from cleanplate_cli.errors import CommandError, PhotosError
from cleanplate_cli.inputs import Found, Upload, companions_on_disk, find_photos, split_words
from cleanplate_cli.out_folder import OutFolder, nearest
from cleanplate_cli.progress_poller import ask_progress, in_words
from cleanplate_cli.run import RunArgs, endings_in, run
from cleanplate_cli.stack import Stack, find_stack
from cleanplate_cli.terminal import say, shown, summary_of, why

if TYPE_CHECKING:
    from rich.console import Console

#: Opens a stack where none is named; given what was asked for.
LocalStack = Callable[[argparse.Namespace], AbstractContextManager[Stack]]
Samples = Callable[[str], Sequence[Upload]]

#: Folders of which `status` asks.
_FOLDERS = 20


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> list[argparse.ArgumentParser]:
    """Add the commands to a parser; returns those that may start a stack."""
    env = os.environ.get
    run_ = commands.add_parser("run", help="clean photos, and fetch the results")
    redo = commands.add_parser("redo", help="clean some photos once more, with other options")
    retry = commands.add_parser("retry", help="clean those photos of OUT once more that failed")
    approve = commands.add_parser("approve", help="fill the masks of photos that were run with --review")
    status = commands.add_parser("status", help="how far photos are")
    check = commands.add_parser("doctor", help="check a stack and its Adobe account, without paying")
    check.add_argument("--stack", default=env("STACK", ""), help="a deployed stack, or a stack.json ($STACK)")
    check.set_defaults(command=_doctor)
    dead = commands.add_parser("dead-letters", help="list, delete or redrive messages that came to nothing")
    dead.add_argument("action", nargs="?", choices=("list", "delete", "redrive"), default="list")
    dead.add_argument("ids", nargs="*", help="which to delete (default: those that nobody can read)")
    dead.add_argument("--stack", default=env("STACK", ""), help="a deployed stack, or a stack.json ($STACK)")
    dead.set_defaults(command=_dead_letters)
    for command in (run_, redo, retry, approve, status):
        command.add_argument("photos", nargs="*", help="files, folders or patterns (default: $PHOTOS)")
        command.add_argument("--stack", default=env("STACK", ""), help="a deployed stack, or a stack.json ($STACK)")
        command.add_argument("--out", default=env("OUT") or "out", help="where results go (default: $OUT or out)")
        command.add_argument(
            "--to",
            default=env("TO") or None,
            help="the folder in the uploads bucket (default: as on the disk; / for none; $TO)",
        )
    for command in (run_, redo, retry, approve):
        command.add_argument("--deadline", type=float, help="seconds after which photos without an outcome are named")
        command.add_argument(
            "--yes", action="store_true", default=bool(env("YES")), help="do not ask before many photos ($YES)"
        )
    for command in (run_, redo):
        command.add_argument("--remove", default=env("REMOVE", ""), help="what to remove (default: $REMOVE)")
        command.add_argument(
            "--grow", default=env("GROW", ""), help="pixels by which the mask is grown (default: $GROW)"
        )
        command.add_argument(
            "--option", action="append", default=[], metavar="NAME=VALUE",
            help="any other option; may be given several times",
        )  # fmt: skip
        command.add_argument(
            "--review",
            action="store_true",
            default=bool(env("REVIEW")),
            help="only make masks, to be approved ($REVIEW)",
        )
    run_.add_argument("--again", action="store_true", help="do again what is done already")
    run_.set_defaults(command=_run)
    redo.set_defaults(command=_redo)
    retry.set_defaults(command=_retry, remove="")
    approve.set_defaults(command=_approve, remove="")
    status.set_defaults(command=_status, remove="")
    return [run_, redo, retry, approve]


def run_command(
    args: argparse.Namespace, console: Console, local_stack: LocalStack | None, samples: Samples | None
) -> int:
    """Run the command that was asked for; its exit code."""
    code: int = args.command(args, console, local_stack, samples)
    return code


def options_of(args: argparse.Namespace) -> dict[str, str]:
    """Return the options that somebody gave, checked as the functions check them; raises :class:`CommandError`."""
    options = {name: word for name in ("remove", "grow") if (word := getattr(args, name, "").strip())}
    for word in getattr(args, "option", []):
        name, equals, value = word.partition("=")
        if not equals:
            raise CommandError(f"--option {word} is not NAME=VALUE, such as --option min_score=0.8.")
        options[name.strip()] = value.strip()
    if getattr(args, "review", False):
        options["review"] = "true"
    try:
        parse_options(options, source="The command")
    except CleanplateError as error:
        raise CommandError(str(error)) from None
    return options


def _opener(args: argparse.Namespace, local_stack: LocalStack | None) -> Callable[[], AbstractContextManager[Stack]]:
    if args.stack:
        # Looked up before anything is read or written.
        stack = find_stack(args.stack)
        return lambda: nullcontext(stack)
    if local_stack is None:
        raise CommandError(
            "Name a stack: --stack cleanplate (or STACK=cleanplate). In a checkout, `make run` does the same on this "
            "machine without one."
        )
    return lambda: local_stack(args)


def _folder(args: argparse.Namespace, words: Sequence[str]) -> str:
    """Return where photos go in the uploads bucket: named, or as the folder on the disk is called."""
    if not args.stack:
        return ""
    if args.to is not None:
        return _prefix(args.to)
    paths = [Path(word).expanduser() for word in words]
    folder = paths[0].resolve() if len(paths) == 1 and paths[0].is_dir() else paths[0].absolute().parent
    # Of a pattern such as holiday/**/*.jpg the folder that is there.
    return f"{nearest(folder).resolve().name or 'photos'}/"


def _prefix(folder: str) -> str:
    """Return a folder in the uploads bucket as the beginning of its keys: empty for ``/``, the bucket's top."""
    name = folder.strip("/")
    return f"{name}/" if name else ""


def _run(args: argparse.Namespace, console: Console, local_stack: LocalStack | None, samples: Samples | None) -> int:
    options = options_of(args)
    words = args.photos or split_words(os.environ.get("PHOTOS", ""))
    out = Path(args.out)
    if words:
        found = find_photos(words, options, apart_from=out)
    elif samples is None or args.stack:
        raise PhotosError("Name the photos: files, folders or patterns, such as cleanplate run holiday/ --remove dog")
    else:
        found = Found(samples(args.remove))
    run_args = RunArgs(
        found.uploads,
        out,
        folder=_folder(args, words),
        left=found.words,
        where=f"by the stack {args.stack}" if args.stack else "on this machine",
        stack=args.stack,
        again=args.again,
        yes=args.yes,
        deadline=args.deadline,
    )
    return run(run_args, _opener(args, local_stack), console)


def _redo(args: argparse.Namespace, console: Console, local_stack: LocalStack | None, _samples: Samples | None) -> int:
    """Clean the named photos once more: by their place, or by the name that they have among the results."""
    options = options_of(args)
    return _once_more(
        args, console, local_stack, _chosen(args, "done once more: make redo PHOTOS=dog.jpg REMOVE=leash"), options
    )


def _chosen(args: argparse.Namespace, what: str) -> list[Ending]:
    """Return the photos of OUT that somebody names; raises :class:`PhotosError`."""
    words = args.photos or split_words(os.environ.get("PHOTOS", ""))
    if not words:
        raise PhotosError(f"Name the photos that are to be {what}")
    known = [ending for ending in endings_in(Path(args.out)).values() if not ending.is_sample]
    chosen: dict[str, Ending] = {}
    for word in words:
        path = Path(word).expanduser()
        origins = {str(path.resolve())} | (
            {str(file.resolve()) for file in path.rglob("*")} if path.is_dir() else set()
        )
        found = [ending for ending in known if ending.origin in origins or word in {ending.key, ending.result}]
        if not found:
            raise PhotosError(
                f"No photo {word} was cleaned into {shown(Path(args.out))}. It has: {_some([e.key for e in known])}."
            )
        chosen |= {ending.origin: ending for ending in found}
    return list(chosen.values())


def _approve(
    args: argparse.Namespace, console: Console, local_stack: LocalStack | None, _samples: Samples | None
) -> int:
    """Fill the masks of the named photos: as they lie in OUT, where somebody may have edited them."""
    named = _chosen(args, "approved: make approve PHOTOS=dog.jpg")
    waiting = [ending for ending in named if ending.outcome == "mask_ready"]
    if not waiting:
        raise PhotosError(f"No mask waits for approval of {_some([ending.key for ending in named])}.")
    masks: dict[str, bytes | None] = {}
    with OutFolder(Path(args.out)) as out:
        for ending in waiting:
            is_theirs = not out.is_unchanged(ending.result)
            # A stack that starts with the command knows of no mask before.
            masks[ending.key] = (out.path / ending.result).read_bytes() if is_theirs or not args.stack else None
    return _once_more(args, console, local_stack, waiting, None, masks)


def _retry(args: argparse.Namespace, console: Console, local_stack: LocalStack | None, _samples: Samples | None) -> int:
    known = endings_in(Path(args.out)).values()
    failed = [ending for ending in known if not ending.went_well and not ending.is_sample]
    if not failed:
        console.print(f"Nothing has failed in {shown(Path(args.out))}. {summary_of(known)}", highlight=False)
        return 0
    return _once_more(args, console, local_stack, failed, None)


def _once_more(
    args: argparse.Namespace,
    console: Console,
    local_stack: LocalStack | None,
    endings: Sequence[Ending],
    options: dict[str, str] | None,
    masks: Mapping[str, bytes | None] | None = None,
) -> int:
    """Send the photos again: ``options`` go over those that each photo had; None for another run with just the same."""
    gone = [ending.origin for ending in endings if not Path(ending.origin).is_file()]
    if gone:
        raise PhotosError(f"No longer there: {_some(gone)}. Put it back, or name others.")
    photos = [Upload(ending.key, Path(ending.origin), {**ending.options, **(options or {})}) for ending in endings]
    beside = {each.key: each for ending in endings for each in companions_on_disk(Path(ending.origin), ending.key)}
    if not args.stack:
        beside |= {each.key: each for key, mask in (masks or {}).items() if mask for each in [_mask_of(key, mask)]}
    places = {ending.uploaded_as.removesuffix(ending.key) for ending in endings if ending.uploaded_as}
    folder = _prefix(args.to) if args.to else (places.pop() if len(places) == 1 else "")
    args.remove = args.remove or next((ending.options.get("remove", "") for ending in endings), "")
    run_args = RunArgs(
        [*beside.values(), *photos],
        Path(args.out),
        folder=folder if args.stack else "",
        where=f"by the stack {args.stack}" if args.stack else "on this machine",
        stack=args.stack,
        again=options is not None,
        retry=options is None,
        approvals=masks or {},
        yes=args.yes,
        deadline=args.deadline,
    )
    return run(run_args, _opener(args, local_stack), console)


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


def _status(
    args: argparse.Namespace, console: Console, _local_stack: LocalStack | None, _samples: Samples | None
) -> int:
    """Print what the stack reports, and what lies in OUT; return 0 where nothing has failed."""
    out = Path(args.out)
    endings = list(endings_in(out).values()) if out.is_dir() else []
    if args.stack:
        stack = find_stack(args.stack)
        # A report is of one folder; those inside it are folders of their own.
        folders = sorted({e.uploaded_as[: e.uploaded_as.rfind("/") + 1] for e in endings if e.uploaded_as})
        named: Sequence[str | None] = [_prefix(args.to)] if args.to else folders[:_FOLDERS]
        for folder in named or [None]:
            report = ask_progress(stack, folder)
            say(console, f"{folder or stack.uploads_bucket}: {in_words(report) or 'no photo was seen there'}.")
    if endings:
        say(console, f"In {shown(out)}: {summary_of(endings)}")
    elif not args.stack:
        say(console, f"Nothing was cleaned into {shown(out)} yet.")
    failed = [ending for ending in endings if not ending.went_well]
    for ending in failed:
        say(
            console,
            f"  {ending.key}: {why(ending)}" + (f" What to do: {ending.what_to_do}" if ending.what_to_do else ""),
        )
    if failed:
        say(console, "`make retry` (cleanplate retry) does those once more.")
    return 1 if failed else 0


def _doctor(
    args: argparse.Namespace, console: Console, _local_stack: LocalStack | None, _samples: Samples | None
) -> int:
    return doctor(_named(args, "doctor"), console)


def _dead_letters(
    args: argparse.Namespace, console: Console, _local_stack: LocalStack | None, _samples: Samples | None
) -> int:
    return dead_letters(_named(args, "dead-letters"), args.action, args.ids, console)


def _named(args: argparse.Namespace, command: str) -> Stack:
    if not args.stack:
        raise CommandError(
            f"Name a stack: make {command} STACK=cleanplate, or cleanplate {command} --stack cleanplate. That of "
            "`make up` is meant without a name while it runs."
        )
    return find_stack(args.stack)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "none"
