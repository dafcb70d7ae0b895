from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cleanplate.aws.storage import LINK_SECONDS, MARK
from cleanplate.errors import (
    PhotoGoneError,
    PhotoTooLargeError,
    ResultNotSavedError,
)
from cleanplate.models import AdobeJob, AdobeRequest, Answer, Box, Job, Mask, Photo
from cleanplate.steps.work_files import request_key, save_answer, stored_answer
from tests.stage import RESULTS, UPLOADS, WORK, Stage

ODD_KEYS = [
    "dog.jpg",
    "Zoë's dog + cat (100%) [final] 🐶.jpg",
    "a//b/ c.jpg",
    "100%25.jpg",
    "a+b&c=d?e#f.jpg",
    'quote".jpg',
    "k" * 1024,
]


@pytest.mark.parametrize("key", ODD_KEYS, ids=range(len(ODD_KEYS)))
def test_a_key_is_used_as_it_is(stage: Stage, key: str) -> None:
    photo = stage.upload(key, b"pixels", remove="dog")
    found = stage.storage.look_up(UPLOADS, key)
    assert found is not None
    assert (found.photo, found.size) == (replace(photo, sequencer=""), 6)
    assert found.metadata == {"remove": "dog"}
    into = io.BytesIO()
    stage.storage.fetch_photo(photo, into, max_bytes=6)
    assert into.read() == b"pixels"
    saved = stage.storage.pass_on(photo, key, job_id="j1")
    assert (stage.results(), saved.size) == ({key: b"pixels"}, 6)


def test_what_is_not_there_is_none(stage: Stage) -> None:
    stage.upload("dog.jpg", b"pixels")
    stage.s3.delete_object(Bucket=UPLOADS, Key="dog.jpg")
    assert stage.storage.look_up(UPLOADS, "dog.jpg") is None
    assert stage.storage.look_up(UPLOADS, "cat.jpg") is None


def test_nothing_lies_at_a_key_that_s3_does_not_take(stage: Stage) -> None:
    assert stage.storage.look_up(UPLOADS, "ü" * 512 + "x") is None


def test_a_bucket_that_is_not_there_is_a_fault_and_not_a_missing_photo(stage: Stage) -> None:
    with pytest.raises(Exception, match="NoSuchBucket"):
        stage.storage.read("no-such-bucket", "a", max_bytes=5)


def test_the_version_is_read_after_the_photo_was_replaced_or_deleted(stage: Stage) -> None:
    photo = stage.upload("dog.jpg", b"first")
    stage.upload("dog.jpg", b"second")
    stage.s3.delete_object(Bucket=UPLOADS, Key="dog.jpg")
    into = io.BytesIO()
    stage.storage.fetch_photo(photo, into, max_bytes=100)
    assert into.read() == b"first"
    with stage.storage.open_photo(photo, size=5) as file:
        assert file.read() == b"first"
    stage.storage.pass_on(photo, "dog.jpg", job_id="j1")
    assert stage.results() == {"dog.jpg": b"first"}


def test_without_versions_another_upload_is_not_mistaken_for_the_photo(stage: Stage) -> None:
    stage.s3.create_bucket(Bucket="plain", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    etag = stage.s3.put_object(Bucket="plain", Key="dog.jpg", Body=b"first")["ETag"].strip('"')
    photo = Photo(bucket="plain", key="dog.jpg", etag=etag)
    stage.s3.put_object(Bucket="plain", Key="dog.jpg", Body=b"other")
    with pytest.raises(PhotoGoneError):
        stage.storage.fetch_photo(photo, io.BytesIO(), max_bytes=100)
    with pytest.raises(PhotoGoneError), stage.storage.open_photo(photo, size=5) as file:
        file.read()
    with pytest.raises(PhotoGoneError):
        stage.storage.pass_on(photo, "dog.jpg", job_id="j1")
    assert stage.results() == {}


def test_without_versions_no_copy_for_adobe_is_of_another_upload(stage: Stage) -> None:
    stage.s3.create_bucket(Bucket="plain", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    asked = []
    stage.s3.meta.events.register("provide-client-params.s3.CopyObject", lambda params, **_: asked.append(params))
    photo = Photo("plain", "a//dog.jpg", etag=stage.s3.put_object(Bucket="plain", Key="a//dog.jpg")["ETag"].strip('"'))
    stage.storage.link_for_adobe(photo, "jobs/j1/photo", "image/jpeg")
    # Moto does not compare them.
    assert [params["CopySourceIfMatch"] for params in asked] == [f'"{photo.etag}"']


def test_a_version_that_was_deleted_for_good_is_gone(stage: Stage) -> None:
    photo = stage.upload("dog.jpg", b"pixels")
    stage.s3.delete_object(Bucket=UPLOADS, Key="dog.jpg", VersionId=photo.version_id)
    with pytest.raises(PhotoGoneError):
        stage.storage.fetch_photo(photo, io.BytesIO(), max_bytes=100)
    with pytest.raises(PhotoGoneError), stage.storage.open_photo(photo, size=6) as file:
        file.read()
    with pytest.raises(PhotoGoneError):
        stage.storage.pass_on(photo, "dog.jpg", job_id="j1")


def test_a_photo_over_the_cap_is_not_read(stage: Stage) -> None:
    into = io.BytesIO()
    with pytest.raises(PhotoTooLargeError, match="6 bytes; at most 5"):
        stage.storage.fetch_photo(stage.upload("dog.jpg", b"pixels"), into, max_bytes=5)
    assert into.getvalue() == b""


@settings(max_examples=settings().max_examples // 4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([(600_000, 300_000, 0), (0, 10, 1)])  # on from an end that was met in reading
@given(st.lists(st.tuples(st.integers(-50, 700_000), st.integers(0, 300_000), st.sampled_from([0, 1, 2])), max_size=6))
def test_a_photo_that_is_read_in_pieces_reads_like_a_file(stage: Stage, walk: list[tuple[int, int, int]]) -> None:
    content = bytes(range(256)) * 2500
    photo = stage.upload("dog.jpg", content)
    expected = io.BytesIO(content)
    with stage.storage.open_photo(photo, size=len(content)) as file:
        for offset, length, whence in walk:
            start = max(0, offset) if whence == 0 else offset
            if start + {0: 0, 1: expected.tell(), 2: len(content)}[whence] < 0:
                continue
            assert file.seek(start, whence) == expected.seek(start, whence)
            assert file.read(length) == expected.read(length)


def test_only_the_parts_that_are_looked_at_are_fetched(stage: Stage) -> None:
    photo = stage.upload("dog.jpg", bytes(3_000_000))
    ranges: list[str] = []
    stage.s3.meta.events.register(
        "provide-client-params.s3.GetObject", lambda params, **_: ranges.append(params["Range"])
    )
    with stage.storage.open_photo(photo, size=3_000_000) as file:
        file.read(64)
        file.seek(2_999_990)
        file.read(10)
    assert ranges == ["bytes=0-262143", "bytes=2999990-2999999"]


def test_links_are_signed_with_version_4_for_an_hour_and_name_the_version(stage: Stage) -> None:
    photo = stage.upload("Zoë's +.jpg", b"pixels")
    link = urlsplit(stage.storage.link_to_photo(photo, "image/jpeg"))
    query = parse_qs(link.query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == [str(LINK_SECONDS)]
    assert query["versionId"] == [photo.version_id]
    assert query["response-content-type"] == ["image/jpeg"]
    assert unquote(link.path).endswith("Zoë's +.jpg")
    assert link.hostname is not None
    assert link.hostname.endswith(".amazonaws.com")


def test_a_result_counts_as_saved_only_when_it_is_there(stage: Stage) -> None:
    saved = stage.storage.save_result("a/b.jpg", io.BytesIO(b"clean"), media_type="image/jpeg", job_id="j1")
    assert (saved.bucket, saved.key, saved.size, saved.media_type) == (RESULTS, "a/b.jpg", 5, "image/jpeg")
    assert saved.sha256 == hashlib.sha256(b"clean").hexdigest()
    head = stage.s3.head_object(Bucket=RESULTS, Key="a/b.jpg")
    assert (head["Metadata"], head["ContentType"]) == ({MARK: "j1"}, "image/jpeg")
    assert stage.storage.sha256_of(replace(saved, sha256="")) == saved


def _steal(stage: Stage, content: bytes | None, metadata: dict[str, str]) -> None:
    """Somebody changes the result between its write and the look at it."""

    def steal(**_: object) -> None:
        stage.s3.meta.events.unregister("after-call.s3.PutObject", steal)
        if content is None:
            stage.s3.delete_object(Bucket=RESULTS, Key="b.jpg")
        else:
            stage.s3.put_object(Bucket=RESULTS, Key="b.jpg", Body=content, Metadata=metadata)

    stage.s3.meta.events.register("after-call.s3.PutObject", steal)


@pytest.mark.parametrize(
    ("content", "metadata"), [(None, {}), (b"shorter", {MARK: "j1"}), (b"cleaned", {}), (b"cleaned", {MARK: "j2"})]
)
def test_a_result_that_is_gone_or_anothers_is_not_saved(
    stage: Stage, content: bytes | None, metadata: dict[str, str]
) -> None:
    content = b"short" if content == b"shorter" else content
    _steal(stage, content, metadata)
    with pytest.raises(ResultNotSavedError):
        stage.storage.save_result("b.jpg", io.BytesIO(b"cleaned"), media_type="image/jpeg", job_id="j1")


def test_the_original_is_passed_on_with_its_type_and_our_mark(stage: Stage) -> None:
    put = stage.s3.put_object(
        Bucket=UPLOADS, Key="dog.jpg", Body=b"pixels", ContentType="image/jpeg", Metadata={"camera": "x"}
    )
    photo = Photo(bucket=UPLOADS, key="dog.jpg", version_id=put["VersionId"])
    assert stage.storage.pass_on(photo, "dog.jpg", job_id="j1").media_type == "image/jpeg"
    head = stage.s3.head_object(Bucket=RESULTS, Key="dog.jpg")
    assert (head["ContentType"], head["Metadata"]) == ("image/jpeg", {MARK: "j1"})


def test_work_is_stored_and_what_is_missing_is_none(stage: Stage) -> None:
    stage.storage.write_work("jobs/1/x", b"content", "text/plain")
    assert stage.storage.read_work("jobs/1/x") == b"content"
    assert stage.storage.read_work("jobs/1/y") is None
    for link in (stage.storage.link_to_work("jobs/1/x"), stage.storage.link_to_write_work("jobs/1/x")):
        assert WORK in link
        assert "jobs/1/x?" in link


# --- answers that are kept ------------------------------------------------------------------------------------------------

NUMBERS = st.floats(0, 10_000).map(lambda number: round(number, 6))
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ANSWERS = st.builds(
    Answer,
    state=st.just("succeeded"),
    word=WORDS,
    masks=st.lists(
        st.builds(
            Mask,
            label=WORDS,
            score=NUMBERS,
            box=st.none() | st.builds(Box, NUMBERS, NUMBERS, NUMBERS, NUMBERS, normalised=st.booleans()),
            background=st.booleans(),
            url=WORDS,
            work_key=WORDS,
        ),
        max_size=3,
    ).map(tuple),
    image_url=WORDS,
    retry_after=st.none() | NUMBERS,
)


def with_adobe_job(stage: Stage, adobe_job_id: str) -> Job:
    return replace(
        stage.claim(),
        adobe_requests={"mask": AdobeRequest("mask", adobe_job=AdobeJob(adobe_job_id, "https://a.adobe.io"))},
    )


@settings(max_examples=settings().max_examples // 8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANSWERS)
def test_an_answer_is_read_as_it_was_stored(stage: Stage, answer: Answer) -> None:
    job = with_adobe_job(stage, "urn:ff:1")
    save_answer(stage.storage, job, "mask", answer)
    assert stored_answer(stage.storage, job, "mask") == answer


def test_the_answer_of_another_adobe_job_is_never_taken_for_this_ones(stage: Stage) -> None:
    """GIVEN a second run that paid for a mask of its own THEN the first run's mask is not its answer."""
    first, second = with_adobe_job(stage, "urn:ff:1"), with_adobe_job(stage, "urn:ff:2")
    save_answer(stage.storage, first, "mask", Answer("succeeded", "succeeded", image_url="old"))
    assert stored_answer(stage.storage, second, "mask") is None
    assert stored_answer(stage.storage, stage.claim(), "mask") is None


@pytest.mark.parametrize("adobe_job_id", ["urn:ff:jobs:x:1", "../../other", "a b/ü:", "🐶" * 200])
def test_whatever_adobes_id_holds_the_key_stays_in_the_jobs_own_folder(stage: Stage, adobe_job_id: str) -> None:
    job = with_adobe_job(stage, adobe_job_id)
    key = request_key(job, "mask", "plan.json")
    assert key.startswith(f"jobs/{job.job_id}/")
    assert key.isascii()
    assert ".." not in key
