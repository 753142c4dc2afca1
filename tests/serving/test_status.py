"""The table from errors to gRPC status is complete."""

from __future__ import annotations

import inspect

import grpc
import pytest
from google.protobuf.message import DecodeError

import serving.errors
from nanowakeword import errors
from serving.status import STATUS_TABLE, status_of

OURS = [
    kind
    for module in (errors, serving.errors)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, errors.NanoWakewordError)
]


@pytest.mark.parametrize("kind", OURS)
def test_every_error_has_a_row(kind: type[errors.NanoWakewordError]) -> None:
    assert kind in STATUS_TABLE
    error = kind() if kind is serving.errors.UnauthenticatedError else kind("problem")
    assert status_of(error).code is STATUS_TABLE[kind].code
    assert status_of(error).code is not grpc.StatusCode.OK


def test_the_table_holds_nothing_else() -> None:
    assert set(STATUS_TABLE) == {*OURS, DecodeError, BaseException}


def test_what_the_client_did_is_told_and_the_rest_is_not() -> None:
    assert "got 3" in status_of(errors.AudioError("bytes", got=3)).text
    assert not status_of(errors.AudioError("bytes", got=3)).logged
    for error in (errors.ModelError("/srv/m.onnx"), errors.StorageError("/srv"), ValueError("/srv")):
        assert "/srv" not in status_of(error).text
        assert status_of(error).logged


def test_a_subclass_takes_the_row_of_its_nearest_base() -> None:
    class Special(errors.ModelError):
        pass

    assert status_of(Special("x")).code is grpc.StatusCode.FAILED_PRECONDITION
    assert status_of(KeyboardInterrupt()).code is grpc.StatusCode.INTERNAL
