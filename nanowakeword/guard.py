"""Only the owner's voice: what a model heard is checked by an owner's verifier before it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError
from nanowakeword.graph import Graph
from nanowakeword.heads import SharedHeads
from nanowakeword.results import Detection
from nanowakeword.ring import HopRing
from nanowakeword.timing import HOP_S, HOP_SAMPLES

if TYPE_CHECKING:
    from nanowakeword.owner import OwnerVerifier

__all__ = ["OwnerGuard", "plan_guard"]

# A detection may be told late, after a gate or a voice activity detector opened.
_LATE_HOPS = 25


class OwnerGuard:
    """Keeps the last seconds of a stream and asks the verifiers about each detection.

    Args:
        verifiers: by model name; detections of other models pass.
    """

    def __init__(self, verifiers: Mapping[str, OwnerVerifier]) -> None:
        self._verifiers = verifiers
        longest = max(verifier.window_samples for verifier in verifiers.values())
        self._ring = HopRing(-(-longest // HOP_SAMPLES) + _LATE_HOPS)

    def reset(self) -> None:
        """Begin a new stream."""
        self._ring.clear()

    def hear(self, hops: Samples) -> None:
        """Take the next hops, int16 ``[1280*k]``."""
        self._ring.append(hops)

    def judge(self, detections: Sequence[Detection]) -> tuple[list[Detection], list[Detection]]:
        """Detections in the owner's voice, and the others."""
        verdicts = [self._is_owner(detection) for detection in detections]
        both = list(zip(detections, verdicts, strict=True))
        return [item for item, owner in both if owner], [item for item, owner in both if not owner]

    def _is_owner(self, detection: Detection) -> bool:
        verifier = self._verifiers.get(detection.model)
        if verifier is None:
            return True
        end_hop = round(detection.end_s / HOP_S)
        audio = self._ring.between(end_hop - -(-verifier.window_samples // HOP_SAMPLES), end_hop)
        audio = audio[-verifier.window_samples :]
        # Before a stream's first sample there is silence.
        return verifier.score(np.pad(audio, (verifier.window_samples - len(audio), 0))) >= verifier.threshold


def plan_guard(
    owner: str | Path | Mapping[str, str | Path] | None, models: Mapping[str, Graph | SharedHeads]
) -> Callable[[], OwnerGuard | None]:
    """Load the verifiers and return what makes a guard for a stream, or None where there are no verifiers.

    Args:
        owner: file of a verifier, if there is one local model, or files by model name.
        models: the local models by name.

    Raises:
        ConfigError: it is not clear which model a file is for, or there is no such model.
        ModelError: a file cannot be read, or was made with other front ends.
    """
    if owner is None:
        return lambda: None
    if not isinstance(owner, Mapping):
        if len(models) != 1:
            raise ConfigError(
                "one file of an owner's verifier",
                got=f"{len(models)} local models",
                expected="one, or files by model name",
            )
        owner = dict.fromkeys(models, owner)
    if unknown := [name for name in owner if name not in models]:
        raise ConfigError(
            "an owner's verifier for no local model",
            got=", ".join(unknown),
            expected=", ".join(models) or "a local model",
        )
    from nanowakeword.owner import OwnerVerifier

    graphs = {name: item if isinstance(item, Graph) else item.source for name, item in models.items()}
    verifiers = {
        name: OwnerVerifier.load(path, graphs[name], phrase=models[name].card.phrase) for name, path in owner.items()
    }
    return lambda: OwnerGuard(verifiers)
