"""Faults of each place, outcome and way to act; ``make prove`` plays every one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pytest

from local.adobe.answers import ERROR_SHAPES
from local.adobe.jobs import FAILURE_STYLES
from local.dev.docs import reasons
from tests.chaos.catalogue import play
from tests.chaos.faults import FAULTS, FILL, MASK_ROUTES, Fault
from tests.chaos.world import MakeWalk

REPRESENTATIVE = [fault for fault in FAULTS if fault.representative]
PLAYED_HERE = (
    "identity-service/mask-objects/down-in-mid-walk",
    "mask-request/mask-objects/refused",
    "mask-request/mask-objects/lost-202",
    "mask-request/mask-objects/lost-202-to-approve",
    "mask-status/mask-objects/unknown-word",
    "mask-download/mask-objects/too-large",
    "mask-picture/mask-objects/no-masks",
    "fill-request/fill-masked-areas/hang",
    "fill-request/firefly-fill/unsafe",
    "fill-status/fill-masked-areas/502-for-ever",
    "fill-download/fill-masked-areas/reset-in-body",
    "fill-picture/fill-masked-areas/other-size",
)
PLAYED = [fault for fault in FAULTS if fault.name in PLAYED_HERE]


@pytest.mark.integration
@pytest.mark.parametrize("fault", PLAYED, ids=lambda fault: fault.name)
def test_a_fault_comes_to_what_is_said_of_it(make_walk: MakeWalk, fault: Fault) -> None:
    verdict, unexpected = play(make_walk, fault)
    assert verdict.breaches == ()
    assert not unexpected


def test_each_place_outcome_and_way_to_act_is_played_here() -> None:
    def kinds(faults: Sequence[Fault]) -> set[object]:
        ways = {(bool(fault.closed), fault.impatient, bool(fault.settings), len(fault.rules) > 1) for fault in faults}
        return (
            {fault.where for fault in faults}
            | {fault.expected.outcome for fault in faults}
            | {
                (name, each)
                for way in ways
                for name, each in zip(("closed", "slow", "settings", "rules"), way, strict=True)
            }
        )

    assert len(PLAYED) == len(PLAYED_HERE)
    assert kinds(PLAYED) == kinds(FAULTS)


def test_every_fault_has_a_name_of_its_own() -> None:
    (_, most), *_ = Counter(fault.name for fault in FAULTS).most_common(1)
    assert most == 1


def test_only_failures_have_a_reason_and_it_is_of_the_closed_list() -> None:
    known = reasons()
    for fault in FAULTS:
        assert (fault.expected.outcome == "failed") == bool(fault.expected.reason), fault.name
        assert not fault.expected.reason or f"| `{fault.expected.reason}` |" in known, fault.name


def test_representative_faults_cover_every_place_and_outcome() -> None:
    def shown(faults: Sequence[Fault]) -> set[tuple[str, str, str]]:
        return {(fault.where, fault.expected.outcome, fault.expected.reason) for fault in faults}

    assert shown(REPRESENTATIVE) == shown(FAULTS)


@pytest.mark.parametrize("route", [*MASK_ROUTES, FILL])
def test_every_route_meets_every_kind_of_answer(route: str) -> None:
    """GIVEN the list of what must be tried THEN each route has all of it, on its POST and on its status requests."""
    ours = [fault.name.rpartition("/")[2] for fault in FAULTS if fault.route == route]
    requests = {fault.name.rpartition("/")[2] for fault in FAULTS if fault.route == route and "request" in fault.where}
    statuses = {fault.name.rpartition("/")[2] for fault in FAULTS if fault.route == route and "status" in fault.where}
    both = {"429-timed", "429-untimed", "502-for-ever", "refused", "reset-in-body", "hang", "endless-drip", "401-once"}
    both |= {"401-for-ever", "422", "redirect"}
    assert both <= requests
    assert both <= statuses
    assert {f"400-{shape}" for shape in ERROR_SHAPES} <= requests
    assert {f"failed-{style}" for style in FAILURE_STYLES} <= statuses
    assert {"lost-202", "lost-202-for-ever", "html-202", "empty-202", "nameless-202", "never-finishes"} <= requests
    assert {"404", "410", "html", "empty", "unknown-word", "goes-backwards", "redirect"} <= statuses
    assert len(ours) > 100


def test_names_are_fit_for_files_and_shells() -> None:
    assert all(re.fullmatch(r"[\w./;'-]+", fault.name) for fault in FAULTS)
