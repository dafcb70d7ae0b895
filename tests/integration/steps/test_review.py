"""A mask that somebody looks at first: only it is bought, and its fill when it is approved."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cleanplate.errors import NoMaskWaitsError
from cleanplate.jobs.folder_counts import FolderScope
from cleanplate.jobs.reuse import MASK_KEPT_SECONDS
from cleanplate.models import Photo
from cleanplate.operations.sweep_jobs import sweep_jobs
from cleanplate.steps.request_mask import request_mask
from cleanplate.uploads.messages import Upload
from tests.chaos.world import MakeWalk
from tests.integration.steps.walk import Walk, photo_bytes
from tests.stage import UPLOADS, KilledError

PHOTO = photo_bytes()
MASK, FILL = "mask-objects", "fill-masked-areas"


def offer(walk: Walk, key: str = "dog.jpg", content: bytes = PHOTO) -> Photo:
    """Upload a photo whose mask then waits for approval."""
    photo = walk.stage.upload(key, content, review="true")
    walk.publish(photo)
    walk.execute()
    return photo


def approve(walk: Walk, request_id: str = "approval", key: str = "dog.jpg") -> None:
    """Send the event that approves the mask of a photo, and do what follows."""
    request_mask(Upload(Photo(UPLOADS, key), request_id=request_id, approve=True), walk.stage.services)
    walk.admit()
    walk.execute()


def published(walk: Walk, about: str = "") -> list[str]:
    """Return the names of the events since the last look."""
    return [event["DetailType"] for event in walk.stage.published(about)]


def folders_done(walk: Walk) -> list[dict[str, Any]]:
    """Return the details of the events about folders since the last look."""
    return [event["Detail"] for event in walk.stage.published("Folder") if event["DetailType"] == "Folder Done"]


def picture(walk: Walk, key: str) -> np.ndarray[Any, Any]:
    """Return a picture of the results bucket."""
    return np.asarray(Image.open(io.BytesIO(walk.stage.results()[key])))


def test_only_the_mask_is_bought_and_shown(walk: Walk) -> None:
    offer(walk)
    assert walk.jobs_at_adobe() == {MASK: 1}
    assert sorted(walk.stage.results()) == ["dog.jpg.json", "dog.jpg.mask.png", "dog.jpg.preview.jpg"]
    manifest = walk.stage.manifest("dog.jpg.json")
    assert (manifest["outcome"], manifest["result"]) == ("mask_ready", None)
    assert manifest["review"]["mask"]["key"] == "dog.jpg.mask.png"
    assert published(walk) == ["Mask Ready", "Folder Done"]
    mask = picture(walk, "dog.jpg.mask.png")
    assert mask.shape == (80, 120)
    assert set(np.unique(mask)) == {0, 255}
    assert mask[40, 60] == 255
    red, green, _ = picture(walk, "dog.jpg.preview.jpg")[40, 60]
    assert red > 200 > green


def test_a_sideways_photo_is_shown_as_people_see_it(walk: Walk) -> None:
    image = Image.open(io.BytesIO(PHOTO))
    exif = image.getexif()
    exif[0x0112] = 6
    content = io.BytesIO()
    image.save(content, "JPEG", exif=exif)
    offer(walk, content=content.getvalue())
    assert picture(walk, "dog.jpg.mask.png").shape == (120, 80)
    assert picture(walk, "dog.jpg.preview.jpg").shape == (120, 80, 3)


def test_an_approval_buys_the_fill_and_never_the_mask_again(walk: Walk) -> None:
    offer(walk)
    published(walk)
    approve(walk)
    assert walk.jobs_at_adobe() == {MASK: 1, FILL: 1}
    manifest = walk.stage.manifest("dog.jpg.json")
    assert (manifest["outcome"], manifest["run"], manifest["request_id"]) == ("cleaned", 2, "approval")
    assert manifest["requests"]["posts"] == 2
    assert published(walk) == ["Photo Cleaned", "Folder Done"]
    (counts,) = walk.stage.ledger.progress.read(FolderScope(UPLOADS, ""))
    assert counts is not None
    assert (counts.mask_ready, counts.cleaned, counts.photos) == (0, 1, 1)


def test_the_hole_is_the_one_that_was_shown(walk: Walk) -> None:
    offer(walk)
    shown = picture(walk, "dog.jpg.mask.png")
    approve(walk)
    with_review = walk.stage.results()["dog.jpg"]
    assert walk.stage.results()["dog.jpg.mask.png"]
    walk.stage.s3.put_object(Bucket=UPLOADS, Key="dog.mask.png", Body=walk.stage.results()["dog.jpg.mask.png"])
    walk.publish(walk.stage.upload("dog.jpg", PHOTO))
    walk.execute()
    assert shown.any()
    assert walk.jobs_at_adobe() == {MASK: 1, FILL: 2}
    assert walk.stage.results()["dog.jpg"] == with_review


def test_a_message_that_comes_twice_approves_once(walk: Walk) -> None:
    photo = offer(walk)
    walk.publish(photo)
    assert walk.stage.only_job().status == "mask_ready"
    approve(walk)
    approve(walk)
    walk.publish(photo)
    walk.execute()
    assert walk.jobs_at_adobe() == {MASK: 1, FILL: 1}


@pytest.mark.parametrize("quiet", ["0", "60"])
def test_a_folder_is_published_once_more_when_its_masks_expire(make_walk: MakeWalk, quiet: str) -> None:
    walk = make_walk(FOLDER_QUIET_SECONDS=quiet)
    for number in range(2):
        offer(walk, f"{number}.jpg")
    walk.admit()
    (*_, offered) = folders_done(walk)
    assert (offered["mask_ready"], offered["failed"]) == (2, 0)
    walk.stage.clock.pass_by(MASK_KEPT_SECONDS + 1)
    expired_at = walk.stage.clock()
    sweep_jobs(lambda: 60.0, walk.stage.services)
    walk.admit()
    done = folders_done(walk)
    assert (done[-1]["mask_ready"], done[-1]["failed"]) == (0, 2)
    assert done[-1]["begun_at"] == done[-1]["ended_at"] == expired_at
    assert len(done) == (1 if quiet == "60" else 2)


def test_another_approval_of_what_is_done_gets_the_outcome(walk: Walk) -> None:
    offer(walk)
    approve(walk)
    published(walk)
    approve(walk, "another")
    (event,) = walk.stage.published()
    assert (event["DetailType"], event["Detail"]["request_id"]) == ("Photo Cleaned", "another")
    assert walk.jobs_at_adobe() == {MASK: 1, FILL: 1}


def test_a_request_without_review_approves_too(walk: Walk) -> None:
    offer(walk)
    walk.publish(Photo(UPLOADS, "dog.jpg"), request_id="r1", options={"review": False})
    walk.execute()
    assert walk.jobs_at_adobe() == {MASK: 1, FILL: 1}
    assert walk.stage.only_job().status == "cleaned"


def test_a_request_with_review_is_answered_that_the_mask_waits(walk: Walk) -> None:
    offer(walk)
    published(walk)
    walk.publish(Photo(UPLOADS, "dog.jpg"), request_id="r1")
    walk.execute()
    (event,) = walk.stage.published("Mask")
    assert (event["DetailType"], event["Detail"]["request_id"]) == ("Mask Ready", "r1")
    assert walk.jobs_at_adobe() == {MASK: 1}


def test_a_fill_that_fails_is_retried_with_the_approved_mask(walk: Walk) -> None:
    offer(walk)
    walk.adobe.add_rules({"route": "POST /v1/fill-masked-areas", "times": 1, "fault": {"do": "error", "status": 422}})
    approve(walk)
    assert walk.stage.only_job().status == "failed"
    walk.publish(Photo(UPLOADS, "dog.jpg"), request_id="retry")
    walk.execute()
    assert walk.stage.only_job().status == "cleaned"
    assert walk.jobs_at_adobe() == {MASK: 1, FILL: 1}


def test_nothing_to_remove_waits_for_nobody(walk: Walk) -> None:
    walk.publish(walk.stage.upload("dog.jpg", PHOTO, review="true", remove="unicorn"))
    walk.execute()
    assert walk.stage.only_job().status == "nothing_to_remove"
    assert walk.jobs_at_adobe() == {MASK: 1}


def test_an_approval_of_nothing_is_refused_by_name(walk: Walk) -> None:
    with pytest.raises(NoMaskWaitsError):
        approve(walk)
    walk.publish(walk.stage.upload("dog.jpg", PHOTO, review="true"))
    with pytest.raises(NoMaskWaitsError, match="not ready"):
        approve(walk)
    walk.stage.upload("dog.jpg", photo_bytes(seed=7))
    with pytest.raises(NoMaskWaitsError):
        approve(walk)


def test_a_review_expires_by_name_and_keeps_the_mask(walk: Walk) -> None:
    offer(walk)
    published(walk)
    walk.stage.clock.pass_by(MASK_KEPT_SECONDS - 60)
    sweep_jobs(lambda: 100.0, walk.stage.services)
    assert walk.stage.only_job().status == "mask_ready"
    walk.stage.clock.pass_by(120)
    sweep_jobs(lambda: 100.0, walk.stage.services)
    job = walk.stage.only_job()
    assert (job.status, job.outcome["reason"]) == ("failed", "ReviewExpiredError")
    assert published(walk) == ["Photo Failed", "Folder Done"]
    assert walk.stage.manifest("dog.jpg.json")["review"]["mask"]["key"] == "dog.jpg.mask.png"
    assert "dog.jpg.mask.png" in walk.stage.results()


def test_an_approval_that_comes_too_late_buys_nothing(walk: Walk) -> None:
    offer(walk)
    walk.stage.clock.pass_by(MASK_KEPT_SECONDS + 60)
    approve(walk)
    assert walk.stage.only_job().outcome["reason"] == "ReviewExpiredError"
    assert walk.jobs_at_adobe() == {MASK: 1}


def test_a_photo_that_was_uploaded_again_is_not_approved(walk: Walk) -> None:
    offer(walk)
    walk.stage.clock.pass_by(60)
    walk.publish(walk.stage.upload("dog.jpg", photo_bytes(seed=7), review="true"))
    walk.execute()
    walk.stage.clock.pass_by(60)
    approve(walk)
    old, new = walk.stage.jobs()
    assert (old.status, new.status) == ("mask_ready", "cleaned")
    walk.stage.clock.pass_by(MASK_KEPT_SECONDS)
    sweep_jobs(lambda: 100.0, walk.stage.services)
    assert walk.stage.job(old.job_id).outcome["reason"] == "PhotoReplacedError"
    assert walk.stage.manifest("dog.jpg.json")["outcome"] == "cleaned"


@pytest.mark.parametrize("operation", ["dynamodb.TransactWriteItems", "stepfunctions.StartExecution"])
def test_an_approval_that_is_cut_short_is_made_up_for(walk: Walk, operation: str) -> None:
    offer(walk)
    upload = Upload(Photo(UPLOADS, "dog.jpg"), request_id="approval", approve=True)
    with walk.stage.killed(operation, when="after"), pytest.raises(KilledError):
        request_mask(upload, walk.stage.services)
    approve(walk)
    assert walk.stage.only_job().status == "cleaned"
    assert walk.jobs_at_adobe() == {MASK: 1, FILL: 1}
