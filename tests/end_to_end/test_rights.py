"""Without one right of one function something breaks, and with it again nothing does; all of them are ``make prove``."""

from __future__ import annotations

import pytest

from tests.chaos.rights import Trial, scenario_of, trials, without
from tests.end_to_end.conftest import System

SOME = [
    Trial("CheckJobFunction", "KeepWork", "s3:PutObject"),
    Trial("ReportProgressFunction", "ReadCountsAndPace", "dynamodb:BatchGetItem"),
    Trial("RequestMaskFunction", "StartExecutions", "states:StartExecution"),
]


@pytest.mark.parametrize("trial", SOME, ids=lambda trial: trial.name)
def test_without_a_right_something_breaks_and_with_it_again_nothing_does(system: System, trial: Trial) -> None:
    assert trial in trials(system)
    with without(system, trial):
        assert not scenario_of(trial)(system)
        assert trial not in trials(system)
    assert scenario_of(trial)(system)
