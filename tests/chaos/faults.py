"""The fault catalogue: what Adobe, and the way to it, can do wrong, and the one thing that comes of each.

Data only. ``catalogue.py`` plays every fault through the real steps and holds it against what is expected here;
``document.py`` makes the operators' table of it. A fault acts through rules of the stand-in (see ``local/adobe/rules.py``)
or by closing the door before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from local.adobe.answers import ERROR_SHAPES, Json
from local.adobe.jobs import FAILURE_STYLES

Outcome = Literal["cleaned", "nothing_to_remove", "mask_ready", "failed"]
Where = Literal[
    "identity service",
    "mask request",
    "fill request",
    "mask status",
    "fill status",
    "mask download",
    "fill download",
    "mask picture",
    "fill picture",
]

MASK_ROUTES = ("mask-objects", "remove-background", "create-mask")
FILL = "fill-masked-areas"
FIREFLY = "firefly-fill"
_POST = {
    "mask-objects": "POST /v1/mask-objects",
    "remove-background": "POST /v2/remove-background",
    "create-mask": "POST /sensei/mask",
    FILL: "POST /v1/fill-masked-areas",
    FIREFLY: "POST /v3/images/fill-async",
}
_STATUS = {
    "mask-objects": "GET /v1/status/*",
    "remove-background": "GET /v2/status/*",
    "create-mask": "GET /sensei/status/*",
    FILL: "GET /v1/status/*",
    FIREFLY: "GET /v3/status/*",
}
_DOWNLOAD = "GET /results/*"
_TOKEN = "POST /ims/token/v3"
#: Short, so that a photo that waits for ever is soon over: seconds, hours.
_DEADLINES = {"MASK_DEADLINE_SECONDS": "40", "FILL_DEADLINE_SECONDS": "40", "PHOTO_DEADLINE_HOURS": "1"}
#: Where each try takes as long as the client's patience.
_SHORTER = {"MASK_DEADLINE_SECONDS": "8", "FILL_DEADLINE_SECONDS": "8"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What comes of a fault: how the photo ends, and how many jobs Adobe is paid for."""

    outcome: Outcome
    paid: int
    reason: str = ""
    possible_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault at one place.

    ``what`` and ``says`` are for people: what happens, and what comes of it. ``options`` go along as the photo's
    metadata, ``settings`` are the stack's. ``closed`` is a request that finds nobody listening. A ``representative``
    fault stands for others: a quick ``make prove`` plays these alone.
    """

    name: str
    where: Where
    route: str
    what: str
    often: str
    expected: Expected
    says: str
    rules: tuple[Json, ...] = ()
    closed: str = ""
    times: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    impatient: bool = False
    representative: bool = False


@dataclass(frozen=True, slots=True)
class _Kind:
    """A fault that can happen at several places. ``ends`` is the reason, empty where the photo is cleaned all the same;
    ``made`` the jobs that this one request makes."""

    slug: str
    what: str
    says: str
    action: Any = None
    times: int | None = None
    ends: str = ""
    made: int | None = None
    duplicate: bool = False
    closed: bool = False
    impatient: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    representative: bool = False


_AGAIN = "It is asked again after a short pause, and goes on; no job had been made, so nothing is paid twice."
_MAYBE = "It is asked again after a short pause, and goes on. Adobe retries inside: the record says possible duplicate."
_GIVEN_UP = "It is asked again ten times with growing pauses, then given up; nothing was paid for this request."
_TEN_TIMES = "It is asked again ten times with growing pauses, then given up; Adobe named no job."
_WAITS = "The photo waits for as long as Adobe asks, and all others with it."
_LOST_ONCE = "A job may exist, so it is asked once more and no more, and the record says possible duplicate."
_LOST_EVER = "A job may exist: it is asked once more, then given up, and the record says possible duplicate."
_REFUSED = "It is not asked again: Adobe's words are in the record."
_LATER = "The job is asked about again; its deadline is the only end of patience."
_TOO_LATE = "The job is asked about until its deadline, and its photo ends then."
_NO_HARM = "Nothing: it is read as what it means."
_LOST_STATUS = "The job was paid and nothing came of it; a retry is a new, paid job."


def _shaped(status: int, shape: str = "B", message: str = "", **headers: str) -> Json:
    return {"do": "error", "status": status, "shape": shape, "message": message, "headers": headers}


# --- a request for a job ---------------------------------------------------------------------------------------------


def _requests() -> Iterator[_Kind]:
    """Yield what a POST can meet."""
    timed, untimed = {"do": "too_many_requests", "retry_after": 3}, {"do": "too_many_requests", "retry_after": None}
    yield _Kind("429-timed", "429 with Retry-After", _WAITS, timed, 2, representative=True)
    yield _Kind("429-untimed", "429 without Retry-After", "The photo waits, longer each time.", untimed, 2)
    yield _Kind("429-html", "429 as a page of HTML", "The photo waits.", {**untimed, "shape": "html"}, 1)
    yield _Kind(
        "429-for-ever",
        "429",
        "The photo waits for a slot until its own deadline.",
        {"do": "too_many_requests", "retry_after": 600},
        ends="DeadlinePassedError",
        settings=_DEADLINES,
    )
    dated = {"do": "too_many_requests", "retry_after": 3, "as_date": True}
    yield _Kind("429-dated", "429 with Retry-After as a date", _WAITS, dated, 1, representative=True)
    load = _shaped(403, "E", "Not available now due to high traffic")
    yield _Kind("403-load", "403 that speaks of high traffic", "The photo waits, longer each time.", load, 2)
    patience = _shaped(403, "E", **{"Retry-After": "3"})
    yield _Kind("403-timed", "403 with Retry-After", _WAITS, patience, 1, representative=True)
    yield _Kind("408-once", "408", _AGAIN, _shaped(408), 1)
    for status in (500, 503):
        maybe = partial(_Kind, duplicate=True, representative=status == 503)
        yield maybe(f"{status}-once", str(status), _MAYBE, _shaped(status), 1)
    what = "500 with the body of a job error (B'')"
    yield _Kind("500-job-error", what, _MAYBE, _shaped(500, "B''"), 1, duplicate=True)
    yield _Kind("502-html", "502 as a page of HTML", _MAYBE, _shaped(502, "html"), 3, duplicate=True)
    for status in (408, 500, 502, 503):
        says = "A retired route answers so. " + _TEN_TIMES if status == 502 else _TEN_TIMES
        yield _Kind(
            f"{status}-for-ever",
            str(status),
            says,
            _shaped(status, "html" if status == 502 else "B"),
            ends="AdobeUnavailableError",
            duplicate=status != 408,
            representative=status == 502,
        )
    yield _Kind("refused", "connection refused", _AGAIN, times=1, closed=True, representative=True)
    yield _Kind("refused-for-ever", "connection refused", _GIVEN_UP, ends="AdobeUnavailableError", closed=True)

    lost = partial(_Kind, ends="PostOutcomeUnknownError", duplicate=True)
    yield _Kind("504-once", "504", _LOST_ONCE, _shaped(504, "html"), 1, duplicate=True)
    yield lost("504-for-ever", "504", _LOST_EVER, _shaped(504, "html"))
    yield _Kind("reset", "the connection is reset, nothing was done", _LOST_ONCE, "reset", 1, duplicate=True)
    yield lost("reset-for-ever", "the connection is reset, nothing was done", _LOST_EVER, "reset")
    yield _Kind("hang", "no answer within the read time-out", _LOST_ONCE, "hang", 1, duplicate=True, impatient=True)
    yield lost("hang-for-ever", "no answer within the read time-out", _LOST_EVER, "hang", impatient=True)
    what = "the job is made and its answer cut off (lost 202)"
    yield _Kind("lost-202", what, _LOST_ONCE, "lost_answer", 1, made=2, duplicate=True, representative=True)
    yield lost("lost-202-for-ever", what, _LOST_EVER, "lost_answer", made=2, representative=True)
    what = "the job is made and its answer comes after the read time-out"
    late = {"do": "late_answer", "seconds": 2.0}
    yield _Kind("late-202", what, _LOST_ONCE, late, 1, made=2, duplicate=True, impatient=True)
    what = "the job is made and the connection reset in mid-body"
    yield _Kind("reset-in-body", what, _LOST_ONCE, "reset_in_body", 1, made=2, duplicate=True)
    yield lost("reset-in-body-for-ever", what, _LOST_EVER, "reset_in_body", made=2)
    what = "the job is made and its answer drips for longer than an answer may take"
    drip = {"do": "slow_drip", "seconds": 6.0, "pieces": 30}
    yield _Kind("endless-drip", what, _LOST_ONCE, drip, 1, made=2, duplicate=True, impatient=True)
    yield _Kind("slow-drip", "the answer drips", _NO_HARM, {"do": "slow_drip", "seconds": 0.5})
    what = "the job is made and its answer is broken JSON"
    yield _Kind("broken-202", what, _LOST_ONCE, "broken_json", 1, made=2, duplicate=True)
    yield lost("broken-202-for-ever", what, _LOST_EVER, "broken_json", made=2)
    page = {"do": "respond", "status": 202, "text": "<html>Accepted</html>", "content_type": "text/html"}
    yield _Kind("html-202", "202 with a page of HTML", _LOST_ONCE, page, 1, duplicate=True)
    yield lost("html-202-for-ever", "202 with a page of HTML", _LOST_EVER, page)
    yield _Kind("empty-202", "202 with nothing", _LOST_ONCE, {"do": "respond", "status": 202}, 1, duplicate=True)
    yield _Kind(
        "list-202", "202 with a list", _LOST_ONCE, {"do": "respond", "status": 202, "json": []}, 1, duplicate=True
    )
    nameless = {"do": "merge", "drop": ["jobId", "statusUrl", "_links"]}
    what = "202 with neither job id nor link"
    yield _Kind("nameless-202", what, _LOST_ONCE, nameless, 1, made=2, duplicate=True)
    yield lost("nameless-202-for-ever", what, _LOST_EVER, nameless, made=2)

    for at in ("_links", "Location", "Link", "statusUrl"):
        yield _Kind(f"link-in-{at}", f"202 with its link in {at}", _NO_HARM, {"do": "links", "at": at})
    odd = {"do": "job_id", "prefix": "urn:ff:jobs:eso851243:a b/ü:"}
    yield _Kind("odd-job-id", "a job id with colons, spaces and slashes", _NO_HARM, odd)
    known = "The token is not sent there. The job is asked about where jobs of its kind are."
    what = "202 with a status link on a foreign host"
    yield _Kind("foreign-status-link", what, known, "foreign_status_link", representative=True)
    plain = {"do": "foreign_status_link", "origin": "http://image.adobe.io"}
    yield _Kind("plain-status-link", "202 with a status link without TLS", known, plain)
    yield _Kind(
        "foreign-without-id",
        "202 with a status link on a foreign host, and no job id",
        "The token is not sent there. The job was made, so it is not asked again.",
        {"do": "foreign_status_link", "keep_id": False},
        ends="ForeignLinkError",
        made=1,
        representative=True,
    )
    yield _Kind(
        "redirect",
        "a redirect to another host",
        "It is not followed, and the token not sent there.",
        "redirect",
        ends="ForeignLinkError",
        representative=True,
    )
    yield _Kind("401-once", "401", "A new token is fetched and the request sent once more.", "token_refused", 1)
    yield _Kind(
        "401-for-ever",
        "401",
        "One new token is tried, then it is given up; an alarm tells of refused credentials.",
        "token_refused",
        ends="CredentialsRefusedError",
        representative=True,
    )
    yield _Kind(
        "403-api-key", "403 that speaks of the API key", _REFUSED, _shaped(403, "A"), ends="CredentialsRefusedError"
    )
    quota = _shaped(403, "B", "Quota is used up", **{"X-Access-Error": "quota_exhausted"})
    yield _Kind(
        "403-quota", "403 that speaks of quota", _REFUSED, quota, ends="AccessRefusedError", representative=True
    )
    for shape in ("C", "D", "E", "html", "empty"):
        what = f"403 in shape {shape}"
        yield _Kind(f"403-{shape}", what, _REFUSED, _shaped(403, shape), ends="AccessRefusedError")
    relinked = "The photo's link is signed again and the request sent once more."
    expired = _shaped(403, "B", "The source link could not be read")
    yield _Kind("403-input-once", "403 that speaks of the photo's link", relinked, expired, 1)
    yield _Kind("410-once", "410", relinked, _shaped(410), 1, representative=True)
    yield _Kind("410-for-ever", "410", relinked + " Then it is given up.", _shaped(410), ends="InputLinkRefusedError")
    yield _Kind(
        "403-input",
        "403 that speaks of the photo's link",
        relinked + " Then it is given up.",
        expired,
        ends="InputLinkRefusedError",
    )
    for shape in ERROR_SHAPES:
        what = f"400 in shape {shape}"
        yield _Kind(f"400-{shape}", what, _REFUSED, _shaped(400, shape), ends="RequestRefusedError")
    for status in (402, 404, 405, 409, 413, 415, 422, 451):
        yield _Kind(
            f"{status}",
            str(status),
            _REFUSED,
            _shaped(status),
            ends="RequestRefusedError",
            representative=status == 422,
        )
    # What becomes of the job that was made.
    for style in FAILURE_STYLES:
        what = "the job fails without a reason" if style == "none" else f"the job fails, with its reason under {style}"
        yield _Kind(
            f"job-fails-{style}",
            what,
            _LOST_STATUS,
            {"do": "failed", "style": style},
            ends="AdobeJobFailedError",
            made=1,
            representative=style in ("error_code", "none"),
        )
    yield _Kind("job-forgotten", "the job is forgotten", _LOST_STATUS, "job_gone", ends="AdobeJobGoneError", made=1)
    yield _Kind(
        "never-finishes",
        "the job never finishes",
        _TOO_LATE,
        "never_finishes",
        ends="DeadlinePassedError",
        made=1,
        settings=_DEADLINES,
        representative=True,
    )


# --- asking about a job ----------------------------------------------------------------------------------------------


def _statuses() -> Iterator[_Kind]:
    """Yield what a status request can meet. Within one call a GET is tried three times, hence four and more."""
    ever = partial(_Kind, ends="DeadlinePassedError", settings=_DEADLINES)
    timed, untimed = {"do": "too_many_requests", "retry_after": 3}, {"do": "too_many_requests", "retry_after": None}
    yield _Kind("429-timed", "429 with Retry-After", _WAITS, timed, 3, representative=True)
    yield _Kind("429-untimed", "429 without Retry-After", "It is asked less often.", untimed, 3)
    yield ever("429-for-ever", "429", _TOO_LATE, timed)
    for status in (408, 500, 502, 503, 504):
        shape = "html" if status == 502 else "B"
        yield _Kind(f"{status}-some-times", str(status), _LATER, _shaped(status, shape), 5)
        yield ever(f"{status}-for-ever", str(status), _TOO_LATE, _shaped(status, shape), representative=status == 502)
    yield _Kind("refused", "connection refused", _LATER, times=1, closed=True)
    yield ever("refused-for-ever", "connection refused", _TOO_LATE, closed=True)
    yield _Kind("reset", "the connection is reset", _LATER, "reset", 4, representative=True)
    yield ever("reset-for-ever", "the connection is reset", _TOO_LATE, "reset")
    yield _Kind("reset-in-body", "the connection is reset in mid-body", _LATER, "reset_in_body", 2)
    yield ever("reset-in-body-for-ever", "the connection is reset in mid-body", _TOO_LATE, "reset_in_body")
    yield _Kind("hang", "no answer within the read time-out", _LATER, "hang", 3, impatient=True)
    yield _Kind(
        "hang-for-ever",
        "no answer within the read time-out",
        _TOO_LATE,
        "hang",
        ends="DeadlinePassedError",
        settings=_SHORTER,
        impatient=True,
    )
    drip = {"do": "slow_drip", "seconds": 6.0, "pieces": 30}
    what = "the answer drips for longer than an answer may take"
    yield _Kind("endless-drip", what, _LATER, drip, 1, impatient=True)
    yield _Kind("slow-drip", "the answer drips", _NO_HARM, {"do": "slow_drip", "seconds": 0.4}, 2)
    for slug, what, action in (
        ("html", "200 with a page of HTML", {"do": "respond", "text": "<html>", "content_type": "text/html"}),
        ("empty", "200 with nothing", {"do": "respond"}),
        ("list", "200 with a list", {"do": "respond", "json": []}),
        ("broken", "200 with broken JSON", "broken_json"),
        ("no-status", "200 with an object that says no status", {"do": "respond", "json": {}}),
        (
            "unknown-word",
            "a status word that nobody knows",
            {"do": "status_word", "word": "thinking", "keep_payload": False},
        ),
    ):
        yield _Kind(slug, what, _LATER, action, 2, representative=slug == "unknown-word")
        yield ever(f"{slug}-for-ever", what, _TOO_LATE, action)
    yield _Kind("401-once", "401", "A new token is fetched and the job asked about again.", "token_refused", 1)
    yield _Kind(
        "401-for-ever",
        "401",
        "One new token is tried each time; five refusals in a row end it. The job was paid.",
        "token_refused",
        ends="CredentialsRefusedError",
    )
    refused = _LATER + " Five refusals in a row end it."
    for status in (400, 403, 422):
        yield _Kind(f"{status}-some-times", str(status), refused, _shaped(status), 4, representative=status == 403)
    yield _Kind("401-some-times", "401, with every token", refused, "token_refused", 8)
    for shape in ("B", "C", "D", "E", "html", "empty"):
        yield _Kind(
            f"403-{shape}", f"403 in shape {shape}", _LOST_STATUS, _shaped(403, shape), ends="AccessRefusedError"
        )
    load = _shaped(403, "E", "Not available now due to high traffic")
    yield _Kind("403-load", "403 that speaks of high traffic", "It is asked less often.", load, 2, representative=True)
    for status in (404, 410):
        says = "A job that is younger than a minute is asked about again."
        yield _Kind(f"{status}-at-first", str(status), says, _shaped(status), 2, representative=status == 404)
        yield _Kind(
            f"{status}",
            str(status),
            "Adobe no longer knows the job. " + _LOST_STATUS,
            _shaped(status),
            ends="AdobeJobGoneError",
            representative=status == 404,
        )
    for status in (400, 422):
        yield _Kind(f"{status}", str(status), _LOST_STATUS, _shaped(status), ends="RequestRefusedError")
    yield _Kind(
        "redirect",
        "a redirect to another host",
        "It is not followed, and the token not sent there.",
        "redirect",
        ends="ForeignLinkError",
    )
    yield _Kind("goes-backwards", "every second answer goes back to an earlier word", _NO_HARM, "goes_backwards")
    what = "Succeeded with a capital letter"
    yield _Kind("capital", what, _NO_HARM, {"do": "status_word", "word": "Succeeded", "only": "succeeded"})
    yield _Kind(
        "done", "the word done for succeeded", _NO_HARM, {"do": "status_word", "word": "done", "only": "succeeded"}
    )
    yield _Kind("retry-after-in-body", "Retry-After in the body", _NO_HARM, "retry_after_in_body")
    for style in FAILURE_STYLES:
        what = "failed without a reason" if style == "none" else f"failed, with its reason under {style}"
        yield _Kind(f"failed-{style}", what, _LOST_STATUS, {"do": "failed", "style": style}, ends="AdobeJobFailedError")
    for word in ("cancelled", "timeout", "error"):
        worded = {"do": "status_word", "word": word, "keep_payload": False}
        yield _Kind(word, f"the word {word}", _LOST_STATUS, worded, ends="AdobeJobFailedError")


# --- fetching a picture ----------------------------------------------------------------------------------------------


def _downloads(unusable: str) -> Iterator[_Kind]:
    """Yield what a download can meet. Nothing is paid for another try: three status requests bring fresh links before it fails."""
    again, gone = "It is fetched again; that costs nothing.", "Fresh links are asked for twice, then it is given up."
    for status, shape in ((403, "s3"), (404, "s3"), (429, "html"), (500, "s3"), (503, "html")):
        what = f"{status}, as an expired link answers" if status == 403 else str(status)
        error = _shaped(status, shape)
        yield _Kind(f"{status}", what, again, error, 4, representative=status == 503)
        yield _Kind(f"{status}-for-ever", what, gone, error, ends="DownloadFailedError", representative=status == 403)
    yield _Kind("refused", "connection refused", again, times=2, closed=True)
    yield _Kind("refused-for-ever", "connection refused", gone, ends="DownloadFailedError", closed=True)
    for slug, what, action in (
        ("reset", "the connection is reset", "reset"),
        ("reset-in-body", "the connection is reset in mid-picture", "reset_in_body"),
    ):
        yield _Kind(slug, what, again, action, 4, representative=True)
        yield _Kind(f"{slug}-for-ever", what, gone, action, ends="DownloadFailedError")
    yield _Kind("hang", "no answer within the read time-out", again, "hang", 2, impatient=True)
    drip = {"do": "slow_drip", "seconds": 6.0, "pieces": 30}
    yield _Kind("endless-drip", "it drips for longer than a picture may take", again, drip, 1, impatient=True)
    yield _Kind("slow-drip", "it drips", "Nothing.", {"do": "slow_drip", "seconds": 0.4})
    followed = "It is followed up to three times, without credentials; each link and address is checked as the first."
    yield _Kind("hops", "three redirects", followed, {"do": "redirect_hops", "hops": 3}, representative=True)
    what = "four redirects and more"
    yield _Kind("redirect-for-ever", what, gone, {"do": "redirect_hops", "hops": 9}, ends="DownloadFailedError")
    what = "a redirect to a host without TLS"
    plain = {"do": "redirect", "to": "http://example.com/"}
    yield _Kind("redirect-plain", what, "It is not followed.", plain, ends="ForeignLinkError", representative=True)
    yield _Kind(
        "too-large",
        "a picture larger than the cap",
        "It is dropped as soon as it passes the cap.",
        {"do": "result_text", "text": "x" * 1_100_000},
        ends="DownloadTooLargeError",
        representative=True,
    )
    spoilt = "It cannot be used, and fetching it again would give the same."
    yield _Kind("html", "200 with a page of HTML", spoilt, "result_text", ends=unusable)
    yield _Kind("empty", "200 with nothing", spoilt, "result_empty", ends=unusable)
    yield _Kind("truncated", "a truncated picture", spoilt, "result_truncated", ends=unusable, representative=True)


# --- what the pictures show ------------------------------------------------------------------------------------------


def _any_picture(unusable: str) -> Iterator[_Kind]:
    for name in ("WEBP", "GIF", "TIFF", "BMP"):
        action = {"do": "result_other_format", "format": name}
        what = f"a picture that is announced as one kind and comes as {name}"
        if name == "BMP":
            yield _Kind("as-BMP", what, "It is a format that is not read.", action, ends=unusable)
        else:
            yield _Kind(f"as-{name}", what, _NO_HARM, action, representative=name == "WEBP")
    for mode in ("RGBA", "P", "LA"):
        yield _Kind(f"mode-{mode}", f"pixels of mode {mode}", _NO_HARM, {"do": "result_other_mode", "mode": mode})
    other = {"do": "result_other_size", "width": 50, "height": 50}
    yield _Kind("other-size", "a picture of another size", _LOST_STATUS, other, ends=unusable, representative=True)
    yield _Kind("truncated", "a truncated picture", _LOST_STATUS, "result_truncated", ends=unusable)
    yield _Kind("text", "a page of HTML instead of a picture", _LOST_STATUS, "result_text", ends=unusable)
    dead = "Fresh links are asked for twice, then it is given up."
    yield _Kind(
        "expired", "a result link that is dead from the start", dead, "result_expired", ends="DownloadFailedError"
    )


def _masks() -> Iterator[_Kind]:
    yield from _any_picture("MaskUnusableError")
    for mode in ("1", "I;16"):
        yield _Kind(f"mode-{mode}", f"pixels of mode {mode}", _NO_HARM, {"do": "result_other_mode", "mode": mode})
    yield _Kind("cropped", "masks that are as large as their boxes", "Each is put at its place.", "cropped_masks")
    what = "a mask that is all white"
    says = "Nothing would be left to fill the hole from."
    yield _Kind("white", what, says, "result_white", ends="MaskUnusableError", representative=True)


def _fills() -> Iterator[_Kind]:
    yield from _any_picture("FillUnusableError")
    says = "It is put into the hole: whether a fill is a good one, only eyes can tell."
    yield _Kind("black", "a fill that is all black", says, "result_black", representative=True)
    yield _Kind("white", "a fill that is all white", says, "result_white")


# --- putting kinds at their places -----------------------------------------------------------------------------------


def _often(times: int | None) -> str:
    return {None: "every time", 1: "once", 2: "twice"}.get(times, f"{times} times")


def _at(kind: _Kind, where: Where, route: str, path: str, *, options: Mapping[str, str]) -> Fault:
    """Return a kind at one place; a request for a fill comes after a mask that was paid."""
    made = kind.made if kind.made is not None else int(not kind.ends or not where.endswith("request"))
    before, behind = (1, 0) if route == FILL else (0, int(not kind.ends))
    ended: Outcome = "failed" if kind.ends else "cleaned"
    rule = {"route": path, "fault": kind.action, "times": kind.times}
    return Fault(
        name=f"{where.replace(' ', '-')}/{route}/{kind.slug}",
        where=where,
        route=route,
        what=kind.what,
        often=_often(kind.times),
        expected=Expected(ended, before + made + behind, kind.ends, kind.duplicate),
        says=kind.says,
        rules=() if kind.closed else ({name: value for name, value in rule.items() if value},),
        closed=path if kind.closed else "",
        times=kind.times,
        options=options,
        settings=kind.settings,
        impatient=kind.impatient,
        representative=kind.representative and route == "mask-objects",
    )


def _on_mask_routes() -> Iterator[Fault]:
    for route in MASK_ROUTES:
        asked = {} if route == "mask-objects" else {"mask_route": route}
        for kind in _requests():
            yield _at(kind, "mask request", route, _POST[route], options=asked)
        for kind in _statuses():
            yield _at(kind, "mask status", route, _STATUS[route], options=asked)
        if route == "create-mask":
            # Adobe puts this mask into our own storage.
            continue
        for kind in _downloads("MaskUnusableError"):
            yield _at(kind, "mask download", route, _DOWNLOAD, options=asked)
        for kind in _masks():
            yield _at(kind, "mask picture", route, _POST[route], options=asked)


def _on_the_fill_route() -> Iterator[Fault]:
    for kind in _requests():
        yield _at(kind, "fill request", FILL, _POST[FILL], options={})
    # With masks from other routes, only the fill's own requests meet the rule.
    for kind in _statuses():
        yield _at(kind, "fill status", FILL, _STATUS[FILL], options={"mask_route": "remove-background"})
    for kind in _downloads("FillUnusableError"):
        yield _at(kind, "fill download", FILL, _DOWNLOAD, options={"mask_route": "create-mask"})
    for kind in _fills():
        yield _at(kind, "fill picture", FILL, _POST[FILL], options={})


# --- what happens at one place only ----------------------------------------------------------------------------------


def _fault(
    where: Where,
    slug: str,
    what: str,
    says: str,
    expected: Expected,
    *rules: Json,
    route: str = "mask-objects",
    often: str = "every time",
    **more: Any,
) -> Fault:
    chosen = {"fill_route": route} if route == FIREFLY else {"mask_route": route}
    options = more.pop("options", {}) | ({} if route in ("mask-objects", FILL) else chosen)
    name = f"{where.replace(' ', '-')}/{route}/{slug}"
    return Fault(name, where, route, what, often, expected, says, rules, options=options, **more)


_CLEANED = Expected("cleaned", 2)


def _failed(reason: str, paid: int) -> Expected:
    return Expected("failed", paid, reason)


def _of_the_identity_service() -> Iterator[Fault]:
    down = "No request was sent, so asking again is free: ten times with growing pauses."
    for slug, what, action in (
        ("500", "500", _shaped(500, "C")),
        ("503-html", "503 as a page of HTML", _shaped(503, "html")),
        ("504", "504", _shaped(504, "empty")),
        ("reset", "the connection is reset", "reset"),
        ("redirect", "a redirect to another host", "redirect"),
    ):
        rule = {"route": _TOKEN, "fault": action}
        yield _fault("identity service", f"{slug}-twice", what, down, _CLEANED, {**rule, "times": 2}, often="twice")
        yield _fault(
            "identity service",
            f"{slug}-for-ever",
            what,
            down,
            _failed("AdobeUnavailableError", 0),
            rule,
            often="every time",
            representative=slug == "503-html",
        )
    yield _fault(
        "identity service", "refused", "connection refused", down, _CLEANED, closed=_TOKEN, times=1, often="once"
    )
    yield _fault(
        "identity service",
        "refused-for-ever",
        "connection refused",
        down,
        _failed("AdobeUnavailableError", 0),
        closed=_TOKEN,
        often="every time",
    )
    hang = {"route": _TOKEN, "fault": "hang", "times": 1}
    what = "no answer within the read time-out"
    yield _fault("identity service", "hang", what, down, _CLEANED, hang, often="once", impatient=True)
    slow = {"route": _TOKEN, "fault": {"do": "delay", "seconds": 0.4}}
    yield _fault("identity service", "slow", "a slow answer", "Nothing.", _CLEANED, slow)
    patience = {"route": _TOKEN, "fault": {"do": "too_many_requests", "retry_after": 2}, "times": 1}
    yield _fault("identity service", "429", "429", _WAITS, _CLEANED, patience, often="once", representative=True)
    for slug, what, action in (
        ("html", "200 with a page of HTML", {"do": "respond", "text": "<html>", "content_type": "text/html"}),
        ("empty", "200 with nothing", {"do": "respond"}),
        ("list", "200 with a list", {"do": "respond", "json": ["token"]}),
        ("no-token", "200 without a token", {"do": "respond", "json": {"token_type": "bearer"}}),
        ("number", "200 with a number for a token", {"do": "respond", "json": {"access_token": 5}}),
        ("expires-soon", "a life in words", {"do": "respond", "json": {"access_token": "t", "expires_in": "soon"}}),
    ):
        rule = {"route": _TOKEN, "fault": action}
        once = {**rule, "times": 1}
        yield _fault(
            "identity service", f"{slug}-once", what, down, _CLEANED, once, often="once", representative=slug == "html"
        )
        yield _fault(
            "identity service",
            f"{slug}-for-ever",
            what,
            down,
            _failed("AnswerUnreadableError", 0),
            rule,
            often="every time",
        )
    refused = "It is given up at once; an alarm tells of refused credentials."
    for status in (400, 401, 403):
        body = {"error": "invalid_client", "error_description": "invalid client_secret: stand-in-client-secret"}
        rule = {"route": _TOKEN, "fault": {"do": "respond", "status": status, "json": body}}
        what = f"{status}, which repeats the secret"
        yield _fault(
            "identity service",
            f"{status}",
            what,
            refused,
            _failed("CredentialsRefusedError", 0),
            rule,
            often="every time",
            representative=status == 401,
        )
    odd = {"access_token": "two\nlines", "expires_in": 3600}
    rule = {"route": _TOKEN, "fault": {"do": "respond", "json": odd}}
    what = "a token that fits into no header"
    yield _fault(
        "identity service", "odd-token", what, refused, _failed("CredentialsRefusedError", 0), rule, often="every time"
    )
    for slug, life in (("no", 0), ("negative", -5), ("nan", "NaN"), ("endless", 1e300)):
        rule = {"route": _TOKEN, "fault": {"do": "merge", "json": {"expires_in": life}}}
        what = (
            f"a token whose life is {life:g} s"
            if isinstance(life, float | int)
            else "a token whose life is not a number"
        )
        yield _fault("identity service", f"{slug}-life", what, _NO_HARM, _CLEANED, rule)
    # The token is refused in mid-walk, and there is no other to be had for a while.
    yield _fault(
        "identity service",
        "down-in-mid-walk",
        "the token is refused while a job is in work, and the identity service is down",
        "The job is asked about again until there is a token.",
        _CLEANED,
        {"route": _STATUS["mask-objects"], "fault": "token_refused", "times": 1},
        {"route": _TOKEN, "fault": _shaped(503, "html"), "after": 1, "times": 2},
        often="once",
        representative=True,
    )
    yield _fault(
        "identity service",
        "nonsense-in-mid-walk",
        "the token is refused while a job is in work, and the identity service answers nonsense",
        "The job is asked about again until there is a token.",
        _CLEANED,
        {"route": _STATUS["mask-objects"], "fault": "token_refused", "times": 1},
        {"route": _TOKEN, "fault": {"do": "respond", "text": "<html>"}, "after": 1, "times": 2},
        often="once",
    )
    yield _fault(
        "identity service",
        "down-before-the-fill",
        "the token is refused at the fill, and the identity service is down",
        "The fill is asked for again until there is a token.",
        _CLEANED,
        {"route": _POST[FILL], "fault": "token_refused", "times": 1},
        {"route": _TOKEN, "fault": _shaped(503, "html"), "after": 1, "times": 2},
        often="once",
    )


def _of_one_place() -> Iterator[Fault]:
    nothing = "The job was paid. It counts as failed, with words that say so."
    for route in ("mask-objects", "remove-background"):
        yield _fault(
            "mask status",
            "without-payload",
            "succeeded without a picture",
            nothing,
            _failed("AdobeJobFailedError", 1),
            {"route": _STATUS[route], "fault": "without_payload"},
            route=route,
            representative=route == "mask-objects",
        )
    yield _fault(
        "fill status",
        "without-payload",
        "succeeded without a picture",
        nothing,
        _failed("AdobeJobFailedError", 2),
        {"route": _STATUS[FILL], "fault": "without_payload"},
        route=FILL,
        options={"mask_route": "remove-background"},
        representative=True,
    )
    yield _fault(
        "mask status",
        "succeeded-unwritten",
        "succeeded, and the mask was never written to where it belongs",
        "The job was paid. Success is not believed without the picture.",
        _failed("MaskUnusableError", 1),
        {"route": _POST["create-mask"], "fault": "never_finishes"},
        {"route": _STATUS["create-mask"], "fault": {"do": "status_word", "word": "succeeded"}},
        route="create-mask",
        representative=True,
    )
    for slug, what, url in (
        ("plain-link", "a result link without TLS on another host", "http://example.com/mask.png"),
        ("file-link", "a result link to a file", "file:///etc/passwd"),
        ("odd-link", "a result link that is none", "https://[half"),
    ):
        mask = {"label": "subject", "score": 0.9, "destination": {"url": url}, "mediaType": "image/png"}
        merge = {"do": "merge", "json": {"semanticMasks": [mask]}}
        yield _fault(
            "mask status",
            slug,
            what,
            "It is not followed.",
            _failed("ForeignLinkError", 1),
            {"route": _STATUS["mask-objects"], "fault": merge},
            representative=slug == "plain-link",
        )
        yield _fault(
            "fill status",
            slug,
            what,
            "It is not followed.",
            _failed("ForeignLinkError", 2),
            {"route": _STATUS[FILL], "fault": {"do": "merge", "json": {"image": {"destination": {"url": url}}}}},
            route=FILL,
            options={"mask_route": "remove-background"},
        )
    for style in ("left_top", "normalised", "floats", "none", "null"):
        boxes = {"route": _STATUS["mask-objects"], "fault": {"do": "boxes", "style": style}}
        yield _fault("mask status", f"boxes-{style}", f"boxes as {style}", _NO_HARM, _CLEANED, boxes)

    unread = {"do": "failed", "message": "Failed to download image"}
    linked = "The photo's link is signed again and the request sent once more; the record says possible duplicate."
    yield _fault(
        "fill status",
        "input-unread-once",
        "the job fails because Adobe could not fetch the photo",
        linked,
        Expected("cleaned", 3, possible_duplicate=True),
        {"route": _POST[FILL], "fault": unread, "times": 1},
        route=FILL,
        often="once",
        representative=True,
    )
    yield _fault(
        "fill status",
        "input-unread",
        "the job fails because Adobe could not fetch the photo",
        linked + " Then it is given up.",
        Expected("failed", 3, "InputLinkRefusedError", possible_duplicate=True),
        {"route": _POST[FILL], "fault": unread},
        route=FILL,
    )

    unread_mask = {"route": _POST["mask-objects"], "fault": unread}
    yield _fault(
        "mask status",
        "input-unread-once",
        "the job fails because Adobe could not fetch the photo",
        linked,
        Expected("cleaned", 3, possible_duplicate=True),
        {**unread_mask, "times": 1},
        often="once",
    )
    yield _fault(
        "mask status",
        "input-unread",
        "the job fails because Adobe could not fetch the photo",
        linked + " Then it is given up.",
        Expected("failed", 2, "InputLinkRefusedError", possible_duplicate=True),
        unread_mask,
    )

    masks = _POST["mask-objects"]
    passed_on = "The original is passed on, and the manifest says so."
    unseen = Expected("nothing_to_remove", 1)
    for route in ("mask-objects", "remove-background"):
        black = {"route": _POST[route], "fault": "result_black"}
        yield _fault("mask picture", "black", "a mask that is all black", passed_on, unseen, black, route=route)
    yield _fault(
        "mask picture",
        "black-to-approve",
        "a mask that is all black, where it was to be approved",
        passed_on,
        unseen,
        {"route": masks, "fault": "result_black"},
        options={"review": "true"},
    )
    yield _fault(
        "mask request",
        "lost-202-to-approve",
        "the job is made and its answer cut off (lost 202), where the mask is to be approved",
        _LOST_ONCE,
        Expected("mask_ready", 2, possible_duplicate=True),
        {"route": masks, "fault": "lost_answer", "times": 1},
        often="once",
        options={"review": "true"},
    )
    yield _fault(
        "mask status",
        "429-to-approve",
        "429, where the mask is to be approved",
        _LATER,
        Expected("mask_ready", 1),
        {"route": _STATUS["mask-objects"], "fault": {"do": "too_many_requests", "retry_after": 2}, "times": 2},
        often="twice",
        options={"review": "true"},
    )
    none_found = {"route": masks, "fault": {"do": "many_masks", "count": 0}}
    yield _fault("mask picture", "no-masks", "no mask at all", passed_on, unseen, none_found, representative=True)
    other = {"route": masks, "fault": {"do": "labels", "names": ["zebra"]}}
    what = "labels among which the wanted one is not"
    yield _fault("mask picture", "other-label", what, passed_on, unseen, other, options={"remove": "dog"})
    many = {"route": masks, "fault": {"do": "many_masks", "count": 300}}
    yield _fault(
        "mask picture",
        "300-masks",
        "300 masks, all wanted",
        "All are joined into one hole.",
        _CLEANED,
        many,
        options={"remove": "everything"},
    )
    yield _fault("mask picture", "300-masks-one-wanted", "300 masks, one wanted", _NO_HARM, _CLEANED, many)
    for slug, names in (
        ("spaces", [" DOG ", "Dog"]),
        ("emoji", ["🐶 dog\u202e\u0000", "\ud83d"]),
        ("endless", ["dog" * 5000]),
        ("empty", [""]),
        ("stars", ["*" * 200]),
        ("markup", ["<script>alert(1)</script>", "'; DROP TABLE jobs; --"]),
    ):
        odd = {"route": masks, "fault": {"do": "labels", "names": names}}
        yield _fault(
            "mask picture",
            f"labels-{slug}",
            f"odd labels: {slug}",
            _NO_HARM,
            _CLEANED,
            odd,
            representative=slug == "emoji",
        )
    yield _fault(
        "mask picture",
        "inverted",
        "a mask with black and white exchanged",
        "Adobe nowhere promises which is which; invert=true turns it back.",
        _CLEANED,
        {"route": masks, "fault": "result_inverted"},
        options={"invert": "true"},
    )


def _of_firefly() -> Iterator[Fault]:
    """Yield what is Firefly's alone; all else it shares with the other fill."""
    refused = "The photo fails by that name: Adobe's rules do not allow the words."
    post, unsafe = _POST[FIREFLY], {"error_code": "prompt_unsafe", "message": "The prompt is not allowed"}
    at_once = {"route": post, "fault": {"do": "respond", "status": 422, "json": unsafe}}
    later = {"route": post, "fault": {"do": "failed", "code": "prompt_unsafe"}}
    foreign = {"route": post, "fault": "foreign_status_link"}
    never = "The token is not sent there, and no other link is made up for Firefly's jobs. It is not asked again."
    on = partial(_fault, route=FIREFLY)
    words = {"prompt": "wet sand"}
    yield on(
        "fill request",
        "unsafe",
        "422 prompt_unsafe",
        refused,
        _failed("PromptRefusedError", 1),
        at_once,
        options=words,
        representative=True,
    )
    yield on(
        "fill status",
        "unsafe",
        "the job fails for prompt_unsafe",
        refused,
        _failed("PromptRefusedError", 2),
        later,
        options=words,
        representative=True,
    )
    what = "202 with a status link on a foreign host"
    yield on("fill request", "foreign-status-link", what, never, _failed("ForeignLinkError", 2), foreign)
    patience = {"route": post, "fault": {"do": "too_many_requests", "retry_after": 3}, "times": 1}
    yield on("fill request", "429", "429", _WAITS, _CLEANED, patience, often="once")
    lost = {"route": post, "fault": "lost_answer", "times": 1}
    expected = Expected("cleaned", 3, possible_duplicate=True)
    what = "the job is made and its answer cut off (lost 202)"
    yield on("fill request", "lost-202", what, _LOST_ONCE, expected, lost, often="once")
    for word, status in (("cancelled", "cancelled"), ("timeout", "timeout")):
        worded = {"route": _STATUS[FIREFLY], "fault": {"do": "status_word", "word": status, "keep_payload": False}}
        failed = _failed("AdobeJobFailedError", 2)
        yield on("fill status", word, f"the word {word}", _LOST_STATUS, failed, worded)


def _all() -> Iterator[Fault]:
    """Yield every fault; the first that ends in its way at its place stands for the others."""
    seen: set[tuple[Where, Expected]] = set()
    for fault in (
        *_of_the_identity_service(),
        *_on_mask_routes(),
        *_on_the_fill_route(),
        *_of_one_place(),
        *_of_firefly(),
    ):
        first = (fault.where, fault.expected) not in seen
        yield replace(fault, representative=True) if first else fault
        seen.add((fault.where, fault.expected))


#: Every fault at every place, each with a name of its own.
FAULTS: Sequence[Fault] = tuple(_all())
