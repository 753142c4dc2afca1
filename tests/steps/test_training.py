"""Training, averaging, distillation: they learn, they resume to the same bits, they choose by validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.frontends.table import FRONT_ENDS
from models.sizes import Pooling, choose_network
from models.streaming import Head
from models.table import build_head
from nanowakeword.errors import ConfigError, ModelError
from steps.automatic_training import count_rows, settle_training
from steps.average import choose_weights
from steps.candidates import Candidates, find_candidates, stable_checkpoints
from steps.distill import SoftTargets
from steps.fusion import calibrate
from steps.losses import HardTargets
from steps.progress import Progress
from steps.settings import NegativesUp, load_settings
from steps.store import RowReader
from steps.train import keep_weights
from steps.training import TrainingJob, train_head
from steps.training_rows import dataset, standardise, used_rows
from steps.validation import Validation, score_rows, validate
from tests.steps.toy_features import POOLS, write_features

ROOT = Path(__file__).parents[2]
FRONT_END = "speech_embedding"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features") / "features.zarr"
    write_features(folder, frontends=(FRONT_END,))
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make_head(architecture: str = "tcn", *, pooling: Pooling = "average_max") -> Head:
    torch.manual_seed(4)
    return build_head(
        choose_network(architecture, layer_size=8, pooling=pooling),
        form=FRONT_ENDS[FRONT_END],
        members=2,
        dropout_prob=0.2,
    )


def make_job(store: Path, checkpoints: Path, *, steps: int = 40, **options: Any) -> TrainingJob:
    train = RowReader(store / "train")
    settled, _ = settle_training(load_settings(ROOT / "params.yaml").train, count_rows(train))
    settings = settled.model_copy(
        update={
            "batch_composition": {"positive": 8, "partial": 4, "speech": 4, "noise": 4},
            "checkpoint_every_steps": 10,
            "ema_decay": 0.9,
            **options,
        }
    )
    return TrainingJob(
        frontend=FRONT_END,
        train=train,
        validation=RowReader(store / "validation"),
        settings=settings,
        steps=steps,
        learning_rate_max=0.01,
        seed=3,
        checkpoints=checkpoints,
        loss=HardTargets(train["label"].all(), smoothing=0.0),
    )


def weights_of(head: Head) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in cast(nn.Module, head).state_dict().items()}


def test_it_learns_what_there_is_to_learn(store: Path, tmp_path: Path) -> None:
    head = make_head()
    before = validate(head, RowReader(store / "validation"), frontend=FRONT_END, fa_per_hour=60.0)
    trained = train_head(head, make_job(store, tmp_path), progress=Progress("train"))
    after = validate(head, RowReader(store / "validation"), frontend=FRONT_END, fa_per_hour=60.0)
    assert after.loss < 0.3 < before.loss
    assert after.positive_logit > 0 > after.negative_logit
    assert [entry["step"] for entry in trained.history] == [10, 20, 30, 40]
    assert len(trained.losses) == 40
    assert trained.history[-1]["miss_rate"] <= 0.2


def test_it_learns_by_the_best_frame(store: Path, tmp_path: Path) -> None:
    head = make_head(pooling="max")
    trained = train_head(head, make_job(store, tmp_path), progress=Progress("train"))
    assert trained.history[-1]["validation_loss"] < 0.5, "0.36 to 0.46 with other seeds"
    assert trained.history[-1]["positive_logit"] > 0 > trained.history[-1]["negative_logit"]


def test_a_killed_run_goes_on_to_the_same_bits(store: Path, tmp_path: Path) -> None:
    """Killed between two checkpoints: the loss raises at a step, as a signal would end it."""
    straight = make_head()
    trained = train_head(straight, make_job(store, tmp_path / "straight"), progress=Progress("train"))

    job = make_job(store, tmp_path / "killed")
    calls = 0

    def dies(logits: Tensor, rows: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 27:
            raise KeyboardInterrupt
        return job.loss(logits, rows)

    with pytest.raises(KeyboardInterrupt):
        train_head(make_head(), TrainingJob(**{**vars(job), "loss": dies}), progress=Progress("train"))
    resumed = make_head()
    assert train_head(resumed, job, progress=Progress("train")) == trained
    for key, value in weights_of(straight).items():
        assert torch.equal(value, weights_of(resumed)[key]), key
    assert not list(tmp_path.rglob("*.writing"))


def test_it_stops_when_nothing_gets_better_and_a_stopped_run_stays_stopped(store: Path, tmp_path: Path) -> None:
    job = make_job(store, tmp_path, steps=400, early_stopping=3, checkpoint_limit=2)
    head = make_head()
    trained = train_head(head, job, progress=Progress("train"))
    ranks = [(entry["miss_rate"], round(entry["validation_loss"], 3)) for entry in trained.history]
    best = ranks.index(min(ranks))
    assert len(ranks) == best + 4 < 40
    kept = [10 * (best + 1), trained.history[-2]["step"], trained.history[-1]["step"]]
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"step_{step:06d}.pt" for step in kept]
    again = make_head()
    assert train_head(again, job, progress=Progress("train")) == trained
    for key, value in weights_of(head).items():
        assert torch.equal(value, weights_of(again)[key]), key


def test_what_is_not_the_phrase_weighs_more_while_it_is_accepted(store: Path, tmp_path: Path) -> None:
    up = NegativesUp(fa_per_hour=0.0, factor=1.5, most=2.0)
    runs = {}
    for name, option in (("up", up), ("plain", None)):
        # So biased towards the phrase that nearly everything is accepted.
        job = make_job(store, tmp_path / name, loss_bias=0.02, negatives_up=option)
        runs[name] = train_head(make_head(), job, progress=Progress("train")).history
    assert all(entry["fa_per_hour"] > 0 for entry in runs["up"][:2])
    assert [entry["negative_weight"] for entry in runs["up"][:3]] == [1.5, 2.0, 2.0]
    assert [entry["negative_weight"] for entry in runs["plain"]] == [1.0] * 4
    assert runs["up"][0]["validation_loss"] == runs["plain"][0]["validation_loss"]
    assert runs["up"][-1]["negative_score"] < runs["plain"][-1]["negative_score"]


def test_it_learns_in_bfloat16_and_keeps_float32_weights(store: Path, tmp_path: Path) -> None:
    head = make_head()
    trained = train_head(head, make_job(store, tmp_path, precision="bfloat16"), progress=Progress("train"))
    assert trained.history[-1]["validation_loss"] < 0.3
    assert {value.dtype for value in weights_of(head).values()} <= {torch.float32, torch.int64}


def test_a_loss_that_is_no_number_is_an_error(store: Path, tmp_path: Path) -> None:
    job = TrainingJob(
        **{**vars(make_job(store, tmp_path)), "loss": lambda logits, _: logits.mean(dim=1) * float("nan")}
    )
    with pytest.raises(ModelError, match=r"diverged at step 1\. Lower train.learning_rate_max"):
        train_head(make_head(), job, progress=Progress("train"))


def test_neighbours_are_learnt_as_much_as_they_weigh(tmp_path: Path) -> None:
    """Rows that look like nothing else: the more they weigh, the surer the head is that they are not the phrase."""
    write_features(tmp_path / "store", frontends=(FRONT_END,), neighbours=40)
    data = RowReader(tmp_path / "store" / "train")
    neighbours = data["pool"].all() == POOLS.index("neighbour")
    logits = []
    for weight in (0.0, 0.1, 1.0):
        job = make_job(tmp_path / "store", tmp_path / f"weight {weight}")
        composition = {"positive": 8, "partial": 4, "speech": 4, "noise": 4, "neighbour": 4}
        settings = job.settings.model_copy(update={"batch_composition": composition, "neighbour_weight": weight})
        head = make_head()
        train_head(head, TrainingJob(**{**vars(job), "settings": settings}), progress=Progress("train"))
        logits.append(float(score_rows(head, data, frontend=FRONT_END)[neighbours].mean()))
    assert logits[0] > logits[1] > logits[2]


def test_a_pool_that_is_not_taken_is_as_good_as_absent(tmp_path: Path) -> None:
    """Rows of neighbours with a share of 0 change no bit; with a share, and none there, the error names the pool."""
    heads = []
    for name, n_neighbours in (("without", 0), ("with", 30)):
        write_features(tmp_path / name, frontends=(FRONT_END,), neighbours=n_neighbours)
        job = make_job(tmp_path / name, tmp_path / f"{name} checkpoints", steps=5)
        rows = dataset(job.train, FRONT_END)
        heads.append(make_head())
        standardise(heads[-1], rows, used_rows(rows, job.settings.batch_composition), seed=job.seed)
        train_head(heads[-1], job, progress=Progress("train"))
    for key, value in weights_of(heads[0]).items():
        assert torch.equal(value, weights_of(heads[1])[key]), key
    composition = {**job.settings.batch_composition, "neighbour": 3}
    settings = job.settings.model_copy(update={"batch_composition": composition})
    some = TrainingJob(**{**vars(job), "settings": settings, "checkpoints": tmp_path / "some"})
    train_head(make_head(), some, progress=Progress("train"))
    assert used_rows(dataset(job.train, FRONT_END), composition).tolist() == list(range(270))
    without = RowReader(tmp_path / "without" / "train")
    none = TrainingJob(**{**vars(some), "train": without, "checkpoints": tmp_path / "none"})
    with pytest.raises(ConfigError, match="takes 3 rows of the pool 'neighbour'"):
        train_head(make_head(), none, progress=Progress("train"))


def test_features_are_standardised_by_the_rows_that_are_used(store: Path) -> None:
    rows = dataset(RowReader(store / "train"), FRONT_END)
    used = used_rows(rows, {"speech": 1, "noise": 1})
    assert 0 < len(used) < len(rows)
    head = make_head()
    standardise(head, rows, used, seed=3)
    values = rows.rows(used, frames=rows.frames).double().flatten(0, 1)
    network = cast(nn.Module, head)
    torch.testing.assert_close(network.mean, values.mean(dim=0).float())
    torch.testing.assert_close(network.deviation, (values.std(dim=0, correction=0) + 1e-3).float())


def test_the_same_seed_gives_the_same_weights_and_another_does_not(store: Path, tmp_path: Path) -> None:
    heads = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        job = TrainingJob(**{**vars(make_job(store, tmp_path / name, steps=5)), "seed": seed})
        heads.append(make_head())
        train_head(heads[-1], job, progress=Progress("train"))
    first, same, other = (weights_of(head)["out.weight"] for head in heads)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def candidates(job: TrainingJob, kept: Path, *, head: Head, history: list[dict[str, Any]]) -> Candidates:
    rows = dataset(job.train, FRONT_END)
    return find_candidates(
        head,
        kept,
        history=history,
        train=rows,
        used=used_rows(rows, job.settings.batch_composition),
        validation=job.validation,
        frontend=FRONT_END,
        top_k=2,
        fa_per_hour=4.0,
    )


def test_the_best_candidate_is_chosen_and_all_are_reported(store: Path, tmp_path: Path) -> None:
    job = make_job(store, tmp_path / "checkpoints")
    trained = train_head(make_head(), job, progress=Progress("train"))
    keep_weights(job.checkpoints, tmp_path / "kept", warn=print)
    head = make_head()
    choice = choose_weights(head, candidates(job, tmp_path / "kept", head=head, history=trained.history))
    found = choice["candidates"]
    singles = [f"single step_0000{step}" for step in (10, 20, 30, 40)]
    assert list(found) == [*singles, "moving average", "swa"]
    assert found[choice["chosen"]]["miss_rate"] == min(c["miss_rate"] for c in found.values())
    assert list(choice["compared"]) == ["moving average", "swa", "best single"]
    assert choice["compared"]["best single"]["miss_rate"] == min(found[name]["miss_rate"] for name in singles)
    assert len(choice["averaged"]) == 2
    chosen = validate(head, job.validation, frontend=FRONT_END, fa_per_hour=4.0)
    assert chosen.to_json() == found[choice["chosen"]]


def test_stable_is_where_the_loss_has_settled_and_misses_are_no_more_than_usual() -> None:
    losses = {100: 0.50, 200: 0.20, 300: 0.16, 400: 0.15, 500: 0.21, 600: 0.19}
    misses = {200: 0.1, 300: 0.1, 400: 0.3, 500: 0.1, 600: 0.2}
    results = {
        f"step_{step:06d}": Validation(miss_rate=miss, fa_per_hour=0, loss=0, positive_logit=0, negative_logit=0)
        for step, miss in misses.items()
    }
    history = [{"step": step, "loss": loss} for step, loss in losses.items()]
    # 200: still falling; 400: misses more than the median; 500: the loss jumped; 600: misses more than the median.
    assert stable_checkpoints(history, results) == ["step_000300"]
    results["step_000600"] = results["step_000300"]
    assert stable_checkpoints(history, results) == ["step_000300", "step_000600"]


@pytest.mark.parametrize(("architecture", "kind"), [("tcn", nn.BatchNorm1d), ("bcresnet", nn.BatchNorm2d)])
def test_averaged_weights_get_statistics_of_their_own(
    architecture: str, kind: type[nn.Module], store: Path, tmp_path: Path
) -> None:
    """The average's batch-norm statistics are those of its own activations, whatever the averaged ones' were."""
    job = make_job(store, tmp_path / "checkpoints", steps=8, checkpoint_every_steps=4)
    head = make_head(architecture)
    assert any(isinstance(module, kind) for module in cast(nn.Module, head).modules())
    train_head(head, job, progress=Progress("train"))
    keep_weights(job.checkpoints, tmp_path / "kept", warn=print)
    honest = candidates(job, tmp_path / "kept", head=head, history=[])
    assert honest.averaged == ["step_000004", "step_000008"], "nothing is stable: the newest are taken"
    for path in sorted((tmp_path / "kept").iterdir()):  # statistics that no data ever gave
        saved = torch.load(path, weights_only=True)
        for key, value in saved["network"].items():
            if key.endswith(("running_mean", "running_var")):
                value += 100.0
        torch.save(saved, path)
    found = candidates(job, tmp_path / "kept", head=head, history=[])
    for key, value in honest.weights["swa"].items():
        assert torch.equal(value, found.weights["swa"][key]), key
    assert honest.results["swa"] == found.results["swa"]
    assert honest.results["single step_000008"] != found.results["single step_000008"]


def test_calibration_finds_the_scale_and_the_offset() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(scale=2.0, size=40_000)
    labels = (rng.random(40_000) < 1 / (1 + np.exp(-true))).astype(np.int8)
    scale, offset = calibrate((true - 1.0) / 0.5, labels)
    assert scale == pytest.approx(0.5, rel=0.05)
    assert offset == pytest.approx(1.0, abs=0.1)


def test_calibration_of_separable_scores_stays_finite() -> None:
    scale, offset = calibrate(np.array([-8.0] * 50 + [9.0] * 30), np.array([0] * 50 + [1] * 30))
    assert 0 < scale < 10
    assert abs(offset) < 20


def test_distillation_loss_is_hintons() -> None:
    """alpha * T^2 * KL of the two-class softmax at temperature T, plus the rest of the label's cross-entropy."""
    teacher, student = np.array([3.0, -1.0], np.float32), torch.tensor([[1.5], [0.5]])
    labels, t, alpha = np.array([1, 0]), 4.0, 0.7
    loss = SoftTargets(teacher, labels, temperature=t, alpha=alpha)(student, np.array([0, 1]))
    zeros = torch.zeros(2)
    p = F.softmax(torch.stack([torch.from_numpy(teacher), zeros], dim=1) / t, dim=1)
    log_q = F.log_softmax(torch.stack([student[:, 0], zeros], dim=1) / t, dim=1)
    divergence = (p * (p.log() - log_q)).sum(dim=1)
    hard = F.binary_cross_entropy_with_logits(student[:, 0], torch.tensor([1.0, 0.0]), reduction="none")
    torch.testing.assert_close(loss, alpha * t**2 * divergence + (1 - alpha) * hard)


def test_a_perfect_student_has_no_divergence_left() -> None:
    teacher = np.array([2.0, -3.0], np.float32)
    loss = SoftTargets(teacher, np.array([1, 0]), temperature=4.0, alpha=1.0)
    torch.testing.assert_close(loss(torch.tensor([[2.0], [-3.0]]), np.array([0, 1])), torch.zeros(2))
