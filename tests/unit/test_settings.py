from __future__ import annotations

import pytest

from cleanplate.errors import SettingsError
from cleanplate.settings import is_loopback, read_settings
from tests.stage import ENVIRONMENT


def test_all_settings_are_read() -> None:
    stack = read_settings(ENVIRONMENT)
    assert (stack.uploads_bucket, stack.results_bucket, stack.work_bucket) == ("the-uploads", "the-results", "the-work")
    assert (stack.max_photo_bytes, stack.count_polls, stack.mark_as_edited) == (10_000_000, False, True)
    assert stack.default_options == {}


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_setting_is_named(value: str | None) -> None:
    for name in ENVIRONMENT.keys() - {"UPLOADS_QUEUE_URL", "STATE_MACHINE_ARN"}:
        environment = {**ENVIRONMENT, name: value}
        with pytest.raises(SettingsError, match=rf"\b{name}\b"):
            read_settings({name: value for name, value in environment.items() if value is not None})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MASK_DEADLINE_SECONDS", "soon"),
        ("MASK_DEADLINE_SECONDS", "0"),
        ("FILL_DEADLINE_SECONDS", "nan"),
        ("PHOTO_DEADLINE_HOURS", "inf"),
        ("REQUESTS_PER_MINUTE", "-1"),
        ("MAX_FILLS", "0"),
        ("MAX_MEGAPIXELS", "1e13"),
        ("COUNT_POLLS", "maybe"),
        ("MARK_AS_EDITED", "1"),
        ("ADOBE_API_URL", "image.adobe.io"),
        ("ADOBE_API_URL", "ftp://image.adobe.io"),
        ("ADOBE_API_URL", "https://"),
        ("ADOBE_API_URL", "https://[half"),
        ("ADOBE_API_URL", "http://image.adobe.io"),
        ("ADOBE_IMS_URL", "http://127.adobelogin.com"),
        ("ADOBE_IMS_URL", "http://localhost.adobelogin.com"),
    ],
)
def test_a_bad_value_is_refused_with_the_settings_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"\b{name}\b"):
        read_settings({**ENVIRONMENT, name: value})


@pytest.mark.parametrize(
    ("name", "bucket"),
    [("RESULTS_BUCKET", "the-uploads"), ("WORK_BUCKET", "the-uploads"), ("WORK_BUCKET", "the-results")],
)
def test_one_bucket_never_has_two_parts(name: str, bucket: str) -> None:
    with pytest.raises(SettingsError, match=bucket):
        read_settings({**ENVIRONMENT, name: bucket})


def test_a_slash_at_the_end_of_a_url_is_not_doubled() -> None:
    stack = read_settings(
        {**ENVIRONMENT, "ADOBE_API_URL": "http://127.0.0.1:8085/", "ADOBE_IMS_URL": "http://[::1]:1//"}
    )
    assert (stack.adobe_api_url, stack.adobe_ims_url) == ("http://127.0.0.1:8085", "http://[::1]:1")


def test_the_stacks_options_are_those_that_it_gives() -> None:
    stack = read_settings({**ENVIRONMENT, "REMOVE": " dog ", "GROW": "auto", "FEATHER": ""})
    assert stack.default_options == {"remove": "dog", "grow": "auto"}


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("127.example.com", False),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, here: bool) -> None:
    assert is_loopback(host) is here


def test_records_must_outlive_the_names_of_their_executions() -> None:
    """Step Functions reserves a name for 90 days; until then the record must tell whose it is."""
    with pytest.raises(SettingsError, match="RECORD_DAYS"):
        read_settings({**ENVIRONMENT, "RECORD_DAYS": "99"})
    assert read_settings({**ENVIRONMENT, "RECORD_DAYS": "100"}).record_days == 100
