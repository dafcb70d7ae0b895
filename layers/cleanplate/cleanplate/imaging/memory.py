"""How much memory each function needs for a photo, read from its header, so that what cannot be done costs nothing.

Numbers are bytes per pixel over what a function needs anyhow, measured with Pillow 13 and pillow-heif 1.4 on photos of
12, 48 and 150 megapixels whose hole is most of the picture (``python -m tests.memory``), and rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cleanplate.errors import PhotoTooLargeError

if TYPE_CHECKING:
    from cleanplate.imaging.facts import PhotoFacts

#: Memory of the functions that hold pixels, in MB; the template says the same.
MEMORY = {"request_mask": 1792, "fill_masked_areas": 2048, "save_result": 3008}

_MB = 1024 * 1024
#: What a function needs for itself and its libraries, and where it puts them together, for two fills. MB.
_BASE = {"request_mask": 160, "fill_masked_areas": 160, "save_result": 220}


@dataclass(frozen=True, slots=True)
class _Reading:
    """A decoder's peak, the picture included, opaque and with alpha; and what it keeps besides the picture."""

    opaque: float
    alpha: float
    kept: float = 0.0
    #: More, where it has 16 bits per channel inside.
    deep: float = 0.0
    #: True where the file itself is held as well.
    whole_file: bool = False


_READING = {
    "jpeg": _Reading(7.5, 7.5),
    "png": _Reading(7.5, 11.0),
    "tiff": _Reading(7.5, 11.0),
    "gif": _Reading(7.5, 11.0),
    "heic": _Reading(7.5, 11.5, kept=1.0, deep=4.0, whole_file=True),
    "avif": _Reading(11.0, 15.0, kept=4.0, deep=4.0, whole_file=True),
    "webp": _Reading(16.0, 19.0, kept=8.0, whole_file=True),
    "jpeg2000": _Reading(19.0, 24.0, kept=8.0, whole_file=True),
}
#: An encoder's need besides the picture. A JPEG that keeps its blocks takes less than one that is encoded as a whole.
_WRITING = {"jpeg": 7.0, "png": 2.5, "tiff": 3.0, "webp": 16.5, "avif": 23.0}

_HOLE = 1.0
#: Cutting out what is sent, and painting, where colours and alpha must be kept apart, or grey has 16 bits.
_CUTTING_ALPHA, _PAINTING_ALPHA, _DEEP_GREY = 16.0, 12.0, 11.5
#: Taking a mask's grey out of its colours, where it has alpha too.
_MASK_ALPHA = 4.0


def check_memory(facts: PhotoFacts, *, size: int, target: str) -> None:
    """Raise ``PhotoTooLargeError`` where a function's memory is too small for a photo of ``size`` bytes.

    ``target`` is the format of its result. The message says what helps.
    """
    per_pixel, fixed = _per_pixel(facts, target), _fixed(facts, size, target)
    pixels = facts.width * facts.height
    most = {name: max(0.0, MEMORY[name] - fixed[name]) * _MB / per_pixel[name] for name in MEMORY}
    name = min(most, key=lambda each: most[each])
    if pixels <= most[name]:
        return
    helps = [f"make it smaller than {most[name] / 1e6:.0f} megapixels"]
    if facts.format != "jpeg":
        helps.append("save it as JPEG")
    if target != facts.format and _fits(facts, size):
        helps.append("ask for output_format=same")
    raise PhotoTooLargeError(
        f"{facts.width} x {facts.height} pixels of {facts.format.upper()}{' with alpha' if facts.has_alpha else ''} "
        f"need about {needs(facts, size=size, target=target)[name]:.0f} MB of memory, and {name} has {MEMORY[name]}: "
        + ", or ".join(helps)
    )


def _fits(facts: PhotoFacts, size: int) -> bool:
    """Return whether the photo could be cleaned if its result had its own format."""
    own = facts.format
    return own in _WRITING and all(need <= MEMORY[name] for name, need in needs(facts, size=size, target=own).items())


def check_mask_memory(picture_format: str, *, alpha: bool, pixels: int) -> None:
    """Raise ``PhotoTooLargeError`` where the memory is too small for an uploader's mask of so many pixels."""
    reading = _READING[picture_format]
    per_pixel = reading.alpha + reading.kept + _MASK_ALPHA if alpha else reading.opaque
    need = _BASE["request_mask"] + per_pixel * pixels / _MB
    if need > MEMORY["request_mask"]:
        raise PhotoTooLargeError(
            f"a mask of {pixels / 1e6:.0f} megapixels of {picture_format.upper()}{' with alpha' if alpha else ''} needs "
            f"about {need:.0f} MB of memory, and there are {MEMORY['request_mask']}: save it as a grey PNG without alpha"
        )


def needs(facts: PhotoFacts, *, size: int, target: str) -> dict[str, float]:
    """Return the most memory in MB that each function takes for a photo of ``size`` bytes, whatever its hole."""
    pixels, fixed = facts.width * facts.height, _fixed(facts, size, target)
    return {name: fixed[name] + need * pixels / _MB for name, need in _per_pixel(facts, target).items()}


def memory_to_read(facts: PhotoFacts, *, size: int) -> float:
    """Return the memory in MB that decoding a photo of ``size`` bytes takes, besides what a function needs anyhow."""
    reading = _READING[facts.format]
    held = 2 * size / _MB if reading.whole_file else 0.0
    return held + (reading.alpha if facts.has_alpha else reading.opaque) * facts.width * facts.height / _MB


def _fixed(facts: PhotoFacts, size: int, target: str) -> dict[str, float]:
    # Once as it is read and once as it is given to the library.
    held = 2 * size / _MB if _READING[facts.format].whole_file else 0.0
    written = 2 * size / _MB if target in ("webp", "avif") else 0.0
    return {name: base + held + (written if name == "save_result" else 0) for name, base in _BASE.items()}


def _per_pixel(facts: PhotoFacts, target: str) -> dict[str, float]:
    reading, mode = _READING[facts.format], facts.mode.partition(";")[0]
    deep_grey = mode == "I"
    decoding = reading.alpha if facts.has_alpha else reading.opaque
    if deep_grey:
        decoding = max(decoding, _DEEP_GREY)
    elif facts.mode.endswith(";16"):
        decoding += reading.deep
    picture = reading.kept + 4 + _HOLE
    cutting = picture + (_CUTTING_ALPHA if facts.has_alpha else 0)
    return {
        "request_mask": decoding,
        "fill_masked_areas": max(decoding + _HOLE, cutting),
        "save_result": max(decoding + _HOLE, picture + _making(facts, target)),
    }


def _making(facts: PhotoFacts, target: str) -> float:
    """Return what painting on the picture and writing it takes besides the picture itself."""
    mode = facts.mode.partition(";")[0]
    converting = 0.0
    if target != facts.format:
        converting += 4.0 if facts.orientation != 1 else 0.0
        # On white, where there is no alpha any more; or into other colours.
        converting += 5.0 if facts.has_alpha and target == "jpeg" else 0.0
        converting += 5.0 if mode == "CMYK" or facts.profile in ("pq", "hlg") else 0.0
    painting = _PAINTING_ALPHA if facts.has_alpha else _DEEP_GREY - 4 if mode == "I" else 0.0
    return max(painting, converting + _WRITING[target])
