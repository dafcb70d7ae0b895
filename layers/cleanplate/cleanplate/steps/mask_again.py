"""Send a mask request once more, with a link that is signed again, after Adobe could not fetch the photo."""

from __future__ import annotations

from cleanplate.adobe.routes import ROUTES, Request
from cleanplate.errors import PostponedError
from cleanplate.models import Job
from cleanplate.services import Services
from cleanplate.steps.submit import send
from cleanplate.steps.work_files import work_key


def is_to_be_sent_again(job: Job) -> bool:
    """Return whether this run's mask request was sent and has no job: that has failed, or the answer was lost."""
    request = job.adobe_requests.get("mask")
    return bool(job.status == "masking" and request and request.attempts and not request.adobe_job)


def send_mask_again(job: Job, services: Services) -> float:
    """Send the request if it has a slot; return the time of the next check, in seconds since the epoch."""
    route = ROUTES[job.adobe_requests["mask"].route]

    def make_request() -> Request:
        # As before: the copy that was made for Adobe, if it is still kept, or the photo itself.
        storage, view = services.storage, work_key(job.job_id, "view.jpg")
        made = storage.look_up(services.settings.work_bucket, view)
        spare, media_type = work_key(job.job_id, "photo"), f"image/{job.facts['format']}"
        return Request(
            image_url=storage.link_to_work(view) if made else storage.link_for_adobe(job.photo, spare, media_type),
            output_url=storage.link_to_write_work(work_key(job.job_id, "mask.png")) if route.writes_to_us else "",
            mask_format=job.options.mask_format,
        )

    try:
        job = send(job, "mask", route=route, status="masking", make_request=make_request, services=services)
    except PostponedError as later:
        return later.until
    return job.adobe_requests["mask"].check_at
