"""The client of a NanoWakeword server: audio goes out, detections come back.

    with RemoteStream("127.0.0.1:8765") as stream:
        for chunk in microphone:                # int16, 16 kHz, mono, any length
            for detection in stream.feed(chunk):
                print(detection.phrase, detection.start_s)

Needs the extra ``remote``; importing this module does not. Every wait is bounded. For audio that must not wait at all
there is `nanowakeword.remote_scorer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, NoReturn, Self, Unpack

import numpy as np

from nanowakeword.arrays import Floats, Samples
from nanowakeword.audio import check_chunk
from nanowakeword.errors import ConfigError, RemoteError
from nanowakeword.remote_call import DetectCall
from nanowakeword.remote_messages import detect_config, read_detections
from nanowakeword.remote_server import Credentials, RemoteServer, import_grpc
from nanowakeword.results import Detection

__all__ = ["RemoteStream", "detect_remote"]

# 80 ms to 2 s of audio each: what may wait here while the network is slow, so that memory stays bounded.
_OUTBOX_MESSAGES: Final = 8


class RemoteStream:
    """One stream of audio to a server, open from construction until `finish` or `close`.

    The stream keeps two threads: one sends, one receives. Use one stream per microphone, from one thread.

    Args:
        address: ``host:port`` of the server.
        models: name or names of the server's models to run. Empty: its default model.
        threshold: score at which they fire, above 0 and at most 1. None: the server's own.
        budget_fa_per_hour: false accepts per hour to stay within, instead of a threshold.
        scores: whether `scores` is to be filled; it costs 75 bytes per 80 ms.
        timeout_s: longest wait for the server, in seconds: for its first answer, for room to send, for its last one.
        credentials: what the server asks for, as `RemoteServer` takes it: ``api_key``, ``token``, ``ssl_ca_certs``,
            ``ssl_certfile``, ``ssl_keyfile``.

    Raises:
        ConfigError: an argument is wrong, or credentials would cross a network in the clear.
        DependencyError: the extra ``remote`` is not installed.
        RemoteError: the server cannot be reached, does not answer in time, or refuses.
    """

    def __init__(
        self,
        address: str,
        *,
        models: str | Sequence[str] = (),
        threshold: float | None = None,
        budget_fa_per_hour: float | None = None,
        scores: bool = False,
        timeout_s: float = 5.0,
        **credentials: Unpack[Credentials],
    ) -> None:
        self._server = RemoteServer(address=address, **credentials)
        config = detect_config(models=models, threshold=threshold, budget_fa_per_hour=budget_fa_per_hour, scores=scores)
        if not timeout_s > 0:
            raise ConfigError("bad timeout_s", got=timeout_s, expected="above 0 seconds")
        _, self._pb, _ = import_grpc()
        self._timeout_s = timeout_s
        self._sequence = 0
        self._detections: list[Detection] = []
        self._scores: dict[str, list[Floats]] = {}
        self._warnings: list[str] = []
        self._closed = False
        self._channel = self._server.open_channel()
        self._call = DetectCall(self._server, self._channel, config)
        if not self._wait(lambda: self._call.opened is not None or self._call.ended):
            self._fail_late("does not answer")
        if self._call.opened is None:
            self.close()
            raise self._call.error or self._server.left()
        self._largest = max(1, self._call.opened.max_audio_bytes // 2)
        self._thresholds = {model.name: model.threshold for model in self._call.opened.models}

    @property
    def thresholds(self) -> dict[str, float]:
        """Score at which each model of this stream fires."""
        return dict(self._thresholds)

    @property
    def warnings(self) -> list[str]:
        """What the server warned of so far."""
        self._collect()
        return list(self._warnings)

    @property
    def scores(self) -> dict[str, Floats]:
        """Scores received since this was last read, by model, float32 ``[n]``: those of the next ``n`` hops.

        Empty unless the stream was opened with ``scores``.
        """
        self._collect()
        scores, self._scores = self._scores, {}
        return {name: np.concatenate(parts) for name, parts in scores.items()}

    def feed(self, audio: Samples) -> list[Detection]:
        """Send int16 audio ``[n]`` at 16 kHz, any ``n``, and return the detections received since the last call.

        Does not wait for the server to judge this audio: its detections come with a later call or with `finish`.

        Raises:
            AudioError: the audio is not int16 or not mono.
            RemoteError: the server ended the stream, or takes no audio for ``timeout_s``.
        """
        samples = check_chunk(audio)
        self._check_alive()
        for start in range(0, len(samples), self._largest):
            self._send(samples[start : start + self._largest])
        return self._take()

    def finish(self) -> list[Detection]:
        """Say that the audio is over, wait for the rest of the detections, close, and return them.

        Raises:
            RemoteError: the server ended the stream with an error or does not end it within ``timeout_s``.
        """
        self._check_alive()
        self._call.finish()
        if not self._wait(lambda: self._call.ended):
            self._fail_late("does not finish")
        self.close()
        if self._call.error is not None:
            raise self._call.error
        return self._take()

    def close(self) -> None:
        """Drop the connection and what is still under way. Harmless when already closed."""
        if not self._closed:
            self._closed = True
            self._call.cancel()
            self._channel.close()
            self._call.join(self._timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, samples: Samples) -> None:
        chunk = self._pb.AudioChunk(sequence=self._sequence, pcm_s16le=samples.astype("<i2", copy=False).tobytes())
        if not self._wait(lambda: self._call.waiting_messages < _OUTBOX_MESSAGES or self._call.ended):
            self._fail_late("takes no audio")
        self._check_alive()
        self._call.put(self._pb.DetectRequest(audio=chunk))
        self._sequence += 1

    def _wait(self, condition: Callable[[], bool]) -> bool:
        with self._call.changed:
            return self._call.changed.wait_for(condition, self._timeout_s)

    def _collect(self) -> None:
        for response in self._call.take():
            self._warnings += [warning.text for warning in response.warnings]
            for track in response.scores:
                self._scores.setdefault(track.model, []).append(np.array(track.values, np.float32))
            self._detections += read_detections(response)

    def _take(self) -> list[Detection]:
        self._collect()
        detections, self._detections = self._detections, []
        return detections

    def _check_alive(self) -> None:
        """Raise what ended the stream, if something did."""
        if self._call.error is not None:
            raise self._call.error
        if self._closed:
            raise RemoteError("the stream is closed", hint="Open a new RemoteStream")
        if self._call.ended:
            raise self._server.left()

    def _fail_late(self, what: str) -> NoReturn:
        self.close()
        raise self._server.late(what, timeout_s=self._timeout_s)


def detect_remote(
    address: str,
    audio: Samples,
    *,
    models: str | Sequence[str] = (),
    threshold: float | None = None,
    budget_fa_per_hour: float | None = None,
    timeout_s: float = 30.0,
    **credentials: Unpack[Credentials],
) -> list[Detection]:
    """Detections in a whole recording, int16 ``[n]`` at 16 kHz; arguments and errors as for `RemoteStream`."""
    with RemoteStream(
        address,
        models=models,
        threshold=threshold,
        budget_fa_per_hour=budget_fa_per_hour,
        timeout_s=timeout_s,
        **credentials,
    ) as stream:
        return stream.feed(audio) + stream.finish()
