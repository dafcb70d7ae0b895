"""What the fill is painted on: the decoded photo here, its blocks in ``jpeg_blocks``."""

from __future__ import annotations

from typing import Protocol

from PIL import Image, ImageChops, ImageMath

from cleanplate.imaging.colour import beside_key
from cleanplate.imaging.orientation import Rectangle
from cleanplate.imaging.reading import ANY_LEVEL


class Canvas(Protocol):
    """A photo in its stored orientation. ``step`` is the grid, in pixels, on which areas are best cut."""

    mode: str
    step: tuple[int, int]

    def seen(self, place: Rectangle, size: tuple[int, int]) -> Image.Image:
        """Return what is in ``place`` (stored pixels), in ``size``, in the photo's own colours."""

    def paint(self, patch: Image.Image, place: Rectangle, weights: Image.Image) -> None:
        """Paint ``patch`` into ``place`` as far as ``weights`` (mode L) say; every other pixel stays as it is."""


class PixelCanvas:
    """The whole photo as pixels."""

    step = (1, 1)

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.mode = image.mode

    def seen(self, place: Rectangle, size: tuple[int, int]) -> Image.Image:
        """Return what is in ``place``: cut out first where scaling would mix in what is transparent, or cannot be."""
        if self.mode in ("LA", "RGBA", "I;16"):
            return self.image.crop(place)
        return self.image.resize(size, Image.Resampling.BOX, box=place, reducing_gap=1.0)

    def paint(self, patch: Image.Image, place: Rectangle, weights: Image.Image) -> None:
        """Paint ``patch`` into ``place`` as far as ``weights`` say."""
        if self.mode == "I;16":
            self._paint_deep(patch, place, weights)
        elif self.mode in ("LA", "RGBA"):
            self._paint_under_alpha(patch, place, weights)
        else:
            self.image.paste(patch, place, weights)

    def _paint_under_alpha(self, patch: Image.Image, place: Rectangle, weights: Image.Image) -> None:
        """Paint the colours and keep the alpha channel; what is wholly transparent is not touched at all."""
        region = self.image.crop(place)
        alpha = region.getchannel("A")
        colours = region.convert(patch.mode)
        colours.paste(patch, (0, 0), ImageChops.darker(weights, alpha.point(ANY_LEVEL)))
        colours.putalpha(alpha)
        self.image.paste(colours, place)

    def _paint_deep(self, patch: Image.Image, place: Rectangle, weights: Image.Image) -> None:
        """16-bit grey: the fill has 8 bits, every pixel outside the hole keeps its 16."""
        painted = ImageMath.lambda_eval(
            lambda args: (args["old"] * (255 - args["weight"]) + args["new"] * 257 * args["weight"]) / 255,
            old=self.image.crop(place).convert("I"),
            new=patch.convert("I"),
            weight=weights.convert("I"),
        )
        if isinstance(key := self.image.info.get("transparency"), int):
            painted = beside_key(self.image.crop(place), painted, key)
        self.image.paste(painted.convert("I;16"), place)
