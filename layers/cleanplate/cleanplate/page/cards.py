"""What a manifest says of a photo, in the words of the page."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from cleanplate.page.html import Card


def facts_of(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names and values for people: what was removed, the size, how long it took, what was paid."""
    facts = []
    if labels := manifest.get("options", {}).get("remove"):
        facts.append(("remove", ", ".join(labels)))
    if manifest.get("masks"):
        facts.append(("masks", ", ".join(f"{mask['label']} ({mask['score']:.0%})" for mask in manifest["masks"])))
    size = manifest.get("photo", {}).get("facts", {})
    if size.get("width") and size.get("height"):
        facts.append(("size", f"{size['width']} x {size['height']}"))
    if manifest.get("result"):
        facts.append(("result", f"{_size(manifest['result']['bytes'])} {manifest['result']['media_type']}"))
    if manifest.get("timings", {}).get("total"):
        facts.append(("took", f"{manifest['timings']['total']:.1f} s"))
    requests = manifest.get("requests", {})
    if requests:
        facts.append(("requests at Adobe", f"{requests['posts']} paid, {requests['polls']} status"))
    return facts


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1000))} kB"


def card_of(manifest: Mapping[str, Any], folder: str, *, bus: str) -> Card:
    """Return the card of a photo on the page of its ``folder`` in the results bucket, still without pictures.

    ``bus`` is the event bus on which the stack takes requests: the card's commands put one there.
    """
    photo, outcome = manifest["photo"], manifest["outcome"]
    file = manifest["review"]["mask"] if outcome == "mask_ready" else manifest.get("result") or {}
    return Card(
        name=photo["key"].rpartition("/")[2],
        outcome=outcome,
        result=str(file.get("key", "")).removeprefix(folder),
        facts=facts_of(manifest),
        reason=manifest.get("reason", ""),
        message=manifest.get("message", ""),
        what_to_do=manifest.get("what_to_do", ""),
        labels_seen=manifest.get("labels_seen", []),
        commands=[_command(manifest, bus)],
        at=float(manifest["ended_at"]),
    )


def _command(manifest: Mapping[str, Any], bus: str) -> tuple[str, str]:
    """Return what is likely to come next for a photo: its name, and the command that requests it."""
    more: dict[str, Any]
    if manifest["outcome"] == "failed":
        # Without options, those that lie with the photo hold; somebody may have corrected them.
        name, more = "retry", {}
    elif manifest["outcome"] == "mask_ready":
        name, more = "approve", {"approve": True}
    else:
        options = manifest["options"]
        grow = "auto" if options.get("grow") is None else options["grow"]
        # A photo with a mask of its uploader's own needs no labels, and a request takes no empty list of them.
        labels = {"remove": options["remove"]} if options.get("remove") else {}
        name, more = "redo", {"options": {**labels, "grow": grow}}
    detail = {"bucket": manifest["photo"]["bucket"], "key": manifest["photo"]["key"], **more}
    entry = {
        "Source": "page",
        "DetailType": "Photo Cleaning Requested",
        "Detail": json.dumps(detail),
        **({} if bus == "default" else {"EventBusName": bus}),
    }
    return name, f"aws events put-events --entries {shlex.quote(json.dumps([entry]))}"
