"""Play the fault catalogue: one photo's walk for each fault, held against what is expected of it."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from multiprocessing import get_context

from tests.chaos.faults import FAULTS, Expected, Fault
from tests.chaos.promises import Breach, Verdict, judge
from tests.chaos.report import Report
from tests.chaos.world import MakeWalk, Unreachable, impatient, logs, world
from tests.integration.steps.walk import Walk, photo_bytes

PHOTO = photo_bytes()
#: So many faults are played by one process in one go.
_SHARE = 40


def play(make_walk: MakeWalk, fault: Fault) -> tuple[Verdict, str]:
    """Walk one photo with one fault on its way; return the verdict, and what came of it instead of what should have."""
    unreachable = Unreachable(fault.closed, fault.times) if fault.closed else None
    walk = make_walk(unreachable=unreachable, **fault.settings)
    for rule in fault.rules:
        walk.adobe.add_rules(rule)
    with logs() as logged, impatient() if fault.impatient else nullcontext():
        try:
            crashed = walk.publish(walk.stage.upload("dog.jpg", PHOTO, **fault.options))
            walk.execute()
        except AssertionError as error:
            # Deliveries and the machine go round a bounded number of times.
            return Verdict(results=0, failures=0, extra_posts=0, breaches=(Breach("hang", str(error)),)), ""
    verdict = judge(walk, walk.stage.published(), logs=logged.getvalue())
    return verdict, _difference(walk, fault, crashed)


def _difference(walk: Walk, fault: Fault, crashed: Exception | None) -> str:
    if crashed is not None:
        return f"the message ended in {crashed!r}"
    jobs = walk.stage.jobs()
    if len(jobs) != 1:
        return f"there are {len(jobs)} jobs"
    (job,) = jobs
    came = Expected(
        outcome=job.status,  # type: ignore[arg-type]
        paid=sum(walk.jobs_at_adobe().values()),
        reason=str(job.outcome.get("reason", "")),
        possible_duplicate=job.possible_duplicate,
    )
    if came != fault.expected:
        return f"came {came}, expected {fault.expected} ({job.outcome.get('message', '')})"
    if not (fault.closed or all(rule["fired"] for rule in walk.adobe.control("GET", "/stand-in/rules"))):
        return "the fault was never met"
    return ""


def run(report: Report, *, quick: bool) -> None:
    """Play every fault, on two cores; the representative ones where it is to be ``quick``."""
    chosen = [number for number, fault in enumerate(FAULTS) if fault.representative or not quick]
    shares = [chosen[start : start + _SHARE] for start in range(0, len(chosen), _SHARE)]
    with ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn")) as pool:
        for played in as_completed([pool.submit(_play_some, share) for share in shares]):
            for name, verdict, unexpected in played.result():
                report.tried("faults", name, verdict, unexpected=unexpected)


def _play_some(numbers: list[int]) -> list[tuple[str, Verdict, str]]:
    with world() as make_walk:
        return [(FAULTS[number].name, *play(make_walk, FAULTS[number])) for number in numbers]
