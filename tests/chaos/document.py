"""Write docs/outcomes.md from the fault catalogue: ``python -m tests.chaos.document``.

A test compares the page with the catalogue, and every fault is run against what its row says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.paths import ROOT
from tests.chaos.faults import FAULTS, FILL, FIREFLY, MASK_ROUTES, Fault, Where

PAGE: Path = ROOT / "docs" / "outcomes.md"

_HEAD = """# Outcomes

Everything that Adobe, or the network to it, is known to do wrong, and the one thing that comes of each. `make prove`
runs every row with the real functions and the real state machine, and compares each photo with its row: how it ended,
for which reason, how many jobs Adobe was paid for, and whether it is marked as a possible duplicate.

- **Outcome**: `cleaned`; `nothing_to_remove`, where the original is passed on; `mask_ready`, where the mask waits for
  approval; or `failed` with its reason. What to do about a reason is in [failures](failures.md), and in the photo's
  manifest and event.
- **Paid**: jobs that Adobe was paid for this photo in all. A photo without faults takes two: a mask and a fill.
- **Twice?**: where the answer to a request was lost, a job may exist at Adobe that nobody knows of. The request is then
  sent once more and never a third time, and record, manifest and event say `possible_duplicate`.
- Letters stand for the shapes of Adobe's error bodies: A the gateway's, B and its variants the older routes', C, D and
  E those of newer guides; `html` and `empty` come from something in front of Adobe, `s3` from its storage.
"""


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    says: str
    places: tuple[Where, ...]


_SECTIONS = (
    _Section(
        "The identity service",
        "Every request needs a token from Adobe's identity service (IMS). Where there is none, nothing is sent and "
        "nothing is paid.",
        ("identity service",),
    ),
    _Section(
        "A request for a job",
        "A POST is a purchase. It is repeated only where Adobe certainly made no job of it, or, where that is unclear, "
        "once.",
        ("mask request", "fill request"),
    ),
    _Section(
        "Asking about a job",
        "Asking is free, so it goes on until the job's deadline (`MaskDeadlineSeconds`, `FillDeadlineSeconds`).",
        ("mask status", "fill status"),
    ),
    _Section(
        "Fetching a picture",
        "Fetching is free too, and tried again, also from its beginning where it broke off.",
        ("mask download", "fill download"),
    ),
    _Section(
        "What a picture is",
        "What the bytes that Adobe made turn out to be, by the job that made them.",
        ("mask picture", "fill picture"),
    ),
)


def page() -> str:
    """Return the whole page."""
    parts = [_HEAD]
    for section in _SECTIONS:
        faults = [fault for fault in FAULTS if fault.where in section.places]
        parts += [f"## {section.title}\n", f"{section.says}\n", _table(faults)]
    return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class _Row:
    """Return faults at several places that come to the same as one line."""

    often: str
    outcome: str
    twice: str
    says: str
    routes: str
    paid: str


def _table(faults: Sequence[Fault]) -> str:
    rows: dict[_Row, list[str]] = {}
    for what, alike in _alike(faults):
        rows.setdefault(_row(alike), []).append(what)
    lines = ["| fault | how often | route | outcome | paid | twice? | what happens |", "|---|---|---|---|---|---|---|"]
    lines += [
        f"| {_listed(whats)} | {row.often} | {row.routes} | {row.outcome} | {row.paid} | {row.twice} | {row.says} |"
        for row, whats in rows.items()
    ]
    return "\n".join(lines) + "\n"


def _listed(whats: Sequence[str]) -> str:
    """``403 in shape B; 403 in shape C`` as ``403 in shape B, C``."""
    found: dict[str, list[str]] = {}
    for what in whats:
        head, _, last = what.rpartition(" ")
        found.setdefault(head if head.count(" ") > 1 else what, []).append(last)
    return "; ".join(
        f"{head} {', '.join(lasts)}" if head.rpartition(" ")[2] != lasts[0] else head for head, lasts in found.items()
    )


def _alike(faults: Iterable[Fault]) -> Iterable[tuple[str, list[Fault]]]:
    """Yield the same fault with the same outcome, at all its places."""
    found: dict[tuple[str, ...], list[Fault]] = {}
    for fault in faults:
        key = (fault.what, fault.often, fault.expected.outcome, fault.expected.reason, fault.says)
        found.setdefault((*key, str(fault.expected.possible_duplicate)), []).append(fault)
    return [(key[0], alike) for key, alike in found.items()]


def _row(alike: Sequence[Fault]) -> _Row:
    first = alike[0]
    expected = first.expected
    return _Row(
        often=first.often,
        outcome=expected.outcome if not expected.reason else f"{expected.outcome}: `{expected.reason}`",
        twice="possible" if expected.possible_duplicate else "no",
        says=first.says,
        routes=_routes(alike),
        paid=_paid(alike),
    )


def _routes(alike: Sequence[Fault]) -> str:
    if alike[0].where == "identity service":
        return "any"
    found = [route for route in (*MASK_ROUTES, FILL, FIREFLY) if any(fault.route == route for fault in alike)]
    if found[:4] == [*MASK_ROUTES, FILL]:
        return "every route"
    if found == list(MASK_ROUTES):
        return "every mask route"
    return ", ".join(found)


def _paid(alike: Sequence[Fault]) -> str:
    by_kind: dict[str, int] = {}
    for fault in alike:
        kind = "fill" if fault.route in (FILL, FIREFLY) else "mask"
        if by_kind.setdefault(kind, fault.expected.paid) != fault.expected.paid:
            raise ValueError(f"{fault.name} is paid otherwise than on the other mask routes")
    if len(set(by_kind.values())) == 1:
        return str(next(iter(by_kind.values())))
    return ", ".join(f"{kind}: {paid}" for kind, paid in by_kind.items())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
