from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.adobe.answers import (
    pictures,
    read_adobe_job,
    read_box,
    read_error,
    read_mask,
    read_retry_after,
    read_state,
)
from cleanplate.adobe.errors import AnswerUnreadableError
from cleanplate.adobe.routes import FILL, ROUTES, Request
from cleanplate.models import AdobeJob, Answer, Box, Mask

ROOT = "https://image.adobe.io/v1/status"
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
LINK = f"{ROOT}/j1"
MASK_ITEM = {
    "label": "dog",
    "score": 0.97,
    "boundingBox": {"x": 10, "y": 20, "width": 30, "height": 40},
    "destination": {"url": "https://r/m0.png"},
    "mediaType": "image/png",
}
DOG = Mask("dog", 0.97, Box(10, 20, 30, 40), url="https://r/m0.png")


# --- an accepted job ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "job"),
    [
        ({"jobId": "j1", "statusUrl": LINK}, {}, AdobeJob("j1", LINK)),
        ({"jobID": "j1", "_links": {"self": {"href": LINK}}}, {}, AdobeJob("j1", LINK)),
        ({"_links": {"self": {"href": LINK}}}, {}, AdobeJob("j1", LINK)),
        ({"jobId": "j1"}, {"Location": LINK}, AdobeJob("j1", LINK)),
        ({}, {"Location": LINK + "/"}, AdobeJob("j1", LINK + "/")),
        ({"jobId": "j1"}, {"Location": "/v1/status/j1"}, AdobeJob("j1", LINK)),
        ({"jobId": "j1"}, {"Link": f'<{LINK}>; rel="self"'}, AdobeJob("j1", LINK)),
        ({"jobId": "j1"}, {}, AdobeJob("j1", LINK)),
        ({"id": 17}, {}, AdobeJob("17", f"{ROOT}/17")),
        ({"jobId": "urn:ff:jobs:x:1"}, {}, AdobeJob("urn:ff:jobs:x:1", f"{ROOT}/urn%3Aff%3Ajobs%3Ax%3A1")),
        ({"jobId": "a/b ü"}, {}, AdobeJob("a/b ü", f"{ROOT}/{quote('a/b ü', safe='')}")),
        ({"jobId": "j1", "statusUrl": None, "_links": {"self": {"href": LINK}}}, {}, AdobeJob("j1", LINK)),
        ({"jobId": "j1", "statusUrl": LINK, "_links": "none"}, {"Location": "https://other"}, AdobeJob("j1", LINK)),
    ],
)
def test_the_job_and_its_link_are_found_wherever_adobe_puts_them(
    body: dict[str, Any], headers: dict[str, str], job: AdobeJob
) -> None:
    assert read_adobe_job(body, headers, status_root=ROOT) == job


@pytest.mark.parametrize(
    "body", [{}, {"jobId": ""}, {"jobId": None}, {"jobId": {}}, {"id": True}, {"_links": {"self": []}}]
)
def test_an_answer_without_job_and_link_is_unreadable(body: dict[str, Any]) -> None:
    with pytest.raises(AnswerUnreadableError):
        read_adobe_job(body, {}, status_root=ROOT)


# --- states ---------------------------------------------------------------------------------------------------------------

WORDS = {
    "pending": ["not_started", "pending", "running", "starting", "uploading", "cancel_pending", "thinking", "Queued"],
    "succeeded": ["succeeded", "Succeeded", "SUCCEEDED", "success", "done"],
    "failed": ["failed", "Failed", "error", "cancelled", "canceled", "timeout"],
}


@pytest.mark.parametrize(("state", "word"), [(state, word) for state, words in WORDS.items() for word in words])
def test_every_status_word_has_its_state(state: str, word: str) -> None:
    assert read_state({"jobId": "j1", "status": word}) == (state, word)
    assert read_state({"outputs": [{"status": word}]}) == (state, word)


@pytest.mark.parametrize("body", [{}, {"jobId": "j1"}, {"status": None}, {"status": 5}, {"outputs": []}])
def test_an_answer_that_says_nothing_is_waited_on(body: dict[str, Any]) -> None:
    assert read_state(body) == ("pending", "")


def test_an_error_without_a_status_is_a_failure() -> None:
    assert read_state({"error_code": "processing_error", "message": "no"})[0] == "failed"


# --- failures of a job ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"error_code": "processing_error", "message": "it broke"}, "processing_error", "it broke"),
        (
            {"errors": {"type": "T", "code": 500, "title": "it", "errorDetails": [{"name": "a", "reason": "broke"}]}},
            "500",
            "it; broke; a",
        ),
        ({"errors": [{"type": "T", "title": "it broke", "details": "here"}]}, "T", "it broke; here"),
        ({"errorDetails": [{"errorCode": "500600", "message": "it broke"}]}, "500600", "it broke"),
        ({"error": {"code": "x", "message": "it broke"}}, "x", "it broke"),
        ({"error": "x"}, "x", "Adobe gave no reason (failed)."),
        ({"outputs": [{"errors": {"code": "y", "title": "it broke"}}]}, "y", "it broke"),
        ({}, "", "Adobe gave no reason (failed)."),
    ],
)
@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_the_reason_of_a_failed_job_is_found_wherever_it_is(
    route: Any, body: dict[str, Any], code: str, words: str
) -> None:
    echo = {"input": "https://b/x?X-Amz-Signature=leak", "output": {"href": "https://b/y?sig=leak"}}
    answer = route.read({"jobId": "j1", "status": "failed", **echo, **body})
    assert answer == Answer("failed", "failed", error_code=code, message=words)


# --- synchronous errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"error_code": "401013", "message": "Oauth token is not valid"}, "401013", "Oauth token is not valid"),
        (
            {
                "type": "InputValidationError",
                "code": "400",
                "title": "bad",
                "details": [{"allowedValues": "a", "reason": "r"}],
            },
            "400",
            "bad; r",
        ),
        ({"type": "InputValidationError", "code": 400, "title": "bad", "details": "words"}, "400", "bad; words"),
        ({"type": "JobError", "code": "500", "title": "t", "error_code": "e", "details": {"reason": "r"}}, "e", "t; r"),
        (
            {
                "code": 400,
                "type": "InputValidationError",
                "reason": [{"keyword": "enum", "dataPath": ".output.mask.format", "params": {}, "message": "m"}],
            },
            "400",
            "m",
        ),
        (
            {"error_code": "validation_error", "message": "m", "validation_errors": ["a", "b"]},
            "validation_error",
            "m; a; b",
        ),
        ({"error_code": "e", "message": "m", "errors": [{"error_code": "f", "message": "m"}]}, "e", "m"),
        ({"errors": [{"code": "INPUT_EXCEEDS_MAX_SIZE", "message": "m"}]}, "INPUT_EXCEEDS_MAX_SIZE", "m"),
        ({"error": "invalid_client", "error_description": "d"}, "invalid_client", "d"),
        ("<html>503</html>", "", "<html>503</html>"),
        (None, "", ""),
        ([], "", ""),
        ({}, "", ""),
        (5, "", ""),
    ],
)
def test_code_and_words_of_an_error_are_found_in_every_shape(body: Any, code: str, words: str) -> None:
    assert read_error(body) == (code, words)


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "7"}, None, 7.0),
        ({"Retry-After": "0.5"}, {}, 0.5),
        ({}, {"Retry-After": "3"}, 3.0),
        ({}, {"retry-after": 4}, 4.0),
        ({"Retry-After": "soon"}, {"Retry-After": "3"}, 3.0),
        ({"Retry-After": "-1"}, {}, None),
        ({"Retry-After": "nan"}, {}, None),
        ({"Retry-After": "inf"}, {}, None),
        ({"Retry-After": "1" * 400}, {}, None),
        ({"Retry-After": "999999999"}, {}, 86_400.0),
        ({"Retry-After": "Fri, 27 Nov 2026 12:00:30 GMT"}, {}, 30.0),
        ({"Retry-After": "Fri, 27 Nov 2026 12:00:30 GMT", "Date": "Fri, 27 Nov 2026 12:00:10 GMT"}, {}, 20.0),
        ({"Retry-After": "Friday, 27-Nov-26 12:00:30 GMT"}, {}, 30.0),
        ({}, {"Retry-After": "Fri, 27 Nov 2026 12:00:07 +0000"}, 7.0),
        ({"Retry-After": "Fri, 27 Nov 2026 11:59:00 GMT"}, {}, 0.0),
        ({"Retry-After": "Fri, 27 Nov 9999 12:00:00 GMT"}, {}, 86_400.0),
        ({"Retry-After": "Fri, 27 Nov 2026 12:00:30 GMT", "Date": "yesterday"}, {}, 30.0),
        ({"Retry-After": "Fri, 45 Nov 2026 12:00:30 GMT"}, {}, None),
        ({}, {"Retry-After": None}, None),
        ({}, [], None),
        ({}, None, None),
    ],
)
def test_the_time_to_wait_is_read_from_header_or_body_and_kept_sane(
    headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    assert read_retry_after(headers, body, now=NOON) == seconds


@pytest.mark.parametrize(
    ("words", "unread"),
    [
        ("Failed to download image from https://b/dog.jpg", True),
        ("failed to fetch the source", True),
        ("Input image could not be downloaded", True),
        ("the input link answered 403", True),
        ("the image url has expired", True),
        ("Unable to retrieve mask", True),
        ("the job could not be processed", False),
        ("The image has no subject", False),
        ("image format is not supported", False),
        ("the output link answered 403", False),
        ("", False),
    ],
)
def test_a_job_that_failed_for_its_input_link_is_recognised(words: str, unread: bool) -> None:
    body = {"status": "failed", "error_code": "processing_error", "message": words}
    assert ROUTES["mask-objects"].read(body).input_unread is unread


# --- pictures -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "box"),
    [
        ({"x": 1, "y": 2, "width": 3, "height": 4}, Box(1, 2, 3, 4)),
        ({"left": 1, "top": 2, "width": 3, "height": 4}, Box(1, 2, 3, 4)),
        ({"x": "1.5", "y": 2.5, "width": 3, "height": 4}, Box(1.5, 2.5, 3, 4)),
        ({"x": 0.1, "y": 0.2, "width": 0.3, "height": 1}, Box(0.1, 0.2, 0.3, 1, normalised=True)),
        ({"x": 1e-300, "y": 0, "width": 2, "height": 2}, Box(0, 0, 2, 2)),
        ({"x": float("nan"), "y": 2, "width": 3, "height": 4}, None),
        ({"x": 1, "y": float("inf"), "width": 3, "height": 4}, None),
        ({"x": 10**400, "y": 2, "width": 3, "height": 4}, None),
        ({"x": 1, "y": 2, "width": 1e300, "height": 4}, None),
        ({"x": 1, "y": 2, "width": None, "height": 4}, None),
        ({"x": 1, "y": 2}, None),
        ({}, None),
        (None, None),
        ([1, 2, 3, 4], None),
    ],
)
def test_a_box_is_read_in_either_spelling_and_dropped_where_it_is_none(found: Any, box: Box | None) -> None:
    assert read_box(found) == box


@pytest.mark.parametrize(
    ("item", "mask"),
    [
        (MASK_ITEM, DOG),
        ({"destination": {"url": "u"}}, Mask(url="u")),
        ({"label": None, "score": None, "url": "u"}, Mask(url="u")),
        ({"label": ["dog"], "score": "0.4", "href": "u"}, Mask(score=0.4, url="u")),
        ({"score": 7, "url": "u"}, Mask(url="u")),
        ({"score": -7, "url": "u"}, Mask(score=0.0, url="u")),
        ({"score": float("nan"), "url": "u"}, Mask(url="u")),
        ({"score": 10**400, "url": "u"}, Mask(url="u")),
        ({"score": 1e-200, "url": "u"}, Mask(score=0.0, url="u")),
        ({"label": "x" * 5000, "url": "u"}, Mask(label="x" * 100, url="u")),
    ],
)
def test_a_mask_is_read_whatever_is_missing_or_odd(item: dict[str, Any], mask: Mask) -> None:
    assert read_mask(item) == mask


SUCCEEDED = {"jobId": "j1", "status": "succeeded"}


@pytest.mark.parametrize(
    ("body", "masks"),
    [
        ({"semanticMasks": [MASK_ITEM], "backgroundMasks": []}, (DOG,)),
        ({"SemanticMasks": [MASK_ITEM]}, (DOG,)),
        ({"masks": [MASK_ITEM]}, (DOG,)),
        ({"mask": MASK_ITEM}, (DOG,)),
        ({"result": {"outputs": [MASK_ITEM]}}, (DOG,)),
        ({"outputs": [MASK_ITEM]}, (DOG,)),
        ({"semanticMasks": [], "backgroundMasks": []}, ()),
        ({"semanticMasks": [MASK_ITEM, {"label": "no link"}, None]}, (DOG,)),
        (
            {"semanticMasks": [MASK_ITEM], "backgroundMasks": [{**MASK_ITEM, "label": "sky"}]},
            (DOG, Mask("sky", 0.97, Box(10, 20, 30, 40), background=True, url="https://r/m0.png")),
        ),
    ],
)
def test_objects_are_found_wherever_adobe_lists_them(body: dict[str, Any], masks: tuple[Mask, ...]) -> None:
    assert ROUTES["mask-objects"].read({**SUCCEEDED, **body}) == Answer("succeeded", "succeeded", masks=masks)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"semanticMasks": None},
        {"semanticMasks": [{"label": "dog"}]},
        {"semanticMasks": [{"label": "dog"}], "backgroundMasks": [MASK_ITEM]},
        {"image": {"source": {"url": "https://b/the-photo-itself"}}},
        {"result": {"outputs": []}},
    ],
)
@pytest.mark.parametrize("route", ["mask-objects", "remove-background", "fill-masked-areas"])
def test_succeeded_without_a_picture_is_a_failure(route: str, body: dict[str, Any]) -> None:
    answer = ROUTES[route].read({**SUCCEEDED, **body})
    assert (answer.state, answer.error_code) == ("failed", "no_result")


@pytest.mark.parametrize(
    "body",
    [
        {"result": {"outputs": [{"destination": {"url": "u"}, "mediaType": "image/png"}]}},
        {"outputs": [{"href": "u"}]},
        {"mask": {"destination": {"url": "u"}}},
        {"image": {"destination": {"url": "u"}}},
        {"result": {"outputs": [{"image": {"url": "u"}}]}},
    ],
)
def test_the_one_mask_of_a_subject_is_found_wherever_it_is(body: dict[str, Any]) -> None:
    assert ROUTES["remove-background"].read({**SUCCEEDED, **body}).masks == (Mask("subject", url="u"),)


@pytest.mark.parametrize(
    "body",
    [
        {"image": {"destination": {"url": "u"}, "mediaType": "image/jpeg"}},
        {"image": {"url": "u"}},
        {"images": [{"destination": {"href": "u"}}]},
        {"result": {"outputs": [{"destination": {"url": "u"}}]}},
        {"outputs": [{"image": {"url": "u"}}]},
        {"image": {"source": {"url": "photo"}}, "outputs": [{"destination": {"url": "u"}}]},
    ],
)
def test_the_fill_is_found_wherever_it_is_and_never_mistaken_for_the_photo(body: dict[str, Any]) -> None:
    assert FILL.read({**SUCCEEDED, **body}).image_url == "u"


def test_a_mask_that_adobe_writes_to_us_is_where_we_asked_for_it() -> None:
    body = {
        "jobID": "j1",
        "status": "succeeded",
        "input": "https://b/x",
        "output": {"storage": "external", "href": "h"},
    }
    answer = ROUTES["create-mask"].read(body, work_key="jobs/1/mask.png")
    assert answer.masks == (Mask("subject", work_key="jobs/1/mask.png"),)
    assert ROUTES["create-mask"].read({**body, "status": "running"}, work_key="x").masks == ()


def test_every_route_sends_the_body_of_its_contract() -> None:
    request = Request(image_url="i", mask_urls=["m1", "m2"], output_url="o", mask_format="binary")
    assert {name: route.body(request) for name, route in ROUTES.items() if name != "firefly-fill"} == {
        "mask-objects": {"image": {"source": {"url": "i"}}},
        "remove-background": {
            "image": {"source": {"url": "i"}},
            "mode": "mask",
            "output": {"mediaType": "image/png"},
        },
        "create-mask": {
            "input": {"storage": "external", "href": "i"},
            "output": {"storage": "external", "href": "o", "overwrite": True, "mask": {"format": "binary"}},
        },
        "fill-masked-areas": {
            "image": {"source": {"url": "i"}},
            "masks": [{"source": {"url": "m1"}}, {"source": {"url": "m2"}}],
        },
    }
    assert {name for name, route in ROUTES.items() if route.writes_to_us} == {"create-mask"}


FIREFLY = ROUTES["firefly-fill"]


def test_routes_keep_the_limits_of_their_own() -> None:
    """Adobe's pages: 2 POSTs in 3 s, 4 in 60 s; 2688 pixels a side and 15 MB, of which Firefly paints 2048."""
    limited = {name: (60 / route.post_spacing) for name, route in ROUTES.items() if route.post_spacing}
    assert limited == {"remove-background": 40, "firefly-fill": pytest.approx(4, abs=0.2)}
    assert limited["firefly-fill"] < 4
    assert (FIREFLY.pixel_limit, FIREFLY.byte_limit) == (2048, 15_000_000)


@pytest.mark.parametrize("prompt", ["", "wet sand"])
def test_firefly_is_asked_with_one_mask_a_size_and_perhaps_words(prompt: str) -> None:
    request = Request(image_url="i", mask_urls=["m"], size=(640, 480), prompt=prompt)
    assert FIREFLY.body(request) == {
        "image": {"source": {"url": "i"}},
        "mask": {"source": {"url": "m"}},
        "size": {"width": 640, "height": 480},
        "numVariations": 1,
        **({"prompt": prompt} if prompt else {}),
    }


@pytest.mark.parametrize(
    ("word", "state"),
    [("running", "pending"), ("cancel_pending", "pending"), ("cancelled", "failed"), ("timeout", "failed")],
)
def test_every_word_of_firefly_has_its_state(word: str, state: str) -> None:
    assert FIREFLY.read({"jobId": "j", "status": word}).state == state


def test_firefly_offers_its_picture_among_the_outputs() -> None:
    outputs = [{"seed": 1, "image": {"url": "u"}}]
    body = {"jobId": "j", "status": "succeeded", "result": {"size": {"width": 1, "height": 1}, "outputs": outputs}}
    assert FIREFLY.read(body).image_url == "u"
    assert FIREFLY.read({"status": "succeeded", "result": {"outputs": []}}).error_code == "no_result"


# --- anything at all --------------------------------------------------------------------------------------------------------

KNOWN = st.sampled_from(
    [
        "jobId",
        "jobID",
        "status",
        "statusUrl",
        "_links",
        "self",
        "href",
        "semanticMasks",
        "backgroundMasks",
        "masks",
        "mask",
        "image",
        "outputs",
        "result",
        "destination",
        "url",
        "boundingBox",
        "x",
        "y",
        "left",
        "top",
        "width",
        "height",
        "label",
        "score",
        "errors",
        "error",
        "error_code",
        "message",
        "code",
        "type",
        "title",
        "details",
        "reason",
        "errorDetails",
        "Retry-After",
        "source",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["succeeded", "failed", "running", "https://r.adobe.io/x", 10**400])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KNOWN | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)


@given(body=st.dictionaries(KNOWN, JSON, max_size=6), route=st.sampled_from(sorted(ROUTES)))
def test_any_json_from_adobe_is_an_answer_that_can_be_stored(body: dict[str, Any], route: str) -> None:
    answer = ROUTES[route].read(body, work_key="k")
    assert answer.state in {"pending", "succeeded", "failed"}
    if answer.state == "succeeded":
        assert answer.image_url or answer.masks or body.get("semanticMasks") == []
    for mask in answer.masks:
        assert 0 <= mask.score <= 1
        assert mask.url or mask.work_key
        assert mask.box is None or max(mask.box.x, mask.box.y, mask.box.width, mask.box.height) < 1e9
    for text in read_error(body):
        assert isinstance(text, str)
    list(pictures(body, "image"))
    assert (read_retry_after({}, body, now=0) or 0) >= 0


@given(body=st.dictionaries(KNOWN, JSON, max_size=5), location=st.text(max_size=10))
def test_whatever_json_a_post_is_answered_with_it_is_a_job_or_unreadable(body: dict[str, Any], location: str) -> None:
    try:
        job = read_adobe_job(body, {"Location": location}, status_root=ROOT)
    except AnswerUnreadableError:
        return
    assert isinstance(job.job_id, str)
    assert job.status_url
