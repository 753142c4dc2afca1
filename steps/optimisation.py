"""Optimisers, learning rates over the steps, and where the sums are done."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Final

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from nanowakeword.errors import ConfigError
from steps.settings import Train

__all__ = ["compute_repeatably", "make_optimizer", "make_schedule", "pick_device"]

# Fixed, so that results do not depend on how many cores a machine has; heads this small gain nothing from more.
_THREADS: Final = 1
_MOMENTUM: Final = 0.9
_CYCLES: Final = 4
_CYCLE_FLOOR: Final = 0.1


def compute_repeatably() -> None:
    """Have torch give the same bits for the same numbers, in this process from now on."""
    # Without it cuBLAS refuses to be deterministic; it is read when a GPU is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(_THREADS)


def pick_device(name: str) -> torch.device:
    """The device to train on.

    Args:
        name: ``cpu``, ``cuda``, or ``auto``: a GPU where there is one.

    Raises:
        ConfigError: a GPU is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("train.device", got="cuda, and no GPU that torch can use", hint='Set it to "auto" or "cpu"')
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def make_optimizer(network: nn.Module, settings: Train, *, learning_rate: float) -> Optimizer:
    """AdamW (Loshchilov, Hutter 2017, https://arxiv.org/abs/1711.05101), Adam, or SGD with Nesterov's momentum."""
    parameters, decay = network.parameters(), settings.weight_decay
    # Fused: one pass over each parameter, a third of the time of the other forms on a CPU.
    match settings.optimizer_type:
        case "adamw":
            return AdamW(parameters, lr=learning_rate, weight_decay=decay, fused=True)
        case "adam":
            return Adam(parameters, lr=learning_rate, weight_decay=decay, fused=True)
        case "sgd":
            return SGD(parameters, lr=learning_rate, weight_decay=decay, momentum=_MOMENTUM, nesterov=True, fused=True)


def make_schedule(optimizer: Optimizer, settings: Train, *, learning_rate: float, steps: int) -> LRScheduler:
    """How the learning rate goes over the steps, up to ``learning_rate``.

    ``onecycle``: up for a third and down to nothing (Smith, Topin 2017, https://arxiv.org/abs/1708.07120). ``cosine``:
    down to nothing (Loshchilov, Hutter 2016, https://arxiv.org/abs/1608.03983). ``cyclic``: four triangles from a
    tenth, each half as high as the one before (Smith 2015, https://arxiv.org/abs/1506.01186). The last two begin with
    ``warmup_steps`` of a straight rise.
    """
    if settings.lr_scheduler_type == "onecycle":
        return OneCycleLR(optimizer, max_lr=learning_rate, total_steps=steps)
    shape: Callable[[float], float] = _cosine if settings.lr_scheduler_type == "cosine" else _cyclic
    warmup = settings.warmup_steps

    def factor(step: int) -> float:
        # The schedule asks once more after the last step.
        return (step + 1) / (warmup + 1) if step < warmup else shape(min(1.0, (step - warmup) / (steps - warmup)))

    return LambdaLR(optimizer, factor)


def _cosine(done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2


def _cyclic(done: float) -> float:
    cycle, within = divmod(min(done * _CYCLES, _CYCLES - 1e-9), 1.0)
    height = 1 - abs(2 * within - 1)
    return _CYCLE_FLOOR + (1 - _CYCLE_FLOOR) * height / 2**cycle
