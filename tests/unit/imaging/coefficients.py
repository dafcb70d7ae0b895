"""JPEG coefficients read and written without any library: ITU-T T.81, Huffman coding, sequential and progressive.

Slow and strict, for small pictures: a second opinion on what libjpeg reads and writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

Blocks = np.ndarray[Any, np.dtype[np.int32]]


@dataclass
class Component:
    number: int
    across: int
    down: int
    table: int
    #: (rows, columns, 64), in zigzag order, padded to whole MCUs.
    blocks: Blocks = field(default_factory=lambda: np.zeros((0, 0, 64), np.int32))
    #: How many of them show the picture.
    rows: int = 0
    columns: int = 0

    @property
    def shown(self) -> Blocks:
        return self.blocks[: self.rows, : self.columns]


@dataclass
class Jpeg:
    width: int
    height: int
    components: list[Component]
    progressive: bool
    restart_interval: int = 0
    quantisation: dict[int, list[int]] = field(default_factory=dict)
    segments: list[tuple[int, bytes]] = field(default_factory=list)
    trailer: bytes = b""


class _Bits:
    def __init__(self, data: bytes) -> None:
        content = data.replace(b"\xff\x00", b"\xff")
        self._bits = f"{int.from_bytes(content, 'big'):0{8 * len(content)}b}" if content else ""
        self._at = 0

    def one(self) -> int:
        return self.number(1)

    def number(self, count: int) -> int:
        if not count:
            return 0
        found = self._bits[self._at : self._at + count]
        self._at += count
        if len(found) != count:
            raise EOFError("the scan ends early")
        return int(found, 2)

    def signed(self, count: int) -> int:
        value = self.number(count)
        return value if not count or value >> (count - 1) else value - (1 << count) + 1

    def symbol(self, table: dict[str, int]) -> int:
        bits, at = self._bits, self._at
        for end in range(at + 1, at + 17):
            # Behind the last bit this stays the code that was not found before.
            found = table.get(bits[at:end])
            if found is not None:
                self._at = end
                return found
        raise ValueError("no such code")


def _codes(counts: Sequence[int], values: Sequence[int]) -> dict[str, int]:
    found, code, at = {}, 0, 0
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            found[f"{code:0{length}b}"] = values[at]
            code, at = code + 1, at + 1
        code <<= 1
    return found


def read(content: bytes) -> Jpeg:  # noqa: C901 - one branch a marker, as the standard has them
    """Return everything of the picture up to its end marker."""
    assert content[:2] == b"\xff\xd8"
    picture: Jpeg | None = None
    tables: dict[int, dict[str, int]] = {}
    quantisation: dict[int, list[int]] = {}
    segments: list[tuple[int, bytes]] = []
    at, interval = 2, 0
    while True:
        assert content[at] == 0xFF, hex(at)
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xD9:
            break
        size = int.from_bytes(content[at + 2 : at + 4], "big")
        data, at = content[at + 4 : at + 2 + size], at + 2 + size
        if marker == 0xC4:
            while data:
                total = sum(data[1:17])
                tables[data[0]] = _codes(data[1:17], data[17 : 17 + total])
                data = data[17 + total :]
        elif marker == 0xDB:
            while data:
                wide = 1 + (data[0] >> 4)
                values = [int.from_bytes(data[1 + wide * n : 1 + wide * n + wide], "big") for n in range(64)]
                quantisation[data[0] & 15] = values
                data = data[1 + 64 * wide :]
        elif marker in (0xC0, 0xC1, 0xC2):
            picture = _frame(data, progressive=marker == 0xC2)
        elif marker == 0xDD:
            interval = int.from_bytes(data, "big")
        elif marker == 0xDA:
            assert picture is not None
            end = _end_of_scan(content, at)
            _Scan(picture, data, tables, interval).read(content[at:end])
            at = end
        elif marker == 0xFE or 0xE0 <= marker <= 0xEF:
            segments.append((marker, data))
        else:
            raise ValueError(f"marker {marker:x}")
    assert picture is not None
    picture.quantisation, picture.segments, picture.restart_interval = quantisation, segments, interval
    picture.trailer = content[at + 2 :]
    return picture


def _end_of_scan(content: bytes, at: int) -> int:
    while not (content[at] == 0xFF and content[at + 1] not in (0, *range(0xD0, 0xD8))):
        at += 1
    return at


def _frame(data: bytes, *, progressive: bool) -> Jpeg:
    height, width = int.from_bytes(data[1:3], "big"), int.from_bytes(data[3:5], "big")
    parts = [data[6 + 3 * n : 9 + 3 * n] for n in range(data[5])]
    return frame(width, height, [(part[0], part[1] >> 4, part[1] & 15, part[2]) for part in parts], progressive)


def frame(width: int, height: int, parts: Sequence[tuple[int, int, int, int]], progressive: bool = False) -> Jpeg:
    """Return an empty picture of these components: number, horizontal and vertical sampling, quantisation table."""
    components = [Component(*part) for part in parts]
    across, down = max(each.across for each in components), max(each.down for each in components)
    mcus = -(-width // (8 * across)), -(-height // (8 * down))
    for each in components:
        each.blocks = np.zeros((mcus[1] * each.down, mcus[0] * each.across, 64), np.int32)
        each.columns = -(-width * each.across // (8 * across))
        each.rows = -(-height * each.down // (8 * down))
    return Jpeg(width, height, components, progressive)


def _order(scanned: Sequence[Component]) -> Iterator[list[tuple[int, int, int]]]:
    """Yield for each MCU the component's index in the scan, row and column of each block."""
    if len(scanned) == 1:
        for row in range(scanned[0].rows):
            for column in range(scanned[0].columns):
                yield [(0, row, column)]
        return
    first = scanned[0]
    for down in range(first.blocks.shape[0] // first.down):
        for across in range(first.blocks.shape[1] // first.across):
            yield [
                (index, down * each.down + row, across * each.across + column)
                for index, each in enumerate(scanned)
                for row in range(each.down)
                for column in range(each.across)
            ]


class _Scan:
    def __init__(self, picture: Jpeg, head: bytes, tables: dict[int, dict[str, int]], interval: int) -> None:
        count = head[0]
        chosen = [(head[1 + 2 * n], head[2 + 2 * n]) for n in range(count)]
        by_number = {each.number: each for each in picture.components}
        self._parts = [by_number[number] for number, _ in chosen]
        self._dc = [tables.get(which >> 4, {}) for _, which in chosen]
        self._ac = [tables.get(0x10 | which & 15, {}) for _, which in chosen]
        self._start, self._end, approximation = head[1 + 2 * count : 4 + 2 * count]
        self._high, self._low = approximation >> 4, approximation & 15
        self._progressive, self._interval = picture.progressive, interval

    def read(self, data: bytes) -> None:
        pieces = []
        last = at = 0
        while at < len(data) - 1:
            if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7:
                pieces.append(data[last:at])
                last = at = at + 2
            else:
                at += 1
        pieces.append(data[last:])
        remaining = iter(pieces)
        for index, mcu in enumerate(_order(self._parts)):
            if index == 0 or (self._interval and index % self._interval == 0):
                self._bits, self._run = _Bits(next(remaining)), 0
                self._predicted = [0] * len(self._parts)
            for part, row, column in mcu:
                self._block(part, self._parts[part].blocks[row, column])

    def _block(self, part: int, block: Blocks) -> None:
        if not self._progressive:
            self._first_dc(part, block)
            self._sequential_ac(part, block)
        elif self._start == 0:
            if self._high:
                block[0] |= self._bits.one() << self._low
            else:
                self._first_dc(part, block)
        elif self._high:
            self._refined_ac(part, block)
        else:
            self._first_ac(part, block)

    def _first_dc(self, part: int, block: Blocks) -> None:
        self._predicted[part] += self._bits.signed(self._bits.symbol(self._dc[part]))
        block[0] = self._predicted[part] << self._low

    def _sequential_ac(self, part: int, block: Blocks) -> None:
        at = 1
        while at < 64:
            symbol = self._bits.symbol(self._ac[part])
            run, size = symbol >> 4, symbol & 15
            if not size and run != 15:
                return
            at += run
            if size:
                block[at] = self._bits.signed(size)
            at += 1

    def _first_ac(self, part: int, block: Blocks) -> None:
        if self._run:
            self._run -= 1
            return
        at = self._start
        while at <= self._end:
            symbol = self._bits.symbol(self._ac[part])
            run, size = symbol >> 4, symbol & 15
            if not size and run != 15:
                self._run = (1 << run) + self._bits.number(run) - 1
                return
            at += run
            if size:
                block[at] = self._bits.signed(size) * (1 << self._low)
            at += 1

    def _refined_ac(self, part: int, block: Blocks) -> None:  # noqa: C901 - the standard's flow chart, figure G.7
        at, bit = self._start, 1 << self._low
        while at <= self._end and not self._run:
            symbol = self._bits.symbol(self._ac[part])
            run, size = symbol >> 4, symbol & 15
            value = 0
            if size:
                value = bit if self._bits.one() else -bit
            elif run != 15:
                self._run = (1 << run) + self._bits.number(run)
                break
            while at <= self._end:
                if block[at]:
                    self._refine(block, at, bit)
                elif run:
                    run -= 1
                else:
                    break
                at += 1
            if at <= self._end and value:
                block[at] = value
            at += 1
        if self._run:
            for rest in range(at, self._end + 1):
                if block[rest]:
                    self._refine(block, rest, bit)
            self._run -= 1

    def _refine(self, block: Blocks, at: int, bit: int) -> None:
        if self._bits.one():
            block[at] += bit if block[at] > 0 else -bit


# ----------------------------------------------------------------------------------------------------------------------
# Writing


def _common_tables() -> dict[int, tuple[bytes, bytes]]:
    """Return the standard's example tables, taken from a JPEG that Pillow wrote."""
    import io

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    content, at, found = buffer.getvalue(), 2, {}
    while content[at + 1] != 0xDA:
        size = int.from_bytes(content[at + 2 : at + 4], "big")
        data = content[at + 4 : at + 2 + size]
        while content[at + 1] == 0xC4 and data:
            total = sum(data[1:17])
            found[data[0]] = data[1:17], data[17 : 17 + total]
            data = data[17 + total :]
        at += 2 + size
    return found


COMMON = _common_tables()


def write(picture: Jpeg, *, interleaved: bool = True, trailer: bytes = b"") -> bytes:
    """Return ``picture`` as a sequential JPEG with its segments, tables and restart interval."""
    out = bytearray(b"\xff\xd8")

    def segment(marker: int, data: bytes) -> None:
        out.extend(bytes([0xFF, marker]) + (2 + len(data)).to_bytes(2, "big") + data)

    for marker, data in picture.segments:
        segment(marker, data)
    for number, values in picture.quantisation.items():
        wide = 2 if max(values) > 255 else 1
        segment(0xDB, bytes([(wide - 1) << 4 | number]) + b"".join(value.to_bytes(wide, "big") for value in values))
    parts = b"".join(bytes([each.number, each.across << 4 | each.down, each.table]) for each in picture.components)
    deep = any(max(values) > 255 for values in picture.quantisation.values())
    head = picture.height.to_bytes(2, "big") + picture.width.to_bytes(2, "big") + bytes([len(picture.components)])
    segment(0xC1 if deep else 0xC0, b"\x08" + head + parts)
    for number, (counts, symbols) in COMMON.items():
        segment(0xC4, bytes([number]) + counts + symbols)
    if picture.restart_interval:
        segment(0xDD, picture.restart_interval.to_bytes(2, "big"))
    for scanned in [picture.components] if interleaved else [[each] for each in picture.components]:
        chosen = b"".join(bytes([each.number, 0x00]) for each in scanned)
        segment(0xDA, bytes([len(scanned)]) + chosen + b"\x00\x3f\x00")
        out += _entropy(scanned, picture.restart_interval)
    return bytes(out) + b"\xff\xd9" + trailer


def _entropy(scanned: Sequence[Component], interval: int) -> bytes:
    dc = {value: code for code, value in _codes(*COMMON[0x00]).items()}
    ac = {value: code for code, value in _codes(*COMMON[0x10]).items()}
    out, predicted = bytearray(), [0] * len(scanned)
    bits: list[str] = []

    def flush() -> None:
        text = "".join(bits)
        text += "1" * (-len(text) % 8)
        out.extend(bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8)).replace(b"\xff", b"\xff\x00"))
        bits.clear()

    for index, mcu in enumerate(_order(scanned)):
        if interval and index and index % interval == 0:
            flush()
            out += bytes([0xFF, 0xD0 + (index // interval - 1) % 8])
            predicted = [0] * len(scanned)
        for part, row, column in mcu:
            block = [int(value) for value in scanned[part].blocks[row, column]]
            bits.append(_coded(dc, 0, block[0] - predicted[part]))
            predicted[part] = block[0]
            run = 0
            for at in range(1, 64):
                if not block[at]:
                    run += 1
                    continue
                bits.extend([ac[0xF0]] * (run // 16))
                bits.append(_coded(ac, run % 16, block[at]))
                run = 0
            if run:
                bits.append(ac[0x00])
    flush()
    return bytes(out)


def _coded(table: dict[int, str], run: int, value: int) -> str:
    size = abs(value).bit_length()
    text = f"{value if value > 0 else value + (1 << size) - 1:0{size}b}" if size else ""
    return table[run << 4 | size] + text


def invented(
    width: int,
    height: int,
    sampling: Sequence[tuple[int, int]],
    seed: int = 1,
    *,
    step: int = 12,
    numbers: Sequence[int] = (1, 2, 3, 4),
) -> Jpeg:
    """Return a picture of soft random patches with any sampling; ``step`` is the quantiser of every coefficient."""
    rng = np.random.default_rng(seed)
    picture = frame(width, height, [(numbers[at], *sampling[at], 0) for at in range(len(sampling))])
    picture.quantisation = {0: [step] * 64}
    for each in picture.components:
        each.blocks[..., 0] = rng.integers(-300 // step, 300 // step + 1, each.blocks.shape[:2])
        each.blocks[..., 1:6] = rng.integers(-max(1, 40 // step), max(1, 40 // step) + 1, (*each.blocks.shape[:2], 5))
    return picture


def pillow_reads(content: bytes) -> Image.Image:
    import io

    with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        image.load()
        return image.copy()
