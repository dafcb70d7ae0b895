"""Stand-ins to talk to, and pictures to send."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from local.adobe import StandIn
from local.demo.photographs import photograph
from tests.integration.adobe_stand_in.wire import FAST, Bucket, Client, disc, png


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    storage = Bucket()
    yield storage
    storage.close()


@pytest.fixture(scope="session")
def small_photo() -> bytes:
    """120 x 80 pixels of noise around a disc: enough for every check that is not about beauty."""
    noise = np.random.default_rng(1).integers(90, 130, (80, 120, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    ImageDraw.Draw(image).ellipse((45, 25, 75, 55), fill=(220, 40, 40))
    return png(image)


@pytest.fixture(scope="session")
def flower() -> Image.Image:
    return photograph("flower").resize((320, 214))


@pytest.fixture
def photo(bucket: Bucket, small_photo: bytes) -> str:
    """The link to a small photo under a name that no other test has, with a space in it."""
    return bucket.put(f"photos/{len(bucket.objects)}%20dog.png", small_photo)


@pytest.fixture
def mask_link(bucket: Bucket) -> str:
    return bucket.put("masks/disc.png", disc((120, 80)))


@pytest.fixture(scope="session")
def _fast_stand_in() -> Iterator[StandIn]:
    with StandIn(FAST) as stand_in:
        yield stand_in


@pytest.fixture
def adobe(_fast_stand_in: StandIn) -> Iterator[StandIn]:
    """A stand-in with cheap pixels, no limits and jobs that end at once, freshly counted and without rules."""
    _fast_stand_in.clear_rules()
    _fast_stand_in.clear_counters()
    yield _fast_stand_in
    _fast_stand_in.clear_rules()


@pytest.fixture
def client(adobe: StandIn) -> Iterator[Client]:
    made = Client(adobe)
    yield made
    made.http.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Client]]:
    """Start another stand-in with its own settings; it stops with the test."""
    running: list[Client] = []

    def run(**settings: Any) -> Client:
        client = Client(StandIn(dataclasses.replace(FAST, **settings)).start())
        running.append(client)
        return client

    yield run
    for client in running:
        client.http.close()
        client.adobe.stop()
