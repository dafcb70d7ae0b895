from __future__ import annotations

from dataclasses import replace

from cleanplate.jobs.deadlines import SLACK, TO_ANNOUNCE, due_at, rounded_up
from cleanplate.models import AdobeJob, AdobeRequest, Job, Options, Photo

AT_ADOBE = AdobeJob("urn:1", "https://image.adobe.io/s")
JOB = Job(
    job_id="a" * 40,
    photo=Photo("uploads", "dog.jpg"),
    options=Options(),
    status="claimed",
    claimed_at=1000.0,
    deadline_at=100_000.0,
)
SENT = AdobeRequest(
    "mask", intent_at=1500.0, adobe_job=AT_ADOBE, submitted_at=1500.0, deadline_at=2400.0, check_at=1506.0
)


def with_requests(*adobe_requests: AdobeRequest) -> Job:
    return replace(JOB, status="masking", adobe_requests={request.name: request for request in adobe_requests})


def test_a_photo_without_a_slot_has_until_its_own_deadline() -> None:
    assert due_at(JOB) == rounded_up(100_000 + SLACK)
    assert due_at(with_requests(AdobeRequest("mask", refusals=1))) == rounded_up(100_000 + SLACK)
    assert due_at(with_requests(AdobeRequest("mask", intent_at=1500.0, lease_until=1700.0))) == rounded_up(
        100_000 + SLACK
    )


def test_while_adobe_works_the_requests_deadline_counts() -> None:
    assert due_at(with_requests(SENT)) == rounded_up(2400 + SLACK)
    assert due_at(with_requests(replace(SENT, finished_at=1600.0, polls=3))) == rounded_up(2400 + SLACK)


def test_a_first_status_request_is_made_even_after_the_deadline() -> None:
    assert due_at(with_requests(replace(SENT, check_at=9000.0))) == rounded_up(9000 + SLACK)


def test_a_fill_has_until_its_slot_or_else_until_the_photos_deadline() -> None:
    lost = AdobeRequest("fill-1", attempts=1, intent_at=1600.0, lease_until=1605.0)
    assert due_at(with_requests(SENT, AdobeRequest("fill-1", refusals=1))) == rounded_up(100_000 + SLACK)
    assert due_at(with_requests(SENT, AdobeRequest("fill-1", slot_at=5000.0))) == rounded_up(5000 + SLACK)
    assert due_at(with_requests(SENT, replace(lost, slot_at=80_000.0))) == rounded_up(80_000 + SLACK)


def test_a_fill_on_its_way_moves_nothing_unless_it_would_be_late_meanwhile() -> None:
    assert due_at(with_requests(SENT, AdobeRequest("fill-1", intent_at=1600.0, lease_until=1800.0))) == due_at(
        with_requests(SENT)
    )
    assert due_at(with_requests(SENT, AdobeRequest("fill-1", intent_at=90_000.0, lease_until=90_200.0))) == rounded_up(
        90_200 + SLACK
    )


def test_of_two_fills_the_later_one_counts() -> None:
    first = replace(SENT, name="fill-1", deadline_at=3000.0)
    second = replace(SENT, name="fill-2", deadline_at=3100.0)
    assert due_at(with_requests(SENT, first, second)) == rounded_up(3100 + SLACK)


def test_a_run_that_was_given_an_old_mask_has_its_time_all_the_same() -> None:
    assert due_at(replace(with_requests(SENT), run=2, claimed_at=5400.0)) == rounded_up(5400 + SLACK)


def test_an_ended_job_is_late_until_its_outcome_is_out() -> None:
    ended = replace(JOB, status="failed", outcome={"ended_at": 5000.0})
    assert due_at(ended) == rounded_up(5000 + TO_ANNOUNCE)
    assert due_at(replace(ended, published=True)) is None
