"""Profiles for colours that a file states by other means: code points (ITU-T H.273), or a PNG's gAMA and cHRM.

Layout of a profile: ICC.1:2001-04, sections 6.1 to 6.5. Adaptation to its white: Bradford. PQ and HLG: ITU-R BT.2100.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

Row = tuple[float, float, float]
Matrix = tuple[Row, Row, Row]
#: x and y of white, red, green and blue.
Chromaticities = tuple[float, float, float, float, float, float, float, float]

_D65 = (0.3127, 0.3290)
_C = (0.310, 0.316)
#: H.273, table 2. Unspecified (2) is taken as BT.709's.
_PRIMARIES: dict[int, Chromaticities] = {
    1: (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
SRGB_PRIMARIES = _PRIMARIES[1]
#: H.273, table 3: exponents; the curves of television are taken as sRGB's, as viewers do with photos.
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
_PQ, _HLG = 16, 18
#: The names of what has more range than a display of ordinary brightness.
HIGH_RANGE = {_PQ: "pq", _HLG: "hlg"}

#: Nits of what is called white (BT.2408), and of the brightest that is told apart.
_WHITE_NITS, _PEAK_NITS = 203.0, 10_000.0
#: Linear light above this share of white is pressed together, so that highlights keep their drawing.
_KNEE = 0.7

_BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_D50 = (0.96420, 1.0, 0.82491)


def profile_of_code_points(primaries: int, transfer: int, *, grey: bool) -> bytes:
    """Return an ICC profile for these code points; empty where they are sRGB's, or unknown.

    For PQ and HLG it is one to convert with: its curve presses highlights into the range of a display.
    """
    chromaticities = _PRIMARIES.get(primaries, SRGB_PRIMARIES)
    if transfer in HIGH_RANGE:
        return _profile(chromaticities, 0.0, transfer, grey)
    return profile_of_gamma(chromaticities, _GAMMAS.get(transfer), grey=grey)


def profile_of_gamma(chromaticities: Chromaticities, gamma: float | None, *, grey: bool) -> bytes:
    """Return an ICC profile for these chromaticities and this exponent (None: sRGB's curve); empty where that is sRGB."""
    same = all(abs(a - b) < 0.002 for a, b in zip(chromaticities, SRGB_PRIMARIES, strict=True))
    if gamma is None and (same or grey):
        return b""
    try:
        return _profile(chromaticities, gamma or 0.0, 0, grey)
    except (ZeroDivisionError, OverflowError):
        return b""


@lru_cache(maxsize=16)
def _profile(chromaticities: Chromaticities, gamma: float, transfer: int, grey: bool) -> bytes:
    curve = _curve(gamma, transfer)
    tags = {
        b"desc": _description("Colours as the photo states them"),
        b"cprt": b"text\x00\x00\x00\x00" + b"No copyright\x00",
        b"wtpt": _xyz(_D50),
    }
    if grey:
        tags[b"kTRC"] = curve
    else:
        columns = zip(*_to_d50(chromaticities), strict=True)
        for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True):
            tags[name] = _xyz((column[0], column[1], column[2]))
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body = len(tags).to_bytes(4, "big"), b""
    start = 128 + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}
    for name, data in tags.items():
        if data not in places:
            places[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        table += name + places[data].to_bytes(4, "big") + len(data).to_bytes(4, "big")
    head = (start + len(body)).to_bytes(4, "big") + bytes(4) + b"\x02\x40\x00\x00" + b"mntr"
    head += (b"GRAY" if grey else b"RGB ") + b"XYZ " + bytes.fromhex("07ea00010001000000000000") + b"acsp" + bytes(28)
    head += _xyz(_D50)[8:] + bytes(48)
    return head + table + body


def _description(text: str) -> bytes:
    ascii_text = text.encode() + b"\x00"
    return b"desc\x00\x00\x00\x00" + len(ascii_text).to_bytes(4, "big") + ascii_text + bytes(8 + 3 + 67)


def _xyz(values: Row) -> bytes:
    return b"XYZ \x00\x00\x00\x00" + b"".join(round(value * 65_536).to_bytes(4, "big", signed=True) for value in values)


def _curve(gamma: float, transfer: int) -> bytes:
    if not transfer and gamma:
        return b"curv\x00\x00\x00\x00\x00\x00\x00\x01" + min(65_535, round(gamma * 256)).to_bytes(2, "big")
    light: Callable[[float], float] = {_PQ: _pq, _HLG: _hlg}.get(transfer, _srgb)
    count = 4096 if transfer else 1024
    levels = (min(65_535, max(0, round(65_535 * light(step / (count - 1))))) for step in range(count))
    return b"curv\x00\x00\x00\x00" + count.to_bytes(4, "big") + b"".join(level.to_bytes(2, "big") for level in levels)


def _srgb(signal: float) -> float:
    return signal / 12.92 if signal <= 0.04045 else float(((signal + 0.055) / 1.055) ** 2.4)


def _pq(signal: float) -> float:
    power = signal ** (32 / 2523)
    nits = 10_000 * (max(0.0, power - 107 / 128) / (2413 / 128 - 2392 / 128 * power)) ** (16_384 / 2610)
    return _pressed(nits, _PEAK_NITS)


def _hlg(signal: float) -> float:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = signal * signal / 3 if signal <= 0.5 else (2.718281828459045 ** ((signal - c) / a) + b) / 12
    return _pressed(1000 * scene**1.2, 1000.0)


def _pressed(nits: float, peak: float) -> float:
    """Light as a share of white, from the knee on bent so that ``peak`` becomes 1; it never stops rising."""
    light, most = nits / _WHITE_NITS, peak / _WHITE_NITS
    if light <= _KNEE:
        return light
    over, room = (light - _KNEE) / (1 - _KNEE), (most - _KNEE) / (1 - _KNEE)
    return _KNEE + (1 - _KNEE) * (over * (1 + over / room**2) / (1 + over))


def _to_d50(chromaticities: Chromaticities) -> Matrix:
    """Return the matrix from linear RGB to XYZ under the white of profiles."""
    white_x, white_y, *rest = chromaticities
    white = _multiply_row(_as_xyz(white_x, white_y), 1.0)
    columns = [_as_xyz(rest[at], rest[at + 1]) for at in (0, 2, 4)]
    raw = _transposed((columns[0], columns[1], columns[2]))
    scale = _apply(_inverse(raw), white)
    to_xyz: Matrix = tuple((row[0] * scale[0], row[1] * scale[1], row[2] * scale[2]) for row in raw)  # type: ignore[assignment]
    from_cone, to_cone = _apply(_BRADFORD, white), _apply(_BRADFORD, _D50)
    gains = [target / source for target, source in zip(to_cone, from_cone, strict=True)]
    scaled = tuple((row[0] * gain, row[1] * gain, row[2] * gain) for row, gain in zip(_BRADFORD, gains, strict=True))
    adapt = _product(_inverse(_BRADFORD), scaled)  # type: ignore[arg-type]
    return _product(adapt, to_xyz)


def _as_xyz(x: float, y: float) -> Row:
    return x / y, 1.0, (1 - x - y) / y


def _multiply_row(row: Row, by: float) -> Row:
    return row[0] * by, row[1] * by, row[2] * by


def _apply(matrix: Matrix, row: Row) -> Row:
    first, second, third = (sum(a * b for a, b in zip(line, row, strict=True)) for line in matrix)
    return first, second, third


def _transposed(matrix: Matrix) -> Matrix:
    first, second, third = zip(*matrix, strict=True)
    return first, second, third


def _product(left: Matrix, right: Matrix) -> Matrix:
    columns = _transposed(right)
    return _transposed((_apply(left, columns[0]), _apply(left, columns[1]), _apply(left, columns[2])))


def _inverse(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    rows = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    first, second, third = (_multiply_row((row[0], row[1], row[2]), 1 / determinant) for row in rows)
    return first, second, third
