"""A head together with its front ends, so that both learn from windows of audio, or are measured on them.

To the rest of the pipeline it is a head like any other, whose frames are samples: the training loop, the sampler, the
checkpoints and the validation take windows for features of one value, 1,280 frames to the hop.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, cast

import torch
from torch import Tensor, nn

from models.detector import Detector
from models.frames import join_frames
from models.streaming import FrontEnd, Head, settle
from nanowakeword.timing import HOP_SAMPLES
from steps.feature_noise import mask_features
from steps.settings import SpecAugment

__all__ = ["EndToEnd"]

# On a CPU, few enough that the layers' activations stay in the processor's cache.
_ROWS: Final = 8


class EndToEnd(nn.Module):
    """One of a detector's heads and the front ends that it listens to; satisfies `models.streaming.Head`.

    Its parts are the detector's own, not copies: what is learned here is learned there. Front ends stay in evaluation
    mode, so statistics of theirs, had they any, would not move.

    Args:
        detector: on the CPU.
        number: of the head.
        tuned: names of the front ends whose weights are to learn; those of the others stay frozen.
        feature_noise: in training, in standard deviations of each feature.
        spec_augment: in training, stretches of the features that are hidden.
    """

    def __init__(
        self,
        detector: Detector,
        number: int,
        *,
        tuned: Collection[str] = (),
        feature_noise: float = 0.0,
        spec_augment: SpecAugment | None = None,
    ) -> None:
        super().__init__()
        config = detector.config
        places = [config.frontends.index(name) for name in config.inputs[number]]
        self.frontends = nn.ModuleList(detector.frontends[place] for place in places)
        self.head = detector.heads[number]
        for name, frontend in zip(config.inputs[number], self.frontends, strict=True):
            frontend.requires_grad_(name in tuned)
        self._rows = [config.rows[place] for place in places]
        self._sizes = [detector.front_sizes[place] for place in places]
        self._noise, self._masks = feature_noise, spec_augment
        head = cast(Head, self.head)
        reach = max(int(cast(FrontEnd, frontend).receptive_field_samples) for frontend in self.frontends)
        self._past_hops = -(-reach // HOP_SAMPLES)
        self._frames = head.window_frames
        # What lies before the receptive field of the first frame changes nothing.
        hops = -(-head.window_frames // config.forms[number].frames_per_hop) + self._past_hops
        self.window_frames, self.window_hops = hops * HOP_SAMPLES, head.window_hops
        self.state_size = sum(self._sizes) + head.state_size

    def train(self, mode: bool = True) -> EndToEnd:
        """Training mode for the head alone."""
        super().train(mode)
        self.frontends.eval()
        return self

    def forward(self, samples: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Samples ``[b, 1280*k, 1]``, state ``[b, s]``, of the front ends zeros after silence, -> logits ``[b, k]``."""
        fronts, past = torch.split(state, [sum(self._sizes), state.shape[1] - sum(self._sizes)], dim=1)
        silence = self._silence(samples)
        features, following = self._listen(samples, fronts + silence)
        logits, past = self.head(features, past)
        return logits, torch.cat([following - silence, past], dim=1)

    def score_window(self, samples: Tensor) -> Tensor:
        """Windows ``[b, window_frames, 1]``, or shorter ones, -> logits of each member ``[b, members]``."""
        features = self.features(samples)
        if self.training:
            features = features + self._noise * cast(Tensor, self.head.deviation) * torch.randn_like(features)
            if self._masks is not None:
                features = mask_features(features, self._masks, filling=cast(Tensor, self.head.mean))
        return cast(Head, self.head).score_window(features)

    def features(self, samples: Tensor) -> Tensor:
        """Windows ``[b, samples, 1]`` -> the head's features ``[b, t, f]``, as the stage features stores them."""
        return self._listen(samples, self._silence(samples).expand(len(samples), -1))[0][:, -self._frames :]

    def _silence(self, samples: Tensor) -> Tensor:
        """Each front end's state after digital silence, with the weights as they now are, ``[1, s]``."""
        quiet = samples.new_zeros(1, self._past_hops * HOP_SAMPLES)
        named = zip(self.frontends, self._sizes, strict=True)
        return torch.cat([settle(frontend, quiet, state_size=size) for frontend, size in named], dim=1)

    def _listen(self, samples: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Run the front ends, a few rows at a time; returns frames ``[b, k*r, f]`` and the next states."""
        audio = samples.squeeze(2)
        rows = _ROWS if audio.device.type == "cpu" else len(audio)
        parts = (self._front(some, past) for some, past in zip(audio.split(rows), state.split(rows), strict=True))
        frames, nexts = zip(*parts, strict=True)
        return torch.cat(frames), torch.cat(nexts)

    def _front(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        frames, nexts = [], []
        for frontend, past in zip(self.frontends, torch.split(state, self._sizes, dim=1), strict=True):
            heard, following = frontend(audio, past)
            frames.append(heard)
            nexts.append(following)
        return join_frames(frames, self._rows), torch.cat(nexts, dim=1)
