"""Which Adobe service a command uses, by its environment."""

from __future__ import annotations

import pytest

from local.errors import LocalError
from local.stack import service_in_environment


def test_without_a_service_in_the_environment_there_is_none() -> None:
    assert service_in_environment({"ADOBE_CLIENT_ID": "id", "ADOBE_API_URL": " "}) is None


def test_a_service_elsewhere_needs_an_account() -> None:
    elsewhere = {"ADOBE_API_URL": "https://image.example.com", "ADOBE_CLIENT_ID": "id"}
    with pytest.raises(LocalError, match="Set ADOBE_CLIENT_ID and ADOBE_CLIENT_SECRET too"):
        service_in_environment(elsewhere)
    service = service_in_environment({**elsewhere, "ADOBE_CLIENT_SECRET": "secret"})
    assert service is not None
    assert (service.client_id, service.client_secret) == ("id", "secret")


@pytest.mark.parametrize("name", ["ADOBE_API_URL", "ADOBE_IMS_URL"])
def test_one_server_on_this_machine_is_both_and_needs_no_account(name: str) -> None:
    service = service_in_environment({name: "http://127.0.0.1:8085"})
    assert service is not None
    assert service.api_url == service.ims_url == "http://127.0.0.1:8085"
    assert service.client_id
