"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# Whoever runs the tests in the background may have these ignored, and programs that the tests start inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
# Networks so small gain nothing from a second thread; on a busy machine, threads that wait for each other lose tenfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings with a ``manifest.csv``; tests that need it are skipped where there is none."""
    folder = Path(os.environ.get("NANOWAKEWORD_DATA") or Path(__file__).parents[2] / "shared" / "data").resolve()
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"no real recordings: {folder}/manifest.csv does not exist (set NANOWAKEWORD_DATA)")
    return folder
