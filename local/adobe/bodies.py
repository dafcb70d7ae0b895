"""The request bodies of every route: what must be in them, and what was asked for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local.adobe.answers import Problem


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A valid request: where the pictures are, and how the route is to treat them."""

    image: str
    masks: tuple[str, ...] = ()
    colour_decontamination: float = 0.0
    mode: str = "cutout"
    media_type: str = ""
    trim: bool = False
    background: tuple[int, int, int, float] | None = None
    output: str = ""
    output_storage: str = "external"
    soft: bool = True
    size: tuple[int, int] = (0, 0)
    prompt: str = ""

    @property
    def links(self) -> tuple[str, ...]:
        """Return every link that the service will read."""
        return (self.image, *self.masks)


class InvalidBodyError(Exception):
    """The body breaks the route's schema in these ways."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{item.where} {item.reason}" for item in problems))
        self.problems = problems


class _Reader:
    """Reads values out of a JSON body and collects what is wrong with it."""

    def __init__(self, body: Any) -> None:
        self.body = body
        self.problems: list[Problem] = []
        if not isinstance(body, dict):
            raise InvalidBodyError([Problem("", "type", "should be object")])

    def add_problem(self, where: str, keyword: str, reason: str, allowed: str = "") -> None:
        self.problems.append(Problem(where, keyword, reason, allowed))

    def get(self, where: str) -> Any:
        """Return the value at a dotted path such as ``.image.source.url``; None where there is none."""
        value: Any = self.body
        for name in where.strip(".").split("."):
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    def text(self, where: str) -> str:
        """Return a string that must be there."""
        value = self.get(where)
        if value is None:
            self.add_problem(where, "required", "is a required property")
        elif not isinstance(value, str) or not value:
            self.add_problem(where, "type", "should be a string that is not empty")
        else:
            return value
        return ""

    def choice(self, where: str, allowed: tuple[str, ...], default: str) -> str:
        """Return one of ``allowed``; ``default`` where nothing is said."""
        value = self.get(where)
        if value is None:
            return default
        if value not in allowed:
            self.add_problem(where, "enum", "should be equal to one of the allowed values", ", ".join(allowed))
            return default
        return str(value)

    def flag(self, where: str) -> bool:
        """Return a boolean that may be absent."""
        value = self.get(where)
        if value is not None and not isinstance(value, bool):
            self.add_problem(where, "type", "should be boolean", "true, false")
        return value is True

    def number(self, where: str, low: float, high: float, default: float | None) -> float:
        """Return a number from ``low`` to ``high``; without a ``default`` it is required."""
        value = self.get(where)
        if value is None:
            if default is None:
                self.add_problem(where, "required", "is a required property")
            return default or 0.0
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            self.add_problem(where, "type", f"should be a number from {low:g} to {high:g}")
            return default or 0.0
        return float(value)

    def done(self) -> None:
        if self.problems:
            raise InvalidBodyError(self.problems)


def mask_objects(body: Any) -> JobRequest:
    """Read ``{"image":{"source":{"url":…}}}``"""
    read = _Reader(body)
    request = JobRequest(image=read.text(".image.source.url"))
    read.done()
    return request


def fill_masked_areas(body: Any) -> JobRequest:
    """Read ``{"image":X,"masks":[X,…]}``. Adobe states no minimum: none at all is refused here, as nothing could be filled."""
    read = _Reader(body)
    image = read.text(".image.source.url")
    given = read.get(".masks")
    masks: list[str] = []
    if given is None:
        read.add_problem(".masks", "required", "is a required property")
    elif not isinstance(given, list):
        read.add_problem(".masks", "type", "should be array")
    elif not given:
        read.add_problem(".masks", "minItems", "should NOT have fewer than 1 items")
    else:
        for number, item in enumerate(given):
            source = item.get("source") if isinstance(item, dict) else None
            url = source.get("url") if isinstance(source, dict) else None
            if isinstance(url, str) and url:
                masks.append(url)
            else:
                read.add_problem(f".masks[{number}].source.url", "required", "is a required property")
    read.done()
    return JobRequest(image=image, masks=tuple(masks))


REMOVE_BACKGROUND_OUTPUTS = ("image/jpeg", "image/png", "image/webp", "image/vnd.adobe.photoshop")


def remove_background(body: Any) -> JobRequest:
    """Read ``{"image":X, "mode"?, "output"?:{"mediaType"}, "trim"?, "colorDecontamination"?, "backgroundColor"?}``"""
    read = _Reader(body)
    background = None
    if read.get(".backgroundColor") is not None:
        red, green, blue = (
            int(read.number(f".backgroundColor.{name}", 0, 255, None)) for name in ("red", "green", "blue")
        )
        background = (red, green, blue, read.number(".backgroundColor.alpha", 0, 1, None))
    request = JobRequest(
        image=read.text(".image.source.url"),
        mode=read.choice(".mode", ("cutout", "mask", "psd"), "cutout"),
        media_type=read.choice(".output.mediaType", REMOVE_BACKGROUND_OUTPUTS, ""),
        trim=read.flag(".trim"),
        colour_decontamination=read.number(".colorDecontamination", 0, 1, 1.0),
        background=background,
    )
    read.done()
    return request


STORAGES = ("external", "azure", "dropbox")


def create_mask(body: Any) -> JobRequest:
    """Read ``/sensei/mask``: ``{"input":{"storage","href"},"output":{"storage","href","mask"?:{"format"}},"options"?}``"""
    read = _Reader(body)
    found = {}
    for side in ("input", "output"):
        read.text(f".{side}.storage")
        read.choice(f".{side}.storage", STORAGES, "external")
        href = found[side] = read.text(f".{side}.href")
        if href and read.get(f".{side}.storage") == "external" and not href.startswith(("https://", "http://")):
            read.add_problem(f".{side}.href", "pattern", 'should match pattern "^https://"')
    if read.get(".output.mask") is not None:
        read.text(".output.mask.format")
    if read.get(".output.overwrite") is not None:
        read.flag(".output.overwrite")
    soft = read.choice(".output.mask.format", ("soft", "binary"), "soft") == "soft"
    read.choice(".output.color.space", ("rgb", "rgba"), "rgb")
    read.choice(".options.optimize", ("performance", "batch"), "performance")
    storage = read.choice(".output.storage", STORAGES, "external")
    read.done()
    return JobRequest(image=found["input"], output=found["output"], output_storage=storage, soft=soft)


MAX_PROMPT = 1024
MAX_SIDE = 4096  # of the specification; the guide says 2688


def firefly_fill(body: Any) -> JobRequest:
    """Read ``{"image":X,"mask":X,"size"?:{"width","height"},"numVariations"?:1..4,"prompt"?:str}``"""
    read = _Reader(body)
    image, mask = read.text(".image.source.url"), read.text(".mask.source.url")
    size = (0, 0)
    if read.get(".size") is not None:
        width, height = (int(read.number(f".size.{name}", 1, MAX_SIDE, None)) for name in ("width", "height"))
        size = (width, height)
    read.number(".numVariations", 1, 4, 1)
    prompt = ""
    if read.get(".prompt") is not None:
        prompt = read.text(".prompt")
        if len(prompt) > MAX_PROMPT:
            read.add_problem(".prompt", "maxLength", f"should NOT be longer than {MAX_PROMPT} characters")
    read.done()
    return JobRequest(image=image, masks=(mask,), size=size, prompt=prompt)
