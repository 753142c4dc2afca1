"""ISBL draws what its equation says, at any size, and goes on where it was."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import chi2_contingency, chisquare

from nanowakeword.errors import ConfigError, StorageError
from steps.dataset import AdaptiveLossAwareDataset, NpyRows, Source
from steps.sampling import DynamicClassAwareSampler
from steps.store import RowReader, RowWriter
from steps.sum_tree import SumTrees


class Blank:
    """Features that nobody looks at: as many rows as one likes, without a file."""

    def __init__(self, n: int) -> None:
        self.shape: tuple[int, ...] = (n, 1, 1)

    def rows(self, indices: npt.ArrayLike) -> npt.NDArray[np.float32]:
        return np.zeros((len(np.asarray(indices)), 1, 1), np.float32)


def make(n: int = 12, count: int = 1, *, alpha: float = 0.75, **options: Any) -> DynamicClassAwareSampler:
    data = AdaptiveLossAwareDataset([Source(features=Blank(n), pools="a")])
    return DynamicClassAwareSampler(data, {"a": count}, seed=5, alpha=alpha, epsilon=1e-6, **options)


def mixed(pools: Sequence[int], composition: dict[str, int]) -> DynamicClassAwareSampler:
    source = Source(features=Blank(len(pools)), pools=np.array(pools), names=["a", "b", "c"])
    return DynamicClassAwareSampler(AdaptiveLossAwareDataset([source]), composition, seed=1, alpha=0.75, epsilon=1e-6)


def test_probabilities_follow_the_equation() -> None:
    sampler = make(n=3)
    sampler.update(np.arange(3), np.array([0.0, 0.5, 2.0]))
    expected = np.array([0.0, 0.5, 2.0]) ** 0.75 + 1e-6
    np.testing.assert_allclose(sampler.probabilities("a"), expected / expected.sum(), rtol=1e-6)


@pytest.mark.parametrize("n", [12, 32, 33, 1_100])  # one block of the tree, a full one, one more, many
def test_draws_follow_the_probabilities(n: int) -> None:
    sampler = make(n=n)
    losses = np.linspace(0.05, 3.0, n)
    sampler.update(np.arange(n), losses)
    expected = losses**0.75 + 1e-6
    n_draws = 20 * n + 2_000
    counts = np.bincount(np.concatenate([sampler.draw() for _ in range(n_draws)]), minlength=n)
    assert chisquare(counts, n_draws * expected / expected.sum()).pvalue > 1e-3


def test_a_batch_is_drawn_without_replacement_as_torch_does() -> None:
    """Chances of each set of three rows, against torch.multinomial; of two, against the formula."""
    weights = np.array([0.05, 0.3, 0.5, 1.0, 2.0, 8.0])
    n_draws = 12_000
    sampler = make(n=6, count=3, alpha=1.0)
    sampler.update(np.arange(6), weights)
    ours = np.stack([sampler.draw() for _ in range(n_draws)])
    torch.manual_seed(0)
    theirs = torch.multinomial(torch.from_numpy(weights).expand(n_draws, 6), 3).numpy()
    sets = np.stack([np.bincount((2 ** np.sort(drawn)).sum(axis=1), minlength=64) for drawn in (ours, theirs)])
    assert chi2_contingency(sets[:, sets.sum(axis=0) > 0]).pvalue > 1e-3

    pairs_only = make(n=6, count=2, alpha=1.0)
    pairs_only.update(np.arange(6), weights)
    p = weights / weights.sum()
    one_first = p[:, None] * p[None, :] / (1 - p[:, None])
    first, second = np.triu_indices(6, k=1)
    expected = (one_first + one_first.T)[first, second]
    drawn = np.stack([pairs_only.draw() for _ in range(n_draws)])
    counts = np.bincount(drawn[:, 0] * 6 + drawn[:, 1], minlength=36)[first * 6 + second]
    assert counts.sum() == n_draws  # none twice, and ascending
    assert chisquare(counts, n_draws * expected).pvalue > 1e-3


def test_a_batch_has_its_composition_and_repeats_only_in_small_pools() -> None:
    pools = np.array([0, 1, 2] * 4 + [0] * 30 + [2] * 20)  # the rows of a pool need not lie together
    sampler = mixed(pools.tolist(), {"c": 3, "a": 8, "b": 6})
    for _ in range(50):
        rows = sampler.draw()
        assert pools[rows].tolist() == [2] * 3 + [0] * 8 + [1] * 6
        assert len(set(rows[:3])) == 3
        assert len(set(rows[3:11])) == 8
        sampler.update(rows, np.random.default_rng(0).random(17) * 3)
    assert set(np.concatenate([sampler.draw() for _ in range(200)])) == set(range(len(pools)))


def test_a_pool_as_large_as_its_share_is_taken_whole() -> None:
    """Also where one row outweighs all others by far: drawing again and again would not end."""
    sampler = make(n=40, count=40, alpha=1.0)
    sampler.update(np.arange(40), np.array([1e6] + [1e-6] * 39))
    before = sampler.probabilities("a")
    assert sorted(sampler.draw()) == list(range(40))
    np.testing.assert_array_equal(sampler.probabilities("a"), before)


def test_every_row_is_seen_in_the_end_while_the_losses_move() -> None:
    """Rows are learnt at different speeds, a tenth of them never: all are drawn, and the hard ones more often."""
    n, rng = 400, np.random.default_rng(2)
    sampler = make(n=n, count=20)
    skill, seen = rng.uniform(0.5, 0.95, n), np.zeros(n, int)
    skill[:40] = 1.0
    for _ in range(2_000):
        rows = sampler.draw()
        seen[rows] += 1
        sampler.update(rows, skill[rows] ** seen[rows])
    assert seen.min() >= 1
    assert seen[:40].mean() > 5 * seen[40:].mean()


def test_mastered_pools_tend_to_uniform() -> None:
    sampler, spreads = make(n=200, count=50), []
    for scale in (1.0, 1e-4, 1e-8, 1e-12):
        sampler.update(np.arange(200), scale * np.linspace(0.1, 3.0, 200))
        p = sampler.probabilities("a")
        spreads.append(p.max() / p.min())
    assert spreads[0] > 10 > spreads[2] > spreads[3]
    assert spreads[3] < 1.01


def test_cap_and_floor_bound_what_a_row_weighs() -> None:
    losses = np.array([50.0, 0.0] + [1.0] * 8)
    for sampler, shares in (
        (make(n=10, alpha=1.0, loss_cap=2.0), [2.0, 0.0]),
        (make(n=10, alpha=1.0, loss_floor=0.5), [50.0, 0.5]),
    ):
        sampler.update(np.arange(10), losses)
        p = sampler.probabilities("a")
        np.testing.assert_allclose(p[:2] / p[2], shares, atol=1e-4)


def test_losses_can_be_averaged_and_forgotten() -> None:
    sampler = make(n=4, count=2, alpha=1.0, loss_decay=0.75, reset_every_batches=3)
    sampler.update(np.array([0]), np.array([5.0]))
    assert sampler.state_dict()["losses"].tolist() == [2.0, 1.0, 1.0, 1.0]
    for _ in range(3):
        sampler.draw()
    assert sampler.probabilities("a")[0] == pytest.approx(0.4)
    sampler.draw()
    np.testing.assert_allclose(sampler.probabilities("a"), 0.25)


def test_it_goes_on_exactly_where_it_was() -> None:
    """A state that went through a file, loaded without pickle, into a sampler that has drawn other things."""
    rng = np.random.default_rng(3)
    straight = make(n=500, count=30, loss_decay=0.5, reset_every_batches=40)
    for _ in range(25):
        rows = straight.draw()
        straight.update(rows, rng.random(30) * 4)
    file = io.BytesIO()
    torch.save(straight.state_dict(), file)
    file.seek(0)
    resumed = make(n=500, count=30, loss_decay=0.5, reset_every_batches=40)
    resumed.draw()
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for _ in range(25):
        losses, rows = rng.random(30) * 4, straight.draw()
        np.testing.assert_array_equal(resumed.draw(), rows)
        straight.update(rows, losses)
        resumed.update(rows, losses)


def test_no_error_gathers_in_the_trees() -> None:
    """After many changes over fifteen orders of magnitude they are, to the last bit, those of the same weights."""
    rng = np.random.default_rng(4)
    sizes = (5_000, 150_000)  # two steps high, the first a part of a node at the top
    trees = SumTrees([rng.random(n).astype(np.float32) for n in sizes])
    leaves = np.concatenate([trees.firsts[k] + np.arange(n) for k, n in enumerate(sizes)])
    weights = trees.weights(leaves)
    for _ in range(2_000):
        some = np.concatenate([rng.integers(0, 5_000, 50), rng.integers(5_000, sum(sizes), 50)])
        weights[some] = new = (10.0 ** rng.uniform(-12, 3, 100)).astype(np.float32)
        trees.set(leaves[some], new)
    np.testing.assert_array_equal(trees.weights(leaves), weights)
    parts = np.split(weights, [5_000])
    points = {k: rng.random(5_000) for k in range(2)}
    np.testing.assert_array_equal(trees.draw(points), SumTrees(parts).draw(points))
    for k, part in enumerate(parts):
        assert trees.total(k) == SumTrees(parts).total(k) == pytest.approx(part.astype(float).sum(), rel=1e-12)


def test_a_tree_is_drawn_from_as_if_it_were_alone() -> None:
    """Beside others that outweigh it by thirty orders of magnitude, whether it is drawn from with them or not."""
    rng = np.random.default_rng(5)
    weights = [(scale * rng.random(n)).astype(np.float32) for n, scale in ((70, 1e20), (1_500, 1e-10), (33, 1.0))]
    trees, points = SumTrees(weights), [rng.random(400) for _ in weights]
    alone = [SumTrees([some]).draw({0: those}) for some, those in zip(weights, points, strict=True)]
    drawn = np.split(trees.draw(dict(enumerate(points))), 3)
    for k, first in enumerate(trees.firsts):
        np.testing.assert_array_equal(drawn[k], alone[k] + first)
        np.testing.assert_array_equal(trees.draw({k: points[k]}), drawn[k])


def test_a_weight_of_zero_is_never_drawn() -> None:
    weights = np.zeros(3_000, np.float32)
    weights[[7, 40, 1_999]] = [1e-30, 1.0, 1e30]
    trees = SumTrees([weights, np.ones(5, np.float32)])
    edges = np.array([0.0, np.nextafter(1.0, 0.0), 0.5])
    assert set(trees.draw({0: np.concatenate([edges, np.random.default_rng(0).random(500)])})) <= {7, 40, 1_999}


def test_the_last_point_falls_on_the_last_weight() -> None:
    """Sums taken in another order differ in their last bits: the very end must not lie beyond it."""
    rng, end = np.random.default_rng(6), np.array([np.nextafter(1.0, 0.0)])
    for n in [*range(33, 533), 140_000]:
        weights = (10.0 ** rng.uniform(-9, 3, n)).astype(np.float32)
        weights[-5:] = 0.0
        assert SumTrees([weights, weights]).draw({0: end}) == n - 6


def test_ten_million_rows_are_drawn_by_their_weights() -> None:
    """Ten million is near torch.multinomial's limit of 2^24: rows of three weights, far apart."""
    n = 10_000_000
    sampler = make(n=n, count=500, alpha=1.0)
    heavy = np.arange(17, n, 1_000)
    sampler.update(heavy, np.full(len(heavy), 600.0))
    sampler.update(np.arange(0, n, 10), np.full(n // 10, 0.0))
    drawn = np.concatenate([sampler.draw() for _ in range(40)])
    of = np.array([np.isin(drawn, heavy).sum(), (drawn % 10 == 0).sum()])
    rest = 0.9 * n - len(heavy)
    assert of[1] <= 5
    expected = len(drawn) * np.array([600.0 * len(heavy), rest]) / (600.0 * len(heavy) + rest)
    assert chisquare([of[0], len(drawn) - of.sum()], expected * (len(drawn) - of[1]) / len(drawn)).pvalue > 1e-3


def test_rows_come_from_their_sources(tmp_path: Path) -> None:
    """Two stores and a .npy file end to end: row i holds the number i, whichever file it lies in."""
    values = np.arange(26, dtype=np.float32)[:, None, None] + np.zeros((26, 4, 3), np.float32)
    values[:, 0] = -1.0  # the first frame is not asked for
    for name, part, pools in (("one", slice(0, 10), [0] * 4 + [1] * 6), ("two", slice(18, 26), [1] * 8)):
        with RowWriter(tmp_path / name, chunk_rows=3) as store:
            store.append("features", values[part].astype(np.float16))
            store.append("pool", np.array(pools, np.int8))
    np.save(tmp_path / "more.npy", values[10:18])
    stores = [RowReader(tmp_path / name) for name in ("one", "two")]
    sources = [Source(features=s["features"], pools=s["pool"].all(), names=["word", "speech"]) for s in stores]
    more = Source(features=NpyRows(tmp_path / "more.npy"), pools="noise")
    data = AdaptiveLossAwareDataset([sources[0], more, sources[1]])
    numbers = np.array([25, 0, 9, 10, 17, 18, 3, 3])
    for some in (numbers, numbers[1:3]):  # of all sources, and of one
        rows = data.rows(some, frames=3)
        assert rows.dtype == torch.float32
        np.testing.assert_array_equal(rows, np.broadcast_to(some[:, None, None], (len(some), 3, 3)))
        used = torch.full((len(some), 3, 3), torch.nan)
        assert data.rows(some, frames=3, out=used) is used
        assert torch.equal(used, rows)
    assert data.pools == ("word", "speech", "noise")
    assert data.pool_of(numbers).tolist() == [1, 0, 1, 2, 2, 1, 0, 0]
    composition = {"noise": 8, "word": 4, "speech": 14}
    sampler = DynamicClassAwareSampler(data, composition, seed=0, alpha=0.75, epsilon=1e-6)
    drawn = sampler.draw()
    assert sorted(drawn[:8]) == list(range(10, 18))
    assert sorted(drawn[8:12]) == [0, 1, 2, 3]
    assert sorted(drawn[12:]) == [*range(4, 10), *range(18, 26)]


def test_an_empty_pool_is_an_error_that_names_it() -> None:
    assert len(mixed([0] * 5, {"a": 2, "noise": 0, "neighbour": 0}).draw()) == 2
    with pytest.raises(ConfigError, match="takes 2 rows of the pool 'noise'"):
        mixed([0] * 5, {"noise": 2})


def test_files_that_are_no_features_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.zeros((3, 4)))
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "text.npy").write_text("no")
    for name, message in (
        ("flat.npy", r"got float64 \[3, 4\]; expected floats \[rows, frames, features\]"),
        ("objects.npy", r"objects.npy is no .npy file of numbers"),
        ("text.npy", r"text.npy is no .npy file of numbers"),
        ("absent.npy", r"no features at .*absent.npy"),
    ):
        with pytest.raises(StorageError, match=message):
            NpyRows(tmp_path / name)
    np.save(tmp_path / "wide.npy", np.zeros((3, 4, 5)))
    with pytest.raises(StorageError, match=r"got \[1, 5\] values in a frame"):
        AdaptiveLossAwareDataset(
            [Source(features=Blank(2), pools="a"), Source(features=NpyRows(tmp_path / "wide.npy"), pools="a")]
        )
