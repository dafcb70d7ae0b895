"""The folder of results: what people put there stays as it is, whatever is run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cleanplate_cli.errors import CommandError, OutError
from cleanplate_cli.inputs import find_photos
from cleanplate_cli.out_folder import JOURNAL, OutFolder, clean


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def content_of(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.name != JOURNAL}


# --- refused before anything starts ---


def test_a_file_cannot_be_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutError, match=r"is a file\. Name a folder"):
        OutFolder(tmp_path / "out").check()


def test_a_folder_of_somebodys_files_is_refused(out: Path) -> None:
    out.mkdir()
    (out / "index.html").write_text("mine")
    with pytest.raises(OutError, match=r"did not write\. Name a new or empty folder"):
        OutFolder(out).check()
    assert content_of(out) == {out / "index.html": b"mine"}


@pytest.mark.parametrize("way", ["plain", "by a link", "below", "by a linked photo", "ours"])
def test_photos_and_results_may_not_meet(tmp_path: Path, way: str) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    photo = photos / "sub" / "dog.jpg" if way == "below" else photos / "dog.jpg"
    photo.parent.mkdir(exist_ok=True)
    if way == "ours":
        OutFolder(photos).open().close()
    photo.write_bytes(b"dog")
    out, named = photos, photo
    if way == "by a link":
        out = tmp_path / "link"
        out.symlink_to(photos)
    if way == "by a linked photo":
        named = tmp_path / "elsewhere.jpg"
        named.symlink_to(photo)
    with pytest.raises(OutError, match="lies in OUT="):
        OutFolder(out).check([named])


def test_a_folder_that_cannot_be_written_is_reported() -> None:
    with pytest.raises(OutError, match="Nothing can be written"):
        OutFolder(Path("/proc/nowhere/out")).check()


def test_too_little_room_is_reported_with_numbers(out: Path) -> None:
    with pytest.raises(OutError, match=r"MB left, and the results need about 1000000000 MB"):
        OutFolder(out).check(room=10**15)
    assert not out.exists()


def test_two_runs_do_not_write_into_one_folder(out: Path) -> None:
    with OutFolder(out), pytest.raises(OutError, match="Another run writes"):
        OutFolder(out).open()
    with OutFolder(out):
        pass


# --- saving ---


def test_a_later_run_replaces_what_an_earlier_one_wrote(out: Path) -> None:
    with OutFolder(out) as first:
        first.save("dog.jpg", b"one", "dog")
    with OutFolder(out) as second:
        assert second.save("dog.jpg", b"two", "dog") == "dog.jpg"
    assert content_of(out) == {out / "dog.jpg": b"two"}


def test_a_result_that_somebody_edited_is_theirs(out: Path) -> None:
    with OutFolder(out) as first:
        first.save("dog.jpg", b"one", "dog")
        (out / "dog.jpg").write_bytes(b"retouched")
        assert first.save("dog.jpg", b"two", "dog") == "dog (2).jpg"
        first.remove_others("dog", keep=[])
    assert content_of(out) == {out / "dog.jpg": b"retouched"}


def test_two_photos_never_share_a_file(out: Path) -> None:
    with OutFolder(out) as folder:
        names = {folder.save("dog.jpg", owner.encode(), owner) for owner in ("a", "b", "c")}
    assert names == {"dog.jpg", "dog (2).jpg", "dog (3).jpg"}


def test_no_link_inside_leads_a_result_elsewhere(tmp_path: Path, out: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    with OutFolder(out) as folder:
        (out / "holiday").symlink_to(theirs)
        (out / "dog.jpg").symlink_to(theirs / "dog.jpg")
        assert folder.save("holiday/cat.jpg", b"cat", "cat") == "holiday_cat (2).jpg"
        assert folder.save("dog.jpg", b"dog", "dog") == "dog (2).jpg"
    assert list(theirs.iterdir()) == []


@pytest.mark.parametrize(
    "wanted", ["../dog.jpg", "/etc/dog.jpg", "a/../../dog.jpg", "..", "x" * 300 + ".jpg", "a\0b.jpg"]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, out: Path, wanted: str) -> None:
    with OutFolder(out) as folder:
        saved = folder.save(wanted, b"dog", "dog")
    assert (out / saved).resolve().is_relative_to(out.resolve())
    assert [file for file in content_of(tmp_path) if not file.is_relative_to(out)] == []


def test_a_torn_last_line_of_the_journal_is_no_trouble(out: Path) -> None:
    with OutFolder(out) as folder:
        folder.save("dog.jpg", b"dog", "dog")
        folder.note("dog", {"outcome": "cleaned"})
    with (out / JOURNAL).open("ab") as journal:
        journal.write(b'{"wrote": "cat.j')
    with OutFolder(out) as folder:
        assert folder.files() == ["dog.jpg"]
        assert folder.notes == {"dog": {"outcome": "cleaned"}}


def test_a_full_disk_is_reported_and_leaves_no_half_file(out: Path) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with OutFolder(out) as folder:
            folder.save("dog.jpg", b"dog", "dog")
            # To a process, a limit on the size of files is a disk that ends there.
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
            with pytest.raises(OutError, match=r"is full\. What was saved before stays"):
                folder.save("cat.jpg", b"x" * 10_000, "cat")
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            assert content_of(out) == {out / "dog.jpg": b"dog"}
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


# --- make clean ---


def test_clean_takes_what_was_written_and_leaves_the_rest(out: Path) -> None:
    with OutFolder(out) as folder:
        for name in ("dog.jpg", "cat.jpg", "holiday/bird.jpg"):
            folder.save(name, b"ours", name)
    (out / "cat.jpg").write_bytes(b"retouched")
    (out / "holiday" / "notes.txt").write_bytes(b"mine")
    assert clean(out) == [out / "cat.jpg", out / "holiday" / "notes.txt"]
    assert content_of(out) == {out / "cat.jpg": b"retouched", out / "holiday" / "notes.txt": b"mine"}


@pytest.mark.parametrize("way", ["file", "folder"])
def test_a_link_in_a_results_place_is_somebodys(tmp_path: Path, out: Path, way: str) -> None:
    with OutFolder(out) as folder:
        folder.save("a/dog.jpg", b"result", owner="dog")
    place = out / "a" / "dog.jpg" if way == "file" else out / "a"
    moved = tmp_path / place.name
    place.rename(moved)
    place.symlink_to(moved)
    with OutFolder(out) as folder:
        assert not folder.is_unchanged("a/dog.jpg")
        assert folder.save("a/dog.jpg", b"again", owner="dog") != "a/dog.jpg"
        folder.remove_others("dog", keep=[])
    assert place in clean(out)
    assert place.is_symlink()
    assert (out / "a" / "dog.jpg").read_bytes() == b"result"


def test_clean_takes_a_folder_that_is_all_ours(out: Path) -> None:
    with OutFolder(out) as folder:
        folder.save("holiday/dog.jpg", b"ours", "dog")
    assert clean(out) == []
    assert not out.exists()


def test_clean_leaves_a_folder_that_is_not_ours(out: Path) -> None:
    out.mkdir()
    (out / "dog.jpg").write_bytes(b"mine")
    assert clean(out) == [out]
    assert content_of(out) == {out / "dog.jpg": b"mine"}


# --- for any PHOTOS and OUT ---

_NAMES = st.sampled_from(
    [
        "dog.jpg",
        "Dog.JPG",
        "dog (2).jpg",
        "dog.jpg.json",
        "cat.heic",
        "cat.heic.jpg",
        "index.html",
        JOURNAL,
        "pictures",
        "a",
    ]
)
_FOLDERS = st.sampled_from(["", "out/", "photos/", "out/a/", "photos/out/", "out/pictures/", "a/"])
_PATHS = st.builds(str.__add__, _FOLDERS, _NAMES)
_TREES = st.dictionaries(_PATHS, st.binary(min_size=1, max_size=4), max_size=8)
_LINKS = st.dictionaries(_PATHS, st.sampled_from([".", "photos", "photos/dog.jpg", "out"]), max_size=2)


def put(top: Path, tree: dict[str, bytes], links: dict[str, str]) -> None:
    for name, content in tree.items():
        try:
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_bytes(content)
        except OSError:
            continue
    for name, target in links.items():
        try:
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).symlink_to(top / target)
        except OSError:
            continue


def seen(top: Path) -> dict[str, tuple[int, bytes | str]]:
    """Every file and link with what it holds, and which file it is."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for folder, below, files in os.walk(top):
        for name in [*files, *below]:
            path = Path(folder, name)
            if path.is_symlink():
                found[str(path)] = (path.lstat().st_ino, str(path.readlink()))
            elif path.is_file():
                found[str(path)] = (path.stat().st_ino, path.read_bytes())
    return found


def run_once(top: Path, photos: list[str], out: str, results: dict[str, bytes]) -> None:
    """All that a run does with files, for the photos that it finds; each photo's result is what ``results`` has next."""
    found = find_photos([str(top / word) for word in photos], apart_from=top / out).uploads
    folder = OutFolder(top / out)
    folder.check([photo.source for photo in found if isinstance(photo.source, Path)])
    with folder:
        for photo in found:
            name = photo.key + (".jpg" if photo.key.endswith(".heic") else "")
            content = results.get(name, b"result")
            kept = [folder.save(name, content, photo.origin)] if content != b"\0" else []
            kept.append(folder.save(photo.key + ".json", content, photo.origin))
            kept.append(folder.save(f"pictures/{photo.key}.jpg", content, photo.origin))
            folder.remove_others(photo.origin, kept)
            folder.note(photo.origin, {})
        folder.save("index.html", b"page")


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    tree=_TREES,
    links=_LINKS,
    photos=st.lists(
        st.sampled_from([".", "photos", "photos/*", "photos/dog.jpg", "out", "Out/*.jpg", "*/*"]),
        min_size=1,
        max_size=2,
    ),
    out=st.sampled_from([".", "out", "photos", "photos/out", "out/a", "a", "a/pictures"]),
    results=st.dictionaries(_NAMES, st.sampled_from([b"\0", b"other", b"result"]), max_size=3),
    later=_TREES,
    also_clean=st.booleans(),
)
def test_no_run_changes_or_removes_a_file_that_it_did_not_write(
    tmp_path_factory: pytest.TempPathFactory,
    tree: dict[str, bytes],
    links: dict[str, str],
    photos: list[str],
    out: str,
    results: dict[str, bytes],
    later: dict[str, bytes],
    also_clean: bool,
) -> None:
    top = tmp_path_factory.mktemp("home").resolve()
    put(top, tree, links)
    theirs = seen(top)
    for added in ({}, later):
        # Between two runs somebody puts files of their own there, over ours as well.
        before = seen(top)
        put(top, {name: content for name, content in added.items() if not name.endswith(JOURNAL)}, {})
        after = seen(top)
        theirs = {path: after[path] for path in theirs if path in after}
        theirs |= {path: about for path, about in after.items() if before.get(path) != about}
        try:
            run_once(top, photos, out, results)
            if also_clean:
                clean(top / out)
        except CommandError:
            pass
        now = seen(top)
        assert {path: now.get(path) for path in theirs} == theirs


def test_the_property_is_put_to_more_than_refusals(tmp_path: Path) -> None:
    """What the property test does with files really ends in results."""
    put(tmp_path, {"photos/dog.jpg": b"dog", "photos/dog.jpg.json": b"{}", "photos/cat.heic": b"cat"}, {})
    run_once(tmp_path, ["photos"], "out", {})
    written = {file.relative_to(tmp_path / "out").as_posix() for file in content_of(tmp_path / "out")}
    assert written >= {"dog.jpg", "dog.jpg.json", "cat.heic.jpg", "index.html"}
