"""Makes, lists and revokes API keys.

python -m serving.keys new kitchen --file keys.txt      shows the key, once, and keeps its hash
python -m serving.keys list --file keys.txt
python -m serving.keys revoke kitchen --file keys.txt   a running server ends its streams within two seconds
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from nanowakeword.errors import ConfigError, NanoWakewordError, StorageError
from serving.key_ring import ApiKey, read_key_file

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m serving.keys", description="API keys of the server.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in (
        ("new", "make a key and show it, this once"),
        ("list", "show names and beginnings of hashes"),
        ("revoke", "remove a key; a running server ends its streams"),
    ):
        command = commands.add_parser(name, help=purpose)
        if name != "list":
            command.add_argument("name", help="who has the key")
        command.add_argument("--file", type=Path, required=True, help="where names and hashes are kept")
    values = parser.parse_args(arguments)
    try:
        if values.command == "new":
            print(_new(values.file, values.name))
        elif values.command == "revoke":
            _revoke(values.file, values.name)
        else:
            for key in read_key_file(values.file):
                print(f"{key.name}\t{key.id}")
    except NanoWakewordError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _new(path: Path, name: str) -> str:
    """Make a key and keep its hash; the key."""
    secret = secrets.token_urlsafe(32)
    key = ApiKey.of(secret, name=name)
    with _locked(path):
        lines = _lines(path)
        if any(known.name == name for known in (read_key_file(path) if lines else ())):
            raise ConfigError(f"{path} has a key of this name already", got=name, hint="Revoke it, or choose another")
        _replace(path, [*lines, f"{key.name}:{key.digest.hex()}"])
    return secret


def _revoke(path: Path, name: str) -> None:
    with _locked(path):
        known = [key.name for key in read_key_file(path)]
        if name not in known:
            raise ConfigError(f"{path} has no key of this name", got=name, expected=", ".join(known) or "a key")
        _replace(path, [line for line in _lines(path) if line.strip().partition(":")[0] != name])


def _lines(path: Path) -> list[str]:
    """The lines of the file, comments too; none where it is not there yet."""
    return path.read_text("utf-8").splitlines() if path.exists() else []


def _replace(path: Path, lines: Sequence[str]) -> None:
    """Write the file beside itself and rename it: a server reads the old one or the new one, never a half."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            if path.exists():
                status = path.stat()
                os.fchmod(file.fileno(), status.st_mode & 0o777)
                with contextlib.suppress(PermissionError):
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write API keys to {path}", got=error.strerror) from None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let no other run of this program change the file meanwhile."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise StorageError(f"cannot write API keys to {path}", got=error.strerror) from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


if __name__ == "__main__":
    sys.exit(main())
