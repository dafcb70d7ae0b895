"""XMP and IPTC: everything stays, except what would show or point at what is gone."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from cleanplate.imaging.metadata import (
    SOURCE_TYPE,
    photoshop_without_thumbnail,
    xmp_for_result,
    xmp_upright,
)
from tests.unit.imaging.variants import XMP, encoded, scene

THUMBNAIL = encoded(scene(64, 48), "JPEG")
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


def resource(number: int, payload: bytes, name: bytes = b"") -> bytes:
    title = bytes([len(name)]) + name
    title += bytes(len(title) % 2)
    return (
        b"8BIM"
        + number.to_bytes(2, "big")
        + title
        + len(payload).to_bytes(4, "big")
        + payload
        + bytes(len(payload) % 2)
    )


def test_iptc_stays_and_photoshops_thumbnail_goes() -> None:
    caption = resource(1028, b"\x1c\x02\x78\x00\x07caption")
    path = resource(2000, b"a path", name=b"Path 1")
    assert photoshop_without_thumbnail(caption + resource(1036, THUMBNAIL) + path) == caption + path


def test_what_is_no_resource_is_passed_on_without_its_pictures() -> None:
    caption = resource(1028, b"\x1c\x02\x78\x00\x07caption")
    other = b"8B64" + caption[4:]
    padding = bytes(14)
    assert photoshop_without_thumbnail(other + resource(1036, THUMBNAIL) + padding) == other + padding
    assert photoshop_without_thumbnail(caption + b"something else") == caption + b"something else"
    assert b"\xff\xd8\xff" not in photoshop_without_thumbnail(b"an unknown form" + THUMBNAIL)
    assert photoshop_without_thumbnail(caption[:-1]) == caption[:-1]


def test_the_orientation_in_xmp_follows_pixels_that_were_turned() -> None:
    for before in (
        b'<a tiff:Orientation="6" b="6"/>',
        b"<tiff:Orientation>8</tiff:Orientation>",
        b"tiff:Orientation = '3'",
    ):
        assert re.sub(rb"[2-8](?![0-9]*\")", b"1", before.replace(b'"6" b', b'"1" b')) == xmp_upright(before)
    assert xmp_upright(XMP) == XMP


# ----------------------------------------------------------------------------------------------------------------------


def source_types(packet: bytes) -> list[str]:
    """Return every digital source type that an RDF reader finds, attribute or element."""
    root = ET.fromstring(packet[packet.index(b"<x:xmpmeta") : packet.rindex(b"</x:xmpmeta>") + 12])
    found = []
    for node in root.iter():
        found += [value for key, value in node.attrib.items() if key == IPTC]
        if node.tag == IPTC:
            found.append(
                (node.text or "") + node.attrib.get("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}resource", "")
            )
    return found


def packet(attributes: str = "", children: str = "") -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" '
        'xmlns:Container="http://ns.google.com/photos/1.0/container/" xmlns:Item="http://ns.google.com/photos/1.0/item/" '
        'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" '
        'xmlns:ext="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        f'dc:source="München &amp; more" {attributes}>{children}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


OLD = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


@pytest.mark.parametrize(
    "before",
    [
        b"",
        XMP,
        packet(),
        packet(f'ext:DigitalSourceType="{OLD}"'),
        packet("", f"<ext:DigitalSourceType>{OLD}</ext:DigitalSourceType>"),
        packet("", f'<ext:DigitalSourceType rdf:resource="{OLD}"/>'),
        XMP + bytes(200),
        b"not XMP at all",
    ],
)
def test_the_result_says_once_that_it_was_edited(before: bytes) -> None:
    after = xmp_for_result(before, mark_as_edited=True, notes=[])
    assert source_types(after) == [SOURCE_TYPE]
    if b"dc:source" in before:
        assert b"dc:source" in after


def test_a_picture_that_is_all_generated_keeps_saying_so() -> None:
    stronger = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    before = packet(f'ext:DigitalSourceType="{stronger}"')
    assert xmp_for_result(before, mark_as_edited=True, notes=[]) == before


def test_without_the_mark_a_packet_is_passed_on_byte_for_byte() -> None:
    assert xmp_for_result(packet(), mark_as_edited=False, notes=[]) == packet()
    assert xmp_for_result(b"", mark_as_edited=False, notes=[]) == b""


def test_what_points_at_gain_maps_and_films_goes_with_a_note() -> None:
    before = packet(
        'hdrgm:Version="1.0" hdrgm:GainMapMax="2.5" GCamera:MotionPhoto="1" GCamera:MicroVideoOffset="999" '
        'xmpNote:HasExtendedXMP="0123456789ABCDEF"',
        '<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap"/></rdf:li>'
        "</rdf:Seq></Container:Directory><hdrgm:HDRCapacityMax>2</hdrgm:HDRCapacityMax>",
    )
    notes: list[str] = []
    after = xmp_for_result(before, mark_as_edited=True, notes=notes)
    for gone in (b"hdrgm:Version", b"GainMap", b"MotionPhoto", b"MicroVideo", b"HasExtendedXMP", b"HDRCapacityMax"):
        assert gone not in after
    assert "München".encode() in after
    assert source_types(after) == [SOURCE_TYPE]
    assert len(notes) == 1


def test_an_absurd_packet_is_left_out() -> None:
    notes: list[str] = []
    after = xmp_for_result(b"<rdf:RDF>" + b"<a:DigitalSourceType>" * 300_000, mark_as_edited=True, notes=notes)
    assert source_types(after) == [SOURCE_TYPE]
    assert notes
