"""A backfill's second step: put messages about photos into the uploads queue, as many as it has room for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cleanplate.errors import InvalidBackfillError
from cleanplate.jobs.folder_counts import FolderScope
from cleanplate.models import Photo
from cleanplate.operations.listing import look_again_in, max_ahead, photos_per_day, reason_to_skip
from cleanplate.services import Services
from cleanplate.uploads.messages import found_message

#: One call goes on to the next page for so long. Seconds; a page of a thousand new photos takes a few.
_ENOUGH = 30.0
_PAGE = 1000


def send_photos(
    bucket: str, prefix: str, after: Mapping[str, str], sent: int, confirm: int, ahead_hours: object, services: Services
) -> dict[str, Any]:
    """Return ``more`` to send, ``full`` where the queue is and when to look again, or ``sent`` where all are.

    Photos that have a job already are passed over, so that repeating this sends nothing twice that was begun; what is
    sent twice becomes one job all the same. No more than ``confirm`` photos are sent in all.
    """
    if isinstance(ahead_hours, bool) or not isinstance(ahead_hours, int | float) or not 0 < ahead_hours <= 240:
        raise InvalidBackfillError(f"The hours ahead must be a number above 0 and up to 240, not {ahead_hours!r}.")
    queue, begun = services.uploads_queue, services.clock()
    per_day = photos_per_day(services.limiter.state(), services.limiter.limits)
    ahead = max_ahead(per_day, ahead_hours)
    room = ahead - photos_ahead(bucket, services)
    while room > 0 and sent < confirm:
        page = services.storage.list_photos(bucket, prefix, after=after, most=min(_PAGE, room, confirm - sent))
        new = _not_begun(page.photos, services)
        queue.send([found_message(photo) for photo in new])
        after, sent, room = page.after, sent + len(new), room - len(new)
        if not after:
            return _answer("sent", {}, sent)
        if services.clock() - begun > _ENOUGH:
            return _answer("more", after, sent)
    if sent >= confirm:
        return _answer("sent", {}, sent)
    return _answer("full", after, sent, wait_seconds=look_again_in(per_day, ahead))


def photos_ahead(bucket: str, services: Services) -> int:
    """Return about how many photos are on their way to Adobe: as messages in the queue, or waiting for their slot."""
    (counts,) = services.ledger.progress.read(FolderScope(bucket))
    return services.uploads_queue.length(hidden=True) + (counts.waiting if counts else 0)


def _answer(state: str, after: Mapping[str, str], sent: int, wait_seconds: int = 0) -> dict[str, Any]:
    return {"state": state, "after": after, "sent": sent, "wait_seconds": wait_seconds}


def _not_begun(listed: tuple[Photo, ...], services: Services) -> list[Photo]:
    stack = services.settings
    ours = stack.own_buckets
    photos = [photo for photo in listed if not reason_to_skip(photo, ours, max_bytes=stack.max_photo_bytes)]
    statuses = services.ledger.statuses(photos)
    return [photo for photo, status in zip(photos, statuses, strict=True) if status is None]
