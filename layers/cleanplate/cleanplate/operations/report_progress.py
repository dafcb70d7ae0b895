"""Report how far a folder or a bucket is, what holds it up, and when its last photo will be done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cleanplate.errors import UnknownFolderError
from cleanplate.jobs.folder_counts import FolderCounts, FolderScope
from cleanplate.operations.inputs import PROGRESS, check_names, folder_scope
from cleanplate.rate_limit import forecast
from cleanplate.rate_limit.limits import RateLimits
from cleanplate.rate_limit.polling import DEFAULT_EXPECTED, expected
from cleanplate.rate_limit.state import FILL_ROUTES, RateLimitState, in_a_day
from cleanplate.services import Services

#: From the last check of a job to the result. Seconds.
_SAVING = 5.0
#: Requests that are so much further apart than the limit has them are held up by something else.
_SLOWER = 1.1


def report_progress(asked: Mapping[str, Any], services: Services) -> dict[str, Any]:
    """Return the counts of a folder, or without one of the bucket, and the pace.

    ``asked`` may name ``bucket`` and ``folder``. A folder of which nothing was seen has zeros and an ``answer`` that says so.

    ``done_at`` is when the last photo will be done if nothing else comes, and at the latest: all photos share one
    queue, so whatever waits in the bucket may go before. Raises :class:`UnknownFolderError`.
    """
    check_names(asked, PROGRESS, UnknownFolderError)
    place = folder_scope(asked.get("bucket"), asked.get("folder"), services)
    whole = FolderScope(place.bucket)
    counts, all_of_it = services.ledger.progress.read(place, whole)
    answer = "" if counts else _nothing_seen(place)
    counts = counts or FolderCounts()
    unseen = services.uploads_queue.length()
    state, limits, now = services.limiter.state(), services.limiter.limits, services.limiter.now()
    done_at = done_by(state, limits, now, (all_of_it or counts), unseen) if counts.open or unseen else None
    return {
        "answer": answer,
        "bucket": place.bucket,
        "folder": place.folder,
        "photos": counts.photos,
        "waiting": counts.waiting,
        "in_work": counts.in_work,
        "cleaned": counts.cleaned,
        "nothing_to_remove": counts.nothing_to_remove,
        "mask_ready": counts.mask_ready,
        "failed": counts.failed,
        "failed_for": dict(counts.failed_for),
        "not_yet_seen": unseen,
        "done_at": clock_time(done_at) if done_at else None,
        "done_in_seconds": math.ceil(done_at - now) if done_at else 0,
        **describe_pace(state, limits, now),
    }


def done_by(state: RateLimitState, limits: RateLimits, now: float, counts: FolderCounts, more: int = 0) -> float:
    """Return when the last photo of a count, and of so many more, will have its result.

    By Adobe's limits, or by the pace of late where something else makes it slower.
    """
    # A photo in work has had its mask request and still needs its fill.
    photos = counts.waiting + math.ceil(counts.in_work / 2) + more
    start = max([now, *(breaker.until for breaker in state.breakers.values() if breaker.is_open)])
    last_slot = forecast.forecast(state, limits, start, photos, within=3 * 365 * limits.day)
    done = last_slot + _job_time(state) + _SAVING
    between = state.pace.seconds_between(now, state.gate_until)
    if between <= _SLOWER * limits.spacing:
        return done
    # Something else than the limit holds photos up: they go on as fast as they went of late.
    return max(done, start + photos * (state.per_photo or limits.requests_per_photo) * between)


def describe_pace(state: RateLimitState, limits: RateLimits, now: float) -> dict[str, Any]:
    """Return how fast requests go to Adobe, against what is allowed, and in words what holds them up."""
    used = sum(in_a_day(state, limits, now).values())
    spent = state.spent if state.budget_day == math.floor(now / limits.day) else 0
    between = state.pace.seconds_between(now)
    return {
        "held": _held(state, limits, now, used, spent),
        "requests_per_minute": {
            "now": round(limits.minute / between, 1) if between else 0.0,
            "limit": round(limits.minute / limits.spacing, 1),
        },
        "requests_per_day": {"used": used, "limit": None if math.isinf(limits.our_day) else int(limits.our_day)},
        "daily_budget": None if limits.daily_budget is None else {"spent": spent, "cap": limits.daily_budget},
    }


def _held(state: RateLimitState, limits: RateLimits, now: float, used: int, spent: int) -> list[str]:
    held = []
    if state.gate_until > now:
        held.append(f"Adobe asked to wait ({state.gate_reason}); requests go on at {clock_time(state.gate_until)}.")
    held += [
        f"Adobe's route {route} does not answer; it is tried again at {clock_time(max(breaker.until, now))}."
        for route, breaker in sorted(state.breakers.items())
        if breaker.is_open
    ]
    if limits.daily_budget is not None and spent + 2 > limits.daily_budget:
        tomorrow = (math.floor(now / limits.day) + 1) * limits.day
        held.append(
            f"The daily budget of {limits.daily_budget} paid requests is used up; "
            f"new photos go on at {clock_time(tomorrow)}."
        )
    if used + limits.requests_per_photo > limits.our_day:
        opens = forecast.forecast(state, limits, now, 1)
        held.append(f"The day's {limits.our_day} requests are used up; new photos go on at {clock_time(opens)}.")
    return held


def _nothing_seen(place: FolderScope) -> str:
    where = place.bucket if place.folder is None else f"{place.bucket}/{place.folder}"
    return f"No photo in {where} has been seen. {UnknownFolderError.what_to_do}"


def clock_time(seconds: float) -> str:
    """Return a time as people and programs read it: UTC, in whole seconds."""
    return datetime.fromtimestamp(math.ceil(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _job_time(state: RateLimitState) -> float:
    """Return mask and fill, as long as they usually take; the slowest routes that are in use."""
    times = {route: expected(durations) for route, durations in state.durations.items()}
    masks = max((times[route] for route in times.keys() - FILL_ROUTES), default=DEFAULT_EXPECTED)
    return masks + max((times[route] for route in times.keys() & FILL_ROUTES), default=DEFAULT_EXPECTED)
