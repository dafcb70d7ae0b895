"""A mask job that fails because Adobe could not fetch the photo is sent once more, with a link that is signed again."""

from __future__ import annotations

import pytest

from tests.integration.steps.walk import Walk, photo_bytes

PHOTO = photo_bytes()
UNREAD = {"do": "failed", "message": "Failed to download image"}


@pytest.mark.parametrize("key", ["dog.jpg", "a//../dog.png"])
def test_a_mask_whose_photo_adobe_could_not_read_is_sent_once_more(walk: Walk, key: str) -> None:
    walk.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": UNREAD, "times": 1})
    content = PHOTO if key.endswith("jpg") else photo_bytes("PNG")
    job = walk.clean(walk.stage.upload(key, content))
    assert job.status == "cleaned"
    assert job.adobe_requests["mask"].attempts == 2
    assert walk.posts() == {"mask-objects": 2, "fill-masked-areas": 1}
    assert walk.stage.manifest(f"{key}.json")["possible_duplicate"]


def test_a_mask_whose_photo_adobe_can_never_read_fails_by_name(walk: Walk) -> None:
    walk.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": UNREAD})
    job = walk.clean(walk.stage.upload("dog.jpg", PHOTO))
    assert (job.status, job.outcome["reason"]) == ("failed", "InputLinkRefusedError")
    assert walk.posts() == {"mask-objects": 2}


def test_a_mask_that_is_sent_once_more_waits_for_a_slot(walk: Walk) -> None:
    walk.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": UNREAD, "times": 1})
    walk.adobe.add_rules(
        {
            "route": "POST /v1/mask-objects",
            "fault": {"do": "error", "status": 429, "shape": "B"},
            "times": 1,
            "after": 1,
        }
    )
    assert walk.clean(walk.stage.upload("dog.jpg", PHOTO)).status == "cleaned"


def test_a_copy_that_was_made_for_adobe_is_sent_once_more(walk: Walk) -> None:
    walk.adobe.add_rules({"route": "POST /v1/mask-objects", "fault": UNREAD, "times": 1})
    assert walk.clean(walk.stage.upload("dog.webp", photo_bytes("WEBP"))).status == "cleaned"
