"""What is imported is declared where it is needed, what is declared is used, and the lock pins it."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator

import pytest

from steps.closure import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
FIRST_PARTY = {"benchmarks", "flows", "models", "nanowakeword", "protos", "serving", "steps", "tests"}
# Extras that each package of ours may import from, besides the runtime's own two dependencies.
ALLOWED = {
    "nanowakeword": {"audio", "remote", "vad", "denoise", "completion"},
    "models": {"train"},
    "steps": {"train"},
    "flows": {"train"},
    "serving": {"serve", "codecs", "wyoming", "tracing"},
    "protos": {"dev"},
    "tests": {"dev"},
    "benchmarks": {"dev"},
}
# Declared though nothing imports them, each for a reason.
NOT_IMPORTED = {
    "fastapi": "a limit on what Prefect may take",
    "mypy": "a program of `make test`",
    "ruff": "a program of `make test`",
    "import-linter": "a program of `make test`",
    "pytest-xdist": "two files of tests at a time in `make test`",
}


def normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(extra: str | None) -> set[str]:
    """Distributions of an extra, with those of the extras that it contains; None for the base."""
    lines = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    found: set[str] = set()
    for line in lines:
        match = re.fullmatch(r"([\w.-]+)(?:\[([\w,]+)\])?(.*)", line.replace(" ", ""))
        assert match, line
        name, inner, _ = match.groups()
        if name == PROJECT["name"]:
            found |= set().union(*(declared(part) for part in inner.split(",")))
        else:
            found.add(normalise(name))
    return found


def imports(package: str) -> Iterator[tuple[str, str]]:
    """Top-level names that a package of ours imports, and where."""
    for path in sorted((CHECKOUT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names: list[str] = []
            match node:
                case ast.Import(names=aliases):
                    names = [alias.name for alias in aliases]
                case ast.ImportFrom(module=str(module), level=0):
                    names = [module]
            for name in names:
                yield name.partition(".")[0], str(path.relative_to(CHECKOUT))


def third_party(package: str) -> Iterator[tuple[set[str], str]]:
    """Distributions that a package of ours imports, and where."""
    known = importlib.metadata.packages_distributions()
    for name, where in imports(package):
        if name not in sys.stdlib_module_names and name not in FIRST_PARTY:
            assert name in known, f"{where} imports {name}, which is not installed"
            yield {normalise(distribution) for distribution in known[name]}, where


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_are_declared(package: str) -> None:
    allowed = declared(None).union(*(declared(extra) for extra in ALLOWED[package]))
    undeclared = {f"{where}: {sorted(names)}" for names, where in third_party(package) if not names & allowed}
    assert not undeclared


def test_nothing_is_declared_in_vain() -> None:
    used = set().union(*(names for package in FIRST_PARTY for names, _ in third_party(package)))
    everything = declared(None).union(*(declared(extra) for extra in PROJECT["optional-dependencies"]))
    assert everything - used == set(NOT_IMPORTED)


def test_the_lock_pins_what_is_declared_and_what_runs_here() -> None:
    lines = [
        line for line in (CHECKOUT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")
    ]
    pins = {normalise(name): version for name, _, version in (line.partition("==") for line in lines)}
    assert all(re.fullmatch(r"[\w.]+", version) for version in pins.values()), "exact versions, without local parts"
    for name in declared("dev") | declared(None):
        assert name in pins, f"{name} is not in constraints.txt"
        installed = importlib.metadata.version(name).partition("+")[0]
        assert installed == pins[name], f"{name} {installed} is installed, the lock has {pins[name]}"


def test_the_runtime_needs_two_packages() -> None:
    assert declared(None) == {"numpy", "onnxruntime"}


def test_the_version_is_one() -> None:
    import nanowakeword

    assert nanowakeword.__version__ == PROJECT["version"]
    changelog = (CHECKOUT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## \[([^\]]+)\]", changelog, re.MULTILINE)
    assert newest
    assert newest[1] in {PROJECT["version"], "Unreleased"}
    assert f"## [{PROJECT['version']}]" in changelog


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in (CHECKOUT / "tests").rglob("test_*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_tests_mirror_the_packages() -> None:
    folders = {path.name for path in (CHECKOUT / "tests").iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders - {"examples", "repo"} <= FIRST_PARTY
