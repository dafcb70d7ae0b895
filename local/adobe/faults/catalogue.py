"""Every fault by its name, and how one is made from its JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

from local.adobe.answers import Json
from local.adobe.faults import answer, delivery, instead_of_route, job, result
from local.adobe.faults.base import REGISTRY, Fault

#: Importing a kind registers its faults.
_KINDS = tuple(module.__name__ for module in (instead_of_route, job, answer, result, delivery))


def make_fault(described: Any) -> Fault:
    """Return the fault that a JSON value describes: ``{"do": name, …its fields}``, or its name alone.

    Raises TypeError or ValueError, in a sentence, for one that cannot be understood.
    """
    if isinstance(described, str):
        described = {"do": described}
    if not isinstance(described, dict) or not isinstance(described.get("do"), str):
        raise TypeError('a fault is {"do": "<name>", …}')
    if described["do"] not in REGISTRY:
        raise ValueError(f"no fault is called {described['do']!r}; there are {', '.join(sorted(REGISTRY))}")
    cls = REGISTRY[described["do"]]
    given = {key: value for key, value in described.items() if key != "do"}
    known = {item.name for item in dataclasses.fields(cls)}
    if unknown := set(given) - known:
        has = ", ".join(sorted(known)) or "no fields"
        raise ValueError(f"{described['do']} has no field {', '.join(sorted(unknown))}; it has {has}")
    return cls(**given)


def catalogue() -> list[Json]:
    """Return every fault with its kind (the module), its fields and what it does."""
    return [
        {
            "do": name,
            "kind": cls.__module__.rpartition(".")[2],
            "fields": {item.name: _default(item) for item in dataclasses.fields(cls)},
            "says": (cls.__doc__ or "").strip().split("\n")[0],
        }
        for name, cls in sorted(REGISTRY.items(), key=lambda entry: (_KINDS.index(entry[1].__module__), entry[0]))
    ]


def _default(item: dataclasses.Field[Any]) -> Any:
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return None if item.default is dataclasses.MISSING else item.default
