"""The JSON that goes in and out, as types: requests, sidecars, operators' inputs, outcomes.

``events/schemas`` is generated from them (JSON Schema 2020-12). The meaning of each field is its comment in the schema;
times are seconds since the epoch, sizes in pixels where nothing else is said.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NotRequired

from typing_extensions import TypedDict

from cleanplate.models import FillRoute, MaskFormat, MaskRoute, OutputFormat

#: The version that every manifest and event names; it changes where a field goes or changes its meaning.
SCHEMA: Final = "cleanplate/1"
#: What a caller may send along, in characters.
MAX_CORRELATION_ID = 256


class Means:
    """JSON Schema keywords of one field, for the generator; ``about`` is its description."""

    def __init__(self, about: str = "", **keywords: object) -> None:
        self.keywords = {"description": about, **keywords} if about else keywords

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:  # noqa: ANN401 - pydantic's
        """Return the field's schema with these keywords."""
        found: dict[str, Any] = handler(core) | self.keywords
        return found


Switch = Literal["true", "false"] | bool
Pixels = Annotated[
    int | Literal["auto"] | Annotated[str, Means(pattern=r"^\d{1,4}$")],
    Means("Pixels of the original photo, 0 to 1000, or 'auto': in proportion to the photo"),
]
Labels = Annotated[
    list[Annotated[str, Means(maxLength=100)]] | str,
    Means("Labels such as ['dog', 'person'] or 'dog,person'; 'subject'; 'everything'. * is a wildcard"),
]


class GivenOptions(TypedDict, total=False):
    """What to remove and how, as people give it: a sidecar, a folder's file, or a request's ``options``."""

    remove: Labels
    min_score: Annotated[float, Means("Masks that Adobe is less sure of are left alone", minimum=0, maximum=1)]
    mask_route: MaskRoute
    invert: Annotated[Switch, Means("Remove all but what the mask shows")]
    grow: Pixels
    feather: Pixels
    output_format: OutputFormat
    mask_format: MaskFormat
    urgent: Annotated[Switch, Means("Goes before other photos that wait")]
    fill_route: FillRoute
    prompt: Annotated[str, Means("Words for what Firefly paints into the hole; with fill_route 'firefly-fill'")]
    review: Annotated[Switch, Means("Only the mask is made; its fill is bought when somebody approves it")]


class UsedOptions(TypedDict):
    """The options that a job was cleaned with, every one of them."""

    remove: list[str]
    min_score: float
    mask_route: MaskRoute
    invert: bool
    grow: int | None
    feather: int | None
    output_format: OutputFormat
    mask_format: MaskFormat
    urgent: bool
    fill_route: FillRoute
    prompt: str
    review: bool


class CleaningRequest(TypedDict):
    """The detail of the event ``Photo Cleaning Requested``: one photo that a system wants cleaned."""

    bucket: Annotated[str, Means("A bucket of the stack", minLength=1)]
    key: Annotated[str, Means("The photo's key, not URL-encoded", minLength=1)]
    version_id: NotRequired[str | None]
    options: NotRequired[GivenOptions | None]
    approve: NotRequired[
        Annotated[bool, Means("Fill the mask that waits for approval, with the options that it was made with")]
    ]
    correlation_id: NotRequired[
        Annotated[str, Means("Anything of the caller's; it comes back in the outcome", maxLength=MAX_CORRELATION_ID)]
    ]


class BackfillInput(TypedDict, total=False):
    """The input of the backfill machine. Without ``confirm`` the answer is an estimate and nothing is spent."""

    bucket: str
    prefix: str
    confirm: Annotated[int | None, Means("How many photos were agreed to, as the estimate said")]
    ahead_hours: Annotated[float, Means("How many hours of work to send ahead", exclusiveMinimum=0, maximum=240)]


class RetryInput(TypedDict, total=False):
    """The input of the retry machine. Without ``confirm`` it counts, and nothing is sent."""

    bucket: str
    prefix: str
    reason: Annotated[str, Means("Only photos that failed for this reason, such as AdobeUnavailableError")]
    confirm: Annotated[int | None, Means("How many photos to clean once more, at most")]


class ProgressQuestion(TypedDict, total=False):
    """The input of ``ReportProgressFunction``; empty for the whole uploads bucket."""

    bucket: str | None
    folder: str | None


class Described(TypedDict):
    """An object that was written."""

    bucket: str
    key: str
    bytes: int
    media_type: str
    sha256: str


class PhotoDescribed(TypedDict):
    """The photo that was uploaded, and what was seen of it; ``facts`` is empty where nobody has looked."""

    bucket: str
    key: str
    version_id: str
    etag: str
    sequencer: str
    size: int | None
    facts: dict[str, Any]


class MaskPhoto(TypedDict):
    """The uploader's own mask."""

    bucket: str
    key: str
    version_id: str
    etag: str
    sequencer: str
    size: int | None


class AdobeJobDescribed(TypedDict):
    """One paid request to Adobe: ``mask``, ``fill-1`` …"""

    ask: str
    run: Annotated[int, Means("The run that has last sent it", minimum=1)]
    route: str
    job_id: str | None
    posts: Annotated[int, Means("POSTs that may have made a job; more than one may have been paid twice")]
    refusals: Annotated[int, Means("POSTs that made none")]
    polls: int
    submitted_at: float | None
    finished_at: float | None


class RequestCounts(TypedDict):
    """How many requests were sent to Adobe."""

    posts: int
    polls: int


class ManifestPlace(TypedDict):
    """Where the manifest lies in the results bucket."""

    key: str


class MaskUsed(TypedDict):
    """One mask that was chosen; ``box`` is left, top, width, height."""

    label: str
    score: float
    box: list[float] | None
    background: bool


class Review(TypedDict):
    """A mask that waits for approval, in the results bucket."""

    mask: Annotated[Described, Means("White is what will be removed; as large as the photo, and upright")]
    preview: Annotated[Described, Means("The photo with what will be filled in red")]
    expires_at: Annotated[float, Means("Until then it can be approved; later it ends as ``ReviewExpiredError``")]


class Statement(TypedDict):
    """How a photo ended: the manifest, and the detail of ``Photo Cleaned``, ``Nothing To Remove``, ``Mask Ready``,
    ``Photo Failed``.
    """

    schema: Literal["cleanplate/1"]
    outcome: Literal["cleaned", "nothing_to_remove", "mask_ready", "failed"]
    job_id: str
    run: Annotated[int, Means("1, and one more for each retry", minimum=1)]
    request_id: Annotated[str, Means("The id of the event that asked for this run; empty for an upload")]
    correlation_id: Annotated[str, Means("What the caller sent along; empty where nothing was")]
    photo: PhotoDescribed
    own_mask: MaskPhoto | None
    options: UsedOptions
    manifest: ManifestPlace
    adobe_jobs: list[AdobeJobDescribed]
    requests: RequestCounts
    possible_duplicate: Annotated[bool, Means("A POST was repeated because its answer was lost")]
    claimed_at: float
    ended_at: float
    timings: Annotated[dict[str, float], Means("Seconds: the whole, and each request from its POST to its answer")]
    result: Described | None
    notes: NotRequired[Annotated[list[str], Means("What could not be kept as it was, in sentences")]]
    masks: NotRequired[list[MaskUsed]]
    labels_seen: NotRequired[list[str]]
    hole: NotRequired[Annotated[str | None, Means("The filled area, a picture in the work bucket")]]
    fill: NotRequired[dict[str, Any] | None]
    review: NotRequired[Annotated[Review, Means("Only of ``mask_ready``: what is to be approved")]]
    reason: NotRequired[Annotated[str, Means("The error's name; docs/failures.md lists them")]]
    message: NotRequired[str]
    what_to_do: NotRequired[str]
    retryable: NotRequired[bool]


class FolderDone(TypedDict):
    """The detail of ``Folder Done``: the last open photo of a folder has ended."""

    schema: Literal["cleanplate/1"]
    bucket: str
    folder: str | None
    photos: int
    cleaned: int
    nothing_to_remove: int
    mask_ready: Annotated[int, Means("Photos whose mask waits for approval")]
    failed: int
    failed_for: Annotated[dict[str, int], Means("Failed photos by reason")]
    begun_at: float
    ended_at: float


class RequestRefused(TypedDict):
    """The detail of ``Request Refused``: a ``Photo Cleaning Requested`` that cannot be read; nothing was done."""

    schema: Literal["cleanplate/1"]
    request_id: str
    correlation_id: str
    reason: str
    message: str
    what_to_do: str
    request: Annotated[Any, Means("The refused request's detail, as it came")]
