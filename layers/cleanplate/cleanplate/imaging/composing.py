"""Putting the fill back: only the hole of the original changes, in the original's own orientation and colours."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from cleanplate.errors import FillUnusableError
from cleanplate.imaging.belongings import belongings_of
from cleanplate.imaging.canvas import PixelCanvas
from cleanplate.imaging.colour import on_white, to_srgb
from cleanplate.imaging.facts import PhotoFacts, reopen
from cleanplate.imaging.filling import FillPlan
from cleanplate.imaging.inventory import differences, inventory_of_jpeg, take_inventory
from cleanplate.imaging.jpeg_blocks import BlockCanvas, BlocksUnavailableError, JpegBlocks
from cleanplate.imaging.jpeg_writing import parts_for_result, write_jpeg_around
from cleanplate.imaging.orientation import apply_orientation
from cleanplate.imaging.painting import Painter
from cleanplate.imaging.profiles import HIGH_RANGE
from cleanplate.imaging.reading import DEEP_GREY, decode, eight_bit, quiet
from cleanplate.imaging.writing import MEDIA_TYPES, extension_for, target_format, writable_modes, write
from cleanplate.models import Options

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Composed:
    """The result: ``content`` is an open temporary file at its start, which disappears when it is closed.

    ``extension`` is empty where the format is the photo's, else what is added to its key. ``width`` and ``height``
    are those of the upright result, ``size`` is in bytes.
    """

    content: BinaryIO
    media_type: str
    extension: str
    width: int
    height: int
    size: int
    notes: tuple[str, ...]


@quiet
def compose(
    open_photo: Callable[[], BinaryIO],
    facts: PhotoFacts,
    plan: FillPlan,
    fills: Sequence[bytes],
    *,
    options: Options,
    mark_as_edited: bool,
) -> Composed:
    """Put ``fills``, in the order of the plan's windows, into the original and encode the result.

    A fill may have any format and mode, but must have the sent size. Raises ``FillUnusableError``,
    ``TruncatedPhotoError``, ``PhotoReplacedError``.
    """
    if len(fills) != len(plan.windows):
        raise FillUnusableError(f"{len(fills)} fills came back for {len(plan.windows)} windows")
    notes = list(facts.notes)
    target = target_format(facts, options.output_format, notes)
    content = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it
    try:
        with Painter(facts, plan, fills) as painter, open_photo() as file:
            if not (
                target == facts.format == "jpeg"
                and _written_block_by_block(file, facts, painter, content, notes, mark_as_edited=mark_as_edited)
            ):
                _write_whole(file, facts, painter, content, target, notes, mark_as_edited=mark_as_edited)
        size = content.seek(0, io.SEEK_END)
        content.seek(0)
    except BaseException:
        content.close()
        raise
    if target != facts.format:
        notes.append(f"The photo was {facts.format.upper()}; the result is {target.upper()}.")
    width, height = facts.upright_size
    unique = tuple(dict.fromkeys(notes))
    return Composed(content, MEDIA_TYPES[target], extension_for(facts, target), width, height, size, unique)


def _written_block_by_block(
    file: BinaryIO, facts: PhotoFacts, painter: Painter, content: BinaryIO, notes: list[str], *, mark_as_edited: bool
) -> bool:
    """Write the JPEG with every untouched block as it was. False, with a note, where that cannot be done."""
    image = reopen(file, facts)
    kept = belongings_of(image, facts, file)
    found = list(notes)
    parts = parts_for_result(kept, found, mark_as_edited=mark_as_edited)
    try:
        with JpegBlocks(file, content, painter.rows(), prologue=kept.parts.prologue, segments=parts.head) as blocks:
            painter.paint(BlockCanvas(blocks, image.mode), kept.icc)
            blocks.finish()
    except BlocksUnavailableError as error:
        content.seek(0)
        content.truncate()
        notes.append(f"The JPEG was encoded again as a whole, with its own tables: {error}.")
        return False
    content.seek(0, io.SEEK_END)
    content.write(parts.trailer)
    notes[:] = found + differences(kept.inventory, inventory_of_jpeg(parts))
    return True


def _write_whole(
    file: BinaryIO,
    facts: PhotoFacts,
    painter: Painter,
    content: BinaryIO,
    target: str,
    notes: list[str],
    *,
    mark_as_edited: bool,
) -> None:
    """Decode the photo, paint on its pixels, encode all of it as ``target``."""
    image = reopen(file, facts)
    decode(image)
    kept = belongings_of(image, facts, file)
    canvas = _canvas(image, target, notes)
    del image
    painter.paint(PixelCanvas(canvas), kept.icc)
    canvas, icc_fits = _in_mode(canvas, target, kept.icc, facts, notes)
    if not icc_fits:
        kept.forget_colours()
    turned = target != facts.format and facts.orientation != 1
    if turned:
        canvas = apply_orientation(canvas, facts.orientation)
    if target == facts.format == "jpeg":
        with tempfile.TemporaryFile() as body:
            notes += write(canvas, target, kept, body, turned=False, mark_as_edited=mark_as_edited)
            notes += write_jpeg_around(body, kept, content, mark_as_edited=mark_as_edited)
    else:
        notes += write(canvas, target, kept, content, turned=turned, mark_as_edited=mark_as_edited)
    notes += differences(kept.inventory, take_inventory(content, target))


def _canvas(image: Image.Image, target: str, notes: list[str]) -> Image.Image:
    """Return the picture to paint on: the decoded one itself where its mode allows it, so that nothing is held twice."""
    if image.mode not in DEEP_GREY:
        return eight_bit(image)
    if "I;16" in writable_modes(target):
        return image if image.mode == "I;16" else image.convert("I").convert("I;16")
    notes.append(f"The photo has 16 bits of grey; {target.upper()} has 8.")
    return eight_bit(image)


def _in_mode(
    canvas: Image.Image, target: str, icc: bytes, facts: PhotoFacts, notes: list[str]
) -> tuple[Image.Image, bool]:
    """Return ``canvas`` in a mode that ``target`` can hold, and whether the photo's profile still fits it."""
    if target == "jpeg" and canvas.mode in ("LA", "RGBA"):
        notes.append("JPEG has no transparency: what was transparent is white.")
        canvas = on_white(canvas)
    if facts.profile in HIGH_RANGE.values() and target not in ("png", "avif"):
        notes.append(
            f"{target.upper()} cannot hold the photo's range of light ({facts.profile.upper()}): it becomes sRGB."
        )
        return _in_srgb(canvas, icc), False
    if canvas.mode in writable_modes(target):
        return canvas, True
    if canvas.mode == "CMYK":
        notes.append(f"{target.upper()} cannot hold CMYK: the colours are converted to sRGB.")
        return to_srgb(canvas, icc), False
    # WebP knows colours only; a grey profile would no longer fit.
    if facts.profile in ("none", "unreadable"):
        return canvas.convert("RGBA" if canvas.mode == "LA" else "RGB"), True
    notes.append("WebP has no grey pixels: the colours are converted to sRGB.")
    return _in_srgb(canvas, icc), False


def _in_srgb(canvas: Image.Image, icc: bytes) -> Image.Image:
    """Return ``canvas`` as sRGB, with its alpha channel as it is."""
    if canvas.mode not in ("LA", "RGBA"):
        return to_srgb(canvas, icc)
    converted = to_srgb(canvas.convert(canvas.mode.removesuffix("A")), icc)
    converted.putalpha(canvas.getchannel("A"))
    return converted
