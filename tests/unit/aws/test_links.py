"""Signed links as Adobe gets them, in every region where S3 is: no endpoint is configured here, and nothing is sent."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, urlsplit

import boto3
import pytest

from cleanplate.aws import clients
from cleanplate.aws.storage import Storage
from cleanplate.models import Photo

#: The partitions on Adobe's list of input hosts.
REGIONS = [region for name in ("aws", "aws-us-gov") for region in boto3.Session().get_available_regions("s3", name)]
#: Opened since 2019-03-20: the global host answers 400 for their buckets, for ever.
OPT_IN = ("af-south-1", "ap-east-1", "eu-south-1", "il-central-1", "me-south-1")
SECRET = "not/a+real=secret"
TOKEN = "session/token+with=odd"


@pytest.fixture(params=REGIONS)
def region(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A function's environment in one region: a role's credentials and no endpoint."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", request.param)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    clients.s3.cache_clear()
    yield request.param
    clients.s3.cache_clear()


@pytest.fixture(autouse=True, scope="module")
def _one_session() -> Iterator[None]:
    """Read the services' models once for all regions; credentials and region are read again for each client."""
    clients._session.cache_clear()
    yield
    clients._session.cache_clear()


def _forget_clients() -> None:
    clients.s3.cache_clear()
    clients._session.cache_clear()


def _links(bucket: str) -> dict[str, str]:
    storage = Storage(clients.s3(), work_bucket=bucket, results_bucket="unused")
    return {
        "photo": storage.link_to_photo(Photo(bucket=bucket, key="a/Zoë +%.jpg", version_id="v/1"), "image/jpeg"),
        "read": storage.link_to_work("jobs/1/view.png"),
        "write": storage.link_to_write_work("jobs/1/mask.png"),
    }


def test_there_are_regions_of_every_age() -> None:
    assert len(REGIONS) >= 30
    assert set(OPT_IN) < set(REGIONS)


def test_every_link_names_the_regional_host(region: str) -> None:
    for link in _links("my-uploads").values():
        assert urlsplit(link).netloc == f"my-uploads.s3.{region}.amazonaws.com"


def test_a_dotted_bucket_stands_in_the_path(region: str) -> None:
    """A certificate for ``*.s3.REGION`` covers no name with dots."""
    for link in _links("photos.example.com").values():
        assert urlsplit(link).netloc == f"s3.{region}.amazonaws.com"
        assert urlsplit(link).path.startswith("/photos.example.com/")


@pytest.mark.parametrize("bucket", ["my-uploads", "photos.example.com"])
def test_what_s3_computes_from_the_request_is_the_signature(region: str, bucket: str) -> None:
    """S3 reads host, path and query as they arrive, so a host that is not this one would refuse the link."""
    for name, link in _links(bucket).items():
        query = dict(parse_qsl(urlsplit(link).query))
        assert query["X-Amz-Security-Token"] == TOKEN
        assert query["X-Amz-SignedHeaders"] == "host"
        assert query["X-Amz-Credential"].split("/")[2:] == [region, "s3", "aws4_request"]
        assert query["X-Amz-Signature"] == _signature_as_s3_computes_it("PUT" if name == "write" else "GET", link)


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
    _forget_clients()
    try:
        assert _links("my-uploads")["read"].startswith(f"{endpoint}/my-uploads/jobs/1/view.png?")
    finally:
        _forget_clients()
