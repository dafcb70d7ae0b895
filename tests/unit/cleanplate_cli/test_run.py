"""What a run says of how far it is."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cleanplate_cli.inputs import Upload
from cleanplate_cli.out_folder import OutFolder
from cleanplate_cli.progress_board import PhotoProgress
from cleanplate_cli.run import RunArgs, _Cleaning
from cleanplate_cli.stack import Stack
from tests.stage import RESULTS, Stage

if TYPE_CHECKING:
    import pytest

WORKING: Mapping[str, Any] = {"in_work": 4, "waiting": 0}


def cleaning(tmp_path: Path, ends: Mapping[int, str], photos: int = 12) -> _Cleaning:
    """A run of which one photo ended at each of these seconds ago."""

    def client(service: str) -> object:
        raise AssertionError(service)

    uploads = [Upload(f"{number}.jpg", tmp_path / f"{number}.jpg") for number in range(photos)]
    stack = Stack("here", client, "uploads", "results", "work", "progress", is_private=True)
    run = _Cleaning(RunArgs(uploads, tmp_path), uploads, {}, stack, OutFolder(tmp_path))
    run.began = time.monotonic() - 60
    run.tracks = {upload.key: PhotoProgress(upload) for upload in uploads}
    for progress, (seconds, outcome) in zip(run.tracks.values(), ends.items(), strict=False):
        progress.end(outcome)
        progress.ended = time.monotonic() - seconds
    return run


def seconds_shown(run: _Cleaning) -> int:
    """What the line says of the time left."""
    return int(run._words(WORKING).rpartition("about ")[2].removesuffix(" s"))


def test_photos_that_are_refused_at_once_do_not_hasten_the_forecast(tmp_path: Path) -> None:
    cleaned = {40: "cleaned", 30: "cleaned", 20: "cleaned", 10: "cleaned"}
    refused = {9: "failed", 8: "failed", 7: "failed", 6: "failed"}
    # Of 24 steps four photos have taken both and four more the first: twelve in a minute.
    assert 50 <= seconds_shown(cleaning(tmp_path, cleaned)) <= 60
    # Of 16 steps, with four photos that take none.
    assert 15 <= seconds_shown(cleaning(tmp_path, {**cleaned, **refused})) <= 20
    assert "about" not in cleaning(tmp_path, refused)._words(WORKING)


def test_what_holds_a_deployed_stack_up_is_in_the_forecast(tmp_path: Path) -> None:
    run = cleaning(tmp_path, {40: "cleaned", 30: "cleaned", 20: "cleaned", 10: "cleaned"})
    run.stack = replace(run.stack, is_private=False)
    said = {**WORKING, "done_in_seconds": 7200}
    assert "about 2.0 h" not in run._words(said)
    assert "about 2.0 h" in run._words({**said, "held": ["The day's 9000 requests are used up."]})


def test_a_hanging_adobe_is_reported_within_half_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, now = cleaning(tmp_path, {}), time.monotonic()
    photos = list(run.tracks.values())
    photos[0].stage, photos[1].stage = "asks for the mask", "mask ready"
    assert "has moved" not in run._words(WORKING)
    monkeypatch.setattr(time, "monotonic", lambda: now + 17)
    assert "has moved" not in run._words(WORKING)
    # Others are sent meanwhile, which Adobe has not answered either.
    photos[1].stage, photos[2].stage, photos[3].stage = "Adobe fills the hole", "asks for the mask", "is uploaded"
    monkeypatch.setattr(time, "monotonic", lambda: now + 25)
    assert "No photo has moved for 25 s; Adobe may be slow" in run._words({**WORKING, "in_work": 5})
    photos[0].stage = "Adobe makes the mask"
    assert "has moved" not in run._words(WORKING)


def test_a_manifest_of_an_earlier_version_is_read_once(stage: Stage, tmp_path: Path) -> None:
    run = cleaning(tmp_path, {}, photos=1)
    run.stack = replace(run.stack, client=lambda _service: stage.s3, results_bucket=RESULTS)
    run.tracks["0.jpg"].version_id = "new"
    read: list[str] = []
    stage.s3.meta.events.register("provide-client-params.s3.GetObject", lambda params, **_: read.append(params["Key"]))

    def put(version: str) -> None:
        body = json.dumps({"photo": {"version_id": version}, "outcome": "cleaned"}).encode()
        stage.s3.put_object(Bucket=RESULTS, Key="0.jpg.json", Body=body)

    put("old")
    for _ in range(3):
        run._take_manifests()
    assert (read, run.tracks["0.jpg"].outcome) == (["0.jpg.json"], "")
    put("new")
    run._take_manifests()
    assert (len(read), run.tracks["0.jpg"].outcome) == (2, "cleaned")


def test_results_of_many_pages_are_listed_less_often(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, now, lists = cleaning(tmp_path, {}, photos=1), [1000.0], []
    run.stack = replace(run.stack, client=lambda _service: stage.s3, results_bucket=RESULTS)
    run.tracks["0.jpg"].version_id = "new"
    for number in range(5):
        stage.s3.put_object(Bucket=RESULTS, Key=f"{number}.jpg", Body=b"")
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def a_key_a_page(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = 1
        lists.append(now[0])

    stage.s3.meta.events.register("provide-client-params.s3.ListObjectsV2", a_key_a_page)
    for _ in range(20):
        run._take_manifests()
        now[0] += 0.5
    assert len(lists) <= 5 * (20 / 4)


def test_what_is_uploaded_for_long_is_not_laid_at_adobes_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, now = cleaning(tmp_path, {}), time.monotonic()
    assert "has moved" not in run._words({})
    monkeypatch.setattr(time, "monotonic", lambda: now + 100)
    assert "has moved" not in run._words({})
