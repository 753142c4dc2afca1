"""The moving average of a network's weights, which is what is validated and kept."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["MovingAverage"]


class MovingAverage:
    """After each step ``average = decay * average + (1 - decay) * weights``; after the first, the weights themselves.

    As ``torch.optim.swa_utils.AveragedModel`` with its exponential average, buffers included; but which tensors there
    are is looked up once and not at each step, which made up most of its time.

    Args:
        network: on the device where it is trained; its tensors must stay where they are.
        decay: how much of the average stays.

    Attributes:
        network: a copy of it with the averages.
    """

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._rate, self._updates = 1.0 - decay, 0
        pairs = list(zip(_tensors(self.network), _tensors(network), strict=True))
        # Counters, for example of a batch normalisation, have no average.
        self._averages, self._weights = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        torch._foreach_lerp_(self._averages, self._weights, self._rate if self._updates else 1.0)
        for average, value in self._copied:
            average.copy_(value)
        self._updates += 1

    def state_dict(self) -> dict[str, Any]:
        """All of it, as tensors and numbers."""
        return {"weights": self.network.state_dict(), "updates": self._updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from another one of the same network."""
        self.network.load_state_dict(state["weights"])
        self._updates = int(state["updates"])


def _tensors(network: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in chain(network.parameters(), network.buffers())]
