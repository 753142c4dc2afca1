"""The whole measurement, on a model whose scores are known."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from nanowakeword.arrays import Samples
from nanowakeword.errors import AudioError, ConfigError
from nanowakeword.evaluation import (
    Babble,
    Recording,
    Report,
    evaluate,
    find_recordings,
    format_report,
    score_positives,
    score_recordings,
)
from nanowakeword.evaluation.babble import active_rms
from nanowakeword.evaluation.streams import Joined, join
from nanowakeword.graph import Graph
from nanowakeword.stream import ScoreStream
from tests.nanowakeword.audio_files import write_wav
from tests.tiny_model import silence, tone


def unreadable() -> Samples:
    raise AudioError("broken.wav is cut short")


def clip(amplitude: int, seconds: float = 0.8) -> Recording:
    samples = np.concatenate([silence(0.3), tone(seconds, amplitude=amplitude), silence(0.3)])
    return Recording.of_array(samples, name=f"clip {amplitude}")


def noise(seconds: float, *, level: float = 300.0, seed: int = 0) -> Recording:
    rng = np.random.default_rng(seed)
    samples = np.rint(rng.normal(scale=level, size=round(seconds * 16_000))).astype(np.int16)
    return Recording.of_array(samples, name=f"noise {seed}")


BROKEN = Recording(name="broken.wav", read=unreadable)
POSITIVES = [clip(amplitude) for amplitude in (2_000, 5_000, 7_000, 8_000, 8_192)]
# Half an hour with three beeps of falling loudness.
NEGATIVES = [
    *[noise(100, seed=seed) for seed in range(18)],
    *[clip(amplitude, seconds=0.5) for amplitude in (6_500, 4_500, 3_000)],
    BROKEN,
]


@pytest.fixture(scope="module")
def report(tiny: Graph) -> Report:
    return evaluate(tiny, positives=POSITIVES, negatives=NEGATIVES, budgets_fa_per_hour=(0.5, 2.0, 4.0))


def test_points(report: Report) -> None:
    assert report.hours == pytest.approx((1_800 + 3 * 1.1) / 3_600)
    assert (report.positives, report.negatives, report.phrase, report.model) == (5, 21, "beep", "beep")
    by_name = {point.name: point for point in report.points}
    assert list(by_name) == ["0.5 per hour", "2 per hour", "4 per hour", "model's own"]
    # Scores of the three beeps: 0.79, 0.55, 0.37; of the clips: 0.24, 0.61, 0.85, 0.98, 1.
    assert by_name["0.5 per hour"].threshold == pytest.approx(6_500 / 8_192, abs=2e-3)
    assert by_name["0.5 per hour"].false_accepts.count == 0
    assert by_name["0.5 per hour"].misses["clean"].count == 2
    assert by_name["2 per hour"].threshold == pytest.approx(4_500 / 8_192, abs=2e-3)
    assert by_name["2 per hour"].false_accepts.count == 1
    assert by_name["2 per hour"].misses["clean"].count == 1
    assert by_name["4 per hour"].threshold == pytest.approx(3_000 / 8_192, abs=2e-3)
    assert by_name["model's own"].threshold == 0.75
    assert by_name["model's own"].misses["clean"].count == 2
    assert by_name["0.5 per hour"].note is not None
    assert by_name["2 per hour"].note is None


def test_recordings_to_listen_to(report: Report) -> None:
    assert [item.name for item in report.hard_clips["clean"]] == [
        f"clip {a}" for a in (2_000, 5_000, 7_000, 8_000, 8_192)
    ]
    assert [item.name for item in report.hard_negatives[:3]] == ["clip 6500", "clip 4500", "clip 3000"]
    # The first score of each is that of its first whole hop.
    assert report.hard_negatives[0].score == pytest.approx(6_500 / 8_192, abs=2e-3)
    assert 0.3 < report.hard_negatives[0].at_s < 0.8
    assert [item.name for item in report.left_out] == ["broken.wav"]


def test_the_report_as_json_and_as_text(report: Report) -> None:
    content = json.loads(report.to_json())
    assert content["confidence"] == 0.95
    assert content["points"][1]["misses"]["clean"]["count"] == 1
    assert content["curve"][0]["fa_per_hour"] == 0.0
    assert content["left_out"] == [{"name": "broken.wav", "reason": "broken.wav is cut short"}]
    text = format_report(report)
    assert "5 recordings of the phrase, 21 without it, 0.50 h" in text
    assert "0.5 per hour  0.793" in text
    assert "40.0 % (5.3-85.3), 2 of 5" in text
    assert "2.00 (0.05-11.12), 1 seen" in text.replace("1.99", "2.00").replace("11.13", "11.12").replace(
        "11.11", "11.12"
    )
    assert "Note on 0.5 per hour: 0.5 h are too few" in text
    assert "Left out, 1 recordings that cannot be read:\n  broken.wav is cut short\n" in text


def test_names_that_are_no_text_survive_json(tiny: Graph) -> None:
    odd = Recording(name="\udcff.wav", read=unreadable)
    report = evaluate(tiny, positives=[POSITIVES[0]], negatives=[noise(1), odd])
    assert json.loads(report.to_json())["left_out"][0]["name"] == "\udcff.wav"


def test_another_threshold(tiny: Graph) -> None:
    report = evaluate(tiny, positives=POSITIVES, negatives=[noise(10)], threshold=0.5, budgets_fa_per_hour=(1.0,))
    assert (report.points[-1].name, report.points[-1].threshold) == ("given", 0.5)
    assert report.points[-1].misses["clean"].count == 1
    with pytest.raises(ConfigError, match="bad threshold"):
        evaluate(tiny, positives=POSITIVES, negatives=[noise(1)], threshold=50)


def test_nothing_usable_is_an_error(tiny: Graph) -> None:
    with pytest.raises(AudioError, match=r"none of 2 recordings can be used; the first: broken\.wav is cut short"):
        evaluate(tiny, positives=[BROKEN, BROKEN], negatives=[noise(1)])
    with pytest.raises(AudioError, match="none of 1 recordings"):
        evaluate(tiny, positives=POSITIVES, negatives=[BROKEN])
    with pytest.raises(AudioError, match="none of 0 recordings"):
        evaluate(tiny, positives=POSITIVES, negatives=[])


def test_progress_is_told_to_the_end(tiny: Graph) -> None:
    told: list[tuple[str, int, int]] = []
    evaluate(
        tiny,
        positives=POSITIVES,
        negatives=[noise(70), noise(70), BROKEN],
        babble_snr_db=10.0,
        progress=lambda what, done, total: told.append((what, done, total)),
    )
    assert told == [
        ("phrase", 5, 5),
        ("phrase, babble 10 dB", 5, 5),
        ("other recordings", 2, 3),
        ("other recordings", 3, 3),
    ]


def test_threads_change_nothing(tiny: Graph) -> None:
    recordings = [noise(70, level=5_000, seed=seed) for seed in range(6)]
    one, four = (score_recordings(tiny, recordings, gap_s=0.5, seed=3, threads=threads) for threads in (1, 4))
    for first, second in zip(one.streams, four.streams, strict=True):
        np.testing.assert_array_equal(first.scores, second.scores)
        assert first.placements == second.placements


def test_streams_are_scored_as_the_runtime_hears_them(tiny: Graph) -> None:
    scores = score_recordings(tiny, POSITIVES, gap_s=0.5, seed=3)
    (joined,) = join(POSITIVES, gap_s=0.5, seed=3, leave_out=print)
    np.testing.assert_array_equal(scores.streams[0].scores, ScoreStream(tiny).feed(joined.audio))
    assert scores.names == [recording.name for recording in POSITIVES]
    assert scores.seconds == pytest.approx(5 * 1.4)


def test_an_error_in_a_thread_is_raised(tiny: Graph) -> None:
    def fail(joined: Joined) -> Joined:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_recordings(tiny, POSITIVES, gap_s=0.5, seed=3, mix=fail)


def test_clips_stand_farther_apart_than_the_model_looks_back(tiny: Graph) -> None:
    scores = score_positives(tiny, POSITIVES, tail_s=0.5, seed=1)
    places = scores.streams[0].placements
    assert min(b.start - a.stop for a, b in itertools.pairwise(places)) >= 2 * 16_000


def test_active_level_ignores_the_silence_around() -> None:
    voiced = tone(0.8, amplitude=4_000)
    alone = active_rms(voiced)
    assert alone == pytest.approx(4_000 / np.sqrt(2), rel=1e-3)
    assert active_rms(np.concatenate([silence(2), voiced, silence(3)])) == pytest.approx(alone, rel=1e-3)
    assert active_rms(silence(1)) == 0.0
    assert active_rms(voiced[:10]) > 0


@pytest.mark.parametrize("snr_db", [20.0, 10.0, 0.0])
def test_babble_lies_at_the_asked_level_under_each_clip(snr_db: float) -> None:
    clips = [clip(amplitude) for amplitude in (500, 2_000, 8_000)]
    (joined,) = join(clips, gap_s=1.0, seed=1, leave_out=print)
    babble = Babble([noise(3, level=50.0 * 2**seed, seed=seed) for seed in range(8)], snr_db=snr_db, seed=4)
    mixed = babble.mix(joined)
    assert mixed.placements == joined.placements
    assert mixed.audio.dtype == np.int16
    for place in joined.placements:
        part = slice(place.start, place.stop)
        noise_part = mixed.audio[part].astype(float) - joined.audio[part]
        level = 20 * np.log10(active_rms(joined.audio[part]) / np.sqrt(np.mean(noise_part**2)))
        assert level == pytest.approx(snr_db, abs=0.1)
    assert babble.name == f"babble {snr_db:g} dB"
    np.testing.assert_array_equal(babble.mix(joined).audio, mixed.audio)


def test_babble_turns_loud_mixtures_down_instead_of_clipping_them() -> None:
    (joined,) = join([clip(32_000)], gap_s=1.0, seed=1, leave_out=print)
    mixed = Babble([noise(5)], snr_db=0.0, seed=1).mix(joined).audio.astype(int)
    assert np.abs(mixed).max() in {32_766, 32_767}
    assert (np.abs(mixed) >= 32_766).sum() < 5


def test_babble_needs_something_that_sounds() -> None:
    quiet = Recording.of_array(silence(1.0), name="quiet")
    for speech in ([], [quiet], [BROKEN]):
        with pytest.raises(AudioError, match="no speech for babble"):
            Babble(speech, snr_db=10.0, seed=1)
    assert Babble([quiet, BROKEN, noise(1)], snr_db=10.0, seed=1).name == "babble 10 dB"


def test_babble_makes_hearing_harder(tiny: Graph) -> None:
    # A tone just off the model's own disturbs it.
    t = np.arange(16_000 * 5) / 16_000
    disturber = Recording.of_array(np.rint(5_000 * np.sin(2 * np.pi * 300 * t)).astype(np.int16), name="hum")
    voice = Recording.of_array(tone(5.0, amplitude=5_000), name="beeps")
    for speech, heard in ((disturber, 0), (voice, 1)):
        report = evaluate(tiny, positives=[clip(3_000)], negatives=[speech], babble_snr_db=0.0, threshold=0.5)
        misses = report.points[-1].misses
        assert misses["clean"].count == 1
        assert 1 - misses["babble 0 dB"].count == heard


def test_real_folders(tiny: Graph, tmp_path: Path) -> None:
    for amplitude in (2_000, 8_000):
        write_wav(tmp_path / "yes" / f"{amplitude}.wav", clip(amplitude).read())
    write_wav(tmp_path / "no" / "a.wav", noise(5).read())
    (tmp_path / "no" / "b.wav").write_bytes(b"RIFF")
    report = evaluate(
        tiny, positives=find_recordings(tmp_path / "yes"), negatives=find_recordings(tmp_path / "no"), threshold=0.5
    )
    assert report.points[-1].misses["clean"].count == 1
    assert [item.name for item in report.left_out] == ["b.wav"]
