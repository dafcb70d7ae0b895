"""What came of one photo: fetched from the stack, saved where results go, and noted for later runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from cleanplate_cli.inputs import Upload
from cleanplate_cli.out_folder import OutFolder
from local.demo.job_watcher import read_manifest, read_object
from local.demo.progress_board import PhotoProgress
from local.demo.report_page import Card
from local.demo.triptych import data_uri, jpeg, separate, triptych
from local.paths import shown
from local.stack import LocalCloud

#: Above this many photos the page holds smaller pictures, so that it still opens.
_MANY = 24


@dataclass(frozen=True, slots=True)
class Ending:
    """How one photo ended, and which files show it. Paths are relative to where results go."""

    key: str
    #: Which photo on this machine it was, see :attr:`Upload.origin`.
    origin: str
    #: What was asked for: the photo's content and options.
    task: str
    outcome: str
    reason: str = ""
    message: str = ""
    what_to_do: str = ""
    labels_seen: Sequence[str] = ()
    facts: Sequence[Sequence[str]] = ()
    credit: str = ""
    seconds: float = 0.0
    #: The result, its manifest, and the picture of before, mask and after.
    result: str = ""
    manifest: str = ""
    picture: str = ""
    is_sample: bool = False

    @property
    def went_well(self) -> bool:
        """A sample that shows nothing is a fault; with somebody's own photo, nothing to remove is an answer."""
        return self.outcome == "cleaned" or (self.outcome == "nothing_to_remove" and not self.is_sample)


def task_of(photo: Upload, content: bytes, companions: Sequence[bytes] = ()) -> str:
    """Return a name for a photo's content together with all that says what to do with it."""
    parts = [content, json.dumps(photo.metadata, sort_keys=True).encode(), *companions]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def ending_before(out: OutFolder, photo: Upload, companions: Sequence[bytes]) -> Ending | None:
    """Return how the photo ended in an earlier run, if it is done: the same content and options, and the result still
    there.
    """
    ending = endings_before(out).get(photo.origin)
    if ending is None or not ending.went_well or ending.is_sample:
        return None
    return ending if ending.task == task_of(photo, photo.read(), companions) else None


def endings_before(out: OutFolder) -> dict[str, Ending]:
    """Return every ending that is noted, by the photo's origin; not those whose result somebody has taken away."""
    found = {}
    for origin, known in out.notes.items():
        try:
            ending = Ending(**known)
        except TypeError:  # of another version
            continue
        if not ending.went_well or out.exists(ending.result):
            found[origin] = ending
    return found


def collect(cloud: LocalCloud, progress: PhotoProgress, out: OutFolder) -> Ending:
    """Fetch what came of a photo and save it; what an earlier run wrote for it goes, unless somebody changed that."""
    source = progress.photo.source
    ending = Ending(
        progress.photo.key,
        progress.photo.origin,
        progress.task,
        progress.outcome,
        facts=[("shows", source.shows)] if not isinstance(source, Path) else [],
        credit=source.credit if not isinstance(source, Path) else "",
        is_sample=not isinstance(source, Path),
        seconds=round(progress.seconds, 1),
    )
    if progress.snapshot is None or progress.outcome == "missing":
        ending = _missing(ending, cloud, progress)
    else:
        ending = _fetch(ending, cloud, progress, out)
    out.remove_others(ending.origin, keep=[ending.result, ending.manifest, ending.picture])
    out.note(ending.origin, asdict(ending))
    return ending


def _fetch(ending: Ending, cloud: LocalCloud, progress: PhotoProgress, out: OutFolder) -> Ending:
    snapshot = progress.snapshot
    assert snapshot is not None
    manifest = read_manifest(cloud.aws, cloud.stack, snapshot)
    said = manifest or snapshot.outcome
    ending = replace(
        ending,
        reason=str(said.get("reason", "")),
        message=str(said.get("message", "")),
        what_to_do=str(said.get("what_to_do", "")),
        labels_seen=list(said.get("labels_seen", [])),
        facts=[*ending.facts, *_facts(manifest or {})],
    )
    if manifest is not None:
        content = read_object(cloud.aws, cloud.stack.results_bucket, snapshot.manifest_key) or b""
        ending = replace(ending, manifest=out.save(snapshot.manifest_key, content, ending.origin))
    if ending.outcome == "failed":
        return ending
    described = (manifest or {}).get("result") or {}
    result = read_object(cloud.aws, cloud.stack.results_bucket, str(described.get("key", "")))
    if result is None or hashlib.sha256(result).hexdigest() != described.get("sha256"):
        return replace(
            ending,
            outcome="failed",
            reason="ResultNotThere" if result is None else "ResultDiffers",
            message="The record says that the photo is done, but the results bucket does not hold what it describes.",
            what_to_do="This is a fault of Cleanplate. Run it again; if it stays, report it with the manifest.",
        )
    ending = replace(ending, result=out.save(str(described["key"]), result, ending.origin))
    hole_key = (manifest or {}).get("hole")
    hole = read_object(cloud.aws, cloud.stack.work_bucket, str(hole_key)) if hole_key else None
    try:
        pictures = triptych(progress.photo.read(), result, hole)
    except OSError:
        return ending
    return replace(ending, picture=out.save(_beside(ending.key), jpeg(pictures.side_by_side()), ending.origin))


def _missing(ending: Ending, cloud: LocalCloud, progress: PhotoProgress) -> Ending:
    at = (
        f"It got as far as: {progress.snapshot.stage}." if progress.snapshot else "It never appeared in the Jobs table."
    )
    return replace(
        ending,
        reason="NoOutcome",
        message=f"Nothing came of it in time. {at}",
        what_to_do=f"Look into {shown(cloud.aws.log)}; give more time with make run ARGS='--deadline 600'.",
    )


def make_card(ending: Ending, out: Path, photos: int) -> Card:
    """Return the photo as the page shows it, one of so many."""
    pictures = {}
    if ending.picture:
        longest = 900 if photos <= _MANY else 320
        try:
            parts = separate((out / ending.picture).read_bytes())
        except OSError:  # somebody took it away
            parts = None
        if parts:
            for picture in (parts.before, parts.mask, parts.after):
                picture.thumbnail((longest, longest))
            pictures = {
                "before": data_uri(parts.before),
                "mask": data_uri(parts.mask, 60),
                "after": data_uri(parts.after),
            }
    return Card(
        name=ending.key,
        outcome=ending.outcome,
        result=ending.result,
        facts=[(name, value) for name, value in ending.facts],
        reason=ending.reason if ending.outcome in {"failed", "missing"} else "",
        message=ending.message,
        what_to_do=ending.what_to_do,
        credit=ending.credit,
        **pictures,
    )


def _facts(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = []
    if manifest.get("options"):
        facts.append(("remove", ", ".join(manifest["options"].get("remove", []))))
    if manifest.get("masks"):
        facts.append(("masks", ", ".join(f"{mask['label']} ({mask['score']:.0%})" for mask in manifest["masks"])))
    size = manifest.get("photo", {}).get("facts", {})
    if size.get("width") and size.get("height"):
        facts.append(("size", f"{size['width']} x {size['height']}"))
    if manifest.get("result"):
        facts.append(("result", f"{manifest['result']['bytes'] / 1e6:.1f} MB {manifest['result']['media_type']}"))
    if manifest.get("timings", {}).get("total"):
        facts.append(("took", f"{manifest['timings']['total']:.1f} s"))
    requests = manifest.get("requests", {})
    if requests:
        facts.append(("requests at Adobe", f"{requests['posts']} paid, {requests['polls']} status"))
    return facts


def _beside(key: str) -> str:
    """Return where the picture of before, mask and after lies."""
    return str("pictures" / PurePosixPath(key).with_name(f"{PurePosixPath(key).name}.before-mask-after.jpg"))
