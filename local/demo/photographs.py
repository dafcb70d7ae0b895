"""Test and demo photographs: freely licensed originals that ship inside packages, made as large as a camera's.

Nothing is downloaded. Every picture is a function of its name, size and seed, so two runs see the same pixels.
"""

from __future__ import annotations

import importlib.util
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, ImageOps

#: The tag of EXIF that says how the stored pixels are to be turned.
ORIENTATION = 0x0112

#: What a camera did to the upright pixels before it stored them, for each EXIF orientation.
_TURNED_BY_CAMERA = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True, slots=True)
class Credit:
    """Where a packaged photograph comes from and on what terms."""

    package: str
    file: str
    title: str
    author: str
    licence: str
    source: str


CREDITS: dict[str, Credit] = {
    "astronaut": Credit(
        "skimage.data", "astronaut.png", "Eileen Collins", "NASA", "public domain", "https://flic.kr/p/r9qvLn"
    ),
    "camera": Credit(
        "skimage.data",
        "camera.png",
        "Cameraman",
        "Lav Varshney",
        "CC0",
        "https://github.com/scikit-image/scikit-image/issues/3927",
    ),
    "chelsea": Credit(
        "skimage.data",
        "chelsea.png",
        "Chelsea the cat",
        "Stefan van der Walt",
        "CC0",
        "https://scikit-image.org/docs/stable/api/skimage.data.html#skimage.data.chelsea",
    ),
    "china": Credit(
        "sklearn.datasets.images",
        "china.jpg",
        "Summer Palace, Beijing",
        "danielbuechele",
        "CC BY 2.0",
        "https://www.flickr.com/photos/danielbuechele/6061409035/",
    ),
    "coffee": Credit(
        "skimage.data",
        "coffee.png",
        "Coffee cup at Pikolo Espresso Bar",
        "Rachel Michetti",
        "CC0",
        "https://scikit-image.org/docs/stable/api/skimage.data.html#skimage.data.coffee",
    ),
    "flower": Credit(
        "sklearn.datasets.images",
        "flower.jpg",
        "Dahlia",
        "vultilion",
        "CC BY 2.0",
        "https://www.flickr.com/photos/vultilion/6056698931/",
    ),
    "coins": Credit(
        "skimage.data",
        "coins.png",
        "Greek coins from Pompeii",
        "Brooklyn Museum",
        "no known copyright restrictions",
        "https://www.brooklynmuseum.org/opencollection/archives/image/51611",
    ),
    "grass": Credit(
        "skimage.data",
        "grass.png",
        "Grass",
        "LinoLafett",
        "CC0",
        "https://www.deviantart.com/linolafett/art/Grass-01-434853879",
    ),
    "gravel": Credit(
        "skimage.data", "gravel.png", "Gravel", "CC0Textures", "CC0", "https://cc0textures.com/view.php?tex=Gravel04"
    ),
    "rocket": Credit(
        "skimage.data",
        "rocket.jpg",
        "DSCOVR on a Falcon 9",
        "SpaceX",
        "public domain",
        "https://www.flickr.com/photos/spacexphotos/16511594820/",
    ),
}


def photograph(name: str) -> Image.Image:
    """Return the packaged original called ``name`` (a key of ``CREDITS``), as 8-bit RGB, at most 640 pixels wide.

    Raises ``KeyError`` for a name that is not in the table.
    """
    credit = CREDITS[name]
    with Image.open(_folder_of(credit.package) / credit.file) as image:
        picture = image.convert("RGB")
    # Two of the files carry an sRGB profile and a comment, which would travel into everything made from them.
    picture.info = {}
    return picture


def _folder_of(package: str) -> Path:
    """Return where a package's files lie, without importing it, which takes a second."""
    top, *below = package.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"The photographs need the package {top}: run this through make, which installs it.")
    return Path(spec.submodule_search_locations[0], *below)


def enlarge(image: Image.Image, megapixels: float, seed: int = 0) -> Image.Image:
    """Return a picture of ``megapixels`` million pixels and the same proportions, made of mirrored tiles with grain.

    Every tile keeps the original's detail, so this is the one for measuring sharpness and time.
    """
    width, height = _size(image, megapixels)
    tile = Image.new("RGB", (2 * image.width, 2 * image.height))
    tile.paste(image, (0, 0))
    tile.paste(ImageOps.mirror(image), (image.width, 0))
    tile.paste(ImageOps.flip(tile.crop((0, 0, tile.width, image.height))), (0, image.height))
    large = Image.new("RGB", (width, height))
    for top in range(0, height, tile.height):
        for left in range(0, width, tile.width):
            large.paste(tile, (left, top))
    return _with_grain(large, seed)


def magnify(image: Image.Image, megapixels: float, seed: int = 0) -> Image.Image:
    """Return the same scene in ``megapixels`` million pixels, scaled up, with grain.

    There is still one subject where there was one, so this is the one to show a segmentation model.
    """
    return _with_grain(image.resize(_size(image, megapixels), Image.Resampling.BICUBIC), seed)


def as_stored(image: Image.Image, orientation: int) -> Image.Image:
    """Return the upright ``image`` as a camera stores it with this EXIF orientation, 1 to 8."""
    turn = _TURNED_BY_CAMERA.get(orientation)
    return image if turn is None else image.transpose(turn)


def heic(image: Image.Image, quality: int = 90) -> bytes:
    """Return ``image`` as a phone's HEIC file: made of tiles, which decoders need for large photos."""
    buffer = io.BytesIO()
    # The encoder's default preset takes 8 times as long for a file of the same size.
    pillow_heif.from_pillow(image).save(buffer, quality=quality, tile_size=512, enc_params={"preset": "ultrafast"})
    return buffer.getvalue()


def sideways_jpeg(image: Image.Image, orientation: int = 6, quality: int = 92) -> bytes:
    """Return ``image`` as a JPEG whose stored pixels are turned, with the EXIF orientation (1 to 8) that turns them
    back.
    """
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    buffer = io.BytesIO()
    as_stored(image, orientation).save(buffer, "JPEG", quality=quality, exif=exif)
    return buffer.getvalue()


def _size(image: Image.Image, megapixels: float) -> tuple[int, int]:
    scale = math.sqrt(megapixels * 1e6 / (image.width * image.height))
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _with_grain(image: Image.Image, seed: int, sigma: float = 2.5) -> Image.Image:
    """Add a camera's noise, in place and strip by strip: at 48 megapixels a full frame of floats would be 600 MB."""
    rng = np.random.default_rng(seed)
    rows = max(1, 4_000_000 // image.width)
    for top in range(0, image.height, rows):
        strip = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))), dtype=np.int16)
        grain = rng.standard_normal(strip.shape[:2], dtype=np.float32)[..., None] * sigma
        noisy = np.clip(strip + np.rint(grain).astype(np.int16), 0, 255).astype(np.uint8)
        image.paste(Image.fromarray(noisy), (0, top))
    return image
