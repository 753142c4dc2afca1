"""What is in the repository, and what leaves it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from steps.__main__ import main
from steps.closure import CHECKOUT

TEXT = {
    "",
    ".cfg",
    ".conf",
    ".js",
    ".json",
    ".md",
    ".proto",
    ".py",
    ".pyi",
    ".service",
    ".toml",
    ".txt",
    ".typed",
    ".yaml",
    ".yml",
}
# Folders of one machine or another; spelled in parts so that this file passes.
MACHINE_PATHS = re.compile(
    r"(?<![\w.$}<-])/(?:" + "|".join(("wor" + "k", "ro" + "ot", "ho" + "me", "Us" + "ers")) + r")/\w"
)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := CHECKOUT / name).is_file()]


def test_files_are_text_and_small() -> None:
    for path in tracked():
        assert path.suffix in TEXT, f"{path}: a file of another kind; say here why it belongs in the repository"
        assert path.stat().st_size < 300_000, path


def test_no_file_knows_the_machine() -> None:
    for path in tracked():
        found = MACHINE_PATHS.search(path.read_text("utf-8"))
        assert found is None, f"{path}: {found}"


def test_readme_commands_exist(capsys: pytest.CaptureFixture[str]) -> None:
    targets = set(re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text("utf-8"), re.MULTILINE))
    documents = "".join((CHECKOUT / name).read_text("utf-8") for name in ("README.md", "CONTRIBUTING.md"))
    used = set(re.findall(r"(?:^|`)\s*make ([a-z]+)", documents, re.MULTILINE))
    assert {"train", "test"} <= used <= targets

    with pytest.raises(SystemExit):
        main(["--help"])
    known = capsys.readouterr().out
    for command in re.findall(r"python -m steps ([a-z]+)", documents):
        assert re.search(rf"^\s+{command}\s", known, re.MULTILINE), command


def test_ci_runs_the_readmes_command() -> None:
    script = CHECKOUT / ".ci" / "run"
    assert script.read_text("utf-8").splitlines()[-1] == "exec make test"
    assert script.stat().st_mode & 0o111
