from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.errors import InvalidRequestError
from cleanplate.models import Photo
from cleanplate.uploads.messages import Upload, read_uploads

TEST_EVENT = {
    "Service": "Amazon S3",
    "Event": "s3:TestEvent",
    "Time": "2026-10-21T12:00:00.000Z",
    "Bucket": "uploads",
    "RequestId": "5582815E1AEA5ADF",
    "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE",
}


def notification(*names: tuple[str, str], **s3_object: Any) -> dict[str, Any]:
    """Return what S3 sends to a queue, one record for each event name and encoded key."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventName": event,
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "bucket": {"name": "uploads", "arn": "arn:aws:s3:::uploads"},
                    "object": {
                        "key": key,
                        "size": 12,
                        "eTag": "d41d",
                        "sequencer": "0A",
                        "versionId": "v1",
                        **s3_object,
                    },
                },
            }
            for event, key in names
        ]
    }


def from_eventbridge(key: str, detail_type: str = "Object Created", **s3_object: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": detail_type,
        "source": "aws.s3",
        "detail": {
            "bucket": {"name": "uploads"},
            "object": {"key": key, "size": 12, "etag": "d41d", "version-id": "v1", "sequencer": "0A", **s3_object},
        },
    }


def requested(**detail: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Photo Cleaning Requested",
        "source": "shop",
        "detail": {"bucket": "uploads", "key": "dog.jpg", **detail},
    }


def read(message: Any) -> list[Upload]:
    return list(read_uploads(message if isinstance(message, str) else json.dumps(message)))


def test_a_notification_is_a_photo_with_its_version() -> None:
    assert read(notification(("ObjectCreated:Put", "a/dog.jpg"))) == [
        Upload(Photo(bucket="uploads", key="a/dog.jpg", version_id="v1", etag="d41d", sequencer="0A", size=12))
    ]


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("my+dog.jpg", "my dog.jpg"),
        ("my%20dog.jpg", "my dog.jpg"),
        ("a%2Bb.jpg", "a+b.jpg"),
        ("100%25.jpg", "100%.jpg"),
        ("%2525.jpg", "%25.jpg"),
        ("Zo%C3%AB%27s+dog+%2B+cat+%28100%25%29+%5Bfinal%5D+%F0%9F%90%B6.jpg", "Zoë's dog + cat (100%) [final] 🐶.jpg"),
        ("a%5Cb%3Fc%3Dd%26e.jpg", "a\\b?c=d&e.jpg"),
        ("remove%3Ddog/a.jpg", "remove=dog/a.jpg"),
        ("..%2F..%2Fetc%2Fpasswd", "../../etc/passwd"),
    ],
)
def test_s3_encodes_keys_and_they_are_decoded_once(encoded: str, key: str) -> None:
    (upload,) = read(notification(("ObjectCreated:Put", encoded)))
    assert upload.photo.key == key


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(KEYS)
def test_whatever_the_key_what_s3_encodes_is_what_comes_out(key: str) -> None:
    (upload,) = read(notification(("ObjectCreated:CompleteMultipartUpload", quote_plus(key, safe="/"))))
    assert upload.photo.key == key


@given(KEYS | st.sampled_from(["a+b.jpg", "100%25.jpg", "a%2Bb.jpg"]))
def test_keys_through_eventbridge_and_requests_are_taken_as_they_are(key: str) -> None:
    assert [upload.photo.key for upload in read(from_eventbridge(key))] == [key]
    assert [upload.photo.key for upload in read(requested(key=key))] == [key]


def test_the_same_upload_is_the_same_photo_by_either_way() -> None:
    direct = read(notification(("ObjectCreated:Put", "my+dog.jpg")))
    assert read(from_eventbridge("my dog.jpg")) == direct


def test_every_record_of_a_message_is_read_and_deletions_are_not_photos() -> None:
    message = notification(
        ("ObjectCreated:Put", "a.jpg"),
        ("ObjectRemoved:Delete", "b.jpg"),
        ("ObjectRemoved:DeleteMarkerCreated", "c.jpg"),
        ("ObjectCreated:Copy", "d.jpg"),
        ("ObjectRestore:Completed", "e.jpg"),
        ("LifecycleExpiration:Delete", "f.jpg"),
    )
    assert [upload.photo.key for upload in read(message)] == ["a.jpg", "d.jpg"]
    assert read(from_eventbridge("b.jpg", "Object Deleted")) == []


def test_the_test_event_and_an_empty_notification_speak_of_no_photo() -> None:
    assert read(TEST_EVENT) == read({"Records": []}) == []


@pytest.mark.parametrize("version", [None, "null", ""])
def test_a_bucket_without_versions_has_none(version: str | None) -> None:
    (direct,) = read(notification(("ObjectCreated:Put", "a.jpg"), versionId=version))
    (through,) = read(from_eventbridge("a.jpg", **dict[str, Any]({"version-id": version})))
    (asked,) = read(requested(version_id=version))
    assert direct.photo.version_id == through.photo.version_id == asked.photo.version_id == ""


def test_what_s3_leaves_out_is_empty() -> None:
    (upload,) = read(
        {
            "Records": [
                {
                    "eventName": "ObjectCreated:Put",
                    "s3": {"bucket": {"name": "b"}, "object": {"key": "k", "eTag": None}},
                }
            ]
        }
    )
    assert upload == Upload(Photo(bucket="b", key="k"))


def test_quotes_around_an_etag_are_not_part_of_it() -> None:
    (upload,) = read(notification(("ObjectCreated:Put", "a.jpg"), eTag='"d41d"'))
    assert upload.photo.etag == "d41d"


def test_a_request_brings_its_own_options_and_its_id() -> None:
    (upload,) = read(requested(options={"remove": ["dog"]}, version_id="v7"))
    assert upload.options == {"remove": ["dog"]}
    assert upload.request_id == "17793124-05d4-b198-2fde-7ededc63b103"
    assert upload.photo == Photo(bucket="uploads", key="dog.jpg", version_id="v7")


def test_a_request_without_options_leaves_those_that_lie_with_the_photo() -> None:
    assert [upload.options for upload in read(requested())] == [None]
    assert [upload.options for upload in read(requested(options={}))] == [{}]


@pytest.mark.parametrize(
    "message",
    [
        "The quick brown fox",
        "",
        "null",
        "[]",
        '"Records"',
        "[" * 100_000,
        '{"a":' * 50_000,
        {"Records": None},
        {"Records": 5},
        {"Records": "records"},
        {"Records": {"a": 1}},
        {"Records": [None]},
        {"Records": [{}]},
        {"Records": [{"eventName": None}]},
        {"Records": [{"eventName": "ObjectCreated:Put"}]},
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": []}]},
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": "b", "object": {"key": "k"}}}]},
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": 5}, "object": {"key": "k"}}}]},
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": ""}, "object": {"key": "k"}}}]},
        notification(("ObjectCreated:Put", "")),
        notification(("ObjectCreated:Put", "a.jpg"), key=5),
        notification(("ObjectCreated:Put", "half \ud83d")),
        notification(("ObjectCreated:Put", "a.jpg"), size="much"),
        notification(("ObjectCreated:Put", "a.jpg"), versionId={}),
        notification(("ObjectCreated:Put", "a.jpg"), versionId=5),
        from_eventbridge(""),
        from_eventbridge("half \ud83d"),
        {**from_eventbridge("a.jpg"), "detail": []},
        {**from_eventbridge("a.jpg"), "detail": {"bucket": {"name": "b"}}},
        {"source": "aws.s3"},
        {"source": "aws.ec2", "detail-type": "Instance State"},
        requested(key=""),
        requested(key=None),
        requested(key=["a.jpg"]),
        requested(key="half \ud83d"),
        requested(bucket={"name": "b"}),
        requested(options=[]),
        requested(options="remove=dog"),
        requested(version_id=7),
        {**requested(), "id": ""},
        {**requested(), "id": 5},
        {**requested(), "detail": None},
        {key: value for key, value in requested().items() if key != "id"},
        {key: value for key, value in requested().items() if key != "detail"},
        {"Type": "Notification", "Message": json.dumps(notification(("ObjectCreated:Put", "a.jpg")))},
    ],
    ids=range(45),
)
def test_a_message_that_cannot_be_read_is_refused_by_name(message: Any) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read(message)
    assert str(refused.value).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def spoilt(draw: st.DrawFn) -> Any:
    """Return a good message with one of its values, at any depth, exchanged for anything or left out."""
    message: Any = draw(
        st.sampled_from(
            [notification(("ObjectCreated:Put", "a.jpg")), from_eventbridge("a.jpg"), requested(options={})]
        )
    )
    message = json.loads(json.dumps(message))
    here, name = message, None
    while True:
        names = list(here) if isinstance(here, dict) else list(range(len(here)))
        name = draw(st.sampled_from(names))
        if not isinstance(here[name], dict | list) or not here[name] or draw(st.booleans()):
            break
        here = here[name]
    if draw(st.booleans()):
        here[name] = draw(JSON)
    else:
        del here[name]
    return message


@given(spoilt() | JSON)
def test_whatever_the_message_holds_it_is_photos_or_refused_by_name(message: Any) -> None:
    try:
        uploads = read(message)
    except InvalidRequestError:
        return
    for upload in uploads:
        photo = upload.photo
        assert photo.bucket
        assert photo.key
        for word in (photo.bucket, photo.key, photo.version_id, photo.etag, photo.sequencer, upload.request_id):
            assert isinstance(word, str)
            assert word.encode() or not word
        assert photo.size is None or isinstance(photo.size, int)
