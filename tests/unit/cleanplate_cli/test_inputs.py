"""Which photos somebody means, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from cleanplate_cli.errors import PhotosError
from cleanplate_cli.inputs import companions_by_photo, companions_on_disk, find_photos, split_words


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """A folder as a photo team has it."""
    folder = tmp_path / "shoot 1"
    for name in ("dog.jpg", "CAT.HEIC", "without", "deep/bird.png", "odd.v2"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"photo")
    for name in (".DS_Store", "Thumbs.db", "dog.xmp", "notes.txt", "film.MP4", "deep/._bird.png", "package.json"):
        (folder / name).write_bytes(b"other")
    (folder / "dog.jpg.json").write_bytes(b'{"remove": "leash"}')
    (folder / "dog.mask.png").write_bytes(b"mask")
    (folder / "CAT.HEIC.json").write_bytes(b'{"schema": "cleanplate/1", "outcome": "cleaned"}')
    (folder / ".trash").mkdir()
    (folder / ".trash" / "old.jpg").write_bytes(b"gone")
    return folder


@pytest.mark.parametrize("pattern", ["", "/*"])
def test_a_folder_gives_its_photos_and_counts_the_rest(shoot: Path, pattern: str) -> None:
    found = find_photos([f"{shoot}{pattern}"], {"remove": "dog"})
    keys = [upload.key for upload in found.uploads]
    deep = [] if pattern else ["deep/bird.png"]
    assert keys == ["dog.jpg.json", "dog.mask.png", "CAT.HEIC", *deep, "dog.jpg", "odd.v2", "without"]
    assert {upload.key for upload in found.uploads if upload.companion} == {"dog.jpg.json", "dog.mask.png"}
    assert {upload.key for upload in found.uploads if upload.metadata} == set(keys[2:])
    reasons = list(found.left.values())
    assert reasons.count("manifest") == 1
    assert reasons.count("sidecar without its photo") == 1
    assert "other file" in found.words
    assert ".trash" not in str(found.left)


def test_a_file_that_is_named_is_left_with_a_word(shoot: Path) -> None:
    assert "notes.txt" in find_photos([str(shoot / "notes.txt"), str(shoot / "dog.jpg")]).words
    with pytest.raises(PhotosError, match=r"There is no photo in .*1 other file"):
        find_photos([str(shoot / "notes.txt")])


def test_nothing_at_a_place_is_an_error_that_names_it(shoot: Path) -> None:
    with pytest.raises(PhotosError, match=r"No photo is at .*dgo\.jpg"):
        find_photos([str(shoot / "dgo.jpg")])


def test_one_photo_named_twice_is_one_photo(shoot: Path) -> None:
    found = find_photos([str(shoot / "odd.v2"), str(shoot), str(shoot / "*.jpg")])
    assert len({upload.source for upload in found.uploads}) == len(found.uploads)


def test_photos_of_one_name_get_their_folders_names(tmp_path: Path) -> None:
    for name in ("a/dog.jpg", "b/dog.jpg", "b/dog.jpg.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{}")
    found = find_photos([str(tmp_path / "a" / "dog.jpg"), str(tmp_path / "b")])
    assert [upload.key for upload in found.uploads] == ["b/dog.jpg.json", "a/dog.jpg", "b/dog.jpg"]


def test_a_sidecar_keeps_its_photo_where_folders_have_one_name(tmp_path: Path) -> None:
    for name in ("1/raw/dog.jpg", "2/raw/dog.jpg", "2/raw/dog.jpg.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"{}")
    found = find_photos([str(tmp_path / "1" / "raw"), str(tmp_path / "2" / "raw")])
    beside = companions_by_photo(found.uploads)
    assert {photo.origin: len(beside[photo.key]) for photo in found.uploads if not photo.companion} == {
        str(tmp_path / "1" / "raw" / "dog.jpg"): 0,
        str(tmp_path / "2" / "raw" / "dog.jpg"): 1,
    }


def test_what_lies_beside_a_photo_goes_beside_its_key(shoot: Path) -> None:
    (shoot / "deep" / "bird.png.json").write_bytes(b'{"remove": "twig"}')
    (shoot / "deep" / "_cleanplate.json").write_bytes(b"{}")
    found = companions_on_disk(shoot / "deep" / "bird.png", "deep/bird.png")
    assert [each.key for each in found] == ["deep/_cleanplate.json", "deep/bird.png.json"]
    # A manifest is no sidecar.
    assert not companions_on_disk(shoot / "CAT.HEIC", "CAT.HEIC")


def test_results_in_the_same_folder_are_no_photos(shoot: Path) -> None:
    found = find_photos([str(shoot)], apart_from=shoot / "deep")
    assert "deep/bird.png" not in [upload.key for upload in found.uploads]


def test_a_name_with_spaces_needs_no_quotes_where_it_is_there(shoot: Path) -> None:
    assert split_words(str(shoot)) == [str(shoot)]
    assert split_words("'a b.jpg' c/") == ["a b.jpg", "c/"]
    with pytest.raises(PhotosError, match="quote names with spaces"):
        split_words("a'b.jpg c")


def test_labels_in_any_letters_travel_as_ascii(shoot: Path) -> None:
    (upload,) = find_photos([str(shoot / "without")], {"remove": "Hündin"}).uploads
    assert upload.metadata["remove"].isascii()


def test_a_folders_own_files_come_along_with_its_photos(shoot: Path) -> None:
    (shoot / "_cleanplate.json").write_text('{"grow": 3}')
    (shoot / "_cleanplate.mask.png").write_bytes(b"mask")
    (shoot / "dog.jpg.mask.png").write_bytes(b"mask")
    found = find_photos([str(shoot)])
    companions = {upload.key for upload in found.uploads if upload.companion}
    own = {"dog.jpg.json", "dog.mask.png", "dog.jpg.mask.png"}
    assert companions == {"_cleanplate.json", "_cleanplate.mask.png", *own}
    beside = {key: [each.key for each in companions] for key, companions in companions_by_photo(found.uploads).items()}
    assert beside["dog.jpg"] == ["_cleanplate.json", "_cleanplate.mask.png", *sorted(own)]
    assert beside["CAT.HEIC"] == ["_cleanplate.json", "_cleanplate.mask.png"]
    # A folder inside it is a folder of its own.
    assert beside["deep/bird.png"] == []
