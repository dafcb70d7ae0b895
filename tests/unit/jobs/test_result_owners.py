from __future__ import annotations

from dataclasses import replace

import pytest

from cleanplate.errors import (
    LedgerBusyError,
    PhotoReplacedError,
    ResultKeyTakenError,
)
from cleanplate.jobs.result_owners import HOLD_SECONDS
from cleanplate.models import Job
from tests.stage import TABLE, Stage

KEY = "dog.jpg"


def take(stage: Stage, job: Job) -> None:
    stage.ledger.owners.take(job, KEY, now=stage.clock())


def hold(stage: Stage, job: Job, *, finished: bool = False) -> None:
    stage.ledger.owners.hold(job, KEY, now=stage.clock(), has_finished=lambda _: finished)


def another(job: Job, job_id: str = "b" * 40, later: float = 1.0) -> Job:
    """Another job of the same photo, claimed later."""
    return replace(job, job_id=job_id, claimed_at=job.claimed_at + later)


def test_the_newest_claim_of_a_photo_owns_its_key(stage: Stage) -> None:
    first = stage.claim()
    second = another(first)
    take(stage, second)
    for act in (take, hold):
        with pytest.raises(PhotoReplacedError):
            act(stage, first)
    hold(stage, second)


def test_another_photo_never_gets_a_key(stage: Stage) -> None:
    take(stage, stage.claim("dog.heic"))
    with pytest.raises(ResultKeyTakenError) as taken:
        take(stage, replace(stage.claim("dog.heic.jpg"), claimed_at=9e9))
    assert taken.value.owner == "the-uploads/dog.heic"


def test_whoever_writes_is_waited_for_until_it_has_finished(stage: Stage) -> None:
    first = stage.claim()
    second = another(first)
    take(stage, first)
    hold(stage, first)
    take(stage, second)
    with pytest.raises(LedgerBusyError):
        hold(stage, second)
    hold(stage, first)
    hold(stage, second, finished=True)
    with pytest.raises(PhotoReplacedError):
        hold(stage, first)


def test_a_writer_that_died_gives_way_after_its_lease(stage: Stage) -> None:
    first = stage.claim()
    second = another(first)
    take(stage, first)
    hold(stage, first)
    take(stage, second)
    stage.clock.pass_by(HOLD_SECONDS + 1)
    hold(stage, second)


def test_to_take_and_to_hold_twice_is_to_do_it_once(stage: Stage) -> None:
    """As botocore does where an answer was lost."""
    job = stage.claim()
    for act in (take, take, hold, hold):
        act(stage, job)


def test_an_owner_expires_with_its_newest_claim(stage: Stage) -> None:
    job = stage.claim()
    take(stage, job)
    stage.clock.pass_by(100 * 86_400)
    take(stage, job)
    item = stage.dynamodb.get_item(TableName=TABLE, Key={"job_id": {"S": f"result#{KEY}"}})["Item"]
    assert int(item["expires_at"]["N"]) == int(stage.clock()) + 400 * 86_400
