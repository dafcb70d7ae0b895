"""What a manifest says of a photo, in the words of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def facts_of(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names and values for people: what was removed, the size, how long it took, what was paid."""
    facts = []
    if manifest.get("options"):
        facts.append(("remove", ", ".join(manifest["options"].get("remove", []))))
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
