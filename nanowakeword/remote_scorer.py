"""A scorer whose models run on a server.

    with RemoteScorer("192.168.1.10:8765") as scorer:
        for hops in microphone:                 # int16, whole hops of 1,280 samples
            for judged in scorer.feed(hops):
                print(judged.first_hop, judged.scores)
            if scorer.error:
                print(scorer.error)             # and the audio goes on

The network is never waited for: hops that a server cannot get, because it is away or too slow, are never judged, and
`Judged.first_hop` jumps over them. Needs the extra ``remote``.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self, Unpack

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.card import ModelCard
from nanowakeword.errors import AudioError, ConfigError, RemoteError
from nanowakeword.graph import Graph
from nanowakeword.remote_link import RemoteLink
from nanowakeword.remote_server import Credentials, RemoteServer
from nanowakeword.scorer import Judged
from nanowakeword.timing import HOP_SAMPLES

__all__ = ["RemoteScorer"]

# Until the server has told its models, or where a card does not tell: longer than the default detector's 52 hops.
_UNKNOWN_CONTEXT_HOPS: Final = 64
_CLOSE_S: Final = 2.0


class RemoteScorer:
    """Asks a server for scores. Used from one thread; a thread of its own talks to the network until `close`.

    The server is asked for its models at once, and for a stream when the first hops come. A server that is away is
    tried again after half a second, then after longer and longer pauses of at most 30 s.

    Args:
        address: ``host:port`` of the server.
        models: name or names of the server's models to run. Empty: its default model.
        features: a model, loaded here, that has the same front ends as the server's: its features are sent, and only
            the heads run on the server. None: the audio is sent.
        timeout_s: longest wait for an answer before the server counts as lost.
        credentials: what the server asks for, as `RemoteServer` takes it: ``api_key``, ``token``, ``ssl_ca_certs``,
            ``ssl_certfile``, ``ssl_keyfile``.

    Raises:
        ConfigError: an argument is wrong, or credentials would cross a network in the clear.
        DependencyError: the extra ``remote`` is not installed.
    """

    def __init__(
        self,
        address: str,
        *,
        models: str | Sequence[str] = (),
        features: Graph | None = None,
        timeout_s: float = 2.0,
        **credentials: Unpack[Credentials],
    ) -> None:
        if not 0.0 < timeout_s < float("inf"):
            raise ConfigError("bad timeout_s", got=timeout_s, expected="above 0 seconds")
        names = (models,) if isinstance(models, str) else tuple(models)
        if len(set(names)) != len(names) or "" in names:
            raise ConfigError("names of models", got=", ".join(map(repr, names)), expected="each name once")
        server = RemoteServer(address=address, **credentials)
        self._address = address
        self._hops = 0
        # The thread holds the link and not this object, so that a scorer nobody holds any more ends its thread.
        self._link = RemoteLink(server, models=names, features=features, timeout_s=timeout_s)
        self._thread = threading.Thread(target=self._link.work, name=f"nanowakeword-{address}", daemon=True)
        self._stop = weakref.finalize(self, self._link.stop)
        self._thread.start()

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """Cards of the models that run, by name, with the server's thresholds; empty until it has answered once."""
        return self._link.cards

    @property
    def error(self) -> RemoteError | None:
        """Why the server cannot be used now; None where nothing is known to be wrong."""
        return self._link.error

    @property
    def context_hops(self) -> int:
        """Past hops that can change a score; a guess that is long enough until the server has told its models."""
        reaches = [card.receptive_field_samples for card in self.cards.values()]
        hops = [_UNKNOWN_CONTEXT_HOPS if n is None else -(-n // HOP_SAMPLES) for n in reaches]
        return max(hops, default=_UNKNOWN_CONTEXT_HOPS)

    def reset(self) -> None:
        """Begin a new stream; what is not answered yet never will be. The old one is closed in the background."""
        self._hops = 0
        self._link.drop()

    def feed(self, hops: Samples) -> list[Judged]:
        """Take the next hops, int16 ``[1280*k]``, ``k >= 0``, and return what has been answered by now, oldest first.

        Raises:
            AudioError: the audio is not int16 ``[1280*k]``.
        """
        if hops.dtype != np.int16 or hops.ndim != 1 or len(hops) % HOP_SAMPLES:
            raise AudioError(
                "audio for a scorer", got=f"{hops.dtype} {list(hops.shape)}", expected=f"int16 [{HOP_SAMPLES}*k]"
            )
        if len(hops):
            self._link.offer(hops, first_hop=self._hops)
            self._hops += len(hops) // HOP_SAMPLES
        return self._link.take()

    def wait_answered(self, timeout_s: float) -> bool:
        """Wait until the server has told its models or `error` says why it has not; whether it has told them."""
        return self._link.wait_answered(timeout_s)

    def wait_judged(self, timeout_s: float) -> bool:
        """Wait until all hops that the server got are judged; for recordings, which have time. Whether it was enough.

        The next `feed`, of no hops, returns the scores. Up to `MAX_WAITING_HOPS` hops can be fed before each wait.
        """
        return self._link.wait_judged(timeout_s)

    def close(self) -> None:
        """End the stream, the connection and the thread. Harmless when already closed."""
        self._stop()
        self._thread.join(_CLOSE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RemoteScorer({self._address!r}, models={list(self.cards)})"
