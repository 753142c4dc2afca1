"""What counts as code that a stage depends on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import steps.closure
from steps.closure import CHECKOUT, closure


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small checkout in which ``steps.stage`` can be written."""
    for package in ("steps", "steps/tts", "models", "nanowakeword"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text('"""A package."""\n')
    for module in ("steps/helper", "steps/tts/table", "steps/tts/espeak", "models/tcn", "nanowakeword/errors"):
        (tmp_path / f"{module}.py").write_text("")
    (tmp_path / "steps" / "words.txt").write_text("")
    monkeypatch.setattr(steps.closure, "CHECKOUT", tmp_path)
    steps.closure._uses.cache_clear()
    yield tmp_path
    steps.closure._uses.cache_clear()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import steps.helper", ["steps/helper.py"]),
        ("import numpy, steps.helper as h", ["steps/helper.py"]),
        ("from steps import helper", ["steps/helper.py"]),
        ("from steps.helper import thing", ["steps/helper.py"]),
        ("from . import helper", ["steps/helper.py"]),
        ("from .helper import thing", ["steps/helper.py"]),
        ("from .tts.table import thing", ["steps/tts/table.py"]),
        ("from steps import thing", ["steps/__init__.py"]),
        ("from steps.tts import table, espeak", ["steps/tts/espeak.py", "steps/tts/table.py"]),
        ("def f():\n    from models.tcn import Tcn", ["models/tcn.py"]),
        ("TABLE = {'a': 'models.tcn:Tcn'}", ["models/tcn.py"]),
        ("TABLE = {'a': 'models.tcn'}", ["models/tcn.py"]),
        ("COMMAND = ['python', '-m', 'steps.tts.espeak']", ["steps/tts/espeak.py"]),
        ("WORDS = Path(__file__).with_name('words.txt')", ["steps/words.txt"]),
        ("'''models.tcn is a network'''", []),
        ("x = 'models.absent'; y = 'absent.txt'; z = 'helper.py'; import os", []),
        ("import serving.server", []),
    ],
)
def test_imports(checkout: Path, source: str, found: list[str]) -> None:
    (checkout / "steps" / "stage.py").write_text(source)
    assert [path.as_posix() for path in closure("steps.stage") if path.as_posix() != "steps/stage.py"] == found


def test_through_others_and_in_circles(checkout: Path) -> None:
    (checkout / "steps" / "stage.py").write_text("import steps.helper")
    (checkout / "steps" / "helper.py").write_text("import models.tcn, steps.stage")
    (checkout / "models" / "tcn.py").write_text("import nanowakeword.errors")
    assert [path.as_posix() for path in closure("steps.stage")] == [
        "models/tcn.py",
        "nanowakeword/errors.py",
        "steps/helper.py",
        "steps/stage.py",
    ]


def test_the_checkout_is_found() -> None:
    assert (CHECKOUT / "pyproject.toml").is_file()
    assert Path("steps/settings/training.py") in closure("steps.stage")
