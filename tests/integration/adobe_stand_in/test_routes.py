"""Every route, from the POST to the picture."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from local.adobe import Settings, StandIn
from local.adobe.pictures import Colour
from local.adobe.segmentation import Saliency, Segmenter
from tests.integration.adobe_stand_in.wire import Bucket, Client, picture, png, source

pytestmark = pytest.mark.integration


def test_mask_objects_gives_labelled_masks_and_the_background(client: Client, photo: str) -> None:
    answer = client.mask(photo)
    assert answer.status_code == 202
    assert set(answer.json()) == {"jobId", "statusUrl"}
    assert str(uuid.UUID(answer.json()["jobId"])) == answer.json()["jobId"]
    assert answer.json()["statusUrl"] == f"{client.adobe.url}/v1/status/{answer.json()['jobId']}"
    status = client.finish(answer)
    assert set(status) == {"jobId", "status", "semanticMasks", "backgroundMasks"}
    (mask,) = status["semanticMasks"]
    assert set(mask) == {"label", "score", "boundingBox", "destination", "mediaType"}
    assert mask["label"] == "subject"
    assert mask["mediaType"] == "image/png"
    pixels = np.asarray(picture(client.download(mask["destination"]["url"]).content))
    assert pixels.shape == (80, 120)
    assert pixels.dtype == np.uint8
    rows, columns = np.nonzero(pixels >= 128)
    box = mask["boundingBox"]
    assert (box["x"], box["y"]) == (columns.min(), rows.min())
    assert (box["width"], box["height"]) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
    (background,) = status["backgroundMasks"]
    assert background["label"] == "background"
    left = np.asarray(picture(client.download(background["destination"]["url"]).content))
    assert (pixels.astype(int) + left == 255).all()


def test_a_photo_can_go_through_mask_and_fill_like_a_client_would(client: Client, photo: str) -> None:
    mask = client.finish(client.mask(photo))["semanticMasks"][0]["destination"]["url"]
    status = client.finish(client.fill(photo, mask))
    assert status["image"]["mediaType"] == "image/png"
    filled = picture(client.download(status["image"]["destination"]["url"]).content)
    assert filled.size == (120, 80)
    assert filled.mode == "RGB"


def test_fill_leaves_everything_far_from_the_masks_as_it_was(
    client: Client, photo: str, mask_link: str, small_photo: bytes
) -> None:
    status = client.finish(client.fill(photo, mask_link))
    filled = np.asarray(picture(client.download(status["image"]["destination"]["url"]).content))
    before = np.asarray(picture(small_photo))
    assert (filled[:20] == before[:20]).all()
    assert (filled[35:45, 55:65] != before[35:45, 55:65]).any()


def test_fill_unites_several_masks(client: Client, bucket: Bucket, photo: str, mask_link: str) -> None:
    corner = np.zeros((80, 120), dtype=np.uint8)
    corner[:20, :20] = 255
    other = bucket.put("masks/corner.png", png(Image.fromarray(corner)))
    status = client.finish(client.fill(photo, mask_link, other))
    filled = np.asarray(picture(client.download(status["image"]["destination"]["url"]).content))
    assert filled[:20, :20].std(axis=(0, 1)).max() == 0
    assert filled[38:42, 58:62].std(axis=(0, 1)).max() == 0


@pytest.mark.parametrize(
    ("more", "mode", "size"),
    [
        ({"mode": "mask", "output": {"mediaType": "image/png"}}, "L", (120, 80)),
        ({}, "RGBA", (120, 80)),
        ({"output": {"mediaType": "image/jpeg"}}, "RGB", (120, 80)),
        ({"trim": True}, "RGBA", (41, 27)),
        ({"backgroundColor": {"red": 9, "green": 9, "blue": 9, "alpha": 1}}, "RGBA", (120, 80)),
    ],
)
def test_remove_background_cuts_out_or_masks(
    client: Client, photo: str, more: dict[str, object], mode: str, size: tuple[int, int]
) -> None:
    answer = client.post("/v2/remove-background", {"image": source(photo), **more})
    assert answer.json()["jobId"].startswith("urn:ff:jobs:eso851243:")
    status = client.finish(answer)
    (output,) = status["result"]["outputs"]
    made = picture(client.download(output["destination"]["url"]).content)
    assert made.mode == mode
    assert all(abs(one - other) <= 1 for one, other in zip(made.size, size, strict=True))


@pytest.mark.parametrize("form", ["soft", "binary"])
def test_create_mask_writes_to_the_clients_own_storage(client: Client, bucket: Bucket, photo: str, form: str) -> None:
    key = f"/made/{form}.png"
    body = {
        "input": {"storage": "external", "href": photo},
        "output": {"storage": "external", "href": f"{bucket.url}{key}?sig=1", "mask": {"format": form}},
    }
    answer = client.post("/sensei/mask", body)
    assert set(answer.json()) == {"_links"}
    status = client.finish(answer)
    assert {"jobID", "status", "created", "modified", "input", "output", "_links"} <= set(status)
    assert status["input"] == photo
    assert status["output"]["mask"] == {"format": form}
    made = np.asarray(picture(bucket.objects[key]))
    assert made.shape == (80, 120)
    if form == "binary":
        assert set(np.unique(made)) <= {0, 255}


def test_create_mask_answers_410_when_the_input_link_is_dead(client: Client, bucket: Bucket) -> None:
    body = {
        "input": {"storage": "external", "href": f"{bucket.url}/gone.png"},
        "output": {"storage": "external", "href": f"{bucket.url}/out.png"},
    }
    answer = client.post("/sensei/mask", body)
    assert answer.status_code == 410
    assert answer.json()["type"] == "FileLinkInvalidError"


def test_firefly_fills_at_the_size_that_is_asked_for(client: Client, photo: str, mask_link: str) -> None:
    body = {"image": source(photo), "mask": source(mask_link), "size": {"width": 60, "height": 40}, "prompt": "sand"}
    answer = client.post("/v3/images/fill-async", body)
    assert answer.json()["jobId"].startswith("urn:ff:jobs:")
    assert answer.headers["Link"].startswith(f"<{answer.json()['statusUrl']}>")
    (output,) = client.finish(answer)["result"]["outputs"]
    assert picture(client.download(output["image"]["url"]).content).size == (60, 40)


def test_firefly_refuses_in_its_own_shape(client: Client, photo: str, mask_link: str) -> None:
    body = {"image": source(photo), "mask": source(mask_link)}
    assert client.post("/v3/images/fill-async", {}).status_code == 422
    refused = client.post("/v3/images/fill-async", {**body, "prompt": "Something UNSAFE"})
    assert (refused.status_code, refused.json()["error_code"]) == (422, "prompt_unsafe")
    assert client.get(client.adobe.url + "/v3/status/nobody").json()["error_code"] == "unknown_job_id"


def test_a_firefly_job_can_be_cancelled_once(client: Client, photo: str, mask_link: str) -> None:
    client.adobe.add_rules({"route": "POST /v3/*", "fault": "never_finishes"})
    said = client.post("/v3/images/fill-async", {"image": source(photo), "mask": source(mask_link)}).json()
    answers = [client.http.put(said["cancelUrl"], headers=client.headers, timeout=10) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 409]
    assert client.get(said["statusUrl"]).json()["status"] == "cancelled"


def test_firefly_takes_four_requests_a_minute(start: Callable[..., Client], photo: str, mask_link: str) -> None:
    client = start(limits=True)
    body = {"image": source(photo), "mask": source(mask_link)}
    assert [client.post("/v3/images/fill-async", body).status_code for _ in range(5)] == [202] * 4 + [429]


def test_a_retired_route_answers_502_for_ever(client: Client) -> None:
    for _ in range(2):
        answer = client.post("/sensei/cutout", {})
        assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/mask-objects",
        "/v1/fill-masked-areas",
        "/v2/remove-background",
        "/sensei/mask",
    ],
)
def test_an_empty_body_shows_that_a_route_lives_and_makes_no_job(client: Client, path: str) -> None:
    assert client.post(path, {}).status_code == 400
    client.adobe.add_rules({"route": f"POST {path}", "fault": {"do": "error", "status": 403}})
    assert client.post(path, {}).status_code == 403
    assert client.adobe.counters()["jobs"] == {}


def test_status_links_are_on_the_host_that_the_client_used(client: Client, photo: str) -> None:
    headers = {**client.headers, "Host": "image.example.test:8085"}
    answer = client.post("/v1/mask-objects", {"image": source(photo)}, headers=headers)
    assert answer.json()["statusUrl"].startswith("http://image.example.test:8085/v1/status/")


def test_no_token_travels_to_the_clients_storage(client: Client, bucket: Bucket, photo: str) -> None:
    bucket.headers_seen.clear()
    client.finish(client.mask(photo))
    assert bucket.headers_seen
    assert not any("authorization" in (name.lower() for name in headers) for headers in bucket.headers_seen)


def test_the_token_looks_like_adobes(adobe: StandIn, client: Client) -> None:
    settings = adobe.settings
    form = {
        "grant_type": "client_credentials",
        "client_id": settings.client_id,
        "client_secret": settings.client_secret,
        "org_id": "X@AdobeOrg",
    }
    for version in ("v2", "v3"):
        said = client.http.post(f"{adobe.url}/ims/token/{version}", data=form, timeout=10).json()
        assert said["token_type"] == "bearer"
        assert said["expires_in"] == 86_399
        assert re.fullmatch(r"[\w-]+\.[\w-]+\.canary-token-[\w-]+", said["access_token"])


def test_the_front_page_lists_the_routes(client: Client) -> None:
    page = client.download(client.adobe.url + "/").text
    assert "/v1/fill-masked-areas" in page
    assert "not Adobe's quality" in page


@pytest.fixture(scope="module")
def real() -> Iterator[Client]:
    settings = Settings(port=0, allow_loopback=True, quiet=True, limits=False, duration=0.0)
    with StandIn(settings) as stand_in:
        client = Client(stand_in)
        yield client
        client.http.close()


@pytest.fixture(scope="module")
def flower_link(bucket: Bucket, flower: Image.Image) -> str:
    return bucket.put("flower.png", png(flower))


class TestWithRealPixels:
    """The network and PatchMatch, on a photograph."""

    def test_it_finds_the_flower(self, real: Client, flower_link: str) -> None:
        status = real.finish(real.mask(flower_link))
        box = status["semanticMasks"][0]["boundingBox"]
        assert 70 < box["x"] < 100
        assert 120 < box["width"] < 160
        assert status["semanticMasks"][0]["score"] > 0.9
        mask = np.asarray(picture(real.download(status["semanticMasks"][0]["destination"]["url"]).content))
        assert mask[112, 153] > 250
        assert mask[20, 20] < 5

    def test_it_fills_the_flower_with_leaves_and_the_same_way_each_time(
        self, real: Client, flower_link: str, bucket: Bucket, flower: Image.Image
    ) -> None:
        mask = real.finish(real.mask(flower_link))["semanticMasks"][0]["destination"]["url"]
        first = real.finish(real.fill(flower_link, mask))["image"]["destination"]["url"]
        filled = np.asarray(picture(real.download(first).content)).astype(int)
        before = np.asarray(flower).astype(int)
        middle = np.s_[92:132, 133:173]
        assert before[middle][..., 0].mean() > 150  # orange
        assert filled[middle][..., 0].mean() < 60  # leaves
        assert (filled[:15] == before[:15]).all()

        with StandIn(real.adobe.settings) as another:
            client = Client(another)
            own = bucket.put("flower-mask.png", real.download(mask).content)
            again = client.finish(client.fill(flower_link, own))["image"]["destination"]["url"]
            assert client.download(again).content == real.download(first).content
            client.http.close()

    def test_a_photo_of_nothing_has_no_masks(self, real: Client, bucket: Bucket) -> None:
        grey = bucket.put("grey.png", png(Image.new("RGB", (64, 48), (120, 120, 120))))
        status = real.finish(real.mask(grey))
        assert status["semanticMasks"] == []
        assert len(status["backgroundMasks"]) == 1

    def test_equal_inputs_are_computed_once(
        self, real: Client, bucket: Bucket, flower: Image.Image, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        computed: list[Saliency] = []

        def compute(_: Segmenter, photo: Colour) -> Saliency:
            computed.append(np.zeros(photo.shape[:2], np.float32))
            return computed[-1]

        monkeypatch.setattr(Segmenter, "saliency", compute)
        for name in ("flower-alone.png", "the-same.png"):
            real.finish(real.mask(bucket.put(name, png(flower.rotate(3)))))
        assert len(computed) == 1

    def test_two_things_get_two_labels(self, real: Client, bucket: Bucket, flower: Image.Image) -> None:
        pair = Image.new("RGB", (640, 214), (10, 50, 50))
        pair.paste(flower, (0, 0))
        pair.paste(flower.resize((240, 160)), (400, 30))
        status = real.finish(real.mask(bucket.put("pair.png", png(pair))))
        labels = [mask["label"] for mask in status["semanticMasks"]]
        assert labels[:2] == ["subject", "object"]
