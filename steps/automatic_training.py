"""The settings of a training with nothing left to derive, from the rows that it is to learn from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nanowakeword.errors import ConfigError
from steps.automatic import choose_batch, choose_learning_rate, choose_steps
from steps.derived import Derived
from steps.settings import SettledTrain, Train
from steps.store import RowReader

__all__ = ["count_rows", "settle_training"]


def count_rows(data: RowReader) -> dict[str, int]:
    """Rows of each pool, by name.

    Args:
        data: rows with their ``pool``.
    """
    names = data.attributes["pools"]
    counts = np.bincount(data["pool"].all(), minlength=len(names))
    return dict(zip(names, counts.tolist(), strict=True))


def settle_training(train: Train, rows: Mapping[str, int]) -> tuple[SettledTrain, list[Derived[object]]]:
    """Derive what is ``auto``, but for the networks' size, see `steps.verifier`; what the user has set stays.

    Args:
        train: as in ``params.yaml``.
        rows: of each pool there are to train on, see `count_rows`.

    Returns:
        The settings, and what was derived.

    Raises:
        ConfigError: no rows that are not the phrase, or more steps of warm-up than steps.
    """
    asked = {str(pool): count for pool, count in train.batch_composition.items()}
    pools = choose_batch(rows, asked)
    batch = asked | {found.name.rpartition(".")[2]: found.value for found in pools}
    composition = {pool: int(count) for pool, count in batch.items()}
    if sum(composition.values()) == composition["positive"]:
        raise ConfigError(
            "train.batch_composition",
            got="pools without windows only, but for the phrase",
            expected="some of " + ", ".join(pool for pool, count in rows.items() if count and pool != "positive"),
        )
    derived: list[Derived[object]] = [*pools]
    values: dict[str, object] = {"batch_composition": composition}
    if train.steps == "auto":
        derived.append(choose_steps(rows["positive"], composition["positive"]))
        values["steps"] = derived[-1].value
    if train.learning_rate_max == "auto":
        derived.append(choose_learning_rate(sum(composition.values())))
        values["learning_rate_max"] = derived[-1].value
    settled = SettledTrain.model_validate({name: getattr(train, name) for name in Train.model_fields} | values)
    if settled.warmup_steps >= settled.steps:
        raise ConfigError(
            "train.warmup_steps", got=settled.warmup_steps, expected=f"fewer than train.steps, {settled.steps}"
        )
    return settled, derived
