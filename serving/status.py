"""The one table from our errors to gRPC status codes."""

from __future__ import annotations

from typing import Final, NamedTuple

import grpc

from nanowakeword import errors
from serving.errors import ProtocolError, UnknownModelError

__all__ = ["STATUS_TABLE", "Row", "Status", "status_of"]


class Row(NamedTuple):
    """What one class of errors becomes.

    Attributes:
        code: the status.
        text: what the client reads. None: the error's own message, for errors that speak of what the client sent. The
            others can name files and settings of the server, which are for its log only.
    """

    code: grpc.StatusCode
    text: str | None


class Status(NamedTuple):
    """How a call ends.

    Attributes:
        code: the status.
        text: what the client reads.
        logged: whether the error is the server's affair and belongs in its log.
    """

    code: grpc.StatusCode
    text: str
    logged: bool


_SEE_LOG: Final = "the server's log tells more"

STATUS_TABLE: Final[dict[type[BaseException], Row]] = {
    ProtocolError: Row(grpc.StatusCode.INVALID_ARGUMENT, None),
    UnknownModelError: Row(grpc.StatusCode.NOT_FOUND, None),
    errors.ConfigError: Row(grpc.StatusCode.INVALID_ARGUMENT, None),
    errors.AudioError: Row(grpc.StatusCode.INVALID_ARGUMENT, None),
    errors.ModelError: Row(grpc.StatusCode.FAILED_PRECONDITION, f"a model of this server cannot be used; {_SEE_LOG}"),
    errors.DependencyError: Row(grpc.StatusCode.UNIMPLEMENTED, f"this server lacks an optional part; {_SEE_LOG}"),
    errors.StorageError: Row(grpc.StatusCode.RESOURCE_EXHAUSTED, f"this server's storage refuses; {_SEE_LOG}"),
    errors.RemoteError: Row(grpc.StatusCode.UNAVAILABLE, f"a server behind this one does not answer; {_SEE_LOG}"),
    errors.NanoWakewordError: Row(grpc.StatusCode.INTERNAL, f"internal error; {_SEE_LOG}"),
    BaseException: Row(grpc.StatusCode.INTERNAL, f"internal error; {_SEE_LOG}"),
}


def status_of(error: BaseException) -> Status:
    """The status of ``error``, by the row of its nearest class in the table."""
    row = next(STATUS_TABLE[kind] for kind in type(error).__mro__ if kind in STATUS_TABLE)
    return Status(row.code, str(error) if row.text is None else row.text, logged=row.text is not None)
