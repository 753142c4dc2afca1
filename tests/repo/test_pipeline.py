"""``dvc.yaml``, the table of stages and the code say the same."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.frontends.table import FRONT_ENDS
from models.sizes import SIZES
from models.table import ARCHITECTURES
from steps import settings as sections
from steps.closure import CHECKOUT, PACKAGES, closure
from steps.pipeline import pipeline_text
from steps.settings import Settings, load_settings
from steps.stage import STAGES
from steps.tts.table import ENGINES

# Modules that DVC's command passes through on its way to a stage, whose behaviour is none of a stage's results.
ON_THE_WAY = {"steps/__main__.py"}


def test_dvc_yaml_is_what_the_code_says() -> None:
    expected = pipeline_text(load_settings(CHECKOUT / "params.yaml"))
    assert (CHECKOUT / "dvc.yaml").read_text("utf-8") == expected, "run: python -m steps pipeline"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_has_its_module(name: str) -> None:
    tree = ast.parse((CHECKOUT / "steps" / f"{name}.py").read_text("utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert "run" in functions
    assert [argument.arg for argument in functions["run"].args.args] == ["context"]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_reads_what_the_table_says(name: str) -> None:
    """A section or a folder that a stage reads without DVC's knowledge would not make it stale."""
    stage = STAGES[name]
    read = set(reads(CHECKOUT / "steps" / f"{name}.py"))
    read_sections = {word for word in read if word in Settings.model_fields} - {"seed"}
    read_inputs = {word.removeprefix("input ") for word in read if word.startswith("input ")}
    assert read_sections <= set(stage.sections), "add the section to the table in steps/stage.py"
    assert read_inputs == set(stage.inputs)


def reads(path: Path) -> Iterator[str]:
    """``settings.SECTION`` and ``context.input("STAGE")`` in a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Attribute(value=ast.Name(id="settings") | ast.Attribute(attr="settings"), attr=attr):
                yield attr
            case ast.Call(func=ast.Attribute(attr="input"), args=[ast.Constant(value=str(name))]):
                yield f"input {name}"


def test_what_stages_import_is_what_the_source_says() -> None:
    """The closure is read from the source; here the modules are imported, and none may be missing from it."""
    program = (
        "import importlib, json, sys\n"
        f"for name in {list(STAGES)!r}: importlib.import_module('steps.' + name)\n"
        f"print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split('.')[0] in {PACKAGES!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    files = {Path(file).relative_to(CHECKOUT).as_posix() for file in json.loads(done.stdout) if file}
    imported = {file for file in files if not file.endswith("__init__.py")}
    known = {path.as_posix() for name in STAGES for path in closure(f"steps.{name}")}
    assert imported - ON_THE_WAY <= known


@pytest.mark.parametrize("package", ["models", "steps"])
def test_packages_hold_no_code_in_init(package: str) -> None:
    """So an ``__init__`` from which no name is taken changes nothing, and is no dependency of a stage."""
    for path in (CHECKOUT / package).rglob("__init__.py"):
        tree = ast.parse(path.read_text("utf-8"))
        assert all(isinstance(node, ast.Expr | ast.Import | ast.ImportFrom | ast.Assign) for node in tree.body), path


def test_settings_name_what_the_tables_hold() -> None:
    assert set(typing.get_args(sections.ENGINES)) == set(ENGINES)
    assert set(typing.get_args(sections.FRONT_ENDS)) == set(FRONT_ENDS)
    assert set(SIZES) == set(ARCHITECTURES)
