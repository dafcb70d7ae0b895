"""The libjpeg that Pillow's wheels bring, called by its C interface: for ``jpeg_worker``, in a process of its own.

libjpeg-turbo with the interface of libjpeg 6.2, which has been frozen since 1998
(https://github.com/libjpeg-turbo/libjpeg-turbo/blob/main/README.md); it compares the size of our structures with its own
and refuses where they differ. Nothing of ours is imported: the process must start fast.
"""

from __future__ import annotations

import ctypes
import mmap
from ctypes import POINTER, addressof, byref, c_double, c_int, c_size_t, c_ubyte, c_uint, c_void_p

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable

_VERSION = 62
BLOCK_BYTES = 128
#: What ``Output`` gathers before it writes, and how much of what it has written it remembers.
_OUTPUT_BYTES, LAST_BYTES = 1 << 18, 1 << 13
#: A scan of several components holds no more blocks in an MCU.
_BLOCKS_IN_MCU = 10
#: A Huffman table: how many codes have 1 to 16 bits (index 0 is unused), then what they stand for.
_COUNTS, _TABLE_BYTES = 17, 17 + 256
#: What codes stand for in a photo of 8 bits that is not progressive.
_DC_SYMBOLS = frozenset(range(12))
_AC_SYMBOLS = frozenset({0x00, 0xF0, *(run << 4 | size for run in range(16) for size in range(1, 11))})


class Component(ctypes.Structure):
    _fields_ = [
        ("name", c_int * 2),
        ("h_samp_factor", c_int),
        ("v_samp_factor", c_int),
        ("quant_tbl_no", c_int),
        ("dc_tbl_no", c_int),
        ("ac_tbl_no", c_int),
        ("sizes", c_int * 12),
        ("quant_table", c_void_p),
        ("dct_table", c_void_p),
    ]


class Source(ctypes.Structure):
    """Where a ``Decompress`` reads from."""

    _fields_ = [("next_input_byte", c_void_p), ("bytes_in_buffer", c_size_t)]


_Begin = ctypes.CFUNCTYPE(None, c_void_p)
_Empty = ctypes.CFUNCTYPE(c_int, c_void_p)


class _Destination(ctypes.Structure):
    _fields_ = [
        ("next_output_byte", c_void_p),
        ("free_in_buffer", c_size_t),
        ("init_destination", _Begin),
        ("empty_output_buffer", _Empty),
        ("term_destination", _Begin),
    ]


_Request = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_int, c_int, c_uint, c_uint, c_uint)
_Access = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_uint, c_uint, c_int)
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


class Scan(ctypes.Structure):
    _fields_ = [("comps_in_scan", c_int), ("component_index", c_int * 4), ("progression", c_int * 4)]


class Decompress(ctypes.Structure):
    _fields_ = [
        ("common", _Common),
        ("src", POINTER(Source)),
        ("image_width", c_uint),
        ("image_height", c_uint),
        ("num_components", c_int),
        ("jpeg_color_space", c_int),
        ("out_color_space", c_int),
        ("scale", c_uint * 2),
        ("output_gamma", c_double),
        ("buffered_image", c_int),
        ("settings_of_output", c_ubyte * (136 - 92)),
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
        ("comp_info", POINTER(Component)),
        ("progressive_mode", c_int),
        ("arith_code", c_int),
        ("arith_conditioning", c_ubyte * 48),
        ("restart_interval", c_uint),
        ("rest", c_ubyte * (632 - 372)),
    ]


class Compress(ctypes.Structure):
    _fields_ = [
        ("common", _Common),
        ("dest", POINTER(_Destination)),
        ("image_width", c_uint),
        ("image_height", c_uint),
        ("input_components", c_int),
        ("in_color_space", c_int),
        ("input_gamma", c_double),
        ("data_precision", c_int),
        ("num_components", c_int),
        ("jpeg_color_space", c_int),
        ("comp_info", POINTER(Component)),
        ("quant_tbl_ptrs", c_void_p * 4),
        ("dc_huff_tbl_ptrs", c_void_p * 4),
        ("ac_huff_tbl_ptrs", c_void_p * 4),
        ("arith_conditioning", c_ubyte * 48),
        ("num_scans", c_int),
        ("scan_info", POINTER(Scan)),
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


class Libjpeg:
    """The functions of the library that are used, with the error manager that ends the process."""

    def __init__(self, path: str) -> None:
        self.lib = ctypes.CDLL(path)
        self.libc = ctypes.CDLL(None)
        self.libc.write.restype = ctypes.c_ssize_t
        self.libc.write.argtypes = [c_int, c_void_p, c_size_t]
        self.libc.free.argtypes = [c_void_p]
        self.lib.jpeg_std_error.restype = self.lib.jpeg_alloc_huff_table.restype = c_void_p
        self._errors = ctypes.create_string_buffer(1024)
        self.lib.jpeg_std_error(self._errors)

    def collect_warnings(self) -> dict[int, bytes]:
        """Return what the library warns of from now on, by its number: numbers differ between versions, words do not."""
        warnings: dict[int, bytes] = {}
        # error_exit, emit_message, output_message, format_message, reset_error_mgr, msg_code
        functions, code = (c_void_p * 5).from_buffer(self._errors), c_int.from_buffer(self._errors, 40)
        in_words = _Format(functions[3] or 0)

        def note(cinfo: int, level: int) -> None:
            if level < 0 and code.value not in warnings:
                text = ctypes.create_string_buffer(200)
                in_words(cinfo, addressof(text))
                warnings[code.value] = text.value

        self._note = _Emit(note)
        functions[1] = ctypes.cast(self._note, c_void_p)
        return warnings

    def decompressor(self) -> Decompress:
        """Return one that has not begun."""
        cinfo = Decompress()
        cinfo.common.err = addressof(self._errors)
        self.lib.jpeg_CreateDecompress(byref(cinfo), c_int(_VERSION), c_size_t(ctypes.sizeof(cinfo)))
        return cinfo

    def compressor(self, source: Decompress, width: int, height: int) -> Compress:
        """Return one of this size in pixels, with the quantisation, sampling and colour space of ``source``."""
        cinfo = Compress()
        cinfo.common.err = addressof(self._errors)
        self.lib.jpeg_CreateCompress(byref(cinfo), c_int(_VERSION), c_size_t(ctypes.sizeof(cinfo)))
        self.lib.jpeg_copy_critical_parameters(byref(source), byref(cinfo))
        cinfo.image_width, cinfo.image_height = width, height
        return cinfo

    def copy_huffman_tables(self, source: Decompress, target: Compress) -> None:
        """Have ``target`` encode with the codes that ``source`` was encoded with."""
        for index in range(source.num_components):
            part = source.comp_info[index]
            target.comp_info[index].dc_tbl_no, target.comp_info[index].ac_tbl_no = part.dc_tbl_no, part.ac_tbl_no
        for ours, theirs in (
            (target.dc_huff_tbl_ptrs, source.dc_huff_tbl_ptrs),
            (target.ac_huff_tbl_ptrs, source.ac_huff_tbl_ptrs),
        ):
            for at, table in enumerate(theirs):
                if table:
                    ours[at] = ours[at] or self.lib.jpeg_alloc_huff_table(byref(target))
                    ctypes.memmove(ours[at], table, _TABLE_BYTES)


def has_complete_tables(cinfo: Decompress) -> bool:
    """Return whether the tables have a code for whatever a picture can hold, as those of most cameras have."""
    parts = [cinfo.comp_info[index] for index in range(cinfo.num_components)]
    return all(
        _has_codes(tables[number], symbols)
        for tables, symbols, numbers in (
            (cinfo.dc_huff_tbl_ptrs, _DC_SYMBOLS, {part.dc_tbl_no for part in parts}),
            (cinfo.ac_huff_tbl_ptrs, _AC_SYMBOLS, {part.ac_tbl_no for part in parts}),
        )
        for number in numbers
    )


def _has_codes(table: int | None, symbols: frozenset[int]) -> bool:
    content = ctypes.string_at(table, _TABLE_BYTES) if table else bytes(_TABLE_BYTES)
    return symbols.issubset(content[_COUNTS : _COUNTS + sum(content[1:_COUNTS])])


def separate_scans(out: Compress, parts: list[Component]) -> object:
    """Give each component a scan of its own where their blocks are too many for one. ``out`` needs the answer to stay."""
    if len(parts) == 1 or sum(part.h_samp_factor * part.v_samp_factor for part in parts) <= _BLOCKS_IN_MCU:
        return None
    scans = (Scan * len(parts))(*(Scan(1, (c_int * 4)(index), (c_int * 4)(0, 63, 0, 0)) for index in range(len(parts))))
    out.num_scans, out.scan_info = len(parts), scans
    return scans


class Output:
    """What a ``Compress`` writes into the open file ``descriptor``, from where that stands."""

    def __init__(self, jpeg: Libjpeg, cinfo: Compress, descriptor: int) -> None:
        self._write, self._descriptor = jpeg.libc.write, descriptor
        self._buffer = (c_ubyte * _OUTPUT_BYTES)()
        self._last = b""
        self._flushed = 0
        self._destination = _Destination(
            addressof(self._buffer), _OUTPUT_BYTES, _Begin(lambda _: None), _Empty(self._empty), _Begin(self._end)
        )
        cinfo.dest = ctypes.pointer(self._destination)

    @property
    def _used(self) -> int:
        return _OUTPUT_BYTES - int(self._destination.free_in_buffer)

    @property
    def count(self) -> int:
        """How many bytes have been written."""
        return self._flushed + self._used

    def last(self, size: int) -> bytes:
        """Return the last bytes, ``LAST_BYTES`` at most."""
        return (self._last + bytes(self._buffer[max(0, self._used - size) : self._used]))[-size:]

    def add(self, content: bytes) -> None:
        """Write ``content`` behind what the library has written. Raises ``OSError``."""
        self.flush()
        self._put(ctypes.cast(ctypes.c_char_p(content), c_void_p).value or 0, len(content))

    def flush(self) -> None:
        """Have everything in the file. Raises ``OSError``."""
        used = self._used
        self._last = self.last(LAST_BYTES)
        self._put(addressof(self._buffer), used)
        self._flushed += used
        self._destination.next_output_byte, self._destination.free_in_buffer = addressof(self._buffer), _OUTPUT_BYTES

    def _put(self, address: int, size: int) -> None:
        done = 0
        while done < size:
            written = self._write(self._descriptor, address + done, size - done)
            if written <= 0:
                raise OSError("the result cannot be written")
            done += written

    def _empty(self, _cinfo: int) -> int:
        # The library calls where all is used, whatever the fields say.
        self._destination.free_in_buffer = 0
        self.flush()
        return 1

    def _end(self, _cinfo: int) -> None:
        self.flush()


class Memory:
    """So many bytes, zero at first, at ``address``: pages that are never written are never there."""

    def __init__(self, size: int) -> None:
        self._pages = mmap.mmap(-1, max(1, size), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            try:  # noqa: SIM105 - contextlib takes 3 ms to import
                self._pages.madvise(mmap.MADV_HUGEPAGE)
            except OSError:
                # A matter of speed; not every kernel has them.
                pass
        self.address: int = addressof(c_ubyte.from_buffer(self._pages))


class Arrays:
    """The coefficients that a ``Decompress`` or ``Compress`` works on, held by us in the place of its own memory manager.

    ``locate`` tells the address of a row of blocks of a component, both counted from 0.
    """

    def __init__(self, cinfo: Decompress | Compress, locate: Callable[[int, int], int]) -> None:
        self._locate = locate
        self._requested = 0
        self._rows = [(c_void_p * 4)() for _ in range(4)]
        self._request, self._access = _Request(self._begin), _Access(self._find)
        manager = cinfo.common.mem.contents
        manager.request_virt_barray, manager.access_virt_barray = self._request, self._access
        #: What ``jpeg_write_coefficients`` wants: one handle for each component.
        self.handles = (c_void_p * 4)(1, 2, 3, 4)

    def add(self, across: int, down: int) -> None:
        """Take note of the next component's array, which will be of so many blocks."""

    def _begin(self, _cinfo: int, _pool: int, _zero: int, across: int, down: int, _rows: int) -> int:
        self.add(across, down)
        self._requested += 1
        return self._requested

    def _find(self, _cinfo: int, handle: int, start: int, count: int, _writable: int) -> int:
        rows = self._rows[handle - 1]
        for at in range(count):
            rows[at] = self._locate(handle - 1, start + at)
        return addressof(rows)


class OwnArrays(Arrays):
    """Arrays as large as the library asks for."""

    def __init__(self, cinfo: Compress) -> None:
        super().__init__(cinfo, self.row)
        self._planes: list[tuple[Memory, int]] = []

    def add(self, across: int, down: int) -> None:
        """Make room for the next component."""
        stride = across * BLOCK_BYTES
        self._planes.append((Memory(down * stride), stride))

    def row(self, part: int, row: int) -> int:
        """Return the address of a row of blocks."""
        memory, stride = self._planes[part]
        return memory.address + row * stride

    def free(self) -> None:
        """Give the memory back: callbacks that the library holds keep this object alive."""
        self._planes.clear()
