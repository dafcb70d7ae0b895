"""Check the stack and its Adobe account, without paying: what works, what does not, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.handler import lambda_function
from cleanplate.operations.check_account import check_account
from cleanplate.services import services

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_function()
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Check everything once.

    The event is not read. Answer: ``{"ok": bool, "checks": [{"check": str, "ok": bool, "found": str, "what_to_do": str}]}``.
    """
    return check_account(services())
