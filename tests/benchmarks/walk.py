"""Photos with two jobs of five seconds and nothing in their way, in the embedded AWS: transitions, requests, waiting."""

from __future__ import annotations

import statistics

from boto3.dynamodb.types import TypeDeserializer

from local.demo.job_watcher import look
from local.stack import Laptop
from tests.benchmarks.burst import adobe, started, upload
from tests.benchmarks.figures import Table, at_most, stated
from tests.benchmarks.histories import transitions
from tests.benchmarks.watching import FILL, MASK, small_photos, wait_for

_JOB_SECONDS = 5.0
_PHOTOS = 8
_MOST_TRANSITIONS, _MOST_REQUESTS, _MOST_ADDED = 12, 4.5, 0.25

_plain = TypeDeserializer().deserialize


def run(quick: bool = False) -> Table:
    """Waits and jobs unscaled."""
    photos = _PHOTOS // 2 if quick else _PHOTOS
    with started(6000, polls_count=False, duration=_JOB_SECONDS) as laptop:
        aws, stack = laptop.aws, laptop.stack
        files = small_photos(200)
        # What is usual is learnt first: a few photos, in two lots, as they would come on any day.
        for lot in range(2):
            upload(aws, stack, f"learn{lot}", files[100 + 8 * lot : 108 + 8 * lot])
            _wait(laptop, f"learn{lot}/", 8)
        adobe(laptop).clear_counters()
        upload(aws, stack, "walk", files[:photos])
        _wait(laptop, "walk/", photos)
        jobs = [sight.job_id for sight in look(aws, stack) if sight.key.startswith("walk/")]
        entered = transitions(aws, stack, jobs)
        counters = adobe(laptop).counters()
        added = [_added(laptop, job_id) for job_id in jobs]
    requests = [
        sum(routes.get(route, {}).get(what, 0) for route in (MASK, FILL) for what in ("posts", "polls"))
        for path, routes in counters["photos"].items()
        if "/walk/" in path
    ]
    return Table(
        f"Walk: {photos} photos with two jobs of {_JOB_SECONDS:g} s",
        (
            at_most("state transitions, median", statistics.median(entered.values()), _MOST_TRANSITIONS, "transitions"),
            stated("state transitions, most", max(entered.values()), "transitions"),
            at_most("requests per photo, mean", statistics.fmean(requests), _MOST_REQUESTS, "requests"),
            stated("requests per photo, most", max(requests), "requests"),
            at_most("waiting added to Adobe's time, p50", statistics.median(added), _MOST_ADDED, "of Adobe's time"),
            stated("waiting added to Adobe's time, most", max(added), "of Adobe's time"),
        ),
        (f"Embedded AWS, time unscaled; after {16} photos from which the pacer learnt.",),
    )


def _wait(laptop: Laptop, folder: str, photos: int) -> None:
    def ended() -> int:
        laptop.aws.check()
        return sum(sight.ended for sight in look(laptop.aws, laptop.stack) if sight.key.startswith(folder))

    if not wait_for(lambda: ended() >= photos, 180):
        raise RuntimeError(f"Only {ended()} of {photos} photos ended. {laptop.aws.last_words(40)}")


def _added(laptop: Laptop, job_id: str) -> float:
    """From the POST until its success was seen, over what Adobe took."""
    item = laptop.aws.client("dynamodb").get_item(
        TableName=laptop.stack.jobs_table, Key={"job_id": {"S": job_id}}, ConsistentRead=True
    )["Item"]
    asks = _plain(item["asks"])
    took = sum(float(ask["finished_at"]) - float(ask["submitted_at"]) for ask in asks.values())
    return took / (_JOB_SECONDS * len(asks)) - 1
