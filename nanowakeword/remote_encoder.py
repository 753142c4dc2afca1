"""A stream's hops as messages: samples for a server that runs the whole model, features for one that runs the heads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from nanowakeword.arrays import Samples
from nanowakeword.card import ModelCard
from nanowakeword.graph import Graph
from nanowakeword.remote_server import import_grpc
from nanowakeword.timing import HOP_SAMPLES

if TYPE_CHECKING:
    from nanowakeword.v1 import wakeword_pb2 as pb

__all__ = ["AudioEncoder", "Encoder", "FeatureEncoder", "front_ends"]


def front_ends(card: ModelCard) -> list[str]:
    """Names and fingerprints of a model's front ends, in order, as the protocol writes them.

    Two models with the same list make the same features. A card made before there were fingerprints gives names only,
    and so equals no newer one.
    """
    found = []
    for row in card.content.get("frontends", ()):
        name, fingerprint = (row.get("name", ""), row.get("fingerprint")) if isinstance(row, dict) else ("", None)
        found.append(f"{name}:{fingerprint}" if fingerprint else str(name))
    return found


class Encoder(Protocol):
    """Turns a stream's hops into messages."""

    def encode(self, hops: Samples, opened: pb.StreamOpened) -> Iterator[pb.DetectRequest]:
        """Messages for the next hops, int16 ``[1280*k]``."""


class AudioEncoder:
    """Sends the samples as they are: 2,560 bytes per hop."""

    def __init__(self) -> None:
        _, self._pb, _ = import_grpc()
        self._sequence = 0

    def encode(self, hops: Samples, opened: pb.StreamOpened) -> Iterator[pb.DetectRequest]:
        """Messages as large as the server takes."""
        step = max(1, opened.max_audio_bytes // (2 * HOP_SAMPLES)) * HOP_SAMPLES
        for start in range(0, len(hops), step):
            part = hops[start : start + step]
            data = part.astype("<i2", copy=False).tobytes()
            chunk = self._pb.AudioChunk(sequence=self._sequence, pcm_s16le=data)
            self._sequence += 1
            yield self._pb.DetectRequest(audio=chunk)


class FeatureEncoder:
    """Runs a model here and sends its features: 4 bytes per value.

    Args:
        graph: a model with the front ends that the server's heads expect.
    """

    def __init__(self, graph: Graph) -> None:
        _, self._pb, _ = import_grpc()
        self._graph = graph
        self._state = graph.zero_state()
        self._sequence = 0

    def encode(self, hops: Samples, opened: pb.StreamOpened) -> Iterator[pb.DetectRequest]:
        """Messages as large as the server takes; each is made when it is asked for."""
        hop_bytes = 4 * self._graph.frames_per_hop * self._graph.n_features
        step = max(1, opened.max_features_bytes // hop_bytes) * HOP_SAMPLES
        for start in range(0, len(hops), step):
            part = hops[start : start + step]
            _, self._state, features = self._graph.run(part[None], self._state)
            data = features[0].astype("<f4", copy=False).tobytes()
            chunk = self._pb.FeatureChunk(sequence=self._sequence, rows=features.shape[1], f32le=data)
            self._sequence += 1
            yield self._pb.DetectRequest(features=chunk)
