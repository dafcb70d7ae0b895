"""The state machine as it is deployed."""

from __future__ import annotations

from typing import Any

from local.dev.world import World

Template = dict[str, Any]
#: Its own errors end in the execution's status event, which leads to the same function once more.
_WITHOUT_CATCH = {"RecordFailure"}
#: What leads back to a state before.
_NO_FAILURES = {"NotApprovedError", "NotReadyError", "NotSentError"}


def _states(template: Template, kind: str) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, state and machine of every state of one type in every machine."""
    return [
        (name, state, machine)
        for machine in World(template).machines.values()
        for name, state in machine["States"].items()
        if state["Type"] == kind
    ]


def _tasks_of_a_photo(template: Template) -> dict[str, dict[str, Any]]:
    states = World(template).clean_photo["States"]
    return {name: state for name, state in states.items() if state["Type"] == "Task"}


def test_every_choice_has_a_default(template: Template) -> None:
    for name, state, machine in _states(template, "Choice"):
        assert state.get("Default") in machine["States"], name


def test_every_task_ends_in_time_and_so_does_every_machine(template: Template) -> None:
    assert all(machine.get("TimeoutSeconds") for machine in World(template).machines.values())
    for name, state, _ in _states(template, "Task"):
        assert state.get("TimeoutSeconds"), name


def test_every_error_of_a_task_is_caught_and_leads_to_a_recorded_failure(template: Template) -> None:
    for name, state in _tasks_of_a_photo(template).items():
        if name in _WITHOUT_CATCH:
            continue
        *others, last = state["Catch"]
        assert (last["ErrorEquals"], last["Next"]) == (["States.ALL"], "RecordFailure"), name
        assert {error for clause in others for error in clause["ErrorEquals"]} <= _NO_FAILURES, name


def test_what_is_not_there_yet_is_waited_for(template: Template) -> None:
    states = World(template).clean_photo["States"]
    assert (states["WaitForMask"]["Next"], states["WaitForFill"]["Next"]) == ("CheckMask", "CheckFill")
    waits = {"CheckMask": "WaitForMask", "FillMaskedAreas": "WaitForFill", "CheckFill": "WaitForFill"}
    for name, wait in waits.items():
        assert {clause["Next"] for clause in states[name]["Catch"] if "NotReadyError" in clause["ErrorEquals"]} == {
            wait
        }


def test_states_all_stands_alone_and_last_and_never_in_a_retry(template: Template) -> None:
    """A retry on everything would retry what can never succeed, and pay for it."""
    for name, state, _ in _states(template, "Task"):
        for clause in state.get("Retry", []):
            assert not {"States.ALL", "States.TaskFailed"} & set(clause["ErrorEquals"]), name
        for clause in state.get("Catch", [])[:-1]:
            assert "States.ALL" not in clause["ErrorEquals"], name


def test_every_retry_is_bounded_backs_off_and_is_spread(template: Template) -> None:
    for name, state, _ in _states(template, "Task"):
        for clause in state["Retry"]:
            assert clause["MaxAttempts"] <= 10, name
            assert clause["BackoffRate"] > 1, name
            assert clause["MaxDelaySeconds"] <= 300, name
            # A key is held for a fixed time: jitter would end some waits before it.
            assert clause["JitterStrategy"] == ("NONE" if clause["ErrorEquals"] == ["LedgerBusyError"] else "FULL"), (
                name
            )


def test_a_photo_ends_as_saved_or_as_failed_and_in_no_other_state(template: Template) -> None:
    states = World(template).clean_photo["States"]
    ends = {name for name, state in states.items() if state.get("End") or state["Type"] in {"Fail", "Succeed"}}
    assert ends == {"SaveResult", "PhotoFailed"}
    failing = {name for name, state in states.items() if state.get("Next") == "PhotoFailed"}
    assert failing == {"RecordFailure"}


def test_a_photo_that_meets_no_long_wait_takes_four_transitions(template: Template) -> None:
    states = World(template).clean_photo["States"]
    name, steps = World(template).clean_photo["StartAt"], []
    while name:
        steps.append(name)
        name = states[name].get("Next", "")
        assert len(steps) < 30
    assert steps[-1] == "SaveResult"
    assert len(steps) == 4


def test_nothing_but_ids_words_and_waits_flows_through_the_machine(template: Template) -> None:
    """No bytes, links or tokens: what a step puts out is the job's id and the step's own small answer."""
    for name, state in _tasks_of_a_photo(template).items():
        payload = state["Arguments"]["Payload"]
        assert payload.keys() <= {"job_id", "step", "waited", "execution", "error", "cause"}, name
        assert state["Output"] in (
            "{% $states.result.Payload %}",
            {"job_id": "{% $states.input.job_id %}"},
            {"job_id": "{% $states.input.job_id %}", "wait_seconds": 0},
            {"error": "{% $states.input.error %}", "cause": "{% $states.input.cause %}"},
        ), name
