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
_END_OF_IMAGE = b"\xd9"
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
    rest = _rest_of_scan(content, at)
    if rest is None:
        return None
    known, looked_for = int.from_bytes(before, "big"), int.from_bytes(pattern, "big")
    mask = (1 << 8 * len(pattern)) - 1
    places = [shift for shift in range(_APART) if known >> shift & mask == looked_for]
    if len(places) != 1:
        return None
    count, bits = divmod(places[0], 8)
    return _shifted([before[len(before) - count :], *rest], before[len(before) - count - 1], bits)


def _rest_of_scan(content: mmap | bytes, at: int) -> list[bytes] | None:
    """Return the scan from ``at`` to its end, in pieces; None where another marker than the end mark lies in it."""
    # At the end of the file may be what is left of a mark that was cut off.
    stop = len(content) - (content[-1:] == b"\xff")
    pieces = []
    while at < stop:
        end = min(stop, at + _PIECE)
        piece = content[at : end + (end < stop and content[end - 1] == 0xFF)]
        parts = piece.split(b"\xff")
        # In a scan 0xFF stands for itself only before a zero.
        followers = [part[:1] for part in parts[1:]]
        if followers.count(b"\x00") != len(followers):
            marker = next(index for index, follower in enumerate(followers) if follower != b"\x00")
            pieces.append(_joined(parts[: marker + 1]))
            return pieces if followers[marker] == _END_OF_IMAGE else None
        pieces.append(_joined(parts))
        at += len(piece)
    return pieces


def _shifted(pieces: list[bytes], before: int, bits: int) -> Iterator[bytes]:
    """Yield the last ``bits`` of the byte ``before``, and ``pieces``."""
    carry = before & (1 << bits) - 1
    for piece in pieces:
        value = int.from_bytes(bytes([carry]) + piece, "big")
        yield _stuffed((value >> bits).to_bytes(len(piece), "big"))
        carry = value & (1 << bits) - 1
    if bits:
        # Scans are filled up with ones.
        yield _stuffed(bytes([(carry << 8 - bits | (1 << 8 - bits) - 1) & 0xFF]))


def _whole(window: bytes) -> bytes:
    """Return ``window`` without a zero at its start, which may belong to a byte before it."""
    return window[1:] if window[:1] == b"\x00" else window


def _unstuffed(scan: bytes) -> bytes:
    return _joined(scan.split(b"\xff"))


def _joined(parts: list[bytes]) -> bytes:
    """Return a scan, split at its 0xFF, without the zeros behind these: a third of the time that ``replace`` takes."""
    return b"\xff".join([parts[0], *[part[1:] for part in parts[1:]]])


def _stuffed(data: bytes) -> bytes:
    return data.replace(b"\xff", b"\xff\x00")
