"""Google's speech embedding: 96 values every 80 ms from the last 775 ms.

https://arxiv.org/abs/2002.01322 (Lin, Kilgour, Roblek, Sharifi: Training keyword spotters with limited and synthesized
speech data). Weights as openWakeWord converted them to ONNX. There, a window of 76 mel frames is computed anew for
each embedding; none of its convolutions pads time, so here each one keeps its last two frames instead, and a hop of
8 mel frames becomes exactly one embedding.

The published mel graph clips to 80 dB below the loudest value of whatever it is given, so that a file and a stream
differ. Here the floor is fixed at 20 dB, that is, 80 dB below a recording whose loudest band reaches 100 dB, the median
of real recordings of speech (100 dB is speech near full scale, white noise of -76 dBFS reaches 20 dB).
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

__all__ = ["SpeechEmbedding"]

_FLOOR_DB: Final = 20.0
_MEL_MARGIN: Final = 56  # zeros on either side of the window of 400 in a transform of 512 points
_WINDOW_FRAMES: Final = 76
_SLOPE: Final = 0.2
_LEAST: Final = -0.4

# Kernels (time, band) of the twenty convolutions, and the pools after some of them.
_KERNELS: Final = ((3, 3), *((1, 3), (3, 1)) * 9, (3, 1))
_POOLS: Final = {2: (2, 2), 6: (1, 2), 10: (2, 2), 14: (1, 2), 18: (2, 2)}


class SpeechEmbedding(FrontEndModule):
    """Audio to embeddings."""

    n_features = 96
    frames_per_hop = 1
    receptive_field_samples = (_WINDOW_FRAMES - 1) * FRAME_SAMPLES + WINDOW_SAMPLES

    def __init__(self) -> None:
        super().__init__()
        folder = fetch("speech_embedding")
        # The network wants 10*log10(power)/10 + 2, which is ln(100*power)/ln(10): the factor goes into the bands, the
        # divisor into the first convolution, whose zero padding of the bands it leaves alone.
        mel = read_onnx(folder / "melspectrogram.onnx")
        waves = torch.cat([weight for weight, _ in mel.convolutions], dim=1).permute(1, 2, 0)  # [2, 512, 257]
        self.mel = Mel(waves[:, _MEL_MARGIN:-_MEL_MARGIN], 100.0 * mel.tensors["1.melW"])
        self.floor = 100.0 * 10.0 ** (_FLOOR_DB / 10.0)
        network = read_onnx(folder / "embedding_model.onnx")
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        self._states: list[tuple[int, ...]] = [(self.mel.state_size,)]
        n_bands = 32
        for index, (weight, bias) in enumerate(network.convolutions):  # [c out, c in, time, band], [c out]
            if index == 0:
                weight = weight / math.log(10.0)
            # In this layout torch runs the network a quarter faster; an exported file knows no layouts.
            weight = weight.contiguous(memory_format=torch.channels_last)
            self.weights.append(nn.Parameter(weight, requires_grad=False))
            self.biases.append(nn.Parameter(bias, requires_grad=False))
            if _KERNELS[index][0] == 3:
                self._states.append((weight.shape[1], 2, n_bands))
            n_bands //= _POOLS.get(index, (1, 1))[1]
        self.state_size = sum(math.prod(shape) for shape in self._states)

    def forward(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Audio ``[b, 1280*k]`` at int16 scale -> embeddings ``[b, k, 96]``."""
        past, *pasts = split_state(state, self._states)
        power, past = self.mel(audio, past)
        nexts = [past]
        x = torch.log(power.clamp(min=self.floor)).unsqueeze(1)  # [b, c=1, t, band]
        for index, (taps, _) in enumerate(_KERNELS):
            if taps == 3:
                x = torch.cat([pasts[len(nexts) - 1], x], dim=2)
                nexts.append(x[:, :, -2:].flatten(1))
            x = self._convolve(index, x)
        return x.squeeze(3).transpose(1, 2), torch.cat(nexts, dim=1)

    def _convolve(self, index: int, x: Tensor) -> Tensor:
        """One convolution with its pool and activation: time unpadded, bands zero padded."""
        bands = _KERNELS[index][1]
        x = F.conv2d(x, self.weights[index], self.biases[index], padding=(0, bands // 2))
        if index in _POOLS:
            x = F.max_pool2d(x, _POOLS[index])  # before the activation, which is monotonic, it leaves less to activate
        return F.leaky_relu(x, _SLOPE).clamp(min=_LEAST) if index < len(_KERNELS) - 1 else x
