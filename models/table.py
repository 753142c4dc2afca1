"""The architectures. To add one: a file beside this one, a row here, its sizes in ``models/sizes.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import torch.nn.functional as F
from torch import Tensor, nn

from models.bcresnet import BcResNet
from models.body import Frames
from models.cnn import Cnn
from models.conformer import Conformer
from models.crnn import Crnn
from models.dnn import Dnn
from models.e_branchformer import EBranchformer
from models.frames import FrameForm
from models.gru import Gru
from models.head import PooledHead
from models.lstm import Lstm
from models.quartznet import QuartzNet
from models.rnn import Rnn
from models.sizes import Network
from models.streaming import Head
from models.tcn import Tcn
from models.transformer import Transformer

__all__ = ["ARCHITECTURES", "Architecture", "build_head"]

# A step of a head is 20 to 80 ms: finer frames are taken together.
_FINE_FRAMES_PER_HOP: Final = 8
_FINE_STRIDE: Final = 4

_ACTIVATIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A row.

    Attributes:
        body: class of the network.
        streaming: what it remembers in a stream, one line for people.
        is_grouped: it computes all members at once; else there is one network for each.
        is_frame_by_frame: it takes each frame as a step, however fine.
    """

    body: Callable[..., nn.Module]
    streaming: str
    is_grouped: bool = False
    is_frame_by_frame: bool = False


_CONVOLUTIONS: Final = "causal; each layer keeps its last frames"
_RECURRENT: Final = "causal; the hidden state lives on without end"
_ATTENTION: Final = "causal; cached keys of a bounded past"

ARCHITECTURES: Final[dict[str, Architecture]] = {
    "bcresnet": Architecture(body=BcResNet, streaming=_CONVOLUTIONS, is_grouped=True, is_frame_by_frame=True),
    "cnn": Architecture(body=Cnn, streaming=_CONVOLUTIONS, is_grouped=True),
    "conformer": Architecture(body=Conformer, streaming=_ATTENTION),
    "crnn": Architecture(body=Crnn, streaming=_RECURRENT),
    "dnn": Architecture(body=Dnn, streaming=_CONVOLUTIONS, is_grouped=True),
    "e_branchformer": Architecture(body=EBranchformer, streaming=_ATTENTION),
    "gru": Architecture(body=Gru, streaming=_RECURRENT),
    "lstm": Architecture(body=Lstm, streaming=_RECURRENT),
    "quartznet": Architecture(body=QuartzNet, streaming=_CONVOLUTIONS, is_grouped=True),
    "rnn": Architecture(body=Rnn, streaming=_RECURRENT),
    "tcn": Architecture(body=Tcn, streaming=_CONVOLUTIONS, is_grouped=True),
    "transformer": Architecture(body=Transformer, streaming=_ATTENTION),
}


def build_head(network: Network, *, form: FrameForm, members: int, dropout_prob: float = 0.0) -> Head:
    """A new head.

    Args:
        network: which one; `models.sizes.choose_network` makes it.
        form: of the frames that it gets: a row of ``FRONT_ENDS``, or of several front ends `models.frames.join_forms`.
        members: networks whose logits are averaged.
        dropout_prob: in training.
    """
    row = ARCHITECTURES[network.architecture]
    knobs: dict[str, Any] = {"layer_size": network.layer_size, "n_blocks": network.n_blocks}
    knobs["dropout_prob"] = dropout_prob
    activation = None if network.activation_function is None else _ACTIVATIONS[network.activation_function]
    if activation is not None:
        knobs["activation"] = activation
    if row.is_grouped:
        bodies = [row.body(_frames(form, row), members=members, **knobs)]
    else:
        bodies = [row.body(_frames(form, row), **knobs) for _ in range(members)]
    head = PooledHead(
        bodies,
        members=members,
        n_features=form.n_features,
        frames_per_hop=form.frames_per_hop,
        context_frames=form.context_frames,
        embedding_dim=network.embedding_dim,
        pooling=network.pooling,
        activation=activation or F.relu,
        dropout_prob=dropout_prob,
    )
    return cast(Head, head)


def _frames(form: FrameForm, row: Architecture) -> Frames:
    is_fine = form.frames_per_hop >= _FINE_FRAMES_PER_HOP and not row.is_frame_by_frame
    stride = _FINE_STRIDE if is_fine else 1
    return Frames(
        n_features=form.n_features,
        stride=stride,
        steps_per_hop=form.frames_per_hop // stride,
        # Five eighths of the context may go into what a step sees; what is left is pooled over.
        reach=form.context_frames // stride * 5 // 8,
    )
