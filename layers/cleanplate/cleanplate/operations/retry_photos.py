"""Another run for failed photos: counted first, and sent into the uploads queue where that was confirmed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from cleanplate.aws.metrics import Metric, count
from cleanplate.error_names import error_named
from cleanplate.errors import CleanplateError, InvalidRetryError
from cleanplate.models import Job
from cleanplate.operations.inputs import RETRY, check_names, read_selection
from cleanplate.operations.listing import look_again_in, max_ahead, photos_per_day
from cleanplate.operations.send_photos import photos_ahead
from cleanplate.services import Services
from cleanplate.uploads.messages import retry_message
from cleanplate.uploads.photo_names import skip_reason

#: One call goes on to the next page for so long. Seconds; a page takes one or two.
_ENOUGH = 30.0
#: Photos that may wait in the queue: what is worked off in so many hours.
_AHEAD_HOURS = 12
#: The answer where no reason was named and none of those found passes by itself.
_NONE_BY_ITSELF = (
    "No photo there failed for a reason that passes; name a reason to retry the photos that failed for it."
)


def retry_photos(
    asked: Mapping[str, Any], after: str, sent: int, failed_for: Mapping[str, int], services: Services
) -> dict[str, Any]:
    """Return ``more`` to look at, ``full`` where the queue is, or ``done`` with the answer.

    ``asked`` has ``bucket``, ``prefix``, ``reason``, ``confirm`` and ``retry_id``; the rest is how far the call before
    came. Without a reason only those are taken that a retry may help. Raises :class:`InvalidRetryError` and
    :class:`BucketRefusedError`.
    """
    bucket, prefix, reason, confirm = _check(asked, services)
    queue, begun = services.uploads_queue, services.clock()
    per_day = photos_per_day(services.limiter.state(), services.limiter.limits)
    ahead = max_ahead(per_day, _AHEAD_HOURS)
    found = Counter(failed_for)
    room = ahead - photos_ahead(bucket, services) if confirm else ahead
    while True:
        if room <= 0:
            return _answer("full", after, sent, found, wait_seconds=look_again_in(per_day, ahead))
        jobs, after = services.ledger.failed(bucket, prefix, after=after)
        # What failed before its name was known to be no photo's would only be left alone.
        jobs = [job for job in jobs if not skip_reason(job.photo)]
        found.update(_reason(job) for job in jobs)
        chosen = [job for job in jobs if _is_meant(_reason(job), reason)][: max(0, confirm - sent)]
        queue.send([retry_message(job, str(asked["retry_id"])) for job in chosen])
        count(Metric.RETRIED, len(chosen))
        sent, room = sent + len(chosen), room - len(chosen)
        if not after or 0 < confirm <= sent:
            return _answer("done", "", sent, found, answer=_sentence(found, reason, confirm, sent))
        if services.clock() - begun > _ENOUGH:
            return _answer("more", after, sent, found)


def _check(asked: Mapping[str, Any], services: Services) -> tuple[str, str, str, int]:
    check_names(asked.keys() - {"retry_id"}, RETRY, InvalidRetryError)
    bucket, prefix, confirm = read_selection(asked, InvalidRetryError, services)
    reason = asked["reason"]
    if confirm < 0:
        raise InvalidRetryError(f"confirm is {confirm}; it must be the number of photos that was agreed to.")
    if not isinstance(reason, str) or (reason and error_named(reason).__name__ != reason):
        raise InvalidRetryError(f"No photo fails for {reason!r}; docs/failures.md lists the reasons.")
    return bucket, prefix, reason, confirm


def _reason(job: Job) -> str:
    return str(job.outcome.get("reason") or CleanplateError.__name__)


def _is_meant(found: str, wanted: str) -> bool:
    return found == wanted if wanted else error_named(found).retryable


def _answer(state: str, after: str, sent: int, failed_for: Mapping[str, int], **more: object) -> dict[str, Any]:
    return {
        "state": state,
        "after": after,
        "sent": sent,
        "failed_for": dict(sorted(failed_for.items())),
        "wait_seconds": 0,
        "answer": {},
        **more,
    }


def _sentence(failed_for: Mapping[str, int], reason: str, confirm: int, sent: int) -> dict[str, Any]:
    meant = sum(number for found, number in failed_for.items() if _is_meant(found, reason))
    numbers = {"failed": sum(failed_for.values()), "failed_for": dict(sorted(failed_for.items())), "sent": sent}
    if confirm:
        return {**numbers, "answer": f"{sent} photos were sent to be cleaned once more."}
    if not meant:
        none = f"No photo there failed as {reason}." if reason else _NONE_BY_ITSELF
        return {**numbers, "confirm": 0, "answer": none}
    return {
        **numbers,
        "confirm": meant,
        "answer": f"{meant} photos would be cleaned once more. To begin, start it again with confirm: {meant}.",
    }
