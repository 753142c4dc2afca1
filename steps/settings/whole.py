"""All sections together, and what must agree between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from steps.settings.delivery import Evaluate, Export, Publish
from steps.settings.recordings import Corpus
from steps.settings.section import AUTO, Section
from steps.settings.speech import Phrases, Synthesize, Wakeword
from steps.settings.training import Average, Distill, Finetune, Train
from steps.settings.windows import Augment, Features

__all__ = ["AUTOMATIC", "Settings"]

# Settings that may be `auto`; of batch_composition each pool by itself.
AUTOMATIC: Final = (
    "augment.copies",
    "train.size",
    "train.steps",
    "train.learning_rate_max",
    "train.batch_composition",
)


class Settings(Section):
    """Everything a user sets."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    wakeword: Wakeword
    phrases: Phrases
    synthesize: Synthesize
    corpus: Corpus
    augment: Augment
    features: Features
    train: Train
    average: Average
    finetune: Finetune
    distill: Distill
    export: Export
    evaluate: Evaluate
    publish: Publish

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.publish.budget_fa_per_hour not in self.evaluate.budgets_fa_per_hour:
            raise ValueError(
                f"publish.budget_fa_per_hour: got {self.publish.budget_fa_per_hour:g}; expected one of "
                f"evaluate.budgets_fa_per_hour, {list(self.evaluate.budgets_fa_per_hour)}"
            )
        if self.average.top_k > self.train.checkpoint_limit:
            raise ValueError(
                f"average.top_k: got {self.average.top_k}; expected at most train.checkpoint_limit, "
                f"{self.train.checkpoint_limit}"
            )
        named: dict[str, Iterable[str]] = {
            "train.architectures": self.train.architectures,
            "train.npy_sources": dict.fromkeys(str(source.frontend) for source in self.train.npy_sources),
            "finetune.frontends": self.finetune.frontends,
        }
        for setting, names in named.items():
            if strange := [name for name in names if name not in self.features.frontends]:
                raise ValueError(
                    f"{setting}: got {', '.join(strange)}; expected some of features.frontends, "
                    f"{', '.join(self.features.frontends)}"
                )
        trainings = {"train.steps": self.train.steps, "distill.steps": self.distill.steps}
        if self.finetune.frontends:
            trainings["finetune.steps"] = self.finetune.steps
        steps = min(steps for steps in trainings.values() if steps != AUTO)
        if self.train.warmup_steps >= steps:
            raise ValueError(
                f"train.warmup_steps: got {self.train.warmup_steps}; expected fewer than {' and '.join(trainings)}, "
                f"{steps}"
            )
        return self
