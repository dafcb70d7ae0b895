"""Photos of every format, mode, depth, orientation and profile with every oddity, and what must come of each.

The pictures are made by Pillow and libvips and spoilt by hand; results are read by libvips and ExifRead, not by us.
"""

from __future__ import annotations

import functools
import io
import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import exifread
import numpy as np
import pyvips
from PIL import Image, ImageFilter

from cleanplate.imaging.png import chunk
from local.demo.photographs import as_stored
from tests.unit.imaging.test_untouched import Walked, walk
from tests.unit.imaging.variants import WIDE, encoded, random_mask, scene

Levels = np.ndarray[Any, Any]

SIZE = (144, 96)
MODES = {
    "png": ("1", "L", "LA", "P", "RGB", "RGBA", "L16", "RGB16"),
    "tiff": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "L16", "RGB16"),
    "tiff-lzw": ("L", "RGB", "RGBA", "CMYK", "L16"),
    "webp": ("RGB", "RGBA"),
    "webp-lossy": ("RGB", "RGBA"),
    "jpeg": ("L", "RGB", "CMYK"),
    "jpeg-progressive": ("L", "RGB"),
    "avif": ("RGB", "RGBA"),
}
EXACT = {"png", "tiff", "tiff-lzw", "webp"}
PROFILES = ("none", "wide", "unreadable", "p3", "pq")
ODDITIES = (
    *("none", "pointer dangles", "pointer into the tags", "header turned", "count lies", "prefix doubled", "no prefix"),
    *("thumbnail", "64 kB", "unknown tags", "short ifd", "xmp disagrees", "photoshop padded"),
)
TEXT = "© Jörg".encode("cp1252")


@dataclass(frozen=True)
class Spec:
    """One file: what it is and what is odd about it."""

    format: str
    mode: str
    orientation: int
    profile: str
    oddity: str

    def __str__(self) -> str:
        return f"{self.format} {self.mode} {self.orientation} {self.profile}, {self.oddity}"


def specs() -> Iterator[Spec]:
    """Yield every combination that the format knows."""
    for name, modes in MODES.items():
        stating = {"png": ("p3", "pq"), "avif": ("p3", "pq")}.get(name, ())
        for mode, orientation, profile, oddity in itertools.product(modes, range(1, 9), PROFILES, ODDITIES):
            states = profile in stating and "L" not in mode and mode != "1"
            embeds = profile in ("none", "unreadable") or (profile == "wide" and mode in ("RGB", "RGBA", "P"))
            if (states or embeds) and not (name.startswith("tiff") and (orientation > 1 and oddity != "none")):
                yield Spec(name, mode, orientation, profile, oddity)


# --- pictures -------------------------------------------------------------------------------------------------------


@functools.cache
def picture(mode: str) -> Image.Image:
    """Return the upright picture, in a mode of Pillow's; 16 bits as their upper 8."""
    base = scene(*SIZE, "coffee")
    if mode in ("LA", "RGBA"):
        base = base.convert(mode.removesuffix("A"))
        base.putalpha(Image.linear_gradient("L").resize(SIZE))
        return base
    if mode == "P":
        return base.quantize(40)
    return base.convert(mode.removesuffix("16"))


def levels_of(mode: str) -> Levels:
    """Return the levels that a reader must find, rows by columns by channels."""
    image = picture(mode)
    if mode in ("P", "1"):
        image = image.convert("RGB" if mode == "P" else "L")
    levels = np.asarray(image)
    levels = levels if levels.ndim == 3 else levels[..., None]
    return deep(levels) if mode == "L16" else levels


def deep(levels: Levels) -> Levels:
    """Return levels of 16 bits of which the lower 8 say something too."""
    fine = np.random.default_rng(7).integers(0, 256, levels.shape, dtype=np.uint16)
    return levels.astype(np.uint16) * 256 + fine


def content_of(spec: Spec) -> bytes:
    """Return the file."""
    image = as_stored(picture(spec.mode), spec.orientation)
    block = exif_block(spec)
    icc = {"wide": WIDE, "unreadable": b"no profile at all" * 9}.get(spec.profile, b"")
    xmp = _xmp(spec)
    if spec.format.startswith("tiff"):
        return _tiff(spec, image, icc, xmp)
    if spec.format == "png":
        return _png(spec, image, block, icc, xmp)
    if spec.format.startswith("webp"):
        lossless = spec.format == "webp"
        data = encoded(image, "WEBP", lossless=lossless, exact=True, quality=90, icc_profile=icc, xmp=xmp)
        return _riff_with(data, b"EXIF", block)
    if spec.format == "avif":
        data = encoded(image, "AVIF", quality=90, icc_profile=icc, xmp=xmp, exif=_orientation_only(spec.orientation))
        points = {"p3": (12, 13), "pq": (9, 16)}.get(spec.profile)
        if points:
            at = data.index(b"nclx") + 4
            data = data[:at] + struct.pack(">HH", *points) + data[at + 4 :]
        return data
    data = encoded(image, "JPEG", quality=90, progressive="progressive" in spec.format, icc_profile=icc, xmp=xmp)
    extra = _segment(0xE1, block)
    if spec.oddity == "photoshop padded":
        extra += _segment(
            0xED, b"Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00\x0a\x1c\x02\x05\x00\x05Title" + bytes(9)
        )
    return data[:2] + extra + data[2:]


def _png(spec: Spec, image: Image.Image, block: bytes, icc: bytes, xmp: bytes) -> bytes:
    if spec.mode.endswith("16"):
        levels = deep(np.asarray(picture(spec.mode)))
        turned = levels if spec.orientation == 1 else _turned(levels, spec.orientation)
        data = _vips(turned, spec.mode).write_to_buffer(".png", keep="none")
    else:
        data = encoded(image, "PNG", icc_profile=icc)
    extra = [(b"eXIf", block.removeprefix(b"Exif\x00\x00"))]
    if xmp:
        extra.append((b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + xmp))
    if spec.profile in ("p3", "pq"):
        extra.append((b"cICP", bytes([12, 13, 0, 1] if spec.profile == "p3" else [9, 16, 0, 1])))
    return bytes(data[:33] + b"".join(chunk(name, value) for name, value in extra) + data[33:])


def _tiff(spec: Spec, image: Image.Image, icc: bytes, xmp: bytes) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = spec.orientation
    tags[0x010F] = "Kamera"
    if xmp:
        tags[700] = xmp
    if spec.oddity == "unknown tags":
        tags[65_000] = 7
    how = {"compression": "tiff_lzw"} if spec.format == "tiff-lzw" else {}
    if spec.mode == "L16":
        image = Image.fromarray(_turned(deep(np.asarray(picture(spec.mode))), spec.orientation))
    if spec.mode == "RGB16":
        return bytes(_vips(deep(np.asarray(picture("RGB16"))), spec.mode).write_to_buffer(".tif", keep="none"))
    return encoded(image, "TIFF", exif=tags, icc_profile=icc, **how)


def _vips(levels: Levels, mode: str) -> Any:
    interpretation = "grey16" if mode == "L16" else "rgb16"
    return pyvips.Image.new_from_array(np.ascontiguousarray(levels)).copy(interpretation=interpretation)


def _turned(levels: Levels, orientation: int) -> Levels:
    """Return ``levels`` as they lie in a file with this orientation."""
    if orientation in (5, 6, 7, 8):
        levels = levels.swapaxes(0, 1)
    if orientation in (3, 4, 6, 7):
        levels = levels[::-1]
    if orientation in (2, 3, 7, 8):
        levels = levels[:, ::-1]
    return np.ascontiguousarray(levels)


def _xmp(spec: Spec) -> bytes:
    turn = {"xmp disagrees": b'tiff:Orientation="3"'}.get(spec.oddity, b"")
    return b"<x:xmpmeta><rdf:RDF><rdf:Description " + turn + b"/></rdf:RDF></x:xmpmeta>" if turn else b""


def _segment(marker: int, data: bytes) -> bytes:
    """Return one or more segments of a JPEG; EXIF goes on in the next where it is too long for one."""
    head, step = (b"Exif\x00\x00", 65_000) if marker == 0xE1 else (b"", 65_533)
    body = data.removeprefix(head)
    pieces = [head + body[at : at + step] for at in range(0, max(1, len(body)), step)]
    return b"".join(bytes([0xFF, marker]) + (len(piece) + 2).to_bytes(2, "big") + piece for piece in pieces)


def _riff_with(data: bytes, name: bytes, content: bytes) -> bytes:
    """Return a WebP with one more chunk, in the extended form."""
    if data[12:16] != b"VP8X":
        with Image.open(io.BytesIO(data)) as image:
            size = b"".join((side - 1).to_bytes(3, "little") for side in image.size)
            alpha = 0x10 if image.mode == "RGBA" else 0
        data = data[:12] + b"VP8X" + struct.pack("<I", 10) + bytes([alpha, 0, 0, 0]) + size + data[12:]
    flags = bytes([data[20] | 0x08])
    data = data[:20] + flags + data[21:] + name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


# --- EXIF -----------------------------------------------------------------------------------------------------------


def _orientation_only(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def exif_block(spec: Spec) -> bytes:
    """Return an EXIF block with the spec's oddity: a maker, a text that is no UTF-8, a time, an orientation."""
    order = "<" if spec.orientation % 2 else ">"
    details = [(0x9003, 2, 20, b"2024:02:03 04:05:06\x00")]
    if spec.oddity == "64 kB":
        details += [(0x927C, 7, 70_000, bytes(70_000)), (0x9286, 7, 9_000, b"ASCII\x00\x00\x00" + b"a" * 8_992)]
    if spec.oddity == "unknown tags":
        details += [(0xFDE9, 3, 1, struct.pack(order + "HH", 5, 0))]
    first = [
        (0x010F, 2, 7, b"Kamera\x00"),
        (0x0112, 3, 1, struct.pack(order + "HH", spec.orientation, 0)),
        (0x8298, 2, len(TEXT) + 1, TEXT + b"\x00"),
        (0x8769, 4, 1, b""),
    ]
    at = 8 + 2 + 12 * len(first) + 4
    head, outside = _entries(first[:3], order, at)
    inner_at = at + len(outside)
    inner, inner_outside = _entries(details, order, inner_at + 2 + 12 * len(details) + 4)
    head += struct.pack(order + "HHII", 0x8769, 4, 1, inner_at)
    behind = struct.pack(order + "H", len(details)) + inner + bytes(4) + inner_outside
    pointer, tail = 0, b""
    end = inner_at + len(behind)
    if spec.oddity == "thumbnail":
        small = encoded(picture("RGB").resize((16, 12)), "JPEG")
        lists = [
            (0x0103, 3, 1, struct.pack(order + "HH", 6, 0)),
            (0x0201, 4, 1, struct.pack(order + "I", end + 42)),
            (0x0202, 4, 1, struct.pack(order + "I", len(small))),
        ]
        pointer, tail = end, struct.pack(order + "H", 3) + _entries(lists, order, 0)[0] + bytes(4) + small
    pointer = {"pointer dangles": 0xFFF0, "pointer into the tags": inner_at}.get(spec.oddity, pointer)
    count = 90 if spec.oddity == "count lies" else len(first)
    magic = {"<": b"II*\x00", ">": b"MM\x00*"}[order]
    if spec.oddity == "header turned":
        magic = {"<": b"II\x00*", ">": b"MM*\x00"}[order]
    block = (
        magic + struct.pack(order + "IH", 8, count) + head + struct.pack(order + "I", pointer) + outside + behind + tail
    )
    if spec.oddity == "short ifd":
        block = block[: inner_at + 2]
    prefix = {"prefix doubled": 2, "no prefix": 1 if spec.format.startswith("jpeg") else 0}.get(spec.oddity, 1)
    return b"Exif\x00\x00" * prefix + block


def _entries(entries: list[tuple[int, int, int, bytes]], order: str, at: int) -> tuple[bytes, bytes]:
    listed = outside = b""
    for tag, kind, count, value in entries:
        place = value
        if len(value) > 4:
            place = struct.pack(order + "I", at + len(outside))
            outside += value + bytes(len(value) % 2)
        listed += struct.pack(order + "HHI", tag, kind, count) + place
    return listed, outside


# --- what must come of it -------------------------------------------------------------------------------------------


def walked(spec: Spec) -> Walked:
    """Return the spec's file, cleaned."""
    return walk(content_of(spec), random_mask(SIZE, spec.orientation))


def faults(spec: Spec) -> list[str]:
    """Return what is wrong with the result of ``spec``: nothing, if all is well."""
    result = walked(spec)
    after = pyvips.Image.new_from_buffer(result.result, "")
    seen = after.autorot().numpy()
    seen = seen if seen.ndim == 3 else seen[..., None]
    expected = levels_of(spec.mode)
    wrong = []
    if seen.shape[:2] != expected.shape[:2]:
        return [f"it stands as {seen.shape[:2]}, not as {expected.shape[:2]}"]
    if spec.format in EXACT:
        wrong += _inexact(spec, seen, expected, result)
    elif spec.mode != "CMYK":
        away = np.abs(
            seen[..., :3].astype(int)
            - np.asarray(picture(spec.mode).convert("RGB" if seen.shape[2] > 2 else "L")).reshape(
                *expected.shape[:2], -1
            )[..., :3]
        )
        if away[result.hole == 0].mean() > 8:
            wrong.append(f"pixels outside the hole are {away[result.hole == 0].mean():.1f} levels off")
    if spec.format.startswith("jpeg"):
        wrong += _blocks_wrong(spec, result)
    return wrong + _tags_wrong(spec, after, result) + _colours_wrong(spec, after, result)


def _blocks_wrong(spec: Spec, result: Walked) -> list[str]:
    """Return a fault unless a JPEG is the same further away than a block of half colour resolution and smoothing."""
    before, after = (pyvips.Image.new_from_buffer(content, "").numpy() for content in (result.photo, result.result))
    near = Image.fromarray(_turned((result.hole > 0).astype(np.uint8) * 255, spec.orientation))
    far = np.asarray(near.filter(ImageFilter.MaxFilter(2 * 18 + 1))) == 0
    return [] if np.array_equal(before[far], after[far]) else ["blocks that the hole does not touch changed"]


def _inexact(spec: Spec, seen: Levels, expected: Levels, result: Walked) -> list[str]:
    if spec.mode == "1":
        seen = seen.astype(bool).astype(np.uint8) * 255
    if spec.mode == "RGB16":
        # 8 bits of 16: rounded or cut, and there is a note on it.
        away = np.abs(seen.astype(int) - expected)[result.hole == 0].max()
        return [] if away <= 1 and any("16 bits" in note for note in result.notes) else ["16 bits became others"]
    if seen.shape != expected.shape:
        return [f"it has {seen.shape[2]} channels, not {expected.shape[2]}"]
    return (
        []
        if np.array_equal(seen[result.hole == 0], expected[result.hole == 0])
        else ["pixels outside the hole changed"]
    )


def _tags_wrong(spec: Spec, after: Any, result: Walked) -> list[str]:
    if spec.format == "avif":
        return []
    if spec.format.startswith("tiff"):
        found = exifread.process_file(io.BytesIO(result.result), details=False)
        return [] if str(found.get("Image Make")) == "Kamera" or spec.mode == "RGB16" else ["the maker is gone"]
    block = bytes(after.get("exif-data")) if "exif-data" in after.get_fields() else b""
    found = exifread.process_file(io.BytesIO(block.removeprefix(b"Exif\x00\x00")), details=False)
    turn = {1: "Horizontal (normal)", 2: "Mirrored horizontal", 3: "Rotated 180", 4: "Mirrored vertical"}
    turn |= {5: "Mirrored horizontal then rotated 90 CCW", 6: "Rotated 90 CW"}
    turn |= {7: "Mirrored horizontal then rotated 90 CW", 8: "Rotated 90 CCW"}
    expected = {
        "Image Make": "Kamera",
        "Image Orientation": turn[spec.orientation],
        "EXIF DateTimeOriginal": "2024:02:03 04:05:06",
    }
    if spec.oddity == "short ifd":
        del expected["EXIF DateTimeOriginal"]
    wrong = [f"{name} is {found.get(name)}" for name, value in expected.items() if str(found.get(name)) != value]
    if TEXT not in block:
        wrong.append("a text changed")
    if b"\xff\xd8\xff" in block:
        wrong.append("the thumbnail is still there")
    return wrong


def _colours_wrong(spec: Spec, after: Any, result: Walked) -> list[str]:
    icc = bytes(after.get("icc-profile-data")) if "icc-profile-data" in after.get_fields() else b""
    if spec.profile == "wide" and icc != WIDE:
        return ["the profile is gone"]
    if spec.profile in ("p3", "pq"):
        points = (12, 13) if spec.profile == "p3" else (9, 16)
        written = struct.pack(">HH", *points) if spec.format == "avif" else bytes([*points, 0, 1])
        at = result.result.index(b"nclx" if spec.format == "avif" else b"cICP") + 4
        if result.result[at : at + 4] != written:
            return ["the colours are stated otherwise"]
    return []
