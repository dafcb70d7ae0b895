"""A sidecar, a mask or a folder's file, before its photo or after it; and results that come back."""

from __future__ import annotations

import json

import pytest

from cleanplate.models import Photo
from cleanplate.steps.request_mask import request_mask
from cleanplate.uploads.messages import Upload
from tests.integration.steps.walk import Walk, mask_bytes, photo_bytes
from tests.stage import RESULTS, UPLOADS, KilledError

PHOTO = photo_bytes()
MASK, FILL = "mask-objects", "fill-masked-areas"


def put(walk: Walk, key: str, content: bytes) -> Photo:
    """Upload an object that comes along with a photo, and publish its notification."""
    there = walk.stage.upload(key, content)
    walk.publish(there)
    walk.execute()
    return there


def sidecar(**options: object) -> bytes:
    return json.dumps(options).encode()


def refused(walk: Walk) -> list[str]:
    """Return the reasons of the requests that were refused since the last look."""
    return [event["Detail"]["reason"] for event in walk.stage.published("Refused")]


def clean(walk: Walk, key: str = "dog.jpg", **metadata: str) -> Photo:
    photo = walk.stage.upload(key, PHOTO, **metadata)
    walk.publish(photo)
    walk.execute()
    return photo


# --- late ---


def test_a_late_sidecar_is_a_redo_with_its_options(walk: Walk) -> None:
    photo = clean(walk)
    walk.stage.clock.pass_by(60)
    late = put(walk, "dog.jpg.json", sidecar(grow=3))
    first, second = walk.stage.jobs()
    assert (first.options.grow, second.options.grow) == (None, 3)
    assert walk.stage.manifest("dog.jpg.json")["job_id"] == second.job_id
    # Neither message, when it comes again, is another order.
    for again in (photo, late):
        walk.publish(again)
        walk.execute()
    assert walk.jobs_at_adobe() == {MASK: 2, FILL: 2}


def test_a_sidecar_that_came_first_is_paid_for_once(walk: Walk) -> None:
    walk.stage.upload("dog.jpg.json", sidecar(grow=3))
    clean(walk)
    put(walk, "dog.jpg.json", sidecar(grow=3))
    assert walk.stage.only_job().options.grow == 3
    assert walk.jobs_at_adobe() == {MASK: 1, FILL: 1}


def test_a_sidecar_whose_photo_was_not_read_yet_waits_for_it(walk: Walk) -> None:
    photo = walk.stage.upload("dog.jpg", PHOTO)
    put(walk, "dog.jpg.json", sidecar(grow=3))
    put(walk, "lonely.jpg.json", sidecar(grow=3))
    assert walk.stage.jobs() == []
    walk.publish(photo)
    assert walk.stage.only_job().options.grow == 3


def test_a_sidecar_corrects_the_one_that_failed_its_photo(walk: Walk) -> None:
    walk.stage.upload("dog.jpg.json", b"{")
    clean(walk)
    assert walk.stage.only_job().outcome["reason"] == "InvalidOptionsError"
    walk.stage.clock.pass_by(60)
    put(walk, "dog.jpg.json", sidecar(grow=3))
    assert walk.stage.manifest("dog.jpg.json")["outcome"] == "cleaned"


def test_a_late_sidecar_that_cannot_be_read_leaves_the_result(walk: Walk) -> None:
    clean(walk)
    put(walk, "dog.jpg.json", b"{")
    assert refused(walk) == ["InvalidOptionsError"]
    assert walk.stage.manifest("dog.jpg.json")["outcome"] == "cleaned"


@pytest.mark.parametrize("name", ["dog.mask.png", "dog.jpg.mask.png"])
def test_a_late_mask_buys_only_its_fill(walk: Walk, name: str) -> None:
    clean(walk)
    walk.stage.clock.pass_by(60)
    put(walk, name, mask_bytes())
    # The same picture once more is nothing new.
    put(walk, name, mask_bytes())
    assert walk.jobs_at_adobe() == {MASK: 1, FILL: 2}
    assert walk.stage.manifest("dog.jpg.json")["own_mask"]["key"] == name


def test_a_manifest_that_comes_back_orders_nothing(walk: Walk) -> None:
    clean(walk)
    put(walk, "dog.jpg.json", walk.stage.results()["dog.jpg.json"])
    assert len(walk.stage.jobs()) == 1
    assert refused(walk) == []


def test_a_result_that_comes_back_is_answered_and_not_cleaned(walk: Walk) -> None:
    clean(walk)
    walk.stage.s3.copy_object(Bucket=UPLOADS, Key="again.jpg", CopySource={"Bucket": RESULTS, "Key": "dog.jpg"})
    etag = walk.stage.s3.head_object(Bucket=UPLOADS, Key="again.jpg")["ETag"].strip('"')
    walk.publish(Photo(UPLOADS, "again.jpg", etag=etag))
    walk.execute()
    assert refused(walk) == ["OwnOutputError"]
    assert walk.jobs_at_adobe() == {MASK: 1, FILL: 1}
    walk.publish(Photo(UPLOADS, "again.jpg"), request_id="second pass")
    walk.execute()
    assert walk.stage.manifest("again.jpg.json")["outcome"] == "cleaned"


# --- approving by a mask ---


def test_a_mask_beside_the_photo_approves_a_review(walk: Walk) -> None:
    name = "dog.mask.png"
    photo = clean(walk, review="true", invert="false")
    # As `aws s3 cp` does it: with our own mark on it.
    walk.stage.s3.copy_object(Bucket=UPLOADS, Key=name, CopySource={"Bucket": RESULTS, "Key": "dog.jpg.mask.png"})
    mask = walk.stage.storage.look_up(UPLOADS, name)
    assert mask
    for again in (mask.photo, mask.photo, photo):
        walk.publish(again)
        walk.execute()
    job = walk.stage.only_job()
    assert (job.status, job.run, job.own_mask and job.own_mask.key) == ("cleaned", 2, name)
    assert walk.jobs_at_adobe() == {MASK: 1, FILL: 1}
    assert walk.stage.manifest("dog.jpg.json")["requests"]["posts"] == 2


def test_an_inverted_mask_is_taken_as_it_was_shown(walk: Walk) -> None:
    clean(walk, review="true", invert="true")
    put(walk, "dog.mask.png", walk.stage.results()["dog.jpg.mask.png"])
    by_mask = walk.stage.results()["dog.jpg"]
    walk.stage.clock.pass_by(60)
    walk.stage.s3.delete_object(Bucket=UPLOADS, Key="dog.mask.png")
    clean(walk, review="true", invert="true")
    request_mask(Upload(Photo(UPLOADS, "dog.jpg"), request_id="yes", approve=True), walk.stage.services)
    walk.execute()
    assert walk.stage.results()["dog.jpg"] == by_mask


def test_a_mask_that_cannot_work_fails_by_name_and_can_be_corrected(walk: Walk) -> None:
    clean(walk, review="true")
    put(walk, "dog.mask.png", mask_bytes((50, 50)))
    assert walk.stage.only_job().outcome["reason"] == "OwnMaskSizeError"
    walk.stage.clock.pass_by(60)
    put(walk, "dog.mask.png", mask_bytes())
    assert walk.stage.manifest("dog.jpg.json")["outcome"] == "cleaned"
    assert walk.jobs_at_adobe() == {MASK: 1, FILL: 1}


def test_a_retry_of_an_approved_photo_is_the_same_job(walk: Walk) -> None:
    clean(walk, review="true")
    walk.adobe.add_rules({"route": "POST /v1/fill-masked-areas", "times": 1, "fault": {"do": "error", "status": 422}})
    put(walk, "dog.mask.png", mask_bytes())
    assert walk.stage.only_job().status == "failed"
    walk.publish(Photo(UPLOADS, "dog.jpg"), request_id="retry")
    walk.execute()
    assert walk.stage.only_job().status == "cleaned"
    assert walk.jobs_at_adobe() == {MASK: 1, FILL: 1}


@pytest.mark.parametrize("operation", ["dynamodb.TransactWriteItems", "stepfunctions.StartExecution"])
@pytest.mark.parametrize("name", ["dog.mask.png", "dog.jpg.json"])
def test_a_late_companion_that_is_cut_short_is_made_up_for(walk: Walk, name: str, operation: str) -> None:
    clean(walk, review="true")
    walk.stage.clock.pass_by(60)
    late = walk.stage.upload(name, mask_bytes() if "mask" in name else sidecar(grow=3, review=False))
    with walk.stage.killed(operation, when="after"), pytest.raises(KilledError):
        request_mask(Upload(late), walk.stage.services)
    walk.stage.clock.pass_by(600)
    walk.publish(late)
    walk.execute()
    assert walk.stage.jobs()[-1].status == "cleaned"
    assert walk.jobs_at_adobe()[FILL] == 1


# --- a folder's own ---


def test_a_folders_options_hold_for_its_photos_and_no_others(walk: Walk) -> None:
    walk.stage.upload("trip/_cleanplate.json", sidecar(grow=3, feather=2))
    clean(walk, "trip/dog.jpg")
    clean(walk, "trip/day 2/dog.jpg")
    assert [job.options.grow for job in walk.stage.jobs()] == [3, None]


def test_whatever_is_nearer_goes_before_the_folders_options(walk: Walk) -> None:
    walk.stage.upload("a/grow=4/_cleanplate.json", sidecar(grow=3, feather=2))
    clean(walk, "a/grow=4/dog.jpg")
    clean(walk, "a/grow=4/cat.jpg", grow="5")
    walk.stage.upload("a/grow=4/cow.jpg.json", sidecar(grow=6))
    clean(walk, "a/grow=4/cow.jpg")
    found = {job.photo.key[-7:]: (job.options.grow, job.options.feather) for job in walk.stage.jobs()}
    assert found == {"dog.jpg": (4, 2), "cat.jpg": (5, 2), "cow.jpg": (6, 2)}


def test_a_folders_bad_file_fails_its_photos_by_name(walk: Walk) -> None:
    walk.stage.upload("trip/_cleanplate.json", b"{")
    walk.stage.upload("walk/_cleanplate.json", sidecar(colour="red"))
    for key in ("trip/dog.jpg", "walk/dog.jpg"):
        clean(walk, key)
    for job in walk.stage.jobs():
        assert job.outcome["reason"] == "InvalidOptionsError"
        assert job.photo.key.replace("dog.jpg", "_cleanplate.json") in job.outcome["message"]
    assert walk.jobs_at_adobe() == {}


def test_a_folders_mask_is_for_its_photos_without_their_own(walk: Walk) -> None:
    walk.stage.upload("trip/_cleanplate.mask.png", mask_bytes())
    walk.stage.upload("trip/cat.mask.png", mask_bytes())
    clean(walk, "trip/dog.jpg")
    clean(walk, "trip/cat.jpg")
    masks = {job.photo.key: job.own_mask and job.own_mask.key for job in walk.stage.jobs()}
    assert masks == {"trip/dog.jpg": "trip/_cleanplate.mask.png", "trip/cat.jpg": "trip/cat.mask.png"}
    assert walk.jobs_at_adobe() == {FILL: 2}


def test_a_photo_of_another_size_than_the_folders_mask_fails_by_name(walk: Walk) -> None:
    walk.stage.upload("trip/_cleanplate.mask.png", mask_bytes((50, 50)))
    clean(walk, "trip/dog.jpg")
    outcome = walk.stage.only_job().outcome
    assert outcome["reason"] == "OwnMaskSizeError"
    assert "trip/_cleanplate.mask.png" in outcome["message"]
    assert walk.jobs_at_adobe() == {}


def test_a_folders_file_that_comes_late_is_answered(walk: Walk) -> None:
    put(walk, "trip/_cleanplate.json", sidecar(grow=3))
    assert refused(walk) == []
    clean(walk, "trip/dog.jpg")
    for name in ("_cleanplate.json", "_cleanplate.mask.png"):
        put(walk, f"trip/{name}", sidecar(grow=9))
        assert refused(walk) == ["LateFolderFileError"]
    assert walk.jobs_at_adobe() == {MASK: 1, FILL: 1}
