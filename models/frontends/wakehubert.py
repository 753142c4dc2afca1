"""WakeHuBERT tiny: 128 values every 20 ms from the last 2.5 s.

https://huggingface.co/TigreGotico/wakehubert-tiny: 0.64 million parameters, causal, distilled from HuBERT base
(https://arxiv.org/abs/2106.07447). A log-mel spectrogram, a stem that halves the frame rate, eight residual blocks of a
dilated depth-wise and a point-wise convolution. Fed from a state of zeros it equals the published ONNX.

Four frames make a hop, so a call is a few thousand numbers through a few dozen operators: the point-wise layers are
matrix products in ``[b, t, c]``, and the taps of a depth-wise layer are gathered at once.
"""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.frontends.base import FrontEndModule
from models.frontends.mel import FRAME_SAMPLES, WINDOW_SAMPLES, Mel
from models.frontends.onnx_weights import read_onnx
from models.streaming import split_state
from models.weights import fetch

__all__ = ["WakeHubert"]

_MELS: Final = 64
_CHANNELS: Final = 256
_TAPS: Final = 5
_DILATIONS: Final = (1, 2, 4, 8, 1, 2, 4, 8)
_BLOCK_FRAMES: Final = (_TAPS - 1) * sum(_DILATIONS) + 1
_STEM_FRAMES: Final = 4
_STEM_STRIDE: Final = 2
_FLOOR: Final = 1e-6
_NORM_EPSILON: Final = 1e-5


class WakeHubert(FrontEndModule):
    """Audio to features at 50 Hz."""

    n_features = 128
    frames_per_hop = 4
    receptive_field_samples = (_STEM_STRIDE * (_BLOCK_FRAMES - 1) + _STEM_FRAMES - 1) * FRAME_SAMPLES + WINDOW_SAMPLES

    def __init__(self) -> None:
        super().__init__()
        network = read_onnx(fetch("wakehubert"))
        (fourier, _), stem, *layers = network.convolutions
        waves = fourier.reshape(2, -1, fourier.shape[2]).transpose(1, 2)  # [2 * 201, 1, 400] -> [2, 400, 201]
        gain, offset = _norm(network.tensors)
        # What the norm adds becomes a factor before the logarithm, what it multiplies goes into the stem: so what was 0
        # behind the norm still is, and a state of zeros is the zero padding of the stem.
        factor = torch.exp(offset / gain)
        self.mel = Mel(waves / 32768.0, network.tensors["student.mel.mel"].T * factor)
        self.floor: Tensor
        self.register_buffer("floor", _FLOOR * factor)
        self.stem = _Pointwise(stem[0] * gain[:, None], stem[1])
        self.blocks = nn.ModuleList(
            _Block(taps=layers[2 * index], mix=layers[2 * index + 1], dilation=dilation)
            for index, dilation in enumerate(_DILATIONS)
        )
        self.out = _Pointwise(*layers[-1])
        self._states: list[tuple[int, ...]] = [(self.mel.state_size,), (1, _STEM_STRIDE * _MELS)]
        self._states += [((_TAPS - 1) * dilation, _CHANNELS) for dilation in _DILATIONS]
        self.state_size = sum(math.prod(shape) for shape in self._states)

    def forward(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Audio ``[b, 1280*k]`` at int16 scale -> features ``[b, 4*k, 128]``."""
        past, past_mel, *pasts = split_state(state, self._states)
        power, past = self.mel(audio, past)
        mel = torch.log(power + self.floor).reshape(power.shape[0], -1, _STEM_STRIDE * _MELS)  # [b, 4k, 2*64]
        mel = torch.cat([past_mel, mel], dim=1)
        nexts = [past, mel[:, -1]]
        x = F.relu(self.stem(torch.cat([mel[:, :-1], mel[:, 1:]], dim=2)))
        times = torch.arange(x.shape[1], device=x.device)
        for block, past in zip(self.blocks, pasts, strict=True):
            x, past = block(x, past, times)
            nexts.append(past.flatten(1))
        return self.out(x), torch.cat(nexts, dim=1)


class _Pointwise(nn.Module):
    """A convolution ``[c out, c in, taps]`` as a matrix product, its taps side by side in the input."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.permute(2, 1, 0).flatten(0, 1).contiguous(), requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Input ``[b, t, taps * c in]`` -> ``[b, t, c out]``."""
        return x @ self.weight + self.bias


class _Block(nn.Module):
    """Depth-wise and point-wise convolution, added to their input."""

    def __init__(self, *, taps: tuple[Tensor, Tensor], mix: tuple[Tensor, Tensor], dilation: int) -> None:
        super().__init__()
        weight, bias = taps  # [256, 1, 5]
        self.taps = nn.Parameter(weight[:, 0].T.contiguous(), requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.mix = _Pointwise(*mix)
        self.offsets: Tensor
        self.register_buffer("offsets", torch.arange(_TAPS) * dilation)

    def forward(self, x: Tensor, past: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Input ``[b, t, 256]``, the frames before it, the indices of its frames -> output, the frames to keep."""
        longer = torch.cat([past, x], dim=1)
        reach = (times[:, None] + self.offsets).flatten()
        taps = longer.index_select(1, reach).reshape(x.shape[0], -1, _TAPS, _CHANNELS)  # [b, t, 5, 256]
        y = F.relu((taps * self.taps).sum(dim=2) + self.bias)
        return F.relu(x + self.mix(y)), longer[:, -past.shape[1] :]


def _norm(tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Batch norm in evaluation, as ``gain * x + offset``."""
    gain = tensors["student.norm.weight"] / torch.sqrt(tensors["student.norm.running_var"] + _NORM_EPSILON)
    return gain, tensors["student.norm.bias"] - gain * tensors["student.norm.running_mean"]
