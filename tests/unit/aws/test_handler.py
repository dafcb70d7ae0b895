"""What all handlers share: one name for AWS's faults, everyone else's names untouched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from cleanplate.aws.handler import lambda_function
from cleanplate.errors import (
    AwsUnavailableError,
    FillUnusableError,
)

#: A call that counts nothing is nothing to warn of; the layer tells Powertools so, pytest makes it an error again.
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

SIGNED = "https://uploads.s3.eu-west-1.amazonaws.com/a.jpg?X-Amz-Signature=5ecret"


@dataclass
class Context:
    """What Powertools reads of Lambda's context."""

    function_name: str = "CheckJobFunction"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:CheckJobFunction"
    aws_request_id: str = "1-2-3"


def _call(error: Exception) -> Any:
    @lambda_function(correlation_id="job_id")
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        raise error

    return handler({"job_id": "a1"}, Context())  # type: ignore[arg-type]


def _refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "UpdateItem")


@pytest.mark.parametrize(
    "error",
    [
        _refusal("ThrottlingException"),
        _refusal("AnErrorThatNobodyListed"),
        EndpointConnectionError(endpoint_url=SIGNED),
        ReadTimeoutError(endpoint_url=SIGNED),
    ],
    ids=["throttled", "unlisted", "unreachable", "timed out"],
)
def test_every_fault_of_aws_has_one_name_and_no_link(error: Exception) -> None:
    with pytest.raises(AwsUnavailableError) as raised:
        _call(error)
    assert "5ecret" not in str(raised.value)
    assert raised.value.__cause__ is error


def test_a_refusal_says_which_call_and_why() -> None:
    with pytest.raises(AwsUnavailableError, match="UpdateItem with AccessDeniedException"):
        _call(_refusal("AccessDeniedException"))


@pytest.mark.parametrize("error", [FillUnusableError("grey"), ValueError("odd")])
def test_other_errors_keep_their_names(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        _call(error)
    assert raised.value is error


def test_the_answer_is_the_handlers_own() -> None:
    @lambda_function()
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return {"state": event["state"]}

    assert handler({"state": "pending"}, Context()) == {"state": "pending"}  # type: ignore[arg-type]
