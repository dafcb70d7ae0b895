"""Order the tests and give each group its worker, so that all workers are busy to the end."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

HERE = Path(__file__).parent

#: Where each module is one worker's: another would load and make once more what its tests share. The other folders have
#: groups of their own.
GROUPED = {"consistency", "integration", "template", "unit"}
#: Folders whose tests share what takes a second and more to make: the transformed template, the parsed project.
ONE_WORKERS = {"template", "consistency"}
#: Takes as long as all others of its folder.
ALONE = {"test_check"}


def pytest_configure() -> None:
    # A worker holds a million objects of libraries, and every look through them for garbage takes a while.
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave out of those looks what is there before the first test."""
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Look once for objects that fail as they go; pytest then looks five times more, through all that is left."""
    gc.collect()
    gc.freeze()


def pytest_collectstart(collector: pytest.Collector) -> None:
    if isinstance(collector, pytest.Module) and collector.path.relative_to(HERE).parts[0] in GROUPED:
        folder, name = collector.path.parent.name, collector.path.stem
        group = folder if folder in ONE_WORKERS and name not in ALONE else f"{folder}.{name}"
        collector.add_marker(pytest.mark.xdist_group(group))


@pytest.hookimpl(tryfirst=True)  # Before xdist writes the groups into the tests' names.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the end-to-end tests first, whose time is mostly waiting, the groups with a stack before the single ones."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    if item.get_closest_marker("end_to_end") is None:
        return 2
    return 0 if item.get_closest_marker("xdist_group") else 1
