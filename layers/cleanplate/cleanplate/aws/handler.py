"""What every Lambda handler shares: logs, metrics, traces, and one error for all faults of AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from cleanplate.aws.metrics import metrics
from cleanplate.aws.tracing import Answer, Handler, traced
from cleanplate.errors import AwsUnavailableError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()


def lambda_function(*, correlation_id: str = "") -> Callable[[Handler[Answer]], Handler[Answer]]:
    """Return the decorator of a handler.

    ``correlation_id`` is the path (JMESPath) in the event of what the log lines of one call have in common, such as
    ``job_id``. The handler's errors keep their class names, which the state machines match; boto3's become
    :class:`AwsUnavailableError`.
    """

    def decorate(handler: Handler[Answer]) -> Handler[Answer]:
        @wraps(handler)
        def named(event: Any, context: LambdaContext) -> Answer:  # noqa: ANN401 - events are JSON
            with aws_faults_by_one_name():
                return handler(event, context)

        measured = metrics.log_metrics(traced(named), capture_cold_start_metric=True)
        logged: Handler[Answer] = logger.inject_lambda_context(
            measured, clear_state=True, correlation_id_path=correlation_id or None
        )
        return logged

    return decorate


@contextmanager
def aws_faults_by_one_name() -> Iterator[None]:
    """Raise :class:`AwsUnavailableError` in place of anything that boto3 raises.

    The state machines retry that one name, so that no error of some service is left out because nobody listed it.
    """
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "no code")
        raise AwsUnavailableError(f"AWS answered {error.operation_name} with {code}.") from error
    except BotoCoreError as error:
        raise AwsUnavailableError(f"AWS could not be asked: {type(error).__name__}.") from error
