"""Rules of misbehaviour: which requests they meet, how often, and which fault they then have.

A rule as JSON (every field but ``fault`` may be left out)::

    {"route": "POST /v1/mask-objects", "photo": "dog", "times": 2, "after": 1,
     "fault": {"do": "too_many_requests", "retry_after": 3}}

``route`` is a glob over ``METHOD /path``; ``photo`` is part of the decoded path of an input link, and is remembered
for the job's status and result links; ``after`` lets that many requests pass first; ``times`` ends the rule.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from local.adobe.answers import Json
from local.adobe.faults.base import Fault
from local.adobe.faults.catalogue import make_fault


class InvalidRuleError(ValueError):
    """A rule that cannot be understood, in a sentence."""


@dataclass(slots=True)
class Rule:
    """One rule and how often it was met and fired."""

    number: int
    fault: Fault
    sent: Json
    route: str = "*"
    photo: str = ""
    times: int | None = None
    after: int = 0
    met: int = 0
    fired: int = field(default=0)

    def meets(self, route: str, photos: Iterable[str]) -> bool:
        """Say whether the request is this rule's business at all."""
        if not fnmatchcase(route, self.route):
            return False
        return not self.photo or any(self.photo in photo for photo in photos)

    def fires(self, route: str, photos: Iterable[str]) -> bool:
        """Count the request, and say whether the fault is due."""
        if not self.meets(route, photos):
            return False
        self.met += 1
        if self.met <= self.after or (self.times is not None and self.fired >= self.times):
            return False
        self.fired += 1
        return True

    def as_json(self) -> Json:
        """Return the rule as it was sent, with its number and counts."""
        return {"number": self.number, **self.sent, "met": self.met, "fired": self.fired}


_FIELDS = {"route", "photo", "times", "after", "fault"}


def parse_rule(sent: Any, number: int) -> Rule:
    """Return a rule from its JSON."""
    if not isinstance(sent, dict):
        raise InvalidRuleError("a rule is a JSON object")
    if unknown := set(sent) - _FIELDS:
        raise InvalidRuleError(f"a rule has no field {', '.join(sorted(unknown))}; it has {', '.join(sorted(_FIELDS))}")
    times, after = sent.get("times"), sent.get("after", 0)
    if times == "forever":
        times = None
    if not (times is None or _is_count(times)) or not _is_count(after):
        raise InvalidRuleError('times is a whole number or "forever", after a whole number')
    route, photo = sent.get("route", "*"), sent.get("photo", "")
    if not isinstance(route, str) or not isinstance(photo, str):
        raise InvalidRuleError("route and photo are strings")
    try:
        fault = make_fault(sent.get("fault"))
    except (TypeError, ValueError) as error:
        raise InvalidRuleError(str(error)) from None
    return Rule(number, fault, sent, route, photo, times, after)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class Rules:
    """The rules in force, in the order in which they were sent."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._numbers = itertools.count(1)

    def add(self, sent: Any) -> list[Rule]:
        """Add one rule or a list of them; none is added when one is wrong."""
        given = sent if isinstance(sent, list) else [sent]
        rules = [parse_rule(item, next(self._numbers)) for item in given]
        self._rules.extend(rules)
        return rules

    def clear(self, number: int | None = None) -> None:
        """Forget all rules, or the one of that number."""
        self._rules = [rule for rule in self._rules if number is not None and rule.number != number]

    def due(self, method: str, path: str, photos: Iterable[str]) -> list[Fault]:
        """Return the faults that this request has coming. One that answers by itself ends it: later rules wait."""
        photos, faults = tuple(photos), []
        for rule in self._rules:
            if rule.fires(f"{method} {path}", photos):
                faults.append(rule.fault)
                if rule.fault.ends(method):
                    break
        return faults

    def as_json(self) -> list[Json]:
        """Return every rule with its counts."""
        return [rule.as_json() for rule in self._rules]
