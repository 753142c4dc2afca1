"""API keys: made, kept as hashes, found, revoked while a server runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nanowakeword.errors import ConfigError
from serving import key_ring
from serving.key_ring import ApiKey, KeyRing, read_key_file
from serving.keys import main

SECRET = "correct-horse-battery-staple"  # noqa: S105


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.txt"


@pytest.fixture
def make(path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Makes a key and returns what was shown."""

    def make(name: str) -> str:
        assert main(["new", name, "--file", str(path)]) == 0
        return capsys.readouterr().out.strip()

    return make


@pytest.fixture
def ring(path: Path, make: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    """A ring that looks at its file each time."""
    monkeypatch.setattr(key_ring, "_LOOK_S", 0.0)
    make("first")
    return KeyRing((ApiKey.of(SECRET, name="fixed"),), path=path)


def test_a_key_is_shown_once_and_kept_as_a_hash(path: Path, make: Callable[[str], str]) -> None:
    secret = make("kitchen")
    assert len(secret) == 43
    content = path.read_text()
    assert content == f"kitchen:{hashlib.sha256(secret.encode()).hexdigest()}\n"
    assert secret not in content
    assert path.stat().st_mode & 0o777 == 0o600
    assert make("hall") != secret
    assert [key.name for key in read_key_file(path)] == ["kitchen", "hall"]


def test_list_and_revoke(path: Path, make: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    secret = make("kitchen")
    make("hall")
    path.write_text(f"# kitchen: upstairs\n\n{path.read_text()}")
    assert main(["list", "--file", str(path)]) == 0
    listed = capsys.readouterr().out
    assert [line.split("\t")[0] for line in listed.splitlines()] == ["kitchen", "hall"]
    assert secret not in listed
    assert main(["revoke", "kitchen", "--file", str(path)]) == 0
    assert [key.name for key in read_key_file(path)] == ["hall"]
    assert path.read_text().startswith("# kitchen: upstairs\n"), "comments stay"
    assert main(["revoke", "kitchen", "--file", str(path)]) == 1
    assert "has no key of this name; got kitchen" in capsys.readouterr().err


def test_mistakes_are_one_line_and_change_nothing(
    path: Path, make: Callable[[str], str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make("kitchen")
    before = path.read_text()
    for arguments, text in (
        (["new", "kitchen", "--file", str(path)], "has a key of this name already"),
        (["new", "a:b", "--file", str(path)], "bad name of an API key"),
        (["new", "", "--file", str(path)], "bad name of an API key"),
        (["new", "x", "--file", str(tmp_path / "none" / "keys.txt")], "cannot write API keys"),
        (["list", "--file", str(tmp_path / "none.txt")], "cannot read API keys"),
    ):
        assert main(arguments) == 1
        told = capsys.readouterr().err
        assert text in told
        assert told.count("\n") == 1
    assert path.read_text() == before


def test_a_file_keeps_its_mode_when_it_is_written_anew(path: Path, make: Callable[[str], str]) -> None:
    make("kitchen")
    path.chmod(0o640)
    make("hall")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("just-a-key-in-the-clear", "line 2 .* is no API key"),
        ("name:abc", "line 2 .* is no API key"),
        (f"name:{'A' * 64}", "small hexadecimal digits"),
        (f"two words:{'a' * 64}", "line 2"),
        (f":{'a' * 64}", "line 2"),
        (f"first:{'a' * 64}", "two API keys with one name .*got first"),
        ("\udcff\udcfe", "line 2"),
    ],
)
def test_a_damaged_file_is_told_without_its_content(path: Path, line: str, text: str) -> None:
    path.touch(mode=0o600)
    path.write_bytes(f"first:{'b' * 64}\n{line}\n".encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=text) as caught:
        read_key_file(path)
    assert "just-a-key" not in str(caught.value)


def test_no_pipes_no_folders_no_giants(path: Path, tmp_path: Path) -> None:
    os.mkfifo(path, 0o600)
    with pytest.raises(ConfigError, match="expected a file"):
        read_key_file(path)
    with pytest.raises(ConfigError, match="Is a directory"):
        read_key_file(tmp_path)
    giant = tmp_path / "giant"
    giant.touch(mode=0o600)
    os.truncate(giant, 2 * 1024 * 1024)
    with pytest.raises(ConfigError, match="at most 1 MiB"):
        read_key_file(giant)
    giant.write_text("".join(f"name{number}:{number:064x}\n" for number in range(1_001)))
    with pytest.raises(ConfigError, match="too many API keys"):
        read_key_file(giant)


@pytest.mark.parametrize(
    "secret", ["short", "fifteen-letters", "with a space in it", "ключ-ключ-ключ-ключ", "line\n" * 5]
)
def test_keys_that_could_be_guessed_or_not_be_sent(secret: str) -> None:
    with pytest.raises(ConfigError, match=r"bad API key 'name'; got .* not shown") as caught:
        ApiKey.of(secret, name="name")
    assert secret not in str(caught.value)


def test_the_right_key_is_found_and_others_are_not(ring: KeyRing, make: Callable[[str], str]) -> None:
    for name in ("one", "two"):
        secret = make(name)
        found = ring.find(secret)
        assert found is not None
        assert found.name == name
        assert ring.holds(found.id)
        assert ring.find(secret[:-1]) is None
        assert ring.find(secret + "x") is None
    assert ring.find("") is None
    fixed = ring.find(SECRET)
    assert fixed is not None
    assert fixed.name == "fixed"
    assert SECRET not in repr(fixed)


def test_a_removed_key_holds_no_longer(ring: KeyRing, path: Path, make: Callable[[str], str]) -> None:
    secret = make("kitchen")
    key = ring.find(secret)
    assert key is not None
    main(["revoke", "kitchen", "--file", str(path)])
    assert not ring.holds(key.id)
    assert ring.find(secret) is None
    make("kitchen")
    assert not ring.holds(key.id), "another key of this name is another key"


def damage(path: Path) -> None:
    path.write_text("rubbish\n")


def loosen(path: Path) -> None:
    path.chmod(0o666)


def add_a_name_twice(path: Path) -> None:
    path.write_text(f"{path.read_text()}fixed:{'a' * 64}\n")


@pytest.mark.parametrize("harm", [Path.unlink, damage, loosen, add_a_name_twice])
def test_a_file_that_cannot_be_used_any_more_lets_nobody_in(
    ring: KeyRing, path: Path, make: Callable[[str], str], harm: Callable[[Path], None]
) -> None:
    secret = make("kitchen")
    key = ring.find(secret)
    assert key is not None
    content = path.read_text()
    harm(path)
    assert not ring.holds(key.id)
    assert ring.find(secret) is None
    assert ring.find(SECRET) is not None, "keys that are not of the file hold"
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(content)
    assert ring.holds(key.id), "mended"
