"""Model how one photo's calls work on one record; the model is walked exhaustively, and held to the real functions.

Two deliveries of the same notification, the state machine and the rule on its end take turns in every order; Adobe answers in
every way; any process may be killed between any two effects, and the execution may be stopped from outside. The three
promises are checked in every state, and from every state there must be a way to an end that was published. A photo
whose mask is to be approved ends, here, with the mask; its approval is another run.

A step is all that a process does from one *gate* to the next. The gates are the effects that others can see: the intent,
the POST, its record, the start of the execution, the result, the end, the manifest, the event, the note that it is out.
A delivery that must wait hands its photo to the waiting room and is done with; at the gate *room* a delivery stands for
that stay, of which a photo has one: who enters later takes it over, and every write to a photo in work ends it.
A lease outlives whoever holds it and ends after that, so an intent without a job bars others just as long as its
process lives. :mod:`tests.chaos.model` walks paths of this model through the real functions, gate by gate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from cleanplate.jobs.ledger import MAX_ATTEMPTS

Gate = Literal[
    "idle", "claim", "room", "begin", "post", "note", "start", "check", "ask", "kept", "fill", "save", "result", "record",
    "finish", "manifest", "event", "published", "done",
]  # fmt: skip
Status = Literal["none", "claimed", "masking", "filling", "cleaned", "mask_ready", "failed"]
OVER = frozenset({"cleaned", "mask_ready", "failed"})
#: What a POST can come to, and what it leaves to be noted. ``busy`` is a 429, an outage, a refused connection.
POSTED = ("accepted", "lost", "refused", "busy")
#: What Adobe says of a job; ``ended`` is failed, gone, unreadable or past its deadline: each ends the photo by name.
ASKED = ("pending", "succeeded", "ended")


class AdobeRequest(NamedTuple):
    """One paid request as the record has it, and the jobs that Adobe was paid for."""

    attempts: int = 0
    refusals: int = 0
    job: bool = False
    finished: bool = False
    paid: int = 0


class Process(NamedTuple):
    """Where a process stands. ``aim``: how it would end the photo; ``answer``: what its POST came to; ``seen``: the
    record's status and the request's attempts as it has read them; ``name``: the request it is about."""

    gate: Gate = "idle"
    name: str = "mask"
    aim: str = ""
    answer: str = ""
    seen: tuple[str, int] = ("", 0)


class World(NamedTuple):
    """Everything at one moment. ``processes``: two deliveries, the machine, the rule; ``review``: whether the mask is to
    be approved before it is filled."""

    status: Status = "none"
    mask: AdobeRequest = AdobeRequest()
    fill: AdobeRequest = AdobeRequest()
    result: bool = False
    manifest: str = ""
    events: frozenset[str] = frozenset()
    published: bool = False
    processes: tuple[Process, ...] = (Process("claim"), Process("claim"), Process(), Process())
    kills: int = 1
    stops: int = 1
    pendings: int = 1
    review: bool = False


MACHINE, RULE = 2, 3


class Move(NamedTuple):
    """One step: who, from which gate, with what answer or end; ``kind`` names it whatever else the world is like."""

    who: int
    gate: str
    word: str

    @property
    def kind(self) -> str:
        actor = ("delivery", "delivery", "machine", "rule")[self.who]
        return f"{actor}: {self.gate}: {self.word}"


@dataclass(frozen=True)
class Rules:
    """The protocol; each switch turned off is a bug, and the model must say so."""

    writes_intent: bool = True
    claims_conditionally: bool = True
    finishes_conditionally: bool = True
    publishes_before_noting: bool = True
    waits_for_approval: bool = True


_START = World()
_SOUND = Rules()


def moves(world: World, rules: Rules = _SOUND) -> Iterator[tuple[Move, World]]:
    """Yield every step that may come next."""
    for who, process in enumerate(world.processes):
        if process.gate in {"idle", "done"}:
            continue
        for word, after in _step(world, who, process, rules):
            yield Move(who, process.gate, word), after
        if world.kills:
            yield (
                Move(who, process.gate, "killed"),
                _put(world, who, _reborn(who, process))._replace(kills=world.kills - 1),
            )
    machine = world.processes[MACHINE]
    # Between two functions: a call that is under way would go on.
    if world.stops and machine.gate in {"check", "fill", "save", "record"}:
        stopped = _put(world, MACHINE, Process("done"))._replace(stops=world.stops - 1)
        yield Move(MACHINE, machine.gate, "stopped"), _put(stopped, RULE, Process("record", aim="failed"))


def _put(world: World, who: int, process: Process) -> World:
    processes = (*world.processes[:who], process, *world.processes[who + 1 :])
    return world._replace(processes=processes)


def _with(world: World, name: str, request: AdobeRequest) -> World:
    return world._replace(mask=request) if name == "mask" else world._replace(fill=request)


def _reborn(who: int, process: Process) -> Process:
    """Return the process as it comes back: its message is received, or its step tried, again."""
    if process.gate == "room":
        # Who lets it in is killed before that: it stays.
        return process
    if who < MACHINE:
        return Process("claim")
    first: Mapping[str, Gate] = {"begin": "fill", "post": "fill", "note": "fill", "ask": "check", "kept": "check"}
    if process.gate in first:
        return Process(first[process.gate], process.name)
    if process.gate in {"check", "fill", "save", "record"}:
        return process
    return Process("record", aim="failed") if process.aim in {"", "failed"} else Process("save")


def _step(world: World, who: int, process: Process, rules: Rules) -> Iterator[tuple[str, World]]:  # noqa: C901, PLR0912 - one branch per gate
    request: AdobeRequest = getattr(world, process.name)
    match process.gate:
        case "room":
            # Let in, the photo is a message again.
            yield "let in", _put(world, who, Process("claim"))
        case "claim" | "fill":
            yield _look(world, who, process._replace(name="mask" if who < MACHINE else "fill"), rules)
        case "begin":
            yield _begin(world, who, process, rules)
        case "post":
            for answer in POSTED:
                if answer == "busy" and request.refusals:
                    continue
                paid = request._replace(paid=request.paid + (answer in {"accepted", "lost"}))
                sent = _with(world, process.name, paid)
                yield answer, _put(sent, who, process._replace(gate="note", answer=answer))
        case "note":
            yield process.answer, _note(world, who, process, request)
        case "start":
            machine = world.processes[MACHINE]
            started = world if machine.gate != "idle" else _put(world, MACHINE, Process("check", "mask"))
            yield ("again" if machine.gate != "idle" else "new"), _put(started, who, Process("done"))
        case "check":
            if world.status in OVER:
                yield "over", _put(world, who, Process("record", aim="failed"))
            elif process.name == "fill" and not request.job:
                yield "not sent", _put(world, who, Process("fill", "fill"))
            elif request.finished:
                yield "known", _put(world, who, _after_check(world, process, rules))
            else:
                yield "open", _put(world, who, process._replace(gate="ask"))
        case "ask":
            for answer in ASKED:
                if answer == "pending" and world.pendings:
                    yield answer, _put(world, who, process._replace(gate="check"))._replace(pendings=0)
                elif answer == "succeeded":
                    yield answer, _put(world, who, process._replace(gate="kept"))
                elif answer == "ended":
                    yield answer, _put(world, who, Process("record", aim="failed"))
        case "kept":
            if world.status in OVER:
                yield "over", _put(world, who, Process("record", aim="failed"))
            else:
                kept = _with(_out_of_the_room(world), process.name, request._replace(finished=True))
                yield "written", _put(kept, who, _after_check(world, process, rules))
        case "save":
            if world.status in OVER:
                yield _publish(world, who, Process(aim=_aim(world)), "over")
            else:
                yield "open", _put(world, who, Process("result", aim=_aim(world)))
        case "result":
            yield "written", _put(world._replace(result=True), who, process._replace(gate="finish"))
        case "record":
            if world.status in OVER:
                yield _publish(world, who, process, "over")
            else:
                yield "open", _put(world, who, process._replace(gate="finish"))
        case "finish":
            if world.status in OVER and rules.finishes_conditionally:
                yield _publish(world, who, process, "over")
            else:
                status: Status = _aim(world) if process.aim == _aim(world) else "failed"
                ended = _out_of_the_room(world)._replace(status=status, published=False)
                yield _publish(ended, who, process, process.aim)
        case "manifest":
            written = world._replace(manifest=process.seen[0])
            gate: Gate = "event" if rules.publishes_before_noting else "published"
            yield "written", _put(written, who, process._replace(gate=gate))
        case "event":
            put = world._replace(events=world.events | {process.seen[0]})
            gate = "published" if rules.publishes_before_noting else "done"
            yield "put", _put(put, who, process._replace(gate=gate))
        case "published":
            noted = world._replace(published=True)
            if rules.publishes_before_noting:
                yield "noted", _end(noted, who, process)
            else:
                yield "noted", _put(noted, who, process._replace(gate="event"))


def _after_check(world: World, process: Process, rules: Rules) -> Process:
    if process.name == "mask" and not (world.review and rules.waits_for_approval):
        return Process("fill", "fill")
    return Process("save", aim=_aim(world))


def _aim(world: World) -> Literal["cleaned", "mask_ready"]:
    return "mask_ready" if world.review else "cleaned"


def _publish(world: World, who: int, process: Process, word: str) -> tuple[str, World]:
    """Publish what the record says now, in manifest and event, unless that was done."""
    if world.published:
        return f"{word}, published", _end(world, who, process)
    return word, _put(world, who, process._replace(gate="manifest", seen=(world.status, 0)))


def _end(world: World, who: int, process: Process) -> World:
    """End a message or an execution; where that failed, the rule begins."""
    after = _put(world, who, Process("done"))
    if who == MACHINE and process.aim != _aim(world):
        return _put(after, RULE, Process("record", aim="failed"))
    return after


def _look(world: World, who: int, process: Process, rules: Rules) -> tuple[str, World]:
    """Claim, or read, and see whether there is anything to send."""
    if who < MACHINE and world.status == "none":
        world = world._replace(status="claimed")
    elif who < MACHINE and not rules.claims_conditionally:
        world = world._replace(status="claimed", mask=AdobeRequest(paid=world.mask.paid), published=False)
    request: AdobeRequest = getattr(world, process.name)
    if world.status in OVER:
        if who == MACHINE:
            return "over", _put(world, who, Process("record", aim="failed"))
        return _publish(world, who, process, "over")
    if request.job or (who < MACHINE and world.status == "filling"):
        return "known", _put(world, who, Process("check", "fill") if who == MACHINE else process._replace(gate="start"))
    if request.attempts and _is_sending(world, who, process.name):
        return "in flight", _again(world, who, process)
    seen = (world.status, request.attempts)
    if request.attempts >= MAX_ATTEMPTS:
        aim = Process("record", aim="failed") if who == MACHINE else process._replace(gate="finish", aim="failed")
        return "lost too often", _put(world, who, aim)
    return "free", _put(world, who, process._replace(gate="begin", seen=seen))


def _is_sending(world: World, who: int, name: str) -> bool:
    return any(
        other.gate in {"post", "note"} and other.name == name
        for number, other in enumerate(world.processes)
        if number != who
    )


def _again(world: World, who: int, process: Process) -> World:
    if who < MACHINE:
        return _put(_out_of_the_room(world), who, Process("room"))
    # The machine waits as for a job, and learns from the check that there is none to wait for.
    return _put(world, who, Process("check", process.name))


def _out_of_the_room(world: World) -> World:
    """End the photo's stay in the room: whoever handed it over is done with."""
    there = world.processes
    return world._replace(processes=tuple(Process("done") if one.gate == "room" else one for one in there))


def _begin(world: World, who: int, process: Process, rules: Rules) -> tuple[str, World]:
    request: AdobeRequest = getattr(world, process.name)
    status: Status = "masking" if process.name == "mask" else "filling"
    if not rules.writes_intent:
        return "written", _put(world, who, process._replace(gate="post"))
    if world.status in OVER:
        after = Process("record", aim="failed") if who == MACHINE else Process("claim")
        return "over", _put(world, who, after)
    unchanged = process.seen[1] == request.attempts and not request.job
    if process.seen[0] == "claimed":
        unchanged = unchanged and world.status == "claimed"
    if not unchanged or _is_sending(world, who, process.name):
        if request.job:
            return "known", _put(world, who, process._replace(gate="start"))
        return "in flight", _again(world, who, process)
    begun = _with(
        _out_of_the_room(world)._replace(status=status), process.name, request._replace(attempts=request.attempts + 1)
    )
    return "written", _put(begun, who, process._replace(gate="post"))


def _note(world: World, who: int, process: Process, request: AdobeRequest) -> World:
    failing = Process("record", aim="failed") if who == MACHINE else process._replace(gate="finish", aim="failed")
    if world.status in OVER:
        # The write is refused: the record is closed.
        return _put(world, who, Process("record", aim="failed") if who == MACHINE else Process("claim"))
    world = _out_of_the_room(world)
    if process.answer == "accepted":
        noted = _with(world, process.name, request._replace(job=True, attempts=max(1, request.attempts)))
        return _put(noted, who, Process("check", "fill") if who == MACHINE else process._replace(gate="start"))
    if process.answer == "lost":
        return _again(world, who, process)
    withdrawn = request._replace(attempts=max(0, request.attempts - 1), refusals=min(request.refusals + 1, 1))
    noted = _with(world, process.name, withdrawn)
    return _put(noted, who, failing) if process.answer == "refused" else _again(noted, who, process)


# --- the promises -----------------------------------------------------------------------------------------------------


def broken(world: World) -> str:
    """Return which promise this state breaks; empty where none."""
    for name in ("mask", "fill"):
        request: AdobeRequest = getattr(world, name)
        if request.paid > max(1, request.attempts) or request.paid > MAX_ATTEMPTS:
            return f"paid twice: {request.paid} jobs for the {name}, {request.attempts} attempts in the record"
    if world.status in OVER - {"failed"} and not world.result:
        return f"lie: {world.status} without a result"
    if world.review and world.fill.paid:
        return "paid without approval: a fill of a mask that nobody has seen"
    if world.events - {world.status}:
        return f"lie: an event says {sorted(world.events)}, the record {world.status}"
    if world.published and (world.manifest != world.status or world.status not in world.events):
        return "lost: announced, and manifest or event are not there"
    return ""


def over(world: World) -> bool:
    """Return whether the photo has ended and its outcome is published."""
    return world.status in OVER and world.published and all(one.gate in {"done", "idle"} for one in world.processes)


@dataclass(frozen=True, slots=True)
class Explored:
    """Hold what was seen: states, steps between them, states in which all is over. ``ways``: the shortest path to each kind of step."""

    states: int
    steps: int
    ends: int
    wrong: tuple[str, ...]
    ways: Mapping[str, tuple[Move, ...]]


def explore(start: World = _START, rules: Rules = _SOUND, *, to_the_first_breach: bool = False) -> Explored:
    """Go breadth first through every state that can be reached; one of two that differ in the deliveries' order is enough."""
    came: dict[World, tuple[World, Move] | None] = {start: None}
    alike = {_in_order(start): start}
    kinds: dict[str, tuple[World, Move]] = {}
    backwards: dict[World, list[World]] = {}
    wrong: list[str] = []
    steps = 0
    waiting = deque([start])
    while waiting:
        world = waiting.popleft()
        if breach := broken(world):
            wrong.append(f"{breach}, after {' / '.join(move.kind for move in _way(came, world))}")
            if to_the_first_breach:
                break
            continue
        for move, after in moves(world, rules):
            steps += 1
            kinds.setdefault(move.kind, (world, move))
            known = alike.setdefault(_in_order(after), after)
            backwards.setdefault(known, []).append(world)
            if known is after:
                came[after] = (world, move)
                waiting.append(after)
    ends = [world for world in came if over(world)]
    saved, left = set(ends), deque(ends)
    while left:
        for before in backwards.get(left.popleft(), ()):
            if before not in saved:
                saved.add(before)
                left.append(before)
    if not wrong:
        stuck = [world for world in came if world not in saved]
        wrong += [f"hang: {' / '.join(move.kind for move in _way(came, world))}" for world in stuck[:3]]
    ways = {kind: (*_way(came, world), move) for kind, (world, move) in kinds.items()}
    return Explored(len(came), steps, len(ends), tuple(wrong), ways)


def _in_order(world: World) -> World:
    """Return the world with its two deliveries, which are alike, in one order."""
    first, second, *others = world.processes
    return world if first <= second else world._replace(processes=(second, first, *others))


def seen_to_break(rules: Rules) -> str:
    """Return the first promise that a protocol with a bug breaks, and how; no delays and stops are needed for it."""
    found = explore(World(pendings=0, stops=0, review=not rules.waits_for_approval), rules, to_the_first_breach=True)
    return found.wrong[0] if found.wrong else ""


def _way(came: Mapping[World, tuple[World, Move] | None], world: World) -> tuple[Move, ...]:
    way: list[Move] = []
    while (step := came[world]) is not None:
        world, move = step
        way.append(move)
    return tuple(reversed(way))


#: Without these the protocol is broken, and the model must see it.
BROKEN_RULES = {
    "intent not written": replace(Rules(), writes_intent=False),
    "claim not conditional": replace(Rules(), claims_conditionally=False),
    "terminal state unconditional": replace(Rules(), finishes_conditionally=False),
    "noted before it was published": replace(Rules(), publishes_before_noting=False),
    "filled before it was approved": replace(Rules(), waits_for_approval=False),
}
