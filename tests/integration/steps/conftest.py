from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import pytest
from aws_lambda_powertools import Logger
from moto import mock_aws

from cleanplate.adobe.tokens import Credentials
from local.adobe import Settings, StandIn
from tests.integration.conftest import client_for
from tests.integration.steps.walk import S3OverHttp, Walk
from tests.stage import REGION, Stage

FAST = Settings(port=0, allow_loopback=True, quiet=True, pixels="fast", limits=False, duration=0.0)


#: The logger of whoever calls a step, as every function has one.
LOGGER = Logger()


@pytest.fixture(scope="session")
def _stand_in() -> Iterator[StandIn]:
    with StandIn(FAST) as stand_in:
        yield stand_in


@pytest.fixture
def adobe(_stand_in: StandIn) -> Iterator[StandIn]:
    """Adobe's stand-in with cheap pixels, jobs that end at once, no rules and nothing counted yet."""
    _stand_in.clear_rules()
    _stand_in.clear_counters()
    yield _stand_in
    _stand_in.clear_rules()


@pytest.fixture(scope="session")
def _bridge() -> Iterator[S3OverHttp]:
    bridge = S3OverHttp()
    yield bridge
    bridge.close()


@pytest.fixture
def make_walk(adobe: StandIn, _bridge: S3OverHttp, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Walk]]:
    """A walk with other settings of the stack."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("MOTO_S3_CUSTOM_ENDPOINTS", _bridge.url)
    credentials = Credentials(adobe.settings.client_id, adobe.settings.client_secret)
    client = lru_cache(maxsize=1)(lambda: client_for(adobe.url, lambda _: credentials))

    def make(**settings: str) -> Walk:
        stage = Stage(endpoint_url=_bridge.url, make_adobe=client, **settings)
        _bridge.stage = stage
        return Walk(stage, adobe)

    with mock_aws():
        yield make


@pytest.fixture
def walk(make_walk: Callable[..., Walk]) -> Walk:
    return make_walk()
