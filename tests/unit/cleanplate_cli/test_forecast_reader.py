"""How true a run's forecasts were, as read from what it printed."""

from __future__ import annotations

from tests.benchmarks.forecasts import read

LOG = """The embedded AWS is up.
   0.1 s  0 of 3 photos done
  10.0 s  a.jpg: cleaned
  10.0 s  1 of 3 photos done; the last is done in about 80 s
  60.0 s  b.jpg: nothing to remove
  60.0 s  2 of 3 photos done; the last is done in about 2 min. No photo has moved for 30 s.
 100.0 s  c.jpg: failed
""".splitlines()


def test_each_forecast_is_held_against_what_came() -> None:
    early, late = read(LOG)
    assert (early.at, early.left, early.was_left) == (10.0, 80.0, 90.0)
    assert early.is_right
    assert early.is_right_of_the_rest
    assert (late.left, late.was_left) == (120.0, 40.0)
    assert not late.is_right


def test_a_run_without_a_forecast_has_none() -> None:
    assert read(LOG[:2]) == []
