"""The bits of a JPEG's scan: where a row of blocks ends in a file, and the rest of the scan from there.

For ``jpeg_worker``: Huffman codes do not end on bytes, and libjpeg does not say on which bit it stands. But it can be
seen: what was encoded with the same codes from the same coefficients is the same bits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from mmap import mmap

#: Fewer equal bytes could be chance.
_ENOUGH = 64
#: Bits by which decoder and encoder may be apart: each has up to 64 of its own, and does not start on a byte.
_APART = 160
#: In a scan 0xFF stands for itself only before a zero.
_MARKER = re.compile(rb"\xff[^\x00]")
_END_OF_IMAGE = b"\xff\xd9"
_PIECE = 1 << 16


def tail_of_scan(content: mmap | bytes, at: int, written: bytes) -> Iterator[bytes] | None:
    """Return what has to follow ``written`` so that the scan goes on as in ``content``, in pieces; None where that is
    not certain.

    ``content`` is a JPEG of one scan without restart markers, ``at`` is how far its decoder has read when it has
    reached the end of a row, ``written`` the last bytes of an encoder at the same place. They are found in ``content``
    at exactly one place, or not at all: flat pictures repeat themselves.
    """
    pattern = _unstuffed(_whole(written))
    before = _unstuffed(_whole(content[max(0, at - 2 * len(written) - 2 * _APART // 8) : at]))
    if len(pattern) < _ENOUGH or len(before) < len(pattern) + _APART // 8:
        return None
    end = _MARKER.search(content, at)
    if end and end[0] != _END_OF_IMAGE:
        return None
    known, looked_for = int.from_bytes(before, "big"), int.from_bytes(pattern, "big")
    mask = (1 << 8 * len(pattern)) - 1
    places = [shift for shift in range(_APART) if known >> shift & mask == looked_for]
    if len(places) != 1:
        return None
    count, bits = divmod(places[0], 8)
    stop = end.start() if end else len(content)
    # What is left of a mark that was cut off.
    stop -= content[stop - 1 : stop] == b"\xff"
    return _shifted(content, at, stop, before[len(before) - count - 1 :], bits)


def _shifted(content: mmap | bytes, at: int, end: int, before: bytes, bits: int) -> Iterator[bytes]:
    """Yield the last ``bits`` of the first byte of ``before``, the rest of it, and the scan from ``at`` to ``end``."""
    carry, piece = before[0] & (1 << bits) - 1, before[1:]
    while True:
        value = carry << 8 * len(piece) | int.from_bytes(piece, "big")
        yield _stuffed((value >> bits).to_bytes(len(piece), "big"))
        carry = value & (1 << bits) - 1
        if at == end:
            break
        stop = min(end, at + _PIECE)
        if content[stop - 1] == 0xFF and stop < end:
            stop += 1
        piece, at = _unstuffed(content[at:stop]), stop
    if bits:
        # Scans are filled up with ones.
        yield _stuffed(bytes([(carry << 8 - bits | (1 << 8 - bits) - 1) & 0xFF]))


def _whole(window: bytes) -> bytes:
    """Return ``window`` without a zero at its start, which may belong to a byte before it."""
    return window[1:] if window[:1] == b"\x00" else window


def _unstuffed(scan: bytes) -> bytes:
    return scan.replace(b"\xff\x00", b"\xff")


def _stuffed(data: bytes) -> bytes:
    return data.replace(b"\xff", b"\xff\x00")
