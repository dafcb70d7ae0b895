"""Kill functions at every outbound call of theirs: just before it, just after it, and at two of them.

A walk is made once undisturbed, which tells its boundaries, and then once for each of them. A killed process comes back
as AWS brings it: the message when its visibility ends, the step by the state machine's ``Retry``, the rule's call by
Lambda's own two retries. ``judge`` says what was kept and what was not.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any, get_args
from unittest.mock import patch

from PIL import Image

from cleanplate.adobe.routes import ROUTES, FillMaskedAreas
from cleanplate.models import Photo
from cleanplate.steps import fill_masked_areas as filling
from tests.chaos.boundaries import HandledWalk, Moment
from tests.chaos.promises import Verdict, judge, unpublished_folders
from tests.chaos.report import Report
from tests.chaos.world import MakeWalk, logs, world
from tests.integration.steps.walk import mask_bytes, photo_bytes
from tests.stage import UPLOADS, KilledError

#: Where a process dies: at which boundary of the walk, by number, and on which side of it.
Cut = tuple[int, Moment]
#: A scenario's number, and walks through it, each with its cuts.
Share = tuple[int, tuple[tuple[Cut, ...], ...]]
MASK, FILL, STATUS = "POST /v1/mask-objects", "POST /v1/fill-masked-areas", "GET /v1/status/*"


@dataclass(slots=True)
class Knife:
    """Counts boundaries and kills at some of them."""

    cuts: frozenset[Cut] = frozenset()
    passed: list[str] = field(default_factory=list)
    made: int = 0

    def __call__(self, name: str, moment: Moment) -> None:
        if moment == "before":
            self.passed.append(name)
        if (len(self.passed) - 1, moment) in self.cuts:
            self.made += 1
            raise KilledError(f"{moment} {name}")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A walk to be cut short. ``ends``: how each photo may end, sorted, where one process was killed."""

    name: str
    act: Callable[[HandledWalk], object]
    ends: frozenset[tuple[str, ...]]
    uploads: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    pixel_limit: int | None = None
    #: The functions that are killed; none means all.
    functions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Walked:
    """What became of one walk."""

    verdict: Verdict
    passed: tuple[str, ...]
    ends: tuple[str, ...]
    cuts_made: int


def _upload(walk: HandledWalk, key: str = "dog.jpg", content: bytes | None = None, **metadata: str) -> Photo:
    return walk.stage.upload(key, PHOTO if content is None else content, **metadata)


def _clean(walk: HandledWalk, key: str = "dog.jpg", content: bytes | None = None, **metadata: str) -> Photo:
    photo = _upload(walk, key, content, **metadata)
    walk.publish(photo)
    walk.execute()
    return photo


def _own_mask(walk: HandledWalk) -> None:
    _upload(walk, "dog.mask.png", MASK_OF_TWO)
    _clean(walk, "dog.jpg", WIDE)


def _failing(walk: HandledWalk, route: str, action: Any) -> None:
    walk.adobe.add_rules({"route": route, "fault": action})
    _clean(walk)


def _waits(walk: HandledWalk) -> None:
    """Meet too many requests, an outage, a lost answer, a job that is not ready: every kind of waiting."""
    walk.adobe.add_rules({"route": MASK, "times": 1, "fault": {"do": "too_many_requests", "retry_after": 7}})
    walk.adobe.add_rules({"route": FILL, "times": 1, "fault": {"do": "error", "status": 503}})
    walk.adobe.add_rules({"route": STATUS, "times": 1, "fault": {"do": "status_word", "word": "running"}})
    _clean(walk)


def _again(walk: HandledWalk) -> None:
    """Let the fill fail, and request the photo once more."""
    walk.adobe.add_rules({"route": FILL, "fault": "failed"})
    photo = _clean(walk)
    walk.adobe.clear_rules()
    walk.publish(photo, request_id="r1")
    walk.execute()


def _fault(walk: HandledWalk) -> None:
    """Let S3 not answer once: the message comes back soon."""
    photo, real, faults = _upload(walk), walk.stage.services.storage.look_up, list[str]()

    def look_up(bucket: str, key: str) -> Any:
        if not faults:
            faults.append(key)
            raise ConnectionError("S3 does not answer")
        return real(bucket, key)

    with patch.object(walk.stage.services.storage, "look_up", look_up):
        walk.publish(photo)
    walk.execute()


def _stopped(walk: HandledWalk) -> None:
    """Stop an execution from outside: the rule alone records it."""
    walk.publish(_upload(walk))
    for name, _ in walk.stage.executions():
        walk.ended.add(name)
        walk.report_end(name, "ABORTED")


def _backfill(walk: HandledWalk) -> None:
    """Clean photos that were there before: they are counted, sent, cleaned, and reported."""
    for number in range(2):
        _upload(walk, f"old/{number}.jpg")
    asked = {"bucket": UPLOADS, "prefix": "old/", "confirm": 2}
    given = {"asked": asked, "after": {}, "counted": {}}
    assert _retried(walk, "count_photos", given)["state"] == "confirmed"
    sending: dict[str, Any] = {
        "bucket": UPLOADS,
        "prefix": "old/",
        "after": {},
        "sent": 0,
        "confirm": 2,
        "ahead_hours": 12,
    }
    while (sending := {**sending, **_retried(walk, "send_photos", sending)})["state"] != "sent":
        walk.stage.clock.pass_by(sending["wait_seconds"])
    walk.drain()
    walk.execute()
    report = _retried(walk, "report_progress", {"folder": "old"})
    assert (report["cleaned"], report["waiting"], report["in_work"]) == (2, 0, 0), report


def _retried(walk: HandledWalk, function: str, event: dict[str, Any]) -> dict[str, Any]:
    for _ in range(7):
        try:
            return walk.invoke(function, event)
        except KilledError:
            walk.stage.clock.pass_by(2)
    raise AssertionError(f"{function} was killed seven times")


PHOTO = photo_bytes()
WIDE = photo_bytes(size=(1000, 120))


def _mask_of_two() -> bytes:
    left = Image.open(io.BytesIO(mask_bytes((1000, 120))))
    left.paste(left.crop((40, 20, 80, 60)), (900, 20))
    out = io.BytesIO()
    left.save(out, "PNG")
    return out.getvalue()


MASK_OF_TWO = _mask_of_two()
_CLEANED = frozenset({("cleaned",)})

SCENARIOS = (
    Scenario("plain", _clean, _CLEANED),
    Scenario("own mask, two fills", _own_mask, _CLEANED, pixel_limit=500),
    Scenario("nothing to remove", lambda walk: _clean(walk, remove="zebra"), frozenset({("nothing_to_remove",)})),
    Scenario("refused", lambda walk: _clean(walk, content=b"no photo at all"), frozenset({("NotAPhotoError",)})),
    Scenario("mask failed", lambda walk: _failing(walk, MASK, "failed"), frozenset({("AdobeJobFailedError",)})),
    Scenario(
        "fill refused",
        lambda walk: _failing(walk, FILL, {"do": "respond", "status": 422, "json": {"message": "no"}}),
        frozenset({("RequestRefusedError",)}),
    ),
    Scenario(
        "create-mask, odd key",
        lambda walk: _clean(walk, "a/../dog + cat.jpg", mask_route="create-mask"),
        _CLEANED,
    ),
    Scenario(
        "remove-background, view",
        lambda walk: _clean(walk, "dog.webp", photo_bytes("WEBP"), mask_route="remove-background"),
        _CLEANED,
    ),
    Scenario(
        "every wait",
        _waits,
        # A message that comes back after 18 minutes finds a mask job that still runs after its 15.
        _CLEANED | {("DeadlinePassedError",)},
        settings={"COUNT_POLLS": "true"},
    ),
    Scenario("failed and asked for again", _again, _CLEANED),
    Scenario("fault that passes", _fault, _CLEANED),
    Scenario("stopped", _stopped, frozenset({("ExecutionStoppedError",)})),
    Scenario(
        "backfill",
        _backfill,
        frozenset({("cleaned", "cleaned")}),
        uploads=2,
        functions=frozenset({"count_photos", "send_photos", "report_progress"}),
    ),
)


def walk_once(make: MakeWalk, scenario: Scenario, *cuts: Cut) -> Walked:
    """Make one walk, killed where ``cuts`` say, and judge it."""
    knife = Knife(frozenset(cuts))
    with ExitStack() as stack:
        if scenario.pixel_limit:
            limited = FillMaskedAreas()
            limited.pixel_limit = scenario.pixel_limit
            stack.enter_context(patch.object(filling, "ROUTES", {**ROUTES, limited.name: limited}))
        logged = stack.enter_context(logs())
        settings = {"FOLDER_QUIET_SECONDS": "60", **scenario.settings}
        walk = HandledWalk(make(**settings), knife, only=scenario.functions)
        scenario.act(walk)
        # A request that came to nothing because its function died is made again by nobody else.
        walk.drain()
        walk.execute()
        # Folders that were quiet.
        walk.drain()
        output = logged.getvalue() + json.dumps(walk.answers)
        events = walk.stage.published("")
        verdict = judge(walk, events, uploads=scenario.uploads, logs=output)
        verdict = replace(verdict, breaches=(*verdict.breaches, *unpublished_folders(walk, events)))
        ends = tuple(sorted(str(job.outcome.get("reason", job.status)) for job in walk.stage.jobs()))
    return Walked(verdict, tuple(knife.passed), ends, knife.made)


def cuts_of(passed: tuple[str, ...]) -> list[Cut]:
    """Return both sides of every boundary."""
    return [(number, moment) for number in range(len(passed)) for moment in get_args(Moment)]


def pairs_of(passed: tuple[str, ...], count: int, seed: str) -> list[tuple[Cut, Cut]]:
    """Draw some pairs of places to die; the second is counted in the walk that was cut short before."""
    drawn, cuts = random.Random(seed), cuts_of(passed)
    return [(min(pair), max(pair)) for pair in (tuple(drawn.sample(cuts, 2)) for _ in range(count))]


def wrong_with(scenario: Scenario, walked: Walked, expected: tuple[str, ...], *cuts: Cut) -> str:
    """Return what came of a cut walk that should not have; empty where it is well."""
    if len(cuts) == 1:
        (number, _), extra = cuts[0], walked.verdict.extra_posts
        if walked.passed[: number + 1] != expected[: number + 1]:
            return f"the walk went another way: {walked.passed[max(0, number - 2) : number + 1]}"
        if walked.cuts_made != 1:
            return f"{walked.cuts_made} processes were killed"
        if walked.ends not in scenario.ends:
            return f"it ended as {walked.ends}"
        if extra > 1:
            return f"{extra} POSTs too many"
    return ""


def name_of(scenario: Scenario, passed: tuple[str, ...], *cuts: Cut) -> str:
    """Return the name of a cut walk."""
    where = ", ".join(
        f"{moment} {passed[number] if len(cuts) == 1 or number == cuts[0][0] else f'call {number}'} ({number})"
        for number, moment in cuts
    )
    return f"crash: {scenario.name}: killed {where}"


def run(report: Report, *, quick: bool) -> None:
    """Try every crash point of every scenario; of the quick ones a tenth. Two processes share the work."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=_set_up) as workers:
        plain = list(workers.map(_walk_share, [(number, ((),)) for number in range(len(SCENARIOS))]))
        shares: list[Share] = []
        for number, (((), walked),) in enumerate(plain):
            scenario = SCENARIOS[number]
            wrong = "" if walked.ends in scenario.ends else f"undisturbed it ended as {walked.ends}"
            report.tried("crash points", f"crash: {scenario.name}: undisturbed", walked.verdict, unexpected=wrong)
            singles = [(cut,) for cut in cuts_of(walked.passed)[:: 10 if quick else 1]]
            pairs = pairs_of(walked.passed, 2 if quick else 25, scenario.name)
            cuts: list[tuple[Cut, ...]] = [*singles, *pairs]
            shares += [(number, tuple(cuts[first : first + _SHARE])) for first in range(0, len(cuts), _SHARE)]
        for (number, _), done in zip(shares, workers.map(_walk_share, shares), strict=True):
            expected = plain[number][0][1].passed
            for killed, walked in done:
                report.tried(
                    "crash points",
                    name_of(SCENARIOS[number], expected, *killed),
                    walked.verdict,
                    unexpected=wrong_with(SCENARIOS[number], walked, expected, *killed),
                )


#: Walks that a process makes at a time.
_SHARE = 12
_world = ExitStack()
_makers: list[MakeWalk] = []


def _set_up() -> None:
    # What the functions log goes to nobody; the judge has it from elsewhere.
    _world.enter_context(redirect_stdout(io.StringIO()))
    _makers.append(_world.enter_context(world()))


def _walk_share(share: Share) -> list[tuple[tuple[Cut, ...], Walked]]:
    number, walks = share
    return [(cuts, walk_once(_makers[0], SCENARIOS[number], *cuts)) for cuts in walks]
