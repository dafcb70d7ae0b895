"""A misspelt name in an operator's input is refused; nothing falls back to the whole bucket."""

from __future__ import annotations

import pytest

from cleanplate.errors import (
    InvalidBackfillError,
    InvalidRetryError,
)
from cleanplate.operations.count_photos import count_photos
from cleanplate.operations.inputs import BACKFILL, check_names
from cleanplate.operations.retry_photos import retry_photos
from tests.stage import Stage


@pytest.mark.parametrize("name", ["prefx", "Prefix", "bucket_name", "", "limit"])
def test_a_name_that_is_not_accepted_is_quoted(name: str) -> None:
    with pytest.raises(InvalidBackfillError, match="accepted are bucket, prefix, confirm, ahead_hours"):
        check_names(["prefix", name], BACKFILL, InvalidBackfillError)


def test_the_likeliest_name_is_offered() -> None:
    with pytest.raises(InvalidBackfillError, match="Did you mean 'prefix'"):
        check_names({"prefx": "holiday/"}, BACKFILL, InvalidBackfillError)


def test_all_accepted_names_pass() -> None:
    check_names(BACKFILL, BACKFILL, InvalidBackfillError)


def test_a_backfill_of_a_misspelt_prefix_counts_nothing(stage: Stage) -> None:
    with pytest.raises(InvalidBackfillError, match="prefx"):
        count_photos({"prefx": "holiday/"}, {}, {}, stage.services)


def test_a_retry_of_a_misspelt_reason_sends_nothing(stage: Stage) -> None:
    asked = {"bucket": "", "prefix": "", "reason": "", "confirm": 3, "retry_id": "r", "reasn": "NotAPhotoError"}
    with pytest.raises(InvalidRetryError, match="Did you mean 'reason'"):
        retry_photos(asked, "", 0, {}, stage.services)
