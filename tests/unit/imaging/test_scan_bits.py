"""Where the bits of a row end in a scan, and how the rest follows what was encoded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.imaging import scan_bits
from cleanplate.imaging.scan_bits import tail_of_scan


def stuffed(bits: str) -> bytes:
    filled = bits + "1" * (-len(bits) % 8)
    return int(filled or "0", 2).to_bytes(len(filled) // 8, "big").replace(b"\xff", b"\xff\x00")


def random_bits(seed: int, count: int, ones: float = 0.5) -> str:
    return "".join("01"[value] for value in (np.random.default_rng(seed).random(count) < ones).astype(int))


@given(
    seed=st.integers(0, 10**6),
    before=st.integers(0, 900),
    fresh=st.integers(0, 900),
    unsent=st.integers(0, 64),
    ahead=st.integers(0, 8),
    ones=st.sampled_from([0.5, 0.95]),
    mark=st.booleans(),
)
def test_the_rest_follows_to_the_bit(
    seed: int, before: int, fresh: int, unsent: int, ahead: int, ones: float, mark: bool
) -> None:
    """``before`` is replaced by ``fresh`` bits; the encoder has not yet sent its last, the decoder has read ahead."""
    old, new = random_bits(seed + 2, before, ones), random_bits(seed + 3, fresh, ones)
    common, tail = random_bits(seed, 2000, ones), random_bits(seed + 1, 900, ones)
    content = stuffed(old + common + tail) + (b"\xff\xd9behind" if mark else b"")
    sent = (new + common)[: -unsent or None]
    written = stuffed(sent[: len(sent) // 8 * 8])
    at = len(stuffed(old + common)) + ahead
    at += content[at - 1 : at + 1] == b"\xff\x00"

    pieces = tail_of_scan(content, at, written[-200:])

    assert pieces is not None
    result = (written + b"".join(pieces)).replace(b"\xff\x00", b"\xff")
    expected = new + common + tail
    assert f"{int.from_bytes(result, 'big'):0{8 * len(result)}b}"[: len(expected)] == expected
    # Both encoders fill up their last byte.
    assert len(result) - len(expected) / 8 < 2


@pytest.mark.parametrize("period", ["0", "10", "110010", "00101000101000101000101000101010"])
def test_a_scan_that_repeats_itself_is_not_certain(period: str) -> None:
    content = stuffed(period * (4000 // len(period)))
    assert tail_of_scan(content, 400, content[:300]) is None


def test_too_little_or_other_bits_are_not_certain() -> None:
    content = stuffed(random_bits(1, 8000))
    assert tail_of_scan(content, 700, content[600:650]) is None
    assert tail_of_scan(content, 700, stuffed(random_bits(2, 2000))) is None
    assert tail_of_scan(content, 700, content[500:700]) is not None


def test_another_marker_than_the_end_is_not_certain() -> None:
    content = stuffed(random_bits(1, 8000))
    for marker in (b"\xff\xdc\x00\x04", b"\xff\xd0", b"\xff\xff\xd9"):
        assert tail_of_scan(content + marker, 700, content[500:700]) is None


def test_pieces_meet_where_a_stuffed_byte_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    content = stuffed(random_bits(5, 20_000, 0.97))
    monkeypatch.setattr(scan_bits, "_PIECE", 3)
    at = content.index(b"\xff\x00", 800)
    pieces = tail_of_scan(content, at, content[at - 300 : at])
    assert pieces is not None
    assert b"".join(pieces) == content[at:]


def test_the_first_half_of_a_mark_is_no_picture() -> None:
    content = stuffed(random_bits(1, 8000, 0.4))
    pieces = tail_of_scan(content + b"\xff", 700, content[500:700])
    assert pieces is not None
    assert b"".join(pieces) == content[700:]
