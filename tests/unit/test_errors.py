from __future__ import annotations

import inspect
import re

import pytest

from cleanplate import errors
from cleanplate.adobe import errors as adobe_errors
from cleanplate.error_names import error_named
from cleanplate.errors import CleanplateError

CLASSES = {
    name: cls
    for module in (errors, adobe_errors)
    for name, cls in vars(module).items()
    if inspect.isclass(cls) and issubclass(cls, CleanplateError) and cls.__module__ == module.__name__
}


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ((?:[│ ]   )*(?:[├└]── )?)(\w+Error)\b", line)
        if match:
            depth = len(match[1]) // 4
            above[depth:] = [match[2]]
            drawn[match[2]] = above[depth - 1] if depth else ""
    assert drawn == {
        name: cls.__bases__[0].__name__ if cls is not CleanplateError else "" for name, cls in CLASSES.items()
    }


def test_advice_of_a_403_names_the_scopes() -> None:
    advice = adobe_errors.AccessRefusedError.what_to_do
    assert "AdobeScopes" in advice
    assert "openid,AdobeID,read_organizations,firefly_api,ff_apis" in advice


def test_every_error_says_what_to_do_in_a_whole_sentence() -> None:
    for name, cls in CLASSES.items():
        assert name.endswith("Error")
        assert re.fullmatch(r"[A-Z].+\.", cls.what_to_do), name
        assert cls.__doc__, name


def test_an_error_is_found_again_by_its_name() -> None:
    assert {name: error_named(name) for name in CLASSES} == CLASSES


@pytest.mark.parametrize("name", ["States.Timeout", "Sandbox.Timedout", "States.HeartbeatTimeout"])
def test_a_time_limit_has_one_name_however_the_platform_calls_it(name: str) -> None:
    assert error_named(name) is errors.StepTimedOutError


@pytest.mark.parametrize("name", ["KeyError", "Runtime.ExitError", "States.TaskFailed", "", "Exception"])
def test_an_error_that_nobody_knows_is_a_crash(name: str) -> None:
    assert error_named(name) is errors.StepCrashedError


def test_waiting_is_never_a_failure_of_the_photo() -> None:
    for cls in (errors.PostponedError, errors.AskInFlightError, adobe_errors.RateLimitedError):
        assert cls.what_to_do.startswith("Nothing: ")
        assert cls.retryable
