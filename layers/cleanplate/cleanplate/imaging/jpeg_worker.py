"""A process that holds one JPEG as its DCT coefficients: hands out crops, takes painted blocks, writes the whole again.

Started by ``jpeg_blocks`` and by nothing else, as a script with ``LIBRARY SOURCE [RESULT]`` (path of a libjpeg,
inherited file descriptors). It needs a process of its own because libjpeg ends the program on an error, and because
whatever a damaged file does to it must not reach the function. Only the standard library is imported: it starts in
20 ms. The library is the one that Pillow's wheels bring (libjpeg-turbo with the interface of libjpeg 6.2, which has
been frozen since 1998: https://github.com/libjpeg-turbo/libjpeg-turbo/blob/main/README.md); it compares the size of
our structures with its own and refuses where they differ.

On standard input come commands, on standard output goes one answer for each: its length (8 bytes, little-endian), then
its bytes. The first answer comes unasked: width, height, then horizontal and vertical sampling of each component.

- ``crop`` left top right bottom: a JPEG of these blocks, coefficients unchanged.
- ``put`` left top right bottom, size of the pixels, the pixels, then for each component one byte a block (rows of whole MCUs):
  encodes the pixels with the photo's own tables and sampling and takes over the blocks whose byte is not 0.
- ``done``: writes the whole photo to RESULT, without any APPn segment.

Without RESULT there is one answer, unasked: two bytes, 1 where blocks are missing, and 1 where the end mark is.

Boxes are pixels, start on whole MCUs and end on one or at the photo's edge.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import sys
from ctypes import POINTER, byref, c_double, c_int, c_size_t, c_ubyte, c_uint, c_ulong, c_void_p
from typing import BinaryIO

_VERSION = 62
_POOL_OF_IMAGE = 1
_GREY, _RGB, _CMYK = 1, 2, 4
_BLOCK, _BLOCK_BYTES = 8, 128
#: A scan of several components holds no more blocks in an MCU.
_BLOCKS_IN_MCU = 10


class _Component(ctypes.Structure):
    _fields_ = [
        ("name", c_int * 2),
        ("h_samp_factor", c_int),
        ("v_samp_factor", c_int),
        ("tables_and_sizes", c_int * 15),
        ("quant_table", c_void_p),
        ("dct_table", c_void_p),
    ]


_Request = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_int, c_int, c_uint, c_uint, c_uint)
_Access = ctypes.CFUNCTYPE(POINTER(c_void_p), c_void_p, c_void_p, c_uint, c_uint, c_int)

_Emit = ctypes.CFUNCTYPE(None, c_void_p, c_int)
_Format = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)


class _Memory(ctypes.Structure):
    _fields_ = [
        ("alloc", c_void_p * 5),
        ("request_virt_barray", _Request),
        ("realize_virt_arrays", c_void_p),
        ("access_virt_sarray", c_void_p),
        ("access_virt_barray", _Access),
        ("rest", c_void_p * 4),
    ]


class _Common(ctypes.Structure):
    _fields_ = [
        ("err", c_void_p),
        ("mem", POINTER(_Memory)),
        ("progress_and_client", c_void_p * 2),
        ("kind_and_state", c_int * 2),
    ]


class _Scan(ctypes.Structure):
    _fields_ = [("comps_in_scan", c_int), ("component_index", c_int * 4), ("progression", c_int * 4)]


class _Decompress(ctypes.Structure):
    _fields_ = [
        ("common", _Common),
        ("src", c_void_p),
        ("image_width", c_uint),
        ("image_height", c_uint),
        ("num_components", c_int),
        ("jpeg_color_space", c_int),
        ("out_color_space", c_int),
        ("scale", c_uint * 2),
        ("settings_of_output", c_ubyte * (136 - 76)),
        ("output_width", c_uint),
        ("output_height", c_uint),
        ("output_components", c_int * 2),
        ("state_of_output", c_ubyte * (168 - 152)),
        ("output_scanline", c_uint),
        ("state_of_input", c_ubyte * (192 - 172)),
        ("coef_bits", POINTER(c_int)),
        ("quant_tbl_ptrs", c_void_p * 4),
        ("dc_huff_tbl_ptrs", c_void_p * 4),
        ("ac_huff_tbl_ptrs", c_void_p * 4),
        ("data_precision", c_int),
        ("comp_info", POINTER(_Component)),
        ("progressive_mode", c_int),
        ("arith_code", c_int),
        ("arith_conditioning", c_ubyte * 48),
        ("restart_interval", c_uint),
        ("rest", c_ubyte * (632 - 372)),
    ]


class _Compress(ctypes.Structure):
    _fields_ = [
        ("common", _Common),
        ("dest", c_void_p),
        ("image_width", c_uint),
        ("image_height", c_uint),
        ("input_components", c_int),
        ("in_color_space", c_int),
        ("input_gamma", c_double),
        ("data_precision", c_int),
        ("num_components", c_int),
        ("jpeg_color_space", c_int),
        ("comp_info", POINTER(_Component)),
        ("quant_tbl_ptrs", c_void_p * 4),
        ("dc_huff_tbl_ptrs", c_void_p * 4),
        ("ac_huff_tbl_ptrs", c_void_p * 4),
        ("arith_conditioning", c_ubyte * 48),
        ("num_scans", c_int),
        ("scan_info", POINTER(_Scan)),
        ("raw_data_in", c_int),
        ("arith_code", c_int),
        ("optimize_coding", c_int),
        ("ways_of_encoding", c_int * 3),
        ("restart_interval", c_uint),
        ("restart_in_rows", c_int),
        ("write_JFIF_header", c_int),
        ("version_and_density", c_ubyte * 8),
        ("write_Adobe_marker", c_int),
        ("rest", c_ubyte * (520 - 304)),
    ]


class _HuffmanTable(ctypes.Structure):
    _fields_ = [("bits_and_values", c_ubyte * (17 + 256)), ("sent_table", c_int)]


_Coefficients = POINTER(c_void_p)
Box = tuple[int, int, int, int]


class _Libjpeg:
    """The functions of the library that are used, with the error manager that ends the process."""

    def __init__(self, path: str) -> None:
        self.lib = ctypes.CDLL(path)
        self.libc = ctypes.CDLL(None)
        self.libc.fdopen.restype = c_void_p
        self.libc.fdopen.argtypes = [c_int, ctypes.c_char_p]
        self.libc.fflush.argtypes = self.libc.free.argtypes = [c_void_p]
        self.lib.jpeg_std_error.restype = c_void_p
        self.lib.jpeg_read_coefficients.restype = _Coefficients
        self._errors = ctypes.create_string_buffer(1024)
        self.lib.jpeg_std_error(self._errors)

    def collect_warnings(self) -> dict[int, bytes]:
        """Return what the library warns of from now on, by its number: numbers differ between versions, words do not."""
        said: dict[int, bytes] = {}
        # error_exit, emit_message, output_message, format_message, reset_error_mgr, msg_code
        functions, code = (c_void_p * 5).from_buffer(self._errors), c_int.from_buffer(self._errors, 40)
        in_words = _Format(functions[3] or 0)

        def note(cinfo: int, level: int) -> None:
            if level < 0 and code.value not in said:
                text = ctypes.create_string_buffer(200)
                in_words(cinfo, ctypes.addressof(text))
                said[code.value] = text.value

        self._note = _Emit(note)
        functions[1] = ctypes.cast(self._note, c_void_p)
        return said

    def decompressor(self) -> _Decompress:
        cinfo = _Decompress()
        cinfo.common.err = ctypes.addressof(self._errors)
        self.lib.jpeg_CreateDecompress(byref(cinfo), c_int(_VERSION), c_size_t(ctypes.sizeof(cinfo)))
        return cinfo

    def compressor(self, source: _Decompress) -> _Compress:
        """Return one with the tables, sampling and colour space of ``source``."""
        cinfo = _Compress()
        cinfo.common.err = ctypes.addressof(self._errors)
        self.lib.jpeg_CreateCompress(byref(cinfo), c_int(_VERSION), c_size_t(ctypes.sizeof(cinfo)))
        self.lib.jpeg_copy_critical_parameters(byref(source), byref(cinfo))
        return cinfo


def _row(cinfo: _Decompress | _Compress, array: int | None, row: int, *, writable: bool = False) -> int:
    """Return the address of one row of blocks."""
    memory = cinfo.common.mem.contents
    return int(memory.access_virt_barray(ctypes.addressof(cinfo), array, row, 1, writable)[0] or 0)


class Photo:
    """The photo whose bytes the file descriptor ``source`` gives, as coefficients."""

    def __init__(self, library: str, source: int) -> None:
        self._jpeg = _Libjpeg(library)
        self._cinfo = self._jpeg.decompressor()
        # Mapped and not read: the descriptor's position is shared with the other process.
        content = mmap.mmap(source, 0, access=mmap.ACCESS_COPY)
        self._content = (c_ubyte * len(content)).from_buffer(content)
        self._jpeg.lib.jpeg_mem_src(byref(self._cinfo), self._content, c_ulong(len(content)))
        self._jpeg.lib.jpeg_read_header(byref(self._cinfo), c_int(1))
        self._parts = [self._cinfo.comp_info[index] for index in range(self._cinfo.num_components)]
        self._across = max(part.h_samp_factor for part in self._parts)
        self._down = max(part.v_samp_factor for part in self._parts)

    def head(self) -> bytes:
        sides = self._cinfo.image_width, self._cinfo.image_height
        sampling = [side for part in self._parts for side in (part.h_samp_factor, part.v_samp_factor)]
        return struct.pack(f"<{2 + len(sampling)}I", *sides, *sampling)

    def look(self) -> bytes:
        """Decode at an eighth and return whether blocks are missing and whether the end mark is, a byte each."""
        said, cinfo, lib = self._jpeg.collect_warnings(), self._cinfo, self._jpeg.lib
        cinfo.scale[:] = 1, 8
        lib.jpeg_start_decompress(byref(cinfo))
        row = (c_ubyte * (cinfo.output_width * max(cinfo.output_components)))()
        while cinfo.output_scanline < cinfo.output_height:
            lib.jpeg_read_scanlines(byref(cinfo), byref(c_void_p(ctypes.addressof(row))), c_uint(1))
        partial = not all(part.quant_table for part in self._parts)
        # Arithmetic coding leaves out zeros at its end: without the mark nobody knows whether all is there.
        fine = not cinfo.arith_code and not (cinfo.progressive_mode and any(cinfo.coef_bits[: 64 * len(self._parts)]))
        lib.jpeg_finish_decompress(byref(cinfo))
        words = b" ".join(said.values())
        endless = b"Premature end of JPEG file" in words
        return bytes([partial or b"premature end of data segment" in words or (endless and not fine), endless])

    def read(self) -> None:
        self._coefficients = self._jpeg.lib.jpeg_read_coefficients(byref(self._cinfo))

    def _blocks(self, part: _Component, box: Box) -> Box:
        """Return ``box`` in blocks of one component."""
        wide, high = _BLOCK * self._across, _BLOCK * self._down
        left, top = box[0] // wide * part.h_samp_factor, box[1] // high * part.v_samp_factor
        right = left + -(-(box[2] - box[0]) * part.h_samp_factor // wide)
        return left, top, right, top + -(-(box[3] - box[1]) * part.v_samp_factor // high)

    def block_counts(self, box: Box) -> list[int]:
        """Return for each component how many blocks the whole MCUs of ``box`` have."""
        mcus = -(-(box[2] - box[0]) // (_BLOCK * self._across)) * -(-(box[3] - box[1]) // (_BLOCK * self._down))
        return [mcus * part.h_samp_factor * part.v_samp_factor for part in self._parts]

    def crop(self, box: Box) -> bytes:
        out = self._jpeg.compressor(self._cinfo)
        out.image_width, out.image_height = box[2] - box[0], box[3] - box[1]
        self._separate_scans(out)
        request = out.common.mem.contents.request_virt_barray
        places = [self._blocks(part, box) for part in self._parts]
        arrays = (c_void_p * len(places))()
        for index, (part, (left, top, right, bottom)) in enumerate(zip(self._parts, places, strict=True)):
            wide = -(-(right - left) // part.h_samp_factor) * part.h_samp_factor
            high = -(-(bottom - top) // part.v_samp_factor) * part.v_samp_factor
            arrays[index] = request(ctypes.addressof(out), _POOL_OF_IMAGE, 1, wide, high, part.v_samp_factor)
        buffer, size = c_void_p(), c_ulong()
        self._jpeg.lib.jpeg_mem_dest(byref(out), byref(buffer), byref(size))
        self._jpeg.lib.jpeg_write_coefficients(byref(out), arrays)
        for index, (left, top, right, bottom) in enumerate(places):
            for row in range(bottom - top):
                source = _row(self._cinfo, self._coefficients[index], top + row)
                target = _row(out, arrays[index], row, writable=True)
                ctypes.memmove(target, source + left * _BLOCK_BYTES, (right - left) * _BLOCK_BYTES)
        return self._finished(out, buffer, size)

    def put(self, box: Box, pixels: bytes, touched: list[bytes]) -> None:
        encoded = self._encoded(box[2] - box[0], box[3] - box[1], pixels)
        small = self._jpeg.decompressor()
        self._jpeg.lib.jpeg_mem_src(byref(small), encoded, c_ulong(len(encoded)))
        self._jpeg.lib.jpeg_read_header(byref(small), c_int(1))
        fresh = self._jpeg.lib.jpeg_read_coefficients(byref(small))
        for index, (part, marks) in enumerate(zip(self._parts, touched, strict=True)):
            left, top, right, bottom = self._blocks(part, box)
            stride = -(-(right - left) // part.h_samp_factor) * part.h_samp_factor
            for row in range(bottom - top):
                line = marks[row * stride : row * stride + right - left]
                if not any(line):
                    continue
                source = _row(small, fresh[index], row)
                target = _row(self._cinfo, self._coefficients[index], top + row, writable=True)
                for at, mark in enumerate(line):
                    if mark:
                        ctypes.memmove(target + (left + at) * _BLOCK_BYTES, source + at * _BLOCK_BYTES, _BLOCK_BYTES)
        self._jpeg.lib.jpeg_destroy_decompress(byref(small))

    def _encoded(self, width: int, height: int, pixels: bytes) -> bytes:
        """Return ``pixels`` as a JPEG with the photo's tables and sampling."""
        out = self._jpeg.compressor(self._cinfo)
        out.image_width, out.image_height = width, height
        out.in_color_space = {1: _GREY, 3: _RGB, 4: _CMYK}[out.num_components]
        self._separate_scans(out)
        buffer, size = c_void_p(), c_ulong()
        self._jpeg.lib.jpeg_mem_dest(byref(out), byref(buffer), byref(size))
        self._jpeg.lib.jpeg_start_compress(byref(out), c_int(1))
        stride = width * out.num_components
        start = ctypes.cast(ctypes.c_char_p(pixels), c_void_p).value or 0
        rows = (c_void_p * height)(*(start + stride * row for row in range(height)))
        done = 0
        while done < height:
            rest = ctypes.addressof(rows) + done * ctypes.sizeof(c_void_p)
            done += self._jpeg.lib.jpeg_write_scanlines(byref(out), c_void_p(rest), c_uint(height - done))
        return self._finished(out, buffer, size)

    def _finished(self, out: _Compress, buffer: c_void_p, size: c_ulong) -> bytes:
        self._jpeg.lib.jpeg_finish_compress(byref(out))
        content = ctypes.string_at(buffer, size.value)
        self._jpeg.libc.free(buffer)
        self._jpeg.lib.jpeg_destroy_compress(byref(out))
        return content

    def write(self, result: int) -> None:
        out = self._jpeg.compressor(self._cinfo)
        file = self._jpeg.libc.fdopen(result, b"wb")
        self._jpeg.lib.jpeg_stdio_dest(byref(out), c_void_p(file))
        out.arith_code = self._cinfo.arith_code
        out.restart_interval = self._cinfo.restart_interval
        if self._cinfo.progressive_mode:
            self._jpeg.lib.jpeg_simple_progression(byref(out))
        else:
            self._separate_scans(out)
            out.optimize_coding = not (out.arith_code or self._has_common_tables(out))
        out.write_JFIF_header = out.write_Adobe_marker = 0
        self._jpeg.lib.jpeg_write_coefficients(byref(out), self._coefficients)
        self._jpeg.lib.jpeg_finish_compress(byref(out))
        if self._jpeg.libc.fflush(file):
            raise OSError("the result cannot be written")

    def _has_common_tables(self, out: _Compress) -> bool:
        """Return whether the photo was encoded with the standard's example tables, which fit every photo."""
        for ours, theirs in (
            (out.dc_huff_tbl_ptrs, self._cinfo.dc_huff_tbl_ptrs),
            (out.ac_huff_tbl_ptrs, self._cinfo.ac_huff_tbl_ptrs),
        ):
            for one, other in zip(ours, theirs, strict=True):
                if one and other:
                    size = _HuffmanTable.sent_table.offset
                    if ctypes.string_at(one, size)[1:273] != ctypes.string_at(other, size)[1:273]:
                        return False
        return True

    def _separate_scans(self, out: _Compress) -> None:
        """Give each component a scan of its own where their blocks are too many for one."""
        parts = self._parts
        if len(parts) == 1 or sum(part.h_samp_factor * part.v_samp_factor for part in parts) <= _BLOCKS_IN_MCU:
            return
        self._scans = (_Scan * len(parts))(
            *(_Scan(1, (c_int * 4)(index), (c_int * 4)(0, 63, 0, 0)) for index in range(len(parts)))
        )
        out.num_scans, out.scan_info = len(parts), self._scans


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError
    return data


def main(library: str, source: int, result: int | None = None) -> None:
    """Serve the commands until standard input ends; without ``result`` only look."""
    commands, answers = sys.stdin.buffer, sys.stdout.buffer

    def answer(content: bytes) -> None:
        answers.write(struct.pack("<Q", len(content)) + content)
        answers.flush()

    photo = Photo(library, source)
    if result is None:
        answer(photo.look())
        return
    answer(photo.head())
    photo.read()
    while name := commands.read(4):
        if name == b"done":
            photo.write(result)
            answer(b"")
            continue
        box = struct.unpack("<4I", _exactly(commands, 16))
        if name == b"crop":
            answer(photo.crop(box))
            continue
        pixels = _exactly(commands, *struct.unpack("<Q", _exactly(commands, 8)))
        photo.put(box, pixels, [_exactly(commands, size) for size in photo.block_counts(box)])
        answer(b"")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
