"""Megabytes made to be searched again and again: gone through once. Anything that is not would take hours here."""

from __future__ import annotations

import struct

import pytest

from cleanplate.imaging.exif import clean_exif, fitted_exif, with_orientation
from cleanplate.imaging.metadata import photoshop_without_thumbnail, xmp_for_result, xmp_upright

MEGABYTES = 2_000_000
EMPTY_BLOCK = b"II*\x00" + struct.pack("<IHI", 8, 0, 0)


@pytest.mark.parametrize(
    "again", [b"\xff\xd8\xff\xdb", b"\xff\xd8\xff\xdb\xff\xd9", b"\xff\xd8", b"Exif\x00\x00", b"\xff\xd8\xff\xe0\xff"]
)
def test_exif_full_of_starts_of_pictures(again: bytes) -> None:
    block = EMPTY_BLOCK + again * (MEGABYTES // len(again))
    cleaned = clean_exif(block, [])
    assert with_orientation(cleaned, 6)
    assert len(fitted_exif(cleaned, 65_533, [])) <= 65_533
    assert len(photoshop_without_thumbnail(block)) == len(block)


@pytest.mark.parametrize(
    "again",
    [
        *(b"<xmp:Thumbnails></xmp:Thumbnails>", b"<xmp:Thumbnails>", b"<Container:Directory>", b"<", b" "),
        *(
            b" hdrgm:a=",
            b' hdrgm:a ="',
            b"<hdrgm:a>",
            b"<hdrgm:a ",
            b" GCamera:MotionPhoto",
            b" xmpNote:HasExtendedXMP=",
        ),
        *(
            b' a:DigitalSourceType="',
            b"<a:DigitalSourceType>x",
            b" a",
            b"a",
            b"a.",
            b'tiff:Orientation="',
            b"</rdf:RDF>",
        ),
    ],
)
def test_xmp_full_of_beginnings(again: bytes) -> None:
    packet = b"<rdf:RDF>" + again * (MEGABYTES // len(again)) + b"</rdf:RDF>"
    assert b"</rdf:RDF>" in xmp_for_result(xmp_upright(packet), mark_as_edited=True, notes=[])
