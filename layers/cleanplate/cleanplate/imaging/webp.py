"""How a WebP was encoded: lossless or not, and in about which quality. No library says so; the first bytes do.

The container's chunks: https://developers.google.com/speed/webp/docs/riff_container. The lossy frame's header: RFC 6386,
sections 7, 9.3 to 9.6 and 19.2. From quantiser back to quality: the reverse of libwebp's ``QualityToCompression``.
"""

from __future__ import annotations

from typing import BinaryIO

#: Below this a result would lose visibly more than the photo did.
_LOWEST_QUALITY = 75
#: Where the file does not say.
UNKNOWN_QUALITY = 92


def webp_coding(file: BinaryIO) -> tuple[bool, int]:
    """Return whether the (first) frame in ``file`` is lossless, and otherwise the quality, 75 to 100, to encode it
    again.
    """
    file.seek(12)
    while len(header := file.read(8)) == 8:
        name, size = header[:4], int.from_bytes(header[4:], "little")
        if name == b"VP8L":
            return True, 100
        if name == b"VP8 ":
            return False, _quality(file.read(min(size, 512)))
        if name == b"ANMF":
            # The frame's own chunks follow its 16 bytes of position and time.
            file.seek(16, 1)
        else:
            file.seek(size + size % 2, 1)
    return False, UNKNOWN_QUALITY


def _quality(frame: bytes) -> int:
    try:
        quantiser = _quantiser(frame)
    except IndexError:
        return UNKNOWN_QUALITY
    kept = (1 - quantiser / 127) ** 3
    quality = kept * 1.5 if kept < 0.5 else (kept + 1) / 2
    return min(100, max(_LOWEST_QUALITY, round(100 * quality)))


def _quantiser(frame: bytes) -> float:
    """Return the quantiser index, 0 (finest) to 127, of a key frame; the mean where its four segments have their own."""
    bits = _Bits(frame[10:])
    bits.number(2)
    segments: list[int] = []
    absolute = False
    if bits.number(1):
        new_map, new_values = bits.number(1), bits.number(1)
        if new_values:
            absolute = bool(bits.number(1))
            segments = [bits.signed(7) for _ in range(4)]
            for _ in range(4):
                bits.signed(6)
        if new_map:
            for _ in range(3):
                if bits.number(1):
                    bits.number(8)
    bits.number(1 + 6 + 3)
    if bits.number(1) and bits.number(1):
        for _ in range(8):
            bits.signed(6)
    bits.number(2)
    base = bits.number(7)
    if not segments:
        return base
    mean = sum(segments) / len(segments)
    return min(127.0, max(0.0, mean if absolute else base + mean))


class _Bits:
    """The boolean entropy decoder of RFC 6386, section 7.3, at even odds, which is all that a frame header uses."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 2
        self._value = data[0] << 8 | data[1]
        self._range = 255
        self._shifted = 0

    def number(self, width: int) -> int:
        """Return the next ``width`` bits, most significant first. Raises ``IndexError`` at the end of the data."""
        number = 0
        for _ in range(width):
            number = number << 1 | self._bit()
        return number

    def signed(self, width: int) -> int:
        """Return an optional number with its sign behind it; 0 where it is left out."""
        if not self.number(1):
            return 0
        size = self.number(width)
        return -size if self.number(1) else size

    def _bit(self) -> int:
        split = 1 + ((self._range - 1) * 128 >> 8)
        bit = self._value >= split << 8
        if bit:
            self._range -= split
            self._value -= split << 8
        else:
            self._range = split
        while self._range < 128:
            self._value <<= 1
            self._range <<= 1
            self._shifted += 1
            if self._shifted == 8:
                self._shifted = 0
                self._value |= self._data[self._at]
                self._at += 1
        return int(bit)
