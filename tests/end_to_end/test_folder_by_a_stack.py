"""A folder cleaned by a stack that is there already, by the commands that people type."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image

import cleanplate_cli.__main__
from local.demo.up import describe
from local.paths import ROOT
from tests.end_to_end.conftest import System, until

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run `cleanplate` and return its exit code and what it printed.

    ``by_name`` runs it as a program of its own that finds the stack as on AWS; else it is called in this process, with
    the file that `make up` writes.
    """
    file = tmp_path / "stack.json"
    file.write_text(json.dumps(describe(system.cloud)))
    monkeypatch.chdir(tmp_path)
    # What interrupts pytest is pytest's.
    monkeypatch.setattr(cleanplate_cli.__main__, "_signals", list)
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def command(*words: str, by_name: bool = False) -> tuple[int, str]:
        if by_name:
            inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            done = subprocess.run(
                [sys.executable, "-m", "cleanplate_cli", *words, "--stack", system.stack.name],
                env={**inherited, "PYTHONPATH": f"{ROOT}", **system.aws.environment},
                capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            return done.returncode, done.stdout + done.stderr
        capsys.readouterr()
        code = cleanplate_cli.__main__.main([*words, "--stack", str(file)])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return command


@pytest.fixture
def shoot(photo: bytes, tmp_path: Path) -> Path:
    """A folder of two photos and a broken one, beside what is no photo."""
    folder = tmp_path / f"shoot {uuid.uuid4().hex[:8]}"
    (folder / "deep").mkdir(parents=True)
    (folder / "dog.jpg").write_bytes(photo)
    (folder / "deep" / "Grüße.jpg").write_bytes(photo)
    (folder / "broken.jpg").write_bytes(b"this is no photograph")
    (folder / ".DS_Store").write_bytes(b"x")
    return folder


def test_a_folder_is_cleaned_fixed_and_done_once_more(
    command: Command, system: System, shoot: Path, photo: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    where = ["--out", str(out)]

    system.pages(wanted=True)
    code, printed = command("run", str(shoot), "--remove", "subject", *where, by_name=True)
    assert code == 1, printed
    assert "Left alone: 1 other file (.DS_Store)." in printed
    assert "3 photos: 2 cleaned, 1 failed." in printed
    assert {"dog.jpg", "deep/Grüße.jpg", "dog.jpg.json", "broken.jpg.json"} <= {
        file.relative_to(out).as_posix() for file in out.rglob("*")
    }
    paid = system.adobe.counters()["jobs"]
    synced = _page_after_a_sync(system, shoot.name, "2 photos: 1 cleaned, 1 failed.", tmp_path / "synced")
    assert re.findall(r'data-kind="(failed|cleaned)" data-need', synced) == ["failed", "cleaned"]
    assert "NotAPhotoError" in synced
    assert synced.count('src="data:image/jpeg;base64,') == 3
    assert "X-Amz-" not in synced
    _page_after_a_sync(system, f"{shoot.name}/deep", "1 photo: 1 cleaned.", tmp_path / "synced")
    system.pages(wanted=False)

    code, printed = command("status", *where)
    assert code == 1
    assert f"{shoot.name}/: 2 photos: 1 cleaned, 1 failed." in printed
    assert f"{shoot.name}/deep/: 1 photo: 1 cleaned." in printed
    assert "In out: 3 photos: 2 cleaned, 1 failed." in printed
    assert "broken.jpg: NotAPhotoError." in printed

    # The same command passes over what is done. Nothing is paid for twice, and what failed may be asked for again.
    code, printed = command("run", str(shoot), "--remove", "subject", *where)
    assert code == 1, printed
    assert "2 photos done already" in printed
    code, printed = command("retry", *where)
    assert code == 1, printed
    assert "Cleaning 1 photo by" in printed
    assert json.loads((out / "broken.jpg.json").read_text())["run"] == 2
    assert system.adobe.counters()["jobs"] == paid

    (shoot / "broken.jpg").write_bytes(photo)
    code, printed = command("run", str(shoot), "--remove", "subject", *where)
    assert code == 0, printed
    code, printed = command("redo", "dog.jpg", "--grow", "33", *where)
    assert code == 0, printed
    manifest = json.loads((out / "dog.jpg.json").read_text())
    assert (manifest["options"]["grow"], manifest["options"]["remove"]) == (33, ["subject"])
    code, printed = command("retry", *where)
    assert (code, "Nothing has failed" in printed) == (0, True)
    page = (out / "index.html").read_text()
    assert "3 photos: 3 cleaned." in page


def _page_after_a_sync(system: System, folder: str, summary: str, where: Path) -> str:
    """The page of a folder that says so, once it is there, as it lies on a disk with what it links to beside it."""
    s3, bucket, key = system.aws.client("s3"), system.stack.results_bucket, f"{folder}/_cleanplate.html"

    def sync() -> dict[str, str]:
        pages = {}
        for entry in s3.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/").get("Contents", []):
            content = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            (where / entry["Key"]).parent.mkdir(parents=True, exist_ok=True)
            (where / entry["Key"]).write_bytes(content)
            if entry["Key"] == key:
                pages[key] = content.decode()
        return pages

    page: str = until(sync, lambda pages: summary in pages.get(key, ""))[key]
    links = [unquote(link) for link in re.findall(r'<h2><span><a href="([^"]*)"', page)]
    assert links
    assert all((where / folder / link).is_file() for link in links)
    return page


def test_nobodys_photo_in_the_bucket_is_replaced(
    command: Command, system: System, shoot: Path, photo: bytes, tmp_path: Path
) -> None:
    dropped = system.drop(photo + b"theirs", f"{shoot.name}/dog.jpg")
    code, printed = command("run", str(shoot / "dog.jpg"), "--out", str(tmp_path / "out"))
    assert code == 1, printed
    assert "dog.jpg: NameTaken." in printed
    assert "make run TO=another-name" in printed
    head = system.aws.client("s3").head_object(Bucket=system.stack.uploads_bucket, Key=dropped.key)
    assert head["VersionId"] == dropped.version_id

    code, printed = command("run", str(shoot / "dog.jpg"), "--out", str(tmp_path / "out"), "--to", f"{shoot.name}-2")
    assert code == 0, printed


def test_many_photos_are_asked_for_before_they_are_paid(
    command: Command, system: System, photo: bytes, tmp_path: Path
) -> None:
    folder = tmp_path / f"many {uuid.uuid4().hex[:8]}"
    folder.mkdir()
    for number in range(51):
        (folder / f"{number}.jpg").write_bytes(photo)
    code, printed = command("run", str(folder), "--out", str(tmp_path / "out"))
    assert code == 2, printed
    assert "51 photos: about 102 paid requests to Adobe; at the" in printed
    (folder / "_cleanplate.json").write_text('{"grow": 7}')
    code, printed = command("run", str(folder), "--review", "--out", str(tmp_path / "out"))
    assert (code, "51 photos: about 51 paid requests to Adobe; at the" in printed) == (2, True)
    assert "add --yes (make run YES=1). Nothing was uploaded." in printed
    listed = system.aws.client("s3").list_objects_v2(Bucket=system.stack.uploads_bucket, Prefix=folder.name)
    assert listed["KeyCount"] == 0


def test_dead_letters_are_listed_and_those_nobody_can_read_deleted(command: Command, system: System) -> None:
    sqs, queue = system.aws.client("sqs"), system.stack.dead_letter_queue_url
    reason: Any = {"reason": {"DataType": "String", "StringValue": "The message is not JSON."}}
    sqs.send_message(QueueUrl=queue, MessageBody="garbage", MessageAttributes=reason)
    lost = {"detail-type": "Photo Found", "detail": {"bucket": system.stack.uploads_bucket, "key": "lost/dog.jpg"}}
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(lost))

    code, printed = command("dead-letters")
    assert code == 0
    for words in ("garbage", "The message is not JSON.", "lost/dog.jpg", "was not delivered", "1 of them unreadable"):
        assert words in printed
    # Listing hides nothing from whoever comes next.
    code, printed = command("dead-letters", "delete", by_name=True)
    assert (code, printed) == (0, "1 deleted, 1 left.\n")
    code, printed = command("dead-letters", "delete", "no-such-id")
    assert code == 1
    assert "No dead letter has the id no-such-id." in printed
    code, printed = command("dead-letters", "redrive")
    assert (code, printed) == (0, "1 sent once more, 0 left.\n")
    assert "0 dead letters" in command("dead-letters", "list")[1]


def test_masks_are_looked_at_edited_and_approved(
    command: Command, system: System, shoot: Path, photo: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (shoot / "broken.jpg").unlink()
    (shoot / "_cleanplate.json").write_text('{"remove": ["subject"], "grow": 7}')
    before = system.adobe.counters()["jobs"]

    def bought() -> dict[str, int]:
        jobs = system.adobe.counters()["jobs"]
        new = {route.rpartition("/")[2]: count - before.get(route, 0) for route, count in jobs.items()}
        return {route: count for route, count in new.items() if count}

    code, printed = command("run", str(shoot), "--review", "--out", str(out))
    assert code == 0, printed
    assert "2 photos: 2 with a mask to approve." in printed
    assert "make approve PHOTOS=" in printed
    assert bought() == {"mask-objects": 2}
    assert (out / "pictures" / "dog.jpg.preview.jpg").is_file()
    page = (out / "index.html").read_text()
    assert "copy approve command" in page

    # One as it is, one edited by hand.
    mask = out / "deep" / "Grüße.jpg.mask.png"
    with Image.open(mask) as picture:
        edited = picture.convert("L")
    edited.paste(255, (0, 0, 9, 9))
    edited.save(mask)
    code, printed = command("approve", "dog.jpg", "deep/Grüße.jpg", "--out", str(out))
    assert code == 0, printed
    assert "2 photos: 2 cleaned." in printed
    assert bought() == {"mask-objects": 2, "fill-masked-areas": 2}
    as_it_is, by_hand = (json.loads((out / f"{key}.json").read_text()) for key in ("dog.jpg", "deep/Grüße.jpg"))
    assert (as_it_is["run"], as_it_is["own_mask"], as_it_is["options"]["grow"]) == (2, None, 7)
    assert (by_hand["run"], by_hand["own_mask"]["key"]) == (2, f"{shoot.name}/deep/Grüße.jpg.mask.png")
    # What a person has edited stays.
    assert mask.is_file()
    assert not (out / "dog.jpg.mask.png").exists()
    code, printed = command("approve", "dog.jpg", "--out", str(out))
    assert (code, "No mask waits for approval of dog.jpg" in printed) == (2, True)
