"""The one module that reads the environment: at first use, never at import."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from cleanplate.errors import SettingsError

#: Option name -> the setting that holds the stack's default for it.
DEFAULT_OPTIONS = {
    "remove": "REMOVE",
    "min_score": "MIN_SCORE",
    "mask_route": "MASK_ROUTE",
    "fill_route": "FILL_ROUTE",
    "grow": "GROW",
    "feather": "FEATHER",
    "output_format": "OUTPUT_FORMAT",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The stack as a function sees it. Times in seconds unless the name says otherwise."""

    uploads_bucket: str
    other_bucket: str
    results_bucket: str
    work_bucket: str
    jobs_table: str
    uploads_queue_url: str
    admitted_queue_url: str
    dead_letter_queue_url: str
    state_machine_arn: str
    waiting_room_arn: str
    event_bus: str
    adobe_api_url: str
    adobe_ims_url: str
    adobe_secret: str
    adobe_scopes: str
    adobe_org_id: str
    default_options: Mapping[str, str]
    mask_deadline: int
    fill_deadline: int
    photo_deadline_hours: float
    requests_per_minute: float
    requests_per_day: float
    count_polls: bool
    share_left: float
    daily_budget: int
    max_fills: int
    max_megapixels: float
    max_photo_bytes: int
    mark_as_edited: bool
    record_days: int
    folder_quiet: int
    notifications_topic_arn: str
    bucket_keys: str

    @property
    def photo_buckets(self) -> tuple[str, ...]:
        """The buckets whose photos are cleaned: the watched one, and the other one if there is one."""
        return tuple(filter(None, (self.uploads_bucket, self.other_bucket)))

    @property
    def own_buckets(self) -> frozenset[str]:
        """The buckets of the stack's own output, which is never cleaned again."""
        return frozenset({self.results_bucket, self.work_bucket})


def _text(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise SettingsError(f"The setting {name} is missing.")
    return value


def _number(environ: Mapping[str, str], name: str, *, least: float) -> float:
    value = _text(environ, name)
    try:
        number = float(value)
    except ValueError:
        raise SettingsError(f"The setting {name} is {value!r}; it must be a number.") from None
    if not least <= number < 1e12:
        raise SettingsError(f"The setting {name} is {value}; it must be at least {least:g}.")
    return number


def _switch(environ: Mapping[str, str], name: str) -> bool:
    value = _text(environ, name).lower()
    if value not in {"true", "false"}:
        raise SettingsError(f"The setting {name} is {value!r}; it must be true or false.")
    return value == "true"


def _url(environ: Mapping[str, str], name: str) -> str:
    value = _text(environ, name).rstrip("/")
    try:
        parts = urlsplit(value)
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        scheme = host = ""
    if scheme not in {"https", "http"} or not host:
        raise SettingsError(f"The setting {name} is {value!r}; a URL such as https://image.adobe.io is needed.")
    if scheme == "http" and not is_loopback(host):
        raise SettingsError(f"The setting {name} must begin with https://; http is for loopback alone.")
    return value


def is_loopback(host: str) -> bool:
    """Return True for the names and addresses of this very machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # Not by its beginning: 127.example.com is anybody's.
        return host == "localhost"


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read and check every setting; raises :class:`SettingsError` with the name of the first bad one."""
    uploads, results = _text(environ, "UPLOADS_BUCKET"), _text(environ, "RESULTS_BUCKET")
    if uploads == results:
        raise SettingsError(f"Uploads and results are one bucket, {uploads}: results would be cleaned again for ever.")
    work = _text(environ, "WORK_BUCKET")
    if work in {uploads, results}:
        raise SettingsError(f"The work bucket, {work}, must be a bucket of its own: what lies in it is thrown away.")
    return Settings(
        uploads_bucket=uploads,
        other_bucket=environ.get("OTHER_BUCKET", "").strip(),
        results_bucket=results,
        work_bucket=work,
        jobs_table=_text(environ, "JOBS_TABLE"),
        uploads_queue_url=environ.get("UPLOADS_QUEUE_URL", ""),
        admitted_queue_url=environ.get("ADMITTED_QUEUE_URL", ""),
        dead_letter_queue_url=environ.get("DEAD_LETTER_QUEUE_URL", ""),
        state_machine_arn=environ.get("STATE_MACHINE_ARN", ""),
        waiting_room_arn=environ.get("WAITING_ROOM_ARN", ""),
        event_bus=_text(environ, "EVENT_BUS"),
        adobe_api_url=_url(environ, "ADOBE_API_URL"),
        adobe_ims_url=_url(environ, "ADOBE_IMS_URL"),
        adobe_secret=_text(environ, "ADOBE_SECRET"),
        adobe_scopes=_text(environ, "ADOBE_SCOPES"),
        adobe_org_id=environ.get("ADOBE_ORG_ID", "").strip(),
        default_options={
            option: environ[name].strip() for option, name in DEFAULT_OPTIONS.items() if environ.get(name, "").strip()
        },
        mask_deadline=int(_number(environ, "MASK_DEADLINE_SECONDS", least=1)),
        fill_deadline=int(_number(environ, "FILL_DEADLINE_SECONDS", least=1)),
        photo_deadline_hours=_number(environ, "PHOTO_DEADLINE_HOURS", least=0.001),
        requests_per_minute=_number(environ, "REQUESTS_PER_MINUTE", least=0),
        requests_per_day=_number(environ, "REQUESTS_PER_DAY", least=0),
        count_polls=_switch(environ, "COUNT_POLLS"),
        share_left=_number(environ, "SHARE_LEFT", least=0),
        daily_budget=int(_number(environ, "DAILY_BUDGET", least=0)),
        max_fills=int(_number(environ, "MAX_FILLS", least=1)),
        max_megapixels=_number(environ, "MAX_MEGAPIXELS", least=0.001),
        max_photo_bytes=int(_number(environ, "MAX_PHOTO_MEGABYTES", least=0.001) * 1_000_000),
        mark_as_edited=_switch(environ, "MARK_AS_EDITED"),
        # Longer than Step Functions reserves the name of an execution, which is 90 days.
        record_days=int(_number(environ, "RECORD_DAYS", least=100)),
        folder_quiet=int(_number(environ, "FOLDER_QUIET_SECONDS", least=0)),
        notifications_topic_arn=environ.get("NOTIFICATIONS_TOPIC_ARN", ""),
        bucket_keys=environ.get("BUCKET_KEYS", ""),
    )


def has_endpoint() -> bool:
    """Return whether the environment points boto3 at a server other than AWS."""
    return any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))


def is_sampled() -> bool:
    """Return whether X-Ray records this call; Lambda sets that in the environment for each call."""
    return "Sampled=1" in os.environ.get("_X_AMZN_TRACE_ID", "")


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return read_settings(os.environ)
