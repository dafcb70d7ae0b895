from __future__ import annotations

import pytest

from cleanplate.jobs.ledger import MAX_ATTEMPTS
from tests.chaos.model import TO_APPROVE, replay
from tests.chaos.protocol import ASKED, BROKEN_RULES, POSTED, Explored, Move, Rules, explore, seen_to_break
from tests.chaos.world import MakeWalk

pytestmark = pytest.mark.xdist_group("model")

#: Steps that stand for all of them; ``make prove`` replays each.
SOME = (
    "delivery: claim: lost too often",
    "delivery: finish: over",
    "delivery: room: killed",
    "delivery: room: let in",
    "machine: note: busy",
    "machine: save: over, published",
    "rule: finish: over",
)


#: The same where the mask is to be approved first.
SOME_TO_APPROVE = (
    "machine: finish: mask_ready",
    "machine: result: killed",
    "delivery: claim: over",
    "rule: record: over",
)


@pytest.fixture(scope="module")
def explored() -> Explored:
    return explore()


@pytest.fixture(scope="module")
def explored_to_approve() -> Explored:
    return explore(TO_APPROVE)


def test_no_promise_is_broken_in_any_state_and_every_state_leads_to_an_end(explored: Explored) -> None:
    assert explored.wrong == ()
    assert explored.states > 100_000
    assert explored.ends > 500


def test_a_mask_that_is_to_be_approved_is_offered_and_not_filled(explored_to_approve: Explored) -> None:
    assert explored_to_approve.wrong == ()
    assert explored_to_approve.ends > 100
    assert not [kind for kind in explored_to_approve.ways if ": fill: " in kind]


def test_every_answer_and_a_kill_at_every_gate_is_among_the_steps(explored: Explored) -> None:
    kinds = set(explored.ways)
    for who in ("delivery", "machine"):
        assert {f"{who}: post: {answer}" for answer in POSTED} <= kinds
    assert {f"machine: ask: {answer}" for answer in ASKED} <= kinds
    gates = {kind.rpartition(": ")[0] for kind in kinds}
    assert {f"{gate}: killed" for gate in gates} <= kinds


@pytest.mark.parametrize("rules", BROKEN_RULES.values(), ids=BROKEN_RULES)
def test_a_protocol_with_a_bug_breaks_a_promise(rules: Rules) -> None:
    assert seen_to_break(rules)


@pytest.mark.parametrize("kind", SOME)
def test_the_functions_go_the_models_way(explored: Explored, make_walk: MakeWalk, kind: str) -> None:
    assert not replay(make_walk, explored.ways[kind])


@pytest.mark.parametrize("kind", SOME_TO_APPROVE)
def test_the_functions_offer_a_mask_as_the_model_does(
    explored_to_approve: Explored, make_walk: MakeWalk, kind: str
) -> None:
    assert not replay(make_walk, explored_to_approve.ways[kind], start=TO_APPROVE)


def test_a_photo_let_in_is_announced_though_its_call_was_killed(make_walk: MakeWalk) -> None:
    """GIVEN a photo that failed when it was let in WHEN the call is killed before the manifest THEN the next writes it."""
    lost = (("claim", "free"), ("begin", "written"), ("post", "lost"), ("note", "lost"), ("room", "let in"))
    ended = (("claim", "lost too often"), ("finish", "failed"), ("manifest", "killed"))
    published = (("claim", "over"), ("manifest", "written"), ("event", "put"), ("published", "noted"))
    way = tuple(Move(0, gate, word) for gate, word in (*lost * MAX_ATTEMPTS, *ended, *published))
    assert not replay(make_walk, way)


def test_functions_that_leave_the_models_way_are_reported(
    explored: Explored, make_walk: MakeWalk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cleanplate.jobs.ledger.MAX_ATTEMPTS", 1)
    assert "gates" in replay(make_walk, explored.ways["delivery: claim: lost too often"])
