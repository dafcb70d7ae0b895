"""The page that shows what was done: one file, no network, readable on a phone, in light and dark.

A pure function of data, so that whoever has the data can write it: a command on somebody's machine, or a function in AWS.
"""

from __future__ import annotations

import html
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Card:
    """One photo on the page. Pictures are data URIs or paths seen from the page; empty where there are none."""

    name: str
    outcome: str
    #: The result's path, seen from the page.
    result: str = ""
    before: str = ""
    mask: str = ""
    after: str = ""
    facts: Sequence[tuple[str, str]] = ()
    #: For a failed photo: what happened, and what to do.
    reason: str = ""
    message: str = ""
    what_to_do: str = ""
    #: Where nothing was removed: what Adobe saw.
    labels_seen: Sequence[str] = ()
    credit: str = ""
    #: The command that approves a mask, and the one that does the photo once more; empty where there is none.
    approve: str = ""
    redo: str = ""


_WORDS = {
    "cleaned": "cleaned",
    "nothing_to_remove": "nothing to remove",
    "mask_ready": "mask to approve",
    "failed": "failed",
    "missing": "no outcome",
}
#: What needs a look comes first.
_ORDER = ("failed", "missing", "mask_ready", "nothing_to_remove", "cleaned")

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --dim: #5c6670; --paper: #f6f4f0; --card: #fff; --line: #ddd8ce;
  --good: #1d7a4c; --bad: #b3362b; --calm: #80601a; --focus: #1f6feb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9e6e0; --dim: #a2abb4; --paper: #15181b; --card: #1e2226;
  --line: #3a4148; --good: #5cc893; --bad: #f0857a; --calm: #d9b65c; --focus: #79b0ff; } }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--ink);
  background: var(--paper); }
main { max-width: 1440px; margin: 0 auto; padding: 1.75rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.02em; }
header p { margin: 0 0 .3rem; color: var(--dim); max-width: 75ch; }
header .sum { color: var(--ink); font-weight: 600; }
nav { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: .5rem; align-items: center;
  padding: .6rem 0; background: var(--paper); border-bottom: 1px solid var(--line); margin-bottom: 1rem; }
button, select, input[type=search] { font: inherit; font-size: .88rem; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; padding: .35rem .7rem; min-height: 2.25rem; }
button { cursor: pointer; } button[aria-pressed=true] { border-color: var(--ink); font-weight: 600; }
input[type=search] { flex: 1 1 9rem; min-width: 0; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); gap: 1rem; align-items: start; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: .8rem;
  content-visibility: auto; contain-intrinsic-size: auto 26rem; min-width: 0; }
article[hidden] { display: none; }
article h2 { font-size: .95rem; margin: 0 0 .6rem; display: flex; gap: .5rem; align-items: baseline;
  justify-content: space-between; overflow-wrap: anywhere; }
article h2 a { color: inherit; text-underline-offset: .2em; }
.outcome { flex: none; font-size: .75rem; font-weight: 600; color: var(--good); border: 1px solid; border-radius: 99px;
  padding: .02rem .55rem; white-space: nowrap; }
.failed, .missing { color: var(--bad); } .nothing_to_remove, .mask_ready { color: var(--calm); }
.compare { --at: 50%; position: relative; border-radius: 8px; overflow: hidden; background: var(--line); }
.compare img { display: block; width: 100%; max-height: 30rem; object-fit: contain; }
.compare img + img { position: absolute; inset: 0; height: 100%; }
.compare .top { clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.compare .mask { opacity: 0; } .showmask .compare .mask { opacity: .85; }
.compare::after { content: ""; position: absolute; inset: 0 auto 0 var(--at); width: 2px; margin-left: -1px;
  background: #fff; box-shadow: 0 0 3px #000; pointer-events: none; }
.compare b { position: absolute; top: .4rem; font-size: .7rem; color: #fff; background: #000a; border-radius: 4px;
  padding: 0 .35rem; pointer-events: none; } .compare b:first-of-type { left: .4rem; }
.compare b:last-of-type { right: .4rem; }
.compare input { position: absolute; inset: 0; width: 100%; height: 100%; opacity: 0; cursor: ew-resize; margin: 0; }
.compare:has(input:focus-visible) { outline: 2px solid var(--focus); outline-offset: 2px; }
.plain img { display: block; width: 100%; max-height: 30rem; object-fit: contain; border-radius: 8px; }
.tools { display: flex; flex-wrap: wrap; gap: .4rem; margin-top: .6rem; }
.tools button { font-size: .8rem; padding: .15rem .6rem; min-height: 2rem; }
dl { display: flex; flex-wrap: wrap; gap: .15rem 1rem; margin: .6rem 0 0; font-size: .8rem; }
dl div { display: flex; gap: .35rem; } dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.reason, .next { margin: .6rem 0 0; font-size: .9rem; overflow-wrap: anywhere; } .reason strong { color: var(--bad); }
.credit { margin: .5rem 0 0; font-size: .75rem; color: var(--dim); }
dialog { width: 96vw; height: 94vh; max-width: none; max-height: none; border: 0; border-radius: 12px; padding: .8rem;
  background: var(--card); color: var(--ink); overflow: auto; }
dialog::backdrop { background: #000c; }
dialog[open] { display: flex; flex-direction: column; } dialog .stage { flex: 1; min-height: 0; overflow: auto; display: grid; }
dialog .stage > * { margin: auto; width: 100%; max-width: calc(82vh * var(--ratio, 9)); } dialog .plain img { max-height: 85vh; }
dialog .compare img { max-height: none; } dialog .bar { display: flex; gap: .5rem; justify-content: space-between;
  align-items: baseline; margin-bottom: .6rem; flex-wrap: wrap; overflow-wrap: anywhere; }
dialog.zoomed .stage .compare { width: 220%; max-width: none; }
.empty { color: var(--dim); }
@media print { nav, .tools { display: none; } }
"""

_SCRIPT = """
const cards = [...document.querySelectorAll('article')], grid = document.querySelector('.grid');
const find = document.getElementById('find'), sort = document.getElementById('sort');
const kinds = [...document.querySelectorAll('nav [data-kind]')], none = document.querySelector('.empty');
let kind = 'all';
function show() {
  const word = find.value.trim().toLowerCase(); let seen = 0;
  for (const card of cards) {
    const is = (kind === 'all' || card.dataset.kind === kind) && card.dataset.name.toLowerCase().includes(word);
    card.hidden = !is; seen += is;
  }
  none.hidden = seen > 0;
  for (const button of kinds) button.setAttribute('aria-pressed', button.dataset.kind === kind);
}
for (const button of kinds) button.onclick = () => { kind = button.dataset.kind; show(); };
find.oninput = show;
sort.onchange = () => {
  const name = (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true });
  const by = { need: (a, b) => a.dataset.need - b.dataset.need || name(a, b), name,
    order: (a, b) => a.dataset.at - b.dataset.at }[sort.value];
  grid.append(...cards.sort(by));
};
document.addEventListener('input', event => {
  if (event.target.type === 'range') event.target.parentNode.style.setProperty('--at', event.target.value + '%');
});
const box = document.querySelector('dialog'), stage = box.querySelector('.stage'), title = box.querySelector('strong');
let open = null;
const visible = () => [...grid.children].filter(card => !card.hidden && card.querySelector('.compare, .plain'));
function enlarge(card) {
  open = card; title.textContent = card.dataset.name;
  const large = card.querySelector('.compare, .plain').cloneNode(true), image = card.querySelector('img');
  if (image && image.naturalHeight) large.style.setProperty('--ratio', image.naturalWidth / image.naturalHeight);
  stage.replaceChildren(large);
  box.classList.remove('zoomed'); box.classList.toggle('showmask', card.classList.contains('showmask'));
  if (!box.open) box.showModal();
  const slider = stage.querySelector('input'); if (slider) slider.focus();
}
function step(by) { const all = visible(), next = all[all.indexOf(open) + by]; if (next) enlarge(next); }
document.addEventListener('click', async event => {
  const button = event.target.closest('button'), card = event.target.closest('article'); if (!button) return;
  const act = button.dataset.act;
  if (act === 'mask') card.classList.toggle('showmask');
  if (act === 'large') enlarge(card);
  if (act === 'close') box.close();
  if (act === 'zoom') box.classList.toggle('zoomed');
  if (act === 'next') step(1);
  if (act === 'back') step(-1);
  if (act === 'copy') {
    const said = button.textContent, words = button.dataset.words;
    try { await navigator.clipboard.writeText(words); button.textContent = 'copied'; }
    catch { prompt('Copy this command', words); }
    setTimeout(() => { button.textContent = said; }, 1500);
  }
});
document.addEventListener('keydown', event => {
  if (event.target.type === 'search') return;
  if (box.open) {
    if (event.key === 'n') step(1);
    if (event.key === 'p') step(-1);
    if (event.key === 'm') box.classList.toggle('showmask');
    if (event.key === 'z') box.classList.toggle('zoomed');
  } else if (event.key === '/') { event.preventDefault(); find.focus(); }
});
show();
"""


def write_page(cards: Sequence[Card], *, title: str, notes: Sequence[str]) -> str:
    """Return the page as HTML; everything in it is escaped, for a file may be called anything.

    ``notes`` come below the title, the first of them as the summary.
    """
    ordered = sorted(enumerate(cards), key=lambda one: (_need(one[1]), _natural(one[1].name)))
    paragraphs = "".join(
        f"<p{'' if number else ' class=sum'}>{html.escape(note)}</p>" for number, note in enumerate(notes)
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main><header><h1>{html.escape(title)}</h1>{paragraphs}</header>\n{_tools(cards)}"
        '<p class="empty" hidden>No photo is like that.</p><div class="grid">\n'
        + "\n".join(_card(card, at, lazy=place >= _AT_ONCE) for place, (at, card) in enumerate(ordered))
        + f"\n</div></main>\n{_LARGE}<script>{_SCRIPT}</script></body></html>\n"
    )


#: So many photos are shown with the page; the pictures of the others come as they are scrolled to.
_AT_ONCE = 24

_LARGE = (
    '<dialog><div class="bar"><strong></strong><span><button data-act="back">previous (p)</button> '
    '<button data-act="next">next (n)</button> <button data-act="zoom">zoom (z)</button> '
    '<button data-act="close">close (Esc)</button></span></div><div class="stage"></div></dialog>'
)


def _need(card: Card) -> int:
    return _ORDER.index(card.outcome) if card.outcome in _ORDER else 0


def _natural(name: str) -> list[tuple[str, int]]:
    """Return what puts ``IMG_2`` before ``IMG_10``."""
    parts = re.split("([0-9]+)", name.casefold())
    return [(word, int(number)) for word, number in zip_longest(parts[::2], parts[1::2], fillvalue="0")]


def _tools(cards: Sequence[Card]) -> str:
    counts = Counter(card.outcome for card in cards)
    buttons = [f'<button data-kind="all" aria-pressed="true">all {len(cards)}</button>'] + [
        f'<button data-kind="{outcome}" aria-pressed="false">{_WORDS[outcome]} {counts[outcome]}</button>'
        for outcome in _ORDER
        if counts[outcome]
    ]
    return (
        f'<nav>{"".join(buttons)}<input type="search" id="find" placeholder="find a name ( / )" aria-label="find a name">'
        '<select id="sort" aria-label="order"><option value="need">what needs a look first</option>'
        '<option value="name">by name</option><option value="order">as cleaned</option></select></nav>\n'
    )


def _card(card: Card, at: int, *, lazy: bool) -> str:
    name = html.escape(card.name)
    if card.result:
        name = f'<a href="{html.escape(quote(card.result))}">{name}</a>'
    word = html.escape(_WORDS.get(card.outcome, card.outcome))
    parts = [f'<h2><span>{name}</span><span class="outcome {html.escape(card.outcome)}">{word}</span></h2>']
    parts.append(_pictures(card).replace("<img", '<img loading="lazy" decoding="async"' if lazy else "<img"))
    if card.reason or card.message:
        parts.append(f'<p class="reason"><strong>{html.escape(card.reason)}</strong> {html.escape(card.message)}</p>')
    if card.outcome == "nothing_to_remove":
        seen = html.escape(", ".join(card.labels_seen)) or "nothing"
        parts.append(f'<p class="next">Seen in the photo: {seen}.</p>')
    if card.what_to_do:
        parts.append(f'<p class="next">What to do: {html.escape(card.what_to_do)}</p>')
    parts.append(_buttons(card))
    if card.facts:
        facts = "".join(f"<div><dt>{html.escape(n)}</dt><dd>{html.escape(v)}</dd></div>" for n, v in card.facts)
        parts.append(f"<dl>{facts}</dl>")
    if card.credit:
        parts.append(f'<p class="credit">Photograph: {html.escape(card.credit)}</p>')
    about = f'data-kind="{html.escape(card.outcome)}" data-need="{_need(card)}" data-at="{at}"'
    return f'<article {about} data-name="{html.escape(card.name, quote=True)}">{"".join(parts)}</article>'


def _pictures(card: Card) -> str:
    if not card.before:
        return ""
    if not card.after:
        return f'<div class="plain">{_image(card.before, f"{card.name}, the photo")}</div>'
    mask = _image(card.mask, f"{card.name}, what was filled", "mask") if card.mask else ""
    return (
        f'<div class="compare">{_image(card.after, f"{card.name}, after")}'
        f"{_image(card.before, f'{card.name}, before', 'top')}{mask}<b>before</b><b>after</b>"
        f'<input type="range" min="0" max="100" value="50" '
        f'aria-label="{html.escape(card.name, quote=True)}: before and after"></div>'
    )


def _buttons(card: Card) -> str:
    buttons = []
    if card.before:
        buttons.append('<button data-act="large">enlarge</button>')
    if card.mask:
        buttons.append('<button data-act="mask">mask</button>')
    for name, command in (("approve", card.approve), ("redo", card.redo)):
        if command:
            words = html.escape(command, quote=True)
            buttons.append(f'<button data-act="copy" data-words="{words}" title="{words}">copy {name} command</button>')
    return f'<div class="tools">{"".join(buttons)}</div>' if buttons else ""


def _image(address: str, alt: str, kind: str = "") -> str:
    cls = f' class="{kind}"' if kind else ""
    return f'<img{cls} src="{address}" alt="{html.escape(alt, quote=True)}">'


def approve_command(name: str, *, out: str, stack: str = "") -> str:
    """Return the command that has the mask of a photo filled, as it is or as somebody has edited it."""
    words = ["make", "approve", f"PHOTOS={shlex.quote(name)}", f"OUT={out}", *([f"STACK={stack}"] if stack else [])]
    return " ".join(shlex.quote(word) for word in words)


def redo_command(name: str, options: Sequence[tuple[str, str]], *, out: str, stack: str = "") -> str:
    """Return the command that does a photo once more, with the options that it had for the person to change."""
    given = dict(options)
    words = ["make", "redo", f"PHOTOS={shlex.quote(name)}", f"REMOVE={given.get('remove', 'subject')}"]
    words += [f"GROW={given.get('grow', '40')}", f"OUT={out}", *([f"STACK={stack}"] if stack else [])]
    return " ".join(shlex.quote(word) for word in words)
