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

from local.demo.inputs import Drop
from local.demo.job_watcher import function_complaints, look, read_manifest, read_object
from local.demo.progress_board import COLOURS, MARKS, Track, make_board
from local.demo.progress_poller import ProgressAsked
from local.demo.report_page import Card, write_page
from local.demo.samples import Sample
from local.demo.triptych import data_uri, jpeg, triptych
from local.paths import log_of, shown
from local.stack import SPEED, AdobeService, Laptop

if TYPE_CHECKING:
    from rich.console import Console

#: Above this many photos the page holds smaller pictures, so that it still opens.
_MANY = 24
_LOOK_EVERY = 0.25


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody asked for on the command line."""

    drops: Sequence[Drop]
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

    track: Track
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
            self.outcome == "nothing_to_remove" and not isinstance(self.track.drop.source, Sample)
        )


def run(told: Told, console: Console) -> int:
    """Clean the photos; 0 only if all went well."""
    photos = [drop for drop in told.drops if not drop.companion]
    console.print(f"Cleaning {len(photos)} photo{'s' if len(photos) != 1 else ''} on this machine.", highlight=False)
    began = time.monotonic()
    laptop = Laptop(
        service=told.service,
        speed=told.speed or SPEED,
        wait_scale=told.wait_scale,
        port=told.port,
        parameters=told.parameters,
        log=log_of("run"),
    )
    with started(laptop, console):
        console.print(
            f"The embedded AWS is up and template.yaml is deployed ({time.monotonic() - began:.1f} s).", highlight=False
        )
        for line in about(laptop, told.remove):
            console.print(line, highlight=False, soft_wrap=True)
        tracks = _clean(laptop, told, photos, console)
        with console.status("Fetching results ..."):
            endings = [_collect(laptop, track, told) for track in tracks]
        complaints = (
            list(function_complaints(laptop.aws)) if any(ending.outcome == "missing" for ending in endings) else []
        )
    page = _write_page(endings, told)
    _report(endings, page, complaints, time.monotonic() - began, console)
    return 0 if all(ending.went_well for ending in endings) else 1


@contextlib.contextmanager
def started(laptop: Laptop, console: Console) -> Iterator[Laptop]:
    """The laptop, started with a word to whoever waits, and stopped whatever happens."""
    try:
        with console.status("Starting the embedded AWS and deploying template.yaml ..."):
            laptop.start()
        yield laptop
    finally:
        laptop.stop()


def about(laptop: Laptop, remove: str) -> list[str]:
    """What people should know before they judge the pictures."""
    if laptop.stand_in is None:
        lines = [f"Adobe's API is {laptop.service.api_url}, as ADOBE_API_URL says; no stand-in is started."]
        if not laptop.service.is_on_this_machine:
            lines.append("Note: a service elsewhere cannot fetch photos from an AWS on this machine; deploy for that.")
        return lines
    lines = [
        "Adobe is played by a stand-in: real segmentation and inpainting on this machine, not Adobe's quality.",
    ]
    if remove and remove not in {"subject", "everything"}:
        lines.append(f"It recognises nothing, so what stands out most in a photo is called {remove!r}, as REMOVE says.")
    return lines


# --- cleaning ---


def _clean(laptop: Laptop, told: Told, photos: Sequence[Drop], console: Console) -> list[Track]:
    tracks = {drop.key: Track(drop) for drop in photos}
    if told.remove:
        laptop.name_what_is_found(_labels(told.remove))
    deadline = time.monotonic() + told.seconds
    asked = ProgressAsked(laptop.aws, laptop.stack)
    with ThreadPoolExecutor(1) as uploader, asked, make_board(console) as board:
        uploads = [uploader.submit(_upload, laptop, told, drop, tracks.get(drop.key)) for drop in told.drops]
        try:
            while time.monotonic() < deadline:
                laptop.aws.check()
                for upload in uploads:
                    if upload.done():
                        upload.result()
                _update(laptop, tracks)
                board.show(list(tracks.values()), asked.words)
                if all(track.outcome for track in tracks.values()):
                    break
                time.sleep(_LOOK_EVERY)
        finally:
            uploader.shutdown(cancel_futures=True)
        for track in tracks.values():
            if not track.outcome:
                track.outcome = "missing"
                track.ended = time.monotonic()
                track.stage = f"no outcome after {told.seconds:.0f} s"
        board.show(list(tracks.values()))
    return list(tracks.values())


def _upload(laptop: Laptop, told: Told, drop: Drop, track: Track | None) -> None:
    if isinstance(drop.source, Sample) and not told.remove:
        laptop.name_what_is_found(_labels(drop.remove), photo=drop.key)
    content = drop.read()
    if track is not None:
        track.began = time.monotonic()
    answer = laptop.aws.client("s3").put_object(
        Bucket=laptop.stack.uploads_bucket, Key=drop.key, Body=content, Metadata=drop.metadata
    )
    if track is not None:
        track.version_id = answer.get("VersionId", "")
        track.stage = "is uploaded"


def _labels(remove: str) -> list[str]:
    words = [word.strip().replace("*", "") for word in remove.split(",")]
    return [word for word in words if word and word not in {"subject", "everything"}] or ["subject"]


def _update(laptop: Laptop, tracks: Mapping[str, Track]) -> None:
    for sight in look(laptop.aws, laptop.stack):
        track = tracks.get(sight.key)
        if track is None or track.outcome or (track.version_id and sight.version_id not in {"", track.version_id}):
            continue
        track.sight = sight
        track.stage = sight.stage
        if sight.ended:
            track.outcome, track.ended = sight.status, time.monotonic()


# --- collecting ---


def _collect(laptop: Laptop, track: Track, told: Told) -> Ending:
    for old in (told.out / track.drop.key, _beside(told.out, track.drop.key)):
        with contextlib.suppress(OSError):
            old.unlink()
    if track.sight is None or track.outcome == "missing":
        return _missing(laptop, track)
    manifest = read_manifest(laptop.aws, laptop.stack, track.sight)
    said = manifest or track.sight.outcome
    ending = Ending(
        track,
        track.outcome,
        reason=str(said.get("reason", "")),
        message=str(said.get("message", "")),
        what_to_do=str(said.get("what_to_do", "")),
        manifest=manifest,
    )
    if manifest is not None:
        _write(told.out / f"{_result_key(track)}.json", _pretty(laptop, track))
    content = _fetch_result(laptop, ending)
    if content is not None:
        _write(told.out / _result_key(track), content)
    ending.card = _make_card(laptop, ending, content, told)
    return ending


def _missing(laptop: Laptop, track: Track) -> Ending:
    at = f"It got as far as: {track.sight.stage}." if track.sight else "It never appeared in the Jobs table."
    ending = Ending(
        track,
        "missing",
        reason="NoOutcome",
        message=f"Nothing came of it in time. {at}",
        what_to_do=f"Look into {shown(laptop.aws.log)}; give more time with make run ARGS='--deadline 600'.",
    )
    ending.card = _card(ending, facts=[])
    return ending


def _result_key(track: Track) -> str:
    result = track.sight.outcome.get("result") if track.sight else None
    return str(result["key"]) if result else track.drop.key


def _pretty(laptop: Laptop, track: Track) -> bytes:
    sight = track.sight
    content = read_object(laptop.aws, laptop.stack.results_bucket, sight.manifest_key) if sight else None
    return content or b""


def _fetch_result(laptop: Laptop, ending: Ending) -> bytes | None:
    """The result, if it is what the manifest says; a result that is not there turns the outcome into a failure."""
    if ending.outcome == "failed":
        return None
    result = (ending.manifest or {}).get("result") or {}
    content = read_object(laptop.aws, laptop.stack.results_bucket, str(result.get("key", "")))
    if content is not None and hashlib.sha256(content).hexdigest() == result.get("sha256"):
        return content
    ending.outcome = "failed"
    ending.reason = "ResultNotThere" if content is None else "ResultDiffers"
    ending.message = "The record says that the photo is done, but the results bucket does not hold what it describes."
    ending.what_to_do = "This is a fault of Cleanplate. Run it again; if it stays, report it with the manifest."
    return None


def _make_card(laptop: Laptop, ending: Ending, result: bytes | None, told: Told) -> Card:
    facts = _facts(ending.manifest or {})
    if result is None:
        return _card(ending, facts=facts)
    hole_key = (ending.manifest or {}).get("hole")
    hole = read_object(laptop.aws, laptop.stack.work_bucket, str(hole_key)) if hole_key else None
    key = ending.track.drop.key
    try:
        pictures = triptych(ending.track.drop.read(), result, hole)
    except OSError:
        return _card(ending, facts=facts, result=_result_key(ending.track))
    _write(_beside(told.out, key), jpeg(pictures.side_by_side()))
    longest = 900 if len(told.drops) <= _MANY else 320
    for picture in (pictures.before, pictures.mask, pictures.after):
        picture.thumbnail((longest, longest))
    return _card(
        ending,
        facts=facts,
        result=_result_key(ending.track),
        before=data_uri(pictures.before),
        mask=data_uri(pictures.mask, 60),
        after=data_uri(pictures.after),
    )


def _card(ending: Ending, *, facts: Sequence[tuple[str, str]], **pictures: str) -> Card:
    source = ending.track.drop.source
    return Card(
        name=ending.track.drop.key,
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


def _write_page(endings: Sequence[Ending], told: Told) -> Path:
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
            Text(ending.track.drop.key),
            Text(ending.reason if not kept and ending.reason else ending.outcome.replace("_", " "), colour),
            Text(_result_key(ending.track) if kept else ""),
            Text(f"{ending.track.seconds:.1f} s"),
        )
    console.print()
    console.print(table)
    for ending in endings:
        if not ending.went_well or ending.outcome == "nothing_to_remove":
            console.print()
            console.print(Text(f"{ending.track.drop.key}: {_why(ending)}"), soft_wrap=True)
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
