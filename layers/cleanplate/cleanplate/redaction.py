"""Take secrets out of words that are logged, kept or sent on. Imports nothing of ours."""

from __future__ import annotations

import re

_MAX_WORDS = 500
#: Longer texts are cut before they are searched: nobody reads them, and some make the search slow.
_MAX_SCRUBBED = 10_000
_URL_QUERY = re.compile(r"(?i)(https?://[^\s\"'<>?]+)\?[^\s\"'<>]*")
_BEARER = re.compile(r"(?i)bearer[\s:=\"']+[\w.~+/=-]+")
_SIGNATURE = re.compile(
    r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)|client_secret|access_token)"
    r"([\"']?\s*(?:=|:|%3D)\s*[\"']?)[^\s&\"'<>]+"
)


def scrub(text: str) -> str:
    """Return words that are safe to log and keep: no query of any link, no token, at most 500 characters."""
    safe = _SIGNATURE.sub(r"\1\2…", _BEARER.sub("Bearer …", _URL_QUERY.sub(r"\1?…", text[:_MAX_SCRUBBED])))
    return " ".join(safe.split())[:_MAX_WORDS]
