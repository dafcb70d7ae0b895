"""The types that the modules share: frozen values without behaviour of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

MaskRoute = Literal["mask-objects", "remove-background", "create-mask", "own-mask"]
FillRoute = Literal["fill-masked-areas", "firefly-fill"]
OutputFormat = Literal["same", "jpeg", "png", "webp"]
MaskFormat = Literal["soft", "binary"]
JobState = Literal["pending", "succeeded", "failed"]
#: What became of a request that is of no more use: its job failed at Adobe, we ask no more about it, or what it brought
#: cannot be used or is no longer kept.
Fate = Literal["", "failed", "given_up", "unusable"]
JobStatus = Literal["claimed", "masking", "filling", "cleaned", "nothing_to_remove", "mask_ready", "failed"]

#: Where a run ends. From ``mask_ready`` an approval leads to another run, as a retry does from ``failed``.
TERMINAL: frozenset[str] = frozenset({"cleaned", "nothing_to_remove", "mask_ready", "failed"})


@dataclass(frozen=True, slots=True)
class Photo:
    """The object that was uploaded.

    ``key`` is decoded. ``version_id`` is empty in a bucket without versions, where ETag and sequencer tell two
    uploads of one key apart.
    """

    bucket: str
    key: str
    version_id: str = ""
    etag: str = ""
    sequencer: str = ""
    size: int | None = None

    def is_same_upload(self, there: Photo) -> bool:
        """Return whether the object that is ``there`` at this key is still this upload."""
        return there.version_id == self.version_id if self.version_id else there.etag == self.etag


@dataclass(frozen=True, slots=True)
class Options:
    """What to remove and how, whether it is urgent, and whether the mask is to be approved before it is filled.

    ``remove`` holds labels in lower case (``*`` is a wildcard), or just ``subject`` or ``everything``. ``grow`` and
    ``feather`` are pixels of the original photo; ``None`` means in proportion to the photo's size.
    """

    remove: tuple[str, ...] = ("subject",)
    min_score: float = 0.5
    mask_route: MaskRoute = "mask-objects"
    invert: bool = False
    grow: int | None = None
    feather: int | None = None
    output_format: OutputFormat = "same"
    mask_format: MaskFormat = "soft"
    urgent: bool = False
    fill_route: FillRoute = "fill-masked-areas"
    prompt: str = ""
    review: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: left, top, width, height; pixels, or 0 to 1 of the picture where ``normalised``."""

    x: float
    y: float
    width: float
    height: float
    normalised: bool = False


@dataclass(frozen=True, slots=True)
class Mask:
    """One mask that Adobe offers: where it is and what it shows.

    Exactly one of ``url`` (Adobe's, short-lived) and ``work_key`` (in the work bucket) is set.
    """

    label: str = ""
    score: float = 1.0
    box: Box | None = None
    background: bool = False
    url: str = ""
    work_key: str = ""


@dataclass(frozen=True, slots=True)
class AdobeJob:
    """One asynchronous job at Adobe: its id and the link to ask about it.

    ``requests`` is how many POSTs it took: two where the first was refused for its token.
    """

    job_id: str
    status_url: str
    requests: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """Adobe's answer about one of its jobs, the same for every route.

    ``input_unread`` says of a failed job that Adobe could not fetch its picture; ``requests`` is how many GETs it took.
    """

    state: JobState
    word: str
    masks: tuple[Mask, ...] = ()
    image_url: str = ""
    error_code: str = ""
    message: str = ""
    retry_after: float | None = None
    input_unread: bool = False
    requests: int = 1


@dataclass(frozen=True, slots=True)
class AdobeRequest:
    """One paid request of a job in the ledger: ``mask``, ``fill-1``, ``fill-2``.

    Times are seconds since the epoch. ``intent_at`` is written before the POST, ``adobe_job`` after it.
    ``attempts`` counts POSTs that may have made a job. ``refusals`` counts POSTs of which Adobe says that they made none,
    ``unsure`` those among them that may have made one all the same (Adobe retries inside), ``refused_links`` those whose
    photo or mask Adobe could not fetch, ``outages`` those since Adobe last answered at all. ``slot_at`` is the limiter's
    slot for the next request, ``check_at`` when Adobe is to be asked about the job, ``run`` the job's run that has last
    sent it.
    """

    name: str
    route: str = ""
    attempts: int = 0
    refusals: int = 0
    unsure: int = 0
    refused_links: int = 0
    outages: int = 0
    intent_at: float = 0.0
    lease_until: float = 0.0
    slot_at: float = 0.0
    check_at: float = 0.0
    adobe_job: AdobeJob | None = None
    submitted_at: float = 0.0
    deadline_at: float = 0.0
    finished_at: float = 0.0
    polls: int = 0
    failed_downloads: int = 0
    fate: Fate = ""
    run: int = 1


@dataclass(frozen=True, slots=True)
class Job:
    """One photo with one set of options, as the Jobs table knows it."""

    job_id: str
    photo: Photo
    options: Options
    status: JobStatus
    run: int = 1
    claimed_at: float = 0.0
    deadline_at: float = 0.0
    own_mask: Photo | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    adobe_requests: Mapping[str, AdobeRequest] = field(default_factory=dict)
    #: Requests of earlier runs that came to an end there: this run has nothing more of them, but they were paid.
    earlier_requests: tuple[AdobeRequest, ...] = ()
    outcome: Mapping[str, Any] = field(default_factory=dict)
    request_id: str = ""
    correlation_id: str = ""
    #: Requests that came while this run was open, by id, with their correlation ids: each is answered with its outcome.
    also_asked: Mapping[str, str] = field(default_factory=dict)
    #: Ids of requests that earlier runs have answered, the last ones: such a message comes again and asks for nothing.
    answered: tuple[str, ...] = ()
    published: bool = False
    #: The ledger's token of what was last written; two values with the same content are the same job.
    revision: str = field(default="", compare=False)

    @property
    def execution_name(self) -> str:
        """The Step Functions name: job id, run, and when it was claimed, in milliseconds since the epoch.

        A name is reserved for 90 days. With the claim in it, an execution that is there already is always this one's.
        """
        return f"{self.job_id}-{self.run}-{int(self.claimed_at * 1000)}"

    @property
    def awaits_review(self) -> bool:
        """True where somebody has to approve Adobe's mask before it is filled; an own mask needs no approval."""
        return self.options.review and self.own_mask is None

    @staticmethod
    def id_in(execution_name: str) -> str:
        """Return the job id of an execution's name."""
        return execution_name.partition("-")[0]

    def has_heard(self, request_id: str) -> bool:
        """Return whether a request is one that this job has answered or is about to answer."""
        return request_id in {"", self.request_id, *self.also_asked, *self.answered}

    @property
    def possible_duplicate(self) -> bool:
        """True where a POST was repeated after one that may have made a job, in any run."""
        return any(request.attempts + request.unsure > 1 for request in self.all_requests)

    @property
    def all_requests(self) -> tuple[AdobeRequest, ...]:
        """The requests of all runs: first those of earlier ones, then those of this one."""
        return (*self.earlier_requests, *self.adobe_requests.values())


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a photo failed: the error's class name and message, and what to do next."""

    reason: str
    message: str
    what_to_do: str
    retryable: bool
