"""The numbers that the stack keeps of itself: CloudWatch metrics in the namespace ``Cleanplate``.

They travel in the logs (embedded metric format), so counting costs no call.
"""

from __future__ import annotations

import warnings
from enum import StrEnum

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

# A call in which nothing happened that is worth counting is nothing to warn of in the logs.
warnings.filterwarnings("ignore", message="No application metrics to publish")

metrics = Metrics(namespace="Cleanplate")


class Metric(StrEnum):
    """What is counted; alarms and dashboards use these names."""

    MESSAGES = "Messages"
    CLEANED = "PhotosCleaned"
    NOTHING_TO_REMOVE = "NothingToRemove"
    FAILED = "PhotosFailed"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    ADOBE_POSTS = "AdobePosts"
    ADOBE_POLLS = "AdobePolls"
    THROTTLED = "AdobeThrottled"
    POSSIBLE_DUPLICATES = "PossibleDuplicates"
    UNREADABLE = "MessagesUnreadable"
    SWEPT = "JobsSwept"
    DELIVERED_LATE = "OutcomesDeliveredLate"
    RETRIED = "PhotosRetried"
    DAY_USED = "DayUsedPercent"
    BUDGET_USED = "BudgetUsedPercent"
    HELD = "Held"


#: What an alarm sets against something else. The sweeper says 0 of each, so that silence is a number too.
COMPARED = (
    Metric.ADOBE_POSTS,
    Metric.CLEANED,
    Metric.NOTHING_TO_REMOVE,
    Metric.FAILED,
)


def count(measure: Metric, number: float = 1) -> None:
    """Add to a measure; 0 says that nothing of the kind happened."""
    metrics.add_metric(name=measure.value, unit=MetricUnit.Count, value=number)


def gauge(measure: Metric, percent: float) -> None:
    """How full something is at this moment, in per cent."""
    metrics.add_metric(name=measure.value, unit=MetricUnit.Percent, value=round(percent, 1))
