"""What to remove and how: read from where people put it, nearest first, and checked value by value.

Sidecar ``photo.jpg.json`` → object metadata → ``name=value`` folders → the folder's ``_cleanplate.json`` → the stack's
parameters. A value that is not accepted is an :class:`InvalidOptionsError` that names those that are; nothing falls back
silently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from difflib import get_close_matches
from email.errors import MessageError
from email.header import decode_header, make_header
from types import MappingProxyType
from typing import Any, get_args

from cleanplate.errors import (
    InvalidOptionsError,
    UnsupportedByRouteError,
)
from cleanplate.models import FillRoute, MaskFormat, MaskRoute, Options, OutputFormat

SIDECAR_SUFFIX = ".json"
OWN_MASK_SUFFIX = ".mask.png"
#: What holds for all photos of the folder that it lies in.
FOLDER_OPTIONS, FOLDER_MASK = "_cleanplate.json", "_cleanplate.mask.png"
MAX_SIDECAR_BYTES = 16_384
MAX_LABELS = 50
MAX_LABEL_LENGTH = 100
#: What Firefly's specification takes.
MAX_PROMPT_LENGTH = 1024
SUBJECT = "subject"
EVERYTHING = "everything"

_FOLDER_OPTION = r"^([A-Za-z][A-Za-z_-]*)=(.*)$"
_MANIFEST = rb'\s*\{\s*"schema"\s*:\s*"cleanplate/'
_SINGLE_MASK_ROUTES = {"remove-background", "create-mask"}


def _one_of(accepted: tuple[str, ...]) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:  # noqa: ANN401 - JSON may hold anything here
        word = str(value).strip().lower()
        if word not in accepted:
            raise InvalidOptionsError(f"The option {name} is {value!r}; accepted are {', '.join(accepted)}.")
        return word

    return read


def is_text(word: str) -> bool:
    """Return False if JSON's escapes made half a character (a lone surrogate), which no key, record or event can hold."""
    return not any("\ud800" <= letter <= "\udfff" for letter in word)


def _labels(name: str, value: Any) -> tuple[str, ...]:  # noqa: ANN401
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not all(isinstance(label, str) for label in given):
        raise InvalidOptionsError(f"The option {name} must be words such as 'dog,person', 'subject' or 'everything'.")
    labels = tuple(dict.fromkeys(label.strip().casefold() for label in given if label.strip()))
    if not all(is_text(label) for label in labels):
        raise InvalidOptionsError(f"The option {name} has a label with half a character (a lone surrogate).")
    if not labels:
        raise InvalidOptionsError(f"The option {name} is empty; give labels, 'subject' or 'everything'.")
    if len(labels) > MAX_LABELS or max(map(len, labels)) > MAX_LABEL_LENGTH:
        raise InvalidOptionsError(f"The option {name} takes up to {MAX_LABELS} labels of {MAX_LABEL_LENGTH} letters.")
    if len(labels) > 1 and {SUBJECT, EVERYTHING} & set(labels):
        raise InvalidOptionsError(f"The option {name} takes 'subject' or 'everything' alone, not beside other labels.")
    return labels


def _score(name: str, value: Any) -> float:  # noqa: ANN401
    try:
        score = float(value)
    except (TypeError, ValueError, OverflowError):
        score = -1.0
    if isinstance(value, bool) or not 0 <= score <= 1:
        raise InvalidOptionsError(f"The option {name} is {value!r}; a number from 0 to 1 is needed.")
    # The record must return the number that the job id was made from, and cannot hold -0.0 or 1e-200.
    return round(score, 6) + 0.0


def _switch(name: str, value: Any) -> bool:  # noqa: ANN401
    word = str(value).strip().lower()
    if word not in {"true", "false"}:
        raise InvalidOptionsError(f"The option {name} is {value!r}; accepted are true, false.")
    return word == "true"


def _pixels(name: str, value: Any) -> int | None:  # noqa: ANN401
    word = str(value).strip().lower()
    if word == "auto":
        return None
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,4}", word) or int(word) > 1000:
        raise InvalidOptionsError(f"The option {name} is {value!r}; 'auto' or whole pixels from 0 to 1000 are needed.")
    return int(word)


def _prompt(name: str, value: Any) -> str:  # noqa: ANN401
    if not isinstance(value, str) or not is_text(value):
        raise InvalidOptionsError(f"The option {name} must be words, such as 'wet sand with small waves'.")
    words = " ".join(value.split())
    if len(words) > MAX_PROMPT_LENGTH or not words.isprintable():
        raise InvalidOptionsError(f"The option {name} takes up to {MAX_PROMPT_LENGTH} letters, none of them invisible.")
    return words


_READERS: Mapping[str, Callable[[str, Any], object]] = MappingProxyType(
    {
        "remove": _labels,
        "min_score": _score,
        "mask_route": _one_of(get_args(MaskRoute)),
        "invert": _switch,
        "grow": _pixels,
        "feather": _pixels,
        "output_format": _one_of(get_args(OutputFormat)),
        "mask_format": _one_of(get_args(MaskFormat)),
        "urgent": _switch,
        "fill_route": _one_of(get_args(FillRoute)),
        "prompt": _prompt,
        "review": _switch,
    }
)


def _canonical(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def parse_options(given: Mapping[str, Any], *, source: str) -> dict[str, object]:
    """Return the values of one source by option name; raise InvalidOptionsError, which names ``source``."""
    parsed: dict[str, object] = {}
    for name, value in given.items():
        reader = _READERS.get(_canonical(name))
        if reader is None:
            raise InvalidOptionsError(f"{source} has an unknown option {name!r}; accepted are {', '.join(_READERS)}.")
        parsed[_canonical(name)] = reader(name, value)
    return parsed


def options_in_folders(key: str) -> dict[str, str]:
    """Return the ``name=value`` folders of a decoded key; the deeper folder wins."""
    found: dict[str, str] = {}
    for folder in key.split("/")[:-1]:
        match = re.match(_FOLDER_OPTION, folder)
        if match:
            found[_canonical(match[1])] = match[2]
    return found


def options_in_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the options among an object's ``x-amz-meta-*`` entries (names without that prefix).

    Other metadata is ignored, unless a name is so near to an option that it must be a typo: InvalidOptionsError.
    """
    found: dict[str, str] = {}
    for name, value in metadata.items():
        canonical = _canonical(name)
        if canonical in _READERS:
            found[canonical] = _decoded(name, value)
        elif get_close_matches(canonical, _READERS, n=1, cutoff=0.85):
            raise InvalidOptionsError(
                f"The object's metadata has an unknown option {name!r}; accepted are {', '.join(_READERS)}."
            )
    return found


def _decoded(name: str, value: str) -> str:
    # S3 hands metadata that is not ASCII out as RFC 2047 has it: =?UTF-8?B?…?=
    try:
        return str(make_header(decode_header(value)))
    except (MessageError, LookupError, ValueError):
        raise InvalidOptionsError(f"The object's metadata {name} is {value!r}, which cannot be decoded.") from None


def is_manifest(content: bytes) -> bool:
    """Return whether a JSON text begins like a manifest of ours, which names its schema first, and not like a sidecar."""
    return re.match(_MANIFEST, content) is not None


def options_in_sidecar(content: bytes, *, what: str = "The sidecar") -> dict[str, Any]:
    """Return the options in a sidecar or a folder's file; none for a manifest that was copied back with its photo.

    Raises InvalidOptionsError, which calls the file ``what``, if it is no JSON object, or larger than 16 KiB.
    """
    if is_manifest(content):
        return {}
    if len(content) > MAX_SIDECAR_BYTES:
        raise InvalidOptionsError(f"{what} has more than {MAX_SIDECAR_BYTES} bytes.")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise InvalidOptionsError(f'{what} is not JSON; it should read like {{"remove": ["dog"]}}.') from None
    if not isinstance(found, dict):
        raise InvalidOptionsError(f'{what} must be one JSON object, such as {{"remove": ["dog"]}}.')
    return found


def resolve_options(
    *,
    defaults: Mapping[str, Any],
    folders: Mapping[str, Any],
    metadata: Mapping[str, Any],
    nearest: Mapping[str, Any],
    has_own_mask: bool,
    folder_file: Mapping[str, Any] = MappingProxyType({}),
    folder_file_key: str = FOLDER_OPTIONS,
) -> Options:
    """Return the options of a photo: five sources, nearest last, and what can only be checked together.

    Raise InvalidOptionsError, or UnsupportedByRouteError where the mask route cannot do what is asked.
    """
    merged: dict[str, Any] = {}
    for source, given in (
        ("A stack parameter", defaults),
        (folder_file_key, folder_file),
        ("A folder of the key", folders),
        ("The object's metadata", metadata),
        ("The sidecar or request", nearest),
    ):
        merged |= parse_options(given, source=source)
    options = Options(**merged)
    if options.prompt and options.fill_route != "firefly-fill":
        raise UnsupportedByRouteError(f"The route {options.fill_route} takes no prompt; fill_route=firefly-fill does.")
    if has_own_mask:
        return Options(**{**asdict(options), "mask_route": "own-mask"})
    if options.mask_route == "own-mask":
        raise InvalidOptionsError(
            "The option mask_route is own-mask, but no mask lies beside the photo; upload photo.mask.png first."
        )
    if options.mask_route in _SINGLE_MASK_ROUTES and options.remove not in {(SUBJECT,), (EVERYTHING,)}:
        raise UnsupportedByRouteError(
            f"The route {options.mask_route} makes one mask of the subject and knows no labels; "
            f"{', '.join(options.remove)} cannot be chosen with it."
        )
    return options


def options_to_dict(options: Options) -> dict[str, Any]:
    """Return the options as JSON values, in a fixed order of names."""
    return {field.name: getattr(options, field.name) for field in fields(options)} | {"remove": list(options.remove)}


def request_options(options: Options) -> dict[str, Any]:
    """Return every option as a request gives them, so that nothing that lies with the photo changes any."""
    return {name: "auto" if value is None else value for name, value in options_to_dict(options).items()}


def options_from_dict(given: Mapping[str, Any]) -> Options:
    """Return the options of a record, the inverse of :func:`options_to_dict`; raise InvalidOptionsError."""
    stored = {name: value for name, value in given.items() if value is not None}
    return Options(**parse_options(stored, source="The record"))  # type: ignore[arg-type]


def sidecar_key(key: str) -> str:
    """Return the key of a photo's sidecar."""
    return key + SIDECAR_SUFFIX


def folder_of(key: str) -> str:
    """Return the folder of a key with its last slash; empty for the top."""
    return key[: key.rfind("/") + 1]


def own_mask_keys(key: str) -> tuple[str, ...]:
    """Return where the uploader's own mask of a photo may lie, nearest first: ``photo.jpg.mask.png``, ``photo.mask.png``,
    and the folder's.
    """
    return tuple(dict.fromkeys([key + OWN_MASK_SUFFIX, own_mask_key(key), folder_of(key) + FOLDER_MASK]))


def own_mask_key(key: str) -> str:
    """Return the key of the uploader's own mask of a photo: ``photo.mask.png`` for ``photo.jpg``."""
    folder, slash, name = key.rpartition("/")
    stem = name.rpartition(".")[0] or name
    return f"{folder}{slash}{stem}{OWN_MASK_SUFFIX}"
