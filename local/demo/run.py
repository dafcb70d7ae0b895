"""A stack of one's own for one run: started when the first photo needs it, stopped after the last."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cleanplate_cli.inputs import Upload
from cleanplate_cli.stack import Stack
from cleanplate_cli.terminal import shown
from local.demo.job_watcher import function_errors, look
from local.paths import log_of
from local.stack import SPEED, AdobeService, LocalCloud

if TYPE_CHECKING:
    from rich.console import Console

_NOTE = (
    "Masks and fills are by Adobe's stand-in: a small segmentation network and PatchMatch on this machine, "
    "real computations and not Adobe's quality. Everything else is what runs on AWS."
)


@dataclass(frozen=True, slots=True)
class CloudArgs:
    """How the local stack is to be."""

    #: What is to go, where the person said so for all photos.
    remove: str = ""
    speed: float | None = None
    wait_scale: float = 1.0
    port: int = 0
    parameters: Mapping[str, str] | None = None
    service: AdobeService | None = None


@contextlib.contextmanager
def local_stack(args: CloudArgs, console: Console) -> Iterator[Stack]:
    """Yield a stack on this machine, as the commands use any stack."""
    began = time.monotonic()
    cloud = LocalCloud(
        service=args.service,
        speed=args.speed or SPEED,
        wait_scale=args.wait_scale,
        port=args.port,
        # This bucket goes with the stack; the page of the results is written beside them.
        parameters={"FolderPage": "false", **(args.parameters or {})},
        log=log_of("run"),
    )
    with started(cloud, console):
        if args.remove:
            cloud.name_what_is_found(_labels(args.remove))
        seconds = time.monotonic() - began
        started_in = f"The embedded AWS is up and template.yaml is deployed ({seconds:.1f} s)."
        yield as_stack(cloud, args.remove, [started_in, *about(cloud, args.remove)])


@contextlib.contextmanager
def started(cloud: LocalCloud, console: Console) -> Iterator[LocalCloud]:
    """Yield the local stack, started with a message to whoever waits, and stopped whatever happens."""
    try:
        with console.status("Starting the embedded AWS and deploying template.yaml ..."):
            cloud.start()
        yield cloud
    finally:
        cloud.stop()


def as_stack(cloud: LocalCloud, remove: str = "", lines: Sequence[str] = ()) -> Stack:
    """Return the local stack as the commands use any stack; ``lines`` are what people should know of it."""

    def before_upload(upload: Upload) -> None:
        if not remove and not isinstance(upload.source, Path):
            cloud.name_what_is_found(_labels(upload.options.get("remove", "")), photo=upload.key)

    def errors() -> list[str]:
        return [*function_errors(cloud.aws), f"More is in {shown(cloud.aws.log)}."]

    def client(service: str) -> object:
        return cloud.aws.client(service)

    stack = cloud.stack
    return Stack(
        "on this machine",
        client,
        uploads_bucket=stack.uploads_bucket,
        results_bucket=stack.results_bucket,
        work_bucket=stack.work_bucket,
        progress_function=stack.functions["ReportProgressFunction"],
        is_private=cloud.service.is_on_this_machine,
        about=lines,
        note=_NOTE if cloud.stand_in is not None else "",
        check=cloud.aws.check,
        before_upload=before_upload,
        stages=lambda: {snapshot.key: snapshot.stage for snapshot in look(cloud.aws, stack) if not snapshot.ended},
        function_errors=errors,
    )


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


def _labels(remove: str) -> list[str]:
    words = [word.strip().replace("*", "") for word in remove.split(",")]
    return [word for word in words if word and word not in {"subject", "everything"}] or ["subject"]
