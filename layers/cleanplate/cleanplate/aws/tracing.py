"""What X-Ray sees of a call: the handler, what it asks of AWS and, once Adobe is asked, that too."""

from __future__ import annotations

from aws_lambda_powertools import Tracer

# Told nothing, a tracer loads every library that it knows how to follow, at every cold start.
tracer = Tracer(patch_modules=("botocore",))


def follow_requests() -> None:
    """Trace HTTP that is spoken with ``requests`` as well; this loads it."""
    tracer.patch(("requests",))
