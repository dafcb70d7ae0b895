"""Which of Adobe's masks are filled: pure policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cleanplate.models import Mask, Options
from cleanplate.uploads.options import EVERYTHING, SUBJECT


@dataclass(frozen=True, slots=True)
class Choice:
    """The masks to fill, and every label that Adobe saw, for the manifest."""

    masks: tuple[Mask, ...]
    labels_seen: tuple[str, ...]


def _prominence(mask: Mask) -> float:
    area = mask.box.width * mask.box.height if mask.box else 0.0
    return area * mask.score


def _is_meant(mask: Mask, remove: Sequence[str]) -> bool:
    label = mask.label.strip().casefold()
    if mask.background:
        # A wildcard means objects; the background is removed only where its label is given.
        return label in remove
    return any(_matches(label, pattern) for pattern in remove)


def _matches(label: str, pattern: str) -> bool:
    # fnmatch would give brackets and question marks a meaning, and a regular expression takes exponential time for a
    # pattern of many stars.
    first, *middle = pattern.split("*")
    if not middle:
        return label == pattern
    last = middle.pop()
    at, end = len(first), len(label) - len(last)
    if at > end or not label.startswith(first) or not label.endswith(last):
        return False
    for part in middle:
        at = label.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def choose_masks(masks: Sequence[Mask], options: Options) -> Choice:
    """Return the masks that the options name and whose score is high enough, in Adobe's order.

    ``subject`` is the most prominent mask (box area x score), ``everything`` all that are not background.
    """
    certain = [mask for mask in masks if mask.score >= options.min_score]
    objects = [mask for mask in certain if not mask.background]
    if options.remove == (EVERYTHING,):
        chosen = objects
    elif options.remove == (SUBJECT,):
        chosen = [max(objects, key=_prominence)] if objects else []
    else:
        chosen = [mask for mask in certain if _is_meant(mask, options.remove)]
    return Choice(tuple(chosen), tuple(dict.fromkeys(mask.label for mask in masks)))
