from __future__ import annotations

import pytest

from tests.consistency.project import Project


@pytest.fixture(scope="session")
def project() -> Project:
    return Project()
