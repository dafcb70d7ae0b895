from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from cleanplate.jobs.waiting_room import WaitingRoom
from cleanplate.models import Job, Options
from cleanplate.steps.admit_photos import _FAIR, _STILL, admit_photos
from tests.stage import KilledError, Stage

ROUTE = "mask-objects"
#: Slots a second apart, so that order and pace can be seen.
SLOW = {"REQUESTS_PER_MINUTE": "60", "PHOTO_DEADLINE_HOURS": "240"}
MakeStage = Callable[..., Stage]


def enter(stage: Stage, key: str, *, urgent: bool = False, route: str = ROUTE, not_before: float = 0.0) -> Job:
    """A photo in the room, a moment after the one before."""
    stage.clock.pass_by(0.01)
    job = stage.claim(key, Options(urgent=urgent))
    stage.services.room.enter(job, route=route, not_before=not_before, now=stage.clock())
    return job


def admit(stage: Stage, owner: str = "one", seconds: float = 60.0) -> tuple[list[str], dict[str, object]]:
    """One call: the keys that it lets in, in order of the messages, and what it answers."""
    until = stage.clock() + seconds
    answer = admit_photos(owner, lambda: until - stage.clock(), stage.services)
    return _let_in(stage), answer


def _let_in(stage: Stage) -> list[str]:
    queue, slots = stage.settings.admitted_queue_url, list[tuple[float, str]]()
    while received := stage.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        for message in received:
            detail = json.loads(message["Body"])["detail"]
            slots.append((detail["slot_at"], stage.job(detail["job_id"]).photo.key))
            stage.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return [key for _, key in sorted(slots)]


def test_photos_are_let_in_first_come_first_served(make_stage: MakeStage) -> None:
    stage = make_stage(**SLOW)
    keys = [enter(stage, f"{number:02}.jpg").photo.key for number in range(30)]
    assert admit(stage)[0] == keys
    assert stage.services.room.first_turn() is None


def test_one_photo_in_ten_is_a_normal_one_among_urgent_ones(make_stage: MakeStage) -> None:
    stage = make_stage(**SLOW)
    normal = [enter(stage, f"normal {number}.jpg").photo.key for number in range(2)]
    urgent = [enter(stage, f"urgent {number:02}.jpg", urgent=True).photo.key for number in range(20)]
    let_in, _ = admit(stage, seconds=90.0)
    assert [key for key in let_in if key.startswith("urgent")] == urgent
    assert [key for key in let_in if key.startswith("normal")] == normal
    assert [let_in.index(key) for key in normal] == [_FAIR - 1, 2 * _FAIR - 1]


def test_a_photo_that_was_put_off_goes_at_its_time_and_holds_nobody(make_stage: MakeStage) -> None:
    stage = make_stage(**SLOW)
    later = enter(stage, "later.jpg", not_before=stage.clock() + 30)
    enter(stage, "now.jpg")
    assert admit(stage, seconds=40.0)[0] == ["now.jpg"]
    assert stage.clock() < later.claimed_at + 30
    stage.clock.pass_by(30)
    assert admit(stage, seconds=40.0)[0] == ["later.jpg"]


def test_a_photo_past_its_deadline_is_sent_to_fail_without_a_slot(make_stage: MakeStage) -> None:
    stage = make_stage(**SLOW)
    enter(stage, "late.jpg")
    stage.services.limiter.close_gate(3600.0, "429")
    stage.clock.pass_by(2 * 86_400)
    stage.services.limiter.close_gate(3600.0, "429")
    assert admit(stage)[0] == ["late.jpg"]
    assert sum(stage.services.limiter.state().day_counts.values()) == 0


def test_what_holds_everybody_is_waited_out_by_the_machine(make_stage: MakeStage) -> None:
    stage = make_stage(**SLOW)
    enter(stage, "dog.jpg")
    stage.services.limiter.close_gate(3600.0, "429")
    let_in, answer = admit(stage)
    assert (let_in, answer) == ([], {"state": "waiting", "wait_seconds": 300})
    # It is believed to be there all that time.
    assert stage.services.room.lease().until > stage.clock() + 300


def test_who_comes_while_the_index_lags_is_let_in_by_the_same_call(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a photo that was let in and is still in the index WHEN another comes and has no slot THEN it is not forgotten."""
    stage = make_stage(**SLOW)
    enter(stage, "first.jpg")
    monkeypatch.setattr(WaitingRoom, "leave", lambda *_: None)
    begun, looks = stage.clock(), list[float]()

    def seconds_left() -> float:
        looks.append(stage.clock())
        if len(looks) == 3:
            enter(stage, "second.jpg")
            stage.services.limiter.close_gate(20.0, "429")
        return begun + 60 - stage.clock()

    admit_photos("one", seconds_left, stage.services)
    assert _let_in(stage) == ["first.jpg", "second.jpg"]


def test_an_empty_room_is_left_after_a_moment_in_which_nobody_enters(make_stage: MakeStage) -> None:
    stage = make_stage(**SLOW)
    begun = stage.clock()
    assert admit(stage)[1] == {"state": "empty", "wait_seconds": 0}
    assert stage.clock() >= begun + _STILL
    assert stage.services.room.lease().until <= stage.clock()


def test_a_room_that_was_emptied_is_left_after_a_moment(make_stage: MakeStage) -> None:
    stage = make_stage(**SLOW)
    enter(stage, "dog.jpg")
    begun = stage.clock()
    assert admit(stage) == (["dog.jpg"], {"state": "empty", "wait_seconds": 0})
    assert stage.clock() < begun + 4 * _STILL


def test_a_second_execution_ends_at_once(make_stage: MakeStage) -> None:
    stage = make_stage(**SLOW)
    enter(stage, "dog.jpg")
    now = stage.clock()
    stage.services.room.take_lease("one", until=now + 120, now=now)
    assert admit(stage, "two") == ([], {"state": "empty", "wait_seconds": 0})


@pytest.mark.parametrize("operation", ["sqs.SendMessageBatch", "dynamodb.UpdateItem"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("after", range(4))
def test_who_is_cut_short_loses_no_photo(make_stage: MakeStage, operation: str, when: str, after: int) -> None:
    stage = make_stage(**SLOW)
    keys = {enter(stage, f"{number}.jpg").photo.key for number in range(3)}
    let_in: list[str] = []
    try:
        with stage.killed(operation, when=when, after=after):
            let_in += admit(stage)[0]
    except KilledError:
        let_in += _let_in(stage)
    stage.clock.pass_by(130)
    let_in += admit(stage, "two")[0]
    assert set(let_in) == keys
