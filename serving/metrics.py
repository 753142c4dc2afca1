"""Figures of a running server for Prometheus: what it carries, how long each part takes, whom it refuses.

With several workers every process keeps its figures in small files of one folder, which the environment variable
``PROMETHEUS_MULTIPROC_DIR`` tells prometheus_client before it is imported; `serving.metrics_page` adds them up.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import onnxruntime
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

import nanowakeword

__all__ = ["Metrics", "Reason", "Stage"]

Stage = Literal["read", "wait", "infer", "write"]
Reason = Literal[
    "address", "ban", "credentials", "forbidden", "rate", "audio_rate", "streams", "overload", "idle", "ended"
]

_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.25, 1.0)
_STREAMS: Final = (1, 2, 4, 8, 16, 32, 64)
# Clients choose which models share a stream, and with them a label: they must not be able to make any number of labels.
_MOST_MODELS: Final = 64
# Of so many messages one is timed.
_EVERY: Final = 16
_OTHER_MODELS: Final = "others"


class Metrics:
    """Counts and measures, from any thread; a call takes about a microsecond.

    Attributes:
        registry: the figures of this process.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._streams = Gauge(
            "nanowakeword_streams", "Streams open now.", registry=self.registry, multiprocess_mode="livesum"
        )
        self._chunks = Counter("nanowakeword_chunks", "Messages of audio or features.", registry=self.registry)
        self._batches = Histogram(
            "nanowakeword_batch_streams",
            "Streams judged in one run, by the models of the run.",
            ["model"],
            registry=self.registry,
            buckets=_STREAMS,
        )
        latency = Histogram(
            "nanowakeword_latency_seconds",
            f"Time by stage: of a run, its wait and itself; of one message in {_EVERY}, reading and answering it.",
            ["stage"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._detections = Counter("nanowakeword_detections", "Phrases heard.", ["model"], registry=self.registry)
        refusals = Counter("nanowakeword_refusals", "Calls and streams refused.", ["reason"], registry=self.registry)
        versions = Gauge(
            "nanowakeword_build_info",
            "Always 1; its labels are versions.",
            ["version", "onnxruntime"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        versions.labels(nanowakeword.__version__, onnxruntime.__version__).set(1)
        # To find a label costs more than to count, so each is found once.
        self._latency: dict[Stage, Histogram] = {stage: latency.labels(stage) for stage in get_args(Stage)}
        self._until = {"read": 1, "write": 1}
        self._refusals: dict[Reason, Counter] = {reason: refusals.labels(reason) for reason in get_args(Reason)}
        self._batches_of: dict[str, Histogram] = {}
        self._detections_of: dict[str, Counter] = {}

    def stream_opened(self) -> None:
        """A stream began."""
        self._streams.inc()

    def stream_closed(self) -> None:
        """A stream ended."""
        self._streams.dec()

    def chunk(self) -> None:
        """A message of audio or features came."""
        self._chunks.inc()

    def latency(self, stage: Literal["read", "write"], seconds: float) -> None:
        """A message spent some time in a stage. Called by one thread; one time in `_EVERY` is kept, the first included.

        With several workers to keep a time takes 3 us, a tenth of what this server adds to the work on a message.
        """
        self._until[stage] -= 1
        if not self._until[stage]:
            self._until[stage] = _EVERY
            self._latency[stage].observe(seconds)

    def batch(self, model: str, size: int, wait_s: float, infer_s: float) -> None:
        """A run ended.

        Args:
            model: names of its models.
            size: how many streams it judged.
            wait_s: how long the first of them waited for it.
            infer_s: how long it took.
        """
        batches = self._batches_of.get(model)
        if batches is None:
            if len(self._batches_of) >= _MOST_MODELS:
                model = _OTHER_MODELS
            batches = self._batches_of[model] = self._batches.labels(model)
        batches.observe(size)
        self._latency["wait"].observe(wait_s)
        self._latency["infer"].observe(infer_s)

    def detection(self, model: str) -> None:
        """A phrase was heard."""
        detections = self._detections_of.get(model)
        if detections is None:
            detections = self._detections_of[model] = self._detections.labels(model)
        detections.inc()

    def refused(self, reason: Reason) -> None:
        """A call or a stream was refused, or ended, because of a limit or of who asked."""
        self._refusals[reason].inc()
