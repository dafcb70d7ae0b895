"""Every way in which Adobe, or the way to it, can fail a photo; the whole tree is in ``cleanplate.errors``."""

from __future__ import annotations

from cleanplate.errors import CleanplateError


class AdobeError(CleanplateError):
    """Adobe's service, or the way to it."""

    what_to_do = "Look at Adobe's message, then send the photo again."
    #: How many requests were sent in vain; of a POST whose answer was lost, those before it.
    requests = 0


class CredentialsRefusedError(AdobeError):
    """IMS or the API refused the client id, the secret or the token."""

    what_to_do = "Put the right client_id and client_secret into the stack's Adobe secret, then retry the photo."
    retryable = True


class AccessRefusedError(AdobeError):
    """403: entitlement, quota or scope."""

    what_to_do = (
        "Check the Adobe account's entitlement and quota in the Developer Console, and the stack's "
        "AdobeScopes (Adobe's identity service takes unknown names without a word; try "
        "openid,AdobeID,read_organizations,firefly_api,ff_apis), then retry."
    )
    retryable = True


class RequestRefusedError(AdobeError):
    """400, 402, 405, 409, 413, 415, 422, 451: the request will never be accepted as it is."""

    what_to_do = "Adobe refused this photo; its message says why. Change the photo or its options and upload it again."


class PromptRefusedError(AdobeError):
    """Firefly does not take the words of the option ``prompt`` (``prompt_unsafe``)."""

    what_to_do = (
        "Adobe's content rules refuse this prompt. Change or drop the option prompt, then upload the photo again."
    )


class InputLinkRefusedError(AdobeError):
    """410, 403/404 that name the input link, or a job that failed for it: Adobe could not fetch the photo from S3."""

    what_to_do = "Check that the bucket's policy and key let presigned links be read from outside, then retry."
    retryable = True


class AdobeJobGoneError(AdobeError):
    """404 or 410 on a job's status: Adobe no longer knows the job."""

    what_to_do = "Adobe forgot the job (it keeps them for about a day). Retry the photo: it is a new, paid job."
    retryable = True


class AdobeJobFailedError(AdobeError):
    """The job ended as failed, cancelled or timed out at Adobe."""

    what_to_do = "Adobe could not work on this photo; its message says why. Retry once, or change the photo."
    retryable = True


class AnswerUnreadableError(AdobeError):
    """An answer without what the contract promises: no job id, no result, not JSON."""

    what_to_do = "Adobe's answer had another shape than expected. Retry; if it stays, the route has changed."
    retryable = True


class ForeignLinkError(AdobeError):
    """A link in Adobe's answer that is not followed.

    A status link gets the token, so it must lead to Adobe's hosts or the origin that the stack is configured for. A
    picture's link gets no credentials and may lead to any host: over https, at a public address.
    """

    what_to_do = (
        "Adobe answered with a link that is not followed (not https, not a public address, or a status link to a host "
        "that is not Adobe's); nothing was sent there. Report it, then retry."
    )
    retryable = True


class DownloadTooLargeError(AdobeError):
    """A result picture with more bytes than one of its size can have."""

    what_to_do = "Adobe's result is far too large for the photo. Try another route, and report the job to Adobe."


class DownloadFailedError(AdobeError):
    """A result picture that could not be fetched: link expired, broken off or refused."""

    what_to_do = "Adobe's result link no longer works. Retry the photo: it is a new, paid job."
    retryable = True


class RateLimitedError(AdobeError):
    """429: the account's limit is reached; the photo waits, it does not fail.

    ``retry_after`` is in seconds, None where Adobe did not say.
    """

    what_to_do = "Nothing: the photo waits for a slot."
    retryable = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AdobeUnavailableError(AdobeError):
    """408, 500, 502, 503, or no connection: Adobe tells of no job; it is asked again.

    ``job_may_exist`` after a POST that was answered with 500, 502 or 503: Adobe retries inside, so one of its tries may
    have made a job. ``requests`` is how many GETs were sent in vain.
    """

    what_to_do = "Adobe was not reachable for a long time. Check Adobe's status page, then retry the photo."
    retryable = True

    def __init__(self, message: str, *, job_may_exist: bool = False, requests: int = 0) -> None:
        super().__init__(message)
        self.job_may_exist = job_may_exist
        self.requests = requests


class AnswerLostError(AdobeError):
    """A POST was sent and its answer never came (time-out, reset, 504): a job may exist at Adobe."""

    what_to_do = "Nothing: it is requested once more, and marked as a possible duplicate."
    retryable = True


class PostOutcomeUnknownError(AdobeError):
    """The answer to the same POST was lost twice; it is not sent a third time."""

    what_to_do = "Adobe may have been paid twice for this photo, so no run sends it again. Check the connection, then upload it again."
