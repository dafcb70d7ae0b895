"""Which photos to clean: the samples, or the files that somebody names."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.header import Header
from pathlib import Path

from cleanplate_cli.errors import PhotosError
from local.demo.samples import SAMPLES, Sample

#: What a folder is searched for. A file that is named is taken whatever it is called.
PHOTO_SUFFIXES = frozenset(
    {
        ".avif",
        ".bmp",
        ".dng",
        ".gif",
        ".heic",
        ".heif",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".mpo",
        ".png",
        ".tif",
    }
    | {".tiff", ".webp"}
)
_SIDECAR, _OWN_MASK = ".json", ".mask.png"


@dataclass(frozen=True, slots=True)
class Upload:
    """One object to put into the uploads bucket."""

    key: str
    source: Path | Sample
    remove: str = ""
    #: A sidecar or a mask, which comes along with a photo and has no outcome of its own.
    companion: bool = False

    def read(self) -> bytes:
        """The object's bytes."""
        return self.source.read_bytes() if isinstance(self.source, Path) else self.source.content

    @property
    def origin(self) -> str:
        """What the photo is on this machine, the same in every run: two photos of one name are two."""
        return str(self.source.resolve()) if isinstance(self.source, Path) else f"sample {self.source.file}"

    @property
    def metadata(self) -> dict[str, str]:
        """The options as S3 metadata, which is ASCII: other characters are encoded as in mail headers."""
        options = {}
        if self.remove:
            options["remove"] = self.remove if self.remove.isascii() else Header(self.remove, "utf-8", 10_000).encode()
        if isinstance(self.source, Sample) and self.source.grow is not None:
            options["grow"] = str(self.source.grow)
        return options


def sample_photos(remove: str = "") -> list[Upload]:
    """The samples; ``remove`` is meant for all of them."""
    return [Upload(sample.file, sample, remove or sample.remove) for sample in SAMPLES]


def split_words(photos: str) -> list[str]:
    """The words of ``PHOTOS``: quoted as in a shell, or simply the name of one thing that is there, spaces and all."""
    if photos.strip() and Path(photos).expanduser().exists():
        return [photos]
    try:
        return shlex.split(photos)
    except ValueError as error:
        raise PhotosError(
            f"PHOTOS={photos} cannot be read ({error}); quote names with spaces: \"'my dog.jpg'\""
        ) from None


def own_photos(words: Sequence[str], remove: str = "", *, apart_from: Path | None = None) -> list[Upload]:
    """The photos that files, folders and patterns name; nothing in ``apart_from``, where results go, is a photo."""
    named: list[tuple[Path, str]] = []
    for word in words:
        found = list(_named_by(word, apart_from))
        if not found:
            raise PhotosError(
                f"No photo is at {word}. Name files, folders or patterns: PHOTOS=\"'my dog.jpg' holiday/\""
            )
        named += found
    unique = {path.resolve(): (path, key) for path, key in named}
    keys = _distinct(list(unique.values()))
    drops = [
        Upload(key, path, "" if is_companion(key) else remove, companion=is_companion(key))
        for path, key in keys.items()
    ]
    if all(photo.companion for photo in drops):
        raise PhotosError("Only sidecars or masks are named, and no photo that they belong to.")
    # A photo's own mask and sidecar have to be there before it.
    return sorted(drops, key=lambda photo: not photo.companion)


def is_companion(key: str) -> bool:
    """Whether a key is a photo's sidecar or mask."""
    return key.endswith((_SIDECAR, _OWN_MASK))


def _named_by(word: str, apart_from: Path | None) -> Iterable[tuple[Path, str]]:
    path = Path(word).expanduser()
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if _is_wanted(file, path, apart_from):
                yield file, file.relative_to(path).as_posix()
    elif path.is_file():
        yield path, path.name
    else:
        for match in sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207 - patterns may be absolute
            file = Path(match)
            if file.is_file():
                yield file, file.name


def _is_wanted(file: Path, folder: Path, apart_from: Path | None) -> bool:
    if not file.is_file() or any(part.startswith(".") for part in file.relative_to(folder).parts):
        return False
    if apart_from is not None and file.resolve().is_relative_to(apart_from.resolve()):
        return False
    photo = file.with_suffix("") if file.name.endswith(_SIDECAR) else file
    return photo.suffix.lower() in PHOTO_SUFFIXES


def _distinct(named: list[tuple[Path, str]]) -> dict[Path, str]:
    """Where two files have one name, every file's folder goes before its name, so that companions stay together."""
    clash = len({key for _, key in named}) < len(named)
    keys: dict[Path, str] = {}
    for path, key in named:
        wanted = f"{path.resolve().parent.name}/{key}" if clash else key
        unique, number = wanted, 2
        while unique in keys.values():
            unique, number = f"{number}/{wanted}", number + 1
        keys[path] = unique
    return keys
