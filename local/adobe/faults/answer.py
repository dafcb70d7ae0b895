"""Faults of the finished answer: its JSON, links and headers."""

# ruff: noqa: ARG002 -- all faults share the hooks' signatures, whatever part of them they need

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local.adobe.answers import Answer, Json
from local.adobe.faults.base import Fault, is_status, named, only
from local.adobe.jobs import Job


@named("without_links")
@dataclass(slots=True)
class WithoutLinks(Fault):
    """On a POST: 202 without any status link; the job id stays."""

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        _drop(answer, "statusurl", "_links")
        for name in ("Location", "Link"):
            answer.headers.pop(name, None)


@named("links")
@dataclass(slots=True)
class Links(Fault):
    """On a POST: the status link in another place: ``_links``, ``Location`` or ``Link`` (headers), ``statusUrl``."""

    at: str = "_links"
    keep_job_id: bool = True

    def __post_init__(self) -> None:
        if self.at not in ("_links", "Location", "Link", "statusUrl"):
            raise ValueError("at is _links, Location, Link or statusUrl")

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        href = status_link(answer)
        if not href or not isinstance(answer.body, dict):
            return
        _drop(answer, "statusurl", "_links", *([] if self.keep_job_id else ["jobid"]))
        match self.at:
            case "_links":
                answer.body["_links"] = {"self": {"href": href}}
            case "statusUrl":
                answer.body["statusUrl"] = href
            case "Location":
                answer.headers["Location"] = href
            case _:
                answer.headers["Link"] = f'<{href}>; rel="self"'


@named("foreign_status_link")
@dataclass(slots=True)
class ForeignStatusLink(Fault):
    """On a POST: the status link points to another origin, where a client must not send its token.

    Without ``keep_id`` nothing in the answer, its link included, tells the job's id.
    """

    origin: str = "https://status.example.com"
    keep_id: bool = True

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        href = status_link(answer)
        if not href or not isinstance(answer.body, dict):
            return
        moved = self.origin.rstrip("/") + "/" + (href.split("/", 3)[3] if self.keep_id else "")
        if not self.keep_id:
            _drop(answer, "jobid")
        if "statusUrl" in answer.body:
            answer.body["statusUrl"] = moved
        else:
            answer.body["_links"] = {"self": {"href": moved}}


@named("job_id_spelling")
@dataclass(slots=True)
class JobIdSpelling(Fault):
    """The key of the job id: ``jobID`` (legacy samples), ``JobId``, ``job_id`` …"""

    key: str = "jobID"

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if isinstance(answer.body, dict):
            answer.body = {self.key if key.lower() == "jobid" else key: value for key, value in answer.body.items()}


@named("status_word")
@dataclass(slots=True)
class StatusWord(Fault):
    """On a status request: this word instead of the true one; ``only`` replaces just that word."""

    word: str = "thinking"
    only: str = ""
    keep_payload: bool = True

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if not is_status(answer) or not isinstance(answer.body, dict):
            return
        if self.only and answer.body["status"] != self.only:
            return
        if not self.keep_payload:
            answer.body = only(answer, "jobid", "_links")
        answer.body["status"] = self.word


@named("without_payload")
@dataclass(slots=True)
class WithoutPayload(Fault):
    """On a status request: ``succeeded`` and nothing else, as soon as the job has succeeded."""

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if is_status(answer, "succeeded"):
            answer.body = {**only(answer, "jobid"), "status": "succeeded"}


@named("goes_backwards")
@dataclass(slots=True)
class GoesBackwards(Fault):
    """On a status request: every second answer is an earlier word, and the payload is gone again."""

    word: str = "not_started"
    polls: int = 0

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if is_status(answer):
            self.polls += 1
            if self.polls % 2 == 0:
                answer.body = {**only(answer, "jobid", "_links"), "status": self.word}


@named("boxes")
@dataclass(slots=True)
class Boxes(Fault):
    """On a status request: boxes as ``left_top``, ``normalised`` (0..1 floats), ``floats``, ``none`` or ``null``."""

    style: str = "left_top"

    def __post_init__(self) -> None:
        if self.style not in ("left_top", "normalised", "floats", "none", "null"):
            raise ValueError("style is left_top, normalised, floats, none or null")

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        for item, (width, height) in _boxed(answer, job):
            box = item["boundingBox"]
            match self.style:
                case "left_top":
                    item["boundingBox"] = {
                        "left": box["x"],
                        "top": box["y"],
                        "width": box["width"],
                        "height": box["height"],
                    }
                case "normalised":
                    item["boundingBox"] = {
                        "x": box["x"] / width,
                        "y": box["y"] / height,
                        "width": box["width"] / width,
                        "height": box["height"] / height,
                    }
                case "floats":
                    item["boundingBox"] = {key: value + 0.5 for key, value in box.items()}
                case "none":
                    del item["boundingBox"]
                case _:
                    item["boundingBox"] = None


@named("retry_after_in_body")
@dataclass(slots=True)
class RetryAfterInBody(Fault):
    """On a status request: a JSON key ``Retry-After`` (a string), as one client's model declares it."""

    value: str = "3"

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if isinstance(answer.body, dict):
            answer.body["Retry-After"] = self.value


@named("headers")
@dataclass(slots=True)
class Headers(Fault):
    """More headers on the normal answer."""

    headers: dict[str, str] = field(default_factory=dict)

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        answer.headers.update(self.headers)


@named("content_type")
@dataclass(slots=True)
class ContentType(Fault):
    """Another Content-Type on the normal answer."""

    value: str = "text/html"

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        answer.content_type = self.value


@named("merge")
@dataclass(slots=True)
class Merge(Fault):
    """Put these keys into the JSON of the normal answer (deep), and take those in ``drop`` out of its top level."""

    json: dict[str, Any] = field(default_factory=dict)
    drop: list[str] = field(default_factory=list)

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        if isinstance(answer.body, dict):
            for key in self.drop:
                answer.body.pop(key, None)
            _merge(answer.body, self.json)


@named("broken_json")
@dataclass(slots=True)
class BrokenJson(Fault):
    """The normal answer, cut off in the middle of its JSON, with a Content-Length that fits."""

    keep: float = 0.5

    def on_answer(self, answer: Answer, job: Job | None) -> None:
        whole = answer.encoded()
        answer.body = whole[: int(len(whole) * self.keep)]


def status_link(answer: Answer) -> str:
    """Return the status link in an accepted answer, wherever it is; empty where there is none."""
    if not isinstance(answer.body, dict):
        return ""
    link = answer.body.get("statusUrl") or answer.body.get("_links", {}).get("self", {}).get("href")
    return str(link or "")


def _drop(answer: Answer, *names: str) -> None:
    if isinstance(answer.body, dict):
        answer.body = {key: value for key, value in answer.body.items() if key.lower() not in names}


def _boxed(answer: Answer, job: Job | None) -> list[tuple[Json, tuple[int, int]]]:
    if not is_status(answer, "succeeded") or not isinstance(answer.body, dict):
        return []
    items: list[Json] = []
    for key in ("semanticMasks", "backgroundMasks", "masks"):
        # Copies: the job keeps its payload as it was signed.
        answer.body[key] = [dict(item) for item in answer.body[key]] if key in answer.body else None
        if answer.body[key] is None:
            del answer.body[key]
        else:
            items.extend(answer.body[key])
    if isinstance(answer.body.get("mask"), dict):
        answer.body["mask"] = dict(answer.body["mask"])
        items.append(answer.body["mask"])
    size = job.size if job and job.size else (1, 1)
    return [(item, size) for item in items if isinstance(item.get("boundingBox"), dict)]


def _merge(into: Json, more: Json) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            into[key] = dict(into[key])
            _merge(into[key], value)
        else:
            into[key] = value
