"""The routes that make, tell and deliver jobs: the POSTs, the status GETs, the result links."""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from local.adobe import pictures
from local.adobe.answers import Answer, Json, Problem, refused, s3_error
from local.adobe.bodies import InvalidBodyError, JobRequest
from local.adobe.context import RequestContext, Route, Work
from local.adobe.counters import Counters
from local.adobe.jobs import Job, JobTable, Payload, Results, Sign, failed_body
from local.adobe.links import LinkError, Storage, validation_error
from local.adobe.settings import Settings

#: Of the families that do not say 400 of a body that breaks their schema.
_INVALID = {"v3": 422}
_NOT_STARTED = {"v1": "not_started", "v2": "pending", "v3": "running", "sensei": "pending"}
#: A prompt with this word is refused as Firefly refuses what its rules do not allow.
UNSAFE = "unsafe"


class JobRoutes:
    """The routes about jobs, without the gateway's checks, which stand in front of them."""

    def __init__(
        self, settings: Settings, counters: Counters, storage: Storage, jobs: JobTable, results: Results
    ) -> None:
        self._settings = settings
        self._counters = counters
        self._storage = storage
        self._jobs = jobs
        self._results = results

    def submitting(self, family: str, path: str, parse: Callable[[Any], JobRequest], work: Work) -> Route:
        """Return the POST of one route: check the body, create the job, start its work, answer 202."""

        def refuse(status: int, title: str, problems: list[Problem]) -> Answer:
            return refused(family, status, title, problems, self._settings.v1_errors)

        async def submit(context: RequestContext) -> Answer:
            if context.request.content_type != "application/json":
                problem = Problem("Content-Type", "enum", "is not supported", "application/json")
                return refuse(400 if family == "v1" else 415, "Invalid content type", [problem])
            try:
                request = parse(json.loads(context.body))
            except (ValueError, RecursionError):
                return refuse(400, "Invalid request body", [Problem("", "type", "is not valid JSON")])
            except InvalidBodyError as error:
                return refuse(_INVALID.get(family, 400), "Input validation failed", error.problems)
            if problems := self._validation_errors(family, request):
                return refuse(_INVALID.get(family, 400), "Input validation failed", problems)
            if UNSAFE in request.prompt.lower().split():
                return Answer(422, {"error_code": "prompt_unsafe", "message": "The prompt is not allowed"})
            if family == "sensei":
                try:
                    await self._storage.probe(request.image)
                except LinkError as error:
                    problem = Problem("input.href", "link", str(error))
                    return refuse(410, "The input link is invalid or expired", [problem])
            return self._accepted(context, self._created(context, family, path, request, work))

        return submit

    def _validation_errors(self, family: str, request: JobRequest) -> list[Problem]:
        if family == "sensei":
            named = [(".input.href", request.image), (".output.href", request.output)]
        elif family == "v3":
            named = [(".image.source.url", request.image), (".mask.source.url", request.masks[0])]
        else:
            inputs = itertools.count()
            named = [(".image.source.url", request.image)]
            named += [(f".masks[{next(inputs)}].source.url", mask) for mask in request.masks]
        found = (validation_error(url, where, self._settings) for where, url in named)
        return [problem for problem in found if problem]

    def _created(self, context: RequestContext, family: str, path: str, request: JobRequest, work: Work) -> Job:
        job = self._jobs.draft(family, path, request)
        for fault in context.faults:
            fault.on_job(job)
        self._jobs.add(job)
        context.job = job

        async def run() -> Payload:
            try:
                return await work(job)
            except (pictures.PictureError, LinkError):
                raise
            except Exception as error:
                # The client only hears "internal error", as from Adobe; whoever runs this must see more.
                print(f"job {job.job_id} on {path} broke: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
                raise

        self._jobs.begin(job, run)
        self._counters.jobs[path] += 1
        self._counters.about_photo(job.photo, path, "jobs")
        return job

    def _accepted(self, context: RequestContext, job: Job) -> Answer:
        link = f"{context.base_url}/{job.family}/status/{_quoted(job.job_id)}"
        if job.family == "sensei":
            return Answer(202, {"_links": {"self": {"href": link}}})
        body = {"jobId": job.job_id, "statusUrl": link}
        if job.family == "v3":
            body["cancelUrl"] = f"{context.base_url}/v3/cancel/{_quoted(job.job_id)}"
            return Answer(202, body, {"Link": f'<{link}>; rel="status"'})
        return Answer(202, body)

    def status(self, family: str) -> Route:
        """Return the status route of one family; each has its own word for a job that has not begun."""

        async def status(context: RequestContext) -> Answer:
            job = context.job
            if job is None or job.family != family:
                return refused(family, 404, "Job not found", [], self._settings.v1_errors)
            job.polls += 1
            self._counters.about_photo(job.photo, job.route, "polls")
            word = self._jobs.word(job)
            if word == "not_started":
                word = _NOT_STARTED[family]
            body: Json = {"jobID" if family == "sensei" else "jobId": job.job_id, "status": word}
            if word == "succeeded":
                body |= self._jobs.payload(job, self._signer(context.base_url, job))
            elif word == "failed":
                body |= failed_body(job, self._jobs.failure(job))
            if family == "sensei":
                href = f"{context.base_url}/sensei/status/{_quoted(job.job_id)}"
                body["_links"] = {"self": {"href": href}}
                return Answer(200, body, {"Location": href})
            return Answer(200, body)

        return status

    async def cancel(self, context: RequestContext) -> Answer:
        """Cancel a Firefly job that is not finished."""
        job = context.job
        if job is None or job.family != "v3":
            return refused("v3", 404, "Job not found", [], self._settings.v1_errors)
        if self._jobs.word(job) in ("succeeded", "failed", "cancelled"):
            return refused("v3", 409, "The job has ended", [], self._settings.v1_errors)
        job.cancelled = True
        return Answer(200, {"jobId": job.job_id, "status": "cancelled"})

    def _signer(self, base_url: str, job: Job) -> Sign:
        return lambda picture: self._results.sign(base_url, job, picture)

    async def download(self, context: RequestContext) -> Answer:
        """Serve a presigned link as S3 does: a second way to authenticate is refused, and so is a dead link."""
        self._counters.downloads += 1
        if "Authorization" in context.request.headers:
            self._counters.downloads_with_authorization += 1
            message = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter should be specified"
            return s3_error(400, "InvalidArgument", message)
        result = context.result
        if result is None:
            return s3_error(403, "AccessDenied", "Access Denied")
        if context.request.query.get("X-Amz-Signature") != result.signature:
            return s3_error(403, "SignatureDoesNotMatch", "The request signature does not match")
        if time.monotonic() >= result.expires_at:
            return s3_error(403, "AccessDenied", "Request has expired")
        self._counters.about_photo(result.job.photo, result.job.route, "downloads")
        etag = hashlib.md5(result.content, usedforsecurity=False).hexdigest()
        return Answer(200, result.content, {"ETag": f'"{etag}"'}, result.media_type)


def _quoted(job_id: str) -> str:
    return quote(job_id, safe=":")
