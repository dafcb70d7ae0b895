"""The one room that builds clients: each at first use, all on one session, kept for the life of the process."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from cleanplate.rate_limit.limiter import RateLimiter
from cleanplate.rate_limit.reservations import RateLimits
from cleanplate.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

    from cleanplate.adobe.client import AdobeClient

# Presigned links of KMS objects need signature version 4 and the regional host, which Adobe's allow-list knows too.
_S3 = Config(
    signature_version="s3v4",
    s3={"us_east_1_regional_endpoint": "regional"},
    connect_timeout=3,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": 4},
)
_AWS = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})


@lru_cache(maxsize=1)
def _session() -> boto3.Session:
    return boto3.Session()


@lru_cache(maxsize=1)
def s3() -> S3Client:
    """S3, signing with SigV4 for the regional host."""
    return _session().client("s3", config=_S3)


@lru_cache(maxsize=1)
def dynamodb() -> DynamoDBClient:
    """DynamoDB, for the Jobs table."""
    return _session().client("dynamodb", config=_AWS)


@lru_cache(maxsize=1)
def sqs() -> SQSClient:
    """SQS, for postponing a message of the uploads queue."""
    return _session().client("sqs", config=_AWS)


@lru_cache(maxsize=1)
def events() -> EventBridgeClient:
    """EventBridge, for announcing outcomes."""
    return _session().client("events", config=_AWS)


@lru_cache(maxsize=1)
def stepfunctions() -> SFNClient:
    """Step Functions, for starting executions."""
    return _session().client("stepfunctions", config=_AWS)


@lru_cache(maxsize=1)
def limiter() -> RateLimiter:
    """Adobe's pace, shared by every function of the stack."""
    stack = settings()
    limits = RateLimits(
        per_minute=stack.requests_per_minute,
        per_day=stack.requests_per_day,
        polls_count=stack.count_polls,
        share_left=stack.share_left,
        daily_budget=stack.daily_budget or None,
    )
    return RateLimiter(dynamodb(), stack.jobs_table, limits)


@lru_cache(maxsize=1)
def adobe() -> AdobeClient:
    """Adobe's API with the stack's account."""
    # With its HTTP library, a sixth of a cold start; many calls end before Adobe is asked.
    from cleanplate.adobe.account import make_client  # noqa: PLC0415

    return make_client()
