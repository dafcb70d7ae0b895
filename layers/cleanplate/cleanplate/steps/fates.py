"""Write into a paid request what became of it, where a step learns that it is of no more use; read by ``jobs.reuse``."""

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
    """Record the fate of these requests where one of the errors in ``after`` is raised, and raise it on."""
    try:
        yield
    except after:
        for name in names:
            job = services.ledger.record_poll(job, replace(job.adobe_requests[name], fate=fate), now=services.clock())
        raise


def masks_of_use(job: Job, services: Services) -> AbstractContextManager[None]:
    """Record Adobe's mask as unusable where it cannot be used or is no longer kept."""
    names = [name for name in job.adobe_requests if name == "mask"]
    return recorded_fate(job, names, "unusable", services, after=(MaskUnusableError, WorkGoneError))


def fills_of_use(job: Job, services: Services) -> AbstractContextManager[None]:
    """Record Adobe's fills as unusable where one cannot be used or what they need is no longer kept; their mask stays usable."""
    names = [name for name in job.adobe_requests if name != "mask"]
    return recorded_fate(job, names, "unusable", services, after=(FillUnusableError, WorkGoneError))
