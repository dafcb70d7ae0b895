"""The routes: every request walks the same way from rules through the gateway and the limits to its route."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import math
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from aiohttp import web

from local.adobe import bodies, pictures
from local.adobe.answers import Answer, Json, Problem, phrase, refused, s3_error
from local.adobe.bodies import Asked, InvalidBodyError
from local.adobe.clock import ServiceClock
from local.adobe.counters import CUT, Counters
from local.adobe.faults.base import Action, ConnectionCut, catalogue
from local.adobe.gateway import Gateway
from local.adobe.jobs import Job, JobTable, Payload, Result, Results, Sign, failed_body
from local.adobe.limits import Limits
from local.adobe.links import LinkError, Storage, complaint, photo_of
from local.adobe.rules import InvalidRuleError, Rules
from local.adobe.settings import Settings
from local.adobe.studio import Masks, Picture, Studio

MAX_REQUEST_BYTES = 16_000_000


@dataclass(slots=True)
class Visit:
    """One request on its way: what it is about, and the actions that it has coming."""

    request: web.Request
    route: str  # METHOD and path template
    base_url: str  # the origin that the client talks to
    body: bytes = b""
    photos: tuple[str, ...] = ()
    job: Job | None = None
    result: Result | None = None
    actions: list[Action] = field(default_factory=list)


Route = Callable[[Visit], Awaitable[Answer]]
Work = Callable[[Job], Awaitable[Payload]]


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
        """The application with all routes; it opens and closes what it needs."""
        app = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[self._elsewhere])
        app.cleanup_ctx.append(self._lifetime)
        posts: list[tuple[str, str, Callable[[Any], Asked], Work]] = [
            ("v1", "/v1/mask-objects", bodies.mask_objects, self._mask_objects),
            ("v1", "/v1/mask-body-parts", bodies.mask_body_parts, self._mask_body_parts),
            ("v1", "/v1/refine-mask", bodies.refine_mask, self._refine_mask),
            ("v1", "/v1/fill-masked-areas", bodies.fill_masked_areas, self._fill_masked_areas),
            ("v2", "/v2/remove-background", bodies.remove_background, self._remove_background),
            ("sensei", "/sensei/mask", bodies.create_mask, self._create_mask),
        ]
        for version in ("v2", "v3"):
            self._add(app, "POST", f"/ims/token/{version}", self._token)
        for family, path, parse, work in posts:
            self._add(app, "POST", path, self._guarded(family, self._submitting(family, path, parse, work)))
        for family in ("v1", "v2", "sensei"):
            self._add(app, "GET", f"/{family}/status/{{job_id:.+}}", self._guarded(family, self._status(family)))
        self._add(app, "GET", "/results/{token}", self._download)
        for method, path, handler in (
            ("GET", "/", self._welcome),
            ("GET", "/stand-in/health", self._health),
            ("GET", "/stand-in/counters", self._show_counters),
            ("DELETE", "/stand-in/counters", self._clear_counters),
            ("GET", "/stand-in/rules", self._show_rules),
            ("POST", "/stand-in/rules", self._add_rules),
            ("DELETE", "/stand-in/rules", self._clear_rules),
            ("DELETE", "/stand-in/rules/{number:[0-9]+}", self._clear_rules),
            ("GET", "/stand-in/actions", self._show_actions),
            ("GET", "/stand-in/jobs", self._show_jobs),
            ("DELETE", "/stand-in/limits", self._clear_limits),
            ("DELETE", "/stand-in/tokens", self._clear_tokens),
        ):
            app.router.add_route(method, path, handler)
        return app

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
        visit = Visit(request, template, f"{request.scheme}://{request.host}", await request.read())
        self._recognise(visit)
        visit.actions = self.rules.due(request.method, request.path, visit.photos)
        try:
            answer = await self._answered(visit, route)
            response: web.StreamResponse | None = None
            for action in visit.actions:
                response = response or await action.publish(request, answer)
        except ConnectionCut:
            self._note(visit, CUT)
            return web.Response()  # goes nowhere
        self._note(visit, answer.status)
        return response or _sendable(answer)

    async def _answered(self, visit: Visit, route: Route) -> Answer:
        for action in visit.actions:
            early = await action.before(visit.request)
            if early is not None:
                return early
        answer = await route(visit)
        for action in visit.actions:
            action.on_answer(answer, visit.job)
        return answer

    def _recognise(self, visit: Visit) -> None:
        """Find out which photo, job and result the request is about, without judging it."""
        match = visit.request.match_info
        if "job_id" in match:
            visit.job = self.jobs.find(match["job_id"])
        elif "token" in match:
            visit.result = self.results.find(match["token"])
            visit.job = visit.result.job if visit.result else None
        elif visit.request.method == "POST":
            visit.photos = tuple(_links_in(visit.body))
            if visit.photos and not visit.request.path.startswith("/ims/"):
                self.counters.about_photo(visit.photos[0], visit.request.path, "posts")
        if visit.job:
            visit.photos = visit.job.photos

    def _note(self, visit: Visit, status: int | str) -> None:
        self.counters.answered(visit.route, status)
        if not self.settings.quiet:
            about = f"  {visit.photos[0]}" if visit.photos else ""
            print(f"{time.strftime('%H:%M:%S')} {status} {visit.route}{about}", flush=True)

    def _guarded(self, family: str, route: Route) -> Route:
        """The gateway's checks and the limits, in front of ``route``."""

        async def guarded(visit: Visit) -> Answer:
            headers = visit.request.headers
            refusal = self.gateway.refusal(headers.get("Authorization", ""), headers.get("x-api-key", ""))
            if refusal:
                return refusal
            if self.settings.limits:
                wait = self.limits.admit(family, visit.request.method, self.clock.now())
                if wait > 0:
                    return self._too_many(family, wait)
            return await route(visit)

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
        """Paths and methods that nobody serves answer in JSON, as the rest does."""
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

    async def _token(self, visit: Visit) -> Answer:
        form = await visit.request.post()
        fields = {key: value for key, value in form.items() if isinstance(value, str)}
        version = visit.request.path.rsplit("/", 1)[1]
        answer = self.gateway.token(fields, visit.request.headers.get("Authorization", ""), version)
        if answer.status == 200:
            self.counters.tokens += 1
        return answer

    # --- jobs --------------------------------------------------------------------------------------------------------

    def _submitting(self, family: str, path: str, parse: Callable[[Any], Asked], work: Work) -> Route:
        """The POST of one route: check the body, create the job, start its work, answer 202."""

        def refuse(status: int, title: str, problems: list[Problem]) -> Answer:
            return refused(family, status, title, problems, self.settings.v1_errors)

        async def submit(visit: Visit) -> Answer:
            if visit.request.content_type != "application/json":
                problem = Problem("Content-Type", "enum", "is not supported", "application/json")
                return refuse(400 if family == "v1" else 415, "Invalid content type", [problem])
            try:
                asked = parse(json.loads(visit.body))
            except (ValueError, RecursionError):
                return refuse(400, "Invalid request body", [Problem("", "type", "is not valid JSON")])
            except InvalidBodyError as error:
                return refuse(400, "Input validation failed", error.problems)
            if problems := self._complaints(family, asked):
                return refuse(400, "Input validation failed", problems)
            if family == "sensei":
                try:
                    await self.storage.probe(asked.image)
                except LinkError as error:
                    problem = Problem("input.href", "link", str(error))
                    return refuse(410, "The input link is invalid or expired", [problem])
            return self._accepted(visit, self._created(visit, family, path, asked, work))

        return submit

    def _complaints(self, family: str, asked: Asked) -> list[Problem]:
        if family == "sensei":
            named = [(".input.href", asked.image), (".output.href", asked.output)]
        else:
            inputs = itertools.count()
            named = [(".image.source.url", asked.image)]
            named += [(f".masks[{next(inputs)}].source.url", mask) for mask in asked.masks]
        found = (complaint(url, where, self.settings) for where, url in named)
        return [problem for problem in found if problem]

    def _created(self, visit: Visit, family: str, path: str, asked: Asked, work: Work) -> Job:
        job = self.jobs.draft(family, path, asked)
        for action in visit.actions:
            action.on_job(job)
        self.jobs.add(job)
        visit.job = job

        async def run() -> Payload:
            try:
                return await work(job)
            except (pictures.PictureError, LinkError):
                raise
            except Exception as error:
                # The client only hears "internal error", as from Adobe; whoever runs this must see more.
                print(f"job {job.job_id} on {path} broke: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
                raise

        self.jobs.begin(job, run)
        self.counters.jobs[path] += 1
        self.counters.about_photo(job.photo, path, "jobs")
        return job

    def _accepted(self, visit: Visit, job: Job) -> Answer:
        link = f"{visit.base_url}/{job.family}/status/{_quoted(job.job_id)}"
        if job.family == "sensei":
            return Answer(202, {"_links": {"self": {"href": link}}})
        return Answer(202, {"jobId": job.job_id, "statusUrl": link})

    def _status(self, family: str) -> Route:
        """The status of one job. v1 begins as not_started, the others as pending."""

        async def status(visit: Visit) -> Answer:
            job = visit.job
            if job is None or job.family != family:
                return refused(family, 404, "Job not found", [], self.settings.v1_errors)
            job.polls += 1
            self.counters.about_photo(job.photo, job.route, "polls")
            word = self.jobs.word(job)
            if word == "not_started" and family != "v1":
                word = "pending"
            body: Json = {"jobID" if family == "sensei" else "jobId": job.job_id, "status": word}
            if word == "succeeded":
                body |= self.jobs.payload(job, self._signer(visit.base_url, job))
            elif word == "failed":
                body |= failed_body(job, self.jobs.failure(job))
            if family == "sensei":
                href = f"{visit.base_url}/sensei/status/{_quoted(job.job_id)}"
                body["_links"] = {"self": {"href": href}}
                return Answer(200, body, {"Location": href})
            return Answer(200, body)

        return status

    def _signer(self, base_url: str, job: Job) -> Sign:
        return lambda picture: self.results.sign(base_url, job, picture)

    # --- work --------------------------------------------------------------------------------------------------------

    async def _inputs(self, job: Job) -> tuple[bytes, list[bytes]]:
        image, *masks = await asyncio.gather(*(self.storage.read(link) for link in job.asked.links))
        job.content = hashlib.sha256(image).hexdigest()[:16]
        self.counters.contents[job.content][job.route] += 1
        job.size = pictures.size_of(image, pictures.SENSEI)
        return image, masks

    async def _mask_objects(self, job: Job) -> Payload:
        image, _ = await self._inputs(job)
        masks = await self.studio.mask_objects(image)
        semantic = list(masks.semantic)
        if job.mask_count is not None:
            semantic = list(itertools.islice(itertools.cycle(semantic), job.mask_count)) if semantic else []
        labels = job.labels or self.settings.labels

        def payload(sign: Sign) -> Json:
            return {
                "semanticMasks": [
                    _mask_json(picture, labels[min(number, len(labels) - 1)], sign)
                    for number, picture in enumerate(semantic)
                ],
                "backgroundMasks": [_mask_json(picture, picture.name, sign) for picture in masks.background],
            }

        return payload

    async def _mask_body_parts(self, job: Job) -> Payload:
        image, (mask,) = await self._inputs(job)
        parts: Masks = await self.studio.mask_body_parts(image, mask, job.asked.granular)
        return lambda sign: {"masks": [_mask_json(picture, picture.name, sign) for picture in parts.semantic]}

    async def _refine_mask(self, job: Job) -> Payload:
        image, (mask,) = await self._inputs(job)
        colour = bool(job.asked.colour_decontamination)
        picture = await self.studio.refine_mask(image, mask, colour)

        def payload(sign: Sign) -> Json:
            made = {**_picture_json(picture, sign), "boundingBox": picture.box.as_json()}
            return {"image" if colour else "mask": made}

        return payload

    async def _fill_masked_areas(self, job: Job) -> Payload:
        image, masks = await self._inputs(job)
        picture = await self.studio.fill_masked_areas(image, masks)
        return lambda sign: {"image": _picture_json(picture, sign)}

    async def _remove_background(self, job: Job) -> Payload:
        image, _ = await self._inputs(job)
        picture = await self.studio.remove_background(image, job.asked)
        return lambda sign: {"result": {"outputs": [_picture_json(picture, sign)]}}

    async def _create_mask(self, job: Job) -> Payload:
        image, _ = await self._inputs(job)
        picture = await self.studio.create_mask(image, job.asked.soft)
        await asyncio.sleep(self.clock.on_the_wall(max(0.0, job.accepted_at + job.duration - self.clock.now())))
        if not job.failure and not job.never_finishes:
            content = picture.content
            for spoil in job.spoils:
                content = spoil(content)
            await self.storage.write(job.asked.output, content, picture.media_type)
        return lambda _: _create_mask_json(job)

    # --- results -----------------------------------------------------------------------------------------------------

    async def _download(self, visit: Visit) -> Answer:
        """A presigned link as S3 serves it: a second way to authenticate is refused, and so is a dead link."""
        self.counters.downloads += 1
        if "Authorization" in visit.request.headers:
            self.counters.downloads_with_authorization += 1
            said = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter should be specified"
            return s3_error(400, "InvalidArgument", said)
        result = visit.result
        if result is None:
            return s3_error(403, "AccessDenied", "Access Denied")
        if visit.request.query.get("X-Amz-Signature") != result.signature:
            return s3_error(403, "SignatureDoesNotMatch", "The request signature does not match")
        if time.monotonic() >= result.expires_at:
            return s3_error(403, "AccessDenied", "Request has expired")
        self.counters.about_photo(result.job.photo, result.job.route, "downloads")
        etag = hashlib.md5(result.content, usedforsecurity=False).hexdigest()
        return Answer(200, result.content, {"ETag": f'"{etag}"'}, result.media_type)

    # --- control: of the stand-in, not of Adobe -------------------------------------------------------------------------

    async def _welcome(self, _request: web.Request) -> web.Response:
        return web.Response(text="\n".join(routes_in_words()) + "\n")

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "status": "ok",
                "pixels": self.settings.pixels,
                "jobs": len(self.jobs),
                "service_seconds": round(self.clock.now(), 3),
                "time_scale": self.settings.time_scale,
            }
        )

    async def _show_counters(self, _request: web.Request) -> web.Response:
        return web.json_response(self.counters.as_json(self.limits.minute.busiest))

    async def _clear_counters(self, _request: web.Request) -> web.Response:
        self.counters.clear()
        self.limits.minute.busiest = 0
        return web.Response(status=204)

    async def _show_rules(self, _request: web.Request) -> web.Response:
        return web.json_response(self.rules.as_json())

    async def _add_rules(self, request: web.Request) -> web.Response:
        try:
            rules = self.rules.add(json.loads(await request.read()))
        except InvalidRuleError as error:
            return web.json_response({"error": str(error)}, status=400)
        except ValueError:
            return web.json_response({"error": "the body is not valid JSON"}, status=400)
        return web.json_response([rule.as_json() for rule in rules], status=201)

    async def _clear_rules(self, request: web.Request) -> web.Response:
        number = request.match_info.get("number")
        self.rules.clear(int(number) if number else None)
        return web.Response(status=204)

    async def _show_actions(self, _request: web.Request) -> web.Response:
        return web.json_response(catalogue())

    async def _show_jobs(self, _request: web.Request) -> web.Response:
        return web.json_response(self.jobs.listed())

    async def _clear_limits(self, _request: web.Request) -> web.Response:
        self.limits.clear()
        return web.Response(status=204)

    async def _clear_tokens(self, _request: web.Request) -> web.Response:
        self.gateway.revoke_all()
        return web.Response(status=204)


def routes_in_words() -> list[str]:
    """The routes as the welcome page and the command line list them."""
    return [
        "Adobe's stand-in. Masks and fills are real computations, and not Adobe's quality.",
        "",
        "  POST /ims/token/v3            a token (also /v2)",
        "  POST /v1/mask-objects         masks of what stands out       GET /v1/status/{jobId}",
        "  POST /v1/mask-body-parts      bands from head to foot",
        "  POST /v1/refine-mask          a mask led by the photo's edges",
        "  POST /v1/fill-masked-areas    the photo, filled",
        "  POST /v2/remove-background    cut-out or mask                GET /v2/status/{jobId}",
        "  POST /sensei/mask             mask to your own storage       GET /sensei/status/{jobId}",
        "  GET  /results/{token}         finished pictures, for a while",
        "",
        "  /stand-in/rules               GET, POST, DELETE: misbehaviour (GET /stand-in/actions lists it)",
        "  /stand-in/counters            GET, DELETE: what happened",
        "  /stand-in/jobs, /health       GET",
        "  /stand-in/limits, /tokens     DELETE: forget requests, revoke tokens",
    ]


def _sendable(answer: Answer) -> web.Response:
    body = answer.encoded()
    response = web.Response(status=answer.status, body=body, headers=answer.headers)
    if answer.content_type:
        response.content_type = answer.content_type
    return response


def _mask_json(picture: Picture, label: str, sign: Sign) -> Json:
    return {
        "label": label,
        "score": picture.score,
        "boundingBox": picture.box.as_json(),
        **_picture_json(picture, sign),
    }


def _picture_json(picture: Picture, sign: Sign) -> Json:
    return {"destination": {"url": sign(picture)}, "mediaType": picture.media_type}


def _create_mask_json(job: Job) -> Json:
    created = job.created.isoformat().replace("+00:00", "Z")
    return {
        "created": created,
        "modified": created,
        "input": job.asked.image,
        "output": {
            "storage": job.asked.output_storage,
            "href": job.asked.output,
            "mask": {"format": "soft" if job.asked.soft else "binary"},
        },
    }


def _quoted(job_id: str) -> str:
    return quote(job_id, safe=":")


def _links_in(body: bytes) -> Iterator[str]:
    """The decoded paths of all links in a JSON body, the image's first; nothing where the body is not JSON."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for key, item in value.items():
                if key in ("url", "href") and isinstance(item, str):
                    try:
                        yield photo_of(item)
                    except ValueError:
                        continue
                else:
                    yield from walk(item)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item)

    try:
        said = json.loads(body)
        if isinstance(said, dict):
            # Whatever the order of keys: the picture before its masks, what is read before what is written.
            first = [said.get("image"), said.get("input")]
            rest = [item for key, item in said.items() if key not in ("image", "input", "output")]
            yield from walk([*first, *rest])
    except (ValueError, RecursionError):
        return
