"""Paths of the model, walked by the real functions: each in a thread of its own that waits at every gate.

Only one of them runs at a time, from its gate to the next, so a path of the model is one order of what really happens.
After every step the record, Adobe's count, the buckets, the bus and the gates must be what the model says. The state
machine is the deployed file. Its waits take no time, but each check comes when it is due; a lease ends when whoever held it is
dead.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from unittest.mock import patch

import requests

from cleanplate.adobe.routes import ROUTES
from cleanplate.errors import (
    JobMovedOnError,
    NotReadyError,
    PostponedError,
)
from cleanplate.jobs.ledger import LEASE_SECONDS, Ledger
from cleanplate.jobs.waiting_room import CLASSES, Lease, Waiting, WaitingRoom
from cleanplate.models import TERMINAL, Job
from cleanplate.models import AdobeRequest as OurRequest
from cleanplate.rate_limit.polling import whole_seconds
from cleanplate.services import Services
from cleanplate.steps.check_job import check_job, reserve_fill
from cleanplate.steps.fill_masked_areas import fill_masked_areas
from cleanplate.steps.record_failure import record_failure
from cleanplate.steps.request_mask import request_admitted, request_mask
from cleanplate.steps.save_result import save_result
from cleanplate.uploads.messages import Admitted, Upload
from tests.chaos.protocol import (
    BROKEN_RULES,
    MACHINE,
    RULE,
    AdobeRequest,
    Explored,
    Move,
    World,
    explore,
    moves,
    seen_to_break,
)
from tests.chaos.report import Report
from tests.chaos.world import MakeWalk, logs, world
from tests.integration.steps.walk import Walk, photo_bytes
from tests.machine import Function, Machine
from tests.stage import RESULTS, Clock, KilledError

_POST = "POST /v1/*"
#: Adobe's answers by what the model calls them: each is walked, wherever the model has such an answer.
_ANSWERS: dict[str, list[Any]] = {
    "accepted": [None, {"do": "links", "at": "Location"}, "without_links"],
    "lost": ["lost_answer", "broken_json", "reset_in_body"],
    "refused": [{"do": "error", "status": status} for status in (422, 400, 403)],
    "busy": [
        {"do": "error", "status": 503},
        {"do": "too_many_requests", "retry_after": 7},
        {"do": "error", "status": 502, "shape": "html"},
        {"do": "error", "status": 408},
    ],
}
_STATUS = "GET /v1/status/*"
_WORDS: dict[str, list[Any]] = {
    "pending": [
        {"do": "status_word", "word": "running", "keep_payload": False},
        {"do": "too_many_requests", "retry_after": 2},
        {"do": "status_word", "word": "thinking", "keep_payload": False},
        # Once it may be a mistake of Adobe's, and the job is paid.
        {"do": "error", "status": 403},
    ],
    "succeeded": [None],
    "ended": [
        {"do": "error", "status": 404},
        {"do": "error", "status": 410},
        {"do": "status_word", "word": "failed", "keep_payload": False},
        "without_payload",
    ],
}
_PATIENCE = 30.0
#: What the model begins with.
ANY_PHOTO, TO_APPROVE = World(), World(review=True)
#: Seconds after which the next check of a job is due, and well within a lease.
_TO_BE_DUE = 8.0


class StoppedError(BaseException):
    """The execution was stopped from outside, or the replay is over."""


class Actor(threading.Thread):
    """Be one process: run ``life`` and wait at each gate for its turn."""

    def __init__(self, life: Callable[[Actor], None]) -> None:
        super().__init__(daemon=True)
        self._life = life
        self._go, self._arrived = threading.Semaphore(0), threading.Event()
        self._order = ""
        self.gate = ""
        self.passed: set[str] = set()
        #: Whether it has put its photo into the waiting room.
        self.waits = False
        self.fault: BaseException | None = None

    def run(self) -> None:
        _here.actor = self
        try:
            self._life(self)
        except StoppedError:
            pass
        except BaseException as fault:  # noqa: BLE001 - raised again by whoever conducts
            self.fault = fault
        self.gate = "done"
        self._arrived.set()

    def reach(self, gate: str) -> None:
        """Wait for the next turn; called by the process itself."""
        self.gate = gate
        self._arrived.set()
        self._go.acquire()
        if self._order == "stop":
            raise StoppedError
        if self._order == "kill":
            raise KilledError(gate)

    def begin(self, gate: str) -> None:
        """Call a function: another process, which has passed nothing yet."""
        self.reach(gate)
        self.passed.clear()

    def start_up(self) -> None:
        """Run to the first gate."""
        self.start()
        self._wait()

    def step(self, order: str = "go") -> None:
        """Run to the next gate, or be killed at this one and come back at the first."""
        self._order = order
        self._arrived.clear()
        self._go.release()
        self._wait()

    def _wait(self) -> None:
        assert self._arrived.wait(_PATIENCE), f"stuck after {self.gate}"
        if self.fault:
            raise self.fault


_here = threading.local()


def _at(gate: str, *, once: bool = False) -> None:
    actor: Actor | None = getattr(_here, "actor", None)
    if actor is not None and not (once and gate in actor.passed):
        actor.reach(gate)
        actor.passed.add(gate)


def _before_save(before: Job | None, after: Job) -> None:
    """Stop at the gates of the record: what a write changes shows what it is about."""
    actor: Actor | None = getattr(_here, "actor", None)
    if before is None or actor is None:
        return
    if after.status in TERMINAL and before.status not in TERMINAL:
        # Refused because the job had only moved on within its run, it is written again at once.
        _at("finish", once=True)
    elif after.published and not before.published:
        _at("published")
    elif "post" in actor.passed and after.adobe_requests != before.adobe_requests:
        _at("note", once=True)
    elif any(_has_grown(before, request, "attempts") for request in after.adobe_requests.values()):
        _at("begin", once=True)
    elif any(_has_grown(before, request, "finished_at") for request in after.adobe_requests.values()):
        _at("kept")


def _has_grown(before: Job, request: OurRequest, name: str) -> bool:
    there = before.adobe_requests.get(request.name, OurRequest(request.name))
    return bool(getattr(request, name) > getattr(there, name))


def _watched_save(save: Callable[..., tuple[bool, Job]]) -> Callable[..., tuple[bool, Job]]:
    def watched(ledger: Ledger, before: Job | None, after: Job, now: float) -> tuple[bool, Job]:
        _before_save(before, after)
        return save(ledger, before, after, now)

    return watched


def _before_s3(model: Any, params: dict[str, Any], **_: Any) -> None:
    if model.name == "PutObject" and f"/{RESULTS}/" in params["url"]:
        # A mask that is offered is two pictures, written one after the other.
        _at("manifest") if ".json" in params["url"] else _at("result", once=True)


def _before_events(params: dict[str, Any], **_: Any) -> None:
    if json.loads(params["body"])["Entries"][0]["DetailType"] != "Folder Done":
        _at("event")


def _watched_enter(enter: Callable[..., Lease]) -> Callable[..., Lease]:
    def watched(room: WaitingRoom, job: Job, **named: Any) -> Lease:
        lease = enter(room, job, **named)
        actor: Actor | None = getattr(_here, "actor", None)
        if actor is not None:
            actor.waits = True
        return lease

    return watched


def _before_start(params: dict[str, Any], **_: Any) -> None:
    # That somebody lets photos in is what the gate of the room stands for.
    if not json.loads(params["body"])["name"].startswith("room-"):
        _at("start")


def _watched_send(
    send: Callable[..., requests.Response],
) -> Callable[..., requests.Response]:
    def watched(session: requests.Session, request: requests.PreparedRequest, **named: Any) -> requests.Response:
        url = request.url or ""
        if request.method == "POST" and "/ims/" not in url:
            _at("post")
        elif "/status/" in url:
            _at("ask")
        return send(session, request, **named)

    return watched


def _check(clock: Clock, services: Services, event: dict[str, Any]) -> None:
    clock.pass_by(_TO_BE_DUE)
    job, wait = check_job(event["job_id"], event["step"], services, waited=event["waited"])
    if wait:
        raise NotReadyError(str(whole_seconds(wait)))
    if event["step"] == "mask":
        # A moment that the call waits itself.
        clock.pass_by(reserve_fill(job, services))


class Conductor:
    """Conduct the four processes of the model, with the real functions."""

    def __init__(self, walk: Walk, variant: int = 0, *, review: bool = False) -> None:
        """``variant``: which of Adobe's answers of a kind is given; ``review``: whether the mask is to be approved."""
        self._variant = variant
        self._result = "dog.jpg.preview.jpg" if review else "dog.jpg"
        self._walk, self._stage = walk, walk.stage
        meta = {client: getattr(self._stage, client).meta.events for client in ("s3", "events", "stepfunctions")}
        meta["s3"].register("before-call.s3", _before_s3)
        meta["events"].register("before-call.eventbridge", _before_events)
        meta["stepfunctions"].register("before-call.sfn.StartExecution", _before_start)
        self._photo = self._stage.upload("dog.jpg", photo_bytes(), **({"review": "true"} if review else {}))
        self._events: set[str] = set()
        #: Who has handed the photo to the waiting room, the last one of those who have.
        self._stays: Actor | None = None
        self.actors: dict[int, Actor] = {}
        for who in range(2):
            self._enter(who, self._deliver)

    def _enter(self, who: int, life: Callable[[Actor], None]) -> None:
        self.actors[who] = Actor(life)
        self.actors[who].start_up()

    # --- lives ---

    def _deliver(self, actor: Actor) -> None:
        services = self._stage.services
        handle: Callable[[], None] = partial(request_mask, Upload(self._photo), services)
        while True:
            try:
                actor.begin("claim")
                actor.waits = False
                handle()
            except (PostponedError, JobMovedOnError, KilledError):
                continue
            if not actor.waits:
                return
            self._wait_in_the_room(actor)
            handle = partial(request_admitted, Admitted(self._stage.only_job().job_id, services.clock()), services)

    def _wait_in_the_room(self, actor: Actor) -> None:
        self._stays = actor
        while True:
            try:
                actor.reach("room")
            except KilledError:
                continue
            break
        for photo in self._waiting():
            self._stage.services.room.leave(photo)

    def _waiting(self) -> list[Waiting]:
        return [photo for route in ROUTES for photo in self._stage.services.room.photos(CLASSES[1], route)]

    def _gate(self, who: int) -> str:
        actor = self.actors.get(who)
        if actor is None:
            return "idle"
        if actor.gate == "room" and (actor is not self._stays or not self._waiting()):
            # Another delivery's stay, or a write, has ended this one.
            return "done"
        return actor.gate

    def _execute(self, actor: Actor) -> None:
        def function(gate: str, call: Function) -> Function:
            def called(event: dict[str, Any]) -> Mapping[str, Any] | None:
                actor.begin(gate)
                return call(event)

            return called

        services = self._stage.services
        functions = {
            "CheckJobFunction": function("check", partial(_check, self._stage.clock, services)),
            "FillMaskedAreasFunction": function("fill", lambda event: fill_masked_areas(event["job_id"], services)),
            "SaveResultFunction": function("save", lambda event: save_result(event["job_id"], services)),
            "RecordFailureFunction": function(
                "record", lambda event: record_failure(event["execution"], event["error"], event["cause"], services)
            ),
        }
        machine = Machine(functions, wait=lambda _: None, clock=self._stage.clock)
        ((name, start),) = self._stage.executions()
        ended = machine.run(name, start)
        self._failed = ended.status != "SUCCEEDED"

    def _record(self, actor: Actor) -> None:
        while True:
            try:
                actor.begin("record")
                name = self._stage.only_job().execution_name
                record_failure(name, "ExecutionStoppedError", "ABORTED", self._stage.services)
            except KilledError:
                continue
            return

    # --- steps ---

    def step(self, move: Move) -> None:
        """Make one step of the model, by the real process."""
        actor = self.actors[move.who]
        self._prepare(move)
        if move.word == "stopped":
            actor.step("stop")
            self._enter(RULE, self._record)
            return
        actor.step("kill" if move.word == "killed" else "go")
        self._walk.adobe.clear_rules()
        if move.word == "killed" and move.gate in {"post", "note"}:
            # The lease of the one that is dead ends; nobody else has one.
            self._stage.clock.pass_by(LEASE_SECONDS)
        if move.gate == "note" and move.word == "lost":
            self._stage.clock.pass_by(6)
        if move.gate == "note" and move.word == "busy":
            # The patience that Adobe asks for; well within another call's lease.
            self._stage.clock.pass_by(60)
        if MACHINE not in self.actors and self._stage.executions():
            self._failed = False
            self._enter(MACHINE, self._execute)
        if move.who == MACHINE and actor.gate == "done" and self._failed:
            self._enter(RULE, self._record)

    def _prepare(self, move: Move) -> None:
        if move.word == "killed":
            return
        if move.gate == "post":
            self._rule(_POST, _ANSWERS[move.word])
        if move.gate == "ask":
            self._walk.settle()
            if move.word == "ended":
                # A job that Adobe does not know passes for a delay so long; well within another call's lease.
                self._stage.clock.pass_by(60)
            self._rule(_STATUS, _WORDS[move.word])

    def _rule(self, route: str, actions: list[Any]) -> None:
        action = actions[self._variant % len(actions)]
        if action is not None:
            self._walk.adobe.add_rules({"route": route, "times": 1, "fault": action})

    # --- looking ---

    def differs_from(self, world: World) -> str:
        """Return what is other than the model says; empty where nothing is."""
        jobs = self._stage.jobs()
        job = jobs[0] if jobs else None
        self._events |= {event["Detail"]["outcome"] for event in self._stage.published()}
        paid = self._walk.jobs_at_adobe()
        results = self._stage.results()
        manifest = json.loads(results["dog.jpg.json"])["outcome"] if "dog.jpg.json" in results else ""
        adobe_requests = {}
        for name, route in (("mask", "mask-objects"), ("fill", "fill-masked-areas")):
            kept = job.adobe_requests.get("mask" if name == "mask" else "fill-1") if job else None
            adobe_requests[name] = (
                AdobeRequest(kept.attempts, min(kept.refusals, 1), kept.adobe_job is not None, kept.finished_at > 0)
                if kept
                else AdobeRequest()
            )._replace(paid=paid.get(route, 0))
        found = {
            "status": job.status if job else "none",
            **adobe_requests,
            "result": self._result in results,
            "manifest": manifest,
            "events": frozenset(self._events),
            "published": bool(job and job.published),
            "gates": tuple(self._gate(who) for who in range(4)),
        }
        expected = {name: getattr(world, name) for name in found if name != "gates"}
        expected["gates"] = tuple(process.gate for process in world.processes)
        return "; ".join(
            f"{name}: {found[name]} and not {expected[name]}" for name in found if found[name] != expected[name]
        )

    def leave(self) -> None:
        """End every process where it stands."""
        for actor in self.actors.values():
            if actor.is_alive():
                actor.step("stop")


def variants(way: tuple[Move, ...]) -> int:
    """Return in how many ways Adobe can give the answer that a path ends with."""
    last = way[-1]
    answers = {"post": _ANSWERS, "note": _ANSWERS, "ask": _WORDS}.get(last.gate, {})
    return len(answers.get(last.word, [None]))


def replay(make: MakeWalk, way: tuple[Move, ...], variant: int = 0, *, start: World = ANY_PHOTO) -> str:
    """Walk one path; return what the functions did instead where they leave it."""
    world = start
    walk = make(MASK_DEADLINE_SECONDS="3600", FILL_DEADLINE_SECONDS="3600")
    with (
        patch.object(requests.Session, "send", _watched_send(requests.Session.send)),
        patch.object(Ledger, "_save", _watched_save(Ledger._save)),
        patch.object(WaitingRoom, "enter", _watched_enter(WaitingRoom.enter)),
    ):
        conductor = Conductor(walk, variant, review=start.review)
        try:
            for number, move in enumerate(way):
                world = next(after for candidate, after in moves(world) if candidate == move)
                conductor.step(move)
                if wrong := conductor.differs_from(world):
                    walked = " / ".join(one.kind for one in way[: number + 1])
                    return f"after {walked}: {wrong}"
        finally:
            conductor.leave()
    return ""


def run(report: Report, *, quick: bool) -> None:
    """Explore the whole model and its broken twins, and replay each kind of step through the real functions, with each answer of its kind."""
    found = {start: explore(start) for start in (ANY_PHOTO, TO_APPROVE)}
    report.counts["model states"] = sum(explored.states for explored in found.values())
    report.counts["model steps"] = sum(explored.steps for explored in found.values())
    wrong = "; ".join(each for explored in found.values() for each in explored.wrong[:3])
    report.checked("model checks", "model: every promise in every state", wrong=wrong)
    for name, rules in BROKEN_RULES.items():
        wrong = "" if seen_to_break(rules) else "the model sees nothing wrong"
        report.checked("model checks", f"model with a bug: {name}", wrong=wrong)
    with world() as make, logs():
        for start, kind, way in _paths(found)[:: 10 if quick else 1]:
            for variant in range(1 if quick else variants(way)):
                name = f"model against the functions: {kind} ({variant}){', to approve' if start.review else ''}"
                report.checked("model paths", name, wrong=replay(make, way, variant, start=start))


def _paths(found: Mapping[World, Explored]) -> list[tuple[World, str, tuple[Move, ...]]]:
    """Return each kind of step once: of photos to approve, those at the machine alone, where they go another way."""
    kinds = [(ANY_PHOTO, kind, way) for kind, way in sorted(found[ANY_PHOTO].ways.items())]
    return kinds + [
        (TO_APPROVE, kind, way)
        for kind, way in sorted(found[TO_APPROVE].ways.items())
        if not kind.startswith("delivery") or "over" in kind
    ]
