"""How fast requests went of late: the whole spell at first, then the last of it, and nothing of what was before a pause."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

import pytest

from cleanplate.rate_limit.breakers import close
from cleanplate.rate_limit.limits import RateLimits
from cleanplate.rate_limit.pace import Pace
from cleanplate.rate_limit.reservations import reserve
from cleanplate.rate_limit.state import FILL_ROUTE, fresh

NOW = 1_800_000_000.0


def after(intervals: Iterable[float], pace: Pace | None = None, start: float = NOW) -> Pace:
    """The pace after a request at ``start`` and one after each of these."""
    pace = pace or Pace()
    for at in accumulate(intervals, initial=start):
        pace = pace.with_request(at)
    return pace


def test_at_first_it_is_the_mean_of_the_whole_spell() -> None:
    pace = after([1, 2, 3, 4, 5, 9])
    assert pace.requests == 6
    assert pace.interval == pytest.approx(4)
    assert pace.seconds_between(pace.last + 1) == pytest.approx(4)


def test_of_few_requests_nothing_is_known() -> None:
    pace = after([5.0] * 5)
    assert pace.seconds_between(pace.last) == 0
    assert Pace().seconds_between(NOW) == 0


def test_later_what_was_long_ago_is_forgotten() -> None:
    slow = after([10.0] * 40)
    quick = after([1.0] * 100, slow, slow.last)
    assert quick.interval == pytest.approx(1, rel=0.4)
    assert after([10.0] * 60, quick, quick.last).interval == pytest.approx(10, rel=0.1)


def test_quick_requests_are_remembered_for_half_a_minute() -> None:
    assert after([0.1] * 3000).requests == pytest.approx(300, abs=2)


def test_after_a_pause_another_spell_begins() -> None:
    pace = after([10.0] * 20).with_request(NOW + 261)
    assert pace == Pace(last=NOW + 261)
    assert after([10.0] * 20).seconds_between(NOW + 261) == 0


def test_a_pause_that_goes_on_makes_it_slower() -> None:
    pace = after([5.0] * 20)
    assert pace.seconds_between(pace.last + 4) == 5
    assert 5 < pace.seconds_between(pace.last + 20) < pace.seconds_between(pace.last + 50)


def test_what_the_gate_held_back_was_not_slow() -> None:
    pace = after([1.0] * 30)
    opens = pace.last + 300
    assert pace.with_request(opens + 1, opens).interval == pytest.approx(1)
    assert pace.seconds_between(opens - 100, opens) == pytest.approx(1)


def test_a_clock_that_is_behind_takes_no_time_back() -> None:
    pace = after([2.0] * 10)
    assert pace.with_request(NOW).last == pace.last
    assert 0 < pace.with_request(NOW).interval < 2


def test_a_slot_that_comes_late_counts_once() -> None:
    limits = RateLimits(per_day=None)
    state, slot = reserve(fresh(limits, NOW), limits, NOW, "fill", route=FILL_ROUTE)
    again, other = reserve(state, limits, NOW + 10, "fill", route=FILL_ROUTE, instead_of=slot.at)
    assert other.at > slot.at
    assert again.pace == state.pace == Pace(last=NOW)


def test_a_slot_behind_a_closed_gate_does_not_look_slow() -> None:
    limits = RateLimits(per_day=None)
    state = fresh(limits, NOW)
    for number in range(10):
        state, _ = reserve(state, limits, NOW + 2 * number, "fill", route=FILL_ROUTE)
    closed = close(state, limits, NOW + 18, NOW + 58, "429")
    opened, _ = reserve(closed, limits, NOW + 60, "fill", route=FILL_ROUTE)
    assert opened.pace.interval == pytest.approx(2)


def test_a_request_that_gets_no_slot_does_not_count() -> None:
    limits = RateLimits(per_day=None)
    state, _ = reserve(fresh(limits, NOW), limits, NOW, "fill", route=FILL_ROUTE)
    after_it, slot = reserve(state, limits, NOW, "mask", route="mask-objects", within=0.0)
    assert not slot.granted
    assert after_it.pace == state.pace
