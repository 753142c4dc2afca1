"""What the documents tell people to type is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.closure import CHECKOUT

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "benchmarks/README.md", "models/README.md", "deploy/README.md")
BENCHMARKS = CHECKOUT / "benchmarks"


def programs() -> set[str]:
    """Benchmarks that people start; their children are started by these alone."""
    return {path.stem for path in BENCHMARKS.glob("*.py") if "\n    run(main)\n" in path.read_text("utf-8")}


def commands() -> Iterator[tuple[str, str, set[str]]]:
    """Document, program and options of each command in code that runs a benchmark."""
    for document in DOCUMENTS:
        for found in re.finditer(r"python -m benchmarks\.([a-z]\w*)([^`]*)", (CHECKOUT / document).read_text("utf-8")):
            yield document, found[1], set(re.findall(r"--[a-z][a-z-]*", found[2]))


def test_commands_that_run_benchmarks_exist() -> None:
    found = list(commands())
    assert len(found) > 10
    for document, name, options in found:
        assert name in programs(), f"{document}: benchmarks.{name}"
        known = set(re.findall(r'"(--[a-z][a-z-]*)"', (BENCHMARKS / f"{name}.py").read_text("utf-8")))
        assert options <= known, f"{document}: benchmarks.{name} {' '.join(sorted(options - known))}"


def test_each_benchmark_is_listed() -> None:
    listed = (BENCHMARKS / "README.md").read_text("utf-8").partition("## All programs")[2]
    assert set(re.findall(r"`(\w+)`", listed)) == programs()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    page = CHECKOUT / document
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / Path(target)).exists(), f"{document}: {target}"
