"""Check the inputs of backfill, retry and progress report: a misspelt name is refused.

Without this ``{"prefx": "holiday/"}`` would mean the whole bucket.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from cleanplate.errors import InquiryError, UnknownFolderError
from cleanplate.jobs.folder_counts import FolderScope
from cleanplate.services import Services

BACKFILL = ("bucket", "prefix", "confirm", "ahead_hours")
RETRY = ("bucket", "prefix", "reason", "confirm")
PROGRESS = ("bucket", "folder")


def check_names(given: Iterable[str], accepted: tuple[str, ...], error: type[InquiryError]) -> None:
    """Raise ``error`` where a name is none of those accepted; the message quotes them and the likeliest."""
    for name in given:
        if name not in accepted:
            near = get_close_matches(name.lower(), accepted, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise error(f"The input has an unknown name {name!r}; accepted are {', '.join(accepted)}.{meant}")


def folder_scope(bucket: str | None, folder: str | None, services: Services) -> FolderScope:
    """Return the scope of a folder, by default of the uploads bucket; raises :class:`UnknownFolderError`."""
    for word in (bucket, folder):
        if word is not None and not isinstance(word, str):
            raise UnknownFolderError(f"{word!r} is no name of a bucket or a folder.")
    name = f"{folder}/" if folder and not folder.endswith("/") else folder
    return FolderScope(bucket or services.settings.uploads_bucket, name)
