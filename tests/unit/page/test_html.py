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


#: Milliseconds of its own time that the browser has: pictures are loaded and buttons have their words again by then.
_BROWSER_MS = 2000
_SORTED_NAMES = ["7", "b.jpg", "IMG_", "IMG_2.jpg", "img_3.jpg", "IMG_10.jpg"]


def views() -> dict[str, tuple[str, str]]:
    """Return the pages that the browser opens, and what is done in each."""
    three = page_of(cards())
    slide = (
        "const r = document.querySelector('input[type=range]'); r.value = 10;"
        "r.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    enlarge = "document.querySelector('[data-act=large]').click();"
    copy = "navigator.clipboard.writeText = async () => {}; const b = document.querySelector('[data-act=copy]');"
    files = Card(
        "my dog.jpg", "cleaned", "my dog.jpg", picture("red"), "", picture("green"),
        before_file="dog before.png", after_file="my dog.jpg",
    )  # fmt: skip
    gone = replace(files, before_file="sent-on/dog.jpg", after_file="dog.heic")
    return {
        "untouched": (three, ""),
        "filtered": (three, "document.querySelector('[data-kind=cleaned]').click()"),
        "searched": (three, "find.value = 'SKY'; find.oninput()"),
        "sorted": (three, "sort.value = 'name'; sort.onchange()"),
        "moved": (three, slide),
        "enlarged": (three, enlarge),
        "masked": (
            three,
            "document.querySelectorAll('[data-act=large]')[2].click(); document.querySelector('dialog [data-act=mask]').click()",
        ),
        "stepped": (three, enlarge + "step(1); step(1)"),
        "copied": (three, copy + "b.click(); setTimeout(() => b.click(), 100)"),
        "numbered": (
            page_of([Card(name, "cleaned") for name in reversed(_SORTED_NAMES)]),
            "sort.value = 'need'; sort.onchange()",
        ),
        "files": (page_of([files]), enlarge),
        "files gone": (page_of([gone]), enlarge),
    }


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what each page is in the end. All are frames of one page: a start of the browser takes half a second."""
    if _CHROMIUM is None:
        pytest.skip("no Chromium is installed (apt install chromium)")
    folder, opened = tmp_path_factory.mktemp("page"), views()
    for name in ("my dog.jpg", "dog before.png"):
        Image.new("RGB", (640, 480), "purple").save(folder / name)
    frames = "".join(
        f'<iframe width=1200 height=900 srcdoc="{escape(page.replace("</body>", f"<script>{script}</script></body>"))}"></iframe>'
        for page, script in opened.values()
    )
    collect = "[...document.querySelectorAll('iframe')].map(frame => frame.contentDocument.documentElement.outerHTML)"
    write = f"setTimeout(() => {{ document.body.textContent = JSON.stringify({collect}) }}, {_BROWSER_MS - 100})"
    file = folder / "index.html"
    file.write_text(f"<!doctype html><html><body>{frames}<script>{write}</script></body></html>")
    done = subprocess.run(
        [_CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/chromium", "--dump-dom",
         f"--virtual-time-budget={_BROWSER_MS}",
         file.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found = json.loads(unescape(re.findall("<body>(.*)</body>", done.stdout, re.DOTALL)[0]))
    return dict(zip(opened, found, strict=True))


def names(seen: str) -> list[str]:
    """Return the names of the cards that are shown, in their order."""
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


def test_photos_of_one_kind_stand_by_name_and_number() -> None:
    page = page_of([Card(name, "cleaned") for name in reversed(_SORTED_NAMES)])
    assert names(page) == _SORTED_NAMES


def test_a_browser_sorts_by_name_and_number_too(seen: dict[str, str]) -> None:
    assert names(seen["numbered"]) == _SORTED_NAMES


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


def test_a_browser_filters_and_finds(seen: dict[str, str]) -> None:
    assert len(names(seen["untouched"])) == 3
    assert names(seen["filtered"]) == ["dog.jpg"]
    assert names(seen["searched"]) == ["sky.jpg"]
    assert names(seen["sorted"])[1:] == ["dog.jpg", "sky.jpg"]


def test_a_browser_compares_and_enlarges(seen: dict[str, str]) -> None:
    assert "--at: 10%" in seen["moved"]
    assert re.search(r"<dialog[^>]* open", seen["enlarged"])
    assert re.search(r"<strong>&lt;b&gt;broken", seen["enlarged"])
    assert re.search(r'<dialog[^>]* class="showmask"', seen["masked"])
    assert "<strong>dog.jpg</strong>" in seen["stepped"]


def test_a_copy_button_has_its_own_words_again_however_often_it_is_clicked(seen: dict[str, str]) -> None:
    assert ">copy redo command</button>" in seen["copied"]


def test_an_enlarged_photo_is_the_file_itself_where_it_is_there(seen: dict[str, str]) -> None:
    stage = seen["files"].partition("<dialog")[2]
    assert re.findall(r'src="file:[^"]*/([^"/]+)"', stage) == ["my%20dog.jpg", "dog%20before.png"]
    stage = seen["files gone"].partition("<dialog")[2]
    assert not re.findall(r'src="file:', stage)
    assert stage.count('src="data:') == 2


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
