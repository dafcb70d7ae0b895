"""What the stand-in can be told at its start: one frozen dataclass, and the command line made from it."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

Pixels = Literal["real", "fast"]
FillFormat = Literal["png", "jpeg"]
V1Errors = Literal["B", "C"]


def _setting(default: Any, says: str, choices: tuple[str, ...] | None = None) -> Any:
    return field(default=default, metadata={"help": says, "choices": choices})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every option of the stand-in. Field ``job_seconds`` is flag ``--job-seconds``, and so on.

    *Service seconds* are Adobe's seconds: they pass ``time_scale`` times faster than the clock on the wall.
    """

    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8085, "port to listen on; 0 takes a free one")

    client_id: str = _setting("stand-in-client-id", "the client id (x-api-key) that is accepted")
    client_secret: str = _setting("stand-in-client-secret", "the client secret that is accepted")
    token_seconds: int = _setting(86_399, "life of a token in seconds on the wall, in the answer as expires_in")
    canary: str = _setting("canary", "a word inside every token and signature, so that a leak can be searched for")

    allow_loopback: bool = _setting(False, "accept input links on this machine, over http too")
    extra_hosts: tuple[str, ...] = _setting((), "comma-separated host suffixes to accept beside Adobe's, over http too")

    limits: bool = _setting(True, "keep Adobe's published request limits")
    requests_per_minute: int = _setting(60, "masking service (all of /v1): requests per service minute")
    requests_per_day: int = _setting(9_000, "masking service (all of /v1): requests per service day")
    count_polls: bool = _setting(True, "status requests count against the masking limits; Adobe does not say")
    retry_after: bool = _setting(True, "send Retry-After with a 429; Adobe sometimes leaves it out")
    fractional_retry_after: bool = _setting(False, "let Retry-After have decimals, for scaled time only")

    time_scale: float = _setting(1.0, "how many times faster Adobe's limits and jobs run; 60 makes a minute one second")
    duration: float | None = _setting(None, "length of every job in service seconds; drawn when not given")
    median_seconds: float = _setting(4.0, "median of drawn job lengths, in service seconds")
    spread: float = _setting(0.4, "sigma of the log-normal that job lengths are drawn from")
    seed: int = _setting(0, "seed of drawn job lengths")

    pixels: Pixels = _setting("real", "real: segment and inpaint; fast: an ellipse and a blur", ("real", "fast"))
    fill_format: FillFormat = _setting("png", "format of filled pictures", ("png", "jpeg"))
    labels: tuple[str, ...] = _setting(("subject", "object"), "comma-separated names for what is found, best first")
    result_seconds: int = _setting(3_600, "life of a result link in seconds on the wall")
    v1_errors: V1Errors = _setting("B", "error body of /v1, where Adobe's own pages disagree", ("B", "C"))
    quiet: bool = _setting(False, "do not print a line per request")

    def __post_init__(self) -> None:
        if self.time_scale <= 0:
            raise ValueError("time_scale must be more than 0")
        if not self.labels:
            raise ValueError("labels needs at least one name")
        if self.requests_per_minute < 1 or self.requests_per_day < 1:
            raise ValueError("requests_per_minute and requests_per_day must be at least 1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` one flag for each field of :class:`Settings`."""
    for item in dataclasses.fields(Settings):
        flag = "--" + item.name.replace("_", "-")
        says = str(item.metadata["help"])
        shown = ",".join(item.default) if isinstance(item.default, tuple) else item.default
        if shown not in (None, ""):
            says += f" (default: {shown})"
        if isinstance(item.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=item.default, help=says)
        elif isinstance(item.default, tuple):
            parser.add_argument(flag, type=_words, default=item.default, help=says, metavar="A,B")
        else:
            kind = float if item.default is None else type(item.default)
            choices = item.metadata["choices"]
            meta = None if choices else kind.__name__.upper()
            parser.add_argument(flag, type=kind, default=item.default, help=says, choices=choices, metavar=meta)


def from_arguments(given: argparse.Namespace) -> Settings:
    """Return the settings that the parsed command line says."""
    return Settings(**{item.name: getattr(given, item.name) for item in dataclasses.fields(Settings)})


def to_arguments(settings: Settings) -> list[str]:
    """Return the command line that says ``settings``: the way back, for a stand-in in a process of its own."""
    words: list[str] = []
    for item in dataclasses.fields(Settings):
        value = getattr(settings, item.name)
        if value == item.default:
            continue
        flag = item.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words.append(f"--{flag}={','.join(value) if isinstance(value, tuple) else value}")
    return words


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
