"""What comes of each kind of file that people have reported trouble with: kept, kept with a note, or refused by name."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pillow_heif
import pytest
import pyvips
from PIL import Image

from cleanplate.errors import CleanplateError, NotAPhotoError, TruncatedPhotoError, UnsupportedFormatError
from cleanplate.imaging import boxes, inspect_photo, verify_photo
from cleanplate.imaging.png import chunk
from tests.unit.imaging.any_file import SIZE, Spec, content_of, picture
from tests.unit.imaging.test_colour import scanner
from tests.unit.imaging.test_stated import stating
from tests.unit.imaging.test_tiff import tiff
from tests.unit.imaging.test_untouched import walk
from tests.unit.imaging.variants import QUICK, WIDE, encoded, exif, png_with, random_mask, raw_profile

BASE = picture("RGB")
WIDTH, HEIGHT = SIZE
LEVELS = np.asarray(BASE)
LONG = "".join(f"<rdf:li>{number:064x}</rdf:li>" for number in range(20_000)).encode()
CITY = b'photoshop:City="Bonn"'
GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\x00" + bytes(4)
FILM = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(range(256)) * 40
RESOURCE = b"8BIM\x04\x04\x00\x00\x00\x00\x00\x0a\x1c\x02\x05\x00\x05Title"
PATH = b"8BIM\x07\xd0\x06Path 1\x00\x00\x00\x00\x1a" + bytes(26)
OTHER_FORMAT = "; the result is "
FRAMES = "the result has the first"
BEHIND = "behind the picture are left out"


def xmp(inside: bytes, attributes: bytes = b"") -> bytes:
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" ' + attributes + b">" + inside + b"</rdf:Description>"
        b"</rdf:RDF></x:xmpmeta>"
    )


def jpeg(*segments: tuple[int, bytes], image: Image.Image = BASE, behind: bytes = b"", **how: Any) -> bytes:
    plain = encoded(image, "JPEG", **{"quality": 90, **how})
    extra = b"".join(bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data for marker, data in segments)
    return plain[:2] + extra + plain[2:] + behind


def xmp_segment(inside: bytes = b"", attributes: bytes = b"") -> tuple[int, bytes]:
    return 0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + xmp(inside, attributes)


def extended() -> bytes:
    number, long = b"A" * 32, xmp(b"<photoshop:History>" + LONG[:90_000] + b"</photoshop:History>")
    parts = [
        (
            0xE1,
            b"http://ns.adobe.com/xmp/extension/\x00" + number + struct.pack(">II", len(long), at) + long[at:][:60_000],
        )
        for at in range(0, len(long), 60_000)
    ]
    note = b'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="' + number + b'" '
    return jpeg(xmp_segment(b"", note + CITY), *parts)


def samsung() -> bytes:
    block = b"\x00\x00\x30\x0a\x10\x00\x00\x00MotionPhoto_Data" + FILM
    directory = b"SEFH" + struct.pack("<II", 106, 1) + struct.pack("<III", 0x0A30 << 16, len(block), len(block))
    return jpeg((0xE1, exif(1)), behind=block + directory + struct.pack("<I", len(directory)) + b"SEFT")


def odd_exif(oddity: str, picture_format: str = "jpeg") -> Callable[[], bytes]:
    return lambda: content_of(Spec(picture_format, "RGB", 6, "none", oddity))


def text_png(data: bytes, name: bytes = b"iTXt") -> Callable[[], bytes]:
    return lambda: png_with((name, data), image=BASE)


def deep_png(*chunks: tuple[bytes, bytes]) -> bytes:
    plain = encoded(Image.fromarray(np.asarray(BASE.convert("L")).astype(np.uint16) * 257), "PNG")
    return plain[:33] + b"".join(chunk(*each) for each in chunks) + plain[33:]


def heic(image: Image.Image = BASE, **how: Any) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=90, **QUICK["HEIF"], **how)
    return buffer.getvalue()


def with_alpha() -> Image.Image:
    image = BASE.copy()
    image.putalpha(Image.linear_gradient("L").resize(SIZE))
    return image


def alpha_without_size() -> bytes:
    """Return an AVIF whose alpha plane names the same property twice in the place of its size."""
    content = bytearray(encoded(with_alpha(), "AVIF"))
    file = io.BytesIO(content)
    found = boxes.boxes(file)
    places = [box.kind for box in found if box.path[-1:] == (b"ipco",)]
    table = next(box for box in found if box.kind == b"ipma")
    at, entry = table.start + 8, b""
    while b"auxC" not in [places[(number & 127) - 1] for number in entry]:
        count = content[at + 2]
        start, entry, at = at + 3, bytes(content[at + 3 : at + 3 + count]), at + 3 + count
    size = next(index for index, number in enumerate(entry) if places[(number & 127) - 1] == b"ispe")
    content[start + size] = entry[size - 1] if size else entry[1]
    return bytes(content)


def jp2(*, profile: bytes = b"", behind: bytes = b"") -> bytes:
    content = encoded(BASE, "JPEG2000", quality_mode="rates", quality_layers=[4])
    if profile:
        outer, inner = content.index(b"jp2h") - 4, content.index(b"colr") - 4
        size = int.from_bytes(content[inner : inner + 4], "big")
        box = struct.pack(">I", 11 + len(profile)) + b"colr\x02\x00\x00" + profile
        whole = int.from_bytes(content[outer : outer + 4], "big") + len(box) - size
        content = (
            content[:outer] + whole.to_bytes(4, "big") + content[outer + 4 : inner] + box + content[inner + size :]
        )
    return content + behind


def deep_jp2() -> bytes:
    """Return a JPEG 2000 whose header says 16 bits of each colour."""
    content = bytearray(jp2())
    at = content.index(b"\xff\x4f\xff\x51") + 42
    content[at : at + 9 : 3] = b"\x0f" * 3
    return bytes(content)


def height_behind() -> bytes:
    """Return a JPEG that states its height in a DNL segment."""
    content = jpeg()
    at = content.index(b"\xff\xc0") + 5
    return content[:at] + b"\x00\x00" + content[at + 2 : -2] + b"\xff\xdc\x00\x04" + content[at : at + 2] + b"\xff\xd9"


def spoilt(content: bytes, at: int, level: int) -> bytes:
    return content[:at] + bytes([level]) + content[at + 1 :]


def tiff_of(levels: np.ndarray[Any, Any], photometric: int, *tags: Any, **how: Any) -> Callable[[], bytes]:
    return lambda: tiff(levels if levels.ndim == 3 else levels[..., None], photometric, *tags, **how)


def planes_of(levels: np.ndarray[Any, Any], photometric: int, extra: tuple[int, ...] = ()) -> Callable[[], bytes]:
    """Return a TIFF of which each channel lies by itself."""
    count, size = levels.shape[2], levels[..., 0].nbytes
    apart = np.moveaxis(levels, -1, 0).reshape(levels.shape)
    places = struct.pack(f"<{count}I", *(8 + size * plane for plane in range(count)))
    sizes = struct.pack(f"<{count}I", *[size] * count)
    tags = (284, 3, 1, b"\x02\x00"), (273, 4, count, places), (279, 4, count, sizes)
    return tiff_of(apart, photometric, *tags, extra=extra)


def saved_tiff(**how: Any) -> Callable[[], bytes]:
    return lambda: encoded(BASE, "TIFF", **how)


def named(text: bytes) -> Callable[[], bytes]:
    return tiff_of(LEVELS, 2, *((tag, 2, len(text) + 1, text + b"\x00") for tag in (270, 315, 33_432)))


def big_endian_bigtiff() -> bytes:
    return (
        b"MM\x00+\x00\x08\x00\x00"
        + struct.pack(">QQ", 16, 2)
        + b"".join(struct.pack(">HHQI4x", tag, 4, 1, side) for tag, side in ((256, WIDTH), (257, HEIGHT)))
        + bytes(8)
    )


def gif_with_xmp(packet: bytes) -> bytes:
    plain = encoded(BASE.quantize(64), "GIF")
    start = 13 + 3 * (2 << (plain[10] & 7))
    ramp = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"
    return plain[:start] + b"!\xff\x0bXMP DataXMP" + packet + ramp + plain[start:]


GREY = np.asarray(BASE.convert("L"))
DEEP = GREY.astype(np.uint16) * 257
EXTRA = np.full((HEIGHT, WIDTH, 1), 77, np.uint8)
GEO = ((33_550, 12, 3, struct.pack("<3d", 1, 1, 0)), (34_735, 3, 4, struct.pack("<4H", 1, 1, 0, 0)))
TURNED_XMP = xmp(b"", b'tiff:Orientation="6"')


@dataclass(frozen=True)
class Kind:
    """A file, and what must come of it: every note that there is, what stays in the result, what does not."""

    make: Callable[[], bytes]
    notes: tuple[str, ...] = ()
    keeps: bytes = b""
    loses: bytes = b"\x00never\x00"
    refused: type[CleanplateError] | None = None
    looks: bool = True


KINDS = {
    # PNG: long texts and profiles, colours, what else it says
    "png: XMP of a megabyte, packed": Kind(
        text_png(b"XML:com.adobe.xmp\x00\x01\x00\x00\x00" + zlib.compress(xmp(LONG))), keeps=LONG
    ),
    "png: XMP of a megabyte": Kind(text_png(b"XML:com.adobe.xmp" + bytes(5) + xmp(LONG)), keeps=LONG),
    "png: a text of a megabyte": Kind(
        text_png(b"workflow\x00\x00" + zlib.compress(LONG), b"zTXt"), keeps=b"workflow\x00\x00" + zlib.compress(LONG)
    ),
    "png: XMP that is none": Kind(
        text_png(b"XML:com.adobe.xmp\x00\x01\x00\x00\x00nothing"), ("XMP data cannot be read",)
    ),
    "png: a profile of a megabyte": Kind(
        lambda: encoded(
            BASE, "PNG", icc_profile=(len(WIDE) + 1_300_000).to_bytes(4, "big") + WIDE[4:] + bytes(1_300_000)
        ),
        keeps=b"iCCP",
    ),
    "png: cICP of P3": Kind(
        lambda: png_with((b"cICP", b"\x0c\x0d\x00\x01"), image=BASE), keeps=b"cICP\x0c\x0d\x00\x01"
    ),
    "png: cICP of PQ": Kind(
        lambda: png_with((b"cICP", b"\x09\x10\x00\x01"), (b"cLLI", bytes(8)), image=BASE), keeps=b"cICP\x09\x10\x00\x01"
    ),
    "png: gAMA of 1": Kind(
        lambda: png_with((b"gAMA", struct.pack(">I", 100_000)), image=BASE), keeps=b"gAMA\x00\x01\x86\xa0"
    ),
    "png: gAMA and cHRM of sRGB": Kind(
        lambda: png_with(
            (b"gAMA", struct.pack(">I", 45_455)),
            (b"cHRM", struct.pack(">8I", 31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)),
            image=BASE,
        ),
        keeps=b"gAMA",
    ),
    "png: pHYs of an aspect": Kind(
        lambda: png_with((b"pHYs", struct.pack(">IIB", 2, 1, 0)), image=BASE),
        keeps=b"pHYs" + struct.pack(">IIB", 2, 1, 0),
    ),
    "png: sBIT, bKGD, tIME": Kind(
        lambda: png_with(
            (b"sBIT", b"\x05\x06\x05"), (b"bKGD", bytes(6)), (b"tIME", b"\x07\xea\x01\x02\x03\x04\x05"), image=BASE
        ),
        keeps=b"sBIT\x05\x06\x05",
    ),
    "png: raw profile, XMP": Kind(lambda: png_with(raw_profile(b"xmp", xmp(b"", CITY)), image=BASE), keeps=CITY),
    "png: raw profile, IPTC": Kind(
        lambda: png_with(raw_profile(b"iptc", RESOURCE), image=BASE), keeps=b"Raw profile type"
    ),
    "png: raw profile, EXIF": Kind(lambda: png_with(raw_profile(b"APP1", exif(1)), image=BASE), keeps=b"Kamera"),
    "png: 16 bits of grey": Kind(deep_png),
    "png: 16 bits of grey with a transparent level": Kind(
        lambda: deep_png((b"tRNS", b"\xff\xff")), keeps=b"tRNS\xff\xff"
    ),
    "png: sideways": Kind(odd_exif("none", "png"), keeps=b"Kamera"),
    "png: sideways, a pointer dangles": Kind(odd_exif("pointer dangles", "png"), keeps=b"Kamera"),
    "png: padding behind it": Kind(lambda: encoded(BASE, "PNG") + bytes(90) + b"\r\n"),
    "png: data behind it": Kind(lambda: encoded(BASE, "PNG") + b"more", ("data behind the picture",)),
    "webp: padding behind it": Kind(lambda: encoded(BASE, "WEBP", quality=90) + bytes(90)),
    "webp: data behind it": Kind(
        lambda: encoded(BASE, "WEBP", quality=90) + bytes(9) + b"more", ("data behind the picture",)
    ),
    "png: a byte is wrong": Kind(
        lambda: spoilt(content := encoded(BASE, "PNG"), len(content) // 2, content[len(content) // 2] ^ 0x55),
        refused=TruncatedPhotoError,
    ),
    # EXIF
    **{
        f"{name}: sideways, {oddity}": Kind(odd_exif(oddity, name), notes, keeps=b"Kamera")
        for name, oddity, notes in (
            *(
                ("jpeg", oddity, ())
                for oddity in ("pointer dangles", "pointer into the tags", "header turned", "64 kB")
            ),
            ("jpeg", "count lies", ("EXIF data is damaged",)),
            ("jpeg", "short ifd", ()),
            *(
                ("jpeg", oddity, ())
                for oddity in ("xmp disagrees", "prefix doubled", "photoshop padded", "unknown tags")
            ),
            *(("webp", oddity, ()) for oddity in ("none", "pointer dangles", "no prefix")),
        )
    },
    "jpeg: orientation 0": Kind(
        lambda: jpeg(
            (
                0xE1,
                exif(1).replace(
                    b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x01", b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x00"
                ),
            )
        )
    ),
    "jpeg: XMP says that it lies": Kind(
        lambda: jpeg(xmp_segment(b"", b'tiff:Orientation="6"'), image=BASE.transpose(Image.Transpose.ROTATE_90)),
        keeps=b'tiff:Orientation="6"',
        looks=False,
    ),
    # JPEG: other segments and what follows the picture
    "jpeg: a Samsung film": Kind(samsung, (BEHIND,), loses=b"ftypmp42"),
    "jpeg: a Google film": Kind(
        lambda: jpeg(xmp_segment(b"", b'GCamera:MotionPhoto="1"'), behind=FILM),
        ("gain maps, motion photos", BEHIND),
        loses=b"ftypmp42",
    ),
    "jpeg: a gain map": Kind(
        lambda: jpeg((0xE2, GAIN_MAP), behind=jpeg((0xE2, GAIN_MAP))),
        ("Gain map and further pictures",),
        loses=GAIN_MAP,
    ),
    "jpeg: a second picture behind it": Kind(lambda: jpeg(behind=jpeg()), (BEHIND,)),
    "jpeg: thermal data": Kind(
        lambda: jpeg((0xE1, b"FLIR\x00\x01\x00\x00" + b"heat" * 900)), ("thermal data",), keeps=b"heat" * 900
    ),
    "jpeg: DJI's segments": Kind(
        lambda: jpeg((0xE3, b"\x01" * 900), (0xE4, b"\xaa\x55\x12\x06" + b"\x07" * 90)), keeps=b"\x07" * 90
    ),
    "jpeg: a clipping path": Kind(lambda: jpeg((0xED, b"Photoshop 3.0\x00" + RESOURCE + PATH)), keeps=PATH),
    "jpeg: Photoshop's blocks padded": Kind(
        lambda: jpeg((0xED, b"Photoshop 3.0\x00" + RESOURCE + bytes(14))), keeps=RESOURCE
    ),
    "jpeg: Photoshop's blocks with 8B64": Kind(
        lambda: jpeg((0xED, b"Photoshop 3.0\x00" + RESOURCE + PATH.replace(b"8BIM", b"8B64"))), keeps=b"8B64"
    ),
    "jpeg: a comment": Kind(lambda: encoded(BASE, "JPEG", comment="Gruß"), keeps="Gruß".encode()),
    "jpeg: CMYK": Kind(lambda: jpeg(image=BASE.convert("CMYK")), ("without a usable profile",), looks=False),
    "jpeg: zeros before the end": Kind(lambda: jpeg()[:-2] + bytes(400) + b"\xff\xd9"),
    "jpeg: lines behind the end": Kind(lambda: jpeg(behind=b"\r\n\r\n")),
    "jpeg: a line before the start": Kind(lambda: b"\r\n" + jpeg(), refused=NotAPhotoError),
    "jpeg: without its end mark": Kind(lambda: jpeg()[:-2]),
    "jpeg: cut and closed": Kind(lambda: jpeg()[:4000] + b"\xff\xd9", refused=TruncatedPhotoError),
    "jpeg: a segment's length is wrong": Kind(
        lambda: spoilt(content := jpeg(), content.index(b"\xff\xc4") + 2, 0xFF), refused=TruncatedPhotoError
    ),
    "jpeg: 4:1:1": Kind(lambda: jpeg(quality=100, subsampling="4:1:1")),
    "jpeg: XMP in parts": Kind(extended, keeps=LONG[10_000:20_000]),
    "jpeg: XMP that fills its segment": Kind(
        lambda: jpeg(xmp_segment(LONG[: 65_490 - len(xmp(b""))])), keeps=b"xmpNote:HasExtendedXMP"
    ),
    "jpeg: a profile of a megabyte": Kind(
        lambda: jpeg(icc_profile=(len(WIDE) + 1_300_000).to_bytes(4, "big") + WIDE[4:] + bytes(1_300_000)),
        keeps=b"\x15\x15",
    ),
    "jpeg: a profile without a way back": Kind(lambda: jpeg(icc_profile=scanner()), ("no way back",), keeps=scanner()),
    "jpeg: its height stands behind it": Kind(height_behind, refused=UnsupportedFormatError),
    "jpeg: a profile": Kind(lambda: jpeg(icc_profile=WIDE), keeps=WIDE),
    # TIFF
    **{
        f"tiff: {name}": Kind(make, notes, keeps)
        for name, make, notes, keeps in (
            ("16 bits, white is 0", tiff_of(65_535 - DEEP, 0), (), b""),
            ("16 bits, black is 0", tiff_of(DEEP, 1), (), b""),
            ("8 bits, white is 0", tiff_of(255 - GREY, 0), (), b""),
            ("alpha is multiplied in", tiff_of(np.concatenate([LEVELS, EXTRA * 0 + 255], 2), 2, extra=(1,)), (), b""),
            (
                "Photoshop's layers",
                tiff_of(LEVELS, 2, (37_724, 7, 44, b"Adobe Photoshop Document Data Block\x00MIB8ryaL")),
                ("layers",),
                b"",
            ),
            ("places on the ground", tiff_of(LEVELS, 2, *GEO), (), GEO[0][3]),
            (
                "sideways in both ways",
                tiff_of(np.rot90(LEVELS), 2, (274, 3, 1, b"\x06\x00"), (700, 1, len(TURNED_XMP), TURNED_XMP)),
                (),
                b'tiff:Orientation="1"',
            ),
            (
                "IPTC as long numbers",
                tiff_of(LEVELS, 2, (33_723, 4, 3, b"\x1c\x02\x05\x00\x05Title\x00\x00")),
                (),
                b"\x05Title",
            ),
            ("colours apart", planes_of(LEVELS, 2), (), b""),
            ("a second page", saved_tiff(save_all=True, append_images=[BASE]), (FRAMES,), b""),
            ("coded as JPEG", saved_tiff(compression="jpeg", quality=95), ("is replaced by LZW",), b""),
            *(
                (how, saved_tiff(compression=how), (), b"")
                for how in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma")
            ),
            ("names in UTF-8", named("© Jörg".encode()), (), "© Jörg".encode()),
            ("names in cp1252", named("© Jörg".encode("cp1252")), (), "© Jörg".encode("cp1252")),
        )
    },
    **{
        f"tiff: {name}": Kind(make, refused=UnsupportedFormatError)
        for name, make in (
            ("floating point", tiff_of(LEVELS.astype(np.float32) / 255, 2, (339, 3, 3, b"\x03\x00" * 3))),
            ("16 bits, white is 0, big-endian", tiff_of(65_535 - DEEP, 0, order=">")),
            ("16 bits of each colour, apart", planes_of(LEVELS.astype(np.uint16) * 257, 2)),
            ("YCbCr, apart", planes_of(LEVELS, 6)),
            ("alpha is multiplied in, apart", planes_of(np.concatenate([LEVELS, EXTRA], 2), 2, extra=(1,))),
            ("grey and alpha, apart", planes_of(LEVELS[..., :2].copy(), 1, extra=(2,))),
            ("WebP inside", tiff_of(LEVELS, 2, (259, 3, 1, struct.pack("<H", 50_001)))),
            ("BigTIFF, big-endian", big_endian_bigtiff),
        )
    },
    # WebP, GIF, JPEG 2000, AVIF, HEIC
    "webp: alpha": Kind(lambda: encoded(with_alpha(), "WEBP", quality=90), looks=False),
    "webp: profile and XMP": Kind(
        lambda: encoded(BASE, "WEBP", lossless=True, icc_profile=WIDE, xmp=xmp(b"", CITY)), keeps=CITY
    ),
    "gif: two pictures": Kind(
        lambda: encoded(BASE.quantize(64), "GIF", save_all=True, append_images=[BASE.rotate(180).quantize(64)]),
        (FRAMES, OTHER_FORMAT),
    ),
    "gif: XMP": Kind(
        lambda: gif_with_xmp(xmp(b"", CITY)),
        (OTHER_FORMAT,),
        keeps=CITY,
    ),
    "jp2": Kind(jp2, (OTHER_FORMAT,)),
    "jp2: a profile": Kind(lambda: jp2(profile=WIDE), (OTHER_FORMAT,), keeps=WIDE),
    "jp2: 16 bits of each colour": Kind(deep_jp2, refused=UnsupportedFormatError),
    "jp2: XMP": Kind(
        lambda: jp2(behind=struct.pack(">I", 24 + len(xmp(b"", CITY))) + b"uuid" + boxes.XMP_UUID + xmp(b"", CITY)),
        (OTHER_FORMAT,),
        keeps=CITY,
    ),
    "avif": Kind(lambda: encoded(BASE, "AVIF", quality=90)),
    "avif: P3": Kind(lambda: stating(encoded(BASE, "AVIF", quality=90), 12, 13), keeps=b"nclx\x00\x0c\x00\x0d"),
    "avif: PQ": Kind(lambda: stating(encoded(BASE, "AVIF", quality=90), 9, 16), keeps=b"nclx\x00\x09\x00\x10"),
    "avif: sideways": Kind(
        lambda: encoded(BASE.transpose(Image.Transpose.ROTATE_90), "AVIF", quality=90, exif=exif(6)), keeps=b"Kamera"
    ),
    "avif: alpha without a size": Kind(alpha_without_size, looks=False),
    "heic": Kind(heic, (OTHER_FORMAT,)),
    "heic: P3": Kind(lambda: stating(heic(), 12, 13), (OTHER_FORMAT,), keeps=b"ICC_PROFILE"),
    "heic: PQ": Kind(lambda: stating(heic(), 9, 16), (OTHER_FORMAT,), keeps=b"cICP\x09\x10\x00\x01"),
    "heic: alpha": Kind(lambda: heic(with_alpha()), (OTHER_FORMAT,), looks=False),
    "heic: grey": Kind(lambda: heic(BASE.convert("L")), (OTHER_FORMAT,)),
    "heic: a profile": Kind(lambda: heic(icc_profile=WIDE), (OTHER_FORMAT,), keeps=WIDE),
    "heic: sideways": Kind(
        lambda: heic(BASE.transpose(Image.Transpose.ROTATE_90), exif=exif(6)), (OTHER_FORMAT,), keeps=b"Kamera"
    ),
    "heic: XMP too long for a segment": Kind(
        lambda: heic(xmp=xmp(LONG[:200_000])), (OTHER_FORMAT,), keeps=LONG[150_000:180_000]
    ),
}


def seen(content: bytes) -> np.ndarray[Any, Any]:
    """Return the levels of 8 bits that libvips shows, upright; colours are not converted."""
    image = pyvips.Image.new_from_buffer(content, "").autorot()
    levels = image.numpy().reshape(image.height, image.width, -1)
    return np.asarray(levels // 257 if levels.dtype == np.uint16 else levels, int)


def look(photo: bytes) -> None:
    """Do what is done before anything is paid."""
    inspect_photo(io.BytesIO(photo), max_megapixels=9)
    verify_photo(io.BytesIO(photo))


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_comes_out_as_it_must(name: str) -> None:
    kind = KINDS[name]
    photo = kind.make()
    if kind.refused:
        with pytest.raises(kind.refused):
            look(photo)
        return
    look(photo)
    walked = walk(photo, random_mask(SIZE, 5))
    assert len(walked.notes) == len(kind.notes), walked.notes
    assert all(any(words in note for note in walked.notes) for words in kind.notes), walked.notes
    assert kind.keeps in walked.result
    assert kind.loses not in walked.result
    assert walked.facts.upright_size == SIZE
    if kind.looks:
        # libvips' wheel knows neither Zstandard nor LZMA.
        packed = name in ("tiff: zstd", "tiff: lzma")
        after = seen(encoded(Image.open(io.BytesIO(walked.result)), "PNG") if packed else walked.result)
        expected = GREY[..., None] if after.shape[2] < 3 else LEVELS
        assert np.abs(after[..., : expected.shape[2]] - expected)[walked.hole == 0].mean() < 8


def test_a_heic_that_its_decoder_cuts_to_odd_sides_has_lost_nothing() -> None:
    odd = BASE.crop((0, 0, 143, 95))
    walked = walk(heic(odd), random_mask(odd.size, 5))
    assert walked.facts.upright_size == odd.size
    assert [note for note in walked.notes if OTHER_FORMAT not in note] == []
