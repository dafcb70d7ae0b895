"""EXIF and GPS directories for a TIFF. Pillow 13 cannot write them together with compression, so they are added behind.

A TIFF's directory may lie anywhere in the file (TIFF 6.0, section 2): the first one is written once more at the end,
with two more entries, and the header points there.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

from PIL import TiffImagePlugin

from cleanplate.imaging.reading import DECODER_ERRORS

_LONG = 4


def add_directories(file: BinaryIO, directories: Mapping[int, Mapping[int, Any]]) -> list[int]:
    """Add ``directories`` (by the tag that points at them: 0x8769 EXIF, 0x8825 GPS) to the classic TIFF in ``file``.

    Returns the tags of those that could not be written, where a value does not fit its tag.
    """
    file.seek(0)
    header = file.read(8)
    order = "<" if header[:2] == b"II" else ">"
    first = struct.unpack(order + "I", header[4:])[0]
    file.seek(first)
    count = struct.unpack(order + "H", file.read(2))[0]
    raw = file.read(12 * count)
    following = file.read(4)
    entries = {struct.unpack_from(order + "H", raw, at)[0]: raw[at : at + 12] for at in range(0, len(raw), 12)}

    failed = []
    for tag, values in directories.items():
        at = _end(file)
        try:
            content = _serialised(values, tag, header, at)
        except DECODER_ERRORS:
            failed.append(tag)
            continue
        file.write(content)
        entries[tag] = struct.pack(order + "HHII", tag, _LONG, 1, at)

    at = _end(file)
    file.write(struct.pack(order + "H", len(entries)))
    file.write(b"".join(entries[tag] for tag in sorted(entries)))
    file.write(following)
    file.seek(4)
    file.write(struct.pack(order + "I", at))
    return failed


def _end(file: BinaryIO) -> int:
    """The end of the file, where a directory may begin: at an even offset."""
    at = file.seek(0, 2)
    if at % 2:
        file.write(b"\x00")
    return at + at % 2


def _serialised(values: Mapping[int, Any], tag: int, header: bytes, at: int) -> bytes:
    directory = TiffImagePlugin.ImageFileDirectory_v2(header, group=tag)
    for key, value in values.items():
        directory[key] = value
    return directory.tobytes(at)
