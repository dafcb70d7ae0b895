"""The page that shows what was done: one file, no network, readable on a phone, in light and dark."""

from __future__ import annotations

import hashlib
import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Card:
    """One photo on the page. Pictures are data URIs, files are paths seen from the page; empty where there are none."""

    name: str
    outcome: str
    #: The result.
    result: str = ""
    before: str = ""
    mask: str = ""
    after: str = ""
    #: The files of which ``before`` and ``after`` are small copies: shown where a photo is enlarged, if they are there.
    before_file: str = ""
    after_file: str = ""
    facts: Sequence[tuple[str, str]] = ()
    #: For a failed photo: what happened, and what to do.
    reason: str = ""
    message: str = ""
    what_to_do: str = ""
    #: Where nothing was removed: what Adobe saw.
    labels_seen: Sequence[str] = ()
    credit: str = ""
    #: Commands to copy: the name of each, and the words.
    commands: Sequence[tuple[str, str]] = ()
    #: When it was done, or any other number that grows: the page can be sorted by it.
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Article:
    """One photo as it stands on the page, in one line of HTML.

    ``made_of`` names what it was made of, so that a later page may take it as it is; empty where it may not.
    """

    name: str
    outcome: str
    html: str
    made_of: str = ""


OUTCOMES = {
    "failed": "failed",
    "missing": "no outcome",
    "mask_ready": "mask to approve",
    "nothing_to_remove": "nothing to remove",
    "cleaned": "cleaned",
}
#: What needs a look comes first.
_ORDER = tuple(OUTCOMES)
#: So many photos are shown with the page; the pictures of the others come as they are scrolled to.
_AT_ONCE = 24
_LATER = ' loading="lazy" decoding="async"'
_LARGE = (
    '<dialog><div class="bar"><strong></strong><span><button data-act="back">previous (p)</button> '
    '<button data-act="next">next (n)</button> <button data-act="mask">mask (m)</button> <button data-act="zoom">zoom (z)</button> '
    '<button data-act="close">close (Esc)</button></span></div><div class="stage"></div></dialog>'
)
_ARTICLE = re.compile(
    r'<article data-of="([^"]+)" data-kind="([^"]*)" data-need="\d+" data-at="[^"]*" data-name="([^"]*)"'
)
_FOLDER = Path(__file__).parent
_GENERATOR = '<meta name="generator" content="cleanplate {}">'


def page_html(
    articles: Sequence[Article], *, title: str, notes: Sequence[str], page: int = 1, pages: Sequence[str] = ()
) -> str:
    """Return the page as HTML.

    ``notes`` come below the title, the first of them as the summary. ``pages`` are the files of all pages where there is
    more than one, and this is number ``page`` of them.
    """
    paragraphs = "".join(f"<p{'' if number else ' class=sum'}>{_text(note)}</p>" for number, note in enumerate(notes))
    lines = [
        article.html if place >= _AT_ONCE else article.html.replace(_LATER, "")
        for place, article in enumerate(in_order(articles))
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"{_GENERATOR.format(_edition())}<title>{_text(title)}</title>",
            f"<style>{_asset('page.css')}</style></head>",
            f"<body><main><header><h1>{_text(title)}</h1>{paragraphs}{_links(page, pages)}</header>",
            _tools(articles),
            '<p class="empty" hidden>No photo is like that.</p><div class="grid">',
            *lines,
            f"</div></main>\n{_LARGE}<script>{_asset('page.js')}</script></body></html>\n",
        ]
    )


def article(card: Card, made_of: str = "") -> Article:
    """Return one photo as HTML; everything in it is escaped, for a file may be called anything."""
    name = _text(card.name)
    if card.result:
        name = f'<a href="{_address(card.result)}">{name}</a>'
    word = _text(OUTCOMES.get(card.outcome, card.outcome))
    parts = [f'<h2><span>{name}</span><span class="outcome {_text(card.outcome)}">{word}</span></h2>', _pictures(card)]
    if card.reason or card.message:
        reason = f"<strong>{_text(card.reason)}{':' if card.message else ''}</strong> " if card.reason else ""
        parts.append(f'<p class="reason">{reason}{_text(card.message)}</p>')
    if card.outcome == "nothing_to_remove":
        parts.append(f'<p class="next">Seen in the photo: {_text(", ".join(card.labels_seen)) or "nothing"}.</p>')
    if card.what_to_do:
        parts.append(f'<p class="next">What to do: {_text(card.what_to_do)}</p>')
    parts.append(_buttons(card))
    if card.facts:
        facts = "".join(f"<div><dt>{_text(n)}</dt><dd>{_text(v)}</dd></div>" for n, v in card.facts)
        parts.append(f"<dl>{facts}</dl>")
    if card.credit:
        parts.append(f'<p class="credit">Photograph: {_text(card.credit)}</p>')
    about = f'data-of="{_text(made_of)}" data-kind="{_text(card.outcome)}" data-need="{_need(card.outcome)}"'
    line = f'<article {about} data-at="{card.at:.3f}" data-name="{_text(card.name)}">{"".join(parts)}</article>'
    return Article(card.name, card.outcome, line, made_of)


def articles_of(page: str) -> list[Article]:
    """Return the photos of a page that a later one may take as they are; none of a page of another edition."""
    if _GENERATOR.format(_edition()) not in page[:400]:
        return []
    return [
        Article(html.unescape(found[3]), html.unescape(found[2]), _lazy(line), html.unescape(found[1]))
        for line in page.split("\n")
        if (found := _ARTICLE.match(line))
    ]


def picture_side(photos: int) -> int:
    """Return how long the small pictures of so many photos are at most, in pixels: where there are many, the page must
    still open.
    """
    return 900 if photos <= _AT_ONCE else 320


class OnPage(Protocol):
    """What the order of a page goes by."""

    @property
    def name(self) -> str:
        """The photo's name."""

    @property
    def outcome(self) -> str:
        """How it ended."""


Photo = TypeVar("Photo", bound=OnPage)


def in_order(articles: Sequence[Photo]) -> list[Photo]:
    """Return the photos in the order in which a page shows them: what needs a look first, then by name."""
    return sorted(articles, key=lambda one: (_need(one.outcome), _natural(one.name)))


def summary(outcomes: Sequence[str]) -> str:
    """Return one sentence: ``60 photos: 55 cleaned, 3 nothing to remove, 2 failed.``"""
    if not outcomes:
        return "No photos."
    counts = Counter(outcomes)
    words = [
        f"{counts[outcome]} {word}"
        for outcome, word in (
            ("cleaned", "cleaned"),
            ("nothing_to_remove", "nothing to remove"),
            ("mask_ready", "with a mask to approve"),
            ("failed", "failed"),
            ("missing", "without an outcome"),
        )
        if counts[outcome]
    ]
    return f"{len(outcomes)} photo{'' if len(outcomes) == 1 else 's'}: {', '.join(words)}."


def _text(words: str) -> str:
    """Return words for text or an attribute, all in one line; a lone half of a surrogate pair cannot be written."""
    escaped = html.escape(words.encode("utf-8", "replace").decode(), quote=True)
    return escaped.replace("\n", "&#10;").replace("\r", "&#13;")


def _address(path: str) -> str:
    """Return a path as a link; of a name such as ``a:b.jpg`` no browser may make a scheme."""
    return html.escape(quote(path, errors="replace"), quote=True)


def _need(outcome: str) -> int:
    return _ORDER.index(outcome) if outcome in _ORDER else 0


def _natural(name: str) -> list[tuple[str, int]]:
    """Return what puts ``IMG_2`` before ``IMG_10``."""
    parts = re.split("([0-9]+)", name.casefold())
    return [(word, int(number)) for word, number in zip_longest(parts[::2], parts[1::2], fillvalue="0")]


def _links(page: int, pages: Sequence[str]) -> str:
    if len(pages) < 2:
        return ""
    links = (
        f'<b aria-current="page">{number}</b>' if number == page else f'<a href="{_address(name)}">{number}</a>'
        for number, name in enumerate(pages, 1)
    )
    return f'<p class="pages">Page {page} of {len(pages)}: {" ".join(links)}</p>'


def _tools(articles: Sequence[Article]) -> str:
    counts = Counter(one.outcome for one in articles)
    buttons = [f'<button data-kind="all" aria-pressed="true">all {len(articles)}</button>'] + [
        f'<button data-kind="{outcome}" aria-pressed="false">{OUTCOMES[outcome]} {counts[outcome]}</button>'
        for outcome in _ORDER
        if counts[outcome]
    ]
    return (
        f'<nav>{"".join(buttons)}<input type="search" id="find" placeholder="find a name ( / )" aria-label="find a name">'
        '<select id="sort" aria-label="order"><option value="need">what needs a look first</option>'
        '<option value="name">by name</option><option value="order">as cleaned</option></select></nav>'
    )


def _pictures(card: Card) -> str:
    if not card.before:
        return ""
    if not card.after:
        return f'<div class="plain">{_image(card.before, f"{card.name}, the photo", file=card.before_file)}</div>'
    mask = _image(card.mask, f"{card.name}, what was filled", "mask") if card.mask else ""
    return (
        f'<div class="compare">{_image(card.after, f"{card.name}, after", file=card.after_file)}'
        f"{_image(card.before, f'{card.name}, before', 'top', file=card.before_file)}{mask}<b>before</b><b>after</b>"
        f'<input type="range" min="0" max="100" value="50" aria-label="{_text(card.name)}: before and after"></div>'
    )


def _buttons(card: Card) -> str:
    buttons = []
    if card.before:
        buttons.append('<button data-act="large">enlarge</button>')
    if card.mask:
        buttons.append('<button data-act="mask">mask</button>')
    for name, command in card.commands:
        words = _text(command)
        buttons.append(f'<button data-act="copy" data-words="{words}" title="{words}">copy {name} command</button>')
    return f'<div class="tools">{"".join(buttons)}</div>' if buttons else ""


def _image(address: str, alt: str, kind: str = "", file: str = "") -> str:
    about = (f' class="{kind}"' if kind else "") + (f' data-file="{_address(file)}"' if file else "")
    return f'<img{_LATER}{about} src="{address}" alt="{_text(alt)}">'


def _lazy(line: str) -> str:
    return line if _LATER in line else line.replace("<img", f"<img{_LATER}")


@lru_cache(maxsize=2)
def _asset(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _edition() -> str:
    """Return what stands for this way of making pages: what another one has made is made again."""
    modules = sorted(one for one in _FOLDER.iterdir() if one.is_file())
    return hashlib.sha256(b"".join(one.read_bytes() for one in modules)).hexdigest()[:12]
