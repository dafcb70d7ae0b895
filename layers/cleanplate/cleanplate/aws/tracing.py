"""X-Ray traces of a call: the handler, its requests to AWS and, once the client is loaded, those to Adobe."""

from __future__ import annotations

from aws_lambda_powertools import Tracer

# Without this list a tracer imports every library that it can patch, at every cold start.
tracer = Tracer(patch_modules=("botocore",))


def follow_requests() -> None:
    """Trace HTTP by ``requests`` as well; this imports it."""
    tracer.patch(("requests",))
