"""A JPEG that is painted on block by block: every block that is not touched keeps its coefficients to the bit.

The boundary to ``jpeg_worker``, the process that holds the photo. Whatever goes wrong in it is a
``BlocksUnavailableError``; the caller then encodes the whole photo again, or has Pillow look at it.
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

import PIL
from PIL import Image

from cleanplate.errors import TruncatedPhotoError
from cleanplate.imaging.orientation import Rectangle
from cleanplate.imaging.reading import ANY_LEVEL, decode, open_image

_WORKER = Path(__file__).with_name("jpeg_worker.py")

#: Where Pillow's wheels for Linux and macOS keep their libraries, from the package's folder.
_LIBRARIES = ("../pillow.libs/libjpeg*.so*", ".dylibs/libjpeg*.dylib")

#: The largest photo takes 3 seconds; a worker that needs so long hangs.
_PATIENCE_SECONDS = 120

_RAW_MODES = {"L": "L", "RGB": "RGB", "CMYK": "CMYK;I"}


class BlocksUnavailableError(Exception):
    """The photo cannot be held as blocks; the message says why."""


def find_library() -> str:
    """Return the path of the libjpeg that Pillow brought with it. Raises ``BlocksUnavailableError``."""
    home = Path(PIL.__file__).parent
    for pattern in _LIBRARIES:
        folder, _, name = pattern.rpartition("/")
        for path in sorted((home / folder).glob(name)):
            return str(path)
    raise BlocksUnavailableError("Pillow brought no libjpeg of its own")


@dataclass(frozen=True, slots=True)
class Layout:
    """Size of the photo in pixels, and the sampling (horizontal, vertical) of each component."""

    width: int
    height: int
    sampling: tuple[tuple[int, int], ...]

    @property
    def mcu(self) -> tuple[int, int]:
        """Width and height of the smallest unit that holds whole blocks of every component, in pixels."""
        return 8 * max(across for across, _ in self.sampling), 8 * max(down for _, down in self.sampling)

    def around(self, box: Rectangle, margin: int = 0) -> Rectangle:
        """Return ``box`` widened by ``margin`` MCUs on every side and to whole MCUs, within the photo."""
        wide, high = self.mcu
        return (
            max(0, box[0] // wide - margin) * wide,
            max(0, box[1] // high - margin) * high,
            min(self.width, (-(-box[2] // wide) + margin) * wide),
            min(self.height, (-(-box[3] // high) + margin) * high),
        )

    def touched_blocks(self, weights: Image.Image) -> list[bytes]:
        """Return for each component one byte a block: 255 where ``weights`` (mode L, whole MCUs) is not 0 all over the
        block.
        """
        eighths = weights.point(ANY_LEVEL).reduce(8).point(ANY_LEVEL)
        most_across, most_down = self.mcu[0] // 8, self.mcu[1] // 8
        return [
            eighths.reduce((most_across // across, most_down // down)).point(ANY_LEVEL).tobytes()
            for across, down in self.sampling
        ]


class _Worker:
    """The process that is given the JPEG in ``file``, and a file for the result and some rows, until it is closed."""

    def __init__(self, file: BinaryIO, *results: BinaryIO, rows: tuple[int, ...] = ()) -> None:
        library = find_library()
        with ExitStack() as opened:
            self._errors = opened.enter_context(tempfile.TemporaryFile())
            source = opened.enter_context(_with_descriptor(file))
            descriptors = tuple(each.fileno() for each in (source, *results))
            try:
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a script of this package
                    [sys.executable, "-I", "-S", str(_WORKER), library, *map(str, descriptors + rows)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    pass_fds=descriptors,
                )
            except OSError as error:
                raise BlocksUnavailableError(f"no process can be started: {error.strerror}") from error
            self._files = opened.pop_all()
        self._timer = threading.Timer(_PATIENCE_SECONDS, self._process.kill)
        self._timer.daemon = True
        self._timer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process and forget the files."""
        self._timer.cancel()
        self._process.kill()
        self._process.communicate()
        self._files.close()

    def answer(self) -> bytes:
        """Wait for the next answer. Raises ``BlocksUnavailableError``."""
        pipe = cast(BinaryIO, self._process.stdout)
        head = pipe.read(8)
        size = int.from_bytes(head, "little")
        content = pipe.read(size) if len(head) == 8 else b""
        if len(head) != 8 or len(content) != size:
            raise self._ended()
        return content

    def _ended(self) -> BlocksUnavailableError:
        self._process.kill()
        code = self._process.wait()
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip().splitlines()
        return BlocksUnavailableError(words[-1] if words else f"the process ended with {code}")


def has_end_mark(file: BinaryIO) -> bool:
    """Decode the JPEG in ``file`` at an eighth; False where it is whole and lacks only the mark at its end.

    Raises ``TruncatedPhotoError`` where blocks are missing, ``BlocksUnavailableError``.
    """
    with _Worker(file) as worker:
        blocks_missing, mark_missing = worker.answer()
    if blocks_missing:
        raise TruncatedPhotoError("the picture breaks off or is damaged: blocks of it are missing")
    return not mark_missing


class JpegBlocks(_Worker):
    """The JPEG in ``file``, read by a process of its own, which writes what becomes of it into ``result``.

    ``rows`` are the first row of pixels that is looked at or painted on, and the one behind the last. ``prologue`` are
    the segments (JFIF, Adobe) that tell decoders what the components mean, ``segments`` all that the result shall have.
    ``result`` must be a file that another process can inherit.
    """

    def __init__(
        self, file: BinaryIO, result: BinaryIO, rows: tuple[int, int], *, prologue: bytes = b"", segments: bytes = b""
    ) -> None:
        self._prologue = prologue
        super().__init__(file, result, rows=rows)
        self._segments = segments

    @cached_property
    def layout(self) -> Layout:
        """What the photo's header says."""
        head = self.answer()
        numbers = struct.unpack(f"<{len(head) // 4}I", head)
        sampling = tuple(zip(numbers[2::2], numbers[3::2], strict=True))
        layout = Layout(numbers[0], numbers[1], sampling)
        most = layout.mcu[0] // 8, layout.mcu[1] // 8
        if any(most[0] % across or most[1] % down for across, down in sampling):
            raise BlocksUnavailableError("its components are sampled in ratios that are no whole numbers")
        self._send(struct.pack("<Q", len(self._segments)) + self._segments)
        return layout

    def crop(self, box: Rectangle) -> Image.Image:
        """Return the photo's pixels in ``box``, which starts and ends on whole MCUs: opened, not decoded."""
        _ = self.layout
        self._send(b"crop" + struct.pack("<4I", *box))
        content = self.answer()
        # Without the segments that the library made up, and with the photo's own instead.
        at = 2
        while content[at + 1] in (0xE0, 0xEE):
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        file = io.BytesIO(b"\xff\xd8" + self._prologue + memoryview(content)[at:])
        del content
        return open_image(file, "jpeg")

    def put(self, box: Rectangle, picture: Image.Image, weights: Image.Image) -> None:
        """Encode ``picture``, which shows ``box`` (whole MCUs), where ``weights`` (mode L, as large) is not 0."""
        wide, high = self.layout.mcu
        padded = Image.new("L", (-(-weights.width // wide) * wide, -(-weights.height // high) * high))
        padded.paste(weights)
        marks = b"".join(self.layout.touched_blocks(padded))
        pixels = picture.tobytes("raw", _RAW_MODES[picture.mode])
        self._send(b"put " + struct.pack("<4IQ", *box, len(pixels)))
        self._send(pixels)
        self._send(marks)
        self.answer()

    def finish(self) -> None:
        """Write the rest of the photo as it is now."""
        _ = self.layout
        self._send(b"done")
        self.answer()

    def _send(self, content: bytes) -> None:
        pipe = cast(BinaryIO, self._process.stdin)
        try:
            pipe.write(content)
            pipe.flush()
        except OSError as error:
            raise self._ended() from error


@contextmanager
def _with_descriptor(file: BinaryIO) -> Iterator[BinaryIO]:
    """Yield ``file`` if another process can inherit it, else a copy that can."""
    try:
        file.fileno()
    except OSError:
        with tempfile.TemporaryFile() as copy:
            file.seek(0)
            while piece := file.read(1 << 20):
                copy.write(piece)
            copy.flush()
            yield cast(BinaryIO, copy)
    else:
        yield file


class BlockCanvas:
    """A photo that is painted on block by block; see ``cleanplate.imaging.canvas``."""

    def __init__(self, blocks: JpegBlocks, mode: str) -> None:
        self._blocks = blocks
        self.mode = mode
        self.step = blocks.layout.mcu

    def seen(self, place: Rectangle, size: tuple[int, int]) -> Image.Image:
        """Return what is in ``place`` (stored pixels), in ``size``, in the photo's own colours."""
        box = self._blocks.layout.around(place, 1)
        image = self._blocks.crop(box)
        factor = max(1, (place[2] - place[0]) // size[0])
        image.draft(None, (image.width // factor, image.height // factor))
        scale = (box[2] - box[0]) / image.width, (box[3] - box[1]) / image.height
        decode(image)
        part = (
            (place[0] - box[0]) / scale[0],
            (place[1] - box[1]) / scale[1],
            (place[2] - box[0]) / scale[0],
            (place[3] - box[1]) / scale[1],
        )
        return image.resize(size, Image.Resampling.BOX, box=part, reducing_gap=1.0)

    def paint(self, patch: Image.Image, place: Rectangle, weights: Image.Image) -> None:
        """Paint ``patch`` into ``place`` as far as ``weights`` say."""
        inner = weights.getbbox()
        if inner is None:
            return
        layout = self._blocks.layout
        left, top = place[:2]
        box = layout.around((left + inner[0], top + inner[1], left + inner[2], top + inner[3]))
        # One MCU more: decoders smooth colours from block to block.
        area = layout.around(box, 1)
        image = self._blocks.crop(area)
        decode(image)
        image.paste(patch, (left - area[0], top - area[1]), weights)
        painted = image.crop((box[0] - area[0], box[1] - area[1], box[2] - area[0], box[3] - area[1]))
        marks = Image.new("L", painted.size)
        marks.paste(weights, (left - box[0], top - box[1]))
        self._blocks.put(box, painted, marks)
