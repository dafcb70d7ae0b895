"""A process that reads one JPEG as its DCT coefficients: hands out crops, takes painted blocks, writes the whole again.

Started by ``jpeg_blocks`` and by nothing else, as a script with ``LIBRARY SOURCE [RESULT TOP BOTTOM]`` (path of a
libjpeg, inherited file descriptors, rows of pixels). It needs a process of its own because libjpeg ends the program on
an error, and because whatever a damaged file does to it must not reach the function. Only the standard library and its
own few modules are imported: it starts in 12 ms.

The photo flows through: each row of MCUs is decoded into memory, and encoded from there to RESULT. Only the rows around
TOP to BOTTOM, where it is painted on, are held together; all of them in a photo of several scans, or one whose Huffman
tables fit only itself and have to be made again.

On standard input come commands, on standard output goes one answer for each: its length (8 bytes, little-endian), then
its bytes. The first answer comes unasked: width, height, then horizontal and vertical sampling of each component. The
first command has no name: the length (8 bytes) of the segments that the result shall have, and these; it has no answer.

- ``crop`` left top right bottom: a JPEG of these blocks, coefficients unchanged.
- ``put`` left top right bottom, size of the pixels, the pixels, then for each component one byte a block (rows of whole MCUs):
  encodes the pixels with the photo's own tables and sampling and takes over the blocks whose byte is not 0.
- ``done``: writes the rest of the photo to RESULT, from where the descriptor stands.

Without RESULT there is one answer, unasked: two bytes, 1 where blocks are missing, and 1 where the end mark is.

Boxes are pixels, start on whole MCUs and end on one or at the photo's edge.
"""

from __future__ import annotations

import struct
import sys

#: ``typing`` takes as long to import as all the rest; type checkers know this name.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import BinaryIO

    from cleanplate.imaging.jpeg_coefficients import Photo
else:
    # Run as a script, this is no package. It is short because a script is compiled again each time.
    sys.path.append(__file__.rpartition("/")[0])
    from jpeg_coefficients import Photo


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError
    return data


def main(library: str, source: int, result: int | None = None, top: int = 0, bottom: int = 0) -> None:
    """Serve the commands until standard input ends; without ``result`` only look."""
    commands, answers = sys.stdin.buffer, sys.stdout.buffer

    def answer(content: bytes | memoryview) -> None:
        answers.write(struct.pack("<Q", len(content)))
        answers.write(content)
        answers.flush()

    def paint() -> None:
        while (name := _exactly(commands, 4)) != b"done":
            box = struct.unpack("<4I", _exactly(commands, 16))
            if name == b"crop":
                photo.crop(box, answer)
                continue
            pixels = _exactly(commands, *struct.unpack("<Q", _exactly(commands, 8)))
            photo.put(box, pixels, [_exactly(commands, size) for size in photo.block_counts(box)])
            answer(b"")

    photo = Photo(library, source)
    if result is None:
        answer(photo.look())
        return
    answer(photo.head())
    photo.begin(top, bottom)
    segments = _exactly(commands, *struct.unpack("<Q", _exactly(commands, 8)))
    photo.write(result, segments, paint, lambda: answer(b""))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
