"""What the commands mean by the words that people give them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from rich.console import Console

from cleanplate_cli import __main__, commands
from cleanplate_cli.collecting import Ending
from cleanplate_cli.commands import add_commands
from cleanplate_cli.out_folder import OutFolder
from cleanplate_cli.run import RunArgs

Given = Callable[..., RunArgs]
OUTPUTS = ("UploadsBucketName", "ResultsBucketName", "WorkBucketName", "ReportProgressFunctionName")


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """Return what a command would run on a deployed stack."""

    def given(*words: str) -> RunArgs:
        runs: list[RunArgs] = []

        def run(run_args: RunArgs, *_: object) -> int:
            runs.append(run_args)
            return 0

        monkeypatch.setattr(commands, "find_stack", lambda _name: None)
        monkeypatch.setattr(commands, "run", run)
        parser = argparse.ArgumentParser()
        add_commands(parser.add_subparsers())
        args = parser.parse_args([*words, "--stack", "mine"])
        assert args.command(args, Console(quiet=True), None, None) == 0
        return runs[0]

    return given


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    """A folder of results in which one photo, of a folder inside the folder that was named, has failed."""
    photo = tmp_path / "shoot" / "deep" / "dog.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b"photo")
    photo.with_name("dog.jpg.json").write_text('{"remove": "leash"}')
    photo.with_name("dog.mask.png").write_bytes(b"mask")
    ending = Ending(
        "deep/dog.jpg", str(photo), "task", "failed", uploaded_as="shoot/deep/dog.jpg", options={"grow": "9"}
    )
    with OutFolder(tmp_path / "out") as out:
        out.note(ending.origin, asdict(ending))
    return tmp_path / "out"


@pytest.mark.parametrize("words", [["retry"], ["redo", "deep/dog.jpg", "--grow", "9"]], ids=lambda words: words[0])
def test_what_lies_beside_a_photo_goes_along_once_more(given: Given, failed: Path, words: list[str]) -> None:
    run_args = given(*words, "--out", str(failed))
    assert [upload.key for upload in run_args.uploads] == [
        "deep/dog.jpg.json",
        "deep/dog.mask.png",
        "deep/dog.jpg",
    ]
    assert [upload.key for upload in run_args.photos] == ["deep/dog.jpg"]
    assert run_args.photos[0].options == {"grow": "9"}
    assert run_args.folder == "shoot/"


@pytest.mark.parametrize(("to", "folder"), [("/", ""), ("a/b/", "a/b/"), ("/c", "c/")])
def test_a_slash_is_the_top_of_the_bucket_for_every_command(given: Given, failed: Path, to: str, folder: str) -> None:
    photos = str(failed.with_name("shoot"))
    assert given("run", photos, "--remove", "dog", "--out", str(failed), "--to", to).folder == folder
    assert given("retry", "--out", str(failed), "--to", to).folder == folder


@pytest.mark.parametrize("photos", ["shoot", "shoot/deep/../**/*.jpg", "shoot/**/*.jpg", "shoot/[a-z]*/dog.jpg"])
def test_photos_go_below_the_folder_that_is_there(
    given: Given, failed: Path, photos: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(failed.parent)
    assert given("run", photos, "--remove", "dog", "--out", str(failed)).folder == "shoot/"


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDenied", "Message": "no s3:PutObject"}}, "PutObject"),
        EndpointConnectionError(endpoint_url="https://s3.eu-west-1.amazonaws.com"),
    ],
)
def test_what_aws_refuses_is_reported_in_words(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> int:
        raise error

    monkeypatch.setattr(__main__, "_signals", list)
    assert __main__.go(argparse.Namespace(command=refused, is_plain=True), None, None) == __main__.CANNOT_START
    said = capsys.readouterr().err
    assert str(error) in said
    assert "AWS_PROFILE" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "."], "There is no photo in"),
        (["run", "nowhere.jpg"], "No photo is at nowhere.jpg"),
        (["run"], "Name the photos"),
        (["run", "dog.jpg", "--out", "."], "lies in OUT="),
        (["redo", "dog.jpg"], "No photo dog.jpg was cleaned into"),
        (["run", "x.jpg", "--option", "removes=dog"], "has an unknown option 'removes'; accepted are remove"),
        (["run", "x.jpg", "--grow", "lots"], "The option grow is 'lots'"),
        (["status", "--stack", "nowhere.json"], "nowhere.json is not there. `make up` writes it while it runs."),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(__main__, "_signals", list)
    if "dog.jpg" in words and "run" in words:
        Path("dog.jpg").write_bytes(b"photo")
    if "--stack" not in words:
        # Nothing of it is used before a photo goes there.
        Path("stack.json").write_text(
            json.dumps(
                {
                    "endpoint_url": "http://127.0.0.1:9",
                    "region": "us-east-1",
                    "access_key_id": "test",
                    "secret_access_key": "test",
                    "event_bus": "default",
                    "outputs": dict.fromkeys(OUTPUTS, "mine"),
                }
            )
        )
        words = [*words, "--stack", "stack.json"]
    assert __main__.main(words) == __main__.CANNOT_START
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
