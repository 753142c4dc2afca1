"""The rows of the next batch, read while the network is busy with this one."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steps.dataset import AdaptiveLossAwareDataset
from steps.sampling import DynamicClassAwareSampler

__all__ = ["Batches"]

Numbers = npt.NDArray[np.int64]


class Batches:
    """Draws batches, and reads them in a thread of its own; a context manager, whose end is the thread's.

    A batch is drawn when the losses of the one before are known and not sooner, which leaves the way back through the
    network and the optimiser's step to read it in. So what is drawn is what would be drawn without a thread. To draw in
    the thread, too, would gain nothing: drawing is much Python and little else, of which one thread runs at a time.

    Two batches of memory are filled in turn: what a new one costs at each step, in pages that the kernel hands out and
    takes back, was a tenth of the loop.

    Args:
        data: whose rows to read.
        sampler: says which.
        frames: of a row.
    """

    def __init__(self, data: AdaptiveLossAwareDataset, sampler: DynamicClassAwareSampler, *, frames: int) -> None:
        self._data, self._sampler, self._frames = data, sampler, frames
        self._memory: list[Tensor] = []
        self._thread = ThreadPoolExecutor(1)
        self._next: tuple[Numbers, Future[Tensor]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    def take(self) -> tuple[Numbers, Tensor]:
        """Row numbers ``[b]`` and features ``[b, t, f]`` of the batch that was begun, or else of the next.

        The features may be changed; they are overwritten once the losses of the batch after this one are remembered.
        """
        (rows, features), self._next = self._next or self._begin(self._sampler.draw()), None
        return rows, features.result()

    def remember(self, rows: Numbers, losses: npt.NDArray[np.floating]) -> None:
        """Tell the sampler the losses of the batch that was taken, and begin with the next."""
        self._sampler.update(rows, losses)
        self._next = self._begin(self._sampler.draw())

    def state_dict(self) -> dict[str, Any]:
        """All that decides the batches to come: the sampler's state, and what it has drawn already."""
        rows = self._next[0] if self._next else np.zeros(0, np.int64)
        return {"sampler": self._sampler.state_dict(), "begun": torch.from_numpy(rows)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where others of the same arguments were."""
        self._sampler.load_state_dict(state["sampler"])
        rows = state["begun"].numpy()
        self._next = self._begin(rows) if len(rows) else None

    def _begin(self, rows: Numbers) -> tuple[Numbers, Future[Tensor]]:
        return rows, self._thread.submit(self._read, rows)

    def _read(self, rows: Numbers) -> Tensor:
        # The one that is trained on lies in the memory that was filled last.
        used = self._memory.pop(0) if len(self._memory) == 2 else None
        self._memory.append(self._data.rows(rows, frames=self._frames, out=used))
        return self._memory[-1]
