"""EXIF, XMP and IPTC: everything stays, except what would show or point at what is gone."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from cleanplate.imaging.metadata import (
    SOURCE_TYPE,
    exif_upright,
    exif_without_previews,
    photoshop_without_thumbnail,
    xmp_for_result,
)
from tests.unit.imaging.variants import XMP, encoded, exif, scene

THUMBNAIL = encoded(scene(64, 48), "JPEG")
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


def tags(content: bytes) -> dict[int, object]:
    read = Image.Exif()
    read.load(content)
    found: dict[int, object] = {**read, **read.get_ifd(0x8769)}
    found.pop(0x8769, None)
    return found


def test_the_thumbnail_goes_and_every_other_tag_stays() -> None:
    before = exif(6, thumbnail=THUMBNAIL)
    after = exif_without_previews(before)
    assert b"\xff\xd8\xff" in before
    assert b"\xff\xd8\xff" not in after
    assert tags(after) == tags(before)
    assert len(after) < len(before) - len(THUMBNAIL) + 2
    read = Image.Exif()
    read.load(after)
    assert read.get_ifd(1) == {}


def test_a_preview_in_the_makers_note_goes_and_the_note_keeps_its_place() -> None:
    note = b"MAKER\x00" + bytes(range(256)) + THUMBNAIL + b"the end of the note"
    data = Image.Exif()
    data[0x010F] = "Kamera"
    data.get_ifd(0x8769).update({0x927C: note, 0x829A: TiffImagePlugin.IFDRational(1, 60)})
    before = data.tobytes()
    after = exif_without_previews(before)
    assert len(after) == len(before)
    assert THUMBNAIL[:40] not in after
    assert bytes(range(256)) in after
    assert after.index(b"the end of the note") == before.index(b"the end of the note")


def test_exif_without_a_thumbnail_is_not_changed_at_all() -> None:
    assert exif_without_previews(exif(3)) == exif(3)


@pytest.mark.parametrize("order", ["<", ">"])
def test_pixels_that_were_turned_say_so(order: str) -> None:
    content = TiffImagePlugin.ImageFileDirectory_v2(
        b"II*\x00\x00\x00\x00\x00" if order == "<" else b"MM\x00*\x00\x00\x00\x00"
    )
    content[0x0112] = 6
    content[0x010F] = "Kamera"
    header = b"II*\x00\x08\x00\x00\x00" if order == "<" else b"MM\x00*\x00\x00\x00\x08"
    whole = b"Exif\x00\x00" + header + content.tobytes(8)
    assert tags(whole)[0x0112] == 6
    assert tags(exif_upright(whole)) == {0x0112: 1, 0x010F: "Kamera"}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_broken_exif_is_refused_or_cleared_but_never_crashes(data: st.DataObject) -> None:
    content = bytearray(exif(6, thumbnail=THUMBNAIL))
    for _ in range(data.draw(st.integers(0, 5))):
        content[data.draw(st.integers(6, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(6, len(content)))]
    exif_upright(bytes(content))
    with contextlib.suppress(ValueError):
        exif_without_previews(bytes(content))


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
    with pytest.raises(ValueError, match="resource"):
        photoshop_without_thumbnail(b"something else entirely")


# ----------------------------------------------------------------------------------------------------------------------


def source_types(packet: bytes) -> list[str]:
    """Every digital source type that an RDF reader finds, attribute or element."""
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
