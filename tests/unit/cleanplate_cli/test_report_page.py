"""The page, as a browser sees it; skipped where no Chromium is."""

from __future__ import annotations

import base64
import io
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from cleanplate_cli.report_page import Card, approve_command, redo_command, write_page

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def picture(colour: str) -> str:
    out = io.BytesIO()
    Image.new("RGB", (120, 80), colour).save(out, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def cards() -> list[Card]:
    red, white, green = picture("red"), picture("white"), picture("green")
    return [
        Card("dog.jpg", "cleaned", "dog.jpg", red, white, green, redo="make redo PHOTOS=dog.jpg"),
        Card("sky.jpg", "nothing_to_remove", "sky.jpg", red, white, green, labels_seen=["cloud", "bird"]),
        Card(
            "<b>broken</b>.jpg", "failed", before=picture("blue"), reason="TruncatedPhotoError",
            message="It breaks off.", what_to_do="Export it again.",
        ),
    ]  # fmt: skip


def dom(page: str, folder: Path, script: str = "") -> str:
    """What the page is once its script has run."""
    if _CHROMIUM is None:
        pytest.skip("no Chromium is installed (apt install chromium)")
    file = folder / "index.html"
    file.write_text(page.replace("</body>", f"<script>{script}</script></body>"))
    done = subprocess.run(
        [_CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/chromium", "--dump-dom",
         file.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


def names(seen: str) -> list[str]:
    """The names of the cards that are shown, in their order."""
    shown = re.findall(r"<article ([^>]*)>", seen)
    return [re.findall('data-name="([^"]*)"', about)[0] for about in shown if " hidden" not in f" {about}"]


def test_what_needs_a_look_comes_first() -> None:
    page = write_page(cards(), title="Photos", notes=["3 photos: 1 cleaned."])
    assert names(page) == ["&lt;b&gt;broken&lt;/b&gt;.jpg", "sky.jpg", "dog.jpg"]
    assert "<p class=sum>3 photos: 1 cleaned.</p>" in page
    assert "Seen in the photo: cloud, bird." in page
    assert "What to do: Export it again." in page
    assert "<b>broken</b>" not in page
    assert "http" not in re.sub('data:[^"]*', "", page)


def test_photos_of_one_kind_stand_by_name_and_number(tmp_path: Path) -> None:
    given = ["b.jpg", "IMG_10.jpg", "IMG_2.jpg", "img_3.jpg", "7", "IMG_"]
    page = write_page([Card(name, "cleaned") for name in given], title="Photos", notes=["Six."])
    there = ["7", "b.jpg", "IMG_", "IMG_2.jpg", "img_3.jpg", "IMG_10.jpg"]
    assert names(page) == there
    assert names(dom(page, tmp_path, "sort.value = 'need'; sort.onchange();")) == there


def test_a_name_of_any_kind_survives_the_redo_command() -> None:
    command = redo_command("my dog's; $(rm).jpg", [("remove", "dog,leash")], out="out put", stack="mine")
    words = dict(word.partition("=")[::2] for word in shlex.split(command)[2:])
    assert shlex.split(words["PHOTOS"]) == ["my dog's; $(rm).jpg"]
    assert (words["REMOVE"], words["OUT"], words["STACK"]) == ("dog,leash", "out put", "mine")


def test_a_mask_to_approve_is_shown_with_its_command() -> None:
    command = approve_command("my dog.jpg", out="out put", stack="mine")
    words = dict(word.partition("=")[::2] for word in shlex.split(command)[2:])
    assert shlex.split(words["PHOTOS"]) == ["my dog.jpg"]
    waiting = Card("my dog.jpg", "mask_ready", "my dog.jpg.mask.png", picture("red"), approve=command)
    page = write_page([*cards(), waiting], title="Photos", notes=[])
    assert names(page)[:2] == ["&lt;b&gt;broken&lt;/b&gt;.jpg", "my dog.jpg"]
    assert "copy approve command" in page
    assert "mask to approve 1" in page


def test_a_browser_filters_and_finds(tmp_path: Path) -> None:
    page = write_page(cards(), title="Photos", notes=[])
    assert len(names(dom(page, tmp_path))) == 3
    assert names(dom(page, tmp_path, "document.querySelector('[data-kind=cleaned]').click()")) == ["dog.jpg"]
    find = "find.value = 'SKY'; find.oninput()"
    assert names(dom(page, tmp_path, find)) == ["sky.jpg"]
    assert names(dom(page, tmp_path, "sort.value = 'name'; sort.onchange()"))[1:] == ["dog.jpg", "sky.jpg"]


def test_a_browser_compares_and_enlarges(tmp_path: Path) -> None:
    page = write_page(cards(), title="Photos", notes=[])
    move = "const r = document.querySelector('input[type=range]'); r.value = 10;"
    moved = dom(page, tmp_path, move + "r.dispatchEvent(new Event('input', {bubbles: true}))")
    assert "--at: 10%" in moved
    large = dom(page, tmp_path, "document.querySelector('[data-act=large]').click()")
    assert re.search(r"<dialog[^>]* open", large)
    assert re.search(r"<strong>&lt;b&gt;broken", large)
    keys = "document.querySelector('[data-act=large]').click(); step(1); step(1)"
    assert "<strong>dog.jpg</strong>" in dom(page, tmp_path, keys)
