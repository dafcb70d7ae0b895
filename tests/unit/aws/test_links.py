"""Signed links as Adobe gets them, in every region where S3 is: no endpoint is configured here, and nothing is sent."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from cleanplate.aws import clients
from cleanplate.aws.storage import Storage
from cleanplate.models import Photo

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: Opened since 2019-03-20: the global host answers 400 for their buckets, for ever.
OPT_IN = ("af-south-1", "ap-east-1", "eu-south-1", "il-central-1", "me-south-1")
SECRET = "not/a+real=secret"
TOKEN = "session/token+with=odd"


@pytest.fixture(scope="module")
def regions() -> Iterator[dict[str, S3Client]]:
    """The client of a function in each region: a role's credentials and no endpoint."""
    clients._session.cache_clear()
    found = {}
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            environment.delenv(name, raising=False)
        environment.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        environment.setenv("AWS_SESSION_TOKEN", TOKEN)
        # The partitions on Adobe's list of input hosts.
        for partition in ("aws", "aws-us-gov"):
            for region in clients._session().get_available_regions("s3", partition):
                environment.setenv("AWS_DEFAULT_REGION", region)
                clients.s3.cache_clear()
                found[region] = clients.s3()
    yield found
    _forget_clients()


def _forget_clients() -> None:
    clients.s3.cache_clear()
    clients._session.cache_clear()


def _links(client: S3Client, bucket: str) -> dict[str, str]:
    storage = Storage(client, work_bucket=bucket, results_bucket="unused")
    return {
        "photo": storage.link_to_photo(Photo(bucket=bucket, key="a/Zoë +%.jpg", version_id="v/1"), "image/jpeg"),
        "read": storage.link_to_work("jobs/1/view.png"),
        "write": storage.link_to_write_work("jobs/1/mask.png"),
    }


def test_there_are_regions_of_every_age(regions: dict[str, S3Client]) -> None:
    assert len(regions) >= 30
    assert set(OPT_IN) < set(regions)


def test_every_link_names_the_regional_host(regions: dict[str, S3Client]) -> None:
    for region, client in regions.items():
        for link in _links(client, "my-uploads").values():
            assert urlsplit(link).netloc == f"my-uploads.s3.{region}.amazonaws.com"


def test_a_dotted_bucket_stands_in_the_path(regions: dict[str, S3Client]) -> None:
    """A certificate for ``*.s3.REGION`` covers no name with dots."""
    for region, client in regions.items():
        for link in _links(client, "photos.example.com").values():
            assert urlsplit(link).netloc == f"s3.{region}.amazonaws.com"
            assert urlsplit(link).path.startswith("/photos.example.com/")


@pytest.mark.parametrize("bucket", ["my-uploads", "photos.example.com"])
def test_what_s3_computes_from_the_request_is_the_signature(regions: dict[str, S3Client], bucket: str) -> None:
    """S3 reads host, path and query as they arrive, so a host that is not this one would refuse the link."""
    for region, client in regions.items():
        for name, link in _links(client, bucket).items():
            query = dict(parse_qsl(urlsplit(link).query))
            assert query["X-Amz-Security-Token"] == TOKEN
            assert query["X-Amz-SignedHeaders"] == "host"
            assert query["X-Amz-Credential"].split("/")[2:] == [region, "s3", "aws4_request"]
            computed = _signature_as_s3_computes_it("PUT" if name == "write" else "GET", link)
            assert query["X-Amz-Signature"] == computed


def _signature_as_s3_computes_it(method: str, link: str) -> str:
    """Follow AWS's description of signature version 4 for query strings, with nothing of botocore's."""
    parts, query = urlsplit(link), dict(parse_qsl(urlsplit(link).query))
    query.pop("X-Amz-Signature")
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items())
    canonical = "\n".join(
        [
            method,
            parts.path,
            "&".join(f"{name}={value}" for name, value in pairs),
            f"host:{parts.netloc}",
            "",
            "host",
            "UNSIGNED-PAYLOAD",
        ]
    )
    _, *scope = query["X-Amz-Credential"].split("/")
    to_sign = "\n".join(
        [query["X-Amz-Algorithm"], query["X-Amz-Date"], "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = f"AWS4{SECRET}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:4566", "http://localhost:4566", "http://host.docker.internal:1"]
)
@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_another_server_than_aws_gets_the_bucket_in_the_path(
    monkeypatch: pytest.MonkeyPatch, name: str, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv(name, endpoint)
    clients.s3.cache_clear()
    try:
        assert _links(clients.s3(), "my-uploads")["read"].startswith(f"{endpoint}/my-uploads/jobs/1/view.png?")
    finally:
        _forget_clients()
