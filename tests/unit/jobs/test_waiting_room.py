from __future__ import annotations

import pytest

from cleanplate.errors import JobMovedOnError
from cleanplate.jobs.waiting_room import CLASSES, Waiting
from cleanplate.models import Job, Options
from tests.stage import TABLE, Stage

URGENT, NORMAL = CLASSES
ROUTE = "mask-objects"


def enter(stage: Stage, key: str, *, urgent: bool = False, route: str = ROUTE, not_before: float = 0.0) -> Job:
    """A photo in the room."""
    job = stage.claim(key, Options(urgent=urgent))
    stage.services.room.enter(job, route=route, not_before=not_before, now=stage.clock())
    return job


def there(stage: Stage, urgency: str = NORMAL, route: str = ROUTE) -> list[Waiting]:
    return list(stage.services.room.photos(urgency, route))


def test_photos_stand_in_order_of_their_claims(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """However late they enter, and though more of them than fit into a page of the index."""
    monkeypatch.setattr("cleanplate.jobs.waiting_room._PAGE", 3)
    jobs = []
    for number in range(8):
        stage.clock.pass_by(1)
        jobs.append(stage.claim(f"{number}.jpg"))
    for job in reversed(jobs):
        stage.services.room.enter(job, route=ROUTE, not_before=0.0, now=stage.clock())
    assert [photo.job_id for photo in there(stage)] == [job.job_id for job in jobs]


def test_a_class_and_a_route_hold_no_other(stage: Stage) -> None:
    urgent, other = enter(stage, "a.jpg", urgent=True), enter(stage, "b.jpg", route="remove-background")
    assert [photo.job_id for photo in there(stage, URGENT)] == [urgent.job_id]
    assert [photo.job_id for photo in there(stage, NORMAL, "remove-background")] == [other.job_id]
    assert there(stage) == []


def test_a_photo_that_enters_again_keeps_its_turn(stage: Stage) -> None:
    first, second = enter(stage, "a.jpg"), enter(stage, "b.jpg")
    stage.clock.pass_by(100)
    stage.services.room.enter(first, route=ROUTE, not_before=stage.clock() + 30, now=stage.clock())
    found = {photo.job_id: photo for photo in there(stage)}
    assert (found[first.job_id].turn, found[first.job_id].not_before) == (first.claimed_at, stage.clock() + 30)
    assert len(found) == 2
    assert found[second.job_id].not_before == 0


def test_an_ended_photo_and_one_of_an_older_run_cannot_enter(stage: Stage) -> None:
    job = stage.claim()
    stage.ledger.finish(job, "failed", {"outcome": "failed", "reason": "AdobeJobFailedError"}, now=stage.clock())
    failed = stage.job(job.job_id)
    with pytest.raises(JobMovedOnError):
        stage.services.room.enter(failed, route=ROUTE, not_before=0.0, now=stage.clock())
    stage.ledger.reclaim(failed, request_id="r", now=stage.clock(), deadline_at=2e9)
    with pytest.raises(JobMovedOnError):
        stage.services.room.enter(failed, route=ROUTE, not_before=0.0, now=stage.clock())
    assert there(stage) == []


def test_who_left_late_takes_out_no_later_stay(stage: Stage) -> None:
    job = enter(stage, "a.jpg")
    (old,) = there(stage)
    stage.clock.pass_by(1)
    stage.services.room.enter(job, route=ROUTE, not_before=0.0, now=stage.clock())
    stage.services.room.leave(old)
    (new,) = there(stage)
    stage.services.room.leave(new)
    stage.services.room.leave(new)
    assert there(stage) == []


@pytest.mark.parametrize("end", ["begun", "ended"])
def test_a_photo_leaves_with_its_intent_and_with_its_end(stage: Stage, end: str) -> None:
    job = enter(stage, "a.jpg")
    if end == "begun":
        stage.ledger.begin_request(job, "mask", route=ROUTE, status="masking", now=stage.clock())
    else:
        stage.ledger.finish(job, "failed", {"outcome": "failed"}, now=stage.clock())
    assert there(stage) == []


def test_the_first_turn_is_that_of_any_class_and_route(stage: Stage) -> None:
    assert stage.services.room.first_turn() is None
    first = enter(stage, "a.jpg", route="remove-background")
    stage.clock.pass_by(5)
    enter(stage, "b.jpg", urgent=True)
    assert stage.services.room.first_turn() == first.claimed_at


def test_one_holds_the_lease_at_a_time_until_it_is_over(stage: Stage) -> None:
    room, now = stage.services.room, stage.clock()
    assert room.take_lease("one", until=now + 120, now=now)
    assert not room.take_lease("two", until=now + 120, now=now + 60)
    assert room.take_lease("one", until=now + 180, now=now + 60)
    assert room.take_lease("two", until=now + 400, now=now + 180)
    assert room.lease().owner == "two"


def test_nobody_goes_while_somebody_has_just_entered(stage: Stage) -> None:
    room, now = stage.services.room, stage.clock()
    room.take_lease("one", until=now + 120, now=now)
    entered = room.lease().entered
    enter(stage, "a.jpg")
    assert not room.release("one", entered, now=now)
    assert room.lease().until == now + 120
    assert room.release("one", room.lease().entered, now=now + 1)
    assert room.lease().until == now + 1


def test_a_stay_is_two_writes_of_the_record_and_none_of_its_revision(stage: Stage) -> None:
    """A write of the ledger that is under way must not be made again for it."""
    job = enter(stage, "a.jpg")
    (photo,) = there(stage)
    stage.services.room.leave(photo)
    assert stage.job(job.job_id) == job
    assert stage.job(job.job_id).revision == job.revision
    item = stage.dynamodb.get_item(TableName=TABLE, Key={"job_id": {"S": job.job_id}})["Item"]
    assert "waiting_in" not in item
