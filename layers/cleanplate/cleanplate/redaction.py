"""Take secrets out of words that are logged, kept or sent on. Imports nothing of ours."""

from __future__ import annotations

import re

_MAX_WORDS = 500
#: Longer texts are cut before they are searched: nobody reads them, and some make the search slow.
_MAX_SCRUBBED = 10_000
# Patterns, not compiled ones: ``re`` compiles them at first use and keeps them, and most calls need none.
_QUERY = r"\?[^\s\"'<>]+"
_BEARER = r"(?i)bearer[\s:=\"']+[\w.~+/=-]+"
_SIGNATURE = (
    r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)|client_secret|access_token)"
    r"([\"']?\s*(?:=|:|%3D)\s*[\"']?)[^\s&\"'<>]+"
)


def without_queries(text: str) -> str:
    """Return words with the query of every link taken out, also where a link is quoted without its host."""
    return re.sub(_QUERY, "?…", text)


def scrub(text: str) -> str:
    """Return words that are safe to log and keep: no query of any link, no token, at most 500 characters."""
    safe = re.sub(_BEARER, "Bearer …", without_queries(text[:_MAX_SCRUBBED]))
    return " ".join(re.sub(_SIGNATURE, r"\1\2…", safe).split())[:_MAX_WORDS]
