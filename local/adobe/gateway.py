"""The door: Adobe's identity service (IMS) and the checks that every imaging request passes first."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from collections.abc import Mapping

from local.adobe.answers import Answer, Json, shape_a
from local.adobe.settings import Settings


class Gateway:
    """Issues tokens and checks them. Only tokens that were issued here are good."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tokens: dict[str, float] = {}  # token -> monotonic seconds at which it expires

    def token(self, form: Mapping[str, str], authorization: str, version: str) -> Answer:
        """Answer ``POST /ims/token/{v2,v3}``. Scopes are not looked at: IMS accepts wrong ones silently."""
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        if authorization.lower().startswith("basic "):
            client_id, secret = _basic(authorization) or (client_id, secret)
        if form.get("grant_type") != "client_credentials":
            return _ims_error("unauthorized_client", "grant_type is not client_credentials")
        if version == "v2" and not form.get("org_id"):
            return _ims_error("unauthorized_client", "org_id is missing")
        if not _equal(client_id, self._settings.client_id) or not _equal(secret, self._settings.client_secret):
            return _ims_error("invalid_client", "invalid client_id or client_secret")
        token = self.issue()
        return Answer(200, {"access_token": token, "token_type": "bearer", "expires_in": self._settings.token_seconds})

    def issue(self) -> str:
        """Return a new token, shaped like Adobe's: a JWT whose claims hold created_at and expires_in in milliseconds."""
        claims = {
            "type": "access_token",
            "client_id": self._settings.client_id,
            "created_at": str(int(time.time() * 1000)),
            "expires_in": str(self._settings.token_seconds * 1000),
        }
        signature = f"{self._settings.canary}-token-{secrets.token_urlsafe(24)}"
        token = ".".join([_encoded({"alg": "RS256", "typ": "JWT"}), _encoded(claims), signature])
        self._tokens[token] = time.monotonic() + self._settings.token_seconds
        return token

    def refusal(self, authorization: str, api_key: str) -> Answer | None:
        """Return what the gateway says against these headers; None lets them in. In which order Adobe looks is not known."""
        if not api_key:
            return shape_a(403, "403000", "Api Key is required")
        scheme, _, token = authorization.partition(" ")
        expires_at = self._tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        if expires_at is None or expires_at <= time.monotonic():
            return shape_a(401, "401013", "Oauth token is not valid")
        if not _equal(api_key, self._settings.client_id):
            return shape_a(403, "403003", "Api Key is invalid")
        return None

    def revoke_all(self) -> None:
        """Make every token that is out refused."""
        self._tokens.clear()


def _ims_error(code: str, description: str) -> Answer:
    return Answer(401 if code == "invalid_client" else 400, {"error": code, "error_description": description})


def _equal(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


def _encoded(part: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _basic(authorization: str) -> tuple[str, str] | None:
    try:
        client_id, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return client_id, secret
