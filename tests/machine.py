"""Play the project's own state machine, read from its file, without a cloud, on a clock that a test sets.

The states, the JSONata in them, ``Retry``, ``Catch`` and ``TimeoutSeconds`` are those that are deployed; only the
functions and the passing of time are handed in. Semantics: Amazon States Language, with JSONata as the query language.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jsonata

from cleanplate.aws.handler import aws_faults_by_one_name
from local.embedded_aws.template import read_yaml
from local.paths import ROOT
from tests.stage import KilledError

CLEAN_PHOTO = ROOT / "statemachine" / "clean_photo.asl.yaml"
#: What Lambda reports of a process that is gone.
PROCESS_GONE = "Runtime.ExitError"
#: More than any photo should ever take; a machine that goes round for ever is ended here.
MAX_TRANSITIONS = 25_000

Function = Callable[[dict[str, Any]], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Ended:
    """How an execution ended: ``SUCCEEDED``, ``FAILED`` or ``TIMED_OUT``, and the states that it entered."""

    status: str
    error: str
    states: tuple[str, ...]


class TaskError(Exception):
    """A task's failure as Step Functions sees it: a name and a cause."""

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(name)
        self.name, self.cause = name, cause


class Machine:
    """Plays executions. ``functions`` by logical id; ``wait`` lets time pass; ``clock`` tells it."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        *,
        wait: Callable[[float], None],
        clock: Callable[[], float],
        definition: Mapping[str, Any] | None = None,
    ) -> None:
        self._definition = definition or read_machine()
        self._functions = functions
        self._wait = wait
        self._clock = clock

    def run(self, name: str, start: Any) -> Ended:
        """Run one execution from its input to its end."""
        until = self._clock() + self._definition["TimeoutSeconds"]
        entered: list[str] = []
        state_name, given = self._definition["StartAt"], start
        while len(entered) < MAX_TRANSITIONS:
            entered.append(state_name)
            state = self._definition["States"][state_name]
            states: dict[str, Any] = {"input": given, "context": {"Execution": {"Name": name}}}
            match state["Type"]:
                case "Choice":
                    state_name = _choose(state, states)
                    continue
                case "Wait":
                    seconds = _value(state["Seconds"], states)
                    assert seconds >= 0, f"{state_name} would wait {seconds} s"
                    self._wait(seconds)
                case "Fail":
                    return Ended("FAILED", str(_value(state["Error"], states)), tuple(entered))
                case "Task":
                    try:
                        given = self._task(state, states)
                    except TaskError as error:
                        caught = _matching(state.get("Catch", []), error.name)
                        if caught is None:
                            return Ended("FAILED", error.name, tuple(entered))
                        output = {"Error": error.name, "Cause": error.cause}
                        given = _value(caught["Output"], {**states, "errorOutput": output})
                        state_name = caught["Next"]
                        continue
                case other:
                    raise AssertionError(f"{state_name} is of a type that is not played here: {other}")
            if self._clock() > until:
                return Ended("TIMED_OUT", "States.Timeout", tuple(entered))
            if state.get("End"):
                return Ended("SUCCEEDED", "", tuple(entered))
            state_name = state["Next"]
        raise AssertionError(f"{name} goes round for ever: … {entered[-12:]}")

    def _task(self, state: Mapping[str, Any], states: Mapping[str, Any]) -> Any:
        arguments = _value(state["Arguments"], states)
        tried: dict[int, int] = {}
        while True:
            try:
                answer = self._call(arguments["FunctionName"], arguments["Payload"])
            except TaskError as error:
                self._back_off(state.get("Retry", []), error, tried)
            else:
                return _value(state["Output"], {**states, "result": {"Payload": answer}})

    def _back_off(self, retriers: list[Mapping[str, Any]], error: TaskError, tried: dict[int, int]) -> None:
        """Let the pause before another attempt pass, or give the error up to ``Catch``."""
        retrier = _matching(retriers, error.name)
        if retrier is None or tried.get(id(retrier), 0) >= retrier["MaxAttempts"]:
            raise error
        attempt = tried.get(id(retrier), 0)
        tried[id(retrier)] = attempt + 1
        # With full jitter the pause may be anything up to this.
        self._wait(min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** attempt, retrier["MaxDelaySeconds"]))

    def _call(self, function: str, payload: dict[str, Any]) -> Any:
        logical_id = function.removeprefix("${").removesuffix("Arn}")
        try:
            # As over the wire: what is no JSON cannot be sent.
            with aws_faults_by_one_name():
                return json.loads(json.dumps(self._functions[logical_id](json.loads(json.dumps(payload)))))
        except KilledError as error:
            raise TaskError(PROCESS_GONE, json.dumps({"errorMessage": str(error)})) from None
        except TaskError:
            raise
        except Exception as error:
            report = {"errorMessage": str(error), "errorType": type(error).__name__}
            raise TaskError(type(error).__name__, json.dumps(report)) from error


@lru_cache(maxsize=1)
def read_machine() -> dict[str, Any]:
    """Return the definition that is deployed."""
    return read_yaml(CLEAN_PHOTO)


@lru_cache
def _parsed(text: str) -> jsonata.Jsonata:
    expression = jsonata.Jsonata(text)
    # Step Functions' own, in place of JSONata's $eval.
    expression.register_lambda("parse", json.loads)
    return expression


def _choose(state: Mapping[str, Any], states: Mapping[str, Any]) -> str:
    for rule in state["Choices"]:
        answer = _value(rule["Condition"], states)
        assert isinstance(answer, bool), f"{rule['Condition']} is neither true nor false"
        if answer:
            return str(rule["Next"])
    return str(state["Default"])


def _matching(rules: list[Mapping[str, Any]], error: str) -> Mapping[str, Any] | None:
    return next((rule for rule in rules if {error, "States.ALL"} & set(rule["ErrorEquals"])), None)


def _value(template: Any, states: Mapping[str, Any]) -> Any:
    """Return what a template comes to: strings in ``{% … %}`` are JSONata, all others stand for themselves."""
    if isinstance(template, dict):
        return {name: _value(inner, states) for name, inner in template.items()}
    if isinstance(template, list):
        return [_value(inner, states) for inner in template]
    if isinstance(template, str) and template.startswith("{%") and template.endswith("%}"):
        expression = _parsed(template[2:-2].strip())
        frame = expression.create_frame()
        frame.bind("states", states)
        found = expression.evaluate(None, frame)
        assert found is not None, f"{template} has no value"
        return found
    return template
