"""States of streams lie in rows: nobody's row is anybody else's, whoever comes and goes."""

from __future__ import annotations

import numpy as np

from serving.slots import Slots


def test_rows_keep_their_states_while_the_arrays_grow() -> None:
    slots = Slots([3, 2])
    rows = []
    for number in range(100):
        row = slots.take()
        rows.append(row)
        first, second = slots.gather([row])
        assert not first.any()
        assert not second.any()
        slots.scatter([row], [first + number, second - number])
    assert len(set(rows)) == len(slots) == 100
    order = np.random.default_rng(0).permutation(rows)
    first, second = slots.gather(order.tolist())
    np.testing.assert_array_equal(first, np.repeat(order[:, None], 3, axis=1))
    np.testing.assert_array_equal(second, -np.repeat(order[:, None], 2, axis=1))


def test_a_row_that_was_given_back_is_zeros_for_the_next_stream() -> None:
    slots = Slots([1])
    rows = [slots.take() for _ in range(3)]
    slots.scatter(rows, [np.ones((3, 1), np.float32)])
    slots.give_back(rows[2])
    slots.give_back(rows[0])
    assert len(slots) == 1
    assert slots.take() == rows[0], "the lowest, so that rows in use stay together"
    assert slots.gather(rows)[0].tolist() == [[0.0], [1.0], [1.0]]


def test_rows_of_streams_that_were_never_judged() -> None:
    slots = Slots([1])
    rows = [slots.take() for _ in range(20)]
    slots.give_back(rows[15])
    assert slots.take() == rows[15], "there is no array for it yet"
    assert not slots.gather(rows)[0].any()


def test_what_is_gathered_is_a_copy() -> None:
    slots = Slots([1])
    row = slots.take()
    slots.gather([row])[0][:] = 5.0
    assert slots.gather([row])[0].item() == 0.0
