"""The page, as a browser sees it; skipped where no Chromium is."""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from html import escape, unescape
from pathlib import Path

import pytest
from PIL import Image

from cleanplate.page.html import Card, article, articles_of, page_html
from cleanplate_cli.page import approve_command, redo_command

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def picture(colour: str) -> str:
    out = io.BytesIO()
    Image.new("RGB", (120, 80), colour).save(out, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def page_of(cards: list[Card], *notes: str) -> str:
    return page_html([article(card) for card in cards], title="Photos", notes=notes)


def cards() -> list[Card]:
    red, white, green = picture("red"), picture("white"), picture("green")
    return [
        Card("dog.jpg", "cleaned", "dog.jpg", red, white, green, commands=[("redo", "make redo PHOTOS=dog.jpg")]),
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
         "--virtual-time-budget=2000",
         file.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


def doms(page: str, folder: Path, *scripts: str) -> list[str]:
    """What the page is after each of these scripts: a page in a frame for each, since a start of the browser is dear."""
    frames = "".join(
        f'<iframe width=1200 height=900 srcdoc="{escape(page.replace("</body>", f"<script>{script}</script></body>"))}"></iframe>'
        for script in scripts
    )
    collect = "[...document.querySelectorAll('iframe')].map(frame => frame.contentDocument.documentElement.outerHTML)"
    write = f"onload = () => {{ document.body.textContent = JSON.stringify({collect}) }}"
    seen = dom(f"<!doctype html><html><body>{frames}</body></html>", folder, write)
    found: list[str] = json.loads(unescape(re.findall("<body>(.*)</body>", seen, re.DOTALL)[0]))
    return found


def names(seen: str) -> list[str]:
    """The names of the cards that are shown, in their order."""
    shown = re.findall(r"<article ([^>]*)>", seen)
    return [re.findall('data-name="([^"]*)"', about)[0] for about in shown if " hidden" not in f" {about}"]


def test_what_needs_a_look_comes_first() -> None:
    page = page_of(cards(), "3 photos: 1 cleaned.")
    assert names(page) == ["&lt;b&gt;broken&lt;/b&gt;.jpg", "sky.jpg", "dog.jpg"]
    assert "<p class=sum>3 photos: 1 cleaned.</p>" in page
    assert "Seen in the photo: cloud, bird." in page
    assert "What to do: Export it again." in page
    assert "<b>broken</b>" not in page
    assert "http" not in re.sub('data:[^"]*', "", page)


def test_photos_of_one_kind_stand_by_name_and_number(tmp_path: Path) -> None:
    given = ["b.jpg", "IMG_10.jpg", "IMG_2.jpg", "img_3.jpg", "7", "IMG_"]
    page = page_of([Card(name, "cleaned") for name in given])
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
    waiting = Card("my dog.jpg", "mask_ready", "my dog.jpg.mask.png", picture("red"), commands=[("approve", command)])
    page = page_of([*cards(), waiting])
    assert names(page)[:2] == ["&lt;b&gt;broken&lt;/b&gt;.jpg", "my dog.jpg"]
    assert "copy approve command" in page
    assert "mask to approve 1" in page


def test_a_browser_filters_and_finds(tmp_path: Path) -> None:
    untouched, filtered, searched, sorted_ = doms(
        page_of(cards()),
        tmp_path,
        "",
        "document.querySelector('[data-kind=cleaned]').click()",
        "find.value = 'SKY'; find.oninput()",
        "sort.value = 'name'; sort.onchange()",
    )
    assert len(names(untouched)) == 3
    assert names(filtered) == ["dog.jpg"]
    assert names(searched) == ["sky.jpg"]
    assert names(sorted_)[1:] == ["dog.jpg", "sky.jpg"]


def test_a_browser_compares_and_enlarges(tmp_path: Path) -> None:
    moved, large, masked, stepped = doms(
        page_of(cards()),
        tmp_path,
        "const r = document.querySelector('input[type=range]'); r.value = 10;"
        "r.dispatchEvent(new Event('input', {bubbles: true}))",
        "document.querySelector('[data-act=large]').click()",
        "document.querySelectorAll('[data-act=large]')[2].click(); document.querySelector('dialog [data-act=mask]').click()",
        "document.querySelector('[data-act=large]').click(); step(1); step(1)",
    )
    assert "--at: 10%" in moved
    assert re.search(r"<dialog[^>]* open", large)
    assert re.search(r"<strong>&lt;b&gt;broken", large)
    assert re.search(r'<dialog[^>]* class="showmask"', masked)
    assert "<strong>dog.jpg</strong>" in stepped


def test_a_copy_button_has_its_own_words_again_however_often_it_is_clicked(tmp_path: Path) -> None:
    clicks = "navigator.clipboard.writeText = async () => {}; const b = document.querySelector('[data-act=copy]');"
    seen = dom(page_of(cards()), tmp_path, clicks + "b.click(); setTimeout(() => b.click(), 100)")
    assert ">copy redo command</button>" in seen


def test_an_enlarged_photo_is_the_file_itself_where_it_is_there(tmp_path: Path) -> None:
    for name in ("my dog.jpg", "dog before.png"):
        Image.new("RGB", (640, 480), "purple").save(tmp_path / name)
    shown = Card(
        "my dog.jpg", "cleaned", "my dog.jpg", picture("red"), "", picture("green"),
        before_file="dog before.png", after_file="my dog.jpg",
    )  # fmt: skip
    enlarge = "document.querySelector('[data-act=large]').click()"
    stage = dom(page_of([shown]), tmp_path, enlarge).partition("<dialog")[2]
    assert re.findall(r'src="file:[^"]*/([^"/]+)"', stage) == ["my%20dog.jpg", "dog%20before.png"]
    gone = dom(page_of([replace(shown, before_file="sent-on/dog.jpg", after_file="dog.heic")]), tmp_path, enlarge)
    assert not re.findall(r'src="file:', gone.partition("<dialog")[2])
    assert gone.partition("<dialog")[2].count('src="data:') == 2


def test_a_photo_of_any_name_is_one_line_and_can_be_taken_over() -> None:
    odd = ["a\nb.jpg", "c\u2028\r.jpg", "<script>.jpg", "q\"'&amp;.jpg", "\ud800.jpg", "é🐶.jpg", ""]
    made = [article(Card(name, "failed", name, picture("red"), message=name, at=7), made_of="e&1") for name in odd]
    page = page_html(made, title="Photos", notes=[])
    taken = articles_of(page)
    assert sorted(one.html for one in taken) == sorted(one.html for one in made)
    assert {(one.outcome, one.made_of) for one in taken} == {("failed", "e&1")}
    assert {one.name for one in taken} >= set(odd) - {"\ud800.jpg"}
    assert page.encode()
    assert not articles_of(page.replace('content="cleanplate ', 'content="another '))
    assert not articles_of(page_of([Card("a.jpg", "failed")]))


def test_the_first_photos_are_shown_at_once_and_the_others_as_they_come() -> None:
    made = [article(Card(f"{n}.jpg", "cleaned", before=picture("red")), made_of=f"{n}") for n in range(30)]
    page = page_html(made, title="Photos", notes=[])
    assert page.count('loading="lazy"') == 6
    assert sum("loading" in one.html for one in articles_of(page)) == 30


def test_large_folders_have_pages_that_lead_to_each_other(tmp_path: Path) -> None:
    names = ["_cleanplate.html", "_cleanplate-2.html"]
    page = page_html([article(Card("a:b.jpg", "cleaned", "a:b.jpg"))], title="Photos", notes=[], page=2, pages=names)
    assert 'Page 2 of 2: <a href="_cleanplate.html">1</a> <b aria-current="page">2</b>' in page
    assert 'href="a%3Ab.jpg"' in page
    assert "Page" not in page_of(cards())
