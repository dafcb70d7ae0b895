"""The control routes: of the stand-in, not of Adobe. Rules of misbehaviour, counters, and what is inside."""

from __future__ import annotations

import json

from aiohttp import web

from local.adobe.clock import ServiceClock
from local.adobe.counters import Counters
from local.adobe.faults.catalogue import catalogue
from local.adobe.gateway import Gateway
from local.adobe.jobs import JobTable
from local.adobe.limits import Limits
from local.adobe.rules import InvalidRuleError, Rules
from local.adobe.settings import Settings


class ControlRoutes:
    """Every control route."""

    def __init__(
        self,
        settings: Settings,
        clock: ServiceClock,
        counters: Counters,
        rules: Rules,
        gateway: Gateway,
        limits: Limits,
        jobs: JobTable,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._counters = counters
        self._rules = rules
        self._gateway = gateway
        self._limits = limits
        self._jobs = jobs

    def add_to(self, app: web.Application) -> None:
        """Add the routes to ``app``."""
        for method, path, handler in (
            ("GET", "/", self._welcome),
            ("GET", "/stand-in/health", self._health),
            ("GET", "/stand-in/counters", self._show_counters),
            ("DELETE", "/stand-in/counters", self._clear_counters),
            ("GET", "/stand-in/rules", self._show_rules),
            ("POST", "/stand-in/rules", self._add_rules),
            ("DELETE", "/stand-in/rules", self._clear_rules),
            ("DELETE", "/stand-in/rules/{number:[0-9]+}", self._clear_rules),
            ("GET", "/stand-in/faults", self._show_faults),
            ("GET", "/stand-in/jobs", self._show_jobs),
            ("DELETE", "/stand-in/limits", self._clear_limits),
            ("DELETE", "/stand-in/tokens", self._clear_tokens),
        ):
            app.router.add_route(method, path, handler)

    async def _welcome(self, _request: web.Request) -> web.Response:
        return web.Response(text="\n".join(routes_in_words()) + "\n")

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "status": "ok",
                "pixels": self._settings.pixels,
                "jobs": len(self._jobs),
                "service_seconds": round(self._clock.now(), 3),
                "time_scale": self._settings.time_scale,
            }
        )

    async def _show_counters(self, _request: web.Request) -> web.Response:
        return web.json_response(self._counters.as_json(self._limits.minute.busiest))

    async def _clear_counters(self, _request: web.Request) -> web.Response:
        self._counters.clear()
        self._limits.minute.busiest = 0
        return web.Response(status=204)

    async def _show_rules(self, _request: web.Request) -> web.Response:
        return web.json_response(self._rules.as_json())

    async def _add_rules(self, request: web.Request) -> web.Response:
        try:
            rules = self._rules.add(json.loads(await request.read()))
        except InvalidRuleError as error:
            return web.json_response({"error": str(error)}, status=400)
        except ValueError:
            return web.json_response({"error": "the body is not valid JSON"}, status=400)
        return web.json_response([rule.as_json() for rule in rules], status=201)

    async def _clear_rules(self, request: web.Request) -> web.Response:
        number = request.match_info.get("number")
        self._rules.clear(int(number) if number else None)
        return web.Response(status=204)

    async def _show_faults(self, _request: web.Request) -> web.Response:
        return web.json_response(catalogue())

    async def _show_jobs(self, _request: web.Request) -> web.Response:
        return web.json_response(self._jobs.listed())

    async def _clear_limits(self, _request: web.Request) -> web.Response:
        self._limits.clear()
        return web.Response(status=204)

    async def _clear_tokens(self, _request: web.Request) -> web.Response:
        self._gateway.revoke_all()
        return web.Response(status=204)


def routes_in_words() -> list[str]:
    """Return the routes as the welcome page and the command line list them."""
    return [
        "Adobe's stand-in. Masks and fills are real computations, and not Adobe's quality.",
        "",
        "  POST /ims/token/v3            a token (also /v2)",
        "  POST /v1/mask-objects         masks of what stands out       GET /v1/status/{jobId}",
        "  POST /v1/fill-masked-areas    the photo, filled",
        "  POST /v2/remove-background    cut-out or mask                GET /v2/status/{jobId}",
        "  POST /v3/images/fill-async    Firefly's fill; 422 where the prompt says unsafe; GET /v3/status/{jobId}",
        "  POST /sensei/mask             mask to your own storage       GET /sensei/status/{jobId}",
        "  POST /sensei/cutout           retired: 502",
        "  GET  /results/{token}         finished pictures, for a while",
        "",
        "  /stand-in/rules               GET, POST, DELETE: misbehaviour (GET /stand-in/faults lists it)",
        "  /stand-in/counters            GET, DELETE: what happened",
        "  /stand-in/jobs, /health       GET",
        "  /stand-in/limits, /tokens     DELETE: forget requests, revoke tokens",
    ]
