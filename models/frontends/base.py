"""What every front end is: a torch module that satisfies `models.streaming.FrontEnd`."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["FrontEndModule"]


class FrontEndModule(nn.Module):
    """Audio to features, streaming; see `models.streaming` for the letters.

    Weights are frozen: a front end's features are extracted once and stored.

    Attributes:
        n_features: ``f``.
        frames_per_hop: ``r``.
        state_size: ``s``. A state of zeros means zero padding before the stream.
        receptive_field_samples: samples, the newest included, that can change a feature.
    """

    n_features: int
    frames_per_hop: int
    state_size: int
    receptive_field_samples: int

    def forward(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Audio ``[b, 1280*k]`` at int16 scale, state ``[b, s]`` -> features ``[b, k*r, f]``, next state ``[b, s]``."""
        raise NotImplementedError
