"""The stack's account at Adobe, and the client that speaks for it.

A module of its own, so that a call without a request to Adobe loads no HTTP library.
"""

from __future__ import annotations

from functools import partial

from aws_lambda_powertools.utilities import parameters

from cleanplate.adobe.client import AdobeClient
from cleanplate.adobe.connections import make_session
from cleanplate.adobe.errors import (
    AdobeUnavailableError,
    CredentialsRefusedError,
)
from cleanplate.adobe.tokens import Credentials, TokenSource, read_credentials
from cleanplate.aws import clients
from cleanplate.aws.tracing import follow_requests
from cleanplate.settings import settings

_SECRET_SECONDS = 300


def make_client() -> AdobeClient:
    """Return a client of Adobe's API with the account in the stack's secret, which is read when the first token is needed."""
    follow_requests()
    stack = settings()
    session = make_session(stack.adobe_api_url, stack.adobe_ims_url)
    # With our time-outs; a client of Powertools' own waits for a minute, five times.
    secrets = parameters.SecretsProvider(boto3_client=clients.secretsmanager())
    tokens = TokenSource(ims_url=stack.adobe_ims_url, session=session, read_credentials=partial(_credentials, secrets))
    return AdobeClient(api_url=stack.adobe_api_url, session=session, tokens=tokens)


def _credentials(secrets: parameters.SecretsProvider, *, force_fetch: bool) -> Credentials:
    stack = settings()
    try:
        secret = secrets.get(stack.adobe_secret, transform="json", max_age=_SECRET_SECONDS, force_fetch=force_fetch)
    except parameters.TransformParameterError:
        # Its words would quote the secret.
        raise CredentialsRefusedError("The Adobe secret is not JSON.") from None
    except parameters.GetParameterError as error:
        # Named, so that it counts as a request that was never sent.
        raise AdobeUnavailableError(f"The Adobe secret could not be read: {error}") from None
    if not isinstance(secret, dict):
        raise CredentialsRefusedError("The Adobe secret is not a JSON object with client_id and client_secret.")
    return read_credentials(secret, scopes=stack.adobe_scopes, org_id=stack.adobe_org_id)
