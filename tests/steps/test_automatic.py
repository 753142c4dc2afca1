"""Rules of automatic settings: bounded, monotone, the same again; and what the stages make of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.frontends.table import FRONT_ENDS
from models.sizes import SIZES, SizeName
from nanowakeword.errors import ConfigError
from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.__main__ import main
from steps.automatic import (
    choose_batch,
    choose_copies,
    choose_learning_rate,
    choose_partial_copies,
    choose_size,
    choose_steps,
)
from steps.automatic_training import settle_training
from steps.closure import CHECKOUT
from steps.derived import read_derived
from steps.measured import word_to_rest_db
from steps.overlay import dump_tree, lay_over, load_tree
from steps.settings import Train, parse_settings
from steps.stage import run_stage
from steps.verifier import verifier_config
from steps.windows import POOLS
from tests.steps.toy import workspace
from tests.steps.toy_features import write_features

ROWS = {"positive": 3302, "partial": 1311, "speech": 9000, "noise": 1200, "neighbour": 0}
COUNTS = st.integers(min_value=1, max_value=10**7)
AUTO_BATCH = {"positive": "auto", "partial": "auto", "speech": "auto", "noise": "auto", "neighbour": 0}


def train_settings(**over: Any) -> Train:
    tree = load_tree(CHECKOUT / "params.yaml")
    lay_over(tree, {"train": over}, known={})
    return parse_settings(dump_tree(tree), source="a test").train


class TestRules:
    def test_the_default_data_gives_the_settings_that_were_best_there(self) -> None:
        """2,400 clips of the phrase, of which 1,651 are for training."""
        assert choose_copies(1_651).value == 2
        assert choose_partial_copies(490, 2) == 2
        settled, _ = settle_training(train_settings(), ROWS)
        assert (settled.steps, settled.learning_rate_max) == (600, 0.002)
        assert settled.batch_composition == {"positive": 68, "partial": 20, "speech": 85, "noise": 19, "neighbour": 0}

    @given(COUNTS, COUNTS)
    def test_fewer_clips_get_no_fewer_copies(self, one: int, other: int) -> None:
        few, many = sorted((one, other))
        assert 2 <= choose_copies(many).value <= choose_copies(few).value <= 40

    @given(COUNTS, st.integers(min_value=2, max_value=40))
    def test_parts_of_the_phrase_stay_in_proportion(self, n_partials: int, copies: int) -> None:
        found = choose_partial_copies(n_partials, copies)
        assert 1 <= found <= copies
        assert found == 1 or found * n_partials < 1_500

    @given(COUNTS, COUNTS, st.integers(min_value=1, max_value=4_096))
    def test_more_windows_get_no_fewer_steps(self, one: int, other: int, batch: int) -> None:
        few, many = sorted((one, other))
        steps = [choose_steps(count, batch).value for count in (few, many)]
        assert 300 <= steps[0] <= steps[1] <= 2_000
        assert all(isinstance(count, int) and count % 50 == 0 for count in steps)

    @pytest.mark.parametrize("frontend", FRONT_ENDS)
    @given(one=COUNTS, other=COUNTS)
    def test_more_windows_get_no_smaller_networks(self, frontend: str, one: int, other: int) -> None:
        order: tuple[str, ...] = get_args(SizeName)
        few, many = (order.index(choose_size(frontend, count).value) for count in sorted((one, other)))
        assert few <= many

    @pytest.mark.parametrize(
        ("frontend", "clips", "size"),
        [
            ("logmel", 8, "medium"),
            ("logmel", 1_651, "medium"),
            ("speech_embedding", 8, "small"),
            ("speech_embedding", 6_624, "small"),
            ("wakehubert", 8, "tiny"),
            ("wakehubert", 20, "small"),
            ("wakehubert", 6_624, "small"),
        ],
    )
    def test_clips_get_the_networks_that_missed_least(self, frontend: str, clips: int, size: str) -> None:
        assert choose_size(frontend, clips * choose_copies(clips).value).value == size

    @given(COUNTS, COUNTS)
    def test_larger_batches_get_no_lower_learning_rate(self, one: int, other: int) -> None:
        few, many = sorted((one, other))
        assert 0.0005 <= choose_learning_rate(few).value <= choose_learning_rate(many).value <= 0.004

    @given(
        st.fixed_dictionaries({pool: st.integers(min_value=0, max_value=10**7) for pool in POOLS}),
        st.fixed_dictionaries({pool: st.just("auto") | st.integers(min_value=0, max_value=400) for pool in POOLS}),
    )
    def test_a_batch_takes_of_each_pool_that_has_rows_and_keeps_what_is_set(
        self, rows: dict[str, int], asked: dict[str, int | str]
    ) -> None:
        derived = choose_batch(rows, asked)
        assert derived == choose_batch(rows, asked)
        found = {item.name.rpartition(".")[2]: item.value for item in derived}
        assert set(found) == {pool for pool, count in asked.items() if count == "auto"}
        for pool, count in found.items():
            assert (count > 0) == (pool == "positive" or rows[pool] > 0)
        if set(asked.values()) == {"auto"} and any(rows[pool] for pool in POOLS[1:]):
            assert abs(sum(found.values()) - 192) <= len(POOLS)
        others = sorted((rows[pool], count) for pool, count in found.items() if pool != "positive")
        assert [count for _, count in others] == sorted(count for _, count in others)


class TestTraining:
    def test_what_the_user_sets_wins(self) -> None:
        asked = {**AUTO_BATCH, "noise": 30}
        settled, derived = settle_training(train_settings(steps=77, batch_composition=asked), ROWS)
        assert settled.steps == 77
        assert settled.batch_composition["noise"] == 30
        assert [item.name for item in derived] == [
            "train.batch_composition.positive",
            "train.batch_composition.partial",
            "train.batch_composition.speech",
            "train.learning_rate_max",
        ]

    def test_nothing_is_derived_where_all_is_set(self) -> None:
        batch = {"positive": 8, "speech": 8}
        settled, derived = settle_training(
            train_settings(steps=77, learning_rate_max=0.01, batch_composition=batch), ROWS
        )
        assert (settled.steps, settled.learning_rate_max, settled.batch_composition) == (77, 0.01, batch)
        assert derived == []

    def test_a_batch_of_one_class_is_refused(self) -> None:
        train = train_settings(batch_composition={"positive": 8, "neighbour": "auto"})
        with pytest.raises(ConfigError, match=r"train\.batch_composition; .*expected some of partial, speech, noise"):
            settle_training(train, ROWS)

    def test_a_warm_up_is_shorter_than_the_steps_derived(self) -> None:
        train = train_settings(lr_scheduler_type="cosine", warmup_steps=400)
        assert settle_training(train, ROWS)[0].steps == 600
        with pytest.raises(ConfigError, match=r"train\.warmup_steps; got 400; expected fewer than train\.steps, 300"):
            settle_training(train, {**ROWS, "positive": 500})

    def test_the_stage_tells_reports_and_keeps_what_it_derived(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        tree = load_tree(CHECKOUT / "params.yaml")
        train = {"steps": 6, "layer_size": 4, "members": 1, "checkpoint_every_steps": 3, "device": "cpu"}
        features = {"frontends": ["speech_embedding"], "gate_frontend": "speech_embedding"}
        lay_over(tree, {"train": train, "features": features}, known={})
        (tmp_path / "params.yaml").write_text(dump_tree(tree), encoding="utf-8")
        write_features(tmp_path / "artifacts/features/features.zarr", frontends=("speech_embedding",), rows=80)
        run_stage("train", root=tmp_path)
        run_stage("average", root=tmp_path)
        told, report = capsys.readouterr().err, (tmp_path / "artifacts/train/report.md").read_text()
        assert "automatic: train.batch_composition.positive 68: of 192" in told
        assert "| train.batch_composition.positive | `68` | automatic: of 192" in report
        assert "| train.steps | `6` | user |" in report
        found = read_derived(tmp_path / "artifacts/train")
        assert found["train.learning_rate_max"]["value"] == 0.002
        reason = "missed least on speech_embedding"
        assert found["train.size.speech_embedding"] == {"value": "small", "reason": reason}
        assert "train.steps" not in found


class TestNetworks:
    """Of the detector."""

    def networks(self, **train: Any) -> tuple[list[int], list[str]]:
        tree = load_tree(CHECKOUT / "params.yaml")
        lay_over(tree, {"train": train}, known={})
        config, derived = verifier_config(parse_settings(dump_tree(tree), source="a test"), {**ROWS, "positive": 320})
        return [network.layer_size for network in config.networks], [item.name for item in derived]

    def test_each_front_end_has_its_size(self) -> None:
        assert choose_size("wakehubert", 320).reason == "320 windows of the phrase; small from 800 on"
        expected = ["train.size.speech_embedding", "train.size.wakehubert"]
        assert self.networks() == ([SIZES["tcn"].small[0], SIZES["tcn"].tiny[0]], expected)
        assert self.networks(layer_size=9)[0] == [9, 9]

    def test_a_size_that_is_set_is_that_of_all(self) -> None:
        assert self.networks(size="medium") == ([SIZES["tcn"].medium[0]] * 2, [])

    def test_joined_front_ends_have_one_head(self) -> None:
        assert self.networks(fusion="joined") == ([SIZES["tcn"].small[0]], ["train.size.speech_embedding"])


class TestAugment:
    def test_copies_follow_the_clips(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        over: dict[str, Any] = {"negatives": 16, "noise": 8, "workers": 1, "window_s": 2.0, "rooms": 2}
        root = workspace(tmp_path, {"augment": over}, each=2)
        run_stage("augment", root=root)
        out = root / "artifacts/augment"
        summary = json.loads((out / "summary.json").read_text())
        assert read_derived(out)["augment.copies"]["value"] == 40
        assert summary["windows"]["train"]["phrase"] == 2 * 40
        assert summary["windows"]["validation"]["phrase"] == 2 * 40
        measured = summary["measured"]["train"]
        assert (measured["clips"], measured["voices"], measured["recordings"]) == (2, 2, 0)
        assert measured["seconds"] == pytest.approx([0.70, 0.72, 0.75], abs=0.011)
        assert measured["snr_db"] == sorted(measured["snr_db"])
        told = capsys.readouterr().err
        assert "automatic: augment.copies 40: 2 clips of the phrase make 80 windows" in told
        assert "train: 2 clips of the phrase by 2 voices" in told


@pytest.mark.parametrize("snr_db", [-6.0, 0.0, 12.0, 40.0])
def test_the_signal_to_noise_ratio_of_a_window(snr_db: float) -> None:
    rng = np.random.default_rng(5)
    noise = 30.0 * rng.standard_normal(2 * SAMPLE_RATE_HZ)
    word = slice(SAMPLE_RATE_HZ // 2, SAMPLE_RATE_HZ)
    audio = noise.copy()
    audio[word] += 30.0 * 10 ** (snr_db / 20) * rng.standard_normal(SAMPLE_RATE_HZ // 2)
    found = word_to_rest_db(np.round(audio).astype(np.int16), start=word.start, end=word.stop)
    assert found == [pytest.approx(snr_db, abs=1.0)]


def test_a_window_that_is_all_word_has_no_ratio() -> None:
    assert word_to_rest_db(np.ones(100, np.int16), start=-5, end=100) == []


def test_check_names_what_is_automatic(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--workspace", str(CHECKOUT)]) == 0
    told = capsys.readouterr().out
    assert "automatic, derived from the data by augment and train: augment.copies, train.size, train.steps, " in told
    assert "train.device" not in told
