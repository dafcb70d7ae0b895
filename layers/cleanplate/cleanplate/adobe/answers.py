"""Reading what Adobe answers, whichever of its spellings it uses.

Adobe's guides, schemas and recorded traffic disagree about names, boxes, links and error bodies. Everything here
takes any of the known variants and gives one of ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from cleanplate.adobe.errors import AnswerUnreadableError
from cleanplate.models import AdobeJob, Answer, Box, JobState, Mask
from cleanplate.redaction import scrub

SUCCEEDED = frozenset({"succeeded", "success", "done"})
FAILED = frozenset({"failed", "error", "cancelled", "canceled", "timeout"})

_MAX_LABEL = 100
_DAY = 86_400.0
#: Firefly's code for words that it does not take.
PROMPT_UNSAFE = "prompt_unsafe"
#: What a failed job says of the link to its picture; Adobe's known words are "Failed to download image".
_INPUT_UNREAD = (
    r"(?i)\b(?:download|fetch|retriev)\w*\b.{0,40}\b(?:input|source|image|mask|asset|url|link|href)s?\b"
    r"|\b(?:input|source|image|mask|asset)s?\b.{0,40}\b(?:download|fetch|retriev)\w*"
    r"|\b(?:input|source|image|mask|asset|presigned)\b.{0,20}\b(?:url|link|href)s?\b.{0,40}"
    r"(?:answered|invalid|expired|denied|refused|unreachable|not found|unable|could not|can ?not|40[34]|410)"
    r"|FileLinkInvalid"
)


def get_folded(body: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - JSON
    """Return a value by its name in any spelling of upper and lower case (``jobId``, ``jobID``)."""
    if name in body:
        return body[name]
    return next((value for key, value in body.items() if key.lower() == name.lower()), None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _name(value: object) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: object) -> list[Mapping[str, Any]]:
    found = value if isinstance(value, list) else [value]
    return [item for item in found if isinstance(item, dict)]


# --- an accepted job ---------------------------------------------------------------------------------------------


def read_adobe_job(body: Mapping[str, Any], headers: Mapping[str, str], *, status_root: str) -> AdobeJob:
    """Return the job that a 202 names.

    The link is, first found first taken: ``statusUrl``, ``_links.self.href``, the Location or Link header, else
    ``status_root`` (such as ``https://image.adobe.io/v1/status``; empty where there is none) with the percent-encoded
    job id.
    """
    job_id = _name(get_folded(body, "jobId")) or _name(get_folded(body, "id"))
    links = _mapping(get_folded(body, "_links"))
    link = (
        _text(get_folded(body, "statusUrl"))
        or _text(_mapping(get_folded(links, "self")).get("href"))
        or headers.get("Location", "")
        or _link_header(headers.get("Link", ""))
        or (known_link(job_id, status_root=status_root) if job_id and status_root else "")
    )
    if not link:
        raise AnswerUnreadableError("Adobe accepted the request but named neither a job id nor a status link.")
    return AdobeJob(job_id=job_id or _id_in(link), status_url=absolute_link(status_root, link))


def known_link(job_id: str, *, status_root: str) -> str:
    """Return the link at which a job is found by its id alone."""
    return f"{status_root}/{quote(job_id, safe='')}"


def _id_in(link: str) -> str:
    """Return the last part of a link's path; empty where it has none."""
    try:
        return unquote(urlsplit(link).path.rstrip("/").rpartition("/")[2])
    except ValueError:
        return ""


def absolute_link(base: str, link: str) -> str:
    """Return a link with the host of ``base`` where it has none of its own; one that cannot be read as it is."""
    try:
        return urljoin(base, link)
    except ValueError:
        return link


def _link_header(value: str) -> str:
    match = re.search(r"<([^>]+)>", value)
    return match[1] if match else ""


# --- a job's state -----------------------------------------------------------------------------------------------


def read_state(body: Mapping[str, Any]) -> tuple[JobState, str]:
    """Return our state and Adobe's word for it; a word that nobody has seen yet counts as pending."""
    word = _text(get_folded(body, "status"))
    if not word:
        # The oldest flavour says it per output only.
        word = next((_text(output.get("status")) for output in _items(get_folded(body, "outputs"))), "")
    folded = word.lower()
    if folded in SUCCEEDED:
        return "succeeded", word
    if folded in FAILED:
        return "failed", word
    if not word and any(read_error(body)):
        return "failed", "error"
    return "pending", word


def read_retry_after(headers: Mapping[str, str], body: object, *, now: float) -> float | None:
    """Return seconds that Adobe asks to wait, from the header or, as one client has seen it, from the body.

    HTTP allows a date too (RFC 9110, 10.2.3): it is measured from the answer's own ``Date``, else from ``now``, seconds
    since the epoch.
    """
    said = _mapping(body)
    for value in (headers.get("Retry-After"), said.get("Retry-After"), said.get("retry-after")):
        seconds = _seconds(str(value))
        if seconds is None and (until := _date(value)) is not None:
            sent = _date(headers.get("Date"))
            seconds = max(0.0, until - (now if sent is None else sent))
        if seconds is not None:
            return min(seconds, _DAY)
    return None


def _seconds(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def _date(value: object) -> float | None:
    """Return an HTTP date as seconds since the epoch."""
    try:
        found = parsedate_to_datetime(value) if isinstance(value, str) else None
        return found.timestamp() if found else None
    except (TypeError, ValueError, OverflowError):
        return None


# --- errors ------------------------------------------------------------------------------------------------------


def read_error(body: object) -> tuple[str, str]:
    """Return code and words of an error in any of Adobe's shapes; empty strings where there is none."""
    if isinstance(body, str):
        return "", scrub(body)
    found = _mapping(body)
    codes: list[str] = []
    words: list[str] = []
    _gather_error(found, codes, words, depth=0)
    return (codes[0] if codes else ""), scrub("; ".join(dict.fromkeys(word for word in words if word)))


_CODE_NAMES = ("error_code", "errorCode", "code", "type", "error")
_WORD_NAMES = ("message", "error_description", "title", "reason", "name", "detail")
_NESTED_NAMES = ("errors", "error", "errorDetails", "details", "reason", "validation_errors", "invalidParams")


def _gather_error(found: object, codes: list[str], words: list[str], *, depth: int) -> None:
    if depth > 4:
        return
    if isinstance(found, str):
        words.append(found)
    elif isinstance(found, list):
        for item in found[:20]:
            _gather_error(item, codes, words, depth=depth + 1)
    elif isinstance(found, dict):
        codes += [str(found[name]) for name in _CODE_NAMES if isinstance(found.get(name), str | int)]
        words += [str(found[name]) for name in _WORD_NAMES if isinstance(found.get(name), str)]
        for name in _NESTED_NAMES:
            if isinstance(found.get(name), dict | list) or (name == "details" and isinstance(found.get(name), str)):
                _gather_error(found[name], codes, words, depth=depth + 1)
        if depth == 0:
            for output in _items(found.get("outputs")):
                _gather_error({key: output.get(key) for key in ("errors", "error")}, codes, words, depth=1)


def failed_answer(body: Mapping[str, Any], word: str) -> Answer:
    """Return the answer of a job that ended badly, with or without a reason."""
    code, message = read_error({key: value for key, value in body.items() if key.lower() not in {"input", "output"}})
    return Answer(
        state="failed",
        word=word,
        error_code=code,
        message=message or f"Adobe gave no reason ({word}).",
        input_unread=bool(re.search(_INPUT_UNREAD, f"{code} {message}")),
    )


# --- pictures ----------------------------------------------------------------------------------------------------


def read_box(found: object) -> Box | None:
    """Return a box given as x and y or as left and top, in pixels or, where no value is over 1, as shares of the picture."""
    box = _mapping(found)
    try:
        x = float(box["x"] if "x" in box else box["left"])
        y = float(box["y"] if "y" in box else box["top"])
        width, height = float(box["width"]), float(box["height"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if not all(abs(value) < 1e9 for value in (x, y, width, height)):
        # Not a number, or none that a picture could have.
        return None
    x, y, width, height = (round(value, 6) for value in (x, y, width, height))
    return Box(x, y, width, height, normalised=max(x, y, width, height) <= 1)


def picture_url(found: object) -> str:
    """Return the link in a picture's ``destination.url``, ``image.url``, ``url`` or ``href``.

    Never in ``source``: that is a request's own picture, where an answer repeats it.
    """
    item = _mapping(found)
    for nest in ("destination", "image"):
        url = _text(_mapping(item.get(nest)).get("url")) or _text(_mapping(item.get(nest)).get("href"))
        if url:
            return url
    return _text(item.get("url")) or _text(item.get("href"))


def pictures(body: Mapping[str, Any], *names: str) -> Iterator[Mapping[str, Any]]:
    """Return the picture items under ``names`` at the top, else under ``result.outputs`` or ``outputs``."""
    found = [item for name in names for item in _items(get_folded(body, name)) if picture_url(item)]
    if not found:
        elsewhere = (get_folded(_mapping(get_folded(body, "result")), "outputs"), get_folded(body, "outputs"))
        found = [item for place in elsewhere for item in _items(place) if picture_url(item)]
    return iter(found)


def read_mask(item: Mapping[str, Any], *, background: bool = False) -> Mask:
    """Return one mask item; a missing or odd score counts as certain."""
    try:
        score = float(item.get("score", 1.0))
    except (TypeError, ValueError, OverflowError):
        score = 1.0
    return Mask(
        label=_text(item.get("label"))[:_MAX_LABEL],
        score=1.0 if math.isnan(score) else round(min(max(score, 0.0), 1.0), 6),
        box=read_box(item.get("boundingBox")),
        background=background,
        url=picture_url(item),
    )
