"""Sounds are placed, cut and trimmed where they should be."""

from __future__ import annotations

import numpy as np
import pytest

from steps.splicing import add_at, cut_piece, trim
from tests.steps.toy import tone


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (1, [0, 1, 2, 3, 0]),
        (-1, [2, 3, 0, 0, 0]),
        (3, [0, 0, 0, 1, 2]),
        (-3, [0, 0, 0, 0, 0]),
        (5, [0, 0, 0, 0, 0]),
    ],
)
def test_what_lies_within_the_canvas_is_added(start: int, expected: list[float]) -> None:
    canvas = np.zeros(5, np.float32)
    add_at(canvas, np.array([1, 2, 3], np.float32), start=start)
    assert canvas.tolist() == expected


def test_a_piece_is_cut_in_the_pauses() -> None:
    pause = np.zeros(1_600, np.float32)
    words = [tone(0.4, hertz) for hertz in (300.0, 500.0, 700.0)]
    speech = np.concatenate([words[0], pause, words[1], pause, words[2]])
    for seed in range(20):
        piece = cut_piece(speech, np.random.default_rng(seed), n_samples=6_400)
        assert 3_200 <= len(piece) <= 6_400 + 2 * 1_600
        assert piece[0] == piece[-1] == 0.0
    assert np.array_equal(cut_piece(words[0], np.random.default_rng(0), n_samples=9_000), words[0])


def test_trim_keeps_the_word_and_30_ms() -> None:
    silence = np.zeros(8_000, np.float32)
    trimmed = trim(np.concatenate([silence, tone(0.5), silence]))
    assert len(trimmed) == 8_000 + 2 * 480
    assert np.array_equal(trimmed[480:-480], tone(0.5))
    assert np.array_equal(trim(silence), silence)
