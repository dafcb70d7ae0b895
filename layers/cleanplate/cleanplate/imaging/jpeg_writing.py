"""A JPEG's result from its parts: the photo's own segments around the new picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from cleanplate.imaging.belongings import Belongings
from cleanplate.imaging.exif import fitted_exif
from cleanplate.imaging.jpeg_markers import (
    SEGMENT_BYTES,
    XMP_BYTES,
    XMP_HEAD,
    JpegParts,
    Segment,
    keeps_extension,
    replace_prologue,
    segments_for_result,
    split_body,
    trailer_for_result,
)
from cleanplate.imaging.metadata import divided_xmp, xmp_for_result


def parts_for_result(
    kept: Belongings, notes: list[str], *, mark_as_edited: bool, own: Sequence[Segment] = ()
) -> JpegParts:
    """Return the segments of the result and what follows its picture, from those of the photo.

    ``own`` are segments that an encoder has written: those that say what the components mean are taken. Sentences about
    what could not be kept go to ``notes``.
    """
    notes += kept.notes
    parts = replace_prologue(kept.parts, own)
    extension = keeps_extension(parts)
    xmp = xmp_for_result(kept.xmp, mark_as_edited=mark_as_edited, notes=notes, keep_extension=extension)
    long: list[bytes] = []
    if len(xmp) > XMP_BYTES and extension:
        xmp = xmp_for_result(kept.xmp, mark_as_edited=False, notes=notes, keep_extension=True)
    elif len(xmp) > XMP_BYTES:
        xmp, long = divided_xmp(
            xmp_for_result(kept.xmp, mark_as_edited=False, notes=[]),
            xmp_for_result(b"", mark_as_edited=mark_as_edited, notes=[]),
        )
    exif = kept.exif if parts.has_long_exif else fitted_exif(kept.exif, SEGMENT_BYTES, notes)
    segments = segments_for_result(
        parts, exif=exif, xmp=xmp, photoshop=kept.photoshop, extension=extension, notes=notes
    )
    at = next((at for at, each in enumerate(segments, 1) if each.starts_with(0xE1, XMP_HEAD)), len(segments))
    segments[at:at] = [Segment(0xE1, content) for content in long]
    return JpegParts(tuple(segments), trailer_for_result(parts.trailer, notes))


def write_jpeg_around(body: BinaryIO, kept: Belongings, file: BinaryIO, *, mark_as_edited: bool) -> list[str]:
    """Write the JPEG ``body`` into ``file`` with the segments and the trailer of the photo.

    Returns sentences about what could not be kept.
    """
    notes: list[str] = []
    own, start = split_body(body)
    parts = parts_for_result(kept, notes, mark_as_edited=mark_as_edited, own=own)
    file.write(b"\xff\xd8" + parts.head)
    body.seek(start)
    while piece := body.read(1 << 20):
        file.write(piece)
    file.write(parts.trailer)
    return notes
