"""The one table from our errors to gRPC status codes."""

from __future__ import annotations

from typing import Final, NamedTuple

import grpc
from google.protobuf.message import DecodeError

from nanowakeword import errors
from serving.errors import (
    CodecError,
    ForbiddenError,
    IdleError,
    LimitError,
    OverloadError,
    ProtocolError,
    StoppingError,
    UnauthenticatedError,
    UnknownModelError,
    UnsupportedError,
)

__all__ = ["STATUS_TABLE", "Row", "Status", "status_of"]


class Row(NamedTuple):
    """What one class of errors becomes.

    Attributes:
        code: the status.
        text: what the client reads. None: the error's own message, for errors that speak of what the client sent. The
            others can name files and settings of the server, which are for its log only.
        logged: whether the error is the server's affair and belongs in its log; a stranger must not fill it.
    """

    code: grpc.StatusCode
    text: str | None = None
    logged: bool = False


class Status(NamedTuple):
    """How a call ends; attributes as in `Row`."""

    code: grpc.StatusCode
    text: str
    logged: bool


def _ours(code: grpc.StatusCode, text: str) -> Row:
    return Row(code, f"{text}; the server's log tells more", logged=True)


STATUS_TABLE: Final[dict[type[BaseException], Row]] = {
    DecodeError: Row(grpc.StatusCode.INVALID_ARGUMENT, "bytes that are no message of this protocol"),
    ProtocolError: Row(grpc.StatusCode.INVALID_ARGUMENT),
    CodecError: Row(grpc.StatusCode.INVALID_ARGUMENT),
    UnknownModelError: Row(grpc.StatusCode.NOT_FOUND),
    UnsupportedError: Row(grpc.StatusCode.UNIMPLEMENTED),
    UnauthenticatedError: Row(grpc.StatusCode.UNAUTHENTICATED),
    ForbiddenError: Row(grpc.StatusCode.PERMISSION_DENIED),
    LimitError: Row(grpc.StatusCode.RESOURCE_EXHAUSTED),
    OverloadError: Row(grpc.StatusCode.RESOURCE_EXHAUSTED),
    IdleError: Row(grpc.StatusCode.DEADLINE_EXCEEDED),
    StoppingError: Row(grpc.StatusCode.UNAVAILABLE),
    errors.ConfigError: Row(grpc.StatusCode.INVALID_ARGUMENT),
    errors.AudioError: Row(grpc.StatusCode.INVALID_ARGUMENT),
    errors.ModelError: _ours(grpc.StatusCode.FAILED_PRECONDITION, "a model of this server cannot be used"),
    errors.DependencyError: _ours(grpc.StatusCode.UNIMPLEMENTED, "this server lacks an optional part"),
    errors.StorageError: _ours(grpc.StatusCode.RESOURCE_EXHAUSTED, "this server's storage refuses"),
    errors.RemoteError: _ours(grpc.StatusCode.UNAVAILABLE, "a server behind this one does not answer"),
    errors.NanoWakewordError: _ours(grpc.StatusCode.INTERNAL, "internal error"),
    BaseException: _ours(grpc.StatusCode.INTERNAL, "internal error"),
}


def status_of(error: BaseException) -> Status:
    """The status of ``error``, by the row of its nearest class in the table."""
    row = next(STATUS_TABLE[kind] for kind in type(error).__mro__ if kind in STATUS_TABLE)
    return Status(row.code, str(error) if row.text is None else row.text, row.logged)
