"""The server: every request walks the same way from rules through the gateway and the limits to its route."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from local.adobe import bodies
from local.adobe.answers import Answer, html, phrase, refused
from local.adobe.bodies import JobRequest
from local.adobe.clock import ServiceClock
from local.adobe.context import RequestContext, Route, Work, photos_in
from local.adobe.control import ControlRoutes
from local.adobe.counters import CUT, Counters
from local.adobe.faults.base import ConnectionCut
from local.adobe.gateway import Gateway
from local.adobe.job_routes import JobRoutes
from local.adobe.jobs import JobTable, Results
from local.adobe.limits import Limits
from local.adobe.links import Storage
from local.adobe.rules import Rules
from local.adobe.settings import Settings
from local.adobe.studio import Studio
from local.adobe.work import JobWork

MAX_REQUEST_BYTES = 16_000_000


class Server:
    """Adobe's hosts in one origin: IMS, the imaging routes, result storage, and the control routes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = ServiceClock(settings.time_scale)
        self.counters = Counters()
        self.rules = Rules()
        self.gateway = Gateway(settings)
        self.limits = Limits(
            per_minute=settings.requests_per_minute,
            per_day=settings.requests_per_day,
            count_polls=settings.count_polls,
        )
        self.studio = Studio(settings)
        self.storage = Storage()
        self.jobs = JobTable(settings, self.clock)
        self.results = Results(settings)

    def application(self) -> web.Application:
        """Return the application with all routes; it opens and closes what it needs."""
        app = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[self._elsewhere])
        app.cleanup_ctx.append(self._lifetime)
        routes = JobRoutes(self.settings, self.counters, self.storage, self.jobs, self.results)
        for version in ("v2", "v3"):
            self._add(app, "POST", f"/ims/token/{version}", self._token)
        for family, path, parse, work in self._posts():
            self._add(app, "POST", path, self._guarded(family, routes.submitting(family, path, parse, work)))
        for family in ("v1", "v2", "v3", "sensei"):
            self._add(app, "GET", f"/{family}/status/{{job_id:.+}}", self._guarded(family, routes.status(family)))
        self._add(app, "PUT", "/v3/cancel/{job_id:.+}", self._guarded("v3", routes.cancel))
        self._add(app, "GET", "/results/{token}", routes.download)
        self._add(app, "POST", "/sensei/cutout", self._guarded("sensei", _retired))
        ControlRoutes(
            self.settings, self.clock, self.counters, self.rules, self.gateway, self.limits, self.jobs
        ).add_to(app)
        return app

    def _posts(self) -> list[tuple[str, str, Callable[[Any], JobRequest], Work]]:
        """Return family, path, how the body is read, and the job's work, of every route that makes a job."""
        work = JobWork(self.settings, self.clock, self.counters, self.storage, self.studio)
        return [
            ("v1", "/v1/mask-objects", bodies.mask_objects, work.mask_objects),
            ("v1", "/v1/fill-masked-areas", bodies.fill_masked_areas, work.fill_masked_areas),
            ("v2", "/v2/remove-background", bodies.remove_background, work.remove_background),
            ("v3", "/v3/images/fill-async", bodies.firefly_fill, work.firefly_fill),
            ("sensei", "/sensei/mask", bodies.create_mask, work.create_mask),
        ]

    async def _lifetime(self, _app: web.Application) -> Any:
        await self.storage.open()
        yield
        await self.jobs.close()
        await self.storage.close()
        self.studio.close()

    # --- the way of every request ------------------------------------------------------------------------------------

    def _add(self, app: web.Application, method: str, path: str, route: Route) -> None:
        template = f"{method} {path.replace(':.+', '')}"

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._walk(request, template, route)

        app.router.add_route(method, path, handle)

    async def _walk(self, request: web.Request, template: str, route: Route) -> web.StreamResponse:
        context = RequestContext(request, template, f"{request.scheme}://{request.host}", await request.read())
        self._recognise(context)
        context.faults = self.rules.due(request.method, request.path, context.photos)
        try:
            answer = await self._answered(context, route)
            response: web.StreamResponse | None = None
            for fault in context.faults:
                response = response or await fault.send(request, answer)
        except ConnectionCut:
            self._record(context, CUT)
            return web.Response()  # goes nowhere
        self._record(context, answer.status)
        return response or _sendable(answer)

    async def _answered(self, context: RequestContext, route: Route) -> Answer:
        for fault in context.faults:
            early = await fault.before(context.request)
            if early is not None:
                return early
        answer = await route(context)
        for fault in context.faults:
            fault.on_answer(answer, context.job)
        return answer

    def _recognise(self, context: RequestContext) -> None:
        """Find out which photo, job and result the request is about, without judging it."""
        match = context.request.match_info
        if "job_id" in match:
            context.job = self.jobs.find(match["job_id"])
        elif "token" in match:
            context.result = self.results.find(match["token"])
            context.job = context.result.job if context.result else None
        elif context.request.method == "POST":
            context.photos = tuple(photos_in(context.body))
            if context.photos and not context.request.path.startswith("/ims/"):
                self.counters.about_photo(context.photos[0], context.request.path, "posts")
        if context.job:
            context.photos = context.job.photos

    def _record(self, context: RequestContext, status: int | str) -> None:
        self.counters.answered(context.route, status)
        if not self.settings.quiet:
            about = f"  {context.photos[0]}" if context.photos else ""
            print(f"{time.strftime('%H:%M:%S')} {status} {context.route}{about}", flush=True)

    def _guarded(self, family: str, route: Route) -> Route:
        """Return ``route`` behind the gateway's checks and the limits."""

        async def guarded(context: RequestContext) -> Answer:
            headers = context.request.headers
            refusal = self.gateway.refusal(headers.get("Authorization", ""), headers.get("x-api-key", ""))
            if refusal:
                return refusal
            if self.settings.limits:
                wait = self.limits.admit(family, context.request.method, self.clock.now())
                if wait > 0:
                    return self._too_many(family, wait)
            return await route(context)

        return guarded

    def _too_many(self, family: str, wait: float) -> Answer:
        answer = refused(family, 429, phrase(429), [], self.settings.v1_errors)
        if self.settings.retry_after:
            seconds = self.clock.on_the_wall(wait)
            whole = str(max(1, math.ceil(seconds)))
            answer.headers["Retry-After"] = f"{seconds:.3f}" if self.settings.fractional_retry_after else whole
        return answer

    @web.middleware
    async def _elsewhere(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Answer in JSON, as the rest does, on paths and methods that nobody serves."""
        try:
            return await handler(request)  # type: ignore[no-any-return]
        except web.HTTPNotFound:
            answer = refused("sensei", 404, "Resource not found", [], "B")
        except web.HTTPMethodNotAllowed:
            answer = refused("v2", 405, "Method not allowed", [], "B")
        except web.HTTPRequestEntityTooLarge:
            answer = refused("v1", 413, phrase(413), [], "B")
        self.counters.answered(f"{request.method} {request.path}", answer.status)
        return _sendable(answer)

    # --- identity ----------------------------------------------------------------------------------------------------

    async def _token(self, context: RequestContext) -> Answer:
        form = await context.request.post()
        fields = {key: value for key, value in form.items() if isinstance(value, str)}
        version = context.request.path.rsplit("/", 1)[1]
        answer = self.gateway.token(fields, context.request.headers.get("Authorization", ""), version)
        if answer.status == 200:
            self.counters.tokens += 1
        return answer


async def _retired(_context: RequestContext) -> Answer:
    """Answer as Adobe's retired routes do, for ever, though it looks like an outage."""
    return html(502)


def _sendable(answer: Answer) -> web.Response:
    body = answer.encoded()
    response = web.Response(status=answer.status, body=body, headers=answer.headers)
    if answer.content_type:
        response.content_type = answer.content_type
    return response
