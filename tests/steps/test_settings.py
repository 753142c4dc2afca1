"""Settings: all errors at once, each with what was got and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from models.sizes import SIZES
from nanowakeword.errors import ConfigError
from steps.closure import CHECKOUT
from steps.settings import AUTOMATIC, Settings, load_settings

Edit = Callable[[dict[str, Any]], None]
MARGIN = {"weight": 1.0, "margin_pos": 3.0, "margin_neg": -3.0, "logit_reg_weight": 0.0, "logit_reg_margin": 6.0}


def load_edited(folder: Path, *edits: Edit) -> Settings:
    tree = YAML(typ="safe", pure=True).load((CHECKOUT / "params.yaml").read_text("utf-8"))
    for edit in edits:
        edit(tree)
    path = folder / "params.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(tree, stream)
    return load_settings(path)


def put(key: str, value: object) -> Edit:
    def edit(tree: dict[str, Any]) -> None:
        *sections, name = key.split(".")
        for section in sections:
            tree = tree[section]
        tree[name] = value

    return edit


def drop(key: str) -> Edit:
    def edit(tree: dict[str, Any]) -> None:
        *sections, name = key.split(".")
        for section in sections:
            tree = tree[section]
        del tree[name]

    return edit


def test_the_committed_settings_are_valid() -> None:
    settings = load_settings(CHECKOUT / "params.yaml")
    assert settings.wakeword.phrase == "hey nano"
    assert settings.wakeword.file_name == "hey_nano"
    assert settings.corpus.real == ()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (put("train.stepz", 3), 'train.stepz: unknown key; did you mean "steps"? (known: architecture, '),
        (put("train.isbl.alfa", 3), 'train.isbl.alfa: unknown key; did you mean "alpha"? (known: alpha, epsilon, '),
        (put("lerning", {}), "lerning: unknown key (known: seed, wakeword, "),
        (drop("export.opset"), "export.opset: missing"),
        (drop("train"), "train: missing"),
        (put("train", 5), "train: got 5; expected the settings architecture, size, "),
        (put("train", None), "train: got None; expected the settings architecture, "),
        (put("train.steps", 0), "train.steps: got 0; expected greater than 0, or auto"),
        (put("train.steps", "600"), "train.steps: got '600'; expected a valid integer, or auto"),
        (put("augment.copies", "atuo"), "augment.copies: got 'atuo'; expected a valid integer, or auto"),
        (
            put("train.batch_composition", {"positive": 8, "speech": "many"}),
            "train.batch_composition.speech: got 'many'; expected a valid integer, or auto",
        ),
        (
            put("distill.steps", "auto"),
            "distill.steps: got 'auto'; expected a valid integer; auto is for augment.copies, train.size, ",
        ),
        (put("distill.size", "auto"), "distill.size: got 'auto'; expected 'tiny', 'small' or 'medium'; auto is for "),
        (put("train.steps", 600.0), "train.steps: got 600.0; expected a valid integer"),
        (put("train.steps", True), "train.steps: got True; expected a valid integer"),
        (put("seed", -1), "seed: got -1; expected greater than or equal to 0"),
        (put("train.learning_rate_max", float("nan")), "train.learning_rate_max: got nan; expected a finite number"),
        (put("evaluate.babble_snr_db", float("inf")), "evaluate.babble_snr_db: got inf; expected a finite number"),
        (put("train.architecture", "lstmm"), "train.architecture: got 'lstmm'; expected one of bcresnet, cnn, "),
        (put("train.size", "huge"), "train.size: got 'huge'; expected 'tiny', 'small' or 'medium', or auto"),
        (put("train.n_blocks", 7), "train.n_blocks: got 7; "),
        (put("train.pooling", "mean"), "train.pooling: got 'mean'; expected 'average_max' or 'max'"),
        (
            put("distill.activation_function", "tanh"),
            "distill.activation_function: got 'tanh'; expected relu, gelu, silu",
        ),
        (put("synthesize.engines", {"kokro": 1.0}), "synthesize.engines.kokro: got 'kokro'; expected 'espeak', "),
        (put("synthesize.engines", {}), "synthesize.engines: got {}; "),
        (put("synthesize.engines", {"piper": 0}), "synthesize.engines.piper: got 0; expected greater than 0"),
        (put("synthesize.speed", [2.0, 1.0]), "synthesize.speed: got [2.0, 1.0]; expected [low, high] with 0.25 <= "),
        (put("corpus.split.test", 0.7), "corpus.split: shares add up to 1.1; expected 1"),
        (put("augment.window_s", 2.41), "augment.window_s: got 2.41 s; expected a multiple of 0.08 s, for example 2.4"),
        (put("augment.snr_db", [30, 0]), "augment.snr_db: got [30.0, 0.0]; expected [low, high] in dB"),
        (put("augment.snr_db", [3]), "augment.snr_db: got [3]; expected two numbers, [low, high]"),
        (put("augment.snr_db", [3, 4, 5]), "augment.snr_db: got [3, 4, 5]; expected two numbers, [low, high]"),
        (put("features.frontends", []), "features.frontends: got []; "),
        (put("features.frontends", ["logmel", "logmel"]), "features.frontends: got ['logmel', 'logmel']; expected"),
        (put("train.batch_composition", {"speech": 1}), "train.batch_composition: has no positive rows"),
        (put("train.batch_composition", {"positive": 1}), "train.batch_composition: has no negative rows"),
        (put("train.isbl.loss_floor", 3.0), "train.isbl: got loss_floor 3; expected at most loss_cap, 2"),
        (
            put("train.warmup_steps", 20),
            "train: got warmup_steps 20 with lr_scheduler_type onecycle, which warms up by",
        ),
        (
            put("train.margin", {**MARGIN, "wait": 1}),
            'train.margin.wait: unknown key; did you mean "weight"? (known: weight, ',
        ),
        (
            put("train.margin", {**MARGIN, "margin_neg": 4}),
            "train.margin: got margin_neg 4 and margin_pos 3; expected margin_neg below ",
        ),
        (put("train.loss_bias", 1.0), "train.loss_bias: got 1.0; expected less than 1"),
        (put("train.device", "gpu"), "train.device: got 'gpu'; expected 'auto', 'cpu' or 'cuda'"),
        (put("average.top_k", 9), "average.top_k: got 9; expected at most train.checkpoint_limit, 5"),
        (put("publish.budget_fa_per_hour", 0.7), "publish.budget_fa_per_hour: got 0.7; expected one of evaluate."),
        (put("wakeword.phrase", "  "), "wakeword.phrase: is empty; expected the words to listen for, "),
        (put("wakeword.phrase", "- '"), 'wakeword.phrase: got "- \'", which has no letter in it'),
        (put("wakeword.phrase", "hey 2 <b>"), "wakeword.phrase: got the characters '2 < >'; expected letters, "),
        (put("wakeword.phrase", "la " * 30), "wakeword.phrase: got 89 characters; expected at most 60"),
        (put("wakeword.phrase", 5), "wakeword.phrase: got 5; expected a valid string"),
        (put("wakeword.name", "a/b"), "wakeword.name: got 'a/b'; expected up to 64 letters, digits"),
    ],
)
def test_a_wrong_setting(tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_edited(tmp_path, edit)
    first, *lines = str(caught.value).splitlines()
    assert first == f"{tmp_path / 'params.yaml'}: 1 wrong setting"
    assert len(lines) == 1
    assert lines[0].startswith(f"  {message}")


def test_what_may_be_automatic(tmp_path: Path) -> None:
    """Every setting that is said to be, and no other number."""
    names = leaves(YAML(typ="safe", pure=True).load((CHECKOUT / "params.yaml").read_text("utf-8")))
    wrong = [put(name, "auto") for name in names if not name.startswith(("wakeword.", "corpus."))]
    with pytest.raises(ConfigError) as caught:
        load_edited(tmp_path, *wrong)
    refused = {line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]}
    taken = {name for name in names if name.startswith(AUTOMATIC)}
    assert "train.batch_composition.noise" in taken
    assert not refused & taken
    numbers = {name for name in names if name.startswith(("train.", "augment.", "distill.")) and "shares" not in name}
    assert {"distill.steps", "augment.rooms", "train.members", "distill.size"} <= refused & numbers


def leaves(tree: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of all settings, of mappings each key."""
    return [
        name
        for key, value in tree.items()
        for name in (leaves(value, f"{prefix}{key}.") if isinstance(value, dict) and value else [f"{prefix}{key}"])
    ]


def test_a_warm_up_is_shorter_than_each_training(tmp_path: Path) -> None:
    cosine = put("train.lr_scheduler_type", "cosine")
    assert load_edited(tmp_path, cosine, put("train.warmup_steps", 599)).train.warmup_steps == 599
    with pytest.raises(ConfigError, match=r"train.warmup_steps: got 300; expected fewer than .*, 300"):
        load_edited(tmp_path, cosine, put("train.warmup_steps", 300), put("distill.steps", 300))


def test_all_errors_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_edited(tmp_path, put("seed", "x"), put("train.stepz", 1), drop("export.opset"), put("wakeword.phrase", ""))
    first, *lines = str(caught.value).splitlines()
    assert first.endswith(": 4 wrong settings")
    assert [line.split(":")[0].strip() for line in lines] == ["seed", "wakeword.phrase", "train.stepz", "export.opset"]


@pytest.mark.parametrize(
    ("phrase", "kept", "file_name"),
    [
        ("  Ok   House ", "Ok House", "ok_house"),
        ("don't-stop", "don't-stop", "don_t_stop"),
        ("Grüß Gott", "Grüß Gott", "grüß_gott"),
        ("नमस्ते नैनो", "नमस्ते नैनो", "नमस्ते_नैनो"),  # vowel signs are marks, not letters
    ],
)
def test_phrases(tmp_path: Path, phrase: str, kept: str, file_name: str) -> None:
    wakeword = load_edited(tmp_path, put("wakeword.phrase", phrase)).wakeword
    assert wakeword.phrase == kept
    assert wakeword.file_name == file_name


def test_a_name_of_its_own(tmp_path: Path) -> None:
    assert load_edited(tmp_path, put("wakeword.name", "Nano-2")).wakeword.file_name == "Nano-2"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed: [1", "is not valid YAML"),
        (b"seed: 1\nseed: 2\n", "is not valid YAML"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"", "got a YAML NoneType; expected sections seed, wakeword, "),
        (b"- 1\n", "got a YAML list; expected sections seed, "),
        (b"!!python/object/apply:os.system ['true']", "is not valid YAML"),
    ],
)
def test_a_file_that_holds_no_settings(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no settings at .*absent.yaml"):
        load_settings(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match=r"cannot read settings .*: Is a directory"):
        load_settings(tmp_path)


def test_settings_do_not_change() -> None:
    settings = load_settings(CHECKOUT / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        settings.train.steps = 1


@pytest.mark.parametrize(
    ("spelling", "name"), [("LSTM", "lstm"), ("BcResNet", "bcresnet"), ("E-Branchformer", "e_branchformer")]
)
def test_usual_spellings_of_architectures_are_accepted(tmp_path: Path, spelling: str, name: str) -> None:
    assert load_edited(tmp_path, put("train.architecture", spelling)).train.architecture == name


def test_an_activation_is_refused_where_the_paper_fixes_it(tmp_path: Path) -> None:
    wrong = put("train.architecture", "lstm"), put("train.activation_function", "gelu")
    with pytest.raises(ConfigError, match=r"train\.activation_function: got 'gelu'; expected null: lstm has its own"):
        load_edited(tmp_path, *wrong)


def test_sizes_fill_what_is_left_open(tmp_path: Path) -> None:
    network = load_edited(tmp_path, put("distill.size", "medium"), put("distill.n_blocks", 1)).distill.network
    assert (network.layer_size, network.n_blocks, network.activation_function) == (SIZES["tcn"].medium[0], 1, "relu")
