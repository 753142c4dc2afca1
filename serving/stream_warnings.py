"""What a stream's client should know although the stream goes on: each thing once, or once for each time."""

from __future__ import annotations

from typing import Final, Protocol

from nanowakeword.v1 import wakeword_pb2 as pb
from serving.engine import Engine
from serving.session import Session

__all__ = ["Expiring", "StreamWarnings"]

# Live audio that waits longer is judged too late to be of use. Told again only after it went well in between.
_LATE_S: Final = 0.25
_IN_TIME_S: Final = 0.1
# Enough to ask for another token and to open another stream.
_EXPIRES_SOON_S: Final = 60.0


class Expiring(Protocol):
    """What may open a stream for a limited time."""

    @property
    def expires_in_s(self) -> float | None:
        """Seconds that are left; None: no limit."""


class StreamWarnings:
    """The warnings of one stream.

    Args:
        session: the stream.
        engine: whose models it listens with.
        lease: its right to be open.
    """

    def __init__(self, session: Session, *, engine: Engine, lease: Expiring) -> None:
        self._session = session
        self._engine = engine
        self._lease = lease
        self._told_of_stop = False
        self._told_of_expiry = False
        self._late = False

    def due(self, *, missing_messages: int, draining: bool) -> list[pb.StreamWarning]:
        """What is to be told with the answer to a message that is about to be judged.

        Args:
            missing_messages: so many were left out before it.
            draining: whether the server is about to stop.
        """
        session = self._session
        found: list[pb.StreamWarning] = []
        if missing_messages:
            text = f"{missing_messages} messages are missing; what came on both sides was joined"
            found.append(self._warning(pb.WARNING_KIND_GAP, text, missing_messages=missing_messages))
        if draining and not self._told_of_stop:
            self._told_of_stop = True
            found.append(self._warning(pb.WARNING_KIND_DRAINING, "the server is about to stop; connect again"))
        lag_s = session.lag_s
        if lag_s > _LATE_S and not self._late:
            self._late = True
            text = f"the server is overloaded: audio waited {lag_s:.2f} s to be judged; expected {_LATE_S:g} s at most"
            found.append(self._warning(pb.WARNING_KIND_OVERLOAD, text))
        elif lag_s < _IN_TIME_S:
            self._late = False
        if not self._told_of_expiry and self._expires_soon():
            self._told_of_expiry = True
            text = "the credentials of this stream are about to expire, and the stream with them; open another one"
            found.append(self._warning(pb.WARNING_KIND_CREDENTIALS_EXPIRE, text))
        for name in self._engine.replaced(session):
            text = f"model {name!r} was replaced; this stream goes on with the one it was opened with"
            found.append(self._warning(pb.WARNING_KIND_MODEL_REPLACED, text))
        return found

    def _expires_soon(self) -> bool:
        left_s = self._lease.expires_in_s
        return left_s is not None and left_s < _EXPIRES_SOON_S

    def _warning(self, kind: pb.WarningKind, text: str, *, missing_messages: int = 0) -> pb.StreamWarning:
        return pb.StreamWarning(kind=kind, text=text, at_s=self._session.seconds, missing_messages=missing_messages)
