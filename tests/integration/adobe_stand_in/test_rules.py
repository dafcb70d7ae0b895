"""Misbehaviour on demand: how rules are matched, and every fault at least once."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from local.adobe.answers import ERROR_SHAPES
from local.adobe.faults.catalogue import catalogue
from local.adobe.jobs import FAILURE_STYLES
from tests.integration.adobe_stand_in.wire import Bucket, Client, picture, source

pytestmark = pytest.mark.integration

MASK = "POST /v1/mask-objects"
STATUS = "GET /v1/status/*"
RESULT = "GET /results/*"


def rule(client: Client, route: str, do: str, *, times: int | None = None, **fields: Any) -> None:
    """One rule in force."""
    said: dict[str, Any] = {"route": route, "fault": {"do": do, **fields}}
    if times is not None:
        said["times"] = times
    client.adobe.add_rules(said)


def first_mask(client: Client, photo: str) -> requests.Response:
    return client.download(client.finish(client.mask(photo))["semanticMasks"][0]["destination"]["url"])


class TestMatching:
    def test_a_rule_can_skip_some_and_end_after_some(self, client: Client, photo: str) -> None:
        client.adobe.add_rules({"route": MASK, "after": 1, "times": 2, "fault": {"do": "error", "status": 503}})
        assert [client.mask(photo).status_code for _ in range(5)] == [202, 503, 503, 202, 202]
        (said,) = client.adobe.control("GET", "/stand-in/rules")
        assert (said["met"], said["fired"]) == (5, 2)

    def test_a_rule_can_be_about_one_photo_through_all_its_requests(
        self, client: Client, bucket: Bucket, small_photo: bytes
    ) -> None:
        cat, dog = (bucket.put(f"in/{name}%20photo.png", small_photo) for name in ("cat", "dog"))
        client.adobe.add_rules(
            [
                {"route": STATUS, "photo": "dog photo", "fault": {"do": "status_word", "word": "odd"}},
                {"route": RESULT, "photo": "cat photo", "fault": {"do": "error", "status": 503, "shape": "s3"}},
            ]
        )
        status = client.finish(client.mask(cat))
        assert client.download(status["semanticMasks"][0]["destination"]["url"]).status_code == 503
        assert client.get(client.mask(dog).json()["statusUrl"]).json()["status"] == "odd"

    def test_rules_can_be_forgotten_one_by_one_or_all(self, client: Client, photo: str) -> None:
        first, second = client.adobe.add_rules([{"fault": "reset"}, {"route": MASK, "fault": "hang"}])
        client.adobe.control("DELETE", f"/stand-in/rules/{first['number']}")
        assert [said["number"] for said in client.adobe.control("GET", "/stand-in/rules")] == [second["number"]]
        client.adobe.clear_rules()
        assert client.mask(photo).status_code == 202

    @pytest.mark.parametrize(
        "wrong",
        [
            {"fault": {"do": "unknown"}},
            {"fault": {"do": "delay", "minutes": 3}},
            {"fault": {}},
            {"rout": MASK, "fault": "reset"},
            {"times": -1, "fault": "reset"},
            {"fault": {"do": "boxes", "style": "round"}},
            "reset",
        ],
    )
    def test_a_rule_that_cannot_be_understood_is_refused_with_a_sentence(self, client: Client, wrong: Any) -> None:
        with pytest.raises(ValueError, match="error"):
            client.adobe.add_rules(wrong)
        assert client.adobe.control("GET", "/stand-in/rules") == []

    def test_control_routes_cannot_be_broken_by_rules(self, client: Client) -> None:
        client.adobe.add_rules({"route": "*", "fault": "reset"})
        assert client.adobe.control("GET", "/stand-in/health")["status"] == "ok"

    def test_faults_at_the_identity_service(self, client: Client) -> None:
        rule(client, "POST /ims/token/*", "error", status=500, shape="html", times=1)
        answers = [client.request_token() for _ in range(2)]
        assert [answer.status_code for answer in answers] == [500, 200]
        assert client.adobe.counters()["requests"]["POST /ims/token/v3"] == {"200": 2, "500": 1}

    def test_an_answer_of_its_own_leaves_later_rules_for_the_next_request(self, client: Client, photo: str) -> None:
        for status in (500, 502, 503):
            rule(client, MASK, "error", status=status, times=1)
        assert [client.mask(photo).status_code for _ in range(4)] == [500, 502, 503, 202]


class TestInsteadOfTheRoute:
    @pytest.mark.parametrize("shape", ERROR_SHAPES)
    def test_an_error_comes_in_every_shape(self, client: Client, photo: str, shape: str) -> None:
        rule(client, MASK, "error", status=500, shape=shape, headers={"X-Access-Error": "quota_exhausted"})
        answer = client.mask(photo)
        assert answer.status_code == 500
        assert answer.headers["X-Access-Error"] == "quota_exhausted"
        assert client.adobe.counters()["jobs"] == {}

    def test_an_answer_of_any_kind_can_be_given(self, client: Client, photo: str) -> None:
        rule(client, MASK, "respond", status=418, json={"a": 1}, headers={"X": "y"}, times=1)
        rule(client, MASK, "respond", status=200, text="<html>", content_type="text/html", times=1)
        first, second = client.mask(photo), client.mask(photo)
        assert (first.status_code, first.json(), first.headers["X"]) == (418, {"a": 1}, "y")
        assert (second.text, second.headers["Content-Type"].split(";")[0]) == ("<html>", "text/html")

    @pytest.mark.parametrize("value", [7, 0.25, "Wed, 21 Oct 2026 07:28:00 GMT", None])
    def test_429_with_and_without_retry_after(self, client: Client, photo: str, value: Any) -> None:
        rule(client, MASK, "too_many_requests", retry_after=value)
        answer = client.mask(photo)
        assert answer.status_code == 429
        assert answer.json()["error_code"] == "too_many_requests"
        assert answer.headers.get("Retry-After") == (None if value is None else str(value))

    def test_delay_then_the_normal_answer(self, client: Client, photo: str) -> None:
        rule(client, MASK, "delay", seconds=0.3)
        began = time.monotonic()
        assert client.mask(photo).status_code == 202
        assert time.monotonic() - began > 0.29

    def test_a_request_can_hang(self, client: Client, photo: str) -> None:
        rule(client, MASK, "hang", times=1)
        with pytest.raises(requests.Timeout):
            client.http.post(
                client.adobe.url + "/v1/mask-objects",
                json={"image": source(photo)},
                headers=client.headers,
                timeout=0.3,
            )
        assert client.mask(photo).status_code == 202

    def test_reset_creates_no_job(self, client: Client, photo: str) -> None:
        rule(client, MASK, "reset", times=1)
        with pytest.raises(requests.ConnectionError):
            client.mask(photo)
        assert client.mask(photo).status_code == 202
        counted = client.adobe.counters()
        assert counted["jobs"] == {"/v1/mask-objects": 1}
        assert counted["requests"][MASK] == {"cut": 1, "202": 1}

    def test_a_request_can_be_redirected(self, client: Client, photo: str) -> None:
        rule(client, MASK, "redirect", to="https://elsewhere.test/", status=307)
        answer = client.post("/v1/mask-objects", {"image": source(photo)}, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (307, "https://elsewhere.test/")

    def test_a_picture_can_come_after_redirects(self, client: Client, photo: str) -> None:
        rule(client, RESULT, "redirect_hops", hops=3)
        answer = first_mask(client, photo)
        assert [hop.status_code for hop in answer.history] == [302] * 3
        assert picture(answer.content).mode == "L"

    def test_a_429_with_a_date(self, client: Client, photo: str) -> None:
        rule(client, MASK, "too_many_requests", retry_after=30, as_date=True)
        headers = client.mask(photo).headers
        asked = parsedate_to_datetime(headers["Retry-After"]) - parsedate_to_datetime(headers["Date"])
        assert 29 <= asked.total_seconds() <= 31

    def test_a_token_refused_once(self, client: Client, photo: str) -> None:
        rule(client, MASK, "token_refused", code="401014", times=1)
        assert client.mask(photo).json()["error_code"] == "401014"
        assert client.mask(photo).status_code == 202

    def test_a_job_that_is_gone(self, client: Client, photo: str) -> None:
        rule(client, MASK, "job_gone", times=1)
        assert client.get(client.mask(photo).json()["statusUrl"]).status_code == 404
        rule(client, STATUS, "job_gone")
        assert client.get(client.mask(photo).json()["statusUrl"]).status_code == 404


class TestToTheJob:
    def test_masks_as_large_as_their_boxes(self, client: Client, photo: str) -> None:
        rule(client, MASK, "cropped_masks")
        (found,) = client.finish(client.mask(photo))["semanticMasks"]
        box = found["boundingBox"]
        assert picture(client.download(found["destination"]["url"]).content).size == (box["width"], box["height"])

    def test_a_job_can_take_long_or_never_finish(self, client: Client, photo: str) -> None:
        rule(client, MASK, "duration", seconds=60, times=1)
        assert client.get(client.mask(photo).json()["statusUrl"]).json()["status"] == "not_started"
        rule(client, MASK, "never_finishes", times=1)
        link = client.mask(photo).json()["statusUrl"]
        time.sleep(0.2)
        assert client.get(link).json()["status"] == "running"

    @pytest.mark.parametrize("style", FAILURE_STYLES)
    @pytest.mark.parametrize("route", [MASK, STATUS])
    def test_failed_with_the_reason_in_every_place(self, client: Client, photo: str, style: str, route: str) -> None:
        rule(client, route, "failed", style=style, code="400410", message="the reason")
        status = client.finish(client.mask(photo))
        assert status["status"] == "failed"
        assert ("the reason" in str(status)) == (style != "none")

    @pytest.mark.parametrize("family", ["v2", "sensei"])
    def test_the_other_routes_fail_in_their_own_way(
        self, client: Client, bucket: Bucket, photo: str, family: str
    ) -> None:
        if family == "v2":
            rule(client, "POST /v2/*", "failed", message="the reason")
            status = client.finish(client.post("/v2/remove-background", {"image": source(photo)}))
            assert status["errorDetails"][0]["message"] == "the reason"
        else:
            rule(client, "POST /sensei/*", "failed", message="the reason")
            sides = {side: {"storage": "external", "href": photo} for side in ("input", "output")}
            status = client.finish(client.post("/sensei/mask", sides))
            assert status["errors"]["errorDetails"][0]["reason"] == "the reason"

    def test_masks_can_have_other_labels(self, client: Client, photo: str) -> None:
        rule(client, MASK, "labels", names=["Dog  ÄÖ/:", "person"])
        rule(client, MASK, "many_masks", count=3)
        labels = [mask["label"] for mask in client.finish(client.mask(photo))["semanticMasks"]]
        assert labels == ["Dog  ÄÖ/:", "person", "person"]

    @pytest.mark.parametrize("count", [0, 300])
    def test_no_masks_and_very_many(self, client: Client, photo: str, count: int) -> None:
        rule(client, MASK, "many_masks", count=count)
        assert len(client.finish(client.mask(photo))["semanticMasks"]) == count

    def test_job_ids_of_any_spelling_still_work(self, client: Client, photo: str) -> None:
        rule(client, MASK, "job_id", prefix="urn:ff:a/b ü:")
        answer = client.mask(photo)
        assert answer.json()["jobId"].startswith("urn:ff:a/b ü:")
        assert client.finish(answer)["jobId"] == answer.json()["jobId"]


class TestToTheAnswer:
    def test_an_accepted_job_can_come_without_links(self, client: Client, photo: str) -> None:
        rule(client, MASK, "without_links")
        assert set(client.mask(photo).json()) == {"jobId"}

    @pytest.mark.parametrize("at", ["_links", "Location", "Link"])
    def test_links_can_be_in_other_places(self, client: Client, photo: str, at: str) -> None:
        rule(client, MASK, "links", at=at)
        answer = client.mask(photo)
        assert "statusUrl" not in answer.json()
        found = answer.json().get("_links", {}).get("self", {}).get("href") or answer.headers.get(at, "")
        assert "/v1/status/" in found

    def test_a_status_link_on_a_foreign_host(self, client: Client, photo: str) -> None:
        rule(client, MASK, "foreign_status_link", origin="https://evil.test")
        assert client.mask(photo).json()["statusUrl"].startswith("https://evil.test/v1/status/")

    def test_the_job_id_spelt_otherwise(self, client: Client, photo: str) -> None:
        rule(client, "* /v1/*", "job_id_spelling", key="jobID")
        answer = client.mask(photo)
        assert "jobID" in answer.json()
        assert "jobID" in client.finish(answer)

    def test_unknown_words_and_loud_words(self, client: Client, photo: str) -> None:
        rule(client, STATUS, "status_word", word="queued", keep_payload=False, times=1)
        rule(client, STATUS, "status_word", word="SUCCEEDED", only="succeeded")
        link = client.mask(photo).json()["statusUrl"]
        assert client.get(link).json()["status"] == "queued"
        client.settle()
        loud = client.get(link).json()
        assert loud["status"] == "SUCCEEDED"
        assert "semanticMasks" in loud

    def test_a_job_can_succeed_without_a_payload(self, client: Client, photo: str) -> None:
        rule(client, STATUS, "without_payload")
        assert set(client.finish(client.mask(photo))) == {"jobId", "status"}

    def test_a_status_can_go_backwards(self, client: Client, photo: str) -> None:
        rule(client, STATUS, "goes_backwards")
        link = client.mask(photo).json()["statusUrl"]
        client.settle()
        assert [client.get(link).json()["status"] for _ in range(4)] == ["succeeded", "not_started"] * 2

    @pytest.mark.parametrize("style", ["left_top", "normalised", "floats", "none", "null"])
    def test_boxes_come_in_every_spelling(self, client: Client, photo: str, style: str) -> None:
        rule(client, STATUS, "boxes", style=style, times=1000)
        mask = client.finish(client.mask(photo))["semanticMasks"][0]
        match style:
            case "left_top":
                assert set(mask["boundingBox"]) == {"left", "top", "width", "height"}
            case "normalised":
                assert all(0 < value < 1 for value in mask["boundingBox"].values())
            case "floats":
                assert mask["boundingBox"]["x"] % 1 == 0.5
            case "none":
                assert "boundingBox" not in mask
            case _:
                assert mask["boundingBox"] is None

    def test_a_changed_answer_leaves_the_job_as_it_is(self, client: Client, photo: str) -> None:
        answer = client.mask(photo)
        plain = client.finish(answer)
        rule(client, STATUS, "boxes", style="left_top", times=1)
        rule(client, STATUS, "merge", json={"semanticMasks": []}, drop=["backgroundMasks"], times=1)
        assert client.finish(answer) != plain
        assert client.finish(answer) == plain

    def test_retry_after_in_the_body(self, client: Client, photo: str) -> None:
        rule(client, STATUS, "retry_after_in_body", value="9")
        assert client.get(client.mask(photo).json()["statusUrl"]).json()["Retry-After"] == "9"

    def test_more_headers_and_another_content_type(self, client: Client, photo: str) -> None:
        rule(client, MASK, "headers", headers={"X-Access-Consumption-Status": "x"})
        rule(client, MASK, "content_type", value="text/plain")
        answer = client.mask(photo)
        assert answer.headers["X-Access-Consumption-Status"] == "x"
        assert answer.headers["Content-Type"].startswith("text/plain")

    def test_an_accepted_job_can_be_answered_with_broken_json(self, client: Client, photo: str) -> None:
        rule(client, MASK, "broken_json")
        with pytest.raises(requests.JSONDecodeError):
            client.mask(photo).json()
        assert client.adobe.counters()["jobs"] == {"/v1/mask-objects": 1}


class TestToTheResult:
    @pytest.mark.parametrize("route", [MASK, RESULT])
    @pytest.mark.parametrize(
        ("do", "fields", "check"),
        [
            ("result_truncated", {"keep": 0.5}, lambda a: not _opens(a.content)),
            ("result_empty", {}, lambda a: a.content == b""),
            ("result_text", {}, lambda a: b"<html>" in a.content),
            ("result_other_size", {"width": 33, "height": 21}, lambda a: picture(a.content).size == (33, 21)),
            ("result_other_size", {"scale": 2}, lambda a: picture(a.content).size == (240, 160)),
            ("result_other_format", {"format": "webp"}, lambda a: picture(a.content).format == "WEBP"),
            ("result_other_mode", {"mode": "P"}, lambda a: picture(a.content).mode == "P"),
            ("result_other_mode", {"mode": "RGBA"}, lambda a: picture(a.content).mode == "RGBA"),
            ("result_other_mode", {"mode": "I;16"}, lambda a: picture(a.content).mode == "I;16"),
            ("result_black", {}, lambda a: picture(a.content).getextrema() == (0, 0)),
            ("result_white", {}, lambda a: picture(a.content).getextrema() == (255, 255)),
            ("result_inverted", {}, lambda a: picture(a.content).getpixel((0, 0)) == 255),
            ("result_expired", {}, lambda a: a.status_code == 403),
        ],
    )
    def test_spoilt_for_the_whole_job_or_for_one_download(
        self, client: Client, photo: str, route: str, do: str, fields: Any, check: Callable[[Any], bool]
    ) -> None:
        rule(client, route, do, **fields)
        assert check(first_mask(client, photo))

    def test_what_create_mask_writes_is_spoilt_too(self, client: Client, bucket: Bucket, photo: str) -> None:
        rule(client, "POST /sensei/mask", "result_white")
        href = bucket.url + "/white.png"
        sides = {"input": {"storage": "external", "href": photo}, "output": {"storage": "external", "href": href}}
        client.finish(client.post("/sensei/mask", sides))
        assert picture(bucket.objects["/white.png"]).getextrema() == (255, 255)


class TestInTheSending:
    def test_a_lost_answer_leaves_a_job_behind(self, client: Client, photo: str) -> None:
        rule(client, MASK, "lost_answer", times=1)
        with pytest.raises(requests.ConnectionError):
            client.mask(photo)
        counted = client.adobe.counters()
        assert counted["jobs"] == {"/v1/mask-objects": 1}
        assert counted["requests"][MASK] == {"cut": 1}

    def test_a_late_answer_leaves_a_job_at_once(self, client: Client, photo: str) -> None:
        rule(client, MASK, "late_answer", seconds=0.4)
        began = time.monotonic()
        assert client.mask(photo).status_code == 202
        assert time.monotonic() - began > 0.39
        assert client.adobe.jobs()[0]["age_seconds"] > 0.39

    def test_a_connection_can_be_reset_in_mid_body(self, client: Client, photo: str) -> None:
        rule(client, RESULT, "reset_in_body")
        with pytest.raises(requests.RequestException):
            first_mask(client, photo)

    def test_slow_drip_still_arrives_whole(self, client: Client, photo: str) -> None:
        whole = first_mask(client, photo).content
        rule(client, RESULT, "slow_drip", seconds=0.3, pieces=5)
        began = time.monotonic()
        assert first_mask(client, photo).content == whole
        assert time.monotonic() - began > 0.29

    def test_a_client_that_leaves_in_mid_drip_is_counted_as_cut_off(
        self, client: Client, photo: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        status = client.finish(client.mask(photo))
        rule(client, RESULT, "slow_drip", seconds=2, pieces=40)
        with requests.get(status["semanticMasks"][0]["destination"]["url"], stream=True, timeout=5) as response:
            response.raw.read(10)
        for _ in range(200):
            if "cut" in client.adobe.counters()["requests"].get("GET /results/{token}", {}):
                break
            time.sleep(0.05)
        else:
            raise AssertionError("nobody noticed that the client is gone")
        assert "Traceback" not in capfd.readouterr().err


def test_the_catalogue_names_every_fault_and_says_what_it_does(client: Client) -> None:
    listed = client.adobe.control("GET", "/stand-in/faults")
    assert len(listed) == len(catalogue()) >= 35
    assert all(item["says"] for item in listed)


def _opens(content: bytes) -> bool:
    try:
        picture(content)
    except OSError:
        return False
    return True
