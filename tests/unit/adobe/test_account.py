from __future__ import annotations

import json

import boto3
import pytest
from aws_lambda_powertools.utilities import parameters

from cleanplate.adobe import account
from cleanplate.adobe.errors import (
    AdobeUnavailableError,
    CredentialsRefusedError,
)
from cleanplate.adobe.tokens import Credentials
from cleanplate.settings import read_settings
from tests.stage import ENVIRONMENT, REGION, Stage


@pytest.fixture(autouse=True)
def _stack(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setattr(account, "settings", lambda: read_settings(ENVIRONMENT))
    parameters.clear_caches()  # type: ignore[no-untyped-call]


def keep(secret: str) -> None:
    """Put the stack's Adobe secret, the first time or another."""
    manager = boto3.client("secretsmanager", region_name=REGION)
    if manager.list_secrets()["SecretList"]:
        manager.put_secret_value(SecretId="the-secret", SecretString=secret)
    else:
        manager.create_secret(Name="the-secret", SecretString=secret)


def test_credentials_are_remembered_until_somebody_doubts_them() -> None:
    keep(json.dumps({"client_id": "a", "client_secret": "old"}))
    assert account._credentials(force_fetch=False) == Credentials("a", "old", "openid,AdobeID")
    keep(json.dumps({"client_id": "a", "client_secret": "new"}))
    assert account._credentials(force_fetch=False) == Credentials("a", "old", "openid,AdobeID")
    assert account._credentials(force_fetch=True) == Credentials("a", "new", "openid,AdobeID")


def test_a_secret_that_cannot_be_read_is_no_lost_answer_of_adobe() -> None:
    with pytest.raises(AdobeUnavailableError, match="secret could not be read"):
        account._credentials(force_fetch=False)


@pytest.mark.parametrize("secret", ["p8e-pasted-as-it-is", '{"client_secret": "p8e-half', '["p8e-list"]', '"p8e-word"'])
def test_a_secret_of_another_shape_is_refused_without_quoting_it(secret: str) -> None:
    keep(secret)
    with pytest.raises(CredentialsRefusedError) as refused:
        account._credentials(force_fetch=False)
    assert "p8e" not in str(refused.value)
