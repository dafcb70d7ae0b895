from __future__ import annotations

import pytest

from tests.agreement.project import Project


@pytest.fixture(scope="session")
def project() -> Project:
    return Project()
