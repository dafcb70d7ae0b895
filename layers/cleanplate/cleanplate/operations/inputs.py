"""Check the inputs of backfill, retry and progress report: a misspelt name is refused.

Without this ``{"prefx": "holiday/"}`` would mean the whole bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from cleanplate.errors import BucketRefusedError, InquiryError, UnknownFolderError
from cleanplate.jobs.folder_counts import FolderScope
from cleanplate.schemas import BackfillInput, ProgressQuestion, RetryInput
from cleanplate.services import Services

BACKFILL, RETRY, PROGRESS = (
    tuple(accepted.__annotations__) for accepted in (BackfillInput, RetryInput, ProgressQuestion)
)


def check_names(given: Iterable[str], accepted: tuple[str, ...], error: type[InquiryError]) -> None:
    """Raise ``error`` where a name is none of those accepted; the message quotes them and the likeliest."""
    for name in given:
        if name not in accepted:
            near = get_close_matches(name.lower(), accepted, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise error(f"The input has an unknown name {name!r}; accepted are {', '.join(accepted)}.{meant}")


def read_selection(asked: Mapping[str, Any], error: type[InquiryError], services: Services) -> tuple[str, str, int]:
    """Return bucket, prefix and confirmed number of photos, 0 for none, of a backfill or a retry.

    Without a bucket the uploads bucket is meant. Raises ``error``, and :class:`BucketRefusedError` for a bucket of the
    stack's own output.
    """
    bucket, prefix, confirm = asked.get("bucket", ""), asked.get("prefix", ""), asked.get("confirm")
    if not isinstance(bucket, str) or not isinstance(prefix, str):
        raise error("The bucket and the prefix must be text.")
    # True is a number to Python, and to nobody else.
    if confirm is True or not isinstance(confirm, int | None):
        raise error(f"confirm is {confirm!r}; it must be the number of photos that was agreed to.")
    if bucket in services.settings.own_buckets:
        raise BucketRefusedError(f"The bucket {bucket} holds our own output, which is never cleaned again.")
    return bucket or services.settings.uploads_bucket, prefix, confirm or 0


def folder_scope(bucket: str | None, folder: str | None, services: Services) -> FolderScope:
    """Return the scope of a folder, by default of the uploads bucket; raises :class:`UnknownFolderError`."""
    for word in (bucket, folder):
        if word is not None and not isinstance(word, str):
            raise UnknownFolderError(f"{word!r} is no name of a bucket or a folder.")
    name = f"{folder}/" if folder and not folder.endswith("/") else folder
    return FolderScope(bucket or services.settings.uploads_bucket, name)
