"""Clean photos from a folder to a folder, by whatever stack: upload, watch, save what comes, and a page of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from cleanplate.uploads.options import OWN_MASK_SUFFIX
from cleanplate_cli import forecast
from cleanplate_cli.collecting import Ending, collect, done_before, endings_before
from cleanplate_cli.errors import CommandError
from cleanplate_cli.inputs import Upload, companion_keys, companions_by_photo
from cleanplate_cli.out_folder import OutFolder
from cleanplate_cli.page import write_page
from cleanplate_cli.progress_board import PhotoProgress, make_board
from cleanplate_cli.progress_poller import ProgressPoller, ask_progress
from cleanplate_cli.stack import Stack
from cleanplate_cli.terminal import counted, report, say, shown
from cleanplate_cli.uploading import NameTakenError, Uploaded, Uploader, ask_again, put_mask

if TYPE_CHECKING:
    from rich.console import Console

_LOOK_EVERY = 0.5
#: What a run of more photos than this would cost is said before it begins, and asked for.
_ASKED_ABOVE = 50
#: Requests to Adobe per photo, with those that ask about its jobs.
_REQUESTS = 4
#: So long without any photo moving is worth a word; with the pause between two lines of a log, half a minute. Seconds.
_STILL = 18.0
#: Stages in which Adobe has the word.
_AT_ADOBE = frozenset({"asks for the mask", "Adobe makes the mask", "mask ready", "Adobe fills the hole"})
#: What Adobe had answered last: that another photo is sent is no sign of life.
_ANSWERED = {
    **dict.fromkeys(("waits to be uploaded", "is uploaded", "looks at the photo", "asks for the mask"), ""),
    "Adobe fills the hole": "mask ready",
}


@dataclass(frozen=True, slots=True)
class RunArgs:
    """What somebody asked for."""

    uploads: Sequence[Upload]
    out: Path
    #: The folder in the uploads bucket, with its last slash; empty for the top.
    folder: str = ""
    #: What was found and is left alone, in words.
    left: str = ""
    #: What it is called in words to people.
    where: str = "on this machine"
    #: The stack's name, where one was named.
    stack: str = ""
    #: Do again what is done.
    again: bool = False
    #: Ask for another run of what is in the bucket already, instead of passing over it.
    retry: bool = False
    #: Masks to approve, by the photo's key: as somebody has edited them, or None for Adobe's as it is.
    approvals: Mapping[str, bytes | None] = field(default_factory=dict)
    yes: bool = False
    deadline: float | None = None

    @property
    def photos(self) -> list[Upload]:
        """What has an outcome of its own."""
        return [upload for upload in self.uploads if not upload.companion]

    @property
    def files(self) -> list[Path]:
        """What is read on this machine."""
        return [upload.source for upload in self.uploads if isinstance(upload.source, Path)]

    @property
    def room(self) -> int:
        """Bytes that results and pictures will take, about."""
        return sum(file.stat().st_size * 3 // 2 for file in self.files) + 500_000 * len(self.uploads)


def run(asked: RunArgs, open_stack: Callable[[], AbstractContextManager[Stack]], console: Console) -> int:
    """Clean the photos; 0 only if all went well. The stack is opened only if something is left to do."""
    out = OutFolder(asked.out)
    out.check(asked.files, room=asked.room)
    say(console, asked.left)
    began = time.monotonic()
    with out:
        endings = {} if asked.again or asked.retry else done_before(out, asked.uploads)
        if endings:
            say(
                console,
                f"{counted(endings)} done already in {shown(asked.out)}, with the same options, and passed over.",
            )
        function_errors: Sequence[str] = ()
        left = [photo for photo in asked.photos if photo.key not in endings]
        try:
            if left:
                with open_stack() as stack:
                    for line in stack.about:
                        say(console, line)
                    _agree(asked, left, stack, console)
                    say(console, f"Cleaning {counted(left)} {asked.where}.")
                    _Cleaning(asked, left, endings, stack, out).go(console)
                    if any(ending.outcome == "missing" for ending in endings.values()):
                        function_errors = stack.function_errors()
        except BaseException:
            if endings:
                page = write_page(out, asked.stack)
                say(
                    console,
                    f"{len(endings)} of {counted(asked.photos)} saved, see {shown(asked.out / page)}; "
                    "the same command goes on with the rest.",
                )
            raise
        page = write_page(out, asked.stack)
        ended = [endings[photo.key] for photo in asked.photos]
        report(ended, asked.out / page, function_errors, time.monotonic() - began, console, asked.stack)
    return 0 if all(ending.went_well for ending in ended) else 1


def _agree(asked: RunArgs, photos: Sequence[Upload], stack: Stack, console: Console) -> None:
    """Say what many photos will cost, and go on only if that is wanted. Nobody pays on a stack of one's own."""
    if len(photos) <= _ASKED_ABOVE:
        return
    masks = {upload.key for upload in asked.uploads if upload.companion and upload.key.endswith(OWN_MASK_SUFFIX)}
    paid = sum(
        # A mask and its fill; only one of them for a photo that brings its mask, has one to approve, or is to be looked at.
        1 if masks & companion_keys(photo.key) or photo.key in asked.approvals or "review" in photo.options else 2
        for photo in photos
    )
    say(console, f"{counted(photos)}: about {paid} paid requests to Adobe{_least_time(len(photos), stack)}.")
    if asked.yes or stack.is_private:
        return
    if not sys.stdin.isatty():
        raise CommandError("To go on without being asked, add --yes (make run YES=1). Nothing was uploaded.")
    if console.input("Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise CommandError("Nothing was uploaded.")


def _least_time(photos: int, stack: Stack) -> str:
    """Return how long so many photos take at least, as the rest of a sentence; empty where the stack does not say."""
    try:
        pace = float(ask_progress(stack)["requests_per_minute"]["limit"])
    except (CommandError, BotoCoreError, ClientError, KeyError):
        return ""
    seconds = photos * _REQUESTS / pace * 60
    return f"; at the {pace:g} requests a minute that the stack may send, {forecast.in_words(seconds)} or more"


@dataclass(slots=True)
class _Cleaning:
    """One run's photos between upload and result; ``endings`` fills up meanwhile."""

    asked: RunArgs
    photos: Sequence[Upload]
    endings: dict[str, Ending]
    stack: Stack
    out: OutFolder
    tracks: dict[str, PhotoProgress] = field(default_factory=dict)
    #: Manifests that were read: key and ETag.
    seen: set[tuple[str, str]] = field(default_factory=set)
    #: When the results are listed next, where they fill several pages.
    next_list: float = 0.0
    moved_at: float = 0.0
    stages: tuple[object, ...] = ()
    began: float = field(default_factory=time.monotonic)
    #: When photos were begun and ended, as far as was seen.
    steps: list[float] = field(default_factory=list)

    def go(self, console: Console) -> None:
        """Upload the photos, and save what comes of each as it comes."""
        self.tracks = {photo.key: PhotoProgress(photo) for photo in self.photos}
        beside = companions_by_photo(self.asked.uploads)
        keys = {upload.key for photo in self.photos for upload in (photo, *beside[photo.key])}
        wanted = [upload for upload in self.asked.uploads if upload.key in keys]
        uploader = Uploader(
            self.stack,
            self.asked.folder,
            self.out.id,
            again=self.asked.again,
            lanes=1 if self.stack.is_private else 8,
        )
        folder = None if self.stack.is_private else self.asked.folder
        poller = ProgressPoller(self.stack, folder)
        saves: dict[str, Future[Ending]] = {}
        deadline = time.monotonic() + self._patience()
        with ThreadPoolExecutor(2) as saver, poller, make_board(console) as board:
            try:
                uploads = uploader.start(wanted)
                while len(self.endings) < len(self.asked.photos):
                    self.stack.check()
                    self._take_uploads(uploads)
                    self._take_manifests()
                    self._take_late(deadline)
                    board.show(list(self.tracks.values()), self._words(poller.report))
                    for key, progress in self.tracks.items():
                        if progress.outcome and key not in saves:
                            saves[key] = saver.submit(collect, self.stack, progress, self.out)
                    self.endings.update({key: save.result() for key, save in saves.items() if save.done()})
                    time.sleep(_LOOK_EVERY)
            finally:
                uploader.stop()
                saver.shutdown(cancel_futures=True)
                for key, save in saves.items():
                    if save.done() and not save.cancelled() and not save.exception():
                        self.endings[key] = save.result()

    def _patience(self) -> float:
        # On AWS photos may wait for days, and go on whether anybody watches or not.
        usual = 120.0 + 30.0 * len(self.asked.uploads) if self.stack.is_private else float("inf")
        return self.asked.deadline or usual

    def _take_uploads(self, uploads: dict[str, Future[Uploaded]]) -> None:
        there: list[PhotoProgress] = []
        for key in [key for key, future in uploads.items() if future.done()]:
            progress, future = self.tracks[key], uploads.pop(key)
            try:
                uploaded = future.result()
            except NameTakenError as error:
                progress.reason, progress.message = "NameTaken", str(error)
                progress.what_to_do = (
                    "Choose another folder in the bucket: make run TO=another-name, or --to another-name."
                )
                progress.end("failed")
                continue
            progress.uploaded_as, progress.version_id = self.asked.folder + key, uploaded.version_id
            progress.task, progress.stage = uploaded.task, "is uploaded"
            if self.asked.retry and not uploaded.is_new:
                there.append(progress)
        if there:
            # What they failed with lies in the bucket already, and is not what comes of this.
            self._read_manifests(of={progress.photo.key for progress in there})
        for progress in there:
            if mask := self.asked.approvals.get(progress.photo.key):
                put_mask(self.stack, progress.uploaded_as, mask)
            else:
                approve = progress.photo.key in self.asked.approvals
                ask_again(self.stack, progress.uploaded_as, progress.version_id, approve=approve)

    def _read_manifests(self, of: set[str]) -> list[tuple[PhotoProgress, Mapping[str, Any]]]:
        """Return the manifests of these photos that were not there before."""
        found = []
        pages = self.stack.client("s3").get_paginator("list_objects_v2")
        for number, page in enumerate(pages.paginate(Bucket=self.stack.results_bucket, Prefix=self.asked.folder)):
            # AWS takes money for each page: the more of them, the less often.
            self.next_list = time.monotonic() + number * _LOOK_EVERY
            for listed in page.get("Contents", []):
                place = (listed["Key"], listed["ETag"])
                progress = self._photo_of(listed["Key"])
                if progress is None or progress.photo.key not in of or place in self.seen or progress.outcome:
                    continue
                content = self.stack.read(self.stack.results_bucket, listed["Key"])
                manifest = json.loads(content) if content else {}
                # One of an earlier version of the photo will never be of this one: it is not read again.
                self.seen.add(place)
                if manifest.get("photo", {}).get("version_id", "") == progress.version_id:
                    found.append((progress, manifest))
        return found

    def _photo_of(self, key: str) -> PhotoProgress | None:
        """Return whose manifest a key of the results bucket is, if one of ours: the photo's or the result's, and
        ``.json``.
        """
        if not key.endswith(".json"):
            return None
        name = key.removeprefix(self.asked.folder).removesuffix(".json")
        return self.tracks.get(name) or self.tracks.get(name.rpartition(".")[0])

    def _take_manifests(self) -> None:
        open_ = {key for key, progress in self.tracks.items() if progress.version_id and not progress.outcome}
        for key, stage in self.stack.stages().items():
            if key in open_:
                self.tracks[key].stage = stage
        is_due = open_ and time.monotonic() >= self.next_list
        for progress, manifest in self._read_manifests(open_) if is_due else []:
            progress.manifest = manifest
            progress.end(str(manifest["outcome"]))

    def _take_late(self, deadline: float) -> None:
        if time.monotonic() < deadline:
            return
        for progress in self.tracks.values():
            if not progress.outcome:
                progress.reason = "NoOutcome"
                progress.message = f"Nothing came of it in time. The last that was seen: {progress.stage}."
                progress.what_to_do = "Run the same command again, with more time: ARGS='--deadline 600'."
                progress.end("missing", "no outcome in time")

    def _see_whether_adobe_answers(self, answer: Mapping[str, Any], now: float) -> None:
        """Note when Adobe answered last, or had nothing to answer."""
        stages: tuple[object, ...] = tuple(_ANSWERED.get(one.stage, one.stage) for one in self.tracks.values())
        is_at_adobe = any(progress.stage in _AT_ADOBE for progress in self.tracks.values())
        if not self.stack.is_private:
            # Of a stack elsewhere only counts are known.
            stages, is_at_adobe = (*stages, answer.get("waiting"), answer.get("in_work")), True
        if stages != self.stages or not is_at_adobe:
            self.stages, self.moved_at = stages, now

    def _words(self, answer: Mapping[str, Any]) -> str:
        """Return how far all of them are, in one line."""
        now = time.monotonic()
        tracks = self.tracks.values()
        self._see_whether_adobe_answers(answer, now)
        ended = [progress for progress in tracks if progress.outcome]
        failed = sum(progress.outcome in {"failed", "missing"} for progress in tracks)
        uploaded = sum(bool(progress.uploaded_as or progress.outcome) for progress in tracks)
        open_ = len(tracks) - len(ended)
        in_work = min(open_, int(answer.get("in_work", 0)))
        parts = [f"{len(ended)} of {counted(tracks)} done" + (f", {failed} failed" if failed else "")]
        if uploaded < len(tracks):
            parts.append(f"{uploaded} uploaded")
        if open_:
            parts.append(f"{open_ - in_work} waiting, {in_work} in work")
        # A photo that is refused ends at once, which says nothing of how fast the others are cleaned.
        cleaned = len(ended) - failed
        self.steps += [now] * (2 * cleaned + in_work - len(self.steps))
        left = forecast.seconds_left(self.began, self.steps, cleaned, len(tracks) - failed, now)
        if (left is None or answer.get("held")) and not self.stack.is_private:
            # The stack knows what this run has not met yet: others' photos, a used-up day.
            left = float(answer.get("done_in_seconds") or 0) or left
        line = "; ".join(parts)
        if left and open_:
            line += f"; the last is done in about {forecast.in_words(left)}"
        held = list(answer.get("held", []))
        if open_ and now - self.moved_at > _STILL:
            held.append(
                f"No photo has moved for {round(now - self.moved_at)} s; Adobe may be slow, and nothing is lost."
            )
        return ". ".join([line, *held])


def endings_in(out: Path) -> dict[str, Ending]:
    """Return how every photo of a folder of results ended, by its origin."""
    folder = OutFolder(out)
    with folder:
        return endings_before(folder)
