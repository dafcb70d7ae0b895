"""Photos with two jobs of five seconds and nothing in their way, in the embedded AWS: transitions, requests, waiting."""

from __future__ import annotations

import statistics

from boto3.dynamodb.types import TypeDeserializer

from local.demo.job_watcher import look
from local.stack import LocalCloud
from tests.benchmarks.burst import adobe, started, upload
from tests.benchmarks.figures import Table, at_most, stated
from tests.benchmarks.histories import transitions
from tests.benchmarks.watching import FILL, MASK, small_photos, wait_for

_JOB_SECONDS = 5.0
#: Photos that come together, and how often: one in seven is asked about once more, which a few photos do not show.
_PHOTOS, _LOTS = 8, 5
_MAX_TRANSITIONS, _MAX_REQUESTS, _MAX_ADDED = 4, 4.2, 0.25

_plain = TypeDeserializer().deserialize


def run(quick: bool = False) -> Table:
    """Waits and jobs unscaled."""
    lots = 1 if quick else _LOTS
    with started(6000, polls_count=False, duration=_JOB_SECONDS) as cloud:
        aws, stack = cloud.aws, cloud.stack
        files = small_photos(200)
        # Durations are observed first: a few photos, in two lots, as they would come on any day.
        for lot in range(2):
            _clean(cloud, f"learn/{lot}", files[100 + _PHOTOS * lot :][:_PHOTOS])
        adobe(cloud).clear_counters()
        for lot in range(lots):
            _clean(cloud, f"walk/{lot}", files[_PHOTOS * lot :][:_PHOTOS])
        jobs = [snapshot.job_id for snapshot in look(aws, stack) if snapshot.key.startswith("walk/")]
        entered = transitions(aws, stack, jobs)
        counters = adobe(cloud).counters()
        added = [_added(cloud, job_id) for job_id in jobs]
    requests = [
        sum(routes.get(route, {}).get(what, 0) for route in (MASK, FILL) for what in ("posts", "polls"))
        for path, routes in counters["photos"].items()
        if "/walk/" in path
    ]
    return Table(
        f"Walk: {_PHOTOS * lots} photos with two jobs of {_JOB_SECONDS:g} s",
        (
            at_most("state transitions, median", statistics.median(entered.values()), _MAX_TRANSITIONS, "transitions"),
            stated("state transitions, most", max(entered.values()), "transitions"),
            at_most("requests per photo, mean", statistics.fmean(requests), _MAX_REQUESTS, "requests"),
            stated("requests per photo, most", max(requests), "requests"),
            at_most("waiting added to Adobe's time, p50", statistics.median(added), _MAX_ADDED, "of Adobe's time"),
            stated("waiting added to Adobe's time, most", max(added), "of Adobe's time"),
        ),
        (f"Embedded AWS, time unscaled; after {2 * _PHOTOS} photos from which the rate limiter learnt.",),
    )


def _clean(cloud: LocalCloud, folder: str, files: list[bytes]) -> None:
    upload(cloud.aws, cloud.stack, folder, files)

    def ended() -> int:
        cloud.aws.check()
        return sum(snapshot.ended for snapshot in look(cloud.aws, cloud.stack) if snapshot.key.startswith(f"{folder}/"))

    if not wait_for(lambda: ended() >= len(files), 180):
        raise RuntimeError(f"Only {ended()} of {len(files)} photos ended. {cloud.aws.last_words(40)}")


def _added(cloud: LocalCloud, job_id: str) -> float:
    """From the POST until its success was seen, over what Adobe took."""
    item = cloud.aws.client("dynamodb").get_item(
        TableName=cloud.stack.jobs_table, Key={"job_id": {"S": job_id}}, ConsistentRead=True
    )["Item"]
    adobe_requests = _plain(item["adobe_requests"])
    took = sum(float(request["finished_at"]) - float(request["submitted_at"]) for request in adobe_requests.values())
    return took / (_JOB_SECONDS * len(adobe_requests)) - 1
