"""A JPEG's result from its parts: the photo's own segments around the new picture."""

from __future__ import annotations

from typing import BinaryIO

from cleanplate.imaging.belongings import Belongings
from cleanplate.imaging.exif import fitted_exif
from cleanplate.imaging.jpeg_markers import (
    SEGMENT_BYTES,
    XMP_BYTES,
    JpegParts,
    keeps_extension,
    replace_prologue,
    segments_for_result,
    split_body,
    trailer_for_result,
)
from cleanplate.imaging.metadata import xmp_for_result


def write_jpeg_around(
    body: BinaryIO, parts: JpegParts, kept: Belongings, file: BinaryIO, *, mark_as_edited: bool
) -> list[str]:
    """Write the JPEG ``body`` into ``file`` with the segments and the trailer of the photo that ``parts`` are of.

    Of the body's own segments those that say what its components mean are taken. Returns sentences about what could
    not be kept.
    """
    notes = list(kept.notes)
    extension = keeps_extension(parts)
    xmp = xmp_for_result(kept.xmp, mark_as_edited=mark_as_edited, notes=notes, keep_extension=extension)
    if len(xmp) > XMP_BYTES:
        xmp = xmp_for_result(b"", mark_as_edited=mark_as_edited, notes=notes)
        notes.append("The XMP data is too long for a JPEG; it is left out.")
    exif = kept.exif if parts.has_long_exif else fitted_exif(kept.exif, SEGMENT_BYTES, notes)
    own, start = split_body(body)
    segments = segments_for_result(
        replace_prologue(parts, own), exif=exif, xmp=xmp, photoshop=kept.photoshop, extension=extension, notes=notes
    )
    file.write(b"\xff\xd8" + b"".join(segment.to_bytes() for segment in segments))
    body.seek(start)
    while piece := body.read(1 << 20):
        file.write(piece)
    file.write(trailer_for_result(parts.trailer, notes))
    return notes
