"""What can be set of the log-mel front end, known without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["LogMelOptions", "PcenOptions"]


@dataclass(frozen=True, kw_only=True)
class PcenOptions:
    """Per-channel energy normalisation; names and defaults of Wang et al. 2017, https://arxiv.org/abs/1607.05666.

    Attributes:
        smoothing: ``s``, share of the newest frame in the running mean.
        alpha: strength of the gain control: 0 for none, 1 to divide by the mean.
        delta: added before the root.
        root: ``r``, exponent that compresses.
    """

    smoothing: float = 0.025
    alpha: float = 0.98
    delta: float = 2.0
    root: float = 0.5


@dataclass(frozen=True, kw_only=True)
class LogMelOptions:
    """What a `models.frontends.logmel.LogMel` is made of.

    Attributes:
        bands: values in a frame.
        low_hz: lower edge of the first band.
        high_hz: upper edge of the last band.
        hop_ms: from one frame to the next; 5, 10, 20 or 40.
        window_ms: length of a frame, longer than ``hop_ms``.
        floor: power in a band, mean square in int16 units, at which the logarithm, or the gain control, levels off.
        normalisation_s: each band's running mean over so many seconds is taken off; None: nothing is.
        pcen: in place of the logarithm; None: the logarithm.
    """

    bands: int = 40
    low_hz: float = 60.0
    high_hz: float = 7600.0
    hop_ms: int = 10
    window_ms: int = 25
    floor: float = 1.0
    normalisation_s: float | None = None
    pcen: PcenOptions | None = None

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> LogMelOptions:
        """The inverse of `dataclasses.asdict`."""
        pcen = fields["pcen"]
        return cls(**{**fields, "pcen": None if pcen is None else PcenOptions(**pcen)})
