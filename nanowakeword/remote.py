"""The client of a NanoWakeword server: audio goes out, detections come back.

    with RemoteStream("127.0.0.1:8765") as stream:
        for chunk in microphone:                # int16, 16 kHz, mono, any length
            for detection in stream.feed(chunk):
                print(detection.phrase, detection.start_s)

Needs the extra ``remote``; importing this module does not. Every wait is bounded.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from nanowakeword.arrays import Samples
from nanowakeword.audio import check_chunk
from nanowakeword.errors import ConfigError, DependencyError, RemoteError
from nanowakeword.results import Detection

if TYPE_CHECKING:
    from nanowakeword.v1 import wakeword_pb2

__all__ = ["RemoteStream", "detect_remote"]

_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
# 80 ms to 2 s of audio each: what may wait here while the network is slow, so that memory stays bounded.
_OUTBOX_MESSAGES: Final = 8
_CHANNEL_OPTIONS: Final = [
    # A microphone's server is near; an HTTP proxy named in the environment is for other traffic.
    ("grpc.enable_http_proxy", 0),
]
_HINTS: Final = {
    "NOT_FOUND": "Ask for a model that this server has",
    "INVALID_ARGUMENT": "Correct what the server names",
    "UNIMPLEMENTED": "Is this a NanoWakeword server, and not an older one?",
    "UNAVAILABLE": "The server may be restarting: connect again",
    "INTERNAL": "This is a fault of the server: look at its log",
}


class RemoteStream:
    """One stream of audio to a server, open from construction until `finish` or `close`.

    The stream keeps two threads: one sends, one receives. Use one stream per microphone, from one thread.

    Args:
        address: ``host:port`` of the server.
        models: name or names of the server's models to run. Empty: its default model.
        threshold: score at which they fire, above 0 and at most 1. None: the server's own.
        budget_fa_per_hour: false accepts per hour to stay within, instead of a threshold.
        timeout_s: longest wait for the server, in seconds: for its first answer, for room to send, for its last one.

    Raises:
        ConfigError: an argument is wrong.
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
        timeout_s: float = 5.0,
    ) -> None:
        _check_address(address)
        if threshold is not None and budget_fa_per_hour is not None:
            raise ConfigError("both threshold and budget_fa_per_hour are given", expected="one of them, or neither")
        if not timeout_s > 0:
            raise ConfigError("bad timeout_s", got=timeout_s, expected="above 0 seconds")
        self._grpc, self._pb, stubs = _import_grpc()
        self._address = address
        self._timeout_s = timeout_s
        self._outbox = _Outbox(_OUTBOX_MESSAGES)
        self._outbox.put(
            _configuration(self._pb, models=models, threshold=threshold, budget_fa_per_hour=budget_fa_per_hour),
            timeout_s=timeout_s,
        )
        self._sequence = 0
        self._lock = threading.Lock()
        self._detections: list[Detection] = []
        self._warnings: list[str] = []
        self._thresholds: dict[str, float] = {}
        self._max_audio_bytes = 0
        self._error: RemoteError | None = None
        self._closed = False
        self._opened = threading.Event()
        self._ended = threading.Event()
        self._channel = self._grpc.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._call = stubs.WakeWordServiceStub(self._channel).Detect(iter(self._outbox))
        self._receiver = threading.Thread(target=self._receive, name=f"nanowakeword-{address}", daemon=True)
        self._receiver.start()
        if not self._opened.wait(timeout_s):
            self._fail_late("does not answer")
        try:
            self._check_alive()
        except RemoteError:
            self.close()
            raise

    @property
    def thresholds(self) -> dict[str, float]:
        """Score at which each model of this stream fires."""
        return dict(self._thresholds)

    @property
    def warnings(self) -> list[str]:
        """What the server warned of so far."""
        with self._lock:
            return list(self._warnings)

    def feed(self, audio: Samples) -> list[Detection]:
        """Send int16 audio ``[n]`` at 16 kHz, any ``n``, and return the detections received since the last call.

        Does not wait for the server to judge this audio: its detections come with a later call or with `finish`.

        Raises:
            AudioError: the audio is not int16 or not mono.
            RemoteError: the server ended the stream, or takes no audio for ``timeout_s``.
        """
        samples = check_chunk(audio)
        self._check_alive()
        largest = max(1, self._max_audio_bytes // samples.itemsize)
        for start in range(0, len(samples), largest):
            self._send(samples[start : start + largest])
        return self._take()

    def finish(self) -> list[Detection]:
        """Say that the audio is over, wait for the rest of the detections, close, and return them.

        Raises:
            RemoteError: the server ended the stream with an error or does not end it within ``timeout_s``.
        """
        self._check_alive()
        self._outbox.close()
        if not self._ended.wait(self._timeout_s):
            self._fail_late("does not finish")
        self.close()
        if self._error is not None:
            raise self._error
        return self._take()

    def close(self) -> None:
        """Drop the connection and what is still under way. Harmless when already closed."""
        self._closed = True
        self._outbox.close()
        self._channel.close()  # cancels what is under way
        self._receiver.join(self._timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, samples: Samples) -> None:
        chunk = self._pb.AudioChunk(sequence=self._sequence, pcm_s16le=samples.astype("<i2", copy=False).tobytes())
        if not self._outbox.put(self._pb.DetectRequest(audio=chunk), timeout_s=self._timeout_s):
            self._check_alive()
            self._fail_late("takes no audio")
        self._sequence += 1

    def _receive(self) -> None:
        """Body of the receiving thread: runs until the call ends, however it ends."""
        try:
            for response in self._call:
                self._accept(response)
        except self._grpc.RpcError as error:
            if not self._closed:  # else it is our own cancel
                self._error = self._explain(error)
        finally:
            # Whoever waits is released, and finds out why: the caller, and the thread that sends.
            self._ended.set()
            self._outbox.close()
            self._opened.set()

    def _accept(self, response: wakeword_pb2.DetectResponse) -> None:
        if response.HasField("opened"):
            self._thresholds = {model.name: model.threshold for model in response.opened.models}
            self._max_audio_bytes = response.opened.max_audio_bytes
            self._opened.set()
        with self._lock:
            self._warnings += [warning.text for warning in response.warnings]
            self._detections += [
                Detection(
                    phrase=detection.phrase,
                    score=detection.score,
                    start_s=detection.start_s,
                    end_s=detection.end_s,
                    model=detection.model,
                )
                for detection in response.detections
            ]

    def _take(self) -> list[Detection]:
        with self._lock:
            detections, self._detections = self._detections, []
        return detections

    def _check_alive(self) -> None:
        """Raise what ended the stream, if something did."""
        if self._error is not None:
            raise self._error
        if self._closed:
            raise RemoteError("the stream is closed", hint="Open a new RemoteStream")
        if self._ended.is_set():
            raise RemoteError(f"the server at {self._address} ended the stream early", hint=_HINTS["UNAVAILABLE"])

    def _fail_late(self, what: str) -> NoReturn:
        self.close()
        raise RemoteError(
            f"the server at {self._address} {what}",
            expected=f"within {self._timeout_s:g} s",
            hint=_HINTS["UNAVAILABLE"],
        )

    def _explain(self, error: Any) -> RemoteError:
        code, details = error.code().name, error.details()
        if code == "UNAVAILABLE" and not self._opened.is_set():
            return RemoteError(
                f"cannot reach a server at {self._address}",
                got=details,
                hint="Start one: python -m serving --model M.onnx",
            )
        return RemoteError(f"the server at {self._address} refused", got=f"{code}: {details}", hint=_HINTS.get(code))


def detect_remote(
    address: str,
    audio: Samples,
    *,
    models: str | Sequence[str] = (),
    threshold: float | None = None,
    budget_fa_per_hour: float | None = None,
    timeout_s: float = 30.0,
) -> list[Detection]:
    """Detections in a whole recording, int16 ``[n]`` at 16 kHz; arguments and errors as for `RemoteStream`."""
    with RemoteStream(
        address, models=models, threshold=threshold, budget_fa_per_hour=budget_fa_per_hour, timeout_s=timeout_s
    ) as stream:
        return stream.feed(audio) + stream.finish()


def _configuration(
    pb: Any, *, models: str | Sequence[str], threshold: float | None, budget_fa_per_hour: float | None
) -> wakeword_pb2.DetectRequest:
    names = (models,) if isinstance(models, str) else models
    selections = [
        pb.ModelSelection(name=name, threshold=threshold, budget_fa_per_hour=budget_fa_per_hour)
        for name in names or ("",)  # no name: the default model
    ]
    request: wakeword_pb2.DetectRequest = pb.DetectRequest(config=pb.DetectConfig(models=selections))
    return request


class _Outbox:
    """Messages on their way out: a queue with room for ``capacity``, read by the thread that sends."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[Any] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Any, *, timeout_s: float) -> bool:
        """Add ``item`` as soon as there is room; False where none came in time or the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity, timeout_s)
            if self._closed or len(self._items) >= self._capacity:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """Take no more; what is queued is still sent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items)
            if not self._items:
                raise StopIteration
            item = self._items.popleft()
            self._changed.notify_all()
            return item


def _import_grpc() -> tuple[Any, Any, Any]:
    """grpc, the messages and the stubs."""
    try:
        import grpc

        from nanowakeword.v1 import wakeword_pb2, wakeword_pb2_grpc
    except Exception as error:  # the generated code raises classes of its own where grpc or protobuf is too old
        raise DependencyError(
            "gRPC or protobuf is missing or too old", got=error, hint='Install it: pip install "nanowakeword[remote]"'
        ) from error
    return grpc, wakeword_pb2, wakeword_pb2_grpc


def _check_address(address: str) -> None:
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match.group(2)) <= 65_535:
        raise ConfigError("bad address of a server", got=repr(address), expected="host:port, such as 127.0.0.1:8765")
