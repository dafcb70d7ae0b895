"""The page of a folder in the results bucket: what is on it, what it costs, and what it leaves alone."""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image

from cleanplate.aws.storage import MARK
from cleanplate.errors import NotAPhotoError, UnknownFolderError
from cleanplate.models import Job, Options, Photo
from cleanplate.operations import write_folder_page as module
from cleanplate.operations.write_folder_page import page_name, write_folder_page
from cleanplate.outcomes import conclude, fail, failure_of
from cleanplate.uploads.identity import job_id
from cleanplate.uploads.photo_names import skip_reason
from tests.stage import RESULTS, UPLOADS, Stage


def jpeg(colour: str = "red", hole: str = "") -> bytes:
    picture = Image.new("RGB", (640, 400), colour)
    if hole:
        picture.paste(hole, (100, 100, 300, 300))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def job_of(stage: Stage, key: str, content: bytes, options: Options) -> Job:
    photo = stage.upload(key, content)
    return stage.ledger.claim(
        Job(
            job_id(photo, options, None),
            photo,
            options,
            "claimed",
            claimed_at=stage.clock(),
            deadline_at=stage.clock() + 9e4,
        )
    )


def clean(stage: Stage, key: str, *, options: Options | None = None, result: bytes | None = None) -> Job:
    """A photo that was cleaned, with its result and its manifest."""
    job = job_of(stage, key, jpeg(), options or Options())
    services = stage.services
    services.ledger.owners.take(job, key, now=stage.clock())
    saved = stage.storage.save_result(
        key, io.BytesIO(result or jpeg(hole="blue")), media_type="image/jpeg", job_id=job.job_id
    )
    return conclude(job, "cleaned", {"masks": [], "labels_seen": [], "result": saved.describe()}, services)


def refuse(stage: Stage, key: str) -> Job:
    """A photo that failed, with its manifest."""
    job = job_of(stage, key, b"no picture", Options())
    return fail(job, failure_of(NotAPhotoError("It is no picture.")), stage.services)


def write(stage: Stage, folder: str, *, seconds: float = 900.0, bucket: str = UPLOADS) -> dict[str, Any]:
    return write_folder_page({"bucket": bucket, "folder": folder}, lambda: seconds, stage.services)


def page(stage: Stage, key: str) -> str:
    return stage.content(RESULTS, key).decode()


def requested(html: str) -> dict[str, Any]:
    """What the page's commands ask the stack for, by the photo's key."""
    found = {}
    for words in re.findall(r'data-words="([^"]*)"', html):
        *_, entries = shlex.split(unescape(words))
        (entry,) = json.loads(entries)
        assert entry["DetailType"] == "Photo Cleaning Requested"
        detail = json.loads(entry["Detail"])
        found[detail.pop("key")] = detail
    return found


def calls(stage: Stage, *operations: str) -> Callable[[], list[tuple[str, str]]]:
    """What is asked of S3 from now on: the operation and the key."""
    seen: list[tuple[str, str]] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        seen.append((model.name, params["Key"]))

    for operation in operations:
        stage.s3.meta.events.register(f"provide-client-params.s3.{operation}", note)
    return lambda: [seen.pop(0) for _ in range(len(seen))]


@pytest.mark.parametrize("folder", ["", "holiday/", "Ferien 2026/Grüße 100%+/", "a//b/../c/", "é🐶 #?&/"])
def test_a_page_shows_the_photos_of_its_folder_and_finds_them_beside_it(stage: Stage, folder: str) -> None:
    names = ["dog.jpg", "a:b c.jpg", "hündchen #1?.jpg", "50%25.jpg"]
    for name in names:
        clean(stage, folder + name)
    clean(stage, f"{folder}deep/cat.jpg")
    refuse(stage, f"{folder}broken.jpg")
    stage.s3.put_object(Bucket=RESULTS, Key=f"{folder}mine.json", Body=b'{"schema": "mine"}')

    assert write(stage, folder) == {"pages": 1, "photos": 5, "answer": ""}
    html = page(stage, f"{folder}_cleanplate.html")
    links = [unquote(link) for link in re.findall(r'<h2><span><a href="([^"]*)"', html)]
    assert sorted(links) == sorted(names)
    assert {f"{folder}{link}" for link in links} <= stage.results().keys()
    assert not re.findall(r'href="[a-z]+:', html)
    assert "5 photos: 4 cleaned, 1 failed." in html
    assert html.index("broken.jpg") < html.index("dog.jpg")
    assert "NotAPhotoError" in html
    assert "What to do: Upload a JPEG" in html
    assert "cat.jpg" not in html
    # Before, mask and after of each of the four, in the page itself.
    assert html.count('src="data:image/jpeg;base64,') == 12
    assert "X-Amz-" not in html


def test_the_page_is_no_photo_and_bears_our_mark(stage: Stage) -> None:
    clean(stage, "x/dog.jpg")
    write(stage, "x/")
    found = stage.s3.head_object(Bucket=RESULTS, Key="x/_cleanplate.html")
    assert found["ContentType"] == "text/html; charset=utf-8"
    assert found["Metadata"][MARK] == "page"
    for number in (1, 2, 37):
        assert skip_reason(Photo(UPLOADS, f"x/{page_name(number)}"))


def test_each_photo_has_the_command_that_is_likely_to_come_next(stage: Stage) -> None:
    clean(stage, "x/it's a dog.jpg", options=Options(remove=("dog",), grow=20))
    refuse(stage, "x/broken.jpg")
    write(stage, "x/")
    html = page(stage, "x/_cleanplate.html")

    assert requested(html) == {
        "x/it's a dog.jpg": {"bucket": UPLOADS, "options": {"remove": ["dog"], "grow": 20}},
        "x/broken.jpg": {"bucket": UPLOADS},
    }


def test_a_mask_to_approve_and_a_photo_that_is_passed_on_show_one_picture(stage: Stage) -> None:
    waiting, passed = (job_of(stage, f"x/{name}", jpeg(), Options()) for name in ("waits.jpg", "sky.jpg"))
    review = {
        name: stage.storage.save_result(
            f"x/waits.jpg.{ending}", io.BytesIO(jpeg("green")), media_type="image/jpeg", job_id=waiting.job_id
        ).describe()
        for name, ending in (("mask", "mask.png"), ("preview", "preview.jpg"))
    }
    services = stage.services
    for job in (waiting, passed):
        services.ledger.owners.take(job, job.photo.key, now=stage.clock())
    conclude(waiting, "mask_ready", {"review": {**review, "expires_at": 1.0}}, services)
    copied = stage.storage.pass_on(passed.photo, "x/sky.jpg", job_id=passed.job_id).describe()
    conclude(passed, "nothing_to_remove", {"result": copied, "labels_seen": ["cloud"]}, services)
    write(stage, "x/")
    html = page(stage, "x/_cleanplate.html")
    assert "2 photos: 1 nothing to remove, 1 with a mask to approve." in html
    assert re.findall(r'data-file="([^"]*)"', html) == ["waits.jpg.preview.jpg", "sky.jpg"]
    assert re.findall(r'<h2><span><a href="([^"]*)"', html) == ["waits.jpg.mask.png", "sky.jpg"]
    assert requested(html)["x/waits.jpg"] == {"bucket": UPLOADS, "approve": True}
    assert "Seen in the photo: cloud." in html


def test_a_photo_more_costs_one_photo_more(stage: Stage) -> None:
    for number in range(5):
        clean(stage, f"x/{number}.jpg")
    write(stage, "x/")
    first = page(stage, "x/_cleanplate.html")
    clean(stage, "x/new.jpg")
    asked = calls(stage, "GetObject", "PutObject", "HeadObject")
    assert write(stage, "x/")["photos"] == 6
    assert sorted(asked()) == [
        ("GetObject", "x/_cleanplate.html"),
        ("GetObject", "x/new.jpg"),
        ("GetObject", "x/new.jpg"),
        ("GetObject", "x/new.jpg.json"),
        ("PutObject", "x/_cleanplate.html"),
    ]
    second = page(stage, "x/_cleanplate.html")
    lines = [line for line in first.split("\n") if line.startswith("<article")]
    assert len(lines) == 5
    assert all(line in second for line in lines)


def test_a_photo_that_was_done_once_more_is_shown_as_it_is_now(stage: Stage) -> None:
    clean(stage, "x/dog.jpg")
    write(stage, "x/")
    stage.clock.pass_by(5)
    clean(stage, "x/dog.jpg", options=Options(remove=("leash",)), result=jpeg("green"))
    assert write(stage, "x/")["photos"] == 1
    html = page(stage, "x/_cleanplate.html")
    assert "leash" in html
    assert "subject" not in html.partition("<article")[2]


def test_a_page_of_another_edition_is_made_again(stage: Stage) -> None:
    clean(stage, "x/dog.jpg")
    write(stage, "x/")
    old = page(stage, "x/_cleanplate.html").replace('content="cleanplate ', 'content="cleanplate of old ')
    stage.s3.put_object(Bucket=RESULTS, Key="x/_cleanplate.html", Body=old.encode(), Metadata={MARK: "page"})
    asked = calls(stage, "GetObject")
    write(stage, "x/")
    assert ("GetObject", "x/dog.jpg.json") in asked()
    assert "of old" not in page(stage, "x/_cleanplate.html")


def test_a_file_that_somebody_else_has_put_there_stays(stage: Stage) -> None:
    clean(stage, "x/dog.jpg")
    stage.s3.put_object(Bucket=RESULTS, Key="x/_cleanplate.html", Body=b"mine")
    answer = write(stage, "x/")
    assert answer["pages"] == 0
    assert "x/_cleanplate.html was not written by this function, and stays" in answer["answer"]
    assert stage.results()["x/_cleanplate.html"] == b"mine"


def test_a_page_that_is_written_meanwhile_is_made_again(stage: Stage) -> None:
    clean(stage, "x/dog.jpg")
    before_put: list[str] = []

    def meanwhile(params: dict[str, Any], **_: Any) -> None:
        if params["Key"].endswith(".html") and not before_put:
            before_put.append(params["Key"])
            clean(stage, "x/new.jpg")
            write(stage, "x/")

    stage.s3.meta.events.register("provide-client-params.s3.PutObject", meanwhile)
    assert write(stage, "x/")["photos"] == 2
    assert "2 photos: 2 cleaned." in page(stage, "x/_cleanplate.html")


def test_one_that_is_written_all_the_time_is_left_to_the_others(stage: Stage) -> None:
    clean(stage, "x/dog.jpg")

    def always(params: dict[str, Any], **_: Any) -> None:
        if params["Key"].endswith(".html"):
            params["IfMatch"] = '"another"'
            params.pop("IfNoneMatch", None)

    stage.s3.meta.events.register("provide-client-params.s3.PutObject", always)
    assert write(stage, "x/") == {"pages": 0, "photos": 0, "answer": "Another call writes the same page."}


def test_large_folders_have_further_pages_with_what_failed_on_the_first(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PHOTOS_ON_A_PAGE", 3)
    for number in range(7):
        clean(stage, f"x/IMG_{number}.jpg")
    refuse(stage, "x/z.jpg")
    assert write(stage, "x/") == {"pages": 3, "photos": 8, "answer": ""}
    pages = [page(stage, f"x/{name}") for name in ("_cleanplate.html", "_cleanplate-2.html", "_cleanplate-3.html")]
    shown = [re.findall(r'<article [^>]*data-name="([^"]*)"', one) for one in pages]
    assert shown == [
        ["z.jpg", "IMG_0.jpg", "IMG_1.jpg"],
        ["IMG_2.jpg", "IMG_3.jpg", "IMG_4.jpg"],
        ["IMG_5.jpg", "IMG_6.jpg"],
    ]
    for one in pages:
        assert "8 photos: 7 cleaned, 1 failed." in one
    assert '<a href="_cleanplate-3.html">3</a>' in pages[0]
    asked = calls(stage, "GetObject")
    write(stage, "x/")
    assert sorted(asked()) == [
        ("GetObject", f"x/{name}") for name in ("_cleanplate-2.html", "_cleanplate-3.html", "_cleanplate.html")
    ]


def test_where_time_is_short_the_files_themselves_are_shown(stage: Stage) -> None:
    clean(stage, "x/my dog.jpg")
    refuse(stage, "x/broken.jpg")
    assert write(stage, "x/", seconds=50)["pages"] == 1
    html = page(stage, "x/_cleanplate.html")
    assert 'src="my%20dog.jpg"' in html
    assert "For 2 of these photos there was no time to make small pictures; their files are shown." in html
    write(stage, "x/")
    html = page(stage, "x/_cleanplate.html")
    assert 'src="my%20dog.jpg"' not in html
    assert "no time" not in html


def test_what_cannot_be_looked_at_is_on_the_page_all_the_same(stage: Stage) -> None:
    gone = clean(stage, "x/gone.jpg")
    clean(stage, "x/odd.jpg", result=b"of a kind that nobody opens")
    stage.s3.delete_object(Bucket=UPLOADS, Key="x/gone.jpg", VersionId=gone.photo.version_id)
    assert write(stage, "x/") == {"pages": 1, "photos": 2, "answer": ""}
    assert page(stage, "x/_cleanplate.html").count('class="plain"') == 2


def test_results_of_the_other_bucket_have_their_page_below_its_name(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(OTHER_BUCKET="archive")
    clean(stage, "archive/x/dog.jpg")
    assert write(stage, "x", bucket="archive")["answer"] == ""
    assert "archive/x/_cleanplate.html" in stage.results()


def test_a_folder_without_manifests_or_room_gets_no_page(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no manifests" in write(stage, "x/")["answer"]
    assert "no room" in write(stage, "é" * 505 + "/")["answer"]
    clean(stage, "x/dog.jpg")
    monkeypatch.setattr(module, "MOST_PHOTOS", 0)
    assert "too many" in write(stage, "x/")["answer"]
    assert not [key for key in stage.results() if key.endswith(".html")]


@pytest.mark.parametrize("asked", [{"bucket": "of-somebody-else"}, {"bucket": 7}, {"folder": ["x/"]}])
def test_a_folder_of_nobody_is_refused(stage: Stage, asked: Any) -> None:
    with pytest.raises(UnknownFolderError):
        write_folder_page(asked, lambda: 900.0, stage.services)


def test_what_is_taken_over_has_a_bound(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        clean(stage, f"x/{number}.jpg")
    write(stage, "x/")
    one = next(line for line in page(stage, "x/_cleanplate.html").split("\n") if line.startswith("<article"))
    monkeypatch.setattr(module, "_KNOWN_CHARACTERS", len(one) + 200)
    asked = calls(stage, "GetObject")
    assert write(stage, "x/")["photos"] == 3
    assert sum(key.endswith(".json") for _, key in asked()) == 2
