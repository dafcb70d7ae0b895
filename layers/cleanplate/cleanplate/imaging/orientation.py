"""EXIF orientation: between the pixels as they are stored and the picture as people see it.

``Rectangle`` is (left, top, right, bottom) in pixels, right and bottom excluded.
"""

from __future__ import annotations

from PIL import Image

Rectangle = tuple[int, int, int, int]

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_STORED = {**_UPRIGHT, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def apply_orientation(image: Image.Image, orientation: int) -> Image.Image:
    """Return ``image``, stored with EXIF ``orientation``, as people see it."""
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def stored(image: Image.Image, orientation: int) -> Image.Image:
    """Return the upright ``image`` as it is stored in a file with EXIF ``orientation``."""
    turn = _STORED.get(orientation)
    return image if turn is None else image.transpose(turn)


def turned_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Width and height after turning, in either direction."""
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def stored_rectangle(box: Rectangle, orientation: int, upright_size: tuple[int, int]) -> Rectangle:
    """Return where an upright rectangle lies among the stored pixels."""
    left, top, right, bottom = box
    width, height = upright_size
    if orientation in (5, 6, 7, 8):
        # Stored x runs along upright y: first swap the axes, then mirror below.
        left, top, right, bottom = top, left, bottom, right
        width, height = height, width
    if orientation in (2, 3, 7, 8):
        left, right = width - right, width - left
    if orientation in (3, 4, 6, 7):
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def upright_rectangle(box: Rectangle, orientation: int, stored_size: tuple[int, int]) -> Rectangle:
    """Return where a rectangle of the stored pixels lies in the upright picture."""
    return stored_rectangle(box, {6: 8, 8: 6}.get(orientation, orientation), stored_size)
