"""No sockets: a unit test that connects to anything fails."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings
from moto import mock_aws

from tests.aws import REGION
from tests.stage import Stage

#: Fixtures that put buckets and tables into this process.
STACKS = {"stage", "make_stage", "client"}

#: Modules that try every format, mode, orientation or region, many simulated runs, or a browser.
MATRICES = {
    "test_any_file",
    "test_forecast",
    "test_jpeg_blocks",
    "test_jpeg_end",
    "test_kinds",
    "test_linear",
    "test_links",
    "test_html",
    "test_untouched",
    "test_viewing",
}

#: Modules about what is kept in the table: theirs is moto's, which refuses what DynamoDB refuses and ministack does not,
#: but for the parameters of a test, which write the same in the same way.
STORES = {"test_ledger", "test_result_owners", "test_waiting_room"}

#: The same inputs in every run of the tests; ``make prove`` tries others, and many more of them.
settings.register_profile(
    "repeatable",
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("repeatable"), max_examples=2000, derandomize=False)


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("repeatable")


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Mark what takes longer than a moment: ``make unit`` leaves it to ``make test``.

    That is what tries hundreds of inputs, and what works on a stack in this process.
    """
    if isinstance(collector, pytest.Module) and collector.path.stem in MATRICES:
        collector.add_marker(pytest.mark.slow)


def pytest_itemcollected(item: pytest.Item) -> None:
    if not STACKS.isdisjoint(getattr(item, "fixturenames", ())):
        item.add_marker(pytest.mark.stack)
    if is_hypothesis_test(getattr(item, "obj", None)):
        item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: socket.socket, address: Any) -> None:
        raise AssertionError(f"a unit test wants to connect to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture
def make_stage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stage]]:
    """Make AWS in this process with settings of the stack, and the services of a step on top of it."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield partial(Stage, moto_table=request.path.stem in STORES and not hasattr(request.node, "callspec"))


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """The same with the settings as they are by default."""
    return make_stage()
