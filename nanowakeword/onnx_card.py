"""The model card of an ONNX file, without loading the model.

An ONNX file is a protobuf message whose large part, the graph, is one field. Its metadata are found by stepping over
the fields (https://protobuf.dev/programming-guides/encoding/; field numbers of ``ModelProto`` from onnx.proto).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from nanowakeword.card import CARD_KEY, ModelCard
from nanowakeword.errors import ModelError

__all__ = ["read_card"]

_METADATA_PROPS: Final = 14
_KEY: Final = 1
_VALUE: Final = 2
_MAX_ENTRY_BYTES: Final = 16 << 20  # far above any card: a damaged length must not fill the memory


def read_card(path: str | Path) -> ModelCard:
    """Read a model's card; a few hundred microseconds, whatever the size of the model.

    Raises:
        ModelError: the file is missing, damaged, no model of ours, or newer than this code.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            for entry in _fields(file, wanted=_METADATA_PROPS):
                pair = {
                    number: content for number in (_KEY, _VALUE) for content in _fields(BytesIO(entry), wanted=number)
                }
                if pair.get(_KEY) == CARD_KEY.encode():
                    return ModelCard.from_json(pair.get(_VALUE, b"").decode(), source=str(path))
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror}") from None
    except (EOFError, UnicodeDecodeError):
        raise ModelError(f"model {path} is damaged, or no ONNX file", hint="Copy it again") from None
    raise ModelError(f"{path} is not a model of ours", got="no model card", expected="a file made by NanoWakeword")


def _fields(file: BinaryIO, *, wanted: int) -> Iterator[bytes]:
    """Contents of a message's length-delimited fields of one number; all others are stepped over.

    Raises:
        EOFError: what is there is no message, or is cut short.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    while file.tell() < end:
        number, wire_type = divmod(_varint(file), 8)
        match wire_type:
            case 0:
                _varint(file)
            case 1:
                file.seek(8, os.SEEK_CUR)
            case 2:
                length = _varint(file)
                if length > end - file.tell() or (number == wanted and length > _MAX_ENTRY_BYTES):
                    raise EOFError
                if number == wanted:
                    yield file.read(length)
                else:
                    file.seek(length, os.SEEK_CUR)
            case 5:
                file.seek(4, os.SEEK_CUR)
            case _:
                raise EOFError


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 64, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise EOFError
