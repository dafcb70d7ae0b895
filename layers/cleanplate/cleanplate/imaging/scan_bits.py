"""The bits of a JPEG's scan: where a row of blocks ends in a file, and the rest of the scan from there.

For ``jpeg_worker``: Huffman codes do not end on bytes, and libjpeg does not say on which bit it stands. But it can be
seen: what was encoded with the same codes from the same coefficients is the same bits.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

#: Fewer equal bytes could be chance.
_ENOUGH = 64
#: Bits by which decoder and encoder may be apart: each has up to 64 of its own, and does not start on a byte.
_APART = 160
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
    stop = _end_of_scan(content, at)
    if stop is None:
        return None
    known, looked_for = int.from_bytes(before, "big"), int.from_bytes(pattern, "big")
    mask = (1 << 8 * len(pattern)) - 1
    places = [shift for shift in range(_APART) if known >> shift & mask == looked_for]
    if len(places) != 1:
        return None
    count, bits = divmod(places[0], 8)
    return _shifted(content, at, stop, before[len(before) - count - 1 :], bits)


def _end_of_scan(content: mmap | bytes, at: int) -> int | None:
    """Return where the scan that goes on ``at`` ends; None where another marker than the end mark lies in it."""
    end = content.find(_END_OF_IMAGE, at)
    # At the end of the file may be what is left of a mark that was cut off.
    stop = end if end >= 0 else len(content) - (content[-1:] == b"\xff")
    while at < stop:
        piece = content[at : min(stop, at + _PIECE)]
        if piece[-1] == 0xFF and at + len(piece) < stop:
            piece += b"\x00" if content[at + len(piece)] == 0 else b""
        # In a scan 0xFF stands for itself only before a zero.
        if piece.count(b"\xff") != piece.count(b"\xff\x00"):
            return None
        at += len(piece)
    return stop


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
