from __future__ import annotations

import json

import boto3
import pytest
from aws_lambda_powertools.utilities.parameters import SecretsProvider

from cleanplate.adobe import account
from cleanplate.adobe.errors import (
    AdobeUnavailableError,
    CredentialsRefusedError,
)
from cleanplate.adobe.tokens import Credentials
from cleanplate.settings import read_settings
from tests.aws import REGION
from tests.stage import ENVIRONMENT, Stage


@pytest.fixture
def secrets(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> SecretsProvider:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setattr(account, "settings", lambda: read_settings(ENVIRONMENT))
    return SecretsProvider(boto3_client=boto3.client("secretsmanager", region_name=REGION))


def keep(secret: str) -> None:
    """Put the stack's Adobe secret, the first time or another."""
    manager = boto3.client("secretsmanager", region_name=REGION)
    if manager.list_secrets()["SecretList"]:
        manager.put_secret_value(SecretId="the-secret", SecretString=secret)
    else:
        manager.create_secret(Name="the-secret", SecretString=secret)


def test_credentials_are_remembered_until_somebody_doubts_them(secrets: SecretsProvider) -> None:
    keep(json.dumps({"client_id": "a", "client_secret": "old"}))
    assert account._credentials(secrets, force_fetch=False) == Credentials("a", "old", "openid,AdobeID")
    keep(json.dumps({"client_id": "a", "client_secret": "new"}))
    assert account._credentials(secrets, force_fetch=False) == Credentials("a", "old", "openid,AdobeID")
    assert account._credentials(secrets, force_fetch=True) == Credentials("a", "new", "openid,AdobeID")


def test_a_secret_that_cannot_be_read_is_no_lost_answer_of_adobe(secrets: SecretsProvider) -> None:
    with pytest.raises(AdobeUnavailableError, match="secret could not be read"):
        account._credentials(secrets, force_fetch=False)


@pytest.mark.parametrize("secret", ["p8e-pasted-as-it-is", '{"client_secret": "p8e-half', '["p8e-list"]', '"p8e-word"'])
def test_a_secret_of_another_shape_is_refused_without_quoting_it(secrets: SecretsProvider, secret: str) -> None:
    keep(secret)
    with pytest.raises(CredentialsRefusedError) as refused:
        account._credentials(secrets, force_fetch=False)
    assert "p8e" not in str(refused.value)


def test_the_secret_is_read_with_the_time_outs_of_every_other_call(
    secrets: SecretsProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a Secrets Manager that hangs is waited for five minutes, longer than any function lives."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    tokens = account.make_client()._tokens
    (provider,) = tokens._read_credentials.args  # type: ignore[attr-defined]
    assert provider.client.meta.config.read_timeout == 10
