"""Read the state of the stack's buckets, topic and account; nothing is changed."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import urllib3
from botocore.exceptions import ClientError

from cleanplate.aws import clients
from cleanplate.aws.storage import LINK_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import NotificationConfigurationResponseTypeDef

_TIMEOUT = urllib3.Timeout(connect=5, read=10)


def own_region() -> str:
    """Return the region that the stack is in."""
    return clients.s3().meta.region_name


def bucket_region(bucket: str) -> str:
    """Return the region that a bucket is in; raises ``ClientError`` where it is not there or not ours to ask."""
    return clients.s3().head_bucket(Bucket=bucket)["BucketRegion"]


def seconds_ahead(bucket: str) -> float:
    """Return by how many seconds this clock is ahead of S3's, or behind where it is less than 0."""
    headers = clients.s3().head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    return time.time() - parsedate_to_datetime(headers["date"]).timestamp()


def any_key(bucket: str) -> str:
    """Return the key of one object, or nothing where the bucket is empty."""
    found = clients.s3().list_objects_v2(Bucket=bucket, MaxKeys=1).get("Contents", [])
    return found[0]["Key"] if found else ""


def status_of_link(bucket: str, key: str) -> int:
    """Return the HTTP status of a signed link for a client without credentials that follows no redirect."""
    link = clients.s3().generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=LINK_SECONDS
    )
    with urllib3.PoolManager(timeout=_TIMEOUT, retries=False) as pool:
        response = pool.request("GET", link, redirect=False, preload_content=False)
        response.close()
        return response.status


def notifications(bucket: str) -> tuple[set[str], bool]:
    """Return the queues that a bucket notifies of new objects, by ARN, and whether it notifies EventBridge."""
    found: NotificationConfigurationResponseTypeDef = clients.s3().get_bucket_notification_configuration(Bucket=bucket)
    return {about["QueueArn"] for about in found.get("QueueConfigurations", [])}, "EventBridgeConfiguration" in found


def bucket_key(bucket: str) -> str:
    """Return the KMS key that a bucket encrypts with, by ARN or id; nothing where AWS keeps the key."""
    try:
        found = clients.s3().get_bucket_encryption(Bucket=bucket)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ServerSideEncryptionConfigurationNotFoundError":
            return ""
        raise
    rules = found["ServerSideEncryptionConfiguration"]["Rules"]
    return next(
        (rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID", "") for rule in rules if rule), ""
    )


def free_concurrency() -> int:
    """Return how many functions without a reservation may run at once in this account and region."""
    return clients.lambda_().get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]


def subscriptions(topic_arn: str) -> tuple[int, int]:
    """Return how many subscribers of a topic have confirmed, and how many have not."""
    found = clients.sns().list_subscriptions_by_topic(TopicArn=topic_arn)["Subscriptions"]
    confirmed = sum(1 for one in found if one["SubscriptionArn"].startswith("arn:"))
    return confirmed, len(found) - confirmed
