"""Check a deployed stack and its Adobe account: what works, what does not, and what to do. Nothing is paid for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from cleanplate.adobe.errors import AdobeError, CredentialsRefusedError
from cleanplate.adobe.routes import FILL, ROUTES, Route
from cleanplate.aws import account
from cleanplate.services import Services

#: How many functions the stack may want to run at once at Adobe's default limits: 4 of request_mask, and as many steps
#: as 60 requests a minute of up to 15 seconds each keep busy, and one of each function that people and clocks call.
NEEDED_CONCURRENCY = 20
#: S3 refuses signatures that are a quarter of an hour off; half a minute is already nobody's normal clock.
_MAX_SECONDS_OFF = 30.0

_ALIVE = {400, 413, 415, 422, 429}
_RETIRED = {404, 405, 410, 502}
_CONSOLE = "See the project's credentials and products in the Adobe Developer Console"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer; ``what_to_do`` is empty where all is well."""

    check: str
    ok: bool
    found: str
    what_to_do: str = ""


def _finding(check: str, *, ok: bool, found: str, otherwise: str) -> Finding:
    """Return a finding with what to do where it is not ok."""
    return Finding(check, ok, found, "" if ok else otherwise)


def check_account(services: Services) -> dict[str, Any]:
    """Return every finding, and whether all is well: ``{"ok": bool, "checks": [...]}``."""
    findings = [finding for name, find in _checks(services) for finding in _tried(name, find)]
    return {"ok": all(finding.ok for finding in findings), "checks": [asdict(finding) for finding in findings]}


def _checks(services: Services) -> Iterator[tuple[str, Callable[[], Iterator[Finding]]]]:
    stack = services.settings
    yield "Adobe", partial(_adobe, services)
    for name, bucket in {
        "uploads": stack.uploads_bucket,
        "results": stack.results_bucket,
        "work": stack.work_bucket,
    }.items():
        yield f"{name} bucket: region", partial(_region, name, bucket)
        yield f"{name} bucket: key", partial(_key, name, bucket, stack.bucket_keys.split(","))
        yield f"{name} bucket: signed link", partial(_link, name, bucket, services)
    yield "uploads bucket: notifications", partial(_notifications, services)
    yield "concurrency", _concurrency
    yield "alarms", partial(_alarms, stack.notifications_topic_arn)
    yield "clock", partial(_clock, stack.work_bucket)


def _tried(name: str, find: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from find()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        yield Finding(name, ok=False, found=f"AWS answered {code}", what_to_do=_after(code))
    except (BotoCoreError, HTTPError) as error:
        yield Finding(name, ok=False, found=type(error).__name__, what_to_do="Look at the network and try again.")


def _after(code: str) -> str:
    if code in {"NoSuchBucket", "404", "NotFound"}:
        return "There is no such bucket; correct the parameter and deploy again."
    return "Look at the policies of the bucket, of its key and of the organisation, then try again."


# --- Adobe ---


def _adobe(services: Services) -> Iterator[Finding]:
    options = services.settings.default_options
    used = {options.get("mask_route", "mask-objects"), options.get("fill_route", FILL.name)}
    try:
        services.adobe.sign_in()
    except CredentialsRefusedError as error:
        yield Finding("Adobe: account", ok=False, found=str(error), what_to_do=f"{_CONSOLE}, and correct the secret.")
        return
    except AdobeError as error:
        yield Finding("Adobe: account", ok=False, found=str(error), what_to_do="Look at AdobeImsUrl and the network.")
        return
    yield Finding("Adobe: account", ok=True, found="Adobe gave a token")
    for route in ROUTES.values():
        yield _route(route, services, used=route.name in used)


def _route(route: Route, services: Services, *, used: bool) -> Finding:
    name = f"Adobe: {route.name}"
    try:
        status = services.adobe.probe(route)
    except AdobeError as error:
        return Finding(name, ok=not used, found=str(error), what_to_do="Look at AdobeApiUrl and Adobe's status page.")
    if status in _ALIVE:
        return Finding(name, ok=True, found=f"alive ({status} to an empty request)")
    found, what_to_do = _verdict(status)
    unused = "" if used else "; the stack does not use it unless a photo asks for it"
    return Finding(name, ok=not used, found=f"{found}{unused}", what_to_do=what_to_do if used else "")


def _verdict(status: int) -> tuple[str, str]:
    if status in {401, 403}:
        return f"refused ({status})", f"{_CONSOLE}: the account may not use this route; look at AdobeScopes too."
    if status in _RETIRED:
        return (
            f"retired or out of order ({status})",
            "Choose another route (MaskRoute, FillRoute), or see Adobe's status page.",
        )
    return f"an unexpected answer ({status})", "Try again later, and see Adobe's status page."


# --- AWS ---


def _region(name: str, bucket: str) -> Iterator[Finding]:
    there, here = account.bucket_region(bucket), account.own_region()
    yield _finding(
        f"{name} bucket: region",
        ok=there == here,
        found=there,
        otherwise=f"Deploy the stack in {there}, or use a bucket in {here}.",
    )


def _key(name: str, bucket: str, keys: list[str]) -> Iterator[Finding]:
    key = account.bucket_key(bucket)
    ok = not key or any(known.endswith(key.rpartition("/")[2]) for known in keys)
    yield _finding(
        f"{name} bucket: key",
        ok=ok,
        found=key or "a key that AWS keeps",
        otherwise="Deploy with this key's ARN in BucketKeyArns.",
    )


def _link(name: str, bucket: str, services: Services) -> Iterator[Finding]:
    if bucket == services.settings.work_bucket:
        key = "jobs/check-account"
        services.storage.write_work(key, b"Written by check_account.\n", "text/plain")
    else:
        key = account.any_key(bucket)
    status = account.status_of_link(bucket, key or "check-account")
    # An empty bucket has nothing to fetch; S3's own 404 says as much of the link.
    ok = status == (200 if key else 404)
    yield _finding(
        f"{name} bucket: signed link",
        ok=ok,
        found=f"answers {status}" + ("" if key else "; the bucket is empty"),
        otherwise="Adobe cannot fetch photos: look at the bucket's policy, its region and its key.",
    )


def _notifications(services: Services) -> Iterator[Finding]:
    queues, bridge = account.notifications(services.settings.uploads_bucket)
    queue = services.settings.uploads_queue_url.rpartition("/")[2]
    ok = bridge or any(arn.rpartition(":")[2] == queue for arn in queues)
    yield _finding(
        "uploads bucket: notifications",
        ok=ok,
        found="on" if ok else "the stack is not notified of uploads",
        otherwise="Turn on EventBridge notifications of the bucket (its properties, at S3).",
    )


def _concurrency() -> Iterator[Finding]:
    free = account.free_concurrency()
    ok = free >= NEEDED_CONCURRENCY
    yield _finding(
        "concurrency",
        ok=ok,
        found=f"{free} functions may run at once",
        otherwise=f"Ask for a higher quota (Lambda, concurrent executions): {NEEDED_CONCURRENCY} are enough. Until then "
        "photos take longer.",
    )


def _alarms(topic_arn: str) -> Iterator[Finding]:
    confirmed, waiting = account.subscriptions(topic_arn)
    yield _finding(
        "alarms",
        ok=bool(confirmed),
        found=f"{confirmed} subscribed" + (f", {waiting} not confirmed" if waiting else ""),
        otherwise="Confirm the subscription in the mail from AWS."
        if waiting
        else "Deploy with NotificationEmail, or subscribe to the topic.",
    )


def _clock(bucket: str) -> Iterator[Finding]:
    ahead = account.seconds_ahead(bucket)
    ok = abs(ahead) <= _MAX_SECONDS_OFF
    yield _finding(
        "clock",
        ok=ok,
        found=f"{ahead:+.0f} s from S3's",
        otherwise="Set this machine's clock: signatures depend on it.",
    )
