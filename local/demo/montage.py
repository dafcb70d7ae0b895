"""Scenes made of packaged photographs: things laid on a lawn or a gravel path with their shadows, a portrait cut to size.

Few photographs that packages bring have something small before something plain, as a retoucher's have; these do. Every
scene is the same in every run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy  # type: ignore[import-untyped]
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from local.demo.photographs import magnify, photograph

_Colour = tuple[int, int, int]
#: What a grey texture's black and white become.
_LAWN: tuple[_Colour, _Colour] = ((14, 30, 8), (196, 216, 128))
_GRAVEL: tuple[_Colour, _Colour] = ((45, 38, 32), (225, 212, 196))
_BRONZE: tuple[_Colour, _Colour] = ((40, 26, 12), (250, 216, 160))
_SHADOW = (14, 12, 8)
#: Cut-outs are drawn so many times larger, for smooth edges.
_FINE = 4


#: What of the astronaut's picture is shown, and where in that picture the model stands; pixels.
_PORTRAIT = (40, 0, 512, 266)
_PORTRAIT_MEGAPIXELS = 2.0
_MODEL = (
    *((394, -1), (440, -1), (446, 30), (458, 45), (459, 200), (462, 240), (462, 270)),
    *((366, 270), (366, 240), (352, 226), (353, 205), (374, 170), (374, 60), (386, 36)),
)


def cup_on_a_lawn() -> Image.Image:
    """Return a cup on its saucer in the grass, 1000 x 720 pixels, RGB."""
    photo = photograph("coffee")
    # The saucer, the cup's rim and the handle of the spoon, as they lie in the photograph.
    outline = _outline(photo.size, [(75, 64, 479, 391), (173, 18, 404, 208), (398, 66, 425, 100)])
    return _laid(_ground("grass", _LAWN, (1000, 720)), photo, outline, (270, 150), shadow=(14, 20))


def coins_on_gravel() -> Image.Image:
    """Return three old coins on a gravel path, 960 x 640 pixels, RGB."""
    scene, photo = _ground("gravel", _GRAVEL, (960, 640)), photograph("coins")
    for box, at in (
        ((312, 153, 384, 220), (140, 110)),
        ((15, 230, 78, 291), (420, 390)),
        ((301, 11, 368, 76), (680, 180)),
    ):
        coin = photo.crop(box).resize((2 * (box[2] - box[0]), 2 * (box[3] - box[1])), Image.Resampling.LANCZOS)
        scene = _laid(scene, _tinted(coin, _BRONZE), _bright(coin), at, shadow=(7, 9))
    return scene


def portrait() -> Image.Image:
    """Return a portrait with a model in the background, 2 megapixels, RGB."""
    return magnify(photograph("astronaut").crop(_PORTRAIT), _PORTRAIT_MEGAPIXELS)


def mask_of_the_model() -> Image.Image:
    """Return the mask, grey, as large as :func:`portrait`, as somebody draws it around the model with a broad brush."""
    size = portrait().size
    scale = size[0] / (_PORTRAIT[2] - _PORTRAIT[0])
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon([((x - _PORTRAIT[0]) * scale, y * scale) for x, y in _MODEL], fill=255)
    return mask.filter(ImageFilter.MaxFilter(13))


def _ground(name: str, colours: tuple[_Colour, _Colour], size: tuple[int, int]) -> Image.Image:
    """Return a texture in colour, continued by its mirror image."""
    texture = _tinted(photograph(name), colours)
    wide = Image.new("RGB", (2 * texture.width, 2 * texture.height))
    wide.paste(texture)
    wide.paste(ImageOps.mirror(texture), (texture.width, 0))
    wide.paste(ImageOps.flip(wide.crop((0, 0, wide.width, texture.height))), (0, texture.height))
    return wide.crop((0, 0, *size))


def _tinted(photo: Image.Image, colours: tuple[_Colour, _Colour]) -> Image.Image:
    return ImageOps.colorize(photo.convert("L"), *colours)


def _outline(size: tuple[int, int], ellipses: Sequence[tuple[int, int, int, int]]) -> Image.Image:
    """Return a cut-out, grey, of ellipses that are given by their boxes."""
    mask = Image.new("L", (_FINE * size[0], _FINE * size[1]))
    for box in ellipses:
        ImageDraw.Draw(mask).ellipse([_FINE * side for side in box], fill=255)
    return mask.resize(size, Image.Resampling.LANCZOS)


def _bright(photo: Image.Image) -> Image.Image:
    """Return a cut-out of the largest bright thing on a dark ground, without its edge."""
    levels = np.asarray(photo.convert("L").filter(ImageFilter.GaussianBlur(2)))
    pieces, _ = scipy.ndimage.label(levels > 90)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    thing = scipy.ndimage.binary_opening(scipy.ndimage.binary_fill_holes(pieces == sizes.argmax()), iterations=4)
    return Image.fromarray(thing.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(1))


def _laid(
    scene: Image.Image, photo: Image.Image, outline: Image.Image, at: tuple[int, int], shadow: tuple[int, int]
) -> Image.Image:
    """Return the scene with the cut-out's top left corner at ``at``, and below it its shadow, moved by ``shadow``."""
    grey = Image.new("L", scene.size)
    grey.paste(outline, (at[0] + shadow[0], at[1] + shadow[1]))
    grey = grey.filter(ImageFilter.GaussianBlur(shadow[1] * 0.6)).point(lambda level: level * 0.7)
    scene = Image.composite(Image.new("RGB", scene.size, _SHADOW), scene, grey)
    scene.paste(photo, at, ImageChops.multiply(outline, outline))
    return scene
