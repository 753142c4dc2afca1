"""The file of an owner's verifier: JSON, so that reading one runs nothing and its size bounds what it takes."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from nanowakeword.arrays import Floats
from nanowakeword.errors import ModelError, StorageError

__all__ = ["OwnerFile", "read_owner_file", "write_owner_file"]

_FORMAT: Final = "nanowakeword.owner"
_VERSION: Final = 1
_MAX_BYTES: Final = 1 << 20  # the default front ends need 30 KB
_LARGEST: Final = float(np.finfo(np.float32).max)
_HINT: Final = "Enrol again: nanowakeword enrol"


class OwnerFile:
    """Typed values of a verifier's file, with errors that name the file and the key.

    Args:
        content: the JSON object.
        path: where it was read, for the messages.
    """

    def __init__(self, content: dict[str, Any], path: Path) -> None:
        self._content = content
        self._path = path

    def text(self, key: str) -> str:
        """A text.

        Raises:
            ModelError: it is missing or something else; so with the others.
        """
        value = self._content.get(key)
        if not isinstance(value, str):
            self._fail(key, "text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self._content.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._fail(key, "a list of texts")
        return tuple(value)

    def count(self, key: str) -> int:
        """A whole number, 0 or more."""
        value = self._content.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self._fail(key, "a whole number, 0 or more")
        return value

    def number(self, key: str) -> float:
        """A finite number."""
        value = _finite(self._content.get(key))
        if value is None:
            self._fail(key, "a number")
        return value

    def probability(self, key: str) -> float:
        """A number from 0 to 1."""
        value = self.number(key)
        if not 0.0 <= value <= 1.0:
            self._fail(key, "0 to 1")
        return value

    def numbers(self, key: str, *, count: int | None = None) -> Floats:
        """Finite numbers, so many or any number of them, float32 ``[count]``."""
        value = self._content.get(key)
        items = [_finite(item) for item in value] if isinstance(value, list) else [None]
        numbers = [item for item in items if item is not None and abs(item) <= _LARGEST]
        if len(numbers) < len(items) or (count is not None and len(numbers) != count):
            self._fail(key, "numbers" if count is None else f"{count} numbers")
        return np.array(numbers, np.float32)

    def _fail(self, key: str, expected: str) -> NoReturn:
        shown = repr(self._content.get(key))
        raise ModelError(
            f"{self._path} is damaged at {key!r}",
            got=shown if len(shown) <= 60 else shown[:57] + "...",
            expected=expected,
            hint=_HINT,
        )


def read_owner_file(path: Path) -> OwnerFile:
    """Read a file.

    Raises:
        ModelError: it is missing, unreadable, no verifier, or newer than this code.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ModelError(f"no owner's verifier at {path}", hint="Make one: nanowakeword enrol") from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from None
    try:
        content = json.loads(data) if len(data) <= _MAX_BYTES else None
    except (ValueError, RecursionError):  # no UTF-8, no JSON, numbers or nesting without end
        content = None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ModelError(f"{path} is no owner's verifier, or damaged", hint=_HINT)
    found = OwnerFile(content, path)
    if found.count("version") > _VERSION:
        raise ModelError(
            f"{path} is newer than this NanoWakeword",
            got=f"version {found.count('version')}",
            expected=f"at most {_VERSION}",
            hint="Upgrade it: pip install -U nanowakeword",
        )
    return found


def write_owner_file(path: Path, content: dict[str, Any]) -> None:
    """Write a file, which is whole or untouched.

    Raises:
        StorageError: it cannot be written.
    """
    text = json.dumps({"format": _FORMAT, "version": _VERSION, **content}, ensure_ascii=False)
    beside = path.with_name(f".{path.name}.{os.getpid()}.writing")
    try:
        beside.write_text(text + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror}") from None


def _finite(value: object) -> float | None:
    """A number as a float, or None for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of many digits
        return None
    return number if math.isfinite(number) else None
