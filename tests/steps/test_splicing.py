"""Sounds are placed, cut and trimmed where they should be."""

from __future__ import annotations

import numpy as np
import pytest

from steps.splicing import add_at, cut, find_piece, find_word, fit
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
        found = find_piece(speech, np.random.default_rng(seed), n_samples=6_400)
        assert found is not None
        piece = cut(speech, found)
        assert 3_200 <= len(piece) <= 6_400 + 2 * 1_600
        assert piece[0] == piece[-1] == 0.0
    assert find_piece(words[0], np.random.default_rng(0), n_samples=9_000) is None


def test_a_word_is_found_with_30_ms_around_it() -> None:
    silence = np.zeros(8_000, np.float32)
    recorded = np.concatenate([silence, tone(0.5), silence])
    assert find_word(recorded) == (8_000 - 480, 16_000 + 480)
    assert np.array_equal(cut(recorded, (8_000 - 480, 16_000 + 480))[480:-480], tone(0.5))
    assert find_word(tone(0.5)) == (0, 8_000)
    assert find_word(silence) is None


def test_fit_cuts_or_pads() -> None:
    audio = np.ones(3, np.float32)
    assert fit(audio, n_samples=2).tolist() == [1, 1]
    assert fit(audio, n_samples=5).tolist() == [1, 1, 1, 0, 0]
