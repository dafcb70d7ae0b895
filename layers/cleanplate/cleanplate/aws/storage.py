"""S3: the uploaded photo, the work bucket and the results bucket. Keys from events are only ever used as keys."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from botocore.exceptions import ClientError

from cleanplate.aws.regions import Regions
from cleanplate.errors import (
    BucketRefusedError,
    PhotoGoneError,
    PhotoTooLargeError,
    ResultNotSavedError,
)
from cleanplate.models import Photo

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: How long Adobe may need to queue and read: presigned links live this long, in seconds.
LINK_SECONDS = 3600
#: Metadata that marks our own outputs, so that a copy of one in the uploads bucket starts no job.
MARK = "cleanplate-job"

#: S3's limit. Nothing can lie at a longer key, and to ask for it is an error.
MAX_KEY_BYTES = 1024

_BLOCK = 1 << 18
#: Percent-encoded characters of a key; with a role's session token a link has some 1500 more.
_LONGEST_KEY_IN_LINK = 500
_REFUSED = {"403", "AccessDenied", "AllAccessDisabled", "AccessControlListNotSupported", "PermanentRedirect"}
_GONE = {"404", "NoSuchKey", "NoSuchVersion", "NotFound", "405", "MethodNotAllowed"}


def _is_gone(error: ClientError) -> bool:
    return error.response.get("Error", {}).get("Code", "") in _GONE


def _version(photo: Photo) -> dict[str, Any]:
    return {"VersionId": photo.version_id} if photo.version_id else {}


@dataclass(frozen=True, slots=True)
class UploadedObject:
    """An object's version, size and metadata, without its content."""

    photo: Photo
    size: int
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SavedObject:
    """An object that was written and then found there."""

    bucket: str
    key: str
    size: int
    media_type: str
    sha256: str

    def describe(self) -> dict[str, str | int]:
        """Return it as it stands in the manifest."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "bytes": self.size,
            "media_type": self.media_type,
            "sha256": self.sha256,
        }


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a bucket: its newest objects with size and ETag, and S3's markers of the next page."""

    photos: tuple[Photo, ...]
    after: dict[str, str]


class Storage:
    """The three buckets. The S3 client is handed in."""

    def __init__(self, client: S3Client, *, work_bucket: str, results_bucket: str) -> None:
        self._s3 = client
        self._regions = Regions(client)
        self._work = work_bucket
        self._results = results_bucket

    # --- the uploads bucket ---

    def look_up(self, bucket: str, key: str) -> UploadedObject | None:
        """Return the newest object at a key, or None where there is none; raise :class:`BucketElsewhereError`."""
        if len(key.encode()) > MAX_KEY_BYTES:
            return None
        try:
            head = self._s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            self._regions.check(bucket)
            if _is_gone(error):
                return None
            raise
        self._regions.check(bucket)
        version = head.get("VersionId", "")
        photo = Photo(
            bucket=bucket,
            key=key,
            version_id="" if version == "null" else version,
            etag=head["ETag"].strip('"'),
            size=head["ContentLength"],
        )
        return UploadedObject(photo=photo, size=head["ContentLength"], metadata=head.get("Metadata", {}))

    def list_photos(self, bucket: str, prefix: str, *, after: Mapping[str, str], most: int = 1000) -> Listing:
        """Return the next page, of ``most`` entries; ``after`` is from the page before, empty at the beginning and the
        end.

        Versions are listed, since they name an object as S3's notifications do, without a HEAD request for each. Raises
        :class:`BucketRefusedError`.
        """
        try:
            page = self._s3.list_object_versions(Bucket=bucket, Prefix=prefix, MaxKeys=most, **after)  # type: ignore[arg-type]
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _REFUSED:
                raise BucketRefusedError(f"The stack may not list the bucket {bucket} ({code}).") from None
            if code in _GONE | {"NoSuchBucket", "InvalidBucketName"}:
                raise BucketRefusedError(f"There is no bucket {bucket} ({code}).") from None
            raise
        newest = [entry for entry in page.get("Versions", []) if entry["IsLatest"]]
        return Listing(
            photos=tuple(
                Photo(
                    bucket=bucket,
                    key=entry["Key"],
                    version_id="" if entry["VersionId"] == "null" else entry["VersionId"],
                    etag=entry["ETag"].strip('"'),
                    size=entry["Size"],
                )
                for entry in newest
            ),
            after={
                marker: page[f"Next{marker}"]  # type: ignore[literal-required]
                for marker in ("KeyMarker", "VersionIdMarker")
                if page.get("IsTruncated") and page.get(f"Next{marker}")
            },
        )

    def open_photo(self, photo: Photo, *, size: int) -> io.BufferedReader:
        """Return the photo as a seekable file that fetches only the blocks that are read (256 KiB at a time)."""
        return io.BufferedReader(_RangeReader(self._s3, photo, size), buffer_size=_BLOCK)

    def fetch_photo(self, photo: Photo, into: IO[bytes], *, max_bytes: int) -> None:
        """Stream the whole photo into a file; raise :class:`PhotoGoneError` or :class:`PhotoTooLargeError`."""
        with _named_when_gone(photo):
            answer = self._s3.get_object(Bucket=photo.bucket, Key=photo.key, **_exactly(photo))
        if answer["ContentLength"] > max_bytes:
            raise PhotoTooLargeError(f"{photo.key} has {answer['ContentLength']} bytes; at most {max_bytes} are taken.")
        for chunk in answer["Body"].iter_chunks(_BLOCK):
            into.write(chunk)
        into.seek(0)

    def read(self, bucket: str, key: str, *, max_bytes: int | None = None) -> bytes | None:
        """Return an object, or its first ``max_bytes``; None where there is none. One call."""
        if len(key.encode()) > MAX_KEY_BYTES:
            return None
        try:
            return self._s3.get_object(Bucket=bucket, Key=key)["Body"].read(max_bytes)
        except ClientError as error:
            if _is_gone(error):
                return None
            raise

    def names_below(self, bucket: str, prefix: str) -> list[str]:
        """Return keys that begin like this, a thousand at most."""
        listed = self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def link_to_photo(self, photo: Photo, media_type: str) -> str:
        """Return a signed link to this very version; made in the step that sends it, never kept.

        S3 answers it with ``media_type``, whatever the upload was declared to be (often binary/octet-stream).
        """
        return self._s3.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": photo.bucket,
                "Key": photo.key,
                "ResponseContentType": media_type,
                **_version(photo),
            },
            ExpiresIn=LINK_SECONDS,
        )

    def link_for_adobe(self, photo: Photo, spare_key: str, media_type: str) -> str:
        """Return a signed link that survives every HTTP client: to the photo, or to a copy of it in the work bucket.

        Clients fold the dots and empty folders of ``a/../b//c.jpg`` away, and then the signature is wrong; very long
        links are refused by some servers.
        """
        if _survives_clients(photo.key):
            return self.link_to_photo(photo, media_type)
        source: dict[str, str] = {"Bucket": photo.bucket, "Key": photo.key, **_version(photo)}
        with _named_when_gone(photo):
            self._s3.copy_object(
                Bucket=self._work,
                Key=spare_key,
                CopySource=source,  # type: ignore[arg-type]
                **({"CopySourceIfMatch": f'"{photo.etag}"'} if photo.etag else {}),  # type: ignore[arg-type]
                ContentType=media_type,
                MetadataDirective="REPLACE",
                TaggingDirective="REPLACE",
            )
        return self.link_to_work(spare_key)

    # --- the work bucket ---

    def write_work(self, key: str, content: bytes | IO[bytes], media_type: str) -> None:
        """Store an object in the work bucket, which deletes it after a day, below ``masks/`` after 24 days."""
        self._s3.put_object(Bucket=self._work, Key=key, Body=content, ContentType=media_type)

    def copy_work(self, source: str, key: str) -> bool:
        """Copy one object of the work bucket to another key; False where there is none."""
        try:
            self._s3.copy_object(
                Bucket=self._work,
                Key=key,
                CopySource={"Bucket": self._work, "Key": source},
                TaggingDirective="REPLACE",
            )
        except ClientError as error:
            if _is_gone(error):
                return False
            raise
        return True

    def read_work(self, key: str) -> bytes | None:
        """Return what was stored in the work bucket, or None."""
        return self.read(self._work, key)

    def link_to_work(self, key: str) -> str:
        """Return a signed link to read an object of the work bucket."""
        return self._s3.generate_presigned_url(
            "get_object", Params={"Bucket": self._work, "Key": key}, ExpiresIn=LINK_SECONDS
        )

    def link_to_write_work(self, key: str) -> str:
        """Return a signed link with which Adobe may PUT one object into the work bucket."""
        return self._s3.generate_presigned_url(
            "put_object", Params={"Bucket": self._work, "Key": key}, ExpiresIn=LINK_SECONDS
        )

    # --- the results bucket ---

    def save_result(self, key: str, content: BinaryIO, *, media_type: str, job_id: str) -> SavedObject:
        """Write a result and check that it is there, whole; raises :class:`ResultNotSavedError`."""
        digest, size = hashlib.sha256(), 0
        content.seek(0)
        while chunk := content.read(_BLOCK):
            digest.update(chunk)
            size += len(chunk)
        content.seek(0)
        self._s3.put_object(
            Bucket=self._results,
            Key=key,
            Body=content,
            ContentType=media_type,
            ContentLength=size,
            # S3 refuses the write where what arrived has another digest.
            ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
            Metadata={MARK: job_id},
        )
        return self._check(SavedObject(self._results, key, size, media_type, digest.hexdigest()), job_id)

    def pass_on(self, photo: Photo, key: str, *, job_id: str) -> SavedObject:
        """Copy the untouched original to the results bucket, within S3."""
        source: dict[str, str] = {"Bucket": photo.bucket, "Key": photo.key, **_version(photo)}
        with _named_when_gone(photo):
            head = self._s3.head_object(Bucket=photo.bucket, Key=photo.key, **_exactly(photo))
            self._s3.copy_object(
                Bucket=self._results,
                Key=key,
                CopySource=source,  # type: ignore[arg-type]
                CopySourceIfMatch=head["ETag"],
                ContentType=head["ContentType"],
                Metadata={MARK: job_id},
                MetadataDirective="REPLACE",
                # To copy tags takes rights that nothing else here needs; a result never has any.
                TaggingDirective="REPLACE",
            )
        return self._check(SavedObject(self._results, key, head["ContentLength"], head["ContentType"], ""), job_id)

    def _check(self, saved: SavedObject, job_id: str) -> SavedObject:
        try:
            head = self._s3.head_object(Bucket=saved.bucket, Key=saved.key)
        except ClientError as error:
            if _is_gone(error):
                raise ResultNotSavedError(f"{saved.key} is not in {saved.bucket} after it was written.") from None
            raise
        if head["ContentLength"] != saved.size or head.get("Metadata", {}).get(MARK) != job_id:
            raise ResultNotSavedError(f"{saved.key} in {saved.bucket} is not what was written.")
        return saved

    def sha256_of(self, saved: SavedObject) -> SavedObject:
        """Return the same, with the digest of the object's bytes as they lie in the bucket."""
        digest = hashlib.sha256()
        for chunk in self._s3.get_object(Bucket=saved.bucket, Key=saved.key)["Body"].iter_chunks(_BLOCK):
            digest.update(chunk)
        return replace(saved, sha256=digest.hexdigest())

    def write_manifest(self, key: str, manifest: Mapping[str, Any]) -> None:
        """Write ``<key>.json`` beside the result."""
        body = json.dumps(manifest, indent=2, ensure_ascii=False).encode()
        self._s3.put_object(
            Bucket=self._results,
            Key=key,
            Body=body,
            ContentType="application/json",
            Metadata={MARK: str(manifest["job_id"])},
        )


def _survives_clients(key: str) -> bool:
    return len(quote(key)) <= _LONGEST_KEY_IN_LINK and not {"", ".", ".."} & set(key.split("/"))


def _exactly(photo: Photo) -> dict[str, Any]:
    """Return what makes S3 answer with this very upload, or with an error that :func:`_named_when_gone` knows."""
    return _version(photo) or ({"IfMatch": f'"{photo.etag}"'} if photo.etag else {})


@contextmanager
def _named_when_gone(photo: Photo) -> Iterator[None]:
    """Raise :class:`PhotoGoneError` where S3 says that the object, or this upload of it, is no longer there."""
    try:
        yield
    except ClientError as error:
        # The conflict is S3's word where two writes meet.
        changed = {"412", "PreconditionFailed", "ConditionalRequestConflict"}
        if _is_gone(error) or error.response.get("Error", {}).get("Code", "") in changed:
            raise PhotoGoneError(f"{photo.key} was deleted or replaced while it was being worked on.") from None
        raise


class _RangeReader(io.RawIOBase):
    """One version of an object as a seekable raw file; every read is one ranged GET."""

    def __init__(self, client: S3Client, photo: Photo, size: int) -> None:
        super().__init__()
        self._s3, self._photo, self._size, self._at = client, photo, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - the buffer protocol has no type before Python 3.12
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        with _named_when_gone(self._photo):
            answer = self._s3.get_object(
                Bucket=self._photo.bucket,
                Key=self._photo.key,
                Range=f"bytes={self._at}-{self._at + wanted - 1}",
                **_exactly(self._photo),
            )
        content = answer["Body"].read()
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
