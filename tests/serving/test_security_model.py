"""The threat model: each of its lines names tests, and they are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

FOLDER = Path(__file__).parent
MODEL = FOLDER.parents[1] / "serving" / "SECURITY.md"


def rows() -> list[list[str]]:
    """Cells of the tables' lines."""
    lines = [line for line in MODEL.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[-1] != "test"]


def test_each_line_names_tests_that_are_there() -> None:
    defined = {
        f"{path.name}::{node.name}"
        for path in FOLDER.glob("test_*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    found = rows()
    assert len(found) > 40
    for *_, cell in found:
        named = re.findall(r"`([^`]+)`", cell)
        assert named, f"no test: {cell}"
        assert re.sub(r"`[^`]+`|[, ]", "", cell) == "", cell
        assert [name for name in named if name not in defined] == []


def test_each_hostile_test_stands_in_a_line() -> None:
    named = {name for *_, cell in rows() for name in re.findall(r"test_hostile\.py::(\w+)", cell)}
    tests = {
        node.name
        for node in ast.parse((FOLDER / "test_hostile.py").read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    # These show that limits do not hit the wrong ones, and what else is not there.
    assert tests - named == {"test_a_ping_now_and_then_is_allowed", "test_http_1", "test_methods_that_are_not_there"}
