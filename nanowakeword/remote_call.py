"""One call of ``Detect``: messages out, answers in. No policy; who uses it decides how long to wait and for what."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nanowakeword.errors import RemoteError
from nanowakeword.remote_server import RemoteServer, import_grpc

if TYPE_CHECKING:
    from nanowakeword.v1 import wakeword_pb2 as pb

__all__ = ["DetectCall"]


class DetectCall:
    """An open call. It keeps two threads until it has ended: gRPC's own one sends, one of ours receives.

    Nothing here waits for the network. Everything that changes is guarded and announced by `changed`.

    Args:
        server: whom to call.
        channel: a channel to it.
        config: the first message.
        changed: to guard and announce what changes; None: one of its own.

    Attributes:
        changed: notified when a message left, an answer came, or the call ended.
        opened: the server's first answer; None before it.
        ended: whether the call is over, however it ended.
        error: why, where the server or the network ended it with an error.
    """

    def __init__(
        self, server: RemoteServer, channel: Any, config: pb.DetectConfig, *, changed: threading.Condition | None = None
    ) -> None:
        self._grpc, self._pb, stubs = import_grpc()
        self._server = server
        self.changed = changed or threading.Condition()
        self.opened: pb.StreamOpened | None = None
        self.ended = False
        self.error: RemoteError | None = None
        self._outbox = deque([self._pb.DetectRequest(config=config)])
        self._answers: list[pb.DetectResponse] = []
        self._over = False  # nothing more is put into the outbox
        self._cancelled = False
        self._call = stubs.WakeWordServiceStub(channel).Detect(self._requests(), metadata=server.metadata)
        self._receiver = threading.Thread(target=self._receive, name=f"nanowakeword-{server.address}", daemon=True)
        self._receiver.start()

    @property
    def waiting_messages(self) -> int:
        """Messages that have not left yet."""
        return len(self._outbox)

    @property
    def has_answers(self) -> bool:
        """Whether `take` has something to return."""
        return bool(self._answers)

    def put(self, request: pb.DetectRequest) -> None:
        """Send a message when the network takes it."""
        with self.changed:
            self._outbox.append(request)
            self.changed.notify_all()

    def finish(self) -> None:
        """Say that nothing more comes, once all messages have left; answers still arrive."""
        with self.changed:
            self._over = True
            self.changed.notify_all()

    def cancel(self) -> None:
        """Drop what is under way."""
        with self.changed:
            self._over = self._cancelled = True
            self._outbox.clear()
            self.changed.notify_all()
        self._call.cancel()

    def take(self) -> list[pb.DetectResponse]:
        """Answers since the last call, oldest first, without the one that opened the stream."""
        with self.changed:
            answers, self._answers = self._answers, []
        return answers

    def join(self, timeout_s: float) -> None:
        """Wait for our thread after the call has ended or was cancelled."""
        self._receiver.join(timeout_s)

    def _requests(self) -> Iterator[pb.DetectRequest]:
        """Runs in gRPC's sending thread."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self._outbox or self._over or self.ended)
                if self.ended or not self._outbox:
                    return
                request = self._outbox.popleft()
                self.changed.notify_all()
            yield request

    def _receive(self) -> None:
        error = None
        try:
            for response in self._call:
                with self.changed:
                    if self.opened is None and response.HasField("opened"):
                        self.opened = response.opened
                    else:
                        self._answers.append(response)
                    self.changed.notify_all()
        except self._grpc.RpcError as failure:
            if not self._cancelled:
                error = self._server.explain(failure, reached=self.opened is not None)
        finally:
            with self.changed:
                self.error, self.ended = error, True
                self._outbox.clear()
                self.changed.notify_all()
