"""Fixtures of the runtime's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanowakeword.graph import Graph
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of the tiny model."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "beep.onnx")


@pytest.fixture(scope="session")
def tiny(tiny_path: Path) -> Graph:
    """The tiny model, loaded."""
    return Graph.load(tiny_path)
