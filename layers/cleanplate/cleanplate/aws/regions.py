"""Notice buckets of another region, which boto3 would follow without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.errors import BucketElsewhereError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: S3's answers in the wrong region; for a new bucket it may give them in the right one too.
_ELSEWHERE = frozenset({301, 302, 307, 400})


class Regions:
    """The regions of the buckets that S3 sent one client away for."""

    def __init__(self, client: S3Client) -> None:
        self._home = client.meta.region_name
        self._seen: dict[str, str] = {}
        # Before boto3's own handler, which follows the redirect.
        client.meta.events.register_first("needs-retry.s3", self._note)

    def _note(self, response: Any, request_dict: dict[str, Any], **_: Any) -> None:  # noqa: ANN401 - botocore's event
        if response and response[0] is not None and response[0].status_code in _ELSEWHERE:
            region = response[0].headers.get("x-amz-bucket-region", self._home)
            if region != self._home:
                self._seen[request_dict["context"]["s3_redirect"]["bucket"]] = region

    def check(self, bucket: str) -> None:
        """Raise :class:`BucketElsewhereError` for a bucket that S3 has redirected to another region."""
        if bucket in self._seen:
            raise BucketElsewhereError(
                f"The bucket {bucket} lies in {self._seen[bucket]}, the stack in {self._home}: nothing is heard from there."
            )
