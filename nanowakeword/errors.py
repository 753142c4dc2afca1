"""Every error that NanoWakeword raises on purpose.

    NanoWakewordError
    ├── ConfigError       a setting or an argument is wrong
    ├── AudioError        a recording or a stream cannot be used
    ├── ModelError        a file is not a model of ours, or is damaged, or is newer than this code
    ├── DependencyError   an optional package, engine or set of weights is missing
    ├── StorageError      the disk is full or refuses to write
    └── RemoteError       a server cannot be reached or refuses

A message says what was got, what was expected and what to do. Programs that show messages to people print
``str(error)`` and exit with a status other than 0; they never print a stack trace for these.
"""

from __future__ import annotations

__all__ = [
    "AudioError",
    "ConfigError",
    "DependencyError",
    "ModelError",
    "NanoWakewordError",
    "RemoteError",
    "StorageError",
]


class NanoWakewordError(Exception):
    """Root of all errors raised on purpose.

    Args:
        problem: what is wrong, naming the file, setting or argument.
        got: what was found, if that helps.
        expected: what would have been accepted.
        hint: what the reader can do about it.
    """

    def __init__(self, problem: str, *, got: object = None, expected: object = None, hint: str | None = None) -> None:
        parts = [problem]
        if got is not None:
            parts.append(f"got {got}")
        if expected is not None:
            parts.append(f"expected {expected}")
        message = "; ".join(parts)
        super().__init__(f"{message}. {hint}" if hint else message)


class ConfigError(NanoWakewordError):
    """A setting or an argument is wrong."""


class AudioError(NanoWakewordError):
    """A recording or a stream of audio cannot be used."""


class ModelError(NanoWakewordError):
    """A file is not a model of ours, is damaged, or is newer than this code."""


class DependencyError(NanoWakewordError):
    """An optional package, a speech engine or a set of weights is missing."""


class StorageError(NanoWakewordError):
    """The disk is full or refuses to write."""


class RemoteError(NanoWakewordError):
    """A server cannot be reached or refuses the call."""
