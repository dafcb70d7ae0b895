"""What became of a paid request that is of no more use, written down by the step that learns it: see ``jobs.reuse``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from cleanplate.errors import FillUnusableError, MaskUnusableError, WorkGoneError
from cleanplate.models import Fate, Job
from cleanplate.services import Services


@contextmanager
def recorded_fate(
    job: Job, names: Iterable[str], fate: Fate, services: Services, *, after: tuple[type[Exception], ...]
) -> Iterator[None]:
    """Record the fate of these requests where one of the errors ``after`` which it is theirs is raised, and raise it on."""
    try:
        yield
    except after:
        for name in names:
            job = services.ledger.record_poll(job, replace(job.adobe_requests[name], fate=fate), now=services.clock())
        raise


def masks_of_use(job: Job, services: Services) -> AbstractContextManager[None]:
    """Record where Adobe's mask shows to be of no use."""
    names = [name for name in job.adobe_requests if name == "mask"]
    return recorded_fate(job, names, "unusable", services, after=(MaskUnusableError, WorkGoneError))


def fills_of_use(job: Job, services: Services) -> AbstractContextManager[None]:
    """Record where Adobe's fills show to be of no use; the mask that they were made with is as good as before."""
    names = [name for name in job.adobe_requests if name != "mask"]
    return recorded_fate(job, names, "unusable", services, after=(FillUnusableError, WorkGoneError))
