"""Without one right of one function something breaks, and with it again nothing does; all of them are ``make prove``."""

from __future__ import annotations

from tests.chaos.rights import Trial, scenario_of, trials, without
from tests.end_to_end.conftest import System

#: Of a function that the machine calls; test_alarms.py takes one away from a function that a queue calls.
TRIAL = Trial("CheckJobFunction", "KeepWork", "s3:PutObject")


def test_without_a_right_something_breaks_and_with_it_again_nothing_does(system: System) -> None:
    assert TRIAL in trials(system)
    with without(system, TRIAL):
        assert not scenario_of(TRIAL)(system)
        assert TRIAL not in trials(system)
    assert scenario_of(TRIAL)(system)
