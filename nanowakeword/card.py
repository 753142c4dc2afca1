"""The model card: what a model is, where it fires, what it was made from and how good it was found to be.

It travels inside the ONNX file, as UTF-8 JSON under the metadata key `CARD_KEY`. Cards grow: keys that this version
does not know are kept in `ModelCard.content`; a card of a newer schema is refused, because its meaning may differ.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from nanowakeword.errors import ConfigError, ModelError
from nanowakeword.postfilter import REFRACTORY_S
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ

__all__ = ["CARD_KEY", "SCHEMA_VERSION", "BudgetThreshold", "ModelCard"]

CARD_KEY: Final = "nanowakeword.card"
SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, kw_only=True)
class BudgetThreshold:
    """A threshold and the false accepts that it was measured to give.

    Attributes:
        fa_per_hour: budget of false accepts per hour.
        threshold: score at or above which the model fires.
        hours: hours of audio without the phrase that it was measured on.
        basis: what that audio was, ``real speech``, ``synthetic speech`` or ``real and synthetic speech``.
    """

    fa_per_hour: float
    threshold: float
    hours: float
    basis: str


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """A model card.

    Attributes:
        phrase: the words that the model hears.
        name: name of the model, its file name without ending.
        kind: ``detector``, or ``gate`` for a small model that wakes a larger one.
        state_size: float32 values that a stream's state takes.
        hop_samples: samples between two scores.
        threshold: score at or above which the model fires unless the user says otherwise.
        language: of the phrase, an espeak-ng code such as ``en-us``.
        phonemes: of the phrase, IPA.
        receptive_field_samples: past samples that can change a score; None where the card does not tell.
        refractory_s: seconds after a detection in which nothing fires unless the user says otherwise: as long as one
            utterance can keep the score up.
        thresholds: thresholds for budgets of false accepts, by rising budget.
        fingerprints: hashes of the front ends, in order: models with the same ones compute the same features. Empty
            where the card does not tell.
        content: the whole card as it was read, unknown keys included.
    """

    phrase: str
    name: str
    kind: str
    state_size: int
    hop_samples: int
    threshold: float
    language: str
    phonemes: str
    receptive_field_samples: int | None
    refractory_s: float
    thresholds: tuple[BudgetThreshold, ...]
    fingerprints: tuple[str, ...]
    content: Mapping[str, Any]

    @classmethod
    def from_json(cls, text: str, *, source: str) -> ModelCard:
        """Read a card.

        Args:
            text: JSON.
            source: the file it comes from, for the messages.

        Raises:
            ModelError: it is no card, lacks something, or is newer than this code.
        """
        try:
            content = json.loads(text)
        except ValueError as error:
            raise ModelError(f"the model card in {source} is damaged", got=f"no valid JSON ({error})") from None
        except RecursionError:
            raise ModelError(f"the model card in {source} is damaged", got="JSON nested without end") from None
        if not isinstance(content, dict):
            raise ModelError(f"the model card in {source} is damaged", got=f"a JSON {type(content).__name__}") from None
        return _CardReader(content, source=source).read()

    def threshold_for(self, fa_per_hour: float) -> float:
        """Threshold that keeps false accepts within a budget.

        Args:
            fa_per_hour: false accepts per hour to stay within.

        Returns:
            The measured threshold of the largest budget that is not above this one.

        Raises:
            ConfigError: the card has none.
        """
        fitting = [row for row in self.thresholds if row.fa_per_hour <= fa_per_hour]
        if not fitting:
            known = ", ".join(f"{row.fa_per_hour:g}" for row in self.thresholds)
            raise ConfigError(
                f"model {self.name!r} has no threshold for {fa_per_hour:g} false accepts per hour",
                expected=f"one of its budgets or more: {known}" if known else None,
                hint="Give a threshold instead, or measure one: nanowakeword evaluate",
            )
        return fitting[-1].threshold


class _CardReader:
    """Takes typed values out of the JSON, with an error that names the key."""

    def __init__(self, content: dict[str, Any], *, source: str) -> None:
        self._content = content
        self._source = source

    def read(self) -> ModelCard:
        version = self._take("schema_version", int)
        if version > SCHEMA_VERSION:
            raise ModelError(
                f"{self._source} is newer than this NanoWakeword",
                got=f"card schema {version}",
                expected=f"at most {SCHEMA_VERSION}",
                hint="Upgrade it: pip install -U nanowakeword",
            )
        rate = self._take("sample_rate_hz", int, default=SAMPLE_RATE_HZ)
        if rate != SAMPLE_RATE_HZ:
            raise self._wrong("sample_rate_hz", rate, SAMPLE_RATE_HZ)
        hop = self._take("hop_samples", int)
        if hop != HOP_SAMPLES:
            raise self._wrong("hop_samples", hop, HOP_SAMPLES)
        state_size = self._take("state_size", int)
        if state_size < 0:
            raise self._wrong("state_size", state_size, "0 or more")
        return ModelCard(
            phrase=self._take("phrase", str),
            name=self._take("name", str),
            kind=self._take("kind", str),
            state_size=state_size,
            hop_samples=hop,
            threshold=self._threshold(self._take("threshold", float), "threshold"),
            language=self._take("language", str, default=""),
            phonemes=self._take("phonemes", str, default=""),
            receptive_field_samples=self._receptive_field(),
            refractory_s=self._refractory(),
            thresholds=self._thresholds(),
            fingerprints=self._fingerprints(),
            content=self._content,
        )

    def _receptive_field(self) -> int | None:
        # Networks that never forget have none.
        if self._content.get("receptive_field_samples") is None:
            return None
        samples: int = self._take("receptive_field_samples", int)
        return samples

    def _refractory(self) -> float:
        seconds: float = self._take("refractory_s", float, default=REFRACTORY_S)
        if seconds < 0.0:
            raise self._wrong("refractory_s", seconds, "0 or more")
        return seconds

    def _fingerprints(self) -> tuple[str, ...]:
        rows = self._take("frontends", list, default=[])
        prints = [
            row["fingerprint"] for row in rows if isinstance(row, dict) and isinstance(row.get("fingerprint"), str)
        ]
        return tuple(prints) if len(prints) == len(rows) else ()

    def _thresholds(self) -> tuple[BudgetThreshold, ...]:
        rows = []
        for index, item in enumerate(self._take("thresholds", list, default=[])):
            where = f"thresholds[{index}]"
            if not isinstance(item, dict):
                raise self._wrong(where, item, "an object")
            row = _CardReader(item, source=self._source)
            rows.append(
                BudgetThreshold(
                    fa_per_hour=row._take("fa_per_hour", float),
                    threshold=self._threshold(row._take("threshold", float), f"{where}.threshold"),
                    hours=row._take("hours", float, default=0.0),
                    basis=row._take("basis", str, default=""),
                )
            )
        return tuple(sorted(rows, key=lambda row: row.fa_per_hour))

    def _threshold(self, value: float, where: str) -> float:
        if not 0.0 < value <= 1.0:
            raise self._wrong(where, value, "above 0 and at most 1")
        return value

    def _take(self, key: str, kind: type[Any], *, default: Any = None) -> Any:
        value = self._content.get(key, default)
        if value is None:
            raise ModelError(f"the model card in {self._source} lacks {key!r}", hint="Export the model again")
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or isinstance(value, bool) or (kind is float and not math.isfinite(value)):
            raise self._wrong(key, value, {"str": "text", "list": "a list"}.get(kind.__name__, f"a {kind.__name__}"))
        return value

    def _wrong(self, where: str, got: object, expected: object) -> ModelError:
        shown = repr(got)
        return ModelError(
            f"the model card in {self._source} is wrong at {where}",
            got=shown if len(shown) <= 60 else shown[:57] + "...",
            expected=expected,
            hint="Export the model again",
        )
