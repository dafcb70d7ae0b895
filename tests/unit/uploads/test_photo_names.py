"""Which names are photos': one rule, asked at every door."""

from __future__ import annotations

import pytest

from cleanplate.models import Photo
from cleanplate.uploads.photo_names import ending, skip_reason


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("holiday/", "folder marker"),
        ("holiday_$folder$", "folder marker"),
        ("dog.jpg.json", "sidecar"),
        ("dog.mask.png", "own mask"),
        ("_cleanplate.json", "sidecar"),
        ("_cleanplate.html", "other file"),
        (".DS_Store", "other file"),
        ("a/Thumbs.db", "other file"),
        ("desktop.ini", "other file"),
        ("Icon\r", "other file"),
        ("a/._dog.jpg", "other file"),
        ("__MACOSX/a/dog.jpg", "other file"),
        ("@eaDir/dog.jpg/SYNOPHOTO_THUMB_XL.jpg", "other file"),
        ("dog.xmp", "other file"),
        ("dog.jpg.xmp", "other file"),
        ("IMG_1.AAE", "other file"),
        ("notes.TXT", "other file"),
        ("film.mp4", "other file"),
        ("clip.MOV", "other file"),
        ("shoot.zip", "other file"),
        (".gitkeep", "other file"),
    ],
)
def test_what_lies_beside_photos_is_left_alone(key: str, reason: str) -> None:
    assert skip_reason(Photo(bucket="uploads", key=key)) == reason


@pytest.mark.parametrize(
    "key",
    [
        "dog.jpg",
        "DOG.JPG",
        "mask.png",
        "json",
        "txt",
        "a.json/dog.jpg",
        "notes.txt/dog.jpg",
        "no ending",
        "20261127_dog",
        "dog.jpg.bak",
        "dog.v2",
        "scan.dng",
        "scan.cr2",
        "layers.psd",
        ".dog.jpg",
        "a.b/c",
        "Grüße 1+1.jpeg",
        ".../dog.jpg",
    ],
)
def test_whatever_may_be_a_photo_is_tried(key: str) -> None:
    assert skip_reason(Photo(bucket="uploads", key=key)) == ""


def test_our_own_outputs_are_never_cleaned_again() -> None:
    assert skip_reason(Photo(bucket="results", key="dog.jpg"), frozenset({"results", "work"})) == "our own output"


@pytest.mark.parametrize(
    ("key", "found"), [("a.JPG", "jpg"), ("a.b/c", ""), (".jpg", ""), ("a.tar.gz", "gz"), ("a.", "")]
)
def test_an_ending_is_of_the_name_alone(key: str, found: str) -> None:
    assert ending(key) == found
