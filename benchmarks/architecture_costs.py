"""What one head costs: in the runtime, with its front end and alone, and in training."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from torch import nn

from benchmarks.frontends import milliseconds, session, streamed
from models.detector import Detector
from models.streaming import Head

__all__ = ["PEER_BATCH", "measure_costs"]

# NanoWakeword 2.1.3 trains on as many rows a step; its dnn of 109 k parameters took 5.4 ms a step, 5.2 ms more to build
# the batch.
PEER_BATCH: Final = 360
_THREADS: Final = (1, 2)


def measure_costs(detector: Detector, *, model: Path, head: Path, batch: int, seconds: float) -> dict[str, Any]:
    """Milliseconds per hop and steps a second.

    Args:
        detector: with one front end; its head's weights are spoilt.
        model: its exported graph.
        head: its head, exported alone.
        batch: rows of a step of training.
        seconds: to time each figure for.
    """
    state_size = int(detector.heads[0].state_size)  # type: ignore[arg-type]
    whole, _ = milliseconds(streamed(session(model), state_size=detector.state_size, hops=1), seconds=seconds)
    alone, _ = milliseconds(_heads(session(head), detector, state_size=state_size), seconds=seconds)
    steps = {}
    for rows in (batch, PEER_BATCH):
        steps[str(rows)] = [_steps_per_s(detector, rows=rows, threads=threads, seconds=seconds) for threads in _THREADS]
    return {"ms": whole, "head_ms": alone, "batch": batch, "steps_per_s": steps}


def _heads(graph: Any, detector: Detector, *, state_size: int) -> Callable[[], object]:
    """Calls of the head alone that carry the state on through noise."""
    row = detector.config.rows[0]
    noise = np.random.default_rng(0).normal(size=(1, row.frames_per_hop, row.n_features)).astype(np.float32)
    feed = {"features": noise, "state": np.zeros((1, state_size), np.float32)}

    def call() -> None:
        feed["state"] = graph.run(["next_state"], feed)[0]

    return call


def _steps_per_s(detector: Detector, *, rows: int, threads: int, seconds: float) -> float:
    """Forward, backward and optimiser on one batch."""
    head, row = cast(Head, detector.heads[0]), detector.config.rows[0]
    network = cast(nn.Module, head).train()
    features = torch.randn(rows, head.window_frames, row.n_features)
    optimiser = torch.optim.AdamW(network.parameters(), foreach=True)

    def step() -> None:
        optimiser.zero_grad()
        head.score_window(features).square().mean().backward()
        optimiser.step()

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    step()
    steps, started = 0, time.perf_counter()
    while not steps or time.perf_counter() - started < seconds:
        step()
        steps += 1
    rate = steps / (time.perf_counter() - started)
    torch.set_num_threads(before)
    return rate
