"""`make run`: clean photos from beginning to end on this machine, and show what came of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from cleanplate.uploads.options import own_mask_key, sidecar_key
from cleanplate_cli.inputs import Upload
from cleanplate_cli.out_folder import OutFolder
from local.demo.collecting import Ending, collect, ending_before, endings_before, make_card, task_of
from local.demo.job_watcher import function_complaints, look
from local.demo.progress_board import COLOURS, MARKS, PhotoProgress, make_board
from local.demo.progress_poller import ProgressAsked
from local.demo.report_page import write_page
from local.paths import log_of, shown
from local.stack import SPEED, AdobeService, LocalCloud

if TYPE_CHECKING:
    from rich.console import Console

_LOOK_EVERY = 0.25


@dataclass(frozen=True, slots=True)
class RunArgs:
    """What somebody asked for on the command line."""

    drops: Sequence[Upload]
    out: Path
    #: What is to go, where the person said so for all photos.
    remove: str = ""
    #: What was found and is left alone, in words.
    left: str = ""
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

    @property
    def photos(self) -> list[Upload]:
        """What has an outcome of its own."""
        return [photo for photo in self.drops if not photo.companion]

    @property
    def files(self) -> list[Path]:
        """What is read on this machine."""
        return [photo.source for photo in self.drops if isinstance(photo.source, Path)]

    @property
    def room(self) -> int:
        """Bytes that results and pictures will take, about."""
        return sum(file.stat().st_size * 3 // 2 for file in self.files) + 500_000 * len(self.drops)

    def companions(self, photo: Upload) -> list[bytes]:
        """Return the content of the sidecar and the mask that come along with a photo."""
        keys = {sidecar_key(photo.key), own_mask_key(photo.key)}
        return [drop.read() for drop in self.drops if drop.companion and drop.key in keys]


def run(told: RunArgs, console: Console) -> int:
    """Clean the photos; 0 only if all went well."""
    out = OutFolder(told.out)
    out.check(told.files, room=told.room)
    if told.left:
        console.print(told.left, highlight=False, markup=False, soft_wrap=True)
    with out:
        before = {
            photo.key: done for photo in told.photos if (done := ending_before(out, photo, told.companions(photo)))
        }
        if before:
            console.print(
                f"{_counted(before)} done already in {shown(told.out)}, with the same options, and passed over.",
                highlight=False,
                soft_wrap=True,
            )
        if len(before) == len(told.photos):
            endings, complaints, seconds = list(before.values()), list[str](), 0.0
        else:
            endings, complaints, seconds = _run(told, before, out, console)
        page = _write_page(told, out)
    _report(endings, told.out / page, complaints, seconds, console)
    return 0 if all(ending.went_well for ending in endings) else 1


def _run(
    told: RunArgs, before: Mapping[str, Ending], out: OutFolder, console: Console
) -> tuple[list[Ending], list[str], float]:
    """Clean all but those that are done; how all of them ended, what the functions complained of, and seconds."""
    photos = [photo for photo in told.photos if photo.key not in before]
    console.print(f"Cleaning {_counted(photos)} on this machine.", highlight=False)
    began = time.monotonic()
    cloud = LocalCloud(
        service=told.service,
        speed=told.speed or SPEED,
        wait_scale=told.wait_scale,
        port=told.port,
        parameters=told.parameters,
        log=log_of("run"),
    )
    endings = dict(before)
    try:
        with started(cloud, console):
            console.print(
                f"The embedded AWS is up and template.yaml is deployed ({time.monotonic() - began:.1f} s).",
                highlight=False,
            )
            for line in about(cloud, told.remove):
                console.print(line, highlight=False, soft_wrap=True)
            _clean(cloud, told, photos, endings, out, console)
            complaints = (
                list(function_complaints(cloud.aws))
                if any(ending.outcome == "missing" for ending in endings.values())
                else []
            )
    except BaseException:
        if endings:
            page = _write_page(told, out)
            console.print(
                f"{len(endings)} of {_counted(told.photos)} are saved, see {shown(told.out / page)}; "
                "the same command goes on with the rest.",
                highlight=False,
                soft_wrap=True,
            )
        raise
    return [endings[photo.key] for photo in told.photos], complaints, time.monotonic() - began


def _counted(photos: Collection[object]) -> str:
    return f"{len(photos)} photo{'' if len(photos) == 1 else 's'}"


@contextlib.contextmanager
def started(cloud: LocalCloud, console: Console) -> Iterator[LocalCloud]:
    """Yield the local stack, started with a word to whoever waits, and stopped whatever happens."""
    try:
        with console.status("Starting the embedded AWS and deploying template.yaml ..."):
            cloud.start()
        yield cloud
    finally:
        cloud.stop()


def about(cloud: LocalCloud, remove: str) -> list[str]:
    """Return what people should know before they judge the pictures."""
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


def _clean(
    cloud: LocalCloud,
    told: RunArgs,
    photos: Sequence[Upload],
    endings: dict[str, Ending],
    out: OutFolder,
    console: Console,
) -> None:
    """Upload the photos, and save what comes of each as it comes; ``endings`` fills up meanwhile."""
    tracks = {photo.key: PhotoProgress(photo) for photo in photos}
    drops = [drop for drop in told.drops if drop.companion or drop.key in tracks]
    if told.remove:
        cloud.name_what_is_found(_labels(told.remove))
    deadline = time.monotonic() + told.seconds
    asked = ProgressAsked(cloud.aws, cloud.stack)
    saves: dict[str, Future[Ending]] = {}
    with ThreadPoolExecutor(1) as uploader, ThreadPoolExecutor(2) as saver, asked, make_board(console) as board:
        uploads = [uploader.submit(_upload, cloud, told, drop, tracks.get(drop.key)) for drop in drops]
        try:
            while len(endings) < len(told.photos):
                cloud.aws.check()
                for upload in uploads:
                    if upload.done():
                        upload.result()
                _update(cloud, tracks, is_late=time.monotonic() > deadline, seconds=told.seconds)
                board.show(list(tracks.values()), asked.words)
                for key, progress in tracks.items():
                    if progress.outcome and key not in saves:
                        saves[key] = saver.submit(collect, cloud, progress, out)
                endings.update({key: save.result() for key, save in saves.items() if save.done()})
                time.sleep(_LOOK_EVERY)
        finally:
            uploader.shutdown(wait=False, cancel_futures=True)
            saver.shutdown(cancel_futures=True)
            for key, save in saves.items():
                if save.done() and not save.cancelled() and not save.exception():
                    endings[key] = save.result()
        board.show(list(tracks.values()))


def _upload(cloud: LocalCloud, told: RunArgs, photo: Upload, progress: PhotoProgress | None) -> None:
    if not isinstance(photo.source, Path) and not told.remove:
        cloud.name_what_is_found(_labels(photo.options["remove"]), photo=photo.key)
    content = photo.read()
    if progress is not None:
        progress.began = time.monotonic()
        progress.task = task_of(photo, content, told.companions(photo))
    answer = cloud.aws.client("s3").put_object(
        Bucket=cloud.stack.uploads_bucket, Key=photo.key, Body=content, Metadata=photo.metadata
    )
    if progress is not None:
        progress.version_id = answer.get("VersionId", "")
        progress.stage = "is uploaded"


def _labels(remove: str) -> list[str]:
    words = [word.strip().replace("*", "") for word in remove.split(",")]
    return [word for word in words if word and word not in {"subject", "everything"}] or ["subject"]


def _update(cloud: LocalCloud, tracks: Mapping[str, PhotoProgress], *, is_late: bool, seconds: float) -> None:
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
    for progress in tracks.values():
        if is_late and not progress.outcome:
            progress.outcome, progress.ended = "missing", time.monotonic()
            progress.stage = f"no outcome after {seconds:.0f} s"


# --- telling ---


def _write_page(told: RunArgs, out: OutFolder) -> str:
    """Return the page of all that lies where results go, whichever run it is of."""
    endings = endings_before(out).values()
    cleaned = sum(ending.outcome == "cleaned" for ending in endings)
    notes = [f"{cleaned} of {_counted(endings)} cleaned."]
    if told.service is None:
        notes.append(
            "Masks and fills are by Adobe's stand-in: a small segmentation network and PatchMatch on this machine, "
            "real computations and not Adobe's quality. Everything else is what runs on AWS."
        )
    cards = [make_card(ending, told.out, len(endings)) for ending in endings]
    return out.save("index.html", write_page(cards, title="Cleanplate: before, mask, after", notes=notes).encode())


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
            Text(ending.key),
            Text(ending.reason if not kept and ending.reason else ending.outcome.replace("_", " "), colour),
            Text(ending.result if kept else ""),
            Text(f"{ending.seconds:.1f} s"),
        )
    console.print()
    console.print(table)
    for ending in endings:
        if not ending.went_well or ending.outcome == "nothing_to_remove":
            console.print()
            console.print(Text(f"{ending.key}: {_why(ending)}"), soft_wrap=True)
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
        seen = ", ".join(ending.labels_seen) or "nothing"
        return f"{ending.message or 'Nothing to remove; the original is passed on.'} Seen in the photo: {seen}."
    return f"{ending.reason}. {ending.message}" if ending.message else ending.reason
