"""Profiles that are odd but whole: colours are converted with them all the same."""

from __future__ import annotations

import io
import itertools
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from cleanplate.imaging.colour import converts_back, from_srgb, kind_of_profile, to_srgb
from tests.unit.imaging.test_untouched import walk
from tests.unit.imaging.variants import encoded, random_mask, scene

#: PCS XYZ in 16 bits: 1.0 is 0x8000.
_ONE = 0x8000


def _table(corners: list[tuple[int, ...]], inputs: int) -> bytes:
    """Return a table of two points a side (``mft2``, ICC.1:2022, 10.10)."""
    outputs = len(corners[0])
    head = b"mft2" + bytes(4) + bytes([inputs, outputs, 2, 0])
    # XYZ is scaled up first: what version 4 has no place for at this end of its own tables.
    scale = 135_936 if inputs == 3 else 65_536
    matrix = b"".join(struct.pack(">i", scale if at % 4 == 0 else 0) for at in range(9))
    ramp = struct.pack(">HH", 0, 65_535)
    cube = b"".join(struct.pack(f">{outputs}H", *levels) for levels in corners)
    return head + matrix + struct.pack(">HH", 2, 2) + ramp * inputs + cube + ramp * outputs


def printer() -> bytes:
    """Return a profile for CMYK by way of XYZ, as Ghostscript brings one: the more ink, the darker."""
    light = [round(_ONE * (4 - sum(inks)) / 4) for inks in itertools.product((0, 1), repeat=4)]
    to_xyz = _table([(round(0.964 * level), level, round(0.825 * level)) for level in light], 4)
    to_inks = _table([(0, 0, 0, 65_535 if sum(xyz) < 2 else 0) for xyz in itertools.product((0, 1), repeat=3)], 3)
    return _with_tables(b"prtr", b"CMYK", {b"A2B0": to_xyz, b"B2A0": to_inks})


def scanner() -> bytes:
    """Return a profile that tells which colours levels of RGB are, and not which levels a colour is."""
    light = [(red, green, blue) for red, green, blue in itertools.product((0, _ONE // 3), repeat=3)]
    to_xyz = _table([(red + green, red + green + blue, blue + green) for red, green, blue in light], 3)
    return _with_tables(b"scnr", b"RGB ", {b"A2B0": to_xyz})


def _with_tables(kind: bytes, space: bytes, tables: dict[bytes, bytes]) -> bytes:
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"inks\x00" + bytes(78),
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63_190, 65_536, 54_061),
        **tables,
    }
    at, entries, data = 132 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        entries += name + struct.pack(">II", at + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    body = struct.pack(">I", len(tags)) + entries + data
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), bytes(4), 0x04200000, kind, space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63_190, 65_536, 54_061)
    return head.ljust(128, b"\x00") + body


def test_pillow_itself_cannot_write_this_profile_again() -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(printer()))
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(srgb, profile, "RGB", "CMYK")
    with pytest.raises(OSError, match="profile size"):
        ImageCms.applyTransform(Image.new("RGB", (2, 2)), transform)


def test_a_profile_without_a_way_back_is_known() -> None:
    assert kind_of_profile(scanner(), "RGB") == "other"
    assert not converts_back(scanner(), "RGB")
    assert converts_back(printer(), "CMYK")


def test_colours_go_both_ways_through_it() -> None:
    assert kind_of_profile(printer(), "CMYK") == "other"
    inks = from_srgb(Image.merge("RGB", [Image.linear_gradient("L")] * 3), printer(), "CMYK")
    assert inks.mode == "CMYK"
    assert np.ptp(np.asarray(to_srgb(inks, printer()))) > 20


@pytest.mark.parametrize("picture_format", ["JPEG", "TIFF"])
def test_a_photo_with_it_is_cleaned(picture_format: str) -> None:
    photo = encoded(scene().convert("CMYK"), picture_format, icc_profile=printer())
    walked = walk(photo, random_mask((96, 72), 3))
    with Image.open(io.BytesIO(walked.result)) as image:
        assert image.info["icc_profile"] == printer()
    assert walked.notes == ()
