"""Many photos at once into the project's own stack, and into the plain design, with Adobe's limits enforced.

The limit's window is the real minute; its number is such that this machine is not the limit: one photo a second. Waits
and jobs take the time that they take.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.adobe import Settings, StandIn
from local.demo.job_watcher import look
from local.embedded_aws.deploy import Stack, deploy
from local.embedded_aws.server import EmbeddedAws
from local.stack import LocalCloud
from tests.benchmarks.figures import Figure, Table, at_least, at_most, stated
from tests.benchmarks.watching import FILL, MASK, Watch, bought_twice, small_photos, wait_for

PLAIN = Path(__file__).parent / "plain" / "template.yaml"
PHOTOS = 160
#: Photos a second that the limits allow; the rate per minute follows from the requests that count.
PHOTOS_PER_SECOND = 1.0
#: Most of them wait for Adobe's answer; how many do is not to be what limits the burst.
LANES = 24
#: The plain design waits inside its function, so it has to have many at a time to get anywhere.
PLAIN_LANES = 48
_WARM_UP = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one burst."""

    photos: int
    limit: int
    seconds: float
    per_minute: float
    busy: float
    processor: float
    our_processor: float
    requests: int
    refused: int
    cleaned: int
    missing: int
    bought_twice: int
    disagreements: int
    dead_letters: int

    @property
    def refused_share(self) -> float:
        """429 answers among all requests."""
        return self.refused / self.requests if self.requests else 0.0


def run(quick: bool = False) -> Table:
    """Both designs, with polls that count and with polls that do not."""
    photos = 40 if quick else PHOTOS
    figures: list[Figure] = []
    notes: list[str] = []
    for polls_count in (False,) if quick else (False, True):
        title = "polls count" if polls_count else "polls do not count"
        limit = round(PHOTOS_PER_SECOND * 60 * (4 if polls_count else 2))
        ours, plain = pipeline(photos, limit, polls_count=polls_count), plain_design(photos, limit, polls_count)
        figures += _figures(title, ours, plain)
        notes.append(
            f"{title}: {limit} requests a minute; {ours.busy:.0f} s with photos waiting, {ours.our_processor:.2f} processors "
            f"in use for it then, {ours.processor:.2f} of {os.cpu_count()} by everything on this machine; {LANES} functions "
            f"at a time, {PLAIN_LANES} for the plain design."
        )
    return Table(f"Burst: {photos} photos at once", tuple(figures), tuple(notes))


def _figures(title: str, ours: Outcome, plain: Outcome) -> list[Figure]:
    def beside(value: float, digits: int = 0) -> str:
        return f"plain design: {value:.{digits}f}"

    return [
        at_least(
            f"{title}: throughput",
            ours.per_minute,
            round(0.95 * ours.limit, 1),
            "requests/min",
            baseline=f"the limit is {ours.limit}; " + beside(plain.per_minute),
        ),
        at_most(
            f"{title}: answers with 429",
            100 * ours.refused_share,
            1,
            "% of requests",
            baseline=beside(100 * plain.refused_share, 1),
        ),
        at_most(f"{title}: photos lost", ours.missing, 0, "photos", baseline=beside(plain.missing)),
        at_most(f"{title}: jobs bought twice", ours.bought_twice, 0, "jobs", baseline=beside(plain.bought_twice)),
        at_most(f"{title}: records that disagree with Adobe's counters", ours.disagreements, 0, "photos"),
        at_most(f"{title}: dead letters", ours.dead_letters, 0, "messages"),
        stated(
            f"{title}: until the last result",
            ours.seconds,
            "s",
            baseline=f"{beside(plain.seconds)} s, with {plain.cleaned} of {plain.photos} cleaned",
            over=plain.seconds,
        ),
        stated(
            f"{title}: requests per photo cleaned",
            ours.requests / max(1, ours.cleaned),
            "requests",
            baseline=beside(plain.requests / max(1, plain.cleaned), 1),
            over=plain.requests / max(1, plain.cleaned),
        ),
    ]


def stand_in(limit: int, *, polls_count: bool, **more: Any) -> Settings:
    """Adobe with another number in the same minute."""
    return Settings(
        port=0,
        allow_loopback=True,
        quiet=True,
        pixels="fast",
        requests_per_minute=limit,
        requests_per_day=150 * limit,
        count_polls=polls_count,
        **more,
    )


@contextmanager
def started(
    limit: int,
    *,
    polls_count: bool,
    lanes: int = LANES,
    environment: Mapping[str, str] | None = None,
    **more: Any,
) -> Iterator[LocalCloud]:
    """The project's own template, warmed up; ``more`` are settings of the stand-in."""
    with LocalCloud(
        adobe=stand_in(limit, polls_count=polls_count, **more),
        speed=1.0,
        lanes=lanes,
        environment=environment,
        parameters={
            "RequestsPerMinute": str(limit),
            "RequestsPerDay": str(150 * limit),
            "CountPolls": "true" if polls_count else "false",
        },
    ) as cloud:
        upload(cloud.aws, cloud.stack, "warm", small_photos(_WARM_UP))
        if not wait_for(lambda: sum(snapshot.ended for snapshot in look(cloud.aws, cloud.stack)) >= _WARM_UP, 120):
            raise RuntimeError(f"The stack does not clean photos. {cloud.aws.last_words(40)}")
        adobe(cloud).clear_counters()
        yield cloud


def adobe(cloud: LocalCloud) -> StandIn:
    """The stand-in, which is always there."""
    if cloud.stand_in is None:
        raise RuntimeError("This stack has no stand-in.")
    return cloud.stand_in


def upload(aws: EmbeddedAws, stack: Stack, folder: str, files: list[bytes], pause: float = 0.0) -> None:
    """Everything at once, or one after another with a pause in between."""
    s3 = aws.client("s3")

    def put(number: int) -> None:
        s3.put_object(Bucket=stack.uploads_bucket, Key=f"{folder}/{number:05}.jpg", Body=files[number])

    if pause:
        for number in range(len(files)):
            put(number)
            time.sleep(pause)
        return
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(len(files))))


def pipeline(photos: int, limit: int, *, polls_count: bool) -> Outcome:
    """The project's own template."""
    files = small_photos(_WARM_UP + photos)[_WARM_UP:]
    with started(limit, polls_count=polls_count) as cloud, Watch(adobe(cloud), cloud.aws) as watch:
        aws, stack = cloud.aws, cloud.stack
        began = time.monotonic()
        upload(aws, stack, "burst", files)

        def all_ended() -> bool:
            aws.check()
            seen = [snapshot for snapshot in look(aws, stack) if snapshot.key.startswith("burst/")]
            return len(seen) >= photos and all(snapshot.ended for snapshot in seen)

        wait_for(all_ended, 120 + 2.5 * photos / PHOTOS_PER_SECOND, every=2.0)
        seconds = time.monotonic() - began
        counters = adobe(cloud).counters()
        sights = [snapshot for snapshot in look(aws, stack) if snapshot.key.startswith("burst/")]
        cleaned = {snapshot.key for snapshot in sights if snapshot.status == "cleaned" and snapshot.ended}
        there = cleaned & keys(aws, stack.results_bucket, "burst/")
        letters = aws.client("sqs").get_queue_attributes(
            QueueUrl=stack.dead_letter_queue_url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return _outcome(
            watch,
            counters,
            photos=photos,
            limit=limit,
            polls_count=polls_count,
            seconds=seconds,
            cleaned=there,
            disagreements=_disagreements(cleaned, counters, f"/{stack.uploads_bucket}/")
            + (len(sights) - len({snapshot.key for snapshot in sights})),
            dead_letters=int(letters["Attributes"]["ApproximateNumberOfMessages"]),
        )


class PatientAws(EmbeddedAws):
    """Starts a failed asynchronous call again after one and after two minutes, as AWS does, instead of at once."""

    def _environment(self) -> dict[str, str]:
        return {
            **super()._environment(),
            "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "60",
            "LAMBDA_ASYNC_RETRY_MAX_SECONDS": "120",
        }


@contextmanager
def plain_started(limit: int, *, polls_count: bool, **more: Any) -> Iterator[tuple[EmbeddedAws, Stack, StandIn]]:
    """The plain design, warmed up."""
    settings = stand_in(limit, polls_count=polls_count, **more)
    with StandIn(settings, where="process") as service, PatientAws(lanes=PLAIN_LANES) as aws:
        parameters = {
            "AdobeClientId": settings.client_id,
            "AdobeClientSecret": settings.client_secret,
            "AdobeApiUrl": service.url,
            "AdobeImsUrl": service.url,
        }
        stack = deploy(aws, parameters, name="plain", template=PLAIN)
        upload(aws, stack, "warm", small_photos(_WARM_UP))
        wait_for(lambda: len(keys(aws, stack.results_bucket, "warm/")) >= _WARM_UP, 120)
        # It keeps no pace of its own, so the minute of the warm-up has to be over.
        time.sleep(61)
        service.clear_counters()
        yield aws, stack, service


def plain_design(photos: int, limit: int, polls_count: bool) -> Outcome:
    """The same photos and the same limits, with a function per upload."""
    files = small_photos(_WARM_UP + photos)[_WARM_UP:]
    with plain_started(limit, polls_count=polls_count) as (aws, stack, service), Watch(service, aws) as watch:
        began = time.monotonic()
        upload(aws, stack, "burst", files)
        quiet: dict[str, float] = {"requests": -1, "since": began, "cleaned": began}

        def over() -> bool:
            counted = sum(sum(statuses.values()) for statuses in service.counters()["requests"].values())
            if counted != quiet["requests"]:
                quiet.update(requests=counted, since=time.monotonic())
            if len(keys(aws, stack.results_bucket, "burst/")) >= photos:
                return True
            # Longer than the longest pause before another attempt.
            return time.monotonic() - quiet["since"] > 130

        wait_for(over, 420, every=1.0)
        cleaned = keys(aws, stack.results_bucket, "burst/")
        last = quiet["since"] if len(cleaned) < photos else time.monotonic()
        return _outcome(
            watch,
            service.counters(),
            photos=photos,
            limit=limit,
            polls_count=polls_count,
            seconds=last - began,
            cleaned=cleaned,
        )


def _outcome(
    watch: Watch,
    counters: Mapping[str, Any],
    *,
    photos: int,
    limit: int,
    polls_count: bool,
    seconds: float,
    cleaned: set[str],
    disagreements: int = 0,
    dead_letters: int = 0,
) -> Outcome:
    pace = watch.pace(photos, polls_count=polls_count)
    requests = {
        status: sum(statuses.get(status, 0) for route, statuses in counters["requests"].items() if "/v1/" in route)
        for status in {status for statuses in counters["requests"].values() for status in statuses}
    }
    return Outcome(
        photos=photos,
        limit=limit,
        seconds=seconds,
        per_minute=pace.per_minute,
        busy=pace.seconds,
        processor=pace.processor,
        our_processor=pace.our_processor,
        requests=sum(requests.values()),
        refused=requests.get("429", 0),
        cleaned=len(cleaned),
        missing=photos - len(cleaned),
        bought_twice=bought_twice(counters, "/burst/"),
        disagreements=disagreements,
        dead_letters=dead_letters,
    )


def _disagreements(cleaned: set[str], counters: Mapping[str, Any], root: str) -> int:
    """Photos that the records call cleaned and of which Adobe did not make one mask and one fill, and the reverse."""
    made = counters["photos"]
    wrong = 0
    for key in cleaned:
        routes = made.get(f"{root}{key}", {})
        wrong += any(routes.get(route, {}).get("jobs") != 1 for route in (MASK, FILL))
    others = [path for path in made if path.startswith(f"{root}burst/") and path.removeprefix(root) not in cleaned]
    return wrong + len(others)


def keys(aws: EmbeddedAws, bucket: str, prefix: str) -> set[str]:
    """The objects that are there, manifests left out."""
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = {item["Key"] for page in pages for item in page.get("Contents", [])}
    return {key for key in found if not key.endswith(".json")}
