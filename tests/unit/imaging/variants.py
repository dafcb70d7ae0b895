"""One small photograph in every format and manner that Cleanplate takes, in all eight orientations, and how to compare."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, Literal

import numpy as np
import pillow_heif
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageFilter, ImageOps, PngImagePlugin, TiffImagePlugin

from cleanplate.imaging import FillPlan
from cleanplate.imaging.exif import read_exif
from cleanplate.imaging.ifd import Directory
from cleanplate.imaging.orientation import apply_orientation, stored
from cleanplate.imaging.png import chunk
from cleanplate.imaging.tiff import add_tags
from local.demo.photographs import as_stored, photograph

# Tests write and read HEIC by Pillow themselves; the product takes it up with the first HEIC that it meets.
pillow_heif.register_heif_opener(thumbnails=False)

ORIENTATION, MAKE, DESCRIPTION, COPYRIGHT = 0x0112, 0x010F, 0x010E, 0x8298
EXIF_IFD, EXPOSURE, TAKEN = 0x8769, 0x829A, 0x9003
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="from the original"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def wide_gamut() -> bytes:
    """Return a profile that is not sRGB: sRGB with its red primary moved outwards."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {
        bytes(profile[at : at + 4]): int.from_bytes(profile[at + 4 : at + 8], "big")
        for at in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12)
    }
    # X, Y and Z of the red primary are s15Fixed16 behind 8 bytes of tag head.
    at = tags[b"rXYZ"] + 8
    profile[at : at + 4] = round(0.515 * 65_536).to_bytes(4, "big")
    return bytes(profile)


WIDE = wide_gamut()


def exif(orientation: int, *, thumbnail: bytes = b"") -> bytes:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    tags[MAKE] = "Kamera"
    tags[DESCRIPTION] = "What the photo shows"
    tags[COPYRIGHT] = "Somebody"
    tags.get_ifd(EXIF_IFD).update({EXPOSURE: TiffImagePlugin.IFDRational(1, 125), TAKEN: "2024:02:03 04:05:06"})
    content = tags.tobytes()
    return with_thumbnail(content, thumbnail) if thumbnail else content


def with_thumbnail(content: bytes, thumbnail: bytes) -> bytes:
    """Return ``content`` with a second directory that points at ``thumbnail``, as cameras write it."""
    prefix, tiff = content[:6], bytearray(content[6:])
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    first = int.from_bytes(tiff[4:8], order)
    link = first + 2 + 12 * int.from_bytes(tiff[first : first + 2], order)
    second = len(tiff) + len(tiff) % 2
    tiff += bytes(second - len(tiff))
    tiff[link : link + 4] = second.to_bytes(4, order)
    data_at = second + 2 + 3 * 12 + 4
    tiff += (3).to_bytes(2, order)
    for tag, value in ((0x0103, 6), (0x0201, data_at), (0x0202, len(thumbnail))):
        tiff += tag.to_bytes(2, order) + (4).to_bytes(2, order) + (1).to_bytes(4, order) + value.to_bytes(4, order)
    tiff += bytes(4) + thumbnail
    return prefix + bytes(tiff)


#: How the encoders are quick; what they write is read in the same way.
QUICK: dict[str, dict[str, Any]] = {
    "AVIF": {"speed": 10},
    "HEIF": {"enc_params": {"preset": "ultrafast"}},
    "PNG": {"compress_level": 1},
}


def encoded(image: Image.Image, picture_format: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, picture_format, **{**QUICK.get(picture_format, {}), **how})
    return buffer.getvalue()


Maker = Callable[[Image.Image, int], bytes]


@dataclass(frozen=True)
class Variant:
    """``make(upright RGB picture, orientation)`` gives the file. ``exact``: the result holds every pixel unchanged."""

    name: str
    make: Maker
    exact: bool = False
    result: str = ""
    turns: bool = True
    icc: bytes = b""
    keeps_exif: bool = True
    alpha: bool = False

    def __str__(self) -> str:
        return self.name


def _jpeg(mode: str = "RGB", icc: bytes = b"", **how: Any) -> Maker:
    def make(image: Image.Image, orientation: int) -> bytes:
        how.setdefault("quality", 88)
        return encoded(
            as_stored(image.convert(mode), orientation), "JPEG", exif=exif(orientation), xmp=XMP, icc_profile=icc, **how
        )

    return make


def _mpo(image: Image.Image, orientation: int) -> bytes:
    first = as_stored(image, orientation)
    return encoded(
        first, "MPO", save_all=True, append_images=[first.resize((40, 30))], exif=exif(orientation), quality=88
    )


def _with_alpha(image: Image.Image, mode: str) -> Image.Image:
    picture = image.convert({"RGBA": "RGB", "LA": "L"}[mode])
    alpha = Image.linear_gradient("L").resize(image.size).point(lambda level: 0 if level < 30 else min(255, level * 2))
    picture.putalpha(alpha)
    return picture


def _png(convert: Callable[[Image.Image], Image.Image], icc: bytes = b"", **how: Any) -> Maker:
    def make(image: Image.Image, orientation: int) -> bytes:
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        info.add_text("Title", "A title")
        stored = as_stored(convert(image), orientation)
        return encoded(stored, "PNG", exif=exif(orientation), pnginfo=info, icc_profile=icc, **how)

    return make


def _deep_grey(image: Image.Image) -> Image.Image:
    grey = np.asarray(image.convert("L")).astype(np.uint16)
    fine = np.random.default_rng(5).integers(0, 257, grey.shape, dtype=np.uint16)
    return Image.fromarray((grey * 256 + np.minimum(fine, 255)).astype(np.uint16))


def _deep_rgb_png(image: Image.Image, orientation: int) -> bytes:
    """Write the chunks by hand: Pillow writes no 16-bit RGB."""
    levels = np.asarray(as_stored(image, orientation)).astype(">u2") * 257
    rows = b"".join(b"\x00" + row.tobytes() for row in levels)
    head = levels.shape[1].to_bytes(4, "big") + levels.shape[0].to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"eXIf", exif(orientation)[6:])
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def _palette(image: Image.Image) -> Image.Image:
    return image.quantize(60)


def _palette_with_hole(image: Image.Image) -> Image.Image:
    picture = image.quantize(60)
    picture.info["transparency"] = 7
    return picture


def _webp(alpha: bool = False, icc: bytes = b"", **how: Any) -> Maker:
    def make(image: Image.Image, orientation: int) -> bytes:
        stored = as_stored(_with_alpha(image, "RGBA") if alpha else image, orientation)
        return encoded(stored, "WEBP", exif=exif(orientation), xmp=XMP, icc_profile=icc, **how)

    return make


def _tiff(convert: Callable[[Image.Image], Image.Image], icc: bytes = b"", **how: Any) -> Maker:
    def make(image: Image.Image, orientation: int) -> bytes:
        tags = Image.Exif()
        tags.load(exif(orientation))
        del tags[EXIF_IFD]
        tags[700] = XMP
        file = io.BytesIO(encoded(as_stored(convert(image), orientation), "TIFF", exif=tags, icc_profile=icc, **how))
        add_tags(file, Directory(children=read_exif(exif(orientation))[2].children))
        return file.getvalue()

    return make


def _tiff_pages(image: Image.Image, orientation: int) -> bytes:
    return encoded(image, "TIFF", save_all=True, append_images=[image.rotate(180)])


def _gif(image: Image.Image, orientation: int) -> bytes:
    return encoded(image.quantize(100), "GIF")


def _gif_animation(image: Image.Image, orientation: int) -> bytes:
    return encoded(image, "GIF", save_all=True, append_images=[ImageOps.invert(image), image], duration=40)


def _apng(image: Image.Image, orientation: int) -> bytes:
    return encoded(image, "PNG", save_all=True, append_images=[ImageOps.invert(image), image], duration=40)


def _jpeg2000(mode: str, **how: Any) -> Maker:
    def make(image: Image.Image, orientation: int) -> bytes:
        return encoded(image.convert(mode), "JPEG2000", **how)

    return make


def _avif(image: Image.Image, orientation: int) -> bytes:
    return encoded(as_stored(image, orientation), "AVIF", exif=exif(orientation), xmp=XMP, icc_profile=WIDE, quality=90)


def _heic(alpha: bool = False) -> Maker:
    def make(image: Image.Image, orientation: int) -> bytes:
        picture = _with_alpha(image, "RGBA") if alpha else image
        buffer = io.BytesIO()
        # The encoder turns EXIF's orientation into the container's own.
        pillow_heif.from_pillow(as_stored(picture, orientation)).save(
            buffer, quality=90, exif=exif(orientation), icc_profile=b"" if alpha else WIDE, **QUICK["HEIF"]
        )
        return buffer.getvalue()

    return make


def _same(image: Image.Image) -> Image.Image:
    return image


VARIANTS = [
    Variant("jpeg", _jpeg()),
    Variant("jpeg-444", _jpeg(subsampling=0, quality=95)),
    Variant("jpeg-422", _jpeg(subsampling=1)),
    Variant("jpeg-coarse", _jpeg(quality=35)),
    Variant("jpeg-progressive", _jpeg(progressive=True)),
    Variant("jpeg-wide-gamut", _jpeg(icc=WIDE), icc=WIDE),
    Variant("jpeg-rgb", _jpeg(keep_rgb=True, subsampling=0)),
    Variant("jpeg-grey", _jpeg("L")),
    Variant("jpeg-cmyk", _jpeg("CMYK")),
    Variant("mpo", _mpo),
    Variant("png", _png(_same), exact=True),
    Variant("png-wide-gamut", _png(_same, icc=WIDE), exact=True, icc=WIDE),
    Variant("png-alpha", _png(lambda image: _with_alpha(image, "RGBA")), exact=True, alpha=True),
    Variant("png-grey", _png(lambda image: image.convert("L")), exact=True),
    Variant("png-grey-alpha", _png(lambda image: _with_alpha(image, "LA")), exact=True, alpha=True),
    Variant("png-palette", _png(_palette), exact=True),
    Variant("png-palette-transparent", _png(_palette_with_hole), exact=True, alpha=True),
    Variant("png-key-colour", _png(_same, transparency=(255, 255, 255)), exact=True, alpha=True),
    Variant("png-bilevel", _png(lambda image: image.convert("1")), exact=True),
    Variant("png-16-bit-grey", _png(_deep_grey), exact=True),
    Variant("png-16-bit", _deep_rgb_png, exact=True),
    Variant("apng", _apng, exact=True, turns=False, keeps_exif=False),
    Variant("webp", _webp(quality=85)),
    Variant("webp-lossless", _webp(lossless=True, exact=True), exact=True),
    Variant(
        "webp-lossless-alpha", _webp(alpha=True, lossless=True, exact=True, icc=WIDE), exact=True, icc=WIDE, alpha=True
    ),
    Variant("tiff", _tiff(_same), exact=True),
    Variant("tiff-lzw", _tiff(_same, compression="tiff_lzw"), exact=True),
    Variant("tiff-deflate", _tiff(_same, compression="tiff_adobe_deflate", icc=WIDE), exact=True, icc=WIDE),
    Variant(
        "tiff-packbits-alpha",
        _tiff(lambda image: _with_alpha(image, "RGBA"), compression="packbits"),
        exact=True,
        alpha=True,
    ),
    Variant("tiff-grey", _tiff(lambda image: image.convert("L")), exact=True),
    Variant("tiff-16-bit-grey", _tiff(_deep_grey, compression="tiff_lzw"), exact=True),
    Variant("tiff-cmyk", _tiff(lambda image: image.convert("CMYK")), exact=True),
    Variant("tiff-palette", _tiff(_palette), exact=True),
    Variant("tiff-fax", _tiff(lambda image: image.convert("1"), compression="group4"), exact=True),
    Variant("tiff-jpeg", _tiff(_same, compression="jpeg", quality=90), exact=True),
    Variant("tiff-pages", _tiff_pages, exact=True, turns=False, keeps_exif=False),
    Variant("gif", _gif, exact=True, result="png", turns=False, keeps_exif=False),
    Variant("gif-animation", _gif_animation, exact=True, result="png", turns=False, keeps_exif=False),
    Variant("jpeg2000", _jpeg2000("RGB"), result="jpeg", turns=False, keeps_exif=False),
    Variant("jpeg2000-alpha", _jpeg2000("RGBA"), exact=True, result="png", turns=False, keeps_exif=False, alpha=True),
    Variant("jpeg2000-grey", _jpeg2000("L", no_jp2=True), result="jpeg", turns=False, keeps_exif=False),
    Variant("avif", _avif, icc=WIDE),
    Variant("heic", _heic(), result="jpeg", icc=WIDE),
    Variant("heic-alpha", _heic(alpha=True), exact=True, result="png", alpha=True),
]


def png_with(*chunks: tuple[bytes, bytes], image: Image.Image | None = None) -> bytes:
    """Return a PNG with these chunks behind its header."""
    plain = encoded(image or scene(), "PNG")
    return plain[:33] + b"".join(chunk(name, data) for name, data in chunks) + plain[33:]


def raw_profile(kind: bytes, content: bytes) -> tuple[bytes, bytes]:
    """Return a chunk in which ImageMagick keeps what has no chunk of its own."""
    text = b"\n" + kind + b"\n%8d\n" % len(content) + content.hex().encode()
    return b"zTXt", b"Raw profile type " + kind + b"\x00\x00" + zlib.compress(text)


BY_NAME = {variant.name: variant for variant in VARIANTS}


def _oriented() -> Iterator[tuple[Variant, int]]:
    for _, alike in groupby(VARIANTS, key=lambda variant: variant.name.partition("-")[0]):
        format_ = list(alike)
        share = min(3, sum(variant.turns for variant in format_))
        for number, variant in enumerate(format_):
            orientations = range(1 + number % share, 9, share) if variant.turns else (1,)
            yield from ((variant, orientation) for orientation in orientations)


#: Each format in every orientation, and each variant in some.
ORIENTED = list(_oriented())


def scene(width: int = 96, height: int = 72, name: str = "china") -> Image.Image:
    """Return a small photograph whose four corners differ, so that no turn looks like another."""
    return _scaled(width, height, name).copy()


@lru_cache(maxsize=64)
def _scaled(width: int, height: int, name: str) -> Image.Image:
    return _original(name).resize((width, height), Image.Resampling.LANCZOS)


@lru_cache
def _original(name: str) -> Image.Image:
    return photograph(name)


def random_mask(size: tuple[int, int], seed: int, blobs: int = 2) -> Image.Image:
    """Return a hard mask of a few discs and boxes, never empty and never full."""
    rng = np.random.default_rng(seed)
    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    for _ in range(blobs):
        width, height = (int(rng.integers(4, max(5, side // 4))) for side in size)
        left, top = int(rng.integers(0, size[0] - width)), int(rng.integers(0, size[1] - height))
        shape = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        shape((left, top, left + width, top + height), fill=255)
    return mask


def softened(mask: Image.Image, sigma: float) -> Image.Image:
    return mask.filter(ImageFilter.GaussianBlur(sigma)) if sigma else mask


def open_upright(content: bytes) -> Image.Image:
    """Return the picture as any viewer shows it, palette and bilevel ones as their colours, 16-bit grey as it is."""
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        orientation = image.getexif().get(ORIENTATION, 1) if image.format not in ("TIFF", "HEIF") else 1
        picture = image.convert("RGBA" if "transparency" in image.info else "RGB") if image.mode == "P" else image
        if picture.mode == "RGB" and "transparency" in picture.info:
            picture = picture.convert("RGBA")
        if picture.mode == "1":
            picture = picture.convert("L")
        exif_free = picture.copy()
    turn = {value: key for key, value in ((6, 8), (8, 6))}.get(orientation, orientation)
    return as_stored(exif_free, turn)


def pixels(image: Image.Image) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(image).astype(np.int64)


def full_hole(plan: FillPlan) -> Image.Image:
    """Return the plan's hole in the upright photo's size."""
    hole = Image.new("L", (plan.width, plan.height))
    hole.paste(Image.open(io.BytesIO(plan.hole)), plan.hole_box)
    return hole


def with_rim(hole: Image.Image, orientation: int) -> Image.Image:
    """Return ``hole`` with 170 on the rest of every block of 16 stored pixels that it touches, and on one pixel more.

    Decoders smooth colours from block to block.
    """
    there = pixels(stored(hole, orientation)) > 0
    high, wide = there.shape
    blocks = np.zeros((-(-high // 16) * 16, -(-wide // 16) * 16), bool)
    blocks[:high, :wide] = there
    touched = blocks.reshape(blocks.shape[0] // 16, 16, -1, 16).any((1, 3)).repeat(16, 0).repeat(16, 1)
    near = Image.fromarray(touched.astype(np.uint8) * 170).filter(ImageFilter.MaxFilter(3)).crop((0, 0, wide, high))
    return apply_orientation(ImageChops.lighter(stored(hole, orientation), near), orientation)
