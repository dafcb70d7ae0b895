from __future__ import annotations

import pytest

from tests.chaos.conftest import _grounds, make_walk
from tests.chaos.world import MakeWalk
from tests.integration.steps.walk import Walk

__all__ = ["_grounds", "make_walk", "walk"]


@pytest.fixture
def walk(make_walk: MakeWalk) -> Walk:
    return make_walk()
