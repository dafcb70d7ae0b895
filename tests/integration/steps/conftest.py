from __future__ import annotations

import pytest

from tests.integration.steps.walk import Walk
from tests.prove.conftest import _grounds, make_walk
from tests.prove.world import MakeWalk

__all__ = ["_grounds", "make_walk", "walk"]


@pytest.fixture
def walk(make_walk: MakeWalk) -> Walk:
    return make_walk()
