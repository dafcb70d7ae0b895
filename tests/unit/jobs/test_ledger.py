from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.adobe.errors import PostOutcomeUnknownError
from cleanplate.aws.dynamodb import from_item, to_item
from cleanplate.errors import (
    AskInFlightError,
    CleanplateError,
    JobMovedOnError,
)
from cleanplate.jobs.ledger import LEASE_SECONDS
from cleanplate.jobs.records import job_from_item, job_to_item
from cleanplate.jobs.reuse import ANSWER_SECONDS, FILL_KEPT_SECONDS, MASK_KEPT_SECONDS
from cleanplate.models import AdobeJob, AdobeRequest, Fate, Job, Options, Photo
from cleanplate.uploads.identity import job_id
from tests.stage import UPLOADS, KilledError, Stage

ADOBE_JOB = AdobeJob("urn:ff:jobs:eso851243:1", "https://image.adobe.io/v1/status/urn%3Aff")
PHOTO = Photo(bucket=UPLOADS, key="dog.jpg", version_id="v1", size=1000)


def begin(stage: Stage, job: Job, name: str = "mask") -> AdobeRequest:
    begun = stage.ledger.begin_request(job, name, route="mask-objects", status="masking", now=stage.clock())
    return begun.adobe_requests[name]


def paid(stage: Stage, job: Job, name: str = "mask", *, finished: bool = False) -> Job:
    """A job whose ask has its job at Adobe."""
    now = stage.clock()
    request = replace(
        begin(stage, job, name), adobe_job=ADOBE_JOB, submitted_at=now, finished_at=now if finished else 0.0
    )
    return stage.ledger.record_adobe_job(job, request, now=now)


def failed(stage: Stage, job: Job, reason: str = "AdobeJobFailedError") -> Job:
    stage.ledger.finish(job, "failed", {"outcome": "failed", "reason": reason}, now=stage.clock())
    return stage.job(job.job_id)


def reclaim(stage: Stage, job: Job) -> Job:
    return stage.ledger.reclaim(job, request_id="again", now=stage.clock(), deadline_at=stage.clock() + 100)


# --- claiming -----------------------------------------------------------------------------------------------------------


def test_a_claim_is_stored_whole(stage: Stage) -> None:
    own_mask = Photo(bucket=UPLOADS, key="dog.mask.png", version_id="m1", size=7)
    options = Options(remove=("dog", "strasse"), min_score=0.1, grow=0, mask_route="own-mask", urgent=True)
    job = stage.claim("a/Zoë 🐶.jpg", options, own_mask=own_mask, request_id="r1")
    assert stage.job(job.job_id) == job


def test_a_photo_is_claimed_once_and_whoever_comes_later_finds_the_first(stage: Stage) -> None:
    first = stage.claim()
    stage.clock.pass_by(60)
    second = stage.claim(request_id="later")
    assert second == first == stage.only_job()


def test_a_photo_is_claimed_once_however_many_try_at_the_same_moment(stage: Stage) -> None:
    def try_it(number: int) -> str:
        return stage.claim(request_id=f"r{number}").request_id

    with ThreadPoolExecutor(8) as pool:
        seen = set(pool.map(try_it, range(16)))
    assert seen == {stage.only_job().request_id}


def test_a_job_that_nobody_claimed_is_none(stage: Stage) -> None:
    assert stage.ledger.get("0" * 40) is None


def test_a_record_expires_long_after_its_job(stage: Stage) -> None:
    job = stage.claim()
    item = stage.dynamodb.get_item(TableName="the-jobs", Key={"job_id": {"S": job.job_id}})["Item"]
    assert int(item["expires_at"]["N"]) == int(stage.clock()) + 400 * 86_400


# --- first choice -------------------------------------------------------------------------------------------------------


def test_the_options_that_an_upload_was_first_read_with_hold(stage: Stage) -> None:
    """GIVEN a notification that comes again WHEN a sidecar and a mask have appeared THEN it is no second job."""
    mask = Photo(bucket=UPLOADS, key="dog.mask.png", version_id="m1")
    first = Options(remove=("dog",), min_score=0.3)
    assert stage.ledger.uploads.remembered_options(PHOTO) is None
    assert stage.ledger.uploads.remember_options(PHOTO, first, None, now=stage.clock()) == (first, None)
    later = Options(remove=("cat",), mask_route="own-mask")
    assert stage.ledger.uploads.remember_options(PHOTO, later, mask, now=stage.clock()) == (first, None)
    assert stage.ledger.uploads.remembered_options(PHOTO) == (first, None)


def test_remembered_options_keep_their_own_mask(stage: Stage) -> None:
    mask = Photo(bucket=UPLOADS, key="dog.mask.png", version_id="m1", size=5)
    options = Options(mask_route="own-mask")
    stage.ledger.uploads.remember_options(PHOTO, options, mask, now=stage.clock())
    assert stage.ledger.uploads.remember_options(PHOTO, Options(), None, now=stage.clock()) == (options, mask)


def test_another_version_has_a_choice_of_its_own(stage: Stage) -> None:
    stage.ledger.uploads.remember_options(PHOTO, Options(remove=("dog",)), None, now=stage.clock())
    other = replace(PHOTO, version_id="v2")
    assert stage.ledger.uploads.remember_options(other, Options(), None, now=stage.clock()) == (Options(), None)


# --- paying -------------------------------------------------------------------------------------------------------------


def test_the_intent_is_in_the_ledger_before_anybody_may_post(stage: Stage) -> None:
    job = stage.claim()
    request = begin(stage, job)
    kept = stage.job(job.job_id)
    assert kept.status == "masking"
    assert kept.adobe_requests["mask"] == request
    assert (request.attempts, request.intent_at, request.lease_until) == (
        1,
        stage.clock(),
        stage.clock() + LEASE_SECONDS,
    )


def test_while_one_call_is_sending_nobody_else_may(stage: Stage) -> None:
    stale = stage.claim()
    request = begin(stage, stale)
    stage.clock.pass_by(LEASE_SECONDS - 1)
    for seen in (stale, stage.job(stale.job_id)):
        with pytest.raises(AskInFlightError) as postponed:
            begin(stage, seen)
        assert postponed.value.until == request.lease_until


def test_of_many_that_want_to_send_at_the_same_moment_one_may(stage: Stage) -> None:
    job = stage.claim()

    def try_it(_: int) -> str:
        try:
            return f"sent {begin(stage, job).attempts}"
        except AskInFlightError:
            return "waits"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(try_it, range(16)))
    assert sorted(set(outcomes)) == ["sent 1", "waits"]
    assert outcomes.count("sent 1") == 1


def test_whoever_comes_later_finds_adobes_job_and_sends_nothing(stage: Stage) -> None:
    stale = stage.claim()
    job = paid(stage, stale)
    for seen in (stale, job):
        request = begin(stage, seen)
        assert (request.adobe_job, request.attempts, request.lease_until) == (ADOBE_JOB, 1, 0.0)


def test_a_post_with_a_lost_answer_is_repeated_once(stage: Stage) -> None:
    job = stage.claim()
    begin(stage, job)
    stage.clock.pass_by(LEASE_SECONDS + 1)
    second = begin(stage, stage.job(job.job_id))
    assert second.attempts == 2
    assert stage.job(job.job_id).possible_duplicate
    stage.clock.pass_by(LEASE_SECONDS + 1)
    with pytest.raises(PostOutcomeUnknownError):
        begin(stage, stage.job(job.job_id))
    assert stage.job(job.job_id).adobe_requests["mask"] == second


def test_a_call_past_its_lease_does_not_send_beside_the_next_one(stage: Stage) -> None:
    job = stage.claim()
    begin(stage, job)
    stage.clock.pass_by(LEASE_SECONDS + 1)
    seen = stage.job(job.job_id)
    begin(stage, seen)
    with pytest.raises(AskInFlightError):
        begin(stage, seen)


def test_a_lost_answer_shortens_the_lease(stage: Stage) -> None:
    job = stage.claim()
    until = stage.clock() + 5
    stage.ledger.record_poll(job, replace(begin(stage, job), lease_until=until), now=stage.clock())
    with pytest.raises(AskInFlightError):
        begin(stage, stage.job(job.job_id))
    stage.clock.pass_by(5)
    assert begin(stage, stage.job(job.job_id)).attempts == 2


def test_a_refused_post_counts_as_refusal_and_not_as_attempt(stage: Stage) -> None:
    job = stage.claim()
    for refusals in (1, 2, 3):
        kept = stage.ledger.withdraw_request(job, begin(stage, stage.job(job.job_id)), sent=1, now=stage.clock())
        assert (kept.adobe_requests["mask"].attempts, kept.adobe_requests["mask"].refusals) == (0, refusals)
        assert not kept.possible_duplicate


def test_a_slot_is_kept_until_it_is_used(stage: Stage) -> None:
    job = stage.claim()
    kept = stage.ledger.record_slot(job, AdobeRequest("mask", slot_at=stage.clock() + 3.25), now=stage.clock())
    assert kept.adobe_requests["mask"].slot_at == stage.clock() + 3.25
    assert begin(stage, kept).slot_at == 0.0


def test_a_slot_is_never_written_over_the_intent_of_another_call(stage: Stage) -> None:
    """GIVEN two deliveries that both saw no intent WHEN one sends THEN the other's slot must not wipe that out."""
    stale = stage.claim()
    request = begin(stage, stale)
    found = stage.ledger.record_slot(stale, AdobeRequest("mask", slot_at=stage.clock() + 3), now=stage.clock())
    assert found.adobe_requests["mask"] == request
    assert stage.job(stale.job_id).adobe_requests["mask"] == request


def test_two_fills_do_not_know_of_each_other(stage: Stage) -> None:
    job = paid(stage, stage.claim(), "fill-1")
    assert begin(stage, job, "fill-2").attempts == 1
    assert set(stage.job(job.job_id).adobe_requests) == {"fill-1", "fill-2"}


# --- ending -------------------------------------------------------------------------------------------------------------


def test_a_job_ends_once(stage: Stage) -> None:
    job = stage.claim()
    ended = stage.ledger.finish(job, "cleaned", {"outcome": "cleaned"}, now=stage.clock())
    with pytest.raises(JobMovedOnError):
        stage.ledger.finish(job, "failed", {"outcome": "failed"}, now=stage.clock())
    assert stage.job(job.job_id) == ended
    assert (stage.job(job.job_id).status, stage.job(job.job_id).outcome) == ("cleaned", {"outcome": "cleaned"})


@pytest.mark.parametrize("status", ["cleaned", "nothing_to_remove", "failed"])
def test_nothing_is_written_into_an_ended_job(stage: Stage, status: Any) -> None:
    job = stage.claim()
    stage.ledger.finish(job, status, {"outcome": status}, now=stage.clock())
    ended = stage.job(job.job_id)
    with pytest.raises(JobMovedOnError):
        stage.ledger.record_facts(job, {"format": "jpeg"}, now=stage.clock())
    with pytest.raises(JobMovedOnError):
        begin(stage, job)
    with pytest.raises(JobMovedOnError):
        stage.ledger.record_poll(job, AdobeRequest("mask"), now=stage.clock())
    assert stage.job(job.job_id) == ended


def test_a_stale_run_can_neither_write_nor_end_the_next_one(stage: Stage) -> None:
    first = stage.claim()
    second = reclaim(stage, failed(stage, first))
    assert second.run == 2
    with pytest.raises(JobMovedOnError):
        stage.ledger.finish(first, "failed", {"outcome": "failed"}, now=stage.clock())
    with pytest.raises(JobMovedOnError):
        begin(stage, first)
    with pytest.raises(JobMovedOnError):
        stage.ledger.record_published(first, now=stage.clock())
    assert stage.job(first.job_id) == second


def test_the_second_of_two_requests_for_another_run_finds_the_first_ones(stage: Stage) -> None:
    job = failed(stage, stage.claim())
    reclaim(stage, job)
    with pytest.raises(JobMovedOnError):
        reclaim(stage, job)
    assert stage.only_job().run == 2


@pytest.mark.parametrize("status", ["cleaned", "nothing_to_remove"])
def test_only_a_failed_job_has_another_run(stage: Stage, status: Any) -> None:
    job = stage.claim()
    stage.ledger.finish(job, status, {"outcome": status}, now=stage.clock())
    with pytest.raises(JobMovedOnError):
        reclaim(stage, stage.job(job.job_id))


def test_another_run_begins_empty_and_will_be_published_again(stage: Stage) -> None:
    job = stage.ledger.record_facts(stage.claim(), {"format": "jpeg"}, now=stage.clock())
    job = with_fate(stage, paid(stage, job), "mask", "failed")
    stage.ledger.record_published(failed(stage, job), now=stage.clock())
    again = reclaim(stage, stage.job(job.job_id))
    assert (again.status, again.adobe_requests, again.outcome, again.published) == ("claimed", {}, {}, False)
    assert [(request.name, request.attempts) for request in again.earlier_requests] == [("mask", 1)]
    assert (again.facts, again.request_id) == ({"format": "jpeg"}, "again")


# --- what another run may use ---------------------------------------------------------------------------------------------


def another_run(stage: Stage, reason: str, *, fill: bool, wait: float = 10, own_mask: Photo | None = None) -> set[str]:
    """The requests whose answers another run has, after a failure with ``reason``."""
    job = stage.claim(own_mask=own_mask)
    if own_mask is None:
        job = paid(stage, job, "mask", finished=True)
    if fill:
        stage.clock.pass_by(1)
        job = paid(stage, job, "fill-1", finished=True)
    job = failed(stage, job, reason)
    stage.clock.pass_by(wait)
    return set(reclaim(stage, job).adobe_requests)


def test_what_was_paid_for_and_can_still_be_fetched_is_not_paid_for_again(stage: Stage) -> None:
    assert another_run(stage, "ResultNotSavedError", fill=True) == {"mask", "fill-1"}


def test_what_the_work_bucket_no_longer_holds_is_not_used_again(stage: Stage) -> None:
    """Masks are kept longer than fills: a fill belongs to the mask that it was made with."""
    assert another_run(stage, "ResultNotSavedError", fill=True, wait=FILL_KEPT_SECONDS) == {"mask"}
    assert another_run(stage, "ResultNotSavedError", fill=True, wait=MASK_KEPT_SECONDS) == set()


def test_a_fill_of_the_uploaders_own_mask_is_used_again(stage: Stage) -> None:
    own_mask = Photo(bucket=UPLOADS, key="dog.mask.png", version_id="m1")
    assert another_run(stage, "ResultNotSavedError", fill=True, own_mask=own_mask) == {"fill-1"}


def with_fate(stage: Stage, job: Job, name: str, fate: Fate) -> Job:
    return stage.ledger.record_poll(job, replace(job.adobe_requests[name], fate=fate), now=stage.clock())


@pytest.mark.parametrize("fate", ["failed", "given_up", "unusable"])
@pytest.mark.parametrize("finished", [False, True])
def test_a_mask_that_was_of_no_use_is_not_taken_again(stage: Stage, fate: Fate, finished: bool) -> None:
    job = with_fate(stage, paid(stage, stage.claim(), finished=finished), "mask", fate)
    again = reclaim(stage, failed(stage, job))
    assert again.adobe_requests == {}
    assert [(one.name, one.fate) for one in again.earlier_requests] == [("mask", fate)]


@pytest.mark.parametrize("fate", ["failed", "given_up", "unusable"])
@pytest.mark.parametrize("finished", [False, True])
def test_a_fill_that_was_of_no_use_is_not_taken_again_and_its_mask_is(stage: Stage, fate: Fate, finished: bool) -> None:
    job = paid(stage, paid(stage, stage.claim(), finished=True), "fill-1", finished=finished)
    again = reclaim(stage, failed(stage, with_fate(stage, job, "fill-1", fate)))
    assert set(again.adobe_requests) == {"mask"}


def test_a_fill_is_not_taken_again_without_the_mask_that_it_was_made_with(stage: Stage) -> None:
    job = paid(stage, paid(stage, stage.claim(), finished=True), "fill-1", finished=True)
    assert reclaim(stage, failed(stage, with_fate(stage, job, "mask", "unusable"))).adobe_requests == {}


def test_what_one_fill_came_to_says_nothing_of_another(stage: Stage) -> None:
    """The one that is still at work is asked about again, at once and for as long as at first."""
    job = paid(stage, stage.claim(), finished=True)
    for name in ("fill-1", "fill-2", "fill-3"):
        job = paid(stage, job, name, finished=name == "fill-3")
    request = replace(job.adobe_requests["fill-1"], deadline_at=stage.clock() + 900, check_at=stage.clock() + 60)
    job = stage.ledger.record_poll(job, request, now=stage.clock())
    job = failed(stage, with_fate(stage, job, "fill-2", "failed"))
    stage.clock.pass_by(300)
    again = reclaim(stage, job)
    assert set(again.adobe_requests) == {"mask", "fill-1", "fill-3"}
    awaited = again.adobe_requests["fill-1"]
    assert (awaited.check_at <= stage.clock(), awaited.deadline_at) == (True, stage.clock() + 900)


def test_a_request_that_is_sent_again_has_no_fate_yet(stage: Stage) -> None:
    """So that the next run waits for its second job, where this one ends meanwhile."""
    job = stage.ledger.record_poll(stage.claim(), AdobeRequest("mask", attempts=1, fate="failed"), now=stage.clock())
    assert set(reclaim(stage, failed(stage, paid(stage, job))).adobe_requests) == {"mask"}


def test_what_adobe_may_have_forgotten_is_not_asked_about_again(stage: Stage) -> None:
    job = failed(stage, paid(stage, stage.claim()))
    stage.clock.pass_by(ANSWER_SECONDS)
    assert reclaim(stage, job).adobe_requests == {}


# --- values ---------------------------------------------------------------------------------------------------------------

TIMES = st.floats(0, 4e9, allow_subnormal=False).map(lambda seconds: round(seconds, 6))
COUNTS = st.integers(0, 1_000_000)
ASKS = st.builds(
    AdobeRequest,
    name=st.sampled_from(["mask", "fill-1", "fill-2"]),
    route=st.sampled_from(["", "mask-objects"]),
    attempts=COUNTS,
    refusals=COUNTS,
    outages=COUNTS,
    intent_at=TIMES,
    lease_until=TIMES,
    slot_at=TIMES,
    check_at=TIMES,
    adobe_job=st.none()
    | st.builds(AdobeJob, job_id=st.text("abc:/é🐶", min_size=1), status_url=st.text("abc:/", min_size=1)),
    submitted_at=TIMES,
    deadline_at=TIMES,
    finished_at=TIMES,
    polls=COUNTS,
    fate=st.sampled_from(["", "failed", "given_up", "unusable"]),
)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(-1e12, 1e12).map(lambda number: round(number, 6) + 0.0)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab#.:é", min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(request=ASKS, facts=st.dictionaries(st.text("abc", min_size=1), PLAIN, max_size=4))
def test_numbers_and_words_come_back_as_they_went(request: AdobeRequest, facts: dict[str, Any]) -> None:
    job = Job("0" * 40, PHOTO, Options(), "masking", facts=facts, adobe_requests={request.name: request})
    back = job_from_item(from_item(to_item(job_to_item(job, record_days=400))))
    assert back == job


def test_the_record_leads_back_to_the_job_id(stage: Stage) -> None:
    for score in (0.0, 0.1, 1 / 3, 0.5, 1.0):
        options = Options(min_score=round(score, 6))
        kept = stage.job(stage.claim(options=options).job_id)
        assert job_id(kept.photo, kept.options) == kept.job_id


def test_an_outage_of_the_table_is_no_answer(stage: Stage) -> None:
    """Only a refused condition means that a job has moved on."""
    job = stage.claim()
    stage.dynamodb.delete_table(TableName="the-jobs")
    for act in (lambda: begin(stage, job), lambda: stage.claim("other.jpg"), lambda: stage.ledger.get(job.job_id)):
        with pytest.raises(Exception, match="ResourceNotFound") as raised:
            act()
        assert not isinstance(raised.value, CleanplateError)


def test_a_process_that_dies_before_its_write_has_written_nothing(stage: Stage) -> None:
    job = stage.claim()
    with pytest.raises(KilledError), stage.killed("dynamodb.TransactWriteItems"):
        begin(stage, job)
    assert stage.job(job.job_id).adobe_requests == {}


def test_a_write_that_botocore_repeats_recognises_itself(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a write whose answer was lost WHEN it is sent again THEN nobody takes it for another call's."""
    job = begun = stage.claim()
    for operation in ("transact_write_items", "update_item"):
        write = getattr(stage.dynamodb, operation)

        def twice(*, write: Any = write, **arguments: Any) -> Any:
            write(**arguments)
            return write(**arguments)

        monkeypatch.setattr(stage.dynamodb, operation, twice)
    begun = stage.ledger.begin_request(job, "mask", route="mask-objects", status="masking", now=stage.clock())
    refused = stage.ledger.withdraw_request(begun, begun.adobe_requests["mask"], sent=1, now=stage.clock())
    again = stage.ledger.begin_request(refused, "mask", route="mask-objects", status="masking", now=stage.clock())
    assert again.adobe_requests["mask"].attempts == 1
    assert stage.job(job.job_id) == again


def test_a_write_leaves_alone_what_the_ledger_does_not_know(stage: Stage) -> None:
    job = stage.claim()
    key = {"job_id": {"S": job.job_id}}
    note = {":note": {"S": "theirs"}}
    stage.dynamodb.update_item(
        TableName="the-jobs", Key=key, UpdateExpression="SET note = :note", ExpressionAttributeValues=note
    )
    begin(stage, job)
    assert stage.dynamodb.get_item(TableName="the-jobs", Key=key)["Item"]["note"] == note[":note"]


def test_what_was_there_is_found_where_the_refusal_does_not_bring_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older endpoint names the condition without the item."""
    monkeypatch.setattr("cleanplate.aws.dynamodb._item_there", lambda _: None)
    stale = stage.claim()
    begin(stage, stale)
    with pytest.raises(AskInFlightError):
        begin(stage, stale)
