"""The last hops of a stream, by number."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nanowakeword.ring import HopRing
from nanowakeword.timing import HOP_SAMPLES

PIECES = st.lists(st.integers(0, 12), max_size=12)


def numbered(first: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Hops whose samples are their number."""
    return np.repeat(np.arange(first, first + count, dtype=np.int16), HOP_SAMPLES)


@given(capacity=st.integers(1, 9), pieces=PIECES, start=st.integers(0, 150), length=st.integers(0, 20))
def test_what_is_kept(capacity: int, pieces: list[int], start: int, length: int) -> None:
    ring = HopRing(capacity)
    for piece in pieces:
        ring.append(numbered(ring.hops, piece))
    assert ring.hops == sum(pieces)
    oldest = max(0, ring.hops - capacity)
    kept = ring.between(oldest, ring.hops)
    np.testing.assert_array_equal(kept, numbered(oldest, ring.hops - oldest))
    found = ring.between(start, start + length)
    wanted = numbered(0, ring.hops)[start * HOP_SAMPLES : (start + length) * HOP_SAMPLES]
    assert len(found) <= len(wanted)
    np.testing.assert_array_equal(found, wanted[len(wanted) - len(found) :])


def test_memory_is_bounded_and_cleared() -> None:
    ring = HopRing(3)
    for number in range(1_000):
        ring.append(numbered(number, 1))
        assert len(ring.between(0, 1_000)) <= 6 * HOP_SAMPLES
    ring.clear()
    assert ring.hops == 0
    assert not len(ring.between(0, 1_000))


def test_what_it_gives_is_a_copy() -> None:
    ring = HopRing(3)
    ring.append(numbered(5, 2))
    ring.between(0, 2)[:] = 9
    np.testing.assert_array_equal(ring.between(0, 2), numbered(5, 2))
