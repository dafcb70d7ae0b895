"""What a thousand photos cost at AWS: everything counted while photos of 12 megapixels went through, times its price.

Counted: transitions in the executions' histories, calls and durations in the functions' reports, bytes of their logs, and
every request to S3, DynamoDB, SQS, EventBridge and Secrets Manager where it leaves a function.

A duration on this machine becomes one on Lambda like so: the processor time is stretched as far as the function's memory
gives it less than one processor, the waiting for answers is kept, and each request to Adobe waits longer by what loopback
lacks. Waiting for one of this machine's few processors is left out.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cleanplate.rate_limit.limits import RateLimits
from cleanplate.steps.request_mask import TRACED_IN
from local.demo.job_watcher import look
from local.demo.photographs import photograph
from local.embedded_aws.deploy import Stack
from local.stack import LocalCloud
from tests.benchmarks import prices, simulate_rate_limit
from tests.benchmarks.bench_imports import LAYER
from tests.benchmarks.burst import keys, plain_started, started, upload
from tests.benchmarks.figures import Figure, Table, at_most, stated
from tests.benchmarks.histories import (
    Calls,
    function_calls,
    noted_requests,
    processor_by_function,
    transitions,
)
from tests.benchmarks.watching import told_apart, wait_for

#: Adobe's own limit, jobs of five seconds; the queue is long enough for photos to be received several times.
_PER_MINUTE = 60
_JOB_SECONDS = 5.0
_MEGAPIXELS = 12
_LANES = 8
#: Seconds between two photos where no limit spaces them: making the stand-in's pictures takes this machine's time.
_PAUSE = 6.0
_MAX = 0.30
#: Two jobs, and what else is asked about them; two for each is what cannot be less.
_MAX_REQUESTS = 4.2
#: Seconds that an answer of Adobe's takes over the internet, and not on loopback. Assumed, not measured.
_ADOBE_LATENCY = 0.3
_WAITING = (10_000, 100_000)
_ADMITTING = "AdmitPhotosFunction"
#: Of each class and route the first page, and the lease.
_READS_OF_A_LOOK = 5.0
#: Seconds of request_mask that a photo takes that is looked at in one call and let in in another, more than in one.
_SECOND_CALL = 0.15
_TRANSITIONS = "Step Functions"
_HERE = Path(__file__).parent


@dataclass
class Bill:
    """Items with their dollars and quantities; all for so many photos that were dropped, of which some were cleaned."""

    photos: int
    cleaned: int
    items: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, name: str, price: prices.Price, quantity: float) -> None:
        """One item."""
        dollars, before = self.items.get(name, (0.0, 0.0))
        self.items[name] = dollars + price.of(quantity), before + quantity

    def per_thousand(self, name: str) -> float:
        """Dollars."""
        return 1000 * self.items.get(name, (0.0, 0.0))[0] / max(1, self.photos)

    def per_photo(self, name: str) -> float:
        """Quantity."""
        return self.items.get(name, (0.0, 0.0))[1] / max(1, self.photos)

    @property
    def total(self) -> float:
        """Dollars for a thousand photos."""
        return sum(self.per_thousand(name) for name in self.items)


@dataclass(frozen=True, slots=True)
class Measured:
    """A bill, and what is told beside it."""

    bill: Bill
    functions: Mapping[str, tuple[Calls, float, int]]
    gigabytes_out: float
    receives: float
    per_receive: float
    calls: Mapping[str, float]


def run(quick: bool = False) -> Table:
    """Itemised, beside the plain design at the same limits, and where it has all the room it wants."""
    photos = 6 if quick else 24
    # 4000 x 3000: the plain design cannot send anything larger.
    files = told_apart(photograph("coffee").crop((0, 0, 532, 399)).resize((4000, 3000)), photos)
    ours, unhurried = _pipeline(files, _PER_MINUTE), _pipeline(files[:6], None)
    crowded, alone = _plain(files, _PER_MINUTE), _plain(files[:6], None)
    bill = ours.bill
    figures: list[Figure] = []
    for name in sorted(bill.items, key=bill.per_thousand, reverse=True):
        quantity = f"{bill.per_photo(name):,.4g} per photo"
        plain = f"; plain design: $ {crowded.bill.per_thousand(name):.4f}" if name in crowded.bill.items else ""
        figures.append(stated(name, bill.per_thousand(name), "$ per 1000 photos", baseline=quantity + plain))
    figures += [
        at_most(
            "all of AWS, without Adobe",
            bill.total,
            _MAX,
            "$ per 1000 photos",
            baseline=f"plain design: $ {crowded.bill.total:.3f}, and {crowded.bill.cleaned} of {photos} cleaned",
        ),
        at_most(
            "the same with no limit in the way",
            unhurried.bill.total,
            _MAX,
            "$ per 1000 photos",
            baseline=f"{unhurried.bill.per_photo(_TRANSITIONS):.4g} transitions per photo instead of "
            f"{bill.per_photo(_TRANSITIONS):.4g}; plain design: $ {alone.bill.total:.3f}",
        ),
    ]
    figures.append(at_most("requests to Adobe", _requests(ours), _MAX_REQUESTS, "a photo"))
    figures += _beside(ours, photos)
    for logical_id, (calls, billed, memory) in ours.functions.items():
        if calls.invocations:
            mean = 1000 / calls.invocations
            figures.append(
                stated(
                    f"{logical_id}, {memory} MB",
                    1000 * prices.GB_SECOND.of(billed * memory / 1024) / photos,
                    "$ per 1000 photos",
                    baseline=f"{billed * mean:.0f} ms a call; {calls.invocations} calls of {calls.seconds * mean:.0f} ms here, "
                    f"{calls.processor * mean:.0f} ms of it processor time",
                )
            )
    figures += [stated(name, quantity, "units per photo") for name, quantity in sorted(ours.calls.items())]
    return Table(
        f"Cost per 1000 photos of {_MEGAPIXELS} megapixels",
        tuple(figures),
        (
            f"Prices: {prices.PUBLISHED}.",
            f"{photos} photos at once at {_PER_MINUTE} requests a minute, polls counted, jobs of {_JOB_SECONDS:g} s.",
            f"{_ADOBE_LATENCY:g} s of waiting are added for each request to Adobe (assumed). Calls are warm, as they are at this pace.",
            "Fixed for a month and left out: secret 0.40, alarm 0.10, custom metrics 0.30 each, empty polls about 0.30.",
        ),
    )


def _requests(measured: Measured) -> float:
    return sum(quantity for name, quantity in measured.calls.items() if ": adobe " in name)


def _beside(ours: Measured, photos: int) -> list[Figure]:
    waiting = [
        at_most(
            f"with {count:,} photos waiting",
            (bill := _with_many(ours, photos, count)).total,
            _MAX,
            "$ per 1000 photos",
            baseline=f"$ {bill.total - ours.bill.total:+.4f} beside the {photos} that were measured (room and slots simulated)",
        )
        for count in _WAITING
    ]
    return [
        *waiting,
        stated(
            "data out to Adobe, the same in any design",
            1000 * prices.GB_OUT.of(ours.gigabytes_out) / photos,
            "$ per 1000 photos",
            baseline=f"{1000 * ours.gigabytes_out / photos:.1f} MB per photo; nothing below 100 GB a month",
        ),
    ]


def _with_many(ours: Measured, photos: int, waiting: int) -> Bill:
    """The measured bill, and what a room of so many adds to it for each photo.

    Every one of them waits, which a few of those measured did not: a message to be let in, a second call of request_mask,
    the writes to come and to go. How often the room is looked into and for how long, and the writes for room and
    slots, are those of a simulated room of so many less those of a simulated room of the measured number.
    """
    few, many = _simulated(photos), _simulated(waiting)
    went_at_once = 1 - ours.calls.get(f"{_ADMITTING}: sqs SendMessageBatch", 0.0)
    looks = many.looks / waiting - few.looks / photos
    admitting = (many.last_mask - many.photos[0].born) / waiting - (few.last_mask - few.photos[0].born) / photos
    bill = Bill(
        1, 1, {name: (ours.bill.per_thousand(name) / 1000, ours.bill.per_photo(name)) for name in ours.bill.items}
    )
    bill.add("DynamoDB, writes", prices.WRITE_UNIT, many.writes / waiting - few.writes / photos + 5 * went_at_once)
    bill.add("DynamoDB, reads", prices.READ_UNIT, _READS_OF_A_LOOK * looks)
    bill.add("SQS", prices.SQS, 4 * went_at_once)
    bill.add("Lambda, requests", prices.INVOCATION, went_at_once)
    memory = ours.functions[_ADMITTING][2] / 1024
    bill.add("Lambda, duration", prices.GB_SECOND, memory * admitting + 1.75 * _SECOND_CALL * went_at_once)
    return bill


def _simulated(waiting: int) -> simulate_rate_limit.Run:
    limits = RateLimits(per_minute=_PER_MINUTE, per_day=None, polls_count=True)
    return simulate_rate_limit.Run(limits, simulate_rate_limit._photos(waiting)).go()


def _pipeline(files: list[bytes], limit: int | None) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PYTHONPATH": f"{_HERE / 'counting'}:{LAYER}", "COUNT_REQUESTS_IN": folder}
        with started(
            limit or 6000, polls_count=bool(limit), duration=_JOB_SECONDS, lanes=_LANES, environment=environment
        ) as cloud:
            # The warm-up's last reports are still on their way into the logs.
            time.sleep(2)
            for path in Path(folder).iterdir():
                path.unlink()
            return _measure(cloud, files, Path(folder), 0.0 if limit else _PAUSE)


def _measure(cloud: LocalCloud, files: list[bytes], folder: Path, pause: float) -> Measured:
    aws, stack = cloud.aws, cloud.stack
    began, used = int(time.time() * 1000), processor_by_function(aws)
    upload(aws, stack, "cost", files, pause)

    def ended() -> int:
        aws.check()
        return sum(snapshot.ended for snapshot in look(aws, stack) if snapshot.key.startswith("cost/"))

    wait_for(lambda: ended() >= len(files), 120 + 10 * len(files), every=2.0)
    time.sleep(2)
    jobs = [
        snapshot.job_id
        for snapshot in look(aws, stack)
        if snapshot.key.startswith("cost/") and snapshot.status == "cleaned"
    ]
    calls = function_calls(aws, stack.functions, began, used)
    noted = noted_requests(folder)
    bill = Bill(len(files), len(jobs))
    bill.add(_TRANSITIONS, prices.TRANSITION, sum(transitions(aws, stack, jobs).values()))
    functions = _add_functions(bill, cloud, calls, noted)
    _add_requests(bill, noted)
    receiving = calls["RequestMaskFunction"]
    # S3's notification; then for each call one receipt and at most one deletion of a batch.
    bill.add("SQS", prices.SQS, len(files) + 2 * receiving.invocations)
    bill.add("X-Ray", prices.TRACE, len(jobs) / TRACED_IN)
    receives = len(files) + sum(line["operation"] == "ChangeMessageVisibility" for line in noted)
    return Measured(
        bill,
        functions,
        _gigabytes_to_adobe(cloud, stack, files),
        receives / max(1, len(jobs)),
        _dollars_of(stack.functions["RequestMaskFunction"], functions["RequestMaskFunction"], noted) / receives,
        _by_call(noted, {name: logical_id for logical_id, name in stack.functions.items()}, len(files)),
    )


def _by_call(noted: list[dict[str, Any]], functions: Mapping[str, str], photos: int) -> dict[str, float]:
    """Write and read units, requests and pauses for each photo, by function, call and kind of item."""
    found: defaultdict[str, float] = defaultdict(float)
    for line in noted:
        what = " ".join(filter(None, (line["service"], line["operation"], line.get("item", ""))))
        units = line.get("write_units", line.get("read_units", line["seconds"] if line["service"] == "pause" else 1))
        found[f"{functions.get(line['function'], line['function'])}: {what}"] += units / photos
    return dict(found)


def _add_functions(
    bill: Bill, cloud: LocalCloud, calls: Mapping[str, Calls], noted: list[dict[str, Any]]
) -> dict[str, tuple[Calls, float, int]]:
    functions = {}
    for logical_id, one in calls.items():
        name = cloud.stack.functions[logical_id]
        memory = cloud.aws.client("lambda").get_function_configuration(FunctionName=name)["MemorySize"]
        mine = [line for line in noted if line["function"] == name]
        waited = sum(line["seconds"] for line in mine)
        billed = _billed_seconds(one, waited, memory, sum(line["service"] in {"adobe", "link"} for line in mine))
        functions[logical_id] = one, billed, memory
        _add_calls(bill, one, billed, memory)
    return functions


def _add_calls(bill: Bill, calls: Calls, billed: float, memory: int) -> None:
    bill.add("Lambda, duration", prices.GB_SECOND, billed * memory / 1024)
    bill.add("Lambda, requests", prices.INVOCATION, calls.invocations)
    bill.add("CloudWatch Logs", prices.LOG_GB, calls.log_bytes / 1e9)


def _billed_seconds(calls: Calls, waited: float, memory: int, to_adobe: int) -> float:
    """What Lambda would charge for; ``waited`` are the seconds in which an answer was awaited."""
    stretch = max(1.0, prices.MEGABYTES_OF_ONE_PROCESSOR / memory)
    # Where the machine does not tell, all of the time is taken for processor time, which is the dearest it can be.
    processor = min(calls.processor, calls.seconds) if calls.processor > 0 else calls.seconds
    return min(waited, calls.seconds) + processor * stretch + _ADOBE_LATENCY * to_adobe


def _add_requests(bill: Bill, noted: list[dict[str, Any]]) -> None:
    for line in noted:
        service, operation = line["service"], line["operation"]
        if service == "s3":
            reads = operation.startswith(("Get", "Head"))
            bill.add("S3, reads" if reads else "S3, writes", prices.S3_READ if reads else prices.S3_WRITE, 1)
        elif service == "dynamodb":
            bill.add("DynamoDB, writes", prices.WRITE_UNIT, line.get("write_units", 0))
            bill.add("DynamoDB, reads", prices.READ_UNIT, line.get("read_units", 0))
        elif service == "sqs":
            bill.add("SQS", prices.SQS, 1)
        elif service == "events":
            bill.add("EventBridge", prices.EVENT, 1)
        elif service == "secretsmanager":
            bill.add("Secrets Manager", prices.SECRET_READ, 1)
    # Adobe reads the photo for the mask, and photo and mask for the fill.
    bill.add("S3, reads", prices.S3_READ, 3 * bill.photos)


def _dollars_of(name: str, measured: tuple[Calls, float, int], noted: list[dict[str, Any]]) -> float:
    calls, billed, memory = measured
    alone = Bill(0, 0)
    _add_calls(alone, calls, billed, memory)
    _add_requests(alone, [line for line in noted if line["function"] == name])
    alone.add("SQS", prices.SQS, 2 * calls.invocations)
    return sum(dollars for dollars, _ in alone.items.values())


def _gigabytes_to_adobe(cloud: LocalCloud, stack: Stack, files: list[bytes]) -> float:
    """The photos for the masks; for the fills the windows, or once more the photo where it is sent as it is."""
    pages = cloud.aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=stack.work_bucket)
    kept = {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}
    ours = {snapshot.job_id for snapshot in look(cloud.aws, stack) if snapshot.key.startswith("cost/")}
    mine = {key: size for key, size in kept.items() if any(job_id in key for job_id in ours)}
    sent = sum(size for key, size in mine.items() if "/window-" in key or "window-" in Path(key).name)
    images = sum("window-" in Path(key).name and not key.endswith(".mask.png") for key in mine)
    photos = sum(map(len, files))
    return (photos + sent + (photos if not images else 0)) / 1e9


def _plain(files: list[bytes], limit: int | None) -> Measured:
    more: dict[str, Any] = {"duration": _JOB_SECONDS} | ({"limits": False} if limit is None else {})
    with plain_started(limit or _PER_MINUTE, polls_count=True, **more) as (aws, stack, service):
        time.sleep(2)
        began, used = int(time.time() * 1000), processor_by_function(aws)
        upload(aws, stack, "cost", files, 0.0 if limit else _PAUSE)
        wait_for(lambda: len(keys(aws, stack.results_bucket, "cost/")) >= len(files), 240)
        time.sleep(2)
        cleaned = len(keys(aws, stack.results_bucket, "cost/"))
        calls = function_calls(aws, stack.functions, began, used)["CleanPhotoFunction"]
        requests = sum(sum(statuses.values()) for statuses in service.counters()["requests"].values())
        memory = aws.client("lambda").get_function_configuration(FunctionName=stack.functions["CleanPhotoFunction"])
    bill = Bill(len(files), cleaned)
    billed = _billed_seconds(calls, calls.seconds, memory["MemorySize"], requests)
    _add_calls(bill, calls, billed, memory["MemorySize"])
    bill.add("S3, writes", prices.S3_WRITE, cleaned)
    # Adobe reads the photo twice.
    bill.add("S3, reads", prices.S3_READ, 2 * cleaned)
    functions = {"CleanPhotoFunction": (calls, billed, memory["MemorySize"])}
    return Measured(bill, functions, 2 * sum(map(len, files)) / 1e9, 1.0, math.nan, {})
