from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.world import Grounds, MakeWalk, grounds


@pytest.fixture(scope="session")
def _grounds() -> Iterator[Grounds]:
    with grounds() as found:
        yield found


@pytest.fixture
def make_walk(_grounds: Grounds) -> Iterator[MakeWalk]:
    """Return what makes a walk with other settings of the stack."""
    with _grounds.walks() as make:
        yield make
