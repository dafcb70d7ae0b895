"""AWS's prices, in US dollars: us-east-1, as published at the end of 2025, without the free tier.

The free tier is left out because it is per account, not per photo.
"""

from __future__ import annotations

from dataclasses import dataclass

PUBLISHED = "us-east-1, end of 2025, without the free tier"


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for so many of a unit."""

    dollars: float
    per: float
    unit: str

    def of(self, quantity: float) -> float:
        """Dollars."""
        return quantity * self.dollars / self.per


TRANSITION = Price(0.025, 1_000, "Step Functions state transitions, standard workflow")
INVOCATION = Price(0.20, 1_000_000, "Lambda requests")
GB_SECOND = Price(0.0000133334, 1, "Lambda GB-seconds, arm64")
S3_WRITE = Price(0.005, 1_000, "S3 PUT, COPY, POST and LIST requests")
S3_READ = Price(0.0004, 1_000, "S3 GET and HEAD requests")
SQS = Price(0.40, 1_000_000, "SQS requests, standard queue")
WRITE_UNIT = Price(0.625, 1_000_000, "DynamoDB write request units, on demand")
READ_UNIT = Price(0.125, 1_000_000, "DynamoDB read request units, on demand")
EVENT = Price(1.00, 1_000_000, "EventBridge custom events")
LOG_GB = Price(0.50, 1, "CloudWatch Logs, GB taken in")
TRACE = Price(5.00, 1_000_000, "X-Ray traces recorded")
SECRET_READ = Price(0.05, 10_000, "Secrets Manager API calls")
GB_OUT = Price(0.09, 1, "GB from S3 to the internet")

#: Lambda gives one whole processor at this much memory, and of it in proportion below.
MEGABYTES_OF_ONE_PROCESSOR = 1_769
