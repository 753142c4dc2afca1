"""Errors that only a server has; they refine the tree of `nanowakeword.errors`."""

from __future__ import annotations

from nanowakeword.errors import ConfigError, NanoWakewordError

__all__ = ["ProtocolError", "UnknownModelError"]


class ProtocolError(NanoWakewordError):
    """A message that the protocol does not allow at this point of a stream."""


class UnknownModelError(ConfigError):
    """A stream asks for a model that this server does not have."""
