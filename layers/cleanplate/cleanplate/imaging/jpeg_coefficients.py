"""One JPEG as its DCT coefficients: crops of it, blocks painted again, the whole written again. For ``jpeg_worker``.

The photo flows through: each row of MCUs is decoded into memory, and encoded from there. Only the rows around those that
are painted on are held together; all of them in a photo of several scans, or one whose Huffman tables fit only itself and
have to be made again.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from ctypes import byref, c_int, c_ubyte, c_uint, c_ulong, c_void_p

#: ``typing`` takes as long to import as all the rest; type checkers know this name.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleanplate.imaging.libjpeg import (
        BLOCK_BYTES,
        LAST_BYTES,
        Arrays,
        Component,
        Compress,
        Libjpeg,
        Memory,
        Output,
        OwnArrays,
        has_complete_tables,
        separate_scans,
    )
    from cleanplate.imaging.scan_bits import tail_of_scan
else:
    # In the worker this is no package.
    from libjpeg import (
        BLOCK_BYTES,
        LAST_BYTES,
        Arrays,
        Libjpeg,
        Memory,
        Output,
        OwnArrays,
        has_complete_tables,
        separate_scans,
    )
    from scan_bits import tail_of_scan

_GREY, _RGB, _CMYK = 1, 2, 4
_BLOCK = 8
#: What ``jpeg_consume_input`` returns.
_END_OF_IMAGE, _ROW_COMPLETED, _SCAN_COMPLETED = 2, 3, 4

#: Rows of MCUs that are held above and below those that are painted on: crops are widened by one on either side, and by
#: one more for the colours.
_AROUND = 2

#: Bytes of the file that may be in memory, whole pages.
_IN_MEMORY = 1 << 20

Box = tuple[int, int, int, int]


class _Plane:
    """The rows of blocks of one component: ``held`` rows of MCUs all together, any other as long as it is the last read."""

    def __init__(self, across: int, down: int, held: range) -> None:
        self._stride, self._down, self._held = across * BLOCK_BYTES, down, held
        self._kept = Memory(len(held) * down * self._stride)
        self._passing = Memory(down * self._stride)

    def row(self, row: int, *, fresh: bool = False) -> int:
        """Return the address of a row of blocks; zeroed, if it shall be read ``fresh``."""
        mcu, within = divmod(row, self._down)
        if mcu in self._held:
            return self._kept.address + (row - self._held.start * self._down) * self._stride
        address = self._passing.address + within * self._stride
        if fresh:
            ctypes.memset(address, 0, self._stride)
        return address


class Photo:
    """The photo whose bytes the file descriptor ``source`` gives, as coefficients."""

    def __init__(self, library: str, source: int) -> None:
        self._jpeg = Libjpeg(library)
        self._cinfo = self._jpeg.decompressor()
        # Mapped and not read: the descriptor's position is shared with the other process.
        content = mmap.mmap(source, 0, access=mmap.ACCESS_COPY)
        self._bytes = content
        self._content = (c_ubyte * len(content)).from_buffer(content)
        self._jpeg.lib.jpeg_mem_src(byref(self._cinfo), self._content, c_ulong(len(content)))
        self._jpeg.lib.jpeg_read_header(byref(self._cinfo), c_int(1))
        self._parts = [self._cinfo.comp_info[index] for index in range(self._cinfo.num_components)]
        self._mcu = (
            _BLOCK * max(part.h_samp_factor for part in self._parts),
            _BLOCK * max(part.v_samp_factor for part in self._parts),
        )
        self._mcus = self._in_mcus(0, self._cinfo.image_width, 0), self._in_mcus(0, self._cinfo.image_height, 1)

    def _in_mcus(self, start: int, end: int, axis: int) -> int:
        return int(-(-(end - start) // self._mcu[axis]))

    def head(self) -> bytes:
        """Return what the header says, as it is answered."""
        sides = self._cinfo.image_width, self._cinfo.image_height
        sampling = [side for part in self._parts for side in (part.h_samp_factor, part.v_samp_factor)]
        return struct.pack(f"<{2 + len(sampling)}I", *sides, *sampling)

    def look(self) -> bytes:
        """Decode at an eighth and return whether blocks are missing and whether the end mark is, a byte each."""
        warnings, cinfo, lib = self._jpeg.collect_warnings(), self._cinfo, self._jpeg.lib
        cinfo.scale[:] = 1, 8
        lib.jpeg_start_decompress(byref(cinfo))
        row = (c_ubyte * (cinfo.output_width * max(cinfo.output_components)))()
        while cinfo.output_scanline < cinfo.output_height:
            lib.jpeg_read_scanlines(byref(cinfo), byref(c_void_p(ctypes.addressof(row))), c_uint(1))
        partial = not all(part.quant_table for part in self._parts)
        # Arithmetic coding leaves out zeros at its end: without the mark nobody knows whether all is there.
        fine = not cinfo.arith_code and not (cinfo.progressive_mode and any(cinfo.coef_bits[: 64 * len(self._parts)]))
        lib.jpeg_finish_decompress(byref(cinfo))
        words = b" ".join(warnings.values())
        endless = b"Premature end of JPEG file" in words
        return bytes([partial or b"premature end of data segment" in words or (endless and not fine), endless])

    def begin(self, top: int, bottom: int) -> None:
        """Make ready to read. The rows of pixels from ``top`` to ``bottom`` and some around them will stay in memory."""
        cinfo, lib = self._cinfo, self._jpeg.lib
        # With this the library reads when it is told to, and puts coefficients into arrays, which are ours.
        cinfo.buffered_image = 1
        self._arrays = Arrays(cinfo, lambda part, row: self._planes[part].row(row, fresh=True))
        lib.jpeg_start_decompress(byref(cinfo))
        self._several_scans = bool(lib.jpeg_has_multiple_scans(byref(cinfo)))
        self._own_tables = not self._several_scans and not cinfo.arith_code and has_complete_tables(cinfo)
        self._held = range(self._mcus[1])
        if not self._several_scans and (self._own_tables or cinfo.arith_code):
            self._held = self._held[max(0, top // self._mcu[1] - _AROUND) : self._in_mcus(0, bottom, 1) + _AROUND]
        self._planes = [
            _Plane(self._mcus[0] * part.h_samp_factor, part.v_samp_factor, self._held) for part in self._parts
        ]
        self._rows_read = self._forgotten = 0
        if self._several_scans:
            # What the last of them says of restart markers holds.
            self._read_to(self._mcus[1])

    def _read_to(self, row: int) -> None:
        """Read rows of MCUs until there are so many."""
        while self._rows_read < row:
            got = self._jpeg.lib.jpeg_consume_input(byref(self._cinfo))
            self._forget_file()
            if got == _END_OF_IMAGE:
                self._rows_read = self._mcus[1]
            elif got in (_ROW_COMPLETED, _SCAN_COMPLETED) and not self._several_scans:
                self._rows_read += 1

    def _position(self) -> int:
        """Return how far the file has been read."""
        return int(self._cinfo.src.contents.next_input_byte) - ctypes.addressof(self._content)

    def _forget_file(self) -> None:
        """Have no more than a little of the file in memory."""
        if self._position() - self._forgotten > _IN_MEMORY:
            self._bytes.madvise(mmap.MADV_DONTNEED, self._forgotten, _IN_MEMORY)
            self._forgotten += _IN_MEMORY

    def _blocks(self, part: Component, box: Box) -> Box:
        """Return ``box`` in blocks of one component."""
        wide, high = self._mcu
        left, top = box[0] // wide * part.h_samp_factor, box[1] // high * part.v_samp_factor
        right = left + -(-(box[2] - box[0]) * part.h_samp_factor // wide)
        return left, top, right, top + -(-(box[3] - box[1]) * part.v_samp_factor // high)

    def block_counts(self, box: Box) -> list[int]:
        """Return for each component how many blocks the whole MCUs of ``box`` have."""
        mcus = self._in_mcus(box[0], box[2], 0) * self._in_mcus(box[1], box[3], 1)
        return [mcus * part.h_samp_factor * part.v_samp_factor for part in self._parts]

    def crop(self, box: Box, answer: Callable[[memoryview], None]) -> None:
        """Give ``answer`` a JPEG of the blocks in ``box``: not a copy, as it may be large."""
        self._read_to(self._in_mcus(0, box[3], 1))
        out = self._jpeg.compressor(self._cinfo, box[2] - box[0], box[3] - box[1])
        scans = separate_scans(out, self._parts)
        places = [self._blocks(part, box)[:2] for part in self._parts]

        def locate(part: int, row: int) -> int:
            left, top = places[part]
            return self._planes[part].row(top + row) + left * BLOCK_BYTES

        arrays = Arrays(out, locate)
        buffer, size = c_void_p(), c_ulong()
        self._jpeg.lib.jpeg_mem_dest(byref(out), byref(buffer), byref(size))
        self._jpeg.lib.jpeg_write_coefficients(byref(out), arrays.handles)
        self._jpeg.lib.jpeg_finish_compress(byref(out))
        answer(memoryview((c_ubyte * size.value).from_address(buffer.value or 0)))
        self._destroy(out, buffer)
        del scans

    def _destroy(self, out: Compress, buffer: c_void_p) -> None:
        self._jpeg.libc.free(buffer)
        self._jpeg.lib.jpeg_destroy_compress(byref(out))

    def put(self, box: Box, pixels: bytes, touched: list[bytes]) -> None:
        """Encode ``pixels`` and take over the blocks that are ``touched``."""
        out = self._jpeg.compressor(self._cinfo, box[2] - box[0], box[3] - box[1])
        out.in_color_space = {1: _GREY, 3: _RGB, 4: _CMYK}[out.num_components]
        scans = separate_scans(out, self._parts)
        # With this the library keeps all coefficients until it has seen the last; they are all that is wanted of it.
        out.optimize_coding = 1
        fresh = OwnArrays(out)
        buffer, size = c_void_p(), c_ulong()
        self._jpeg.lib.jpeg_mem_dest(byref(out), byref(buffer), byref(size))
        self._jpeg.lib.jpeg_start_compress(byref(out), c_int(1))
        stride = out.image_width * out.num_components
        start = ctypes.cast(ctypes.c_char_p(pixels), c_void_p).value or 0
        rows = (c_void_p * out.image_height)(*(start + stride * row for row in range(out.image_height)))
        done = 0
        while done < out.image_height:
            rest = ctypes.addressof(rows) + done * ctypes.sizeof(c_void_p)
            done += self._jpeg.lib.jpeg_write_scanlines(byref(out), c_void_p(rest), c_uint(out.image_height - done))
        for index, marks in enumerate(touched):
            self._take_over(index, box, fresh, marks)
        fresh.free()
        self._destroy(out, buffer)
        del scans

    def _take_over(self, index: int, box: Box, fresh: OwnArrays, marks: bytes) -> None:
        part = self._parts[index]
        left, top, right, bottom = self._blocks(part, box)
        stride = -(-(right - left) // part.h_samp_factor) * part.h_samp_factor
        for row in range(bottom - top):
            line = marks[row * stride : row * stride + right - left]
            source = fresh.row(index, row)
            target = self._planes[index].row(top + row) + left * BLOCK_BYTES
            at = 0
            while (at := line.find(b"\xff", at)) >= 0:
                end = line.find(b"\x00", at)
                end = len(line) if end < 0 else end
                ctypes.memmove(target + at * BLOCK_BYTES, source + at * BLOCK_BYTES, (end - at) * BLOCK_BYTES)
                at = end

    def write(self, result: int, segments: bytes, paint: Callable[[], None], done: Callable[[], None]) -> None:
        """Write the photo with ``segments``; ``paint`` is called before the first row that is held is written, ``done``
        when all is written; this may end the process.
        """
        out, lib = self._jpeg.compressor(self._cinfo, self._cinfo.image_width, self._cinfo.image_height), self._jpeg.lib
        output = Output(self._jpeg, out, result)
        out.arith_code = self._cinfo.arith_code
        out.restart_interval = self._cinfo.restart_interval
        scans = None
        if self._cinfo.progressive_mode:
            lib.jpeg_simple_progression(byref(out))
        else:
            scans = separate_scans(out, self._parts)
            out.optimize_coding = not (out.arith_code or self._own_tables)
        if self._own_tables:
            self._jpeg.copy_huffman_tables(self._cinfo, out)
        out.write_JFIF_header = out.write_Adobe_marker = 0
        painted, before = False, 0

        def locate(part: int, row: int) -> int:
            nonlocal painted, before
            mcu = row // self._parts[part].v_samp_factor
            if not painted and mcu >= self._held.start:
                painted = True
                paint()
            if part == 0 and mcu == self._held.stop - 1:
                before = output.count
            if part == 0 and mcu == self._held.stop and self._copies(output, output.count - before):
                # There is no way back through the library, and nothing left to do.
                done()
                self._jpeg.libc.exit(0)
            self._read_to(mcu + 1)
            return self._planes[part].row(row)

        arrays = Arrays(out, locate)
        lib.jpeg_write_coefficients(byref(out), arrays.handles)
        at = 0
        while at < len(segments):
            size = int.from_bytes(segments[at + 2 : at + 4], "big")
            lib.jpeg_write_marker(
                byref(out), c_int(segments[at + 1]), segments[at + 4 : at + 2 + size], c_uint(size - 2)
            )
            at += 2 + size
        lib.jpeg_finish_compress(byref(out))
        del scans
        done()

    def _copies(self, output: Output, size: int) -> bool:
        """Write the rest of the photo as the bits that it is in the file, where they can be found; else return False.

        The last ``size`` bytes of ``output`` are of rows that nothing has changed, so the file has the same bits.
        """
        if not self._own_tables or self._cinfo.restart_interval or self._rows_read != self._held.stop:
            return False
        tail = tail_of_scan(self._bytes, self._position(), output.last(min(size, LAST_BYTES)))
        if tail is None:
            return False
        for piece in tail:
            output.add(piece)
        output.add(b"\xff\xd9")
        return True
