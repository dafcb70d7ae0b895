"""What came of one photo: fetched from the stack, saved where results go, and noted for later runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from cleanplate.errors import CleanplateError
from cleanplate.imaging import jpeg
from cleanplate.page.cards import facts_of
from cleanplate_cli.inputs import Upload, companions_by_photo
from cleanplate_cli.out_folder import OutFolder
from cleanplate_cli.progress_board import PhotoProgress
from cleanplate_cli.stack import Stack
from cleanplate_cli.triptych import hole_in_frame, preview, triptych

_REVIEW = ("mask", "preview")


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
    #: What the person asked for, and which object in the uploads bucket it was.
    options: Mapping[str, str] = field(default_factory=dict)
    uploaded_as: str = ""
    version_id: str = ""
    #: What whoever sees the pictures should know.
    note: str = ""

    @property
    def went_well(self) -> bool:
        """A sample that shows nothing is a fault; with somebody's own photo, nothing to remove is an answer."""
        return self.outcome in {"cleaned", "mask_ready"} or (self.outcome == "nothing_to_remove" and not self.is_sample)


def task_of(photo: Upload, content: bytes, companions: Sequence[bytes] = ()) -> str:
    """Return a name for a photo's content together with all that says what to do with it."""
    parts = [content, json.dumps(photo.metadata, sort_keys=True).encode(), *companions]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def done_before(out: OutFolder, uploads: Sequence[Upload]) -> dict[str, Ending]:
    """Return, by key, the photos that an earlier run has done: same content and options, and the result still there."""
    before, companions = endings_before(out), companions_by_photo(uploads)
    return {
        photo.key: ending
        for photo in uploads
        if not photo.companion
        and (ending := before.get(photo.origin))
        and ending.went_well
        and not ending.is_sample
        and ending.task == task_of(photo, photo.read(), [each.read() for each in companions[photo.key]])
    }


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


def collect(stack: Stack, progress: PhotoProgress, out: OutFolder) -> Ending:
    """Fetch what came of a photo and save it; what an earlier run wrote for it goes, unless somebody changed that."""
    photo, source = progress.photo, progress.photo.source
    is_sample = not isinstance(source, Path)
    ending = Ending(
        photo.key,
        photo.origin,
        progress.task,
        progress.outcome,
        reason=progress.reason,
        message=progress.message,
        what_to_do=progress.what_to_do,
        facts=[("shows", source.shows)] if not isinstance(source, Path) else [],
        credit="" if isinstance(source, Path) else source.credit,
        is_sample=is_sample,
        options=dict(photo.options),
        uploaded_as=progress.uploaded_as,
        version_id=progress.version_id,
        note=stack.note,
        seconds=round(progress.seconds, 1),
    )
    if progress.manifest is not None:
        ending = _fetch(ending, stack, progress, progress.manifest, out)
    out.remove_others(ending.origin, keep=[ending.result, ending.manifest, ending.picture])
    out.note(ending.origin, asdict(ending))
    return ending


def _fetch(
    ending: Ending, stack: Stack, progress: PhotoProgress, manifest: Mapping[str, Any], out: OutFolder
) -> Ending:
    ending = replace(
        ending,
        reason=str(manifest.get("reason", "")),
        message=str(manifest.get("message", "")),
        what_to_do=str(manifest.get("what_to_do", "")),
        labels_seen=list(manifest.get("labels_seen", [])),
        facts=[*ending.facts, *facts_of(manifest)],
    )
    content = json.dumps(manifest, ensure_ascii=False, indent=2).encode()
    ending = replace(ending, manifest=out.save(f"{ending.key}.json", content, ending.origin))
    if ending.outcome == "failed":
        return replace(ending, picture=_picture_of_failed(progress, out))
    if ending.outcome == "mask_ready":
        return _fetch_review(ending, stack, manifest, out)
    described = manifest.get("result") or {}
    result = stack.read(stack.results_bucket, str(described.get("key", "")))
    if result is None or hashlib.sha256(result).hexdigest() != described.get("sha256"):
        return replace(
            ending,
            outcome="failed",
            reason="ResultNotThere" if result is None else "ResultDiffers",
            message="The manifest says that the photo is done, but the results bucket does not hold what it describes.",
            what_to_do="Run it again; if it stays, report it with the manifest.",
        )
    name = ending.key + str(described["key"]).removeprefix(progress.uploaded_as)
    ending = replace(ending, result=out.save(name, result, ending.origin))
    try:
        pictures = triptych(progress.photo.read(), result, _hole(stack, manifest))
    except (CleanplateError, OSError):
        return ending
    return replace(ending, picture=out.save(_beside(ending.key), jpeg(pictures.side_by_side()), ending.origin))


def _fetch_review(ending: Ending, stack: Stack, manifest: Mapping[str, Any], out: OutFolder) -> Ending:
    """Save the mask that waits for approval, as what came of the photo, and the picture of what it means."""
    mask, preview_ = (stack.read(stack.results_bucket, str(manifest["review"][name]["key"])) for name in _REVIEW)
    if mask is None or preview_ is None:
        return replace(
            ending,
            outcome="failed",
            reason="ResultNotThere",
            message="The manifest says that a mask waits for approval, but the results bucket does not hold it.",
            what_to_do="Run it again; if it stays, report it with the manifest.",
        )
    return replace(
        ending,
        result=out.save(f"{ending.key}.mask.png", mask, ending.origin),
        picture=out.save(_beside(ending.key, "preview"), preview_, ending.origin),
    )


def _hole(stack: Stack, manifest: Mapping[str, Any]) -> bytes | None:
    """Return the mask that was filled, where it is still kept and may be read: the picture can do without."""
    if not manifest.get("hole"):
        return None
    try:
        hole = stack.read(stack.work_bucket, str(manifest["hole"]))
        return hole_in_frame(hole, manifest["fill"]) if hole else None
    except (ClientError, OSError):
        return None


def _picture_of_failed(progress: PhotoProgress, out: OutFolder) -> str:
    """Return a small picture of a photo that has no result, if it is one that can be read."""
    try:
        picture = preview(progress.photo.read())
    except (CleanplateError, OSError):
        return ""
    return out.save(_beside(progress.photo.key, "before"), jpeg(picture), progress.photo.origin)


def _beside(key: str, what: str = "before-mask-after") -> str:
    """Return where the picture of before, mask and after lies."""
    return str("pictures" / PurePosixPath(key).with_name(f"{PurePosixPath(key).name}.{what}.jpg"))
