"""A bucket of another region, as S3 answers for one."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from cleanplate.aws.clients import s3_config
from cleanplate.aws.storage import Storage
from cleanplate.errors import BucketElsewhereError, InvalidRequestError
from tests.integration.scripted import Act, Scripted, reply

_THERE = reply(200, b"", ETag='"e"', length=5)


@pytest.fixture
def storage(server: Scripted) -> Iterator[Storage]:
    client = boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-west-2",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
        config=s3_config(endpoint=True),
    )
    yield Storage(client, work_bucket="work", results_bucket="results")
    client.close()


@pytest.mark.parametrize("then", [_THERE, reply(403), reply(404)], ids=["there", "refused", "gone"])
@pytest.mark.parametrize("status", [301, 307, 400])
def test_a_bucket_in_another_region_is_named(server: Scripted, storage: Storage, status: int, then: Act) -> None:
    away = reply(status, x_amz_bucket_region="eu-central-1")
    server.script = [away, then]
    with pytest.raises(BucketElsewhereError, match="photos lies in eu-central-1, the stack in us-west-2"):
        storage.look_up("photos", "dog.jpg")


def test_a_bucket_that_is_new_in_the_stacks_region_is_taken(server: Scripted, storage: Storage) -> None:
    server.script = [reply(307, x_amz_bucket_region="us-west-2", Location=server.url), _THERE]
    found = storage.look_up("photos", "dog.jpg")
    assert found is not None
    assert found.size == 5


def test_a_bucket_at_home_is_taken(server: Scripted, storage: Storage) -> None:
    server.script = [_THERE]
    assert storage.look_up("photos", "dog.jpg") is not None


def test_one_bucket_elsewhere_says_nothing_of_another(server: Scripted, storage: Storage) -> None:
    server.script = [reply(301, x_amz_bucket_region="eu-central-1"), _THERE, _THERE]
    with pytest.raises(BucketElsewhereError):
        storage.look_up("photos", "dog.jpg")
    assert storage.look_up("others", "dog.jpg") is not None


def test_it_is_answered_like_a_request_for_a_foreign_bucket() -> None:
    assert issubclass(BucketElsewhereError, InvalidRequestError)
