"""Trace the calls that X-Ray samples: the handler, its requests to AWS and, once that client is loaded, to Adobe."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache, wraps
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from aws_lambda_powertools.tracing import tracer as powertools

from cleanplate.settings import is_sampled

if TYPE_CHECKING:
    from aws_lambda_powertools import Tracer
    from aws_lambda_powertools.utilities.typing import LambdaContext

Answer = TypeVar("Answer")
Handler = Callable[[Any, "LambdaContext"], Answer]


@lru_cache(maxsize=1)
def make_tracer() -> Tracer:
    """Return the process's tracer, which loads X-Ray's SDK: a twelfth of a cold start, and most calls are not traced."""
    from aws_lambda_powertools import Tracer  # noqa: PLC0415

    # Without this list it imports every library that it can patch.
    return Tracer(patch_modules=("botocore",))


def traced(handler: Handler[Answer]) -> Handler[Answer]:
    """Return the handler, traced in every call that X-Ray samples and untouched in all others."""
    calls = count()

    @wraps(handler)
    def call(event: Any, context: LambdaContext) -> Answer:  # noqa: ANN401 - events are JSON
        is_first = next(calls) == 0
        if not is_sampled():
            return handler(event, context)
        follow_requests()
        tracer = make_tracer()
        if not is_first:
            # By itself the tracer takes its own first call for the function's.
            powertools.is_cold_start = False
        captured: Handler[Answer] = tracer.capture_lambda_handler(handler, capture_response=False)
        return captured(event, context)

    return call


def follow_requests() -> None:
    """Trace HTTP by ``requests`` as well, where this call is traced and the library is loaded."""
    if is_sampled() and "requests" in sys.modules:
        make_tracer().patch(("requests",))
