"""Forecasts against runs of every kind: most of what is shown must come true."""

from __future__ import annotations

import heapq
import random
from statistics import median

import pytest

from cleanplate_cli.forecast import in_words, seconds_left


def play(photos: int, lanes: int, pace: float, spread: float, seed: int) -> list[float]:
    """When each photo ends, with so many worked on at a time, begun one after the other as the rate limiter has it."""
    rng = random.Random(seed)
    free = [0.0] * lanes
    ends = []
    for number in range(photos):
        end = max(heapq.heappop(free), number * pace / lanes) + pace * rng.uniform(1 - spread, 1 + spread)
        heapq.heappush(free, end)
        ends.append(end)
    return sorted(ends)


@pytest.mark.parametrize("photos", [12, 60, 500])
@pytest.mark.parametrize("lanes", [1, 4, 30])
@pytest.mark.parametrize("spread", [0.1, 0.6])
def test_half_of_what_is_shown_is_right_within_a_fifth(photos: int, lanes: int, spread: float) -> None:
    if lanes > photos / 2:
        pytest.skip("all of them are in work at once")
    right = []
    for seed in range(10):
        ends = play(photos, lanes, 10.0, spread, seed)
        shown = []
        for second in range(int(ends[-1])):
            left = seconds_left([end for end in ends if end <= second], photos, second)
            if left is not None:
                shown.append(abs(second + left - ends[-1]) <= 0.2 * ends[-1])
        right.append(sum(shown) / len(shown))
    assert median(right) >= 0.5


def test_too_few_endings_give_no_forecast() -> None:
    assert seconds_left([], 10, 5.0) is None
    assert seconds_left([1.0, 2.0], 10, 5.0) is None
    assert seconds_left([2.0, 2.0, 2.0], 10, 5.0) is None


def test_a_run_that_is_done_takes_no_more_time() -> None:
    assert seconds_left([1.0, 2.0], 2, 5.0) == 0.0


def test_a_run_that_stands_still_is_put_off_further() -> None:
    ends = [1.0, 2.0, 3.0, 4.0]
    assert (seconds_left(ends, 10, 100.0) or 0) > (seconds_left(ends, 10, 20.0) or 0) > 6


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (40, "40 s"), (700, "12 min"), (12_600, "3.5 h"), (181_440, "2.1 days")]
)
def test_times_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
