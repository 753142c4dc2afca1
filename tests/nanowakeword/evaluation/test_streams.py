from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.arrays import Samples
from nanowakeword.errors import AudioError
from nanowakeword.evaluation.recordings import LeftOut, Recording, find_recordings
from nanowakeword.evaluation.streams import Joined, join
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ
from tests.nanowakeword.audio_files import write_wav
from tests.tiny_model import tone


def constant(n_samples: int, value: int = 1_000) -> Recording:
    return Recording.of_array(np.full(n_samples, value, np.int16), name=f"{n_samples}x{value}")


def unreadable() -> Samples:
    raise AudioError("broken.wav", got="nothing")


def join_all(recordings: list[Recording], *, gap_s: float = 0.5, seed: int = 1) -> tuple[list[Joined], list[LeftOut]]:
    left_out: list[LeftOut] = []
    return list(join(recordings, gap_s=gap_s, seed=seed, leave_out=left_out.append)), left_out


@settings(max_examples=25, deadline=None)
@given(
    seconds=st.lists(st.sampled_from([0.001, 0.5, 3.0, 59.0, 61.0, 200.0]), max_size=7),
    gap_s=st.sampled_from([0.0, 0.5, 2.0]),
)
def test_every_recording_is_in_one_stream_whole_with_gaps_around(seconds: list[float], gap_s: float) -> None:
    lengths = [max(1, round(s * SAMPLE_RATE_HZ)) for s in seconds]
    streams, _ = join_all([constant(n, value=500 + i) for i, n in enumerate(lengths)], gap_s=gap_s)
    placed = [(place, stream) for stream in streams for place in stream.placements]
    assert [place.index for place, _ in placed] == list(range(len(lengths)))
    assert [stream.number for stream in streams] == list(range(len(streams)))
    gap = round(gap_s * SAMPLE_RATE_HZ)
    for stream in streams:
        assert len(stream.audio) % HOP_SAMPLES == 0
        ends = [0, *(place.stop for place in stream.placements)]
        starts = [*(place.start for place in stream.placements), len(stream.audio)]
        for end, start in zip(ends, starts, strict=True):
            assert gap <= start - end < gap + HOP_SAMPLES
            assert np.abs(stream.audio[end:start]).max(initial=0) <= 6
        if any(place.stop - place.start > 60 * SAMPLE_RATE_HZ for place in stream.placements):
            assert len(stream.placements) == 1
    for (place, stream), n in zip(placed, lengths, strict=True):
        assert place.stop - place.start == n
        assert (stream.audio[place.start : place.stop] == 500 + place.index).all()


def test_streams_end_before_they_fill_memory() -> None:
    streams, _ = join_all([constant(30 * SAMPLE_RATE_HZ)] * 30)
    assert len(streams) == 5
    assert max(len(stream.audio) for stream in streams) < 300 * SAMPLE_RATE_HZ


def test_recordings_meet_hops_at_every_phase() -> None:
    (stream,) = join_all([constant(1_600)] * 60)[0]
    phases = {place.start % HOP_SAMPLES // 160 for place in stream.placements}
    assert len(phases) == 8


def test_the_same_seed_gives_the_same_streams() -> None:
    recordings = [constant(5_000), constant(7_000)]
    first, again, other = join_all(recordings)[0], join_all(recordings)[0], join_all(recordings, seed=2)[0]
    np.testing.assert_array_equal(first[0].audio, again[0].audio)
    assert first[0].placements == again[0].placements != other[0].placements


def test_what_cannot_be_read_is_told_and_left_out() -> None:
    recordings = [constant(1_000), Recording(name="broken.wav", read=unreadable), constant(1_000)]
    streams, left_out = join_all(recordings)
    assert [place.index for place in streams[0].placements] == [0, 2]
    assert left_out == [LeftOut(name="broken.wav", reason="broken.wav; got nothing")]


def test_recordings_are_read_when_their_turn_comes() -> None:
    read = []

    def track(number: int) -> Recording:
        def get() -> Samples:
            read.append(number)
            return np.ones(70 * SAMPLE_RATE_HZ, np.int16)

        return Recording(name=str(number), read=get)

    streams = join([track(0), track(1), track(2)], gap_s=0.5, seed=1, leave_out=print)
    next(streams)
    assert read == [0]


def test_nothing_gives_nothing() -> None:
    assert join_all([]) == ([], [])


def test_audio_files_are_found_in_all_subfolders_in_order(tmp_path: Path) -> None:
    for name in ("b/2.WAV", "b/1.wav", "a.wav", "c/d/e.flac", "c/d/f.opus", ".hidden.wav", "readme.txt", "list.csv"):
        write_wav(tmp_path / name, tone(0.01))
    (tmp_path / "folder.wav").mkdir()
    found = find_recordings(tmp_path)
    assert [item.name for item in found] == ["a.wav", "b/1.wav", "b/2.WAV", "c/d/e.flac", "c/d/f.opus"]
    np.testing.assert_array_equal(found[0].read(), tone(0.01))


def test_folders_without_recordings_are_errors(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no recordings in"):
        find_recordings(tmp_path)
    with pytest.raises(AudioError, match="got nothing there; expected a folder"):
        find_recordings(tmp_path / "missing")
    with pytest.raises(AudioError, match="got a file; expected a folder"):
        find_recordings(write_wav(tmp_path / "a.wav", tone(0.1)))
