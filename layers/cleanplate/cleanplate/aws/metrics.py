"""CloudWatch metrics of the stack, in the namespace ``Cleanplate``.

They travel in the logs (embedded metric format), so counting costs no call.
"""

from __future__ import annotations

import warnings
from enum import StrEnum

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

# Powertools warns in the log if a call counted nothing; that is normal here.
warnings.filterwarnings("ignore", message="No application metrics to publish")

metrics = Metrics(namespace="Cleanplate")


class Metric(StrEnum):
    """Names of the metrics, as alarms and dashboards use them."""

    MESSAGES = "Messages"
    CLEANED = "PhotosCleaned"
    NOTHING_TO_REMOVE = "NothingToRemove"
    MASK_READY = "MasksReady"
    FAILED = "PhotosFailed"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    ADOBE_POSTS = "AdobePosts"
    ADOBE_POLLS = "AdobePolls"
    THROTTLED = "AdobeThrottled"
    POSSIBLE_DUPLICATES = "PossibleDuplicates"
    UNREADABLE = "MessagesUnreadable"
    SWEPT = "JobsSwept"
    DELIVERED_LATE = "OutcomesDeliveredLate"
    EXPIRED = "ReviewsExpired"
    LEFT_ALONE = "ObjectsLeftAlone"
    RETRIED = "PhotosRetried"
    DAY_USED = "DayUsedPercent"
    BUDGET_USED = "BudgetUsedPercent"
    HELD = "Held"
    SECONDS_WAITED = "SecondsWaited"


#: Metrics that alarms compare. The sweeper counts 0 of each, so that they have data when nothing happens.
COMPARED = (
    Metric.ADOBE_POSTS,
    Metric.CLEANED,
    Metric.NOTHING_TO_REMOVE,
    Metric.FAILED,
)


def count(metric: Metric, number: float = 1) -> None:
    """Add ``number`` to a metric; 0 records that nothing happened."""
    metrics.add_metric(name=metric.value, unit=MetricUnit.Count, value=number)


def gauge(metric: Metric, percent: float) -> None:
    """Record how full something is, in per cent."""
    metrics.add_metric(name=metric.value, unit=MetricUnit.Percent, value=round(percent, 1))
