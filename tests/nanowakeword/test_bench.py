from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nanowakeword.arrays import Samples
from nanowakeword.cli import main
from nanowakeword.commands import bench
from nanowakeword.timing import HOP_SAMPLES

Captured = pytest.CaptureFixture[str]


class Napping:
    """A listener whose cost is known."""

    def __init__(self, nap_s: float) -> None:
        self.nap_s = nap_s
        self.heard: list[Samples] = []
        self.resets = 0

    def hear(self, hop: Samples) -> None:
        self.heard.append(hop)
        end = time.perf_counter() + self.nap_s
        while time.perf_counter() < end:
            pass

    def reset(self) -> None:
        self.resets += 1


def test_a_known_cost_is_found() -> None:
    napping = Napping(0.004)
    loaded: list[str] = []

    def load() -> bench.Listener:
        loaded.append("load")
        time.sleep(0.03)
        return bench.Listener(napping.hear, napping.reset)

    cost = bench.measure(lambda: loaded.append("import"), load, seconds=0.2)
    assert loaded == ["import", "load"]
    assert all(hop.dtype == np.int16 and hop.shape == (HOP_SAMPLES,) for hop in napping.heard)
    assert 4.0 <= cost.median_ms < 80.0  # however busy the machine is
    assert cost.median_ms <= cost.p95_ms <= cost.p99_ms
    assert cost.real_time_factor >= 4.0 / 80.0
    assert 0.0 < cost.floor_ms < cost.median_ms
    assert cost.load_ms >= 30.0 > cost.import_ms
    assert cost.reset_ms is not None
    assert cost.reset_ms < 4.0
    assert napping.resets > 0
    assert cost.hops < len(napping.heard)
    assert 0.0 < cost.core_share < 1.1


def test_what_cannot_be_reset_has_no_such_time() -> None:
    cost = bench.measure(lambda: None, lambda: bench.Listener(len, None), seconds=0.01)
    assert cost.reset_ms is None
    assert cost.hops * 0.08 >= 1.0
    assert "  -" in bench.format_table([("deaf", cost)])


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux")
def test_memory_is_that_of_the_listener() -> None:
    block: list[np.ndarray[tuple[int], np.dtype[np.uint8]]] = []

    def load() -> bench.Listener:
        block.append(np.ones(64 << 20, np.uint8))
        return bench.Listener(len, None)

    cost = bench.measure(lambda: None, load, seconds=0.01)
    assert cost.memory_mib == pytest.approx(64.0, abs=6.0)


def test_the_floor_returns_what_it_gets() -> None:
    hop = np.arange(HOP_SAMPLES, dtype=np.int16)
    answers = bench._open_floor()(hop)
    assert isinstance(answers, list)
    assert np.array_equal(answers[0], hop)


def test_a_model_as_json(tiny_path: Path, capsys: Captured) -> None:
    assert main(["bench", str(tiny_path), "--seconds", "0.05", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["model"] == str(tiny_path)
    assert 0.0 < facts["floor_ms"] < facts["median_ms"] < 80.0
    assert facts["hops"] >= 13


def test_each_model_has_a_line_and_a_process(tiny_path: Path, capsys: Captured) -> None:
    assert main(["bench", str(tiny_path), str(tiny_path), "--seconds", "0.05"]) == 0
    title, first, second, *_ = capsys.readouterr().out.splitlines()
    assert title.split()[-9:] == ["p95", "p99", "of", "core", "floor", "reset", "load", "import", "MiB"]
    assert first.startswith("beep.onnx ")
    assert second.startswith("beep.onnx ")
    assert "%" in first


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "1e9"])
def test_a_time_out_of_range(tiny_path: Path, seconds: str, capsys: Captured) -> None:
    assert main(["bench", str(tiny_path), f"--seconds={seconds}"]) == 1
    assert capsys.readouterr().err.startswith("nanowakeword: --seconds; got ")


def test_a_file_that_is_no_model_ends_it_in_one_line(
    tiny_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_text("no model")
    for models in ([wrong], [tiny_path, wrong]):
        assert main(["bench", *map(str, models), "--seconds", "0.05"]) == 1
        error = capfd.readouterr().err
        assert error.startswith(f"nanowakeword: cannot load model {wrong}")
        assert error.count("\n") == 1
