"""What a backfill makes of a listing: which objects are photos, what they would cost, how many fit the queue.

Pure policy. Counts are one flat mapping of words to numbers, which the state machine carries from page to page.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from cleanplate.models import JobStatus, Photo
from cleanplate.rate_limit.limits import RateLimits
from cleanplate.rate_limit.state import RateLimitState
from cleanplate.uploads.photo_names import OTHER_FILE, ending, skip_reason

#: Photos that may wait in the queue at least; SQS gives out 120 000 messages at most, and a photo that is put off is one.
_MIN_AHEAD, _MAX_AHEAD = 100, 50_000
#: Seconds between two looks at the queue: short for small tests, and long enough for a year's backfill in one execution.
_SHORTEST_WAIT, _LONGEST_WAIT = 60, 6 * 3600
_DAY = 86_400
_MAX_ENDINGS = 20


def reason_to_skip(photo: Photo, our_buckets: frozenset[str], *, max_bytes: int) -> str:
    """Return why a listed object is not a photo to send; empty where it is one."""
    reason = skip_reason(photo, our_buckets)
    if reason:
        return reason
    if not photo.size:
        return "empty"
    return "too large" if photo.size > max_bytes else ""


def count(
    counted: Mapping[str, int], listed: Mapping[Photo, str], statuses: Mapping[Photo, JobStatus | None]
) -> dict[str, int]:
    """Return the counts so far and one page more: why each object is no photo, and how the first job of each photo
    stands.
    """
    counts = Counter(counted)
    for photo, why in listed.items():
        kind = ending(photo.key)
        if why:
            counts[f"skipped {why}"] += 1
            if why == OTHER_FILE:
                counts[f"ending {_bounded(counts, 'ending ', kind or 'none')}"] += 1
            continue
        kind = _bounded(counts, "photos ", kind or "without ending")
        counts["photos"] += 1
        counts["bytes"] += photo.size or 0
        counts[f"photos {kind}"] += 1
        counts[f"bytes {kind}"] += photo.size or 0
        status = statuses[photo]
        counts[f"already {_ALREADY[status]}" if status else "to clean"] += 1
    return dict(counts)


_ALREADY: Mapping[JobStatus, str] = {
    "claimed": "in_work",
    "masking": "in_work",
    "filling": "in_work",
    "cleaned": "cleaned",
    "nothing_to_remove": "nothing_to_remove",
    "mask_ready": "mask_ready",
    "failed": "failed",
}


def _bounded(counts: Mapping[str, int], prefix: str, kind: str) -> str:
    """Return the ending, or common words where there are many already: anybody may call a file anything."""
    known = sum(other.startswith(prefix) for other in counts)
    return kind if prefix + kind in counts or (known < _MAX_ENDINGS and len(kind) < 20) else "of many kinds"


def describe(counted: Mapping[str, int], *, max_fills: int) -> dict[str, Any]:
    """Return the counts for people: what there is, what is left out, what it would cost at Adobe."""
    to_clean = counted.get("to clean", 0)
    # A photo with its own mask buys none. Nothing to remove buys no fill, but nobody knows that before.
    masks = to_clean - min(to_clean, counted.get("skipped own mask", 0))
    return {
        "photos": counted.get("photos", 0),
        "bytes": counted.get("bytes", 0),
        "to_clean": to_clean,
        "already": _below(counted, "already "),
        "by_kind": {
            kind: {"photos": photos, "bytes": counted[f"bytes {kind}"]}
            for kind, photos in _below(counted, "photos ").items()
        },
        "skipped": {why.replace(" ", "_"): number for why, number in _below(counted, "skipped ").items()},
        "other_files": _below(counted, "ending "),
        "paid_requests": {"least": masks, "usual": masks + to_clean, "most": masks + max_fills * to_clean},
    }


def _below(counted: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in sorted(counted.items()) if name.startswith(prefix)}


def photos_per_day(state: RateLimitState, limits: RateLimits) -> float:
    """Return how many photos a day the account's limits and the budget allow."""
    per_photo = state.per_photo or limits.requests_per_photo
    fastest = min(limits.day / limits.spacing, limits.our_day) / per_photo
    return fastest if limits.daily_budget is None else min(fastest, limits.daily_budget / 2)


def max_ahead(per_day: float, hours: float) -> int:
    """Return how many photos may wait in the queue: those that are worked off in so many hours."""
    return min(_MAX_AHEAD, max(_MIN_AHEAD, math.ceil(per_day * hours / 24)))


def look_again_in(per_day: float, ahead: int) -> int:
    """Return the seconds until about half of a full queue is worked off."""
    return math.ceil(min(_LONGEST_WAIT, max(_SHORTEST_WAIT, ahead / 2 / per_day * _DAY)))
