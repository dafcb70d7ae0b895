"""A backfill's first step: count what it would clean, estimate the cost, check the confirmation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cleanplate.errors import InvalidBackfillError, WrongConfirmationError
from cleanplate.jobs.folder_counts import FolderCounts, FolderScope
from cleanplate.models import Photo
from cleanplate.operations.inputs import BACKFILL, check_names, read_selection
from cleanplate.operations.listing import count, describe, reason_to_skip
from cleanplate.operations.report_progress import clock_time, done_by
from cleanplate.services import Services

#: One call goes on to the next page for so long. Seconds; a page takes well below one.
_ENOUGH = 60.0


def count_photos(
    asked: Mapping[str, Any],
    after: Mapping[str, str],
    counted: Mapping[str, int],
    services: Services,
) -> dict[str, Any]:
    """Return ``more`` to count, or ``nothing_there``, ``nothing_to_clean``, ``estimated``; ``confirmed`` where it may
    begin.

    ``asked`` is the input of the execution: ``bucket``, ``prefix``, ``confirm``, ``ahead_hours``, all optional.
    ``confirm`` is the number of photos that were agreed to: at least as many as would be sent, at most as many as are
    there. Raises :class:`InvalidBackfillError`, :class:`BucketRefusedError` and :class:`WrongConfirmationError`.
    """
    stack = services.settings
    check_names(asked, BACKFILL, InvalidBackfillError)
    bucket, prefix, agreed = read_selection(asked, InvalidBackfillError, services)
    begun = services.clock()
    while True:
        page = services.storage.list_photos(bucket, prefix, after=after)
        counted = _count(counted, page.photos, services)
        after = page.after
        if not after:
            break
        if services.clock() - begun > _ENOUGH:
            return {"state": "more", "bucket": bucket, "after": after, "counted": counted, "estimate": {}}
    estimate = {"bucket": bucket, "prefix": prefix, **describe(counted, max_fills=stack.max_fills)}
    state = _decide(agreed, estimate)
    estimate |= _answer(state, estimate, services)
    return {"state": state, "bucket": bucket, "after": {}, "counted": {}, "estimate": estimate}


def _count(counted: Mapping[str, int], listed: tuple[Photo, ...], services: Services) -> dict[str, int]:
    stack = services.settings
    ours = stack.own_buckets
    reasons = {photo: reason_to_skip(photo, ours, max_bytes=stack.max_photo_bytes) for photo in listed}
    photos = [photo for photo, why in reasons.items() if not why]
    return count(counted, reasons, dict(zip(photos, services.ledger.statuses(photos), strict=True)))


def _decide(confirm: int, estimate: Mapping[str, Any]) -> str:
    if not estimate["photos"]:
        return "nothing_there"
    if not estimate["to_clean"]:
        return "nothing_to_clean"
    if not confirm:
        return "estimated"
    if not estimate["to_clean"] <= confirm <= estimate["photos"]:
        raise WrongConfirmationError(
            f"{confirm} was confirmed, but {estimate['to_clean']} photos would be cleaned, "
            f"of {estimate['photos']} below '{estimate['prefix']}' in {estimate['bucket']}."
        )
    return "confirmed"


def _answer(state: str, estimate: Mapping[str, Any], services: Services) -> dict[str, Any]:
    """Return the estimate in a sentence, and when it would be done."""
    where = f"{estimate['bucket']}/{estimate['prefix']}"
    if state == "nothing_there":
        return {"answer": f"There is no photo below {where}."}
    if state == "nothing_to_clean":
        return {"answer": f"All {estimate['photos']} photos below {where} are done or in work already."}
    limiter = services.limiter
    (waiting,) = services.ledger.progress.read(FolderScope(services.settings.uploads_bucket))
    before = services.uploads_queue.length()
    now, new = limiter.now(), estimate["to_clean"]
    done_at = done_by(limiter.state(), limiter.limits, now, waiting or FolderCounts(), before + new)
    requests = estimate["paid_requests"]
    return {
        "confirm": new,
        "days": round((done_at - now) / 86_400, 2),
        "done_at": clock_time(done_at),
        "answer": (
            f"{new} photos below {where} would be cleaned, for {requests['usual']} paid requests to Adobe "
            f"(at most {requests['most']}), by {clock_time(done_at)}. To begin, start it again with confirm: {new}."
        ),
    }
