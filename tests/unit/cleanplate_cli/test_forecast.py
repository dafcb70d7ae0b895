"""Forecasts against runs of every kind: most of what is shown must come true."""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import pytest

from cleanplate_cli.forecast import in_words, seconds_left


@dataclass(frozen=True, slots=True)
class Scene:
    """What holds photos up: processors that looks, masks, fills and results share, or the spacing of slots at Adobe.

    ``looked_at``: photos that are looked at at a time, before their masks are requested. Times in seconds.
    """

    processors: int = 2
    mask: float = 2.0
    fill: float = 5.0
    spacing: float = 0.0
    looked_at: int = 4
    spread: float = 0.5


SCENES = {
    "long fills": Scene(),
    "short fills": Scene(fill=1.5),
    "very long fills": Scene(mask=1.0, fill=10.0, spread=0.8),
    "the limit": Scene(processors=1000, mask=10.0, fill=10.0, spacing=2.0),
    "a high limit": Scene(processors=1000, mask=10.0, fill=10.0, spacing=0.5, looked_at=40),
    "slow jobs": Scene(processors=1000, mask=30.0, fill=30.0, spacing=0.1, looked_at=20),
}


#: A real run of 60 small photos on two processors, which others used too, most of all at first: seconds.
BEGUN = """
4 4 5 6 19 24 30 31 37 54 64 65 69 73 77 85 90 109 127 127 131 132 146 155 159 160 161 170 183 183
186 186 190 216 226 226 226 241 242 251 254 256 265 266 266 267 270 270 270 294 304 305 321 321 323
329 334 345 346 360
"""
ENDED = """
68 75 105 130 144 154 154 156 156 158 158 159 160 160 176 177 185 185 186 194 210 210 217 223 225
225 226 226 241 254 255 255 266 267 268 269 281 294 294 303 305 306 306 320 320 322 323 323 325 344
346 346 359 362 368 368 372 372 372 375
"""


class Played(NamedTuple):
    """When the photos of a run were begun, when they ended, and when their masks and fills were requested."""

    begun: list[float]
    ended: list[float]
    masks: list[float]
    fills: list[float]


def play(scene: Scene, photos: int, seed: int) -> Played:
    """First come, first served, each of another size."""
    rng = random.Random(seed)
    sizes = [rng.uniform(1 - scene.spread, 1 + scene.spread) for _ in range(photos)]
    costs = (0.1 * scene.fill, scene.mask, 0.2 * scene.fill, scene.fill, 0.4 * scene.fill)
    waiting, ready = deque(range(photos)), deque[tuple[int, int]]()
    coming: list[tuple[float, int, int, bool]] = []
    now, slot, free, looking = 0.0, 0.0, scene.processors, 0
    begun, ended, masks, fills = list[float](), list[float](), list[float](), list[float]()
    while len(ended) < photos:
        while waiting and looking < scene.looked_at:
            ready.append((waiting.popleft(), 0))
            looking += 1
        while ready and free:
            photo, stage = ready.popleft()
            free -= 1
            heapq.heappush(coming, (now + costs[stage] * sizes[photo] * rng.uniform(0.8, 1.2), photo, stage, True))
        now, photo, stage, is_worked_on = heapq.heappop(coming)
        if not is_worked_on:
            if stage == 1:
                begun.append(now)
            ready.append((photo, stage))
            continue
        free += 1
        if stage == 4:
            ended.append(now)
            continue
        # After a look and after a plan comes a POST, in its slot; after a job, whatever it takes until it is asked about.
        at = now + rng.uniform(1.0, 3.0)
        if stage in {0, 2}:
            looking -= stage == 0
            at = slot = max(slot + scene.spacing, now)
            (fills if stage else masks).append(at)
        heapq.heappush(coming, (at, photo, stage + 1, False))
    return Played(begun, ended, masks, fills)


def right(begun: list[float], ended: list[float]) -> list[bool]:
    """Of each of twenty lines, whether the end that it shows is within a fifth of the real one."""
    end, photos, shown = ended[-1], len(ended), list[bool]()
    for now in (end * number / 20 for number in range(20)):
        steps = sorted(time for time in (*begun, *ended) if time <= now)
        left = seconds_left(0.0, steps, sum(time <= now for time in ended), photos, now)
        if left is not None:
            shown.append(abs(now + left - end) <= 0.2 * end)
    return shown


@pytest.mark.parametrize("photos", [20, 60, 300])
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_most_of_what_is_shown_is_right_within_a_fifth(photos: int, scene: Scene) -> None:
    lines = [line for seed in range(5) for line in right(*play(scene, photos, seed)[:2])]
    assert len(lines) >= 25
    assert sum(lines) >= 0.65 * len(lines)


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_half_is_right_where_the_first_fifth_went_at_another_pace(scene: Scene, factor: float) -> None:
    lines = list[bool]()
    for seed in range(5):
        begun, ended, *_ = play(scene, 60, seed)
        turn = ended[-1] / 5

        def at_that_pace(time: float, turn: float = turn) -> float:
            return time * factor if time < turn else time + turn * (factor - 1)

        lines += right([at_that_pace(time) for time in begun], [at_that_pace(time) for time in ended])
    assert sum(lines) >= 0.5 * len(lines)


def test_most_of_what_a_real_run_showed_is_right() -> None:
    lines = right([float(word) for word in BEGUN.split()], [float(word) for word in ENDED.split()])
    assert sum(lines) >= 0.6 * len(lines)


def test_too_few_endings_give_no_forecast() -> None:
    assert seconds_left(0.0, [], 0, 10, 5.0) is None
    assert seconds_left(0.0, [1.0, 2.0, 3.0, 4.0], 2, 10, 5.0) is None


def test_a_run_that_is_done_takes_no_more_time() -> None:
    assert seconds_left(0.0, [1.0, 2.0, 3.0, 4.0], 2, 2, 5.0) == 0.0


def test_a_run_that_stands_still_is_put_off_further() -> None:
    steps = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert (seconds_left(0.0, steps, 3, 10, 100.0) or 0) > (seconds_left(0.0, steps, 3, 10, 20.0) or 0) > 6


def test_after_many_endings_the_pace_of_late_counts() -> None:
    slow_then_quick = [*(10.0 * number for number in range(200)), *(2000.0 + number for number in range(200))]
    assert seconds_left(0.0, slow_then_quick, 200, 300, 2200.0) == pytest.approx(200, rel=0.1)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (40, "40 s"),
        (140, "2.5 min"),
        (190, "3 min"),
        (700, "12 min"),
        (12_600, "3.5 h"),
        (181_440, "2.1 days"),
    ],
)
def test_times_are_written_as_people_say_them(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
