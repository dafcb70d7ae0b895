"""What is refused, and in which words: credentials, bodies, links and pictures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from local.adobe import StandIn
from tests.integration.adobe_stand_in.wire import Bucket, Client, disc, png, source

pytestmark = pytest.mark.integration


class TestCredentials:
    @pytest.mark.parametrize("authorization", [None, "Bearer made-up", "Basic abc", "Bearer "])
    @pytest.mark.parametrize("method", ["POST", "GET"])
    def test_a_token_that_was_not_issued_here_is_refused_on_every_call(
        self, client: Client, authorization: str | None, method: str
    ) -> None:
        headers = {"x-api-key": client.headers["x-api-key"]}
        if authorization:
            headers["Authorization"] = authorization
        path = "/v1/mask-objects" if method == "POST" else "/v1/status/x"
        answer = client.http.request(method, client.adobe.url + path, headers=headers, json={}, timeout=10)
        assert answer.status_code == 401
        assert answer.json() == {"error_code": "401013", "message": "Oauth token is not valid"}

    def test_a_missing_key_and_a_wrong_key_have_codes_of_their_own(self, client: Client) -> None:
        token = {"Authorization": client.headers["Authorization"]}
        missing = client.post("/v1/mask-objects", {}, headers=token)
        wrong = client.post("/v1/mask-objects", {}, headers={**token, "x-api-key": "other"})
        assert (missing.status_code, missing.json()["error_code"]) == (403, "403000")
        assert (wrong.status_code, wrong.json()["error_code"]) == (403, "403003")

    def test_a_token_stops_being_good(self, start: Callable[..., Client]) -> None:
        client = start(token_seconds=1)
        link = client.adobe.url + "/v1/status/x"
        assert client.get(link).status_code == 404
        time.sleep(1.1)
        assert client.get(link).status_code == 401

    def test_tokens_can_be_revoked(self, client: Client) -> None:
        client.adobe.control("DELETE", "/stand-in/tokens")
        assert client.get(client.adobe.url + "/v1/status/x").status_code == 401

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"client_secret": "wrong"}, "invalid_client"),
            ({"client_id": "wrong"}, "invalid_client"),
            ({"grant_type": "password"}, "unauthorized_client"),
        ],
    )
    def test_ims_refuses_wrong_credentials(self, adobe: StandIn, client: Client, change: Any, code: str) -> None:
        settings = adobe.settings
        form = {
            "grant_type": "client_credentials",
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
        }
        answer = client.http.post(adobe.url + "/ims/token/v3", data=form | change, timeout=10)
        assert answer.status_code in (400, 401)
        assert answer.json()["error"] == code
        assert settings.client_secret not in answer.text

    def test_ims_takes_credentials_as_basic_authorization_too(self, adobe: StandIn, client: Client) -> None:
        auth = (adobe.settings.client_id, adobe.settings.client_secret)
        form = {"grant_type": "client_credentials"}
        answer = client.http.post(adobe.url + "/ims/token/v3", data=form, auth=auth, timeout=10)
        assert answer.status_code == 200

    def test_the_older_ims_route_wants_an_organisation(self, adobe: StandIn, client: Client) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": adobe.settings.client_id,
            "client_secret": adobe.settings.client_secret,
        }
        assert client.http.post(adobe.url + "/ims/token/v2", data=form, timeout=10).status_code == 400


class TestBodies:
    @pytest.mark.parametrize(
        ("path", "body", "names"),
        [
            ("/v1/mask-objects", {}, ".image.source.url"),
            ("/v1/mask-objects", {"image": {"source": {"url": 3}}}, ".image.source.url"),
            ("/v1/mask-objects", [], "object"),
            ("/v1/fill-masked-areas", {"image": source("https://x.amazonaws.com/a")}, ".masks"),
            ("/v1/fill-masked-areas", {"image": source("https://x.amazonaws.com/a"), "masks": []}, ".masks"),
            ("/v1/fill-masked-areas", {"image": source("https://x.amazonaws.com/a"), "masks": [{}]}, ".masks[0]"),
        ],
    )
    def test_v1_names_what_is_wrong_in_shape_b(self, client: Client, path: str, body: Any, names: str) -> None:
        answer = client.post(path, body)
        assert answer.status_code == 400
        said = answer.json()
        assert (said["type"], said["code"]) == ("InputValidationError", "400")
        assert any(names in detail["reason"] for detail in said["details"])

    def test_v1_can_speak_shape_c_instead(self, start: Callable[..., Client]) -> None:
        said = start(v1_errors="C").post("/v1/mask-objects", {}).json()
        assert said["error_code"] == "input_validation_error"
        assert ".image.source.url" in said["message"]

    @pytest.mark.parametrize(
        "change",
        [{"mode": "magic"}, {"output": {"mediaType": "image/gif"}}, {"trim": "yes"}, {"backgroundColor": {"red": 1}}],
    )
    def test_remove_background_speaks_shape_d(self, client: Client, photo: str, change: Any) -> None:
        answer = client.post("/v2/remove-background", {"image": source(photo), **change})
        assert answer.status_code == 400
        assert answer.json()["validation_errors"]

    def test_create_mask_speaks_as_it_really_did(self, client: Client, photo: str) -> None:
        output = {"storage": "external", "href": photo, "mask": {"format": "hard"}}
        answer = client.post("/sensei/mask", {"input": {"storage": "external", "href": photo}, "output": output})
        assert answer.status_code == 400
        (reason,) = answer.json()["reason"]
        assert answer.json()["code"] == 400
        assert (reason["keyword"], reason["dataPath"]) == ("enum", ".output.mask.format")

    def test_a_mask_object_without_format_is_refused(self, client: Client, photo: str) -> None:
        output = {"storage": "external", "href": photo, "mask": {}}
        answer = client.post("/sensei/mask", {"input": {"storage": "external", "href": photo}, "output": output})
        assert answer.status_code == 400

    @pytest.mark.parametrize(
        ("path", "status"), [("/v1/mask-objects", 400), ("/v2/remove-background", 415), ("/sensei/mask", 415)]
    )
    def test_only_json_is_read(self, client: Client, path: str, status: int) -> None:
        answer = client.http.post(client.adobe.url + path, data="{}", headers=client.headers, timeout=10)
        assert answer.status_code == status

    def test_broken_json_is_refused(self, client: Client) -> None:
        headers = {**client.headers, "Content-Type": "application/json"}
        answer = client.http.post(client.adobe.url + "/v1/mask-objects", data='{"image":', headers=headers, timeout=10)
        assert answer.status_code == 400

    @pytest.mark.parametrize("family", ["v1", "v2", "sensei"])
    def test_an_unknown_job_is_not_found(self, client: Client, family: str) -> None:
        assert client.get(f"{client.adobe.url}/{family}/status/nobody").status_code == 404

    def test_a_job_is_found_only_on_its_own_route(self, client: Client, photo: str) -> None:
        job_id = client.mask(photo).json()["jobId"]
        assert client.get(f"{client.adobe.url}/v2/status/{job_id}").status_code == 404

    def test_unknown_paths_and_methods_answer_in_json(self, client: Client) -> None:
        assert client.get(client.adobe.url + "/v1/nothing").json()["type"] == "ResourceNotFound"
        answer = client.get(client.adobe.url + "/v1/mask-objects")
        assert (answer.status_code, answer.json()["error_code"]) == (405, "unsupported_method")


class TestLinks:
    @pytest.mark.parametrize(
        "url",
        [
            "https://d111.cloudfront.net/a.jpg",
            "https://notamazonaws.com/a.jpg",
            "https://amazonaws.com.example.test/a.jpg",
            "http://bucket.s3.amazonaws.com/a.jpg",
            "ftp://bucket.s3.amazonaws.com/a.jpg",
            "bucket/a.jpg",
            "https://[::1",
        ],
    )
    def test_links_elsewhere_or_without_tls_are_refused(self, client: Client, url: str) -> None:
        assert client.mask(url).status_code == 400

    @pytest.mark.parametrize(
        "url",
        [
            "https://bucket.s3.eu-central-1.amazonaws.com/a.jpg",
            "https://s3.amazonaws.com/bucket/a.jpg",
            "https://account.blob.core.windows.net/a.jpg",
            "https://dl.dropboxusercontent.com/a.jpg",
            "https://storage.googleapis.com/b/a.jpg",
        ],
    )
    def test_adobes_hosts_are_accepted(self, client: Client, url: str) -> None:
        assert client.mask(url).status_code == 202

    def test_this_machine_is_refused_unless_it_is_allowed(self, start: Callable[..., Client], photo: str) -> None:
        assert start(allow_loopback=False).mask(photo).status_code == 400

    def test_more_hosts_can_be_allowed(self, start: Callable[..., Client], photo: str) -> None:
        client = start(allow_loopback=False, extra_hosts=("example.test",))
        assert client.mask("http://photos.example.test/a.jpg").status_code == 202
        assert client.mask(photo).status_code == 400

    def test_every_mask_link_is_looked_at(self, client: Client, photo: str) -> None:
        answer = client.fill(photo, photo, "https://elsewhere.test/m.png")
        assert ".masks[1].source.url" in answer.text

    def test_a_dead_input_link_fails_the_job(self, client: Client, bucket: Bucket) -> None:
        status = client.finish(client.mask(bucket.url + "/gone.png"))
        assert status["status"] == "failed"
        assert status["error_code"] == "processing_error"
        assert "404" in status["message"]


class TestPictures:
    def fails(self, client: Client, *links: str) -> str:
        answer = client.fill(*links) if len(links) > 1 else client.mask(*links)
        status = client.finish(answer)
        assert set(status) == {"jobId", "status", "error_code", "message"}
        return str(status["message"])

    def test_too_many_pixels_fail(self, client: Client, bucket: Bucket) -> None:
        wide = bucket.put("wide.png", png(Image.new("L", (4001, 8))))
        assert "4001 x 8" in self.fails(client, wide)

    def test_remove_background_takes_more_pixels(self, client: Client, bucket: Bucket) -> None:
        wide = bucket.put("wide.png", png(Image.new("RGB", (4001, 8))))
        body = {"image": source(wide), "mode": "mask"}
        assert client.finish(client.post("/v2/remove-background", body))["status"] == "succeeded"

    @pytest.mark.parametrize("content", [b"", b"GIF89a....", b"\x89PNG\r\n\x1a\n broken", b"\xff\xd8\xff broken"])
    def test_what_is_no_jpeg_or_png_fails(self, client: Client, bucket: Bucket, content: bytes) -> None:
        assert self.fails(client, bucket.put("odd.jpg", content))

    def test_a_truncated_photo_fails(self, client: Client, bucket: Bucket, small_photo: bytes, mask_link: str) -> None:
        cut = bucket.put("cut.png", small_photo[: len(small_photo) // 2])
        assert "decoded" in self.fails(client, cut, mask_link)

    def test_a_mask_of_another_size_fails(self, client: Client, bucket: Bucket, photo: str) -> None:
        other = bucket.put("masks/other.png", disc((60, 40)))
        assert "60 x 40" in self.fails(client, photo, other)

    def test_the_real_reason_can_be_looked_up(self, client: Client, bucket: Bucket) -> None:
        body = {"image": source(bucket.url + "/gone.png")}
        status = client.finish(client.post("/v2/remove-background", body))
        assert status["status"] == "failed"
        assert "404" in client.adobe.jobs()[0]["why"]
