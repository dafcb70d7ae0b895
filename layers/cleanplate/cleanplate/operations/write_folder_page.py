"""Write the page of a folder that is done into the results bucket, beside its results: ``_cleanplate.html``.

A page is made of the manifests that lie in the folder. What an earlier page shows of a photo whose manifest is still the
same is taken from there, small pictures included: a folder that gets one photo more costs one photo. Beyond that a page
costs a GET for each new manifest, photo and result, and one PUT for 500 photos.
"""

from __future__ import annotations

import io
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from aws_lambda_powertools import Logger

from cleanplate import imaging
from cleanplate.aws.results_folder import ResultsFolder
from cleanplate.aws.storage import MAX_KEY_BYTES
from cleanplate.errors import CleanplateError, UnknownFolderError
from cleanplate.models import TERMINAL, Photo
from cleanplate.operations.inputs import folder_scope
from cleanplate.page.cards import card_of
from cleanplate.page.html import Article, Card, article, articles_of, in_order, page_html, picture_side, summary
from cleanplate.schemas import SCHEMA
from cleanplate.services import Services

logger = Logger(child=True)

#: More are not read in the function's time.
MOST_PHOTOS = 100_000
#: Photos of one page, so that a browser opens it.
PHOTOS_ON_A_PAGE = 500
_PAGE = re.compile(r"_cleanplate(-\d+)?\.html")
#: How often a page is made again that somebody else has written meanwhile.
_ATTEMPTS = 3
#: Seconds that are left for writing: no small picture is begun later than that.
_TIME_TO_WRITE = 60.0
_TIME_FOR_A_PAGE = 1.0
_MANIFEST_BYTES = 1_000_000
#: What is looked at for a small picture: file and memory. With three photos fetched ahead it fits the function.
_FILE_BYTES = 64_000_000
_PICTURE_MEGABYTES = 600.0
_AHEAD = 3
_READERS = 16
#: How much is taken from pages that are there already, in characters.
_KNOWN_CHARACTERS = 200_000_000
#: What browsers show, for want of a small picture.
_SHOWN_BY_BROWSERS = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"})


def page_name(number: int) -> str:
    """Return the name of a folder's page: ``_cleanplate.html``, ``_cleanplate-2.html`` …"""
    return "_cleanplate.html" if number == 1 else f"_cleanplate-{number}.html"


class _Known:
    """What may be taken as it is, by what it was made of; as much as there is memory for."""

    def __init__(self) -> None:
        self._articles: dict[str, Article] = {}
        self._room = _KNOWN_CHARACTERS

    def add(self, one: Article) -> None:
        if one.made_of not in self._articles and len(one.html) < self._room:
            self._articles[one.made_of] = one
            self._room -= len(one.html)

    def get(self, made_of: str) -> Article | None:
        return self._articles.get(made_of)


@dataclass(frozen=True, slots=True)
class _Made:
    """A photo of the folder that no earlier page shows: its card, and where its pictures are made from."""

    card: Card
    made_of: str
    before: Photo | None = None
    after: str = ""
    media_type: str = ""

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def outcome(self) -> str:
        return self.card.outcome


def write_folder_page(
    asked: Mapping[str, Any], seconds_left: Callable[[], float], services: Services
) -> dict[str, Any]:
    """Write the pages of a folder; return how many, of how many photos, and in ``answer`` why none was written.

    ``asked`` names ``bucket`` and ``folder``, as the detail of ``Folder Done`` does; without them the top of the uploads
    bucket is meant. Raises :class:`UnknownFolderError` for a bucket of somebody else.
    """
    scope = folder_scope(asked.get("bucket"), asked.get("folder") or "", services)
    if scope.bucket not in services.settings.photo_buckets:
        raise UnknownFolderError(f"{scope.bucket} is no bucket of this stack.")
    place = services.results_folder(scope.bucket, scope.folder or "")
    if len((place.folder + page_name(1000)).encode()) > MAX_KEY_BYTES:
        return _nothing("The folder's name leaves no room for the name of a page.")
    known = _Known()
    for _ in range(_ATTEMPTS):
        done = _Writer(place, known, seconds_left, services).write()
        if done:
            return done
    return _nothing("Another call writes the same page.")


def _nothing(why: str) -> dict[str, Any]:
    logger.warning("no page was written", extra={"answer": why})
    return {"pages": 0, "photos": 0, "answer": why}


class _Writer:
    """One attempt."""

    def __init__(
        self, place: ResultsFolder, known: _Known, seconds_left: Callable[[], float], services: Services
    ) -> None:
        self._place = place
        self._known = known
        self._seconds_left = seconds_left
        self._services = services
        self._side = 0

    def write(self) -> dict[str, Any] | None:
        """Write all pages; None where one of them was written by somebody else meanwhile."""
        files = dict(self._place.names())
        pages = {name: etag for name, etag in files.items() if _PAGE.fullmatch(name)}
        manifests = {name: etag for name, etag in files.items() if name.endswith(".json")}
        if foreign := self._read_pages(pages):
            return _nothing(f"{self._place.folder}{foreign} was not written by this function, and stays as it is.")
        if len(manifests) > MOST_PHOTOS:
            return _nothing(f"{self._place.folder} has more than {MOST_PHOTOS} photos, too many for a page to help.")
        known = {name: found for name, etag in manifests.items() if (found := self._known.get(etag))}
        photos: list[Article | _Made] = [*known.values()]
        photos += self._read({name: etag for name, etag in manifests.items() if name not in known})
        if not photos:
            return _nothing("The folder has no manifests.")
        self._side = picture_side(len(photos))
        ordered = in_order(photos)
        groups = [ordered[at : at + PHOTOS_ON_A_PAGE] for at in range(0, len(ordered), PHOTOS_ON_A_PAGE)]
        for number, group in enumerate(groups, 1):
            articles = list(self._complete(group, reserve=_TIME_TO_WRITE + _TIME_FOR_A_PAGE * len(groups)))
            page = page_html(
                articles,
                title=f"Cleanplate: {self._place.folder or 'the top folder'}",
                notes=self._notes(photos, articles),
                page=number,
                pages=[page_name(each) for each in range(1, len(groups) + 1)],
            )
            if not self._place.write_page(page_name(number), page, replaces=pages.get(page_name(number), "")):
                return None
        return {"pages": len(groups), "photos": len(photos), "answer": ""}

    def _notes(self, photos: Sequence[Article | _Made], articles: Sequence[Article]) -> list[str]:
        at = datetime.fromtimestamp(self._services.clock(), UTC).strftime("%Y-%m-%d %H:%M UTC")
        notes = [summary([photo.outcome for photo in photos]), f"As of {at}."]
        if late := sum(not one.made_of for one in articles):
            notes.append(f"For {late} of these photos there was no time to make small pictures; their files are shown.")
        return notes

    def _read_pages(self, pages: Iterable[str]) -> str:
        """Take over what the pages show; return the first that is somebody else's file."""
        for name in sorted(pages, key=lambda one: (len(one), one)):
            page = self._place.read_page(name)
            if page is None:
                return name
            for one in articles_of(page):
                self._known.add(one)
        return ""

    def _read(self, manifests: Mapping[str, str]) -> Iterator[_Made]:
        """Yield the photos that the manifests of these names and ETags tell of; other JSON files are passed over."""

        def read(name: str) -> bytes:
            return self._place.read(name, max_bytes=_MANIFEST_BYTES) or b""

        with ThreadPoolExecutor(_READERS) as pool:
            for (name, etag), content in zip(manifests.items(), pool.map(read, manifests), strict=True):
                made = self._made(name, etag, content)
                if made:
                    yield made

    def _made(self, name: str, etag: str, content: bytes) -> _Made | None:
        try:
            manifest = json.loads(content)
            if manifest["schema"] != SCHEMA or manifest["outcome"] not in TERMINAL:
                return None
            if manifest["manifest"]["key"] != self._place.folder + name:
                return None
            card = card_of(manifest, self._place.folder, bus=self._services.settings.event_bus)
            described = manifest["photo"]
            photo = Photo(described["bucket"], described["key"], described["version_id"], described["etag"])
            result = manifest.get("result") or {}
            review = manifest.get("review", {}).get("preview", {})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        after = str((review if card.outcome == "mask_ready" else result).get("key", ""))
        return _Made(
            card,
            etag,
            before=photo if card.outcome in {"cleaned", "failed"} else None,
            after=after.removeprefix(self._place.folder),
            media_type=str(result.get("media_type", "")),
        )

    def _complete(self, photos: Sequence[Article | _Made], *, reserve: float) -> Iterator[Article]:
        """Yield the photos with their pictures, fetched a little ahead; those that the time is too short for without."""
        ahead: deque[tuple[Article | _Made, Future[tuple[bytes, bytes] | None] | None]] = deque()
        with ThreadPoolExecutor(_AHEAD) as pool:
            for photo in [*photos, *[None] * _AHEAD]:
                if photo is not None:
                    fetch = pool.submit(self._fetch, photo, reserve) if isinstance(photo, _Made) else None
                    ahead.append((photo, fetch))
                if ahead and (photo is None or len(ahead) > _AHEAD):
                    first, fetched = ahead.popleft()
                    if isinstance(first, Article):
                        yield first
                    elif fetched is not None:
                        yield self._article(first, fetched.result())

    def _article(self, photo: _Made, fetched: tuple[bytes, bytes] | None) -> Article:
        if fetched is None:
            shown = quote(photo.card.result) if photo.media_type in _SHOWN_BY_BROWSERS else ""
            return article(replace(photo.card, before=shown))
        before, mask, after = self._pictures(*fetched)
        file = photo.after if after or photo.outcome != "cleaned" else ""
        card = replace(
            photo.card,
            before=before,
            mask=mask,
            after=after,
            before_file="" if after else file,
            after_file=file if after else "",
        )
        made = article(card, photo.made_of)
        self._known.add(made)
        return made

    def _fetch(self, photo: _Made, reserve: float) -> tuple[bytes, bytes] | None:
        """Return the photo and its result, empty where there is none to look at; None where the time is too short."""
        if self._seconds_left() < reserve:
            return None
        before = io.BytesIO()
        if photo.before is not None:
            try:
                self._services.storage.fetch_photo(photo.before, before, max_bytes=_FILE_BYTES)
            except CleanplateError:  # gone or too large: it does without
                before = io.BytesIO()
        after = self._place.read(photo.after, max_bytes=_FILE_BYTES) if photo.after else b""
        return before.getvalue(), after or b""

    def _pictures(self, photo: bytes, result: bytes) -> tuple[str, str, str]:
        """Return before, mask and after, each empty where it cannot be made; a single picture stands for before."""
        pictures = []
        for content in (photo, result):
            try:
                made = imaging.make_preview(io.BytesIO(content), limit=self._side, max_memory=_PICTURE_MEGABYTES)
                pictures.append(made)
            except CleanplateError:
                continue
        if len(pictures) < 2:
            return (imaging.data_uri(pictures[0]) if pictures else ""), "", ""
        before, after = pictures
        mask = imaging.difference(before, after.resize(before.size))
        return imaging.data_uri(before), imaging.data_uri(mask.convert("RGB"), 60), imaging.data_uri(after)
