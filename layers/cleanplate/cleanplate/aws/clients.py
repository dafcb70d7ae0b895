"""The one module that builds clients: each at first use, all on one session, kept for the life of the process."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from cleanplate.settings import has_endpoint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

    from cleanplate.adobe.client import AdobeClient

_AWS = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})


@lru_cache(maxsize=1)
def _session() -> boto3.Session:
    return boto3.Session()


def s3_config(*, endpoint: bool = False) -> Config:
    """Return the S3 client's configuration; ``endpoint`` where the environment names a server other than AWS.

    Links to KMS objects need signature version 4. Unless told to be ``virtual``, boto3 signs links for the global host in
    every region but us-east-1. S3 redirects from there for a day, to a host that was not signed, and in regions opened
    since March 2019 it answers 400 (https://github.com/boto/boto3/issues/3015). A name such as localhost takes no
    bucket's name in front of it.
    """
    return Config(
        signature_version="s3v4",
        s3={"us_east_1_regional_endpoint": "regional", **({} if endpoint else {"addressing_style": "virtual"})},
        connect_timeout=3,
        read_timeout=20,
        retries={"mode": "standard", "total_max_attempts": 4},
    )


@lru_cache(maxsize=1)
def s3() -> S3Client:
    """Return the S3 client, whose links are signed with SigV4 for the regional host."""
    return _session().client("s3", config=s3_config(endpoint=has_endpoint()))


@lru_cache(maxsize=1)
def dynamodb() -> DynamoDBClient:
    """Return the DynamoDB client, for the Jobs table."""
    return _session().client("dynamodb", config=_AWS)


@lru_cache(maxsize=1)
def sqs() -> SQSClient:
    """Return the SQS client, for the queues of messages."""
    return _session().client("sqs", config=_AWS)


@lru_cache(maxsize=1)
def events() -> EventBridgeClient:
    """Return the EventBridge client, for publishing outcomes."""
    return _session().client("events", config=_AWS)


@lru_cache(maxsize=1)
def stepfunctions() -> SFNClient:
    """Return the Step Functions client, for starting executions."""
    return _session().client("stepfunctions", config=_AWS)


@lru_cache(maxsize=1)
def secretsmanager() -> SecretsManagerClient:
    """Return the Secrets Manager client, for Adobe's account."""
    return _session().client("secretsmanager", config=_AWS)


@lru_cache(maxsize=1)
def sns() -> SNSClient:
    """Return the SNS client, for counting who receives alarms."""
    return _session().client("sns", config=_AWS)


@lru_cache(maxsize=1)
def lambda_() -> LambdaClient:
    """Return the Lambda client, for reading the account's quota."""
    return _session().client("lambda", config=_AWS)


@lru_cache(maxsize=1)
def adobe() -> AdobeClient:
    """Return the client of Adobe's API with the stack's account."""
    # With its HTTP library, a sixth of a cold start; many calls end before Adobe is asked.
    from cleanplate.adobe.account import make_client  # noqa: PLC0415

    return make_client()
