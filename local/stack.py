"""The whole system on one machine: embedded AWS, Adobe's stand-in (or the service that the environment names), stack."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from local.adobe import Settings, StandIn
from local.adobe.stand_in import StandInError
from local.embedded_aws.deploy import Stack, deploy
from local.embedded_aws.server import EmbeddedAws
from local.errors import AdobeStandInStoppedError, LocalError
from local.startable import Startable

#: How many times faster than at Adobe time runs at the stand-in: its limits and its jobs. The state machine waits as it
#: does on AWS: with shorter waits its checks would take the very processor that the stand-in needs for the pictures.
SPEED = 5.0
#: Adobe's published limits for the masking service.
_PER_MINUTE, _PER_DAY = 60, 9_000


@dataclass(frozen=True, slots=True)
class AdobeService:
    """Where Adobe's API is, and the account to use there."""

    api_url: str
    ims_url: str
    client_id: str
    client_secret: str

    @property
    def is_on_this_machine(self) -> bool:
        """Whether it can fetch presigned links of an AWS that listens on loopback."""
        host = urlsplit(self.api_url).hostname or ""
        return host in {"localhost", "::1"} or host.startswith("127.")


def service_in_environment(environ: Mapping[str, str]) -> AdobeService | None:
    """Return the service that ``ADOBE_API_URL`` and ``ADOBE_IMS_URL`` select, or None where neither is set."""
    api_url, ims_url = environ.get("ADOBE_API_URL", "").strip(), environ.get("ADOBE_IMS_URL", "").strip()
    if not api_url and not ims_url:
        return None
    if not api_url or not ims_url:
        # One server that speaks both, as every stand-in does.
        api_url = ims_url = api_url or ims_url
    stand_in = Settings()
    service = AdobeService(
        api_url,
        ims_url,
        environ.get("ADOBE_CLIENT_ID", "").strip(),
        environ.get("ADOBE_CLIENT_SECRET", "").strip(),
    )
    if service.client_id and service.client_secret:
        return service
    if not service.is_on_this_machine:
        raise LocalError(f"Set ADOBE_CLIENT_ID and ADOBE_CLIENT_SECRET too: {api_url} asks for an account.")
    return AdobeService(api_url, ims_url, stand_in.client_id, stand_in.client_secret)


class LocalCloud(Startable):
    """Everything started and deployed, from :meth:`start` to :meth:`stop`.

    ``service`` is somebody else's Adobe; without one a stand-in is started with ``adobe`` as its settings. ``speed``
    makes time run faster at the stand-in, ``wait_scale`` scales the state machine's waits. ``parameters`` and ``environment`` go to :func:`local.embedded_aws.deploy.deploy`.
    """

    def __init__(
        self,
        *,
        service: AdobeService | None = None,
        adobe: Settings | None = None,
        speed: float = SPEED,
        wait_scale: float = 1.0,
        port: int = 0,
        lanes: int | None = None,
        parameters: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self.speed = 1.0 if service else speed
        self.stand_in = None if service else StandIn(adobe or stand_in_settings(self.speed), where="process")
        # Most of a function's time is waiting for Adobe; each process costs a second of processor time to start.
        self._lanes = lanes or 4
        self.aws = EmbeddedAws(port=port, wait_scale=wait_scale, lanes=self._lanes, log=log)
        self._service = service
        self._parameters = dict(parameters or {})
        self._environment = dict(environment or {})
        self._stack: Stack | None = None
        self._opened = contextlib.ExitStack()

    @property
    def stack(self) -> Stack:
        """What was deployed."""
        if self._stack is None:
            raise LocalError("Nothing is deployed yet.")
        return self._stack

    @property
    def service(self) -> AdobeService:
        """The Adobe that the stack talks to."""
        if self._service is None:
            raise LocalError("Adobe's stand-in is not started yet.")
        return self._service

    def start(self) -> Self:
        """Start everything; nothing is left running where a part of it fails."""
        if self._stack is not None:
            raise LocalError("This stack is started already.")
        with contextlib.ExitStack() as opened:
            if self.stand_in is not None:
                opened.callback(self.stand_in.stop)
                self._service = _start(self.stand_in)
            opened.callback(self.aws.stop)
            self.aws.start()
            self._stack = deploy(
                self.aws,
                self._deployed_parameters(),
                environment=self._environment,
                max_concurrency=self._lanes,
            )
            self._opened = opened.pop_all()
        return self

    def stop(self) -> None:
        """Stop everything. Safe to call twice."""
        self._opened.close()
        self._stack = None

    def name_what_is_found(self, labels: Sequence[str], photo: str = "") -> None:
        """Have the stand-in, which recognises nothing, call what it finds so; where ``photo`` is part of a key."""
        if self.stand_in is not None:
            names = [*labels, "something else"]
            rule = {"route": "POST /v1/mask-objects", "fault": {"do": "labels", "names": names}}
            self.stand_in.add_rules({**rule, "photo": photo} if photo else rule)

    def _deployed_parameters(self) -> dict[str, str]:
        service = self.service
        return {
            "AdobeClientId": service.client_id,
            "AdobeClientSecret": service.client_secret,
            "AdobeApiUrl": service.api_url,
            "AdobeImsUrl": service.ims_url,
            "RequestsPerMinute": str(round(_PER_MINUTE * self.speed)),
            "RequestsPerDay": str(round(_PER_DAY * self.speed)),
            # The embedded AWS sends no mail; it only has somebody to tell.
            "NotificationEmail": "nobody@example.com",
            "FolderQuietSeconds": "0",
            **self._parameters,
        }


def stand_in_settings(speed: float = SPEED) -> Settings:
    """Return the stand-in as the front doors start it: real pictures, Adobe's limits, time scaled."""
    return Settings(port=0, allow_loopback=True, time_scale=speed, quiet=True)


def _start(stand_in: StandIn) -> AdobeService:
    try:
        stand_in.start()
    except StandInError as error:
        raise AdobeStandInStoppedError(str(error)) from None
    settings = stand_in.settings
    return AdobeService(stand_in.url, stand_in.url, settings.client_id, settings.client_secret)
