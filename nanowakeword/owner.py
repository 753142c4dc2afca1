"""Whose voice it was: a verifier for one person, enrolled with a few recordings of the phrase.

    verifier = OwnerVerifier.enrol(graph, positives, negatives)     # int16 arrays, 16 kHz mono
    verifier.save("owner.json")
    ...
    verifier = OwnerVerifier.load("owner.json", graph)
    if verifier.score(audio) >= verifier.threshold:                 # the 2 s that end where the detection ends
        ...

It is a logistic regression on pooled features of the model, `nanowakeword.voiceprint`. Both the owner's recordings and
those of others are aligned by the hop at which the model fires.

It is a convenience and no lock: a recording of the owner passes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, TypeVar

import numpy as np
import numpy.typing as npt

from nanowakeword.arrays import Floats, Samples
from nanowakeword.audio import check_chunk
from nanowakeword.errors import AudioError, ModelError
from nanowakeword.graph import Graph
from nanowakeword.logistic import Doubles, fit_logistic
from nanowakeword.owner_file import read_owner_file, write_owner_file
from nanowakeword.postfilter import check_threshold
from nanowakeword.timing import HOP_SAMPLES
from nanowakeword.voiceprint import WINDOW_SAMPLES, find_phrase, hop_scores, likely_hops, utterance, voiceprints

__all__ = ["MIN_RECORDINGS", "OwnerVerifier"]

MIN_RECORDINGS: Final = 3
"""Of the owner, and of others."""

_PENALTY: Final = 0.03
# The threshold, in log odds: a share of the mean over the owner's recordings, each judged by a verifier that does not
# know it. That says nothing where no other person says the phrase, because everybody who does is far above 0; there
# it is so many deviations below that mean.
_THRESHOLD_SHARE: Final = 0.4
_THRESHOLD_DEVIATIONS: Final = 2.0
# Recordings in which the model does not fire are taken at its likeliest hops, one in 4 s. Past these bounds more
# recordings are thinned out: they would cost time and tell nothing new.
_OTHER_SPACING_HOPS: Final = 50
_MAX_OTHERS: Final = 300
_MAX_RECORDINGS: Final = 60

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnerVerifier:
    """Tells the owner's voice from others'. Made by `enrol` or `load`; any number of threads may share one.

    Attributes:
        graph: the model whose features it takes.
        phrase: what the owner said.
        weights: float32 ``[2*f]``, for the means and the deviations of the features.
        bias: log odds where all of them are 0.
        threshold: probability at or above which it is the owner.
        left_out: for each recording of the owner, its probability by a verifier enrolled without it.
        speakers: recordings of others in which the phrase was heard.
        window_samples: audio that `score` wants.
    """

    graph: Graph
    phrase: str
    weights: Floats
    bias: float
    threshold: float
    left_out: tuple[float, ...]
    speakers: int

    window_samples: ClassVar[int] = WINDOW_SAMPLES

    @classmethod
    def enrol(
        cls,
        graph: Graph,
        positives: Sequence[Samples],
        negatives: Sequence[Samples],
        *,
        model_threshold: float | None = None,
    ) -> OwnerVerifier:
        """Learn the owner's voice.

        Args:
            graph: the model that will hear the phrase.
            positives: the owner, saying the phrase once, int16 ``[n]`` each, best with a second of the room before it;
                5 to 10 of them.
            negatives: others. People who say the phrase are worth far more than other speech, and more people more than
                more recordings of each.
            model_threshold: score at or above which the model will fire. None: its own.

        Raises:
            AudioError: there are fewer than `MIN_RECORDINGS`, the model does not hear the phrase in one of the owner's,
                or one is not int16 ``[n]``.
            ConfigError: the threshold is out of range.
        """
        fires_at = graph.card.threshold if model_threshold is None else check_threshold(model_threshold)
        for whose, clips in (("the owner", positives), ("others", negatives)):
            if len(clips) < MIN_RECORDINGS:
                raise AudioError(
                    f"too few recordings of {whose}", got=len(clips), expected=f"{MIN_RECORDINGS}, better 5 to 10"
                )
        owner: list[Doubles] = []
        for number, clip in enumerate(_thin(positives, _MAX_RECORDINGS), start=1):
            hop = find_phrase(hop_scores(graph, check_chunk(clip)), threshold=fires_at)
            if hop is None:
                raise AudioError(
                    f"the model does not hear {graph.card.phrase!r} in recording {number} of the owner",
                    hint="Leave it out or record it again",
                )
            owner.append(utterance(graph, clip, hop))
        speakers, others = [], []
        for clip in negatives:
            scores = hop_scores(graph, check_chunk(clip))
            hop = find_phrase(scores, threshold=fires_at)
            if hop is not None:
                speakers.append(utterance(graph, clip, hop))
            else:
                most = max(1, _MAX_OTHERS // len(negatives))
                hops = likely_hops(scores, spacing_hops=_OTHER_SPACING_HOPS, most=most)
                others.append(voiceprints(graph, clip, hops))
        return cls.learn(graph, owner=owner, speakers=speakers, others=others)

    @classmethod
    def learn(
        cls, graph: Graph, *, owner: Sequence[Doubles], speakers: Sequence[Doubles], others: Sequence[Doubles]
    ) -> OwnerVerifier:
        """Learn from voiceprints, as `enrol` takes them from recordings.

        Args:
            graph: the model.
            owner: `utterance` of each of the owner's recordings, two or more.
            speakers: `utterance` of each recording of others who say the phrase.
            others: voiceprints ``[h, 2*f]`` of each recording of other speech; of both, one or more.
        """
        weights, bias, left_out = _learn(owner, [*_thin(speakers, _MAX_RECORDINGS), *_thin(others, _MAX_OTHERS)])
        mean, deviation = float(left_out.mean()), float(left_out.std(ddof=1))
        cut = _THRESHOLD_SHARE * mean if speakers else mean - _THRESHOLD_DEVIATIONS * deviation
        return cls(
            graph=graph,
            phrase=graph.card.phrase,
            weights=weights,
            bias=bias,
            threshold=_probability(cut),
            left_out=tuple(map(_probability, left_out.tolist())),
            speakers=len(speakers),
        )

    def score(self, audio: Samples) -> float:
        """Probability that the owner spoke.

        Args:
            audio: int16 ``[n]`` that ends with the hop that fired. Of a longer one the last `window_samples` count,
                before a shorter one there is silence.

        Raises:
            AudioError: the audio is not int16 ``[n]``.
        """
        window = check_chunk(audio)[-WINDOW_SAMPLES:]
        window = np.pad(window, (WINDOW_SAMPLES - len(window), 0))
        (pooled,) = voiceprints(self.graph, window, [WINDOW_SAMPLES // HOP_SAMPLES - 1])
        return _probability(float(pooled @ self.weights) + self.bias)

    def save(self, path: str | Path) -> None:
        """Write the verifier to a file, which is whole or untouched.

        Raises:
            StorageError: it cannot be written.
        """
        content = {
            "phrase": self.phrase,
            "model": self.graph.card.name,
            "fingerprints": self.graph.card.fingerprints,
            "frames_per_hop": self.graph.frames_per_hop,
            "n_features": self.graph.n_features,
            "threshold": self.threshold,
            "left_out": self.left_out,
            "speakers": self.speakers,
            "bias": self.bias,
            "weights": self.weights.tolist(),
        }
        write_owner_file(Path(path), content)

    @classmethod
    def load(cls, path: str | Path, graph: Graph, *, phrase: str | None = None) -> OwnerVerifier:
        """Read a verifier.

        Args:
            path: what `save` wrote.
            graph: the model, or another with the same front ends.
            phrase: of the model that fires. None: that of the graph.

        Raises:
            ModelError: the file is missing, damaged, no verifier, or newer than this code; or it was enrolled for
                another phrase or with other front ends.
        """
        file = read_owner_file(Path(path))
        phrase = graph.card.phrase if phrase is None else phrase
        if file.text("phrase").casefold() != phrase.casefold():
            raise ModelError(f"{path} is for another phrase", got=repr(file.text("phrase")), expected=repr(phrase))
        found = (file.texts("fingerprints"), file.count("frames_per_hop"), file.count("n_features"))
        if found != (graph.card.fingerprints, graph.frames_per_hop, graph.n_features):
            raise ModelError(
                f"{path} does not fit {graph.path}",
                got=f"a verifier enrolled with {file.text('model')!r}, which has other front ends",
                hint="Enrol again with this model: nanowakeword enrol",
            )
        return cls(
            graph=graph,
            phrase=file.text("phrase"),
            weights=file.numbers("weights", count=2 * graph.n_features),
            bias=file.number("bias"),
            threshold=file.probability("threshold"),
            left_out=tuple(file.numbers("left_out").tolist()),
            speakers=file.count("speakers"),
        )


def _learn(owner: Sequence[Doubles], others: Sequence[Doubles]) -> tuple[Floats, float, Doubles]:
    """Fit the verifier.

    Args:
        owner: a recording's voiceprints ``[h, d]`` each.
        others: the same of others.

    Returns:
        Weights ``[d]``, bias, and the log odds of each of the owner's recordings by a verifier that does not know it.
    """
    rows = np.concatenate([*owner, *others])  # [n, d]
    recording = np.repeat(np.arange(len(owner) + len(others)), [len(rows) for rows in [*owner, *others]])
    centre, spread = rows.mean(axis=0), rows.std(axis=0)
    # A few recordings know little about the smallest spreads: without a floor those would rule the sum.
    scale = (spread + np.median(spread) + 1e-6) * math.sqrt(rows.shape[1])
    examples = (rows - centre) / scale
    kernel = examples @ examples.T + 1.0  # the 1 is the bias
    mine = recording < len(owner)

    def fit(known: npt.NDArray[np.bool_]) -> Doubles:
        share = np.where(mine, 0.5 / (mine & known).sum(), 0.5 / (~mine).sum()) * known.sum()
        alpha = np.zeros(len(rows))
        alpha[known] = fit_logistic(kernel[np.ix_(known, known)], mine[known], share[known], penalty=_PENALTY)
        return alpha

    alpha = fit(np.ones(len(rows), np.bool_))
    weights = ((alpha @ examples) / scale).astype(np.float32)
    bias = float(alpha.sum() - centre @ weights)
    left_out = [float((kernel[recording == number] @ fit(recording != number)).mean()) for number in range(len(owner))]
    return weights, bias, np.array(left_out)


def _thin(items: Sequence[T], most: int) -> list[T]:
    """Items spread evenly over a sequence."""
    return (
        [items[i] for i in np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).astype(int))]
        if items
        else []
    )


def _probability(log_odds: float) -> float:
    return 0.5 * (1.0 + math.tanh(log_odds / 2))
