"""The folder that results go to. Nothing here changes or removes a file that was not written here.

A hidden journal, :data:`JOURNAL`, names every file that was written, with the hash of its content, and what is known of
each photo. A file counts as ours only while its content is still the one that was written: what somebody has edited
since, or put there, is theirs and stays as it is. New content of ours then gets a name of its own.

Imports nothing but the standard library: ``make clean`` runs it without an environment.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from cleanplate_cli.errors import OutError

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

JOURNAL = ".cleanplate.jsonl"
_HEADER = {"made_by": "Cleanplate", "journal": 1}
_MAX_NAME_BYTES = 240
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class _Written:
    """One file of ours: the SHA-256 of what was written, and whose it is (a photo's origin, or ``""`` for the page)."""

    sha256: str
    owner: str


class OutFolder:
    """One folder for results, from :meth:`open` to :meth:`close`. Paths are relative to it, with ``/``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: dict[str, _Written] = {}
        self._notes: dict[str, dict[str, Any]] = {}
        self._journal = -1
        #: A name of this folder that no other has.
        self.id = ""
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def notes(self) -> Mapping[str, Mapping[str, Any]]:
        """What was noted of each photo last, by its origin."""
        return self._notes

    # --- before anything starts ---

    def check(self, inputs: Iterable[Path] = (), *, room: int = 0) -> None:
        """Raise :class:`OutError` where results cannot go here, or might get between the files ``inputs``.

        ``room`` is how many bytes will be needed, about. Writes nothing that stays.
        """
        folder = self.path
        if folder.exists() and not folder.is_dir():
            raise OutError(f"OUT={folder} is a file. Name a folder for the results.")
        if folder.is_dir():
            for file in inputs:
                if _lies_in(file, folder):
                    raise OutError(
                        f"{file} lies in OUT={folder}, where the results go. Photos and results need folders of their "
                        f"own: for example OUT={folder.resolve()}-cleaned"
                    )
            if not is_ours(folder) and any(folder.iterdir()):
                raise OutError(
                    f"OUT={folder} holds files that Cleanplate did not write. Name a new or empty folder: "
                    f"for example OUT={folder / 'cleaned'}"
                )
        self._check_writable()
        free = shutil.disk_usage(nearest(folder)).free
        if free < room:
            raise OutError(
                f"The disk of OUT={folder} has {free / 1e6:.0f} MB left, and the results need about {room / 1e6:.0f} MB. "
                "Make room, or name a folder on another disk."
            )

    def _check_writable(self) -> None:
        try:
            with tempfile.TemporaryFile(dir=nearest(self.path)) as probe:
                probe.write(b"?" * 4096)
        except OSError as error:
            raise OutError(
                f"Nothing can be written into OUT={self.path} ({_words(error)}). Name another folder."
            ) from None

    def open(self) -> Self:
        """Create the folder and its journal, or read the journal that is there.

        Raises :class:`OutError` where it is not ours, or another run writes into it.
        """
        self.check()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._journal = os.open(self.path / JOURNAL, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise OutError(f"OUT={self.path} cannot be used ({_words(error)}). Name another folder.") from None
        if fcntl is not None:
            try:
                fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.close()
                raise OutError(
                    f"Another run writes into OUT={self.path}. Wait for it, or name another folder."
                ) from None
        lines = read_journal(self.path)
        if not lines:
            self._append(_HEADER)
        for line in lines:
            self._take(line)
        if not self.id:
            self.id = secrets.token_hex(8)
            self._append({"id": self.id})
        return self

    def close(self) -> None:
        """Let others write here. Safe to call twice."""
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1

    # --- writing ---

    def save(self, wanted: str, content: bytes, owner: str = "") -> str:
        """Write a file of ``owner`` (a photo's origin), and return its path: ``wanted``, or one beside it where that is taken.

        An earlier file of the same owner is replaced, if nobody has changed it. The file appears whole or not at all.
        Raises :class:`OutError` where the disk is full or the folder can no longer be written.
        """
        try:
            with self._lock:
                path = next(path for path in _candidates(wanted) if self._place(path, content, owner))
                self._append({"wrote": path, "sha256": _sha256(content), "owner": owner})
                self._written[path] = _Written(_sha256(content), owner)
                return path
        except OSError as error:
            if error.errno in _FULL:
                raise OutError(
                    f"The disk of OUT={self.path} is full. What was saved before stays; make room, and the same command goes on."
                ) from None
            raise OutError(f"{wanted} cannot be written into OUT={self.path} ({_words(error)}).") from None

    def note(self, photo: str, known: Mapping[str, Any]) -> None:
        """Keep what is known of a photo, for later runs. Must be JSON."""
        with self._lock:
            self._append({"photo": photo, "known": dict(known)})
            self._notes[photo] = dict(known)

    def remove_others(self, owner: str, keep: Iterable[str]) -> None:
        """Remove the owner's files that were written here before, are unchanged, and are not among ``keep``."""
        with self._lock:
            for path in {path for path, about in self._written.items() if about.owner == owner} - set(keep):
                if self.is_unchanged(path):
                    self._place_of(path).unlink(missing_ok=True)
                self._append({"removed": path})
                del self._written[path]

    def is_unchanged(self, path: str) -> bool:
        """Return whether the file is ours: written here, and still as it was."""
        about, file = self._written.get(path), self._place_of(path)
        if about is None or file.is_symlink() or not self._is_own_folder(file.parent):
            return False
        try:
            return file.is_file() and _sha256(file.read_bytes()) == about.sha256
        except OSError:
            return False

    def exists(self, path: str) -> bool:
        """Return whether there is a file, changed since or not."""
        return bool(path) and self._place_of(path).is_file()

    def files(self) -> list[str]:
        """Return the paths of all that was written here and not removed."""
        return sorted(self._written)

    def _place_of(self, path: str) -> Path:
        return self.path / PurePosixPath(path)

    def _place(self, path: str, content: bytes, owner: str) -> bool:
        """Write it there if the place is free, or holds our own; whether it was written."""
        target = self._place_of(path)
        if not self._make_folder(target.parent):
            return False
        taken = os.path.lexists(target)
        about = self._written.get(path)
        if taken and not (about and about.owner == owner and self.is_unchanged(path)):
            return False
        draft = _draft(target.parent, content)
        try:
            if taken:
                draft.replace(target)
                return True
            return _move_new(draft, target)
        finally:
            draft.unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> bool:
        """Create a folder below this one; False where something that is no folder of its own stands in the way."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            return False
        return self._is_own_folder(folder)

    def _is_own_folder(self, folder: Path) -> bool:
        # A link inside might lead into a folder of somebody's photos.
        return all(not part.is_symlink() for part in _between(folder, self.path))

    def _append(self, line: Mapping[str, Any]) -> None:
        os.write(self._journal, (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass"))

    def _take(self, line: Mapping[str, Any]) -> None:
        if "wrote" in line:
            self._written[str(line["wrote"])] = _Written(str(line["sha256"]), str(line["owner"]))
        elif "removed" in line:
            self._written.pop(str(line["removed"]), None)
        elif "id" in line:
            self.id = str(line["id"])
        elif "photo" in line:
            self._notes[str(line["photo"])] = dict(line["known"])


def clean(folder: Path) -> list[Path]:
    """Remove what was written into a folder of ours and is unchanged; what is left, where anything is.

    A folder without a journal is left alone.
    """
    if not folder.is_dir():
        return []
    if not is_ours(folder):
        return [folder]
    with OutFolder(folder) as out:
        written = out.files()
        for path in written:
            if out.is_unchanged(path):
                (folder / path).unlink()
    left = [file for file in folder.rglob("*") if file.is_symlink() or not file.is_dir()]
    if left == [folder / JOURNAL]:
        left.pop().unlink()
    folders = {below for path in written for below in _between((folder / path).parent, folder)}
    for below in [*sorted(folders, reverse=True), folder]:
        with contextlib.suppress(OSError):
            below.rmdir()
    return sorted(file for file in left if file.name != JOURNAL)


def is_ours(folder: Path) -> bool:
    """Return whether results were written into this folder before."""
    return bool(read_journal(folder))


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a folder's journal; none where there is none, or it is somebody else's file of that name."""
    try:
        lines = (folder / JOURNAL).read_bytes().splitlines()
    except OSError:
        return []
    found = [line for line in map(_json, lines) if line is not None]
    return found if found[:1] == [_HEADER] else []


def _json(line: bytes) -> dict[str, Any] | None:
    # The last line may be torn, where the machine went down.
    try:
        found = json.loads(line.decode("utf-8", "surrogatepass"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _candidates(wanted: str) -> Iterator[str]:
    """Yield names to try, the wanted one first: ``a/dog.jpg``, ``a/dog (2).jpg`` … and, in case ``a`` is no folder,
    ``a_dog (2).jpg``.
    """
    parts = [_short(part) for part in PurePosixPath(wanted).parts if part not in {"/", "..", "."}] or ["unnamed"]
    yield "/".join(parts)
    for number in itertools.count(2):
        yield "/".join([*parts[:-1], _numbered(parts[-1], number)])
        if len(parts) > 1:
            yield _numbered(_short("_".join(parts)), number)


def _numbered(name: str, number: int) -> str:
    stem, dot, ending = name.partition(".")
    return f"{stem} ({number}){dot}{ending}" if stem else f"{name} ({number})"


def _short(name: str) -> str:
    """Return a name that file systems take: a long one keeps its beginning and its end, and gets a hash between."""
    content = os.fsencode(name.replace("\0", "_").replace("\\", "_"))
    if len(content) <= _MAX_NAME_BYTES:
        return os.fsdecode(content)
    half = _MAX_NAME_BYTES // 2 - 8
    kept = content[:half].decode("utf-8", "ignore"), content[-half:].decode("utf-8", "ignore")
    return f"{kept[0]}~{_sha256(content)[:8]}~{kept[1]}"


def _draft(folder: Path, content: bytes) -> Path:
    handle, name = tempfile.mkstemp(prefix=".cleanplate-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _move_new(draft: Path, target: Path) -> bool:
    """Give the draft its name, unless somebody has taken that meanwhile."""
    try:
        os.link(draft, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in _FULL:
            raise
        # A file system without hard links: not whole or not at all, but never over anything.
        try:
            with target.open("xb") as file:
                file.write(draft.read_bytes())
        except FileExistsError:
            return False
    return True


def _lies_in(file: Path, folder: Path) -> bool:
    """Tell by the real places, and by what the file system takes for the same: it may not tell upper from lower case."""
    with contextlib.suppress(OSError):
        return any(parent.samefile(folder) for parent in file.resolve().parents)
    return False


def nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    for path in (folder, *folder.absolute().parents):
        if path.is_dir():
            return path
    return Path()


def _between(folder: Path, top: Path) -> Iterator[Path]:
    while folder not in {top, folder.parent}:
        yield folder
        folder = folder.parent


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
