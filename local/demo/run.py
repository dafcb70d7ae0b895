"""`make run`: clean photos from beginning to end on this machine, and show what came of it."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from local.demo.inputs import Upload
from local.demo.job_watcher import function_complaints, look, read_manifest, read_object
from local.demo.progress_board import COLOURS, MARKS, PhotoProgress, make_board
from local.demo.progress_poller import ProgressAsked
from local.demo.report_page import Card, write_page
from local.demo.samples import Sample
from local.demo.triptych import data_uri, jpeg, triptych
from local.paths import log_of, shown
from local.stack import SPEED, AdobeService, LocalCloud

if TYPE_CHECKING:
    from rich.console import Console

#: Above this many photos the page holds smaller pictures, so that it still opens.
_MANY = 24
_LOOK_EVERY = 0.25


@dataclass(frozen=True, slots=True)
class RunArgs:
    """What somebody asked for on the command line."""

    drops: Sequence[Upload]
    out: Path
    #: What is to go, where the person said so for all photos.
    remove: str = ""
    deadline: float | None = None
    speed: float | None = None
    wait_scale: float = 1.0
    port: int = 0
    parameters: Mapping[str, str] | None = None
    service: AdobeService | None = None

    @property
    def seconds(self) -> float:
        """How long the photos may take together before those without an outcome are named."""
        return self.deadline or 120.0 + 30.0 * len(self.drops)


@dataclass(slots=True)
class Ending:
    """How one photo ended, with what there is to show."""

    progress: PhotoProgress
    outcome: str
    reason: str = ""
    message: str = ""
    what_to_do: str = ""
    manifest: Mapping[str, Any] | None = None
    card: Card | None = None

    @property
    def went_well(self) -> bool:
        """A sample that shows nothing is a fault; with somebody's own photo, nothing to remove is an answer."""
        return self.outcome == "cleaned" or (
            self.outcome == "nothing_to_remove" and not isinstance(self.progress.photo.source, Sample)
        )


def run(told: RunArgs, console: Console) -> int:
    """Clean the photos; 0 only if all went well."""
    photos = [photo for photo in told.drops if not photo.companion]
    console.print(f"Cleaning {len(photos)} photo{'s' if len(photos) != 1 else ''} on this machine.", highlight=False)
    began = time.monotonic()
    cloud = LocalCloud(
        service=told.service,
        speed=told.speed or SPEED,
        wait_scale=told.wait_scale,
        port=told.port,
        parameters=told.parameters,
        log=log_of("run"),
    )
    with started(cloud, console):
        console.print(
            f"The embedded AWS is up and template.yaml is deployed ({time.monotonic() - began:.1f} s).", highlight=False
        )
        for line in about(cloud, told.remove):
            console.print(line, highlight=False, soft_wrap=True)
        tracks = _clean(cloud, told, photos, console)
        with console.status("Fetching results ..."):
            endings = [_collect(cloud, progress, told) for progress in tracks]
        complaints = (
            list(function_complaints(cloud.aws)) if any(ending.outcome == "missing" for ending in endings) else []
        )
    page = _write_page(endings, told)
    _report(endings, page, complaints, time.monotonic() - began, console)
    return 0 if all(ending.went_well for ending in endings) else 1


@contextlib.contextmanager
def started(cloud: LocalCloud, console: Console) -> Iterator[LocalCloud]:
    """The laptop, started with a word to whoever waits, and stopped whatever happens."""
    try:
        with console.status("Starting the embedded AWS and deploying template.yaml ..."):
            cloud.start()
        yield cloud
    finally:
        cloud.stop()


def about(cloud: LocalCloud, remove: str) -> list[str]:
    """What people should know before they judge the pictures."""
    if cloud.stand_in is None:
        lines = [f"Adobe's API is {cloud.service.api_url}, as ADOBE_API_URL says; no stand-in is started."]
        if not cloud.service.is_on_this_machine:
            lines.append("Note: a service elsewhere cannot fetch photos from an AWS on this machine; deploy for that.")
        return lines
    lines = [
        "Adobe is played by a stand-in: real segmentation and inpainting on this machine, not Adobe's quality.",
    ]
    if remove and remove not in {"subject", "everything"}:
        lines.append(f"It recognises nothing, so what stands out most in a photo is called {remove!r}, as REMOVE says.")
    return lines


# --- cleaning ---


def _clean(cloud: LocalCloud, told: RunArgs, photos: Sequence[Upload], console: Console) -> list[PhotoProgress]:
    tracks = {photo.key: PhotoProgress(photo) for photo in photos}
    if told.remove:
        cloud.name_what_is_found(_labels(told.remove))
    deadline = time.monotonic() + told.seconds
    asked = ProgressAsked(cloud.aws, cloud.stack)
    with ThreadPoolExecutor(1) as uploader, asked, make_board(console) as board:
        uploads = [uploader.submit(_upload, cloud, told, photo, tracks.get(photo.key)) for photo in told.drops]
        try:
            while time.monotonic() < deadline:
                cloud.aws.check()
                for upload in uploads:
                    if upload.done():
                        upload.result()
                _update(cloud, tracks)
                board.show(list(tracks.values()), asked.words)
                if all(progress.outcome for progress in tracks.values()):
                    break
                time.sleep(_LOOK_EVERY)
        finally:
            uploader.shutdown(cancel_futures=True)
        for progress in tracks.values():
            if not progress.outcome:
                progress.outcome = "missing"
                progress.ended = time.monotonic()
                progress.stage = f"no outcome after {told.seconds:.0f} s"
        board.show(list(tracks.values()))
    return list(tracks.values())


def _upload(cloud: LocalCloud, told: RunArgs, photo: Upload, progress: PhotoProgress | None) -> None:
    if isinstance(photo.source, Sample) and not told.remove:
        cloud.name_what_is_found(_labels(photo.remove), photo=photo.key)
    content = photo.read()
    if progress is not None:
        progress.began = time.monotonic()
    answer = cloud.aws.client("s3").put_object(
        Bucket=cloud.stack.uploads_bucket, Key=photo.key, Body=content, Metadata=photo.metadata
    )
    if progress is not None:
        progress.version_id = answer.get("VersionId", "")
        progress.stage = "is uploaded"


def _labels(remove: str) -> list[str]:
    words = [word.strip().replace("*", "") for word in remove.split(",")]
    return [word for word in words if word and word not in {"subject", "everything"}] or ["subject"]


def _update(cloud: LocalCloud, tracks: Mapping[str, PhotoProgress]) -> None:
    for snapshot in look(cloud.aws, cloud.stack):
        progress = tracks.get(snapshot.key)
        if (
            progress is None
            or progress.outcome
            or (progress.version_id and snapshot.version_id not in {"", progress.version_id})
        ):
            continue
        progress.snapshot = snapshot
        progress.stage = snapshot.stage
        if snapshot.ended:
            progress.outcome, progress.ended = snapshot.status, time.monotonic()


# --- collecting ---


def _collect(cloud: LocalCloud, progress: PhotoProgress, told: RunArgs) -> Ending:
    for old in (told.out / progress.photo.key, _beside(told.out, progress.photo.key)):
        with contextlib.suppress(OSError):
            old.unlink()
    if progress.snapshot is None or progress.outcome == "missing":
        return _missing(cloud, progress)
    manifest = read_manifest(cloud.aws, cloud.stack, progress.snapshot)
    said = manifest or progress.snapshot.outcome
    ending = Ending(
        progress,
        progress.outcome,
        reason=str(said.get("reason", "")),
        message=str(said.get("message", "")),
        what_to_do=str(said.get("what_to_do", "")),
        manifest=manifest,
    )
    if manifest is not None:
        _write(told.out / f"{_result_key(progress)}.json", _pretty(cloud, progress))
    content = _fetch_result(cloud, ending)
    if content is not None:
        _write(told.out / _result_key(progress), content)
    ending.card = _make_card(cloud, ending, content, told)
    return ending


def _missing(cloud: LocalCloud, progress: PhotoProgress) -> Ending:
    at = (
        f"It got as far as: {progress.snapshot.stage}." if progress.snapshot else "It never appeared in the Jobs table."
    )
    ending = Ending(
        progress,
        "missing",
        reason="NoOutcome",
        message=f"Nothing came of it in time. {at}",
        what_to_do=f"Look into {shown(cloud.aws.log)}; give more time with make run ARGS='--deadline 600'.",
    )
    ending.card = _card(ending, facts=[])
    return ending


def _result_key(progress: PhotoProgress) -> str:
    result = progress.snapshot.outcome.get("result") if progress.snapshot else None
    return str(result["key"]) if result else progress.photo.key


def _pretty(cloud: LocalCloud, progress: PhotoProgress) -> bytes:
    snapshot = progress.snapshot
    content = read_object(cloud.aws, cloud.stack.results_bucket, snapshot.manifest_key) if snapshot else None
    return content or b""


def _fetch_result(cloud: LocalCloud, ending: Ending) -> bytes | None:
    """The result, if it is what the manifest says; a result that is not there turns the outcome into a failure."""
    if ending.outcome == "failed":
        return None
    result = (ending.manifest or {}).get("result") or {}
    content = read_object(cloud.aws, cloud.stack.results_bucket, str(result.get("key", "")))
    if content is not None and hashlib.sha256(content).hexdigest() == result.get("sha256"):
        return content
    ending.outcome = "failed"
    ending.reason = "ResultNotThere" if content is None else "ResultDiffers"
    ending.message = "The record says that the photo is done, but the results bucket does not hold what it describes."
    ending.what_to_do = "This is a fault of Cleanplate. Run it again; if it stays, report it with the manifest."
    return None


def _make_card(cloud: LocalCloud, ending: Ending, result: bytes | None, told: RunArgs) -> Card:
    facts = _facts(ending.manifest or {})
    if result is None:
        return _card(ending, facts=facts)
    hole_key = (ending.manifest or {}).get("hole")
    hole = read_object(cloud.aws, cloud.stack.work_bucket, str(hole_key)) if hole_key else None
    key = ending.progress.photo.key
    try:
        pictures = triptych(ending.progress.photo.read(), result, hole)
    except OSError:
        return _card(ending, facts=facts, result=_result_key(ending.progress))
    _write(_beside(told.out, key), jpeg(pictures.side_by_side()))
    longest = 900 if len(told.drops) <= _MANY else 320
    for picture in (pictures.before, pictures.mask, pictures.after):
        picture.thumbnail((longest, longest))
    return _card(
        ending,
        facts=facts,
        result=_result_key(ending.progress),
        before=data_uri(pictures.before),
        mask=data_uri(pictures.mask, 60),
        after=data_uri(pictures.after),
    )


def _card(ending: Ending, *, facts: Sequence[tuple[str, str]], **pictures: str) -> Card:
    source = ending.progress.photo.source
    return Card(
        name=ending.progress.photo.key,
        outcome=ending.outcome,
        facts=[*([("shows", source.shows)] if isinstance(source, Sample) else []), *facts],
        reason=ending.reason if ending.outcome in {"failed", "missing"} else "",
        message=ending.message,
        what_to_do=ending.what_to_do,
        credit=source.credit if isinstance(source, Sample) else "",
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


def _beside(out: Path, key: str) -> Path:
    """Where the picture of before, mask and after lies."""
    return out / "pictures" / str(PurePosixPath(key).with_name(f"{PurePosixPath(key).name}.before-mask-after.jpg"))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


# --- telling ---


def _write_page(endings: Sequence[Ending], told: RunArgs) -> Path:
    cleaned = sum(ending.outcome == "cleaned" for ending in endings)
    notes = [f"{cleaned} of {len(endings)} photos cleaned."]
    if told.service is None:
        notes.append(
            "Masks and fills are by Adobe's stand-in: a small segmentation network and PatchMatch on this machine, "
            "real computations and not Adobe's quality. Everything else is what runs on AWS."
        )
    page = told.out / "index.html"
    cards = [ending.card for ending in endings if ending.card is not None]
    _write(page, write_page(cards, title="Cleanplate: before, mask, after", notes=notes).encode())
    return page


def _report(endings: Sequence[Ending], page: Path, complaints: Sequence[str], seconds: float, console: Console) -> None:
    table = Table(box=None, padding=(0, 2), show_edge=False)
    table.add_column("")
    table.add_column("photo", overflow="fold")
    table.add_column("outcome")
    table.add_column("result", overflow="fold")
    table.add_column("time", justify="right")
    for ending in endings:
        colour = COLOURS.get(ending.outcome, "")
        kept = ending.outcome in {"cleaned", "nothing_to_remove"}
        table.add_row(
            Text(MARKS.get(ending.outcome, "?"), colour),
            Text(ending.progress.photo.key),
            Text(ending.reason if not kept and ending.reason else ending.outcome.replace("_", " "), colour),
            Text(_result_key(ending.progress) if kept else ""),
            Text(f"{ending.progress.seconds:.1f} s"),
        )
    console.print()
    console.print(table)
    for ending in endings:
        if not ending.went_well or ending.outcome == "nothing_to_remove":
            console.print()
            console.print(Text(f"{ending.progress.photo.key}: {_why(ending)}"), soft_wrap=True)
            if ending.what_to_do:
                console.print(Text(f"What to do: {ending.what_to_do}"), soft_wrap=True)
    for complaint in complaints:
        console.print(Text(f"  {complaint}", "dim"), soft_wrap=True)
    well = sum(ending.went_well for ending in endings)
    console.print()
    console.print(
        Text(f"{well} of {len(endings)} went well in {seconds:.0f} s. Results and page: {shown(page)}"), soft_wrap=True
    )


def _why(ending: Ending) -> str:
    if ending.outcome == "nothing_to_remove":
        seen = ", ".join((ending.manifest or {}).get("labels_seen", [])) or "nothing"
        return f"{ending.message or 'Nothing to remove; the original is passed on.'} Seen in the photo: {seen}."
    return f"{ending.reason}. {ending.message}" if ending.message else ending.reason
