"""Look for garbage rarely: a worker holds a million objects of libraries, and every look through them takes a while."""

from __future__ import annotations

import gc

import pytest


def pytest_configure() -> None:
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What is there before the first test is not looked at again."""
    gc.collect()
    gc.freeze()
