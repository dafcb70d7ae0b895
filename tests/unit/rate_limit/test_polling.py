from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.errors import DeadlinePassedError
from cleanplate.rate_limit.polling import (
    DEFAULT_EXPECTED,
    EDGES,
    LONGEST_WAIT,
    DurationHistogram,
    expected,
    first_wait,
    next_wait,
    observe,
    wait_after_refusal,
    whole_seconds,
)

any_seconds = st.floats(0, 1000)
any_jitter = st.floats(0, 1)


def observed(duration: float, jobs: int = 100) -> DurationHistogram:
    """What is usual after jobs of one duration, each asked about as the policy says."""
    durations: DurationHistogram = {}
    rng = random.Random(3)
    for _ in range(jobs):
        at, pending_at, polls = float(first_wait(expected(durations), rng.random())), 0.0, 1
        while at < duration:
            pending_at = at
            at += next_wait(polls, 0, at, expected(durations), None, 9999, rng.random())
            polls += 1
        durations = observe(durations, pending_at, at)
    return durations


class TestFirstWait:
    def test_it_is_just_past_five_seconds_until_a_job_was_observed(self) -> None:
        assert expected({}) == DEFAULT_EXPECTED
        assert first_wait(DEFAULT_EXPECTED) == 6

    @pytest.mark.parametrize("duration", [2.5, 5.0, 9.0, 30.0, 90.0, 200.0])
    def test_it_lies_just_past_the_observed_duration(self, duration: float) -> None:
        assert duration <= first_wait(expected(observed(duration))) <= duration * 1.3 + 1

    @pytest.mark.parametrize("absurd", [0.0, -5.0, math.nan, math.inf, 1e9])
    def test_it_is_bounded_whatever_was_observed(self, absurd: float) -> None:
        assert 1 <= first_wait(absurd) <= EDGES[-1]

    def test_now_and_then_it_looks_early_whether_adobe_is_faster(self) -> None:
        waits = [first_wait(10.0, n / 100) for n in range(100)]
        assert waits.count(7) == 8
        assert waits.count(10) == 92


class TestNextWait:
    @given(st.integers(1, 50), any_seconds, any_seconds, st.floats(1, 300), st.none() | any_seconds, any_jitter)
    def test_it_is_whole_seconds_and_ends_at_the_deadline(
        self, polls: int, last: float, elapsed: float, durations: float, retry_after: float | None, jitter: float
    ) -> None:
        deadline = 900.0
        if elapsed >= deadline:
            with pytest.raises(DeadlinePassedError):
                next_wait(polls, last, elapsed, durations, retry_after, deadline, jitter)
            return
        wait = next_wait(polls, last, elapsed, durations, retry_after, deadline, jitter)
        assert isinstance(wait, int)
        assert 1 <= wait <= max(1, deadline - elapsed + 0.5)

    def test_retry_after_is_used_instead_of_the_forecast(self) -> None:
        assert next_wait(1, 6, 6, 6, 45.0, 900, 0.5) == 45
        assert next_wait(9, 60, 600, 6, 2.0, 900, 0.5) == 2

    @pytest.mark.parametrize("retry_after", [0.0, -3.0, math.nan, math.inf])
    def test_a_retry_after_that_cannot_be_meant_does_not(self, retry_after: float) -> None:
        assert next_wait(1, 6, 60, 6, retry_after, 900, 0.5) == next_wait(1, 6, 60, 6, None, 900, 0.5)

    def test_it_grows_with_the_time_gone_by_up_to_a_cap(self) -> None:
        waits = [next_wait(n, 0, elapsed, 6, None, 9999, 0.5) for n, elapsed in enumerate([6, 30, 90, 200, 2000], 1)]
        assert waits == sorted(waits)
        assert waits[-1] == LONGEST_WAIT
        assert all(wait <= max(1, 0.25 * elapsed) for wait, elapsed in zip(waits, [6, 30, 90, 200, 2000], strict=True))

    def test_photos_uploaded_together_do_not_poll_together(self) -> None:
        assert len({next_wait(3, 10, 100, 6, None, 900, n / 10) for n in range(11)}) >= 4

    def test_after_an_early_check_it_waits_for_the_expected_duration(self) -> None:
        assert next_wait(1, 7, 7, 10, None, 900, 0.5) == 3

    def test_a_clock_that_jumped_back_starts_no_storm(self) -> None:
        assert next_wait(5, 40, 6.1, 6, None, 900, 0.5) >= 15

    def test_a_job_that_never_ends_is_polled_a_bounded_number_of_times(self) -> None:
        elapsed, wait, polls = 0.0, 6.0, 0
        while elapsed + wait < 900:
            elapsed += wait
            polls += 1
            wait = next_wait(polls, wait, elapsed, 6, None, 900, 0.5)
        assert elapsed + wait == 900, "the last check falls on the deadline"
        assert polls < 35


class TestLearning:
    def test_seeing_late_does_not_make_it_look_later(self) -> None:
        """A first check that finds a job done says nothing of how long ago; taking it for the duration would creep."""
        durations: DurationHistogram = {}
        for _ in range(1000):
            durations = observe(durations, 0.0, float(first_wait(expected(durations))))
        assert expected(durations) == DEFAULT_EXPECTED

    def test_it_follows_when_adobe_becomes_slower_and_faster(self) -> None:
        slow = observed(40.0)
        assert 40 <= expected(slow) <= 50
        rng, durations = random.Random(5), slow
        for _ in range(200):
            at = float(first_wait(expected(durations), rng.random()))
            durations = observe(durations, at, 7.0) if at < 6 else observe(durations, 0.0, at)
        assert expected(durations) <= 10

    def test_one_outlier_changes_nothing(self) -> None:
        durations = observed(5.0)
        assert expected(observe(durations, 250.0, 300.0)) == expected(durations)

    @given(st.lists(st.tuples(st.floats(-10, 2000), st.floats(-10, 2000)), max_size=60))
    def test_it_stays_a_bounded_histogram(self, jobs: list[tuple[float, float]]) -> None:
        durations: DurationHistogram = {}
        for pending_at, seen_at in jobs:
            durations = observe(durations, pending_at, seen_at)
        assert sum(durations.values()) <= 41
        assert set(durations) <= set(EDGES)
        assert 1 <= expected(durations) <= EDGES[-1]
        assert len(str(durations)) < 600

    def test_the_first_jobs_are_believed_at_once_and_later_ones_slowly(self) -> None:
        durations = observe(observe({}, 40.0, 42.0), 40.0, 42.0)
        assert durations[42] / sum(durations.values()) == pytest.approx(2 / 3, abs=0.02)
        usual = observed(40.0)
        after = observe(usual, 4.0, 5.0)
        assert after[5] / sum(after.values()) == pytest.approx(1 / 40, abs=0.005)

    @pytest.mark.parametrize(
        ("pending_at", "seen_at"), [(5, 5), (6, 5), (-1, 5), (0, 0), (0, -3), (math.nan, 5), (0, math.inf)]
    )
    def test_what_cannot_be_changes_nothing(self, pending_at: float, seen_at: float) -> None:
        durations = observed(5.0)
        assert observe(durations, pending_at, seen_at) is durations


class TestWaitAfterRefusal:
    def test_it_doubles_up_to_five_minutes(self) -> None:
        assert [wait_after_refusal(n, 1.0) for n in (0, 1, 2, 3)] == [2, 4, 8, 16]
        assert wait_after_refusal(1000, 1.0) == 300

    @given(st.integers(-5, 10_000), any_jitter)
    def test_the_wait_is_never_zero(self, refusals: int, jitter: float) -> None:
        assert 1 <= wait_after_refusal(refusals, jitter) <= 300


@pytest.mark.parametrize(("seconds", "whole"), [(-3, 1), (0, 1), (0.9, 1), (1.4, 1), (1.5, 2), (60, 60), (math.nan, 1)])
def test_whole_seconds_are_what_step_functions_and_sqs_take(seconds: float, whole: int) -> None:
    assert whole_seconds(seconds) == whole
