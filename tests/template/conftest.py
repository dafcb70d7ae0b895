from __future__ import annotations

from typing import Any

import pytest

from local.embedded_aws.template import transformed

Template = dict[str, Any]


@pytest.fixture(scope="session")
def template() -> Template:
    """What SAM makes of the project's template. Not to be changed."""
    return transformed()
