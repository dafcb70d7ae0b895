"""The whole walk in the embedded AWS: every mask route, every way to say what to remove, every way to be refused."""

from __future__ import annotations

import io
import json
import time
import uuid
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.end_to_end.conftest import Ended, System


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


# --- the four mask routes ---


@pytest.mark.parametrize("route", ["mask-objects", "remove-background", "create-mask"])
def test_every_route_to_a_mask_ends_in_a_clean_photo(system: System, photo: bytes, route: str) -> None:
    ended = system.clean(photo, mask_route=route)

    assert (ended.outcome, ended.reason) == ("cleaned", "")
    assert ended.result is not None
    assert _size(ended.result) == _size(photo)
    assert [(request["ask"], request["route"], request["posts"]) for request in ended.manifest["adobe_jobs"]] == [
        ("mask", route, 1),
        ("fill-1", "fill-masked-areas", 1),
    ]


def test_a_mask_of_ones_own_is_used_and_none_is_bought(system: System, photo: bytes) -> None:
    stem = f"own/{uuid.uuid4().hex}"
    system.drop(_own_mask(_size(photo)), f"{stem}.mask.png")
    ended = system.clean(photo, f"{stem}.jpg")

    assert ended.outcome == "cleaned"
    assert [request["ask"] for request in ended.manifest["adobe_jobs"]] == ["fill-1"]
    assert ended.manifest["options"]["mask_route"] == "own-mask"


# --- what to remove ---


def test_a_sidecar_goes_before_metadata_and_metadata_before_folders(system: System, photo: bytes) -> None:
    key = f"remove=cow/min_score=0.125/{uuid.uuid4().hex}.jpg"
    system.drop(b'{"remove": ["everything"]}', f"{key}.json")
    ended = system.clean(photo, key, remove="horse")

    assert ended.manifest["options"]["remove"] == ["everything"]
    assert ended.manifest["options"]["min_score"] == 0.125
    assert ended.outcome == "cleaned"


def test_nothing_to_remove_passes_the_original_on_and_says_what_was_seen(system: System, photo: bytes) -> None:
    system.adobe.add_rules(
        {"route": "POST /v1/mask-objects", "fault": {"do": "labels", "names": ["dog", "ball", "tree"]}}
    )
    ended = system.clean(photo, remove="unicorn*")

    assert ended.outcome == "nothing_to_remove"
    assert ended.result == photo
    assert "dog" in ended.manifest["labels_seen"]
    assert [event["detail-type"] for event in system.published(ended.snapshot.key)] == ["Nothing To Remove"]
    assert [request["ask"] for request in ended.manifest["adobe_jobs"]] == ["mask"]


def test_firefly_fills_a_photo_of_a_folder_that_says_so(system: System, photo: bytes) -> None:
    ended = system.clean(photo, f"fill_route=firefly-fill/{uuid.uuid4().hex}.jpg", prompt="wet sand")

    assert ended.outcome == "cleaned"
    assert [request["route"] for request in ended.manifest["adobe_jobs"]] == ["mask-objects", "firefly-fill"]
    assert system.adobe.counters()["jobs"] == {"/v1/mask-objects": 1, "/v3/images/fill-async": 1}


# --- keys ---


@pytest.mark.parametrize(
    "key",
    [
        "a b/c+d/100%/[x] (é)/Ünïcödé 🎬 = 1.jpg",
        "..//./%2Fnot%20decoded+twice%2B",
        "../etc/$(reboot)`reboot`;reboot|reboot&{{7*7}}${jndi:ldap:x}.jpg",
    ],
)
def test_a_result_lies_at_the_photos_own_key_however_odd(system: System, photo: bytes, key: str) -> None:
    ended = system.clean(photo, f"{uuid.uuid4().hex}/{key}")

    assert ended.outcome == "cleaned"
    assert ended.manifest["result"]["key"] == ended.snapshot.key


def test_two_photos_that_differ_only_in_their_extension_stay_two(system: System, photo: bytes) -> None:
    stem = uuid.uuid4().hex
    with Image.open(io.BytesIO(photo)) as image:
        other = _png(image)
    first, second = system.drop(photo, f"{stem}.jpg"), system.drop(other, f"{stem}.png")

    keys = {system.wait(dropped).manifest["result"]["key"] for dropped in (first, second)}
    assert keys == {f"{stem}.jpg", f"{stem}.png"}


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


def test_a_photo_uploaded_again_is_a_job_of_its_own(system: System, photo: bytes) -> None:
    first = system.clean(photo, f"{uuid.uuid4().hex}.jpg")
    second = system.clean(photo, first.snapshot.key)

    assert first.snapshot.job_id != second.snapshot.job_id
    assert second.outcome == "cleaned"


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


# --- refused by name, before a cent is spent ---


def _cut(photo: bytes) -> bytes:
    return photo[: len(photo) // 2]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        # One for each thing that may be bad; tests/integration/steps/test_walk.py has the others.
        ({"cut": True}, "TruncatedPhotoError"),
        ({"metadata": {"remov": "dog"}}, "InvalidOptionsError"),
        ({"sidecar": b"{remove: dog"}, "InvalidOptionsError"),
        ({"mask": _own_mask((10, 10))}, "OwnMaskSizeError"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_bad_input_is_a_named_failure_that_costs_nothing(
    system: System, photo: bytes, what: dict[str, Any], reason: str
) -> None:
    stem = f"bad/{uuid.uuid4().hex}"
    if "sidecar" in what:
        system.drop(what["sidecar"], f"{stem}.jpg.json")
    if "mask" in what:
        system.drop(what["mask"], f"{stem}.mask.png")
    content = _cut(photo) if "cut" in what else photo
    ended = system.clean(content, f"{stem}.jpg", **what.get("metadata", {}))

    assert (ended.outcome, ended.reason) == ("failed", reason)
    assert ended.manifest["what_to_do"]
    assert _posts(system) == 0
    events = system.published(ended.snapshot.key)
    assert [(event["detail-type"], event["detail"]["reason"]) for event in events] == [("Photo Failed", reason)]


def test_a_bad_photo_touches_no_other_of_its_batch(system: System, photo: bytes) -> None:
    good = [system.drop(photo) for _ in range(3)]
    bad = system.drop(b"no photo")

    assert system.wait(bad).outcome == "failed"
    assert [system.wait(dropped).outcome for dropped in good] == ["cleaned"] * 3


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
    system.aws.client("events").put_events(
        Entries=[
            {
                "Source": "a.shop",
                "DetailType": "Photo Cleaning Requested",
                "Detail": json.dumps({"bucket": system.stack.uploads_bucket, "key": ended.snapshot.key}),
            }
        ]
    )
    events = system.published(ended.snapshot.key, deadline=30, count=2)
    assert [event["detail-type"] for event in events] == ["Photo Failed", "Photo Cleaned"]


def test_a_failed_adobe_job_fails_the_photo_with_adobes_words(system: System, photo: bytes) -> None:
    system.adobe.add_rules({"route": "POST /v1/fill-masked-areas", "times": 1, "fault": "failed"})
    ended = system.clean(photo)

    assert (ended.outcome, ended.reason) == ("failed", "AdobeJobFailedError")
    assert ended.manifest["message"]


# --- what the machine carries ---


def test_an_execution_holds_no_secret_and_takes_few_transitions(system: System, photo: bytes) -> None:
    ended = system.clean(photo)
    history = _history(system, ended)
    text = json.dumps(history)

    for secret in ("X-Amz-", "canary", "Bearer", "http://", "https://"):
        assert secret not in text
    entered = [event["stateEnteredEventDetails"]["name"] for event in history if event["type"].endswith("StateEntered")]
    checks = sum(name.startswith("Check") for name in entered)
    # Four, and two more for each check that had to be waited for by the machine.
    assert len(entered) == 4 + 2 * (checks - 2)


@pytest.mark.parametrize(
    ("detail", "why"),
    [
        ({"key": "a.jpg"}, "bucket"),
        ({"bucket": "no-such-bucket-of-ours", "key": "a.jpg"}, "none of this stack's"),
        ({"bucket": True, "key": "a.jpg", "options": {}}, "bucket"),
        ({"bucket": "", "key": "a.jpg"}, "bucket"),
        ({"bucket": "x", "key": "a.jpg", "options": "dog"}, "options"),
        ({"bucket": "x", "key": "a.jpg", "opitons": {"remove": "dog"}}, "did you mean 'options'"),
        ({}, "bucket"),
    ],
)
def test_a_request_that_is_refused_is_answered(system: System, detail: dict[str, Any], why: str) -> None:
    name = f"order {uuid.uuid4()}"
    system.aws.client("events").put_events(
        Entries=[
            {
                "Source": "a.shop",
                "DetailType": "Photo Cleaning Requested",
                "Detail": json.dumps({**detail, "correlation_id": name}),
            }
        ]
    )
    answer = system.refused(name)
    assert answer["reason"] == "InvalidRequestError"
    assert why in answer["message"]
    assert answer["request_id"]
    assert answer["request"] == {**detail, "correlation_id": name}


def test_a_request_event_cleans_a_photo_with_other_options(system: System, photo: bytes) -> None:
    first = system.clean(photo)
    detail = {
        "bucket": system.stack.uploads_bucket,
        "key": first.snapshot.key,
        "options": {"remove": ["everything"], "output_format": "png"},
    }
    system.aws.client("events").put_events(
        Entries=[{"Source": "a.shop", "DetailType": "Photo Cleaning Requested", "Detail": json.dumps(detail)}]
    )
    events = system.published(first.snapshot.key, deadline=30, count=2)

    assert [event["detail-type"] for event in events] == ["Photo Cleaned", "Photo Cleaned"]
    assert events[1]["detail"]["result"]["key"] == f"{first.snapshot.key}.png"
