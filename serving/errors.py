"""Errors that only a server has; they refine the tree of `nanowakeword.errors`.

`serving.status` says what each of them tells a client.
"""

from __future__ import annotations

from nanowakeword.errors import ConfigError, NanoWakewordError

__all__ = [
    "CodecError",
    "ForbiddenError",
    "IdleError",
    "LimitError",
    "OverloadError",
    "ProtocolError",
    "StoppingError",
    "UnauthenticatedError",
    "UnknownModelError",
    "UnsupportedError",
]


class ProtocolError(NanoWakewordError):
    """A message that the protocol does not allow at this point of a stream."""


class CodecError(ProtocolError):
    """Encoded audio that cannot be decoded."""


class UnknownModelError(ConfigError):
    """A stream asks for a model that this server does not have."""


class UnsupportedError(NanoWakewordError):
    """A part of the protocol that this server, as it is set up, does not offer."""


class UnauthenticatedError(NanoWakewordError):
    """Nobody that this server knows. The text is always the same, so that it tells nothing about what was wrong."""

    def __init__(self) -> None:
        super().__init__("credentials are missing, wrong or expired")


class ForbiddenError(NanoWakewordError):
    """The caller is known, or does not matter, and may not do this."""


class LimitError(NanoWakewordError):
    """A caller reached one of its own limits."""


class OverloadError(NanoWakewordError):
    """The server is full, whoever asks."""


class IdleError(NanoWakewordError):
    """A client was silent for longer than the server waits."""


class StoppingError(NanoWakewordError):
    """The server stops, and with it every stream."""
