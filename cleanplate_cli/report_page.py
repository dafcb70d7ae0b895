"""The page that shows what was done: one file, no network, handsome in light and dark."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Card:
    """One photo on the page. Pictures are data URIs; empty where there are none."""

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
    credit: str = ""


_WORDS = {"cleaned": "cleaned", "nothing_to_remove": "nothing to remove", "failed": "failed", "missing": "no outcome"}

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --dim: #66707a; --paper: #f6f4f0; --card: #fff; --line: #e2ded6;
  --good: #1d7a4c; --bad: #b3362b; --calm: #8a6a1f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9e6e0; --dim: #9aa2aa; --paper: #15181b; --card: #1e2226;
  --line: #31373d; --good: #5cc893; --bad: #f0857a; --calm: #d9b65c; } }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--ink);
  background: var(--paper); }
main { max-width: 1280px; margin: 0 auto; padding: 3rem 1.25rem 4rem; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.02em; }
header p { margin: 0 0 .35rem; color: var(--dim); max-width: 70ch; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1.1rem 1.25rem 1.25rem;
  margin-top: 1.6rem; }
article h2 { font-size: 1.1rem; margin: 0 0 .9rem; display: flex; gap: .75rem; align-items: baseline; flex-wrap: wrap;
  overflow-wrap: anywhere; }
article h2 a { color: inherit; text-underline-offset: .2em; text-decoration-color: var(--line); }
.outcome { font-size: .8rem; font-weight: 600; color: var(--good); border: 1px solid; border-radius: 99px;
  padding: .05rem .6rem; white-space: nowrap; }
.failed, .missing { color: var(--bad); } .nothing_to_remove { color: var(--calm); }
.pictures { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .75rem; }
@media (max-width: 720px) { .pictures { grid-template-columns: 1fr; } }
figure { margin: 0; } figure img { display: block; width: 100%; border-radius: 8px; background: var(--line); }
figcaption { font-size: .8rem; color: var(--dim); padding-top: .3rem; }
dl { display: flex; flex-wrap: wrap; gap: .35rem 1.6rem; margin: .9rem 0 0; font-size: .85rem; }
dl div { display: flex; gap: .4rem; } dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.reason { margin: 0; } .reason strong { color: var(--bad); } .next { margin: .3rem 0 0; }
.credit { margin: .7rem 0 0; font-size: .8rem; color: var(--dim); }
"""


def write_page(cards: Sequence[Card], *, title: str, notes: Sequence[str]) -> str:
    """Return the page as HTML; everything in it is escaped, for a file may be called anything."""
    paragraphs = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main><header><h1>{html.escape(title)}</h1>{paragraphs}</header>\n"
        + "\n".join(_card(card) for card in cards)
        + "\n</main></body></html>\n"
    )


def _card(card: Card) -> str:
    name = html.escape(card.name)
    if card.result:
        name = f'<a href="{html.escape(quote(card.result))}">{name}</a>'
    word = html.escape(_WORDS.get(card.outcome, card.outcome))
    parts = [f'<h2>{name}<span class="outcome {html.escape(card.outcome)}">{word}</span></h2>']
    if card.reason or card.message:
        parts.append(f'<p class="reason"><strong>{html.escape(card.reason)}</strong> {html.escape(card.message)}</p>')
    if card.what_to_do:
        parts.append(f'<p class="next">{html.escape(card.what_to_do)}</p>')
    pictures = [(card.before, "before"), (card.mask, "mask: what was filled"), (card.after, "after")]
    if card.before:
        figures = "".join(_figure(uri, caption, card.name) for uri, caption in pictures if uri)
        parts.append(f'<div class="pictures">{figures}</div>')
    if card.facts:
        facts = "".join(f"<div><dt>{html.escape(n)}</dt><dd>{html.escape(v)}</dd></div>" for n, v in card.facts)
        parts.append(f"<dl>{facts}</dl>")
    if card.credit:
        parts.append(f'<p class="credit">Photograph: {html.escape(card.credit)}</p>')
    return f"<article>{''.join(parts)}</article>"


def _figure(uri: str, caption: str, name: str) -> str:
    alt = html.escape(f"{name}, {caption}", quote=True)
    return f'<figure><img src="{uri}" alt="{alt}" loading="lazy"><figcaption>{caption}</figcaption></figure>'
