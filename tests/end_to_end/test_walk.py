"""The whole walk in the embedded AWS: one photo of each kind, every way to be refused, requests and repeats."""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.end_to_end.conftest import DEADLINE, Ended, System


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _own_mask(size: tuple[int, int]) -> bytes:
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).ellipse((size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2), fill=255)
    return _png(mask)


def _size(photo: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(photo)) as image:
        return image.size


def _posts(system: System) -> int:
    return sum(route["posts"] for photo in system.adobe.counters()["photos"].values() for route in photo.values())


def _history(system: System, ended: Ended) -> list[dict[str, Any]]:
    client = system.aws.client("stepfunctions")
    arn = system.execution_of(ended.snapshot.job_id)
    pages = client.get_paginator("get_execution_history").paginate(executionArn=arn)
    return [json.loads(json.dumps(event, default=str)) for page in pages for event in page["events"]]


# --- one batch, uploaded at once ---

ODD_KEYS = (
    "a b/c+d/100%/[x] (é)/Ünïcödé 🎬 = 1.jpg",
    "..//./%2Fnot%20decoded+twice%2B",
    "../etc/$(reboot)`reboot`;reboot|reboot&{{7*7}}${jndi:ldap:x}.jpg",
)
#: One for each thing that may be bad, with its reason; tests/integration/steps/test_walk.py has the others.
BAD = {
    "no-photo": "NotAPhotoError",
    "cut": "TruncatedPhotoError",
    "metadata": "InvalidOptionsError",
    "sidecar": "InvalidOptionsError",
    "mask": "OwnMaskSizeError",
}


@dataclass(frozen=True)
class Batch:
    """How each photo of it ended, by what it is for, and what the stand-in counted meanwhile."""

    ended: Mapping[str, Ended]
    counters: Mapping[str, Any]

    def posts(self, name: str) -> int:
        """Return how many jobs Adobe was asked for, for one photo."""
        key = self.ended[name].snapshot.key
        photos = self.counters["photos"].items()
        return sum(route["posts"] for path, routes in photos if path.endswith(key) for route in routes.values())


@pytest.fixture(scope="module")
def batch(_system: System, photo: bytes) -> Batch:
    """Photos of every kind side by side: what is bad must touch no other."""
    system, folder = _system, uuid.uuid4().hex
    system.adobe.clear_rules()
    system.adobe.clear_counters()
    labels = {"do": "labels", "names": ["dog", "ball", "tree"]}
    system.adobe.add_rules({"route": "POST /v1/mask-objects", "photo": f"{folder}/nothing", "fault": labels})
    system.drop(b"{remove: dog", f"{folder}/sidecar.jpg.json")
    system.drop(_own_mask((10, 10)), f"{folder}/mask.mask.png")
    with Image.open(io.BytesIO(photo)) as image:
        png = _png(image)
    dropped = {
        "jpeg": system.drop(photo, f"{folder}/dog.jpg", mask_route="create-mask"),
        "png": system.drop(png, f"{folder}/dog.png", mask_route="remove-background"),
        "firefly": system.drop(photo, f"{folder}/fill_route=firefly-fill/dog.jpg", prompt="wet sand"),
        "nothing": system.drop(photo, f"{folder}/nothing.jpg", remove="unicorn*"),
        **{key: system.drop(photo, f"{folder}/{key}") for key in ODD_KEYS},
        "no-photo": system.drop(b"no photo", f"{folder}/no-photo.jpg"),
        "cut": system.drop(photo[: len(photo) // 2], f"{folder}/cut.jpg"),
        "metadata": system.drop(photo, f"{folder}/metadata.jpg", remov="dog"),
        "sidecar": system.drop(photo, f"{folder}/sidecar.jpg"),
        "mask": system.drop(photo, f"{folder}/mask.jpg"),
    }
    ended = {name: system.wait(one, deadline=2 * DEADLINE) for name, one in dropped.items()}
    return Batch(ended, system.adobe.counters())


@pytest.mark.parametrize(
    ("name", "mask", "fill"),
    [
        ("jpeg", "create-mask", "fill-masked-areas"),
        ("png", "remove-background", "fill-masked-areas"),
        ("firefly", "mask-objects", "firefly-fill"),
    ],
)
def test_every_route_ends_in_a_clean_photo(batch: Batch, photo: bytes, name: str, mask: str, fill: str) -> None:
    ended = batch.ended[name]
    assert (ended.outcome, ended.reason) == ("cleaned", "")
    assert ended.result is not None
    assert _size(ended.result) == _size(photo)
    assert [(request["ask"], request["route"], request["posts"]) for request in ended.manifest["adobe_jobs"]] == [
        ("mask", mask, 1),
        ("fill-1", fill, 1),
    ]
    assert batch.posts(name) == 2


@pytest.mark.parametrize("name", ["jpeg", "png", *ODD_KEYS])
def test_a_result_lies_at_the_photos_own_key_however_odd(batch: Batch, name: str) -> None:
    ended = batch.ended[name]
    assert ended.outcome == "cleaned"
    assert ended.manifest["result"]["key"] == ended.snapshot.key


def test_nothing_to_remove_passes_the_original_on_and_says_what_was_seen(
    system: System, batch: Batch, photo: bytes
) -> None:
    ended = batch.ended["nothing"]
    assert ended.outcome == "nothing_to_remove"
    assert ended.result == photo
    assert "dog" in ended.manifest["labels_seen"]
    assert [event["detail-type"] for event in system.published(ended.snapshot.key)] == ["Nothing To Remove"]
    assert [request["ask"] for request in ended.manifest["adobe_jobs"]] == ["mask"]


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_named_failure_that_costs_nothing(system: System, batch: Batch, name: str) -> None:
    ended = batch.ended[name]
    assert (ended.outcome, ended.reason) == ("failed", BAD[name])
    assert ended.manifest["what_to_do"]
    assert batch.posts(name) == 0
    events = system.published(ended.snapshot.key)
    assert [(event["detail-type"], event["detail"]["reason"]) for event in events] == [("Photo Failed", BAD[name])]


def test_an_execution_holds_no_secret_and_takes_few_transitions(system: System, batch: Batch) -> None:
    history = _history(system, batch.ended["jpeg"])
    text = json.dumps(history)

    for secret in ("X-Amz-", "canary", "Bearer", "http://", "https://"):
        assert secret not in text
    entered = [event["stateEnteredEventDetails"]["name"] for event in history if event["type"].endswith("StateEntered")]
    checks = sum(name.startswith("Check") for name in entered)
    # Four, and two more for each check that had to be waited for by the machine.
    assert len(entered) == 4 + 2 * (checks - 2)


# --- paid once ---


def test_one_upload_heard_of_six_times_is_paid_once(system: System, photo: bytes) -> None:
    dropped = system.drop(photo)
    head = system.aws.client("s3").head_object(Bucket=system.stack.uploads_bucket, Key=dropped.key)
    record = {
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": system.stack.uploads_bucket},
            "object": {
                "key": dropped.key,
                "versionId": dropped.version_id,
                "eTag": head["ETag"].strip('"'),
                "sequencer": "00AA",
                "size": len(photo),
            },
        },
    }
    bridged = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {
            "bucket": {"name": system.stack.uploads_bucket},
            "object": {"key": dropped.key, "etag": head["ETag"].strip('"'), "version-id": dropped.version_id},
        },
    }
    queue = system.stack.uploads_queue_url
    for body in [{"Records": [record]}] * 4 + [bridged]:
        system.aws.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(body))
    system.wait(dropped)
    _until_empty(system)

    assert len(system.find(dropped)) == 1
    assert _posts(system) == 2
    assert len(system.published(dropped.key, deadline=3, count=2)) == 1


def _until_empty(system: System, deadline: float = 90.0) -> None:
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        found = system.aws.client("sqs").get_queue_attributes(
            QueueUrl=system.stack.uploads_queue_url, AttributeNames=["All"]
        )["Attributes"]
        if found["ApproximateNumberOfMessages"] == found["ApproximateNumberOfMessagesNotVisible"] == "0":
            return
        time.sleep(0.1)
    raise AssertionError(f"The uploads queue is not empty. {system.aws.last_words(60)}")


# --- nothing is begun ---


def test_folder_markers_and_sidecars_start_nothing(system: System) -> None:
    folder = uuid.uuid4().hex
    dropped = [system.drop(b"", f"{folder}/"), system.drop(b"{}", f"{folder}/gone.jpg.json")]
    time.sleep(1.5)
    _until_empty(system)

    assert [system.find(one) for one in dropped] == [[], []]


def test_a_photo_deleted_before_it_is_read_is_a_named_failure(system: System, photo: bytes) -> None:
    key = f"{uuid.uuid4().hex}.jpg"
    body = {
        "Records": [
            {
                "eventName": "ObjectCreated:Put",
                "s3": {
                    "bucket": {"name": system.stack.uploads_bucket},
                    "object": {"key": key, "versionId": "v0", "eTag": "e", "sequencer": "1", "size": len(photo)},
                },
            }
        ]
    }
    system.aws.client("sqs").send_message(QueueUrl=system.stack.uploads_queue_url, MessageBody=json.dumps(body))
    events = system.published(key, deadline=30)

    assert [event["detail"]["reason"] for event in events] == ["PhotoGoneError"]
    assert _posts(system) == 0


# --- Adobe says no ---


def test_refused_credentials_fail_by_name_and_a_request_retries(system: System, photo: bytes) -> None:
    secret = system.aws.client("secretsmanager")
    arn = system.stack.adobe_secret_arn
    right = secret.get_secret_value(SecretId=arn)["SecretString"]
    system.adobe.control("DELETE", "/stand-in/tokens")
    secret.put_secret_value(SecretId=arn, SecretString=json.dumps({**json.loads(right), "client_secret": "wrong"}))
    system.adobe.add_rules({"route": "POST /ims/token/*", "fault": {"do": "respond", "status": 400}})
    try:
        ended = system.clean(photo)
    finally:
        system.adobe.clear_rules()
        secret.put_secret_value(SecretId=arn, SecretString=right)

    assert (ended.outcome, ended.reason) == ("failed", "CredentialsRefusedError")
    assert ended.manifest["retryable"] is True
    assert system.adobe.counters()["jobs"] == {}
    _request(system, {"bucket": system.stack.uploads_bucket, "key": ended.snapshot.key})
    events = system.published(ended.snapshot.key, deadline=30, count=2)
    assert [event["detail-type"] for event in events] == ["Photo Failed", "Photo Cleaned"]


# --- requests ---


def test_a_request_that_is_refused_is_answered(system: System) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"key": "a.jpg"}, "bucket"),
        ({"bucket": "no-such-bucket-of-ours", "key": "a.jpg"}, "none of this stack's"),
        ({"bucket": True, "key": "a.jpg", "options": {}}, "bucket"),
        ({"bucket": "", "key": "a.jpg"}, "bucket"),
        ({"bucket": "x", "key": "a.jpg", "options": "dog"}, "options"),
        ({"bucket": "x", "key": "a.jpg", "opitons": {"remove": "dog"}}, "did you mean 'options'"),
        ({}, "bucket"),
    ]
    requests = {f"order {uuid.uuid4()}": (detail, why) for detail, why in refused}
    for name, (detail, _) in requests.items():
        _request(system, {**detail, "correlation_id": name})
    for name, (detail, why) in requests.items():
        answer = system.refused(name)
        assert answer["reason"] == "InvalidRequestError"
        assert why in answer["message"]
        assert answer["request_id"]
        assert answer["request"] == {**detail, "correlation_id": name}


def test_a_photo_is_cleaned_again_by_an_upload_and_by_a_request(system: System, batch: Batch, photo: bytes) -> None:
    first = batch.ended["jpeg"]
    key = first.snapshot.key
    second = system.clean(photo, key)
    assert first.snapshot.job_id != second.snapshot.job_id
    assert second.outcome == "cleaned"

    options = {"remove": ["everything"], "output_format": "png"}
    _request(system, {"bucket": system.stack.uploads_bucket, "key": key, "options": options})
    events = system.published(key, deadline=30, count=3)
    assert [event["detail-type"] for event in events] == ["Photo Cleaned"] * 3
    assert events[2]["detail"]["result"]["key"] == f"{key}.png"


def _request(system: System, detail: dict[str, Any]) -> None:
    entry: Any = {"Source": "a.shop", "DetailType": "Photo Cleaning Requested", "Detail": json.dumps(detail)}
    system.aws.client("events").put_events(Entries=[entry])
