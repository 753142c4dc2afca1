"""The architectures. To add one: a file beside this one, and a row here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from torch import nn

from models.frontends.table import FRONT_ENDS
from models.gru import Gru
from models.streaming import Head
from models.tcn import Tcn
from nanowakeword.errors import ConfigError

__all__ = ["ARCHITECTURES", "build_head"]

# A step of a head is 20 to 80 ms: finer frames are taken together, and reach further back through dilation.
_FINE_FRAMES_PER_HOP: Final = 8
_FINE_STRIDE: Final = 4


def _tcn(*, frames_per_hop: int, **common: float) -> nn.Module:
    fine = frames_per_hop >= _FINE_FRAMES_PER_HOP
    shape = {"stride": _FINE_STRIDE, "dilations": (1, 2, 4)} if fine else {"stride": 1, "dilations": (1, 1)}
    return Tcn(frames_per_hop=frames_per_hop, **common, **shape)  # type: ignore[arg-type]


def _gru(*, frames_per_hop: int, **common: float) -> nn.Module:
    stride = _FINE_STRIDE if frames_per_hop >= _FINE_FRAMES_PER_HOP else 1
    return Gru(frames_per_hop=frames_per_hop, stride=stride, **common)  # type: ignore[arg-type]


ARCHITECTURES: Final[dict[str, Callable[..., nn.Module]]] = {"gru": _gru, "tcn": _tcn}


def build_head(architecture: str, *, frontend: str, layer_size: int, members: int, dropout_prob: float = 0.0) -> Head:
    """A new head on a front end.

    Args:
        architecture: a key of `ARCHITECTURES`.
        frontend: a key of ``FRONT_ENDS``.
        layer_size: channels or hidden units of each member.
        members: networks whose logits are averaged.
        dropout_prob: in training.

    Raises:
        ConfigError: unknown architecture or front end.
    """
    if architecture not in ARCHITECTURES:
        raise ConfigError("architecture", got=repr(architecture), expected=f"one of {', '.join(ARCHITECTURES)}")
    if frontend not in FRONT_ENDS:
        raise ConfigError("front end", got=repr(frontend), expected=f"one of {', '.join(FRONT_ENDS)}")
    row = FRONT_ENDS[frontend]
    head = ARCHITECTURES[architecture](
        n_features=row.n_features,
        frames_per_hop=row.frames_per_hop,
        context_frames=row.context_frames,
        layer_size=layer_size,
        members=members,
        dropout_prob=dropout_prob,
    )
    return cast(Head, head)
