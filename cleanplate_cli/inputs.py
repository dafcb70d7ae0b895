"""Which photos to clean: the files that somebody names, with what lies beside them."""

from __future__ import annotations

import glob
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.header import Header
from pathlib import Path
from typing import Protocol

from cleanplate.models import Photo
from cleanplate.uploads.options import FOLDER_OPTIONS, folder_of, is_manifest, own_mask_keys, sidecar_key
from cleanplate.uploads.photo_names import COMPANIONS, skip_reason
from cleanplate_cli.errors import PhotosError

#: Enough to tell a manifest from a sidecar.
_HEAD = 200


class Sample(Protocol):
    """A photograph that comes with the project instead of lying on a disk."""

    @property
    def file(self) -> str:
        """Its file name."""

    @property
    def shows(self) -> str:
        """What it is here to show."""

    @property
    def credit(self) -> str:
        """Whom to thank."""

    @property
    def content(self) -> bytes:
        """The file."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One object to put into the uploads bucket, with options as people write them (``remove``: ``dog,leash``)."""

    key: str
    source: Path | Sample
    options: Mapping[str, str] = field(default_factory=dict)
    #: A sidecar or a mask, which comes along with a photo and has no outcome of its own.
    companion: bool = False

    def read(self) -> bytes:
        """Return the object's bytes."""
        return self.source.read_bytes() if isinstance(self.source, Path) else self.source.content

    @property
    def origin(self) -> str:
        """What the photo is on this machine, the same in every run: two photos of one name are two."""
        return str(self.source.resolve()) if isinstance(self.source, Path) else f"sample {self.source.file}"

    @property
    def metadata(self) -> dict[str, str]:
        """The options as S3 metadata, which is ASCII: other characters are encoded as in mail headers."""
        return {
            name: word if word.isascii() else Header(word, "utf-8", 10_000).encode()
            for name, word in self.options.items()
        }


@dataclass(frozen=True, slots=True)
class Found:
    """What files, folders and patterns name: uploads, companions first; and why each other file is left alone."""

    uploads: Sequence[Upload]
    left: Mapping[Path, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """One sentence of what is left alone; empty where nothing is."""
        if not self.left:
            return ""
        reasons = Counter(self.left.values())
        named = ", ".join(f"{number} {why}" for why, number in sorted(reasons.items()))
        examples = ", ".join(path.name for path in list(self.left)[:3]) + (", …" if len(self.left) > 3 else "")
        return f"Left alone: {named} ({examples})."


def companion_keys(key: str) -> set[str]:
    """Return the keys at which something may lie that says how a photo is to be cleaned."""
    return {sidecar_key(key), folder_of(key) + FOLDER_OPTIONS, *own_mask_keys(key)}


def companions_by_photo(uploads: Sequence[Upload]) -> dict[str, list[Upload]]:
    """Return for each photo's key the sidecar, the mask and the files of its folder among ``uploads``, by name."""
    companions = {upload.key: upload for upload in uploads if upload.companion}
    return {
        photo.key: [companions[key] for key in sorted(companion_keys(photo.key)) if key in companions]
        for photo in uploads
        if not photo.companion
    }


def companions_on_disk(photo: Path, key: str) -> list[Upload]:
    """Return what lies beside a photo's file and says how it is to be cleaned, each for its place beside ``key``."""
    beside = {name: photo.with_name(name.rpartition("/")[2]) for name in sorted(companion_keys(key))}
    return [
        Upload(name, file, companion=True)
        for name, file in beside.items()
        if file.is_file() and _reason_to_skip(file, name) in COMPANIONS
    ]


def split_words(photos: str) -> list[str]:
    """Return the words of ``PHOTOS``: quoted as in a shell, or simply the name of one thing that is there, spaces and all."""
    if photos.strip() and Path(photos).expanduser().exists():
        return [photos]
    try:
        return shlex.split(photos)
    except ValueError as error:
        raise PhotosError(
            f"PHOTOS={photos} cannot be read ({error}); quote names with spaces: \"'my dog.jpg'\""
        ) from None


def find_photos(
    words: Sequence[str], options: Mapping[str, str] | None = None, *, apart_from: Path | None = None
) -> Found:
    """Return the photos that files, folders and patterns name, with the sidecars and masks beside them.

    Nothing in ``apart_from``, where results go, is a photo, unless it is named itself. ``options`` are for all of them.
    """
    named: dict[Path, str] = {}
    for word in words:
        found = [(file, key) for file, key in _named_by(word, apart_from) if file.resolve() not in named]
        if not found and not any(True for _ in _named_by(word, apart_from)):
            raise PhotosError(
                f"No photo is at {word}. Name files, folders or patterns: PHOTOS=\"'my dog.jpg' holiday/\""
            )
        named |= {file.resolve(): key for file, key in found}
    reasons = {file: _reason_to_skip(file, key) for file, key in named.items()}
    keys = _distinct({file: key for file, key in named.items() if reasons[file] in {"", *COMPANIONS}})
    photos = {key for file, key in keys.items() if not reasons[file]}
    wanted = {companion for key in photos for companion in companion_keys(key)}
    reasons |= {
        file: f"{reasons[file]} without its photo"
        for file, key in keys.items()
        if reasons[file] in COMPANIONS and key not in wanted
    }
    uploads = [
        Upload(key, file, {} if reasons[file] else dict(options or {}), companion=bool(reasons[file]))
        for file, key in keys.items()
        if not reasons[file] or key in wanted
    ]
    left = {file: reason for file, reason in reasons.items() if reason and reason not in COMPANIONS}
    if not photos:
        raise PhotosError(f"There is no photo in {' '.join(words)}. {Found([], left).words}")
    # A photo's own mask and sidecar have to be there before it.
    return Found(sorted(uploads, key=lambda upload: not upload.companion), left)


def _reason_to_skip(file: Path, key: str) -> str:
    reason = skip_reason(Photo("", key))
    if reason == "sidecar":
        with file.open("rb") as content:
            return "manifest" if is_manifest(content.read(_HEAD)) else reason
    return reason


def _named_by(word: str, apart_from: Path | None) -> Iterator[tuple[Path, str]]:
    """Yield the files that a word names, each with the key that it gets."""
    path = Path(word).expanduser()
    if path.is_dir():
        yield from ((file, file.relative_to(path).as_posix()) for file in _below(path, apart_from))
    elif path.is_file():
        yield path, path.name
    else:
        for match in sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207 - patterns may be absolute
            file = Path(match)
            if file.is_file():
                yield file, file.name


def _below(folder: Path, apart_from: Path | None) -> Iterable[Path]:
    results = apart_from.resolve() if apart_from is not None else None
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts[:-1])
        if file.is_file() and not hidden and not (results and file.resolve().is_relative_to(results)):
            yield file


def _distinct(named: Mapping[Path, str]) -> dict[Path, str]:
    """Put every file's folder before its name where two files have one name; folders of one name are numbered."""
    if len(set(named.values())) == len(named):
        return dict(named)
    folders: dict[str, list[Path]] = {}
    keys: dict[Path, str] = {}
    for path, key in named.items():
        wanted = f"{path.parent.name}/{key}"
        # By folder and not by file, so that a photo and its sidecar get the same number.
        alike = folders.setdefault(wanted.rpartition("/")[0], [])
        if path.parent not in alike:
            alike.append(path.parent)
        number = alike.index(path.parent) + 1
        keys[path] = wanted if number == 1 else f"{number}/{wanted}"
    return keys
