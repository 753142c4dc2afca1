"""API keys as the server knows them: names and hashes, compared in constant time, read again when the file changes."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from nanowakeword.errors import ConfigError
from serving.private import read_private

__all__ = ["ApiKey", "KeyRing", "read_key_file"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
# A key of ours has 43 characters. Others are taken if guessing them is hopeless.
_MIN_KEY_LENGTH: Final = 16
# All are compared with each key that is shown.
_MAX_KEYS: Final = 1_000
_LOOK_S: Final = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key, as the server knows it.

    Attributes:
        name: who has it.
        digest: SHA-256 of the key, 32 bytes. No salt and no slow hash are needed: nobody guesses a long random key.
    """

    name: str
    digest: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                "bad name of an API key", expected="1 to 64 letters, digits and . _ @ -, the first a letter or a digit"
            )

    @classmethod
    def of(cls, secret: str, *, name: str) -> Self:
        """The key that a secret is.

        Raises:
            ConfigError: the secret could be guessed, or cannot be sent, or the name is bad.
        """
        if len(secret) < _MIN_KEY_LENGTH or not secret.isascii() or not secret.isprintable() or " " in secret:
            raise ConfigError(
                f"bad API key {name!r}",
                got=f"{len(secret)} characters, which are not shown",
                expected=f"at least {_MIN_KEY_LENGTH} printable ASCII characters without spaces",
                hint=f"Make one: python -m serving.keys new {name} --file keys.txt",
            )
        return cls(name=name, digest=hashlib.sha256(secret.encode()).digest())

    @property
    def id(self) -> str:
        """Beginning of the hash: tells keys apart, and tells nothing of the key."""
        return self.digest.hex()[:12]


class KeyRing:
    """The keys that hold now. Used by one thread.

    A file that has become unreadable, damaged or open to others holds no keys until it is mended.

    Args:
        keys: keys that always hold.
        path: file of more keys; None: none.

    Raises:
        ConfigError: the file cannot be used, or two keys have one name.
    """

    def __init__(self, keys: Sequence[ApiKey], *, path: Path | None) -> None:
        self._fixed = tuple(keys)
        self._path = path
        self._stamp = self._look()
        self._take(() if path is None else read_key_file(path))
        self._next_look_s = time.monotonic() + _LOOK_S

    def find(self, secret: str) -> ApiKey | None:
        """The key that somebody shows, in a time that does not depend on how near a wrong one comes."""
        self._refresh()
        digest = hashlib.sha256(secret.encode()).digest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def holds(self, key_id: str) -> bool:
        """Whether a key is still there."""
        self._refresh()
        return key_id in self._ids

    def _take(self, keys: Sequence[ApiKey]) -> None:
        self._keys = (*self._fixed, *keys)
        self._ids = {key.id for key in self._keys}
        names = [key.name for key in self._keys]
        if len(set(names)) < len(names):
            raise ConfigError("two API keys with one name", got=max(names, key=names.count), expected="a name for each")

    def _refresh(self) -> None:
        """Look at the file, once a second at most, and read it if it has changed."""
        now_s = time.monotonic()
        if self._path is None or now_s < self._next_look_s:
            return
        self._next_look_s = now_s + _LOOK_S
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._take(read_key_file(self._path))
            _log.info("API keys were read again: %d hold", len(self._keys))
        except ConfigError as error:
            self._keys, self._ids = self._fixed, {key.id for key in self._fixed}
            _log.error("no API key of the file holds until it is mended: %s", error)

    def _look(self) -> tuple[int, ...] | None:
        """What changes with the file; None where it cannot be seen."""
        try:
            status = None if self._path is None else self._path.stat()
        except OSError:
            return None
        if status is None:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode, status.st_uid


def read_key_file(path: Path) -> tuple[ApiKey, ...]:
    """The keys in a file: lines ``name:sha256``; empty lines and those with ``#`` are left out.

    Raises:
        ConfigError: it cannot be read, or is open to others, or a line is none of ours.
    """
    lines = read_private(path, what="API keys").decode("utf-8", "replace").splitlines()
    keys: dict[str, ApiKey] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, _, digest = text.partition(":")
        # The line itself is not repeated: it may be a key that somebody wrote there in the clear.
        if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest):
            raise ConfigError(
                f"line {number} of {path} is no API key",
                expected="name:sha256, the hash as 64 small hexadecimal digits",
                hint="Such lines are made by: python -m serving.keys new NAME --file FILE",
            )
        if name in keys:
            raise ConfigError(f"two API keys with one name in {path}", got=name, expected="a name for each")
        keys[name] = ApiKey(name=name, digest=bytes.fromhex(digest))
    if len(keys) > _MAX_KEYS:
        raise ConfigError(f"too many API keys in {path}", got=len(keys), expected=f"at most {_MAX_KEYS}")
    return tuple(keys.values())
