"""The files of a job in the work bucket, from one step to the next."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from cleanplate.models import Answer, Box, Job, Mask

if TYPE_CHECKING:
    from cleanplate.aws.storage import Storage
    from cleanplate.services import Services


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """One picture to fill: the keys of its mask and of its image, empty where the photo itself is sent."""

    mask: str
    image: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be filled: the chosen masks and the labels that Adobe saw, as the manifest tells of them.

    ``windows`` is empty where there is nothing to remove. ``hole`` is the key of the grown mask, ``fill`` the plan of
    :mod:`cleanplate.imaging` as it writes itself.
    """

    masks: list[dict[str, Any]]
    labels_seen: list[str]
    windows: tuple[PlannedWindow, ...] = ()
    hole: str = ""
    fill: Mapping[str, Any] = field(default_factory=dict)


def work_key(job_id: str, name: str) -> str:
    """Return the key of a job's file."""
    return f"jobs/{job_id}/{name}"


def request_key(job: Job, request: str, name: str) -> str:
    """Return the key of a file that belongs to one request.

    It contains Adobe's job, so that the file of another run is never taken for this one's.
    """
    adobe_job = job.adobe_requests[request].adobe_job if request in job.adobe_requests else None
    # Adobe's ids may hold anything; an own mask has none.
    made_by = hashlib.sha256(adobe_job.job_id.encode()).hexdigest()[:12] if adobe_job else "own"
    return work_key(job.job_id, f"{made_by}/{name}")


def picture_key(job: Job, request: str, name: str) -> str:
    """Return the key of a picture that was paid for: masks are kept longer, as their fill may have to wait for days."""
    key = request_key(job, request, name)
    return key.replace("jobs/", "masks/", 1) if request == "mask" else key


def save_answer(storage: Storage, job: Job, request: str, answer: Answer) -> None:
    """Store a succeeded answer, after the pictures that it names; it holds no link of Adobe's."""
    content = json.dumps(asdict(answer)).encode()
    storage.write_work(picture_key(job, request, "answer.json"), content, "application/json")


def stored_answer(storage: Storage, job: Job, request: str) -> Answer | None:
    """Return the stored answer, or None."""
    content = storage.read_work(picture_key(job, request, "answer.json"))
    if content is None:
        return None
    found = json.loads(content)
    masks = tuple(Mask(**{**mask, "box": Box(**mask["box"]) if mask["box"] else None}) for mask in found["masks"])
    return Answer(**{**found, "masks": masks})


def fill_name(number: int) -> str:
    """Return the name of the request that fills one window of the plan, counted from 1."""
    return f"fill-{number}"


def plan_key(job: Job) -> str:
    """Return the key of the plan of what to fill."""
    return request_key(job, "mask", "plan.json")


def write_plan(job: Job, plan: Plan, services: Services) -> None:
    """Store the plan, after the pictures that it names."""
    services.storage.write_work(plan_key(job), json.dumps(asdict(plan)).encode(), "application/json")


def read_plan(job: Job, services: Services) -> Plan | None:
    """Return the stored plan, or None."""
    content = services.storage.read_work(plan_key(job))
    if content is None:
        return None
    found = json.loads(content)
    return Plan(**{**found, "windows": tuple(PlannedWindow(**window) for window in found["windows"])})
