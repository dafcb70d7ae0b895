"""S3: the pages of a folder in the results bucket, and what lies beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cleanplate.aws.storage import MARK

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: What a page is marked with in place of a job's id; the same mark keeps a copy in the uploads bucket from being a photo.
PAGE = "page"
_CHANGED = {"412", "PreconditionFailed", "ConditionalRequestConflict", "404", "NoSuchKey"}


class ResultsFolder:
    """One folder of the results bucket, named with its last slash; empty for the top of the bucket."""

    def __init__(self, client: S3Client, *, bucket: str, folder: str) -> None:
        self._s3 = client
        self._bucket = bucket
        self.folder = folder

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield name and ETag of all that lies in the folder itself, and not in those inside it."""
        listed = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self.folder, Delimiter="/"
        )
        for page in listed:
            for entry in page.get("Contents", []):
                yield entry["Key"].removeprefix(self.folder), entry["ETag"]

    def read(self, name: str, *, max_bytes: int) -> bytes | None:
        """Return a file, or None where it is gone or larger than that."""
        found = self._get(name)
        return found["Body"].read() if found and found["ContentLength"] <= max_bytes else None

    def read_page(self, name: str) -> str | None:
        """Return a page that was written here before; None where what lies there is somebody else's."""
        found = self._get(name)
        if not found:
            return ""
        return found["Body"].read().decode("utf-8", "replace") if found["Metadata"].get(MARK) == PAGE else None

    def write_page(self, name: str, page: str, *, replaces: str) -> bool:
        """Write a page in place of the one with the ETag ``replaces``, or where nothing is if that is empty.

        False where something else lies there by now, and nothing was written.
        """
        condition: dict[str, Any] = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=self.folder + name,
                Body=page.encode(),
                ContentType="text/html; charset=utf-8",
                # Whoever looks at it over HTTP gets the newest.
                CacheControl="no-cache",
                Metadata={MARK: PAGE},
                **condition,
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code", "") in _CHANGED:
                return False
            raise
        return True

    def _get(self, name: str) -> Any:  # noqa: ANN401 - boto3's answer, or None
        try:
            return self._s3.get_object(Bucket=self._bucket, Key=self.folder + name)
        except self._s3.exceptions.NoSuchKey:
            return None
