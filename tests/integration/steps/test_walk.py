"""A photo from its notification to its result, through every step, with everything that can go wrong on the way."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image, ImageChops

from cleanplate.errors import (
    CleanplateError,
    DeadlinePassedError,
    InvalidRequestError,
    JobMovedOnError,
    NotReadyError,
    PhotoGoneError,
)
from cleanplate.jobs.reuse import MASK_KEPT_SECONDS
from cleanplate.models import Job, Photo
from cleanplate.outcomes import fail, failure_of
from cleanplate.steps.check_job import check_job, wait_for_job
from cleanplate.steps.fill_masked_areas import fill_masked_areas
from cleanplate.steps.request_mask import request_mask
from cleanplate.steps.save_result import save_result
from cleanplate.uploads.messages import Upload
from tests.integration.steps.walk import Walk, mask_bytes, photo_bytes
from tests.stage import RESULTS, UPLOADS, KilledError

PHOTO = photo_bytes()
ODD_KEY = "Zoë's dog + cat (100%) [final] 🐶.jpg"


def published(walk: Walk) -> list[tuple[str, str]]:
    """Return what was published of photos: kind and reason."""
    return [(event["DetailType"], event["Detail"].get("reason", "")) for event in walk.stage.published()]


def cleaned(walk: Walk, key: str, original: bytes = PHOTO) -> dict[str, Any]:
    """Return the manifest of a photo that is clean: changed where the object was, and nowhere else."""
    manifest = walk.stage.manifest(f"{key}.json")
    assert manifest["outcome"] == "cleaned"
    content = walk.stage.results()[manifest["result"]["key"]]
    assert hashlib.sha256(content).hexdigest() == manifest["result"]["sha256"]
    before, after = Image.open(io.BytesIO(original)).convert("RGB"), Image.open(io.BytesIO(content)).convert("RGB")
    changed = ImageChops.difference(before, after).convert("L").point([0] * 40 + [255] * 216).getbbox()
    assert changed is not None
    assert after.size == before.size
    return manifest


# --- the plain walk -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["dog.jpg", ODD_KEY])
def test_a_photo_comes_back_clean(walk: Walk, key: str) -> None:
    photo = walk.stage.upload(key, PHOTO)
    job = walk.clean(photo)
    manifest = cleaned(walk, key)
    assert job.status == "cleaned"
    assert walk.posts() == walk.jobs_at_adobe() == {"mask-objects": 1, "fill-masked-areas": 1}
    assert manifest["requests"]["posts"] == 2
    assert manifest["possible_duplicate"] is False
    assert manifest["photo"]["version_id"] == photo.version_id
    assert published(walk) == [("Photo Cleaned", "")]
    assert walk.adobe.counters()["downloads_with_authorization"] == 0
    assert walk.stage.s3.head_object(Bucket=RESULTS, Key=key)["Metadata"] == {"cleanplate-job": job.job_id}


def test_a_photo_without_its_end_mark_comes_back_clean_with_it(walk: Walk) -> None:
    assert walk.clean(walk.stage.upload("dog.jpg", PHOTO[:-2])).status == "cleaned"
    assert walk.posts() == {"mask-objects": 1, "fill-masked-areas": 1}
    assert walk.stage.results()["dog.jpg"].endswith(b"\xff\xd9")


@pytest.mark.parametrize("key", [".DS_Store", "a/Thumbs.db", "a/dog.xmp", "a/._dog.jpg", "notes.txt", "film.mp4"])
def test_a_file_that_is_no_photo_by_its_name_is_left(walk: Walk, key: str) -> None:
    photo = walk.stage.upload(key, b"anything")
    request_mask(Upload(photo), walk.stage.services)
    assert published(walk) == []
    with pytest.raises(InvalidRequestError, match="not a photo"):
        request_mask(Upload(photo, request_id="r1"), walk.stage.services)
    assert walk.stage.results() == {}
    assert walk.posts() == {}


def test_a_manifest_beside_the_photo_gives_no_options(walk: Walk) -> None:
    walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    manifest = walk.stage.results()["dog.jpg.json"]
    walk.stage.upload("again.jpg.json", manifest)
    request_mask(Upload(walk.stage.upload("again.jpg", PHOTO)), walk.stage.services)
    assert sorted((job.photo.key, job.status) for job in walk.stage.jobs()) == [
        ("again.jpg", "masking"),
        ("dog.jpg", "cleaned"),
    ]


@pytest.mark.parametrize("route", ["remove-background", "create-mask"])
def test_every_route_makes_the_mask(walk: Walk, route: str) -> None:
    walk.clean(walk.stage.upload("dog.jpg", PHOTO, mask_route=route))
    assert cleaned(walk, "dog.jpg")["adobe_jobs"][0]["route"] == route
    assert sum(walk.jobs_at_adobe().values()) == 2


def test_the_limit_of_uploads_is_none_for_what_adobe_makes(make_walk: Callable[..., Walk]) -> None:
    """GIVEN a fill as PNG, which has several times the bytes of its JPEG THEN it is taken all the same."""
    walk = make_walk(MAX_PHOTO_MEGABYTES=str((len(PHOTO) + 1) / 1_000_000))
    walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    cleaned(walk, "dog.jpg")


def test_firefly_fills_with_words(walk: Walk) -> None:
    photo = photo_bytes(size=(2600, 300))
    walk.clean(walk.stage.upload("dog.jpg", photo, fill_route="firefly-fill", prompt="wet  sand"))
    manifest = walk.stage.manifest("dog.jpg.json")
    assert manifest["outcome"] == "cleaned"
    assert (manifest["adobe_jobs"][1]["route"], manifest["options"]["prompt"]) == ("firefly-fill", "wet sand")
    assert walk.jobs_at_adobe() == {"mask-objects": 1, "v3/images/fill-async": 1}
    assert all(max(window["sent_width"], window["sent_height"]) <= 2048 for window in manifest["fill"]["windows"])
    assert walk.adobe.counters()["downloads_with_authorization"] == 0


def test_a_photo_of_unknown_size_is_not_sent_to_firefly_as_it_is(walk: Walk) -> None:
    """GIVEN a request that names a version, and so no size THEN what is sent keeps Firefly's limit of 15 MB."""
    photo = walk.stage.upload("dog.jpg", PHOTO, fill_route="firefly-fill")
    walk.publish(Photo(UPLOADS, "dog.jpg", version_id=photo.version_id), request_id="r1")
    walk.execute()
    assert walk.stage.manifest("dog.jpg.json")["outcome"] == "cleaned"
    assert [key for key in walk.stage.work() if "/window-1." in key and not key.endswith(".mask.png")]


@pytest.mark.parametrize("late", [False, True])
def test_words_that_firefly_refuses_end_the_photo_by_name(walk: Walk, late: bool) -> None:
    if late:
        failed = {"do": "failed", "code": "prompt_unsafe"}
        walk.adobe.add_rules({"route": "POST /v3/images/fill-async", "fault": failed})
    prompt = "fine" if late else "something unsafe"
    job = walk.clean(walk.stage.upload("dog.jpg", PHOTO, fill_route="firefly-fill", prompt=prompt))
    assert (job.status, job.outcome["reason"]) == ("failed", "PromptRefusedError")


def test_a_prompt_without_firefly_is_refused_before_a_cent_is_spent(walk: Walk) -> None:
    job = walk.clean(walk.stage.upload("dog.jpg", PHOTO, prompt="sand"))
    assert job.outcome["reason"] == "UnsupportedByRouteError"
    assert walk.posts() == {}


def test_the_uploaders_own_mask_costs_no_mask(walk: Walk) -> None:
    walk.stage.upload("dog.mask.png", mask_bytes())
    walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    manifest = cleaned(walk, "dog.jpg")
    assert manifest["options"]["mask_route"] == "own-mask"
    assert walk.posts() == {"fill-masked-areas": 1}


def test_options_are_taken_from_sidecar_metadata_folder_and_stack(make_walk: Callable[..., Walk]) -> None:
    walk = make_walk(REMOVE="nothing-like-it", GROW="3")
    key = "remove=folder/feather=2/dog.jpg"
    walk.stage.upload(f"{key}.json", b'{"remove": ["subject"]}')
    job = walk.clean(walk.stage.upload(key, PHOTO, min_score="0.25", remove="metadata"))
    assert (job.options.remove, job.options.min_score, job.options.grow, job.options.feather) == (
        ("subject",),
        0.25,
        3,
        2,
    )
    cleaned(walk, key)


def test_nothing_to_remove_passes_the_original_on(walk: Walk) -> None:
    walk.clean(walk.stage.upload("dog.jpg", PHOTO, remove="zebra"))
    manifest = walk.stage.manifest("dog.jpg.json")
    assert manifest["outcome"] == "nothing_to_remove"
    assert walk.stage.results()["dog.jpg"] == PHOTO
    assert manifest["labels_seen"]
    assert manifest["masks"] == []
    assert walk.posts() == {"mask-objects": 1}
    assert published(walk) == [("Nothing To Remove", "")]


def test_a_photo_in_which_adobe_sees_nothing_is_passed_on_too(walk: Walk) -> None:
    walk.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": {"do": "many_masks", "count": 0}})
    walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    assert walk.stage.manifest("dog.jpg.json")["outcome"] == "nothing_to_remove"


def test_a_mask_that_shows_nothing_is_nothing_to_remove(walk: Walk) -> None:
    """GIVEN a chosen mask, so that a fill already has its slot, WHEN it turns out black THEN there is no fill."""
    walk.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": "result_black"})
    walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    assert walk.stage.manifest("dog.jpg.json")["outcome"] == "nothing_to_remove"
    assert walk.posts() == {"mask-objects": 1}


def test_many_masks_are_one_hole_and_the_manifest_names_the_first(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleanplate.steps.read_masks._MAX_MASKS", 5)
    walk.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": {"do": "many_masks", "count": 8}})
    walk.clean(walk.stage.upload("dog.jpg", PHOTO, remove="everything"))
    assert len(cleaned(walk, "dog.jpg")["masks"]) == 5
    assert walk.adobe.counters()["downloads"] == 9


@pytest.mark.parametrize(
    "action",
    [
        "without_links",
        {"do": "job_id", "prefix": "a b/ü:"},
        {"do": "job_id_spelling", "key": "jobID"},
    ],
)
def test_a_job_is_found_again_however_adobe_names_it(walk: Walk, action: Any) -> None:
    walk.adobe.add_rules({"route": "POST /v*", "fault": action})
    walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    cleaned(walk, "dog.jpg")


@pytest.mark.parametrize(
    "action",
    [
        {"do": "status_word", "word": "Succeeded", "only": "succeeded"},
        {"do": "boxes", "style": "normalised"},
        {"do": "error", "status": 503},
        {"do": "status_word", "word": "thinking", "keep_payload": False},
    ],
    ids=["odd word", "odd boxes", "outage", "unknown word"],
)
def test_odd_answers_on_the_way_do_no_harm(walk: Walk, action: Any) -> None:
    walk.adobe.add_rules({"route": "GET /v1/status/*", "times": 4, "fault": action})
    walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    cleaned(walk, "dog.jpg")
    assert walk.jobs_at_adobe() == {"mask-objects": 1, "fill-masked-areas": 1}


def test_two_jobs_that_are_ready_at_once_take_four_states(walk: Walk) -> None:
    walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    pending = walk.polls - 2
    assert len(walk.states) == 4 + 2 * pending


def test_a_short_wait_is_taken_in_the_call_and_a_long_one_by_the_machine(make_walk: Callable[..., Walk]) -> None:
    walk = make_walk(REQUESTS_PER_MINUTE="10")
    walk.publish(walk.stage.upload("dog.jpg", PHOTO))
    walk.settle()
    job, before = walk.stage.only_job(), walk.stage.clock()
    wait_for_job(job.job_id, "mask", walk.stage.services, waited=6)
    assert 0 < walk.stage.clock() - before < 15
    walk.stage.services.limiter.close_gate(600.0, "429")
    with pytest.raises(NotReadyError) as later:
        wait_for_job(job.job_id, "mask", walk.stage.services, waited=6)
    assert 300 < int(str(later.value)) <= 600


def test_a_fill_whose_slot_is_later_is_waited_for_before_it_is_begun(make_walk: Callable[..., Walk]) -> None:
    walk = make_walk(REQUESTS_PER_MINUTE="2")
    walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    cleaned(walk, "dog.jpg")
    assert walk.states.count("FillMaskedAreas") == 1


def test_a_fill_that_could_not_be_sent_is_not_waited_for_but_sent(walk: Walk) -> None:
    """GIVEN a fill that Adobe refuses for now THEN the check behind it leads back to sending it."""
    walk.adobe.add_rules({"route": "POST /v1/fill-masked-areas", "times": 1, "fault": "too_many_requests"})
    walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    cleaned(walk, "dog.jpg")
    assert walk.states.count("FillMaskedAreas") == 2
    assert walk.jobs_at_adobe() == {"mask-objects": 1, "fill-masked-areas": 1}


def test_photos_without_a_slot_wait_in_the_room_in_order(make_walk: Callable[..., Walk]) -> None:
    walk = make_walk(REQUESTS_PER_MINUTE="2")
    photos = [walk.stage.upload(f"{name}.jpg", photo_bytes(seed=ord(name))) for name in "abcd"]
    for photo in photos:
        request_mask(Upload(photo), walk.stage.services)
        walk.stage.clock.pass_by(0.01)
    waiting = [
        walk.stage.job(one.job_id).photo.key for one in walk.stage.services.room.photos("normal", "mask-objects")
    ]
    assert waiting == ["b.jpg", "c.jpg", "d.jpg"]
    walk.admit()
    walk.execute()
    jobs = walk.stage.jobs()
    assert [job.status for job in jobs] == ["cleaned"] * 4
    begun = [job.adobe_requests["mask"].submitted_at for job in jobs]
    assert begun == sorted(begun)
    assert walk.jobs_at_adobe() == {"mask-objects": 4, "fill-masked-areas": 4}


def test_nothing_to_remove_takes_no_slot_of_a_fill(make_walk: Callable[..., Walk]) -> None:
    walk = make_walk(REQUESTS_PER_MINUTE="2")
    walk.clean(walk.stage.upload("dog.jpg", PHOTO, remove="zebra"))
    assert walk.stage.only_job().adobe_requests.keys() == {"mask"}
    assert walk.stage.only_job().status == "nothing_to_remove"


# --- failures with a name ---------------------------------------------------------------------------------------------------------


def large_header() -> bytes:
    """Return a PNG with alpha whose header says 120 megapixels."""
    small = photo_bytes("PNG", (20, 20))
    head = small[12:16] + (12_000).to_bytes(4, "big") + (10_000).to_bytes(4, "big") + bytes([8, 6]) + small[26:29]
    return small[:12] + head + zlib.crc32(head).to_bytes(4, "big") + small[33:]


BAD_PHOTOS: dict[str, tuple[bytes, str]] = {
    "empty.jpg": (b"", "EmptyPhotoError"),
    "notes": (b"remember the milk", "NotAPhotoError"),
    "short.jpg": (PHOTO[:2000], "TruncatedPhotoError"),
    "short-and-closed.jpg": (PHOTO[:2000] + b"\xff\xd9", "TruncatedPhotoError"),
    "tiny.png": (photo_bytes("PNG", (8, 8)), "PhotoTooSmallError"),
    "k" * 1010 + ".jpg": (PHOTO, "KeyTooLongError"),
    "remove=/dog.jpg": (PHOTO, "InvalidOptionsError"),
    "removes=dog/dog.jpg": (PHOTO, "InvalidOptionsError"),
    "mask_route=remove-background/remove=dog/dog.jpg": (PHOTO, "UnsupportedByRouteError"),
    "mask_route=own-mask/dog.jpg": (PHOTO, "InvalidOptionsError"),
    "large.jpg": (PHOTO + bytes(10_000_000), "PhotoTooLargeError"),
    "too-much-for-the-memory.png": (large_header(), "PhotoTooLargeError"),
}


@pytest.mark.parametrize("key", BAD_PHOTOS, ids=range(len(BAD_PHOTOS)))
def test_what_cannot_be_done_is_refused_by_name_and_costs_nothing(walk: Walk, key: str) -> None:
    content, reason = BAD_PHOTOS[key]
    job = walk.clean(walk.stage.upload(key, content))
    assert (job.status, job.outcome["reason"]) == ("failed", reason)
    assert walk.stage.manifest(f"{key}.json")["what_to_do"]
    assert published(walk) == [("Photo Failed", reason)]
    assert (walk.posts(), walk.stage.executions()) == ({}, [])


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (b"no picture", "OwnMaskUnreadableError"),
        (mask_bytes((80, 120)), "OwnMaskSizeError"),
        (mask_bytes(fill=0), "OwnMaskBlankError"),
        (mask_bytes(fill=255), "OwnMaskBlankError"),
    ],
)
def test_an_own_mask_that_cannot_work_is_refused_by_name(walk: Walk, mask: bytes, reason: str) -> None:
    walk.stage.upload("dog.mask.png", mask)
    assert walk.clean(walk.stage.upload("dog.jpg", PHOTO)).outcome["reason"] == reason
    assert walk.posts() == {}


@pytest.mark.parametrize(
    "sidecar",
    [b"{'remove': 'dog'}", b'{"grow": 1' + b"0" * 400 + b"}", b"[" * 9000, b'{"remove": ["\\ud83d"]}', b"\xff"],
)
def test_a_hostile_sidecar_ends_its_photo_by_name(walk: Walk, sidecar: bytes) -> None:
    walk.stage.upload("dog.jpg.json", sidecar)
    job = walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    assert job.outcome["reason"] == "InvalidOptionsError"
    assert walk.stage.manifest("dog.jpg.json")["reason"] == "InvalidOptionsError"


@pytest.mark.parametrize("key", ["folder/", "dog.jpg.json", "dog.mask.png"])
def test_what_lies_beside_photos_leaves_no_trace(walk: Walk, key: str) -> None:
    assert walk.publish(walk.stage.upload(key, b"x")) is None
    assert (walk.stage.jobs(), walk.stage.results()) == ([], {})


def test_a_copy_of_a_result_starts_no_job(walk: Walk) -> None:
    put = walk.stage.s3.put_object(Bucket=UPLOADS, Key="copy.jpg", Body=PHOTO, Metadata={"cleanplate-job": "1" * 40})
    walk.publish(Photo(bucket=UPLOADS, key="copy.jpg", version_id=put["VersionId"]))
    assert walk.stage.jobs() == []


def test_a_photo_deleted_before_it_is_read_fails_by_name(walk: Walk) -> None:
    photo = walk.stage.upload("dog.jpg", PHOTO)
    walk.stage.s3.delete_object(Bucket=UPLOADS, Key="dog.jpg")
    assert walk.clean(photo).outcome["reason"] == "PhotoGoneError"
    assert walk.posts() == {}


def test_a_photo_replaced_before_it_is_begun_leaves_the_newer_one_alone(walk: Walk) -> None:
    older, newer = walk.stage.upload("dog.jpg", PHOTO), walk.stage.upload("dog.jpg", photo_bytes(seed=2))
    walk.publish(newer)
    walk.publish(older)
    walk.execute()
    by_version = {job.photo.version_id: job for job in walk.stage.jobs()}
    assert by_version[older.version_id].outcome["reason"] == "PhotoReplacedError"
    assert by_version[newer.version_id].status == "cleaned"
    assert cleaned(walk, "dog.jpg", photo_bytes(seed=2))["photo"]["version_id"] == newer.version_id
    assert sum(walk.posts().values()) == 2


def test_a_photo_replaced_while_in_work_does_not_cover_the_newer_result(walk: Walk) -> None:
    older = walk.stage.upload("dog.jpg", PHOTO)
    walk.publish(older)
    newer = walk.stage.upload("dog.jpg", photo_bytes(seed=2))
    walk.publish(newer)
    walk.execute()
    assert cleaned(walk, "dog.jpg", photo_bytes(seed=2))["photo"]["version_id"] == newer.version_id
    assert sorted(published(walk)) == [("Photo Cleaned", ""), ("Photo Failed", "PhotoReplacedError")]


def test_a_photo_deleted_while_in_work_still_gets_its_result(walk: Walk) -> None:
    photo = walk.stage.upload("dog.jpg", PHOTO)
    walk.publish(photo)
    walk.stage.s3.delete_object(Bucket=UPLOADS, Key="dog.jpg")
    walk.execute()
    cleaned(walk, "dog.jpg")


@pytest.mark.parametrize(
    ("route", "action", "reason"),
    [
        ("POST /v1/mask-objects", {"do": "failed"}, "AdobeJobFailedError"),
        ("POST /v1/mask-objects", "job_gone", "AdobeJobGoneError"),
        ("POST /v1/mask-objects", "never_finishes", "DeadlinePassedError"),
        ("GET /v1/status/*", {"do": "error", "status": 502, "shape": "html"}, "DeadlinePassedError"),
        ("POST /v1/mask-objects", "result_expired", "DownloadFailedError"),
        ("POST /v1/mask-objects", "result_text", "MaskUnusableError"),
        ("POST /v1/fill-masked-areas", {"do": "result_other_size", "width": 50, "height": 50}, "FillUnusableError"),
        (
            "POST /v1/fill-masked-areas",
            {"do": "respond", "status": 422, "json": {"message": "no"}},
            "RequestRefusedError",
        ),
        ("POST /v1/mask-objects", {"do": "error", "status": 502, "shape": "html"}, "AdobeUnavailableError"),
        ("POST /v1/mask-objects", "lost_answer", "PostOutcomeUnknownError"),
        ("POST /v1/mask-objects", {"do": "foreign_status_link", "keep_id": False}, "ForeignLinkError"),
        ("POST /v1/mask-objects", "token_refused", "CredentialsRefusedError"),
    ],
)
def test_whatever_adobe_does_the_photo_ends_by_name(
    make_walk: Callable[..., Walk], monkeypatch: pytest.MonkeyPatch, route: str, action: Any, reason: str
) -> None:
    # The deployed number, with its hours of pauses, is held by test_submit.
    monkeypatch.setattr("cleanplate.steps.submit.MAX_REFUSALS", 2)
    walk = make_walk(MASK_DEADLINE_SECONDS="40", FILL_DEADLINE_SECONDS="40", PHOTO_DEADLINE_HOURS="1")
    walk.adobe.add_rules({"route": route, "fault": action})
    job = walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    assert (job.status, job.outcome["reason"]) == ("failed", reason)
    manifest = walk.stage.manifest("dog.jpg.json")
    assert (manifest["reason"], manifest["what_to_do"]) == (reason, job.outcome["what_to_do"])
    assert published(walk) == [("Photo Failed", reason)]
    assert "dog.jpg" not in walk.stage.results()
    assert walk.polls < 60


def test_a_job_never_checked_is_checked_once_however_late_it_is(make_walk: Callable[..., Walk]) -> None:
    """GIVEN a message that came back only after the mask's deadline THEN the mask, long ready, is not thrown away."""
    walk = make_walk(COUNT_POLLS="true", REQUESTS_PER_MINUTE="60", REQUESTS_PER_DAY="9000")
    photo = walk.stage.upload("dog.jpg", PHOTO)
    with pytest.raises(KilledError), walk.stage.killed("stepfunctions.StartExecution"):
        request_mask(Upload(photo), walk.stage.services)
    walk.settle()
    walk.stage.clock.pass_by(1080)
    walk.publish(photo)
    walk.execute()
    cleaned(walk, "dog.jpg")


def test_an_ended_job_is_never_checked(walk: Walk) -> None:
    job = walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    before = walk.adobe.counters()["requests"]
    with pytest.raises(JobMovedOnError):
        check_job(job.job_id, "mask", walk.stage.services)
    assert walk.adobe.counters()["requests"] == before


def check_until_the_end(walk: Walk, job: Job) -> None:
    """Checks as the state machine makes them, sixty at most."""
    wait = 6.0
    for _ in range(60):
        walk.stage.clock.pass_by(wait)
        _, wait = check_job(job.job_id, "mask", walk.stage.services, waited=wait)
        if not wait:
            return
    raise AssertionError("sixty checks and no end")


def test_a_stored_answer_is_not_requested_again(walk: Walk) -> None:
    walk.publish(walk.stage.upload("dog.jpg", PHOTO))
    job = walk.stage.only_job()
    walk.settle()
    walk.stage.clock.pass_by(6)
    with pytest.raises(KilledError), walk.stage.killed("s3.PutObject", when="after", after=1):
        check_job(job.job_id, "mask", walk.stage.services)
    polls = walk.adobe.counters()["requests"]["GET /v1/status/{job_id}"]
    assert check_job(job.job_id, "mask", walk.stage.services)[1] == 0
    assert walk.adobe.counters()["requests"]["GET /v1/status/{job_id}"] == polls


def test_the_deadline_ends_a_wait_in_a_bounded_number_of_checks(walk: Walk) -> None:
    walk.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": "never_finishes"})
    walk.publish(walk.stage.upload("dog.jpg", PHOTO))
    with pytest.raises(DeadlinePassedError):
        check_until_the_end(walk, walk.stage.only_job())


# --- at least once ------------------------------------------------------------------------------------------------------------------


def test_a_repeated_notification_at_any_time_changes_nothing(walk: Walk) -> None:
    photo = walk.stage.upload("dog.jpg", PHOTO)
    for _ in range(3):
        walk.publish(photo)
    walk.execute()
    for _ in range(2):
        walk.publish(photo)
        walk.execute()
    cleaned(walk, "dog.jpg")
    assert walk.posts() == {"mask-objects": 1, "fill-masked-areas": 1}
    assert len(walk.stage.executions()) == 1
    assert published(walk) == [("Photo Cleaned", "")]


def test_a_sidecar_or_mask_after_the_photo_makes_no_second_job(walk: Walk) -> None:
    photo = walk.stage.upload("dog.jpg", PHOTO)
    walk.publish(photo)
    walk.stage.upload("dog.jpg.json", b'{"remove": "cat"}')
    walk.stage.upload("dog.mask.png", mask_bytes())
    walk.publish(photo)
    walk.execute()
    assert walk.stage.only_job().options.remove == ("subject",)
    assert sum(walk.posts().values()) == 2


def test_a_broken_sidecar_after_the_photo_does_not_end_its_job(walk: Walk) -> None:
    """GIVEN a photo whose paid mask is in work WHEN its notification comes again beside a sidecar full of nonsense
    THEN the options that it was first read with hold."""
    photo = walk.stage.upload("dog.jpg", PHOTO)
    walk.publish(photo)
    walk.stage.upload("dog.jpg.json", b"nonsense")
    walk.publish(photo)
    walk.execute()
    assert walk.stage.only_job().status == "cleaned"


def test_a_photo_with_its_own_mask_is_finished_though_deleted(walk: Walk) -> None:
    walk.stage.upload("dog.mask.png", mask_bytes())
    photo = walk.stage.upload("dog.jpg", PHOTO)
    walk.adobe.add_rules({"route": "GET /v1/status/*", "times": 1, "fault": {"do": "status_word", "word": "running"}})
    walk.publish(photo)
    job = walk.stage.only_job()
    fill_masked_areas(job.job_id, walk.stage.services)
    walk.stage.s3.delete_object(Bucket=UPLOADS, Key="dog.jpg")
    walk.publish(photo)
    walk.execute()
    assert walk.stage.only_job().status == "cleaned"


def test_a_late_failure_of_one_delivery_does_not_end_the_next_run(walk: Walk) -> None:
    """GIVEN a delivery that is still at work on run 1 WHEN run 2 has begun and the photo is found gone
    THEN only run 1 may be ended by it."""
    photo = walk.stage.upload("dog.jpg", PHOTO)
    walk.adobe.add_rules({"route": "POST /v1/mask-objects", "times": 1, "fault": {"do": "error", "status": 422}})
    walk.publish(photo)
    first = walk.stage.only_job()
    second = walk.stage.ledger.reclaim(
        first, request_id="r", now=walk.stage.clock(), deadline_at=walk.stage.clock() + 9000
    )
    fail(replace(first, status="claimed"), failure_of(PhotoGoneError("late")), walk.stage.services)
    assert walk.stage.only_job() == second


# --- requested by an event ------------------------------------------------------------------------------------------------------------


def by_place(photo: Photo) -> Photo:
    """Return the photo as a request names it: by its place alone."""
    return Photo(bucket=photo.bucket, key=photo.key)


def test_a_request_starts_a_job_with_its_own_options(walk: Walk) -> None:
    photo = walk.stage.upload("dog.jpg", PHOTO)
    walk.publish(by_place(photo), request_id="r1", options={"remove": "zebra"})
    walk.execute()
    assert walk.stage.manifest("dog.jpg.json")["outcome"] == "nothing_to_remove"
    assert walk.stage.only_job().photo.version_id == photo.version_id


def test_a_request_for_a_cleaned_photo_is_answered_and_costs_nothing(walk: Walk) -> None:
    photo = walk.stage.upload("dog.jpg", PHOTO)
    walk.clean(photo)
    (first,) = walk.stage.published()
    paid = walk.posts()
    walk.publish(photo)
    assert walk.stage.published() == [], "a notification that comes twice asks nothing"
    walk.publish(by_place(photo), request_id="r1", correlation_id="order 7")
    walk.execute()
    answer = {**first["Detail"], "request_id": "r1", "correlation_id": "order 7"}
    assert [event["Detail"] for event in walk.stage.published()] == [answer]
    assert walk.posts() == paid


def test_two_requests_for_one_photo_get_an_answer_each(walk: Walk) -> None:
    photo = walk.stage.upload("dog.jpg", PHOTO)
    for number, remove in enumerate(("subject", "everything"), start=1):
        walk.publish(
            by_place(photo),
            request_id=f"r{number}",
            correlation_id=f"order {number}",
            options={"remove": remove},
        )
        walk.execute()
    answers = [event["Detail"] for event in walk.stage.published()]
    assert [(one["request_id"], one["correlation_id"], one["options"]["remove"]) for one in answers] == [
        ("r1", "order 1", ["subject"]),
        ("r2", "order 2", ["everything"]),
    ]


def test_a_photo_of_a_bucket_that_is_not_ours_is_refused(walk: Walk) -> None:
    fault = walk.publish(Photo("somebodys", "dog.jpg", version_id="1"), request_id="r1")
    assert isinstance(fault, InvalidRequestError)
    assert f"it cleans {UPLOADS}" in str(fault)
    assert walk.posts() == {}


@pytest.mark.parametrize("with_version", [True, False])
def test_a_request_that_names_a_version_can_pass_the_original_on(walk: Walk, with_version: bool) -> None:
    photo = walk.stage.upload("dog.jpg", PHOTO, remove="zebra")
    named = replace(by_place(photo), version_id=photo.version_id if with_version else "")
    walk.publish(named, request_id="r1")
    walk.execute()
    assert walk.stage.manifest("dog.jpg.json")["result"]["bytes"] == len(PHOTO)


def test_a_request_without_options_is_another_try_of_the_same_job(walk: Walk) -> None:
    """GIVEN a photo with a sidecar whose fill failed WHEN somebody asks for it again THEN the mask is not paid again."""
    walk.adobe.add_rules({"route": "POST /v1/fill-masked-areas", "times": 1, "fault": "failed"})
    walk.stage.upload("dog.jpg.json", b'{"grow": 5}')
    photo = walk.stage.upload("dog.jpg", PHOTO)
    assert walk.clean(photo).outcome["reason"] == "AdobeJobFailedError"
    walk.publish(by_place(photo), request_id="r1")
    walk.execute()
    job = walk.stage.only_job()
    assert (job.status, job.run, job.options.grow) == ("cleaned", 2, 5)
    assert walk.jobs_at_adobe() == {"mask-objects": 1, "fill-masked-areas": 2}
    assert {Job.id_in(name) for name, _ in walk.stage.executions()} == {job.job_id}
    assert len(walk.stage.executions()) == 2
    cleaned(walk, "dog.jpg")
    walk.publish(by_place(photo), request_id="r1")
    walk.execute()
    assert walk.stage.only_job().run == 2


@pytest.mark.parametrize("route", ["mask-objects", "create-mask"])
def test_another_run_after_two_weeks_uses_only_its_own_answers(walk: Walk, route: str) -> None:
    walk.adobe.add_rules({"route": "POST /v1/fill-masked-areas", "times": 1, "fault": "result_text"})
    photo = walk.stage.upload("dog.jpg", PHOTO, mask_route=route)
    assert walk.clean(photo).outcome["reason"] == "FillUnusableError"
    walk.stage.clock.pass_by(MASK_KEPT_SECONDS + 1)
    walk.publish(by_place(photo), request_id="r1")
    walk.execute()
    cleaned(walk, "dog.jpg")
    assert sum(walk.jobs_at_adobe().values()) == 4
    assert walk.stage.only_job().adobe_requests["mask"].polls > 0


def test_a_request_with_bad_options_never_pays_with_other_ones(walk: Walk) -> None:
    """GIVEN a photo refused for its sidecar WHEN a request with options just as bad asks for it THEN that is refused
    too, and nothing is cleaned with options that nobody chose."""
    walk.stage.upload("dog.jpg.json", b"nonsense")
    photo = walk.stage.upload("dog.jpg", PHOTO)
    walk.publish(photo)
    for request in ("r1", "r2", "r2"):
        walk.publish(by_place(photo), request_id=request, options={"remove": 5})
    walk.execute()
    assert walk.posts() == {}
    assert [kind for kind, _ in published(walk)] == ["Photo Failed"] * 3
    walk.publish(by_place(photo), request_id="r3", options={})
    walk.execute()
    cleaned(walk, "dog.jpg")


# --- cut short anywhere -----------------------------------------------------------------------------------------------------------------

WRITES = (
    "dynamodb.PutItem",
    "dynamodb.UpdateItem",
    "dynamodb.TransactWriteItems",
    "s3.PutObject",
    "events.PutEvents",
    "stepfunctions.StartExecution",
)


#: The fewest writes of a walk, of one whose jobs are ready at the first check.
WRITES_OF_A_WALK = 30


def test_no_write_of_a_photo_is_left_out_below(walk: Walk) -> None:
    photo = walk.stage.upload("dog.jpg", PHOTO)
    with walk.stage.killed(*WRITES, after=1000) as writes:
        walk.publish(photo)
        walk.execute()
    # A job that is not ready at its check costs three more; a slot that has to be waited for inside a step, one for each.
    polls = sum(request.polls for request in walk.stage.only_job().adobe_requests.values())
    assert len(writes) <= WRITES_OF_A_WALK + 2 + 3 * (polls - 2)


#: Every write is tried by ``make prove``.
@pytest.mark.parametrize("number", range(0, WRITES_OF_A_WALK, 6))
def test_a_crash_between_any_two_writes_loses_nothing(walk: Walk, number: int) -> None:
    photo = walk.stage.upload("dog.jpg", PHOTO)
    with walk.stage.killed(*WRITES, after=number) as writes:
        walk.publish(photo)
        walk.execute()
    assert len(writes) > number
    walk.publish(photo)
    walk.execute()
    manifest = cleaned(walk, "dog.jpg")
    job = walk.stage.only_job()
    assert (job.status, job.published) == ("cleaned", True)
    # The one window that cannot be closed: between a POST and the record of its answer.
    paid = walk.jobs_at_adobe()
    again = sum(paid.values()) - 2
    assert again in (0, 1)
    assert manifest["possible_duplicate"] or again == 0
    assert manifest["requests"]["posts"] >= sum(walk.posts().values())
    events = published(walk)
    assert set(events) == {("Photo Cleaned", "")}
    assert len(events) <= 2
    assert len(walk.stage.executions()) == 1


def test_a_step_that_is_repeated_after_it_succeeded_changes_nothing(walk: Walk) -> None:
    job = walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    before = walk.stage.results()
    assert save_result(job.job_id, walk.stage.services) == {"outcome": "cleaned"}
    assert walk.stage.results() == before
    assert published(walk) == [("Photo Cleaned", "")]


def test_no_link_and_no_token_is_written_anywhere_but_into_work(walk: Walk) -> None:
    walk.adobe.add_rules({"route": "POST /v1/fill-masked-areas", "times": 1, "fault": {"do": "error", "status": 503}})
    job = walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    written = str([walk.stage.executions(), walk.stage.results()["dog.jpg.json"], job, walk.stage._events])
    for secret in ("X-Amz-", "Signature", walk.adobe.settings.canary, "Bearer", walk.adobe.settings.client_secret):
        assert secret not in written


def test_a_fault_of_ours_is_no_failure_of_the_photo(walk: Walk) -> None:
    """GIVEN a table that cannot be written THEN the message comes back, and nothing is published of the photo."""
    photo = walk.stage.upload("dog.jpg", PHOTO)
    walk.stage.dynamodb.delete_table(TableName="the-jobs")
    with pytest.raises(Exception, match="ResourceNotFound") as raised:
        request_mask(Upload(photo), walk.stage.services)
    assert not isinstance(raised.value, CleanplateError)
    assert (walk.stage.results(), walk.posts(), published(walk)) == ({}, {}, [])
