"""Recordings as encoders give them."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import soundfile

from nanowakeword.arrays import Samples

__all__ = ["file_of", "flac_frames", "flac_stream", "opus_packets"]


def file_of(samples: Any, *, rate_hz: int = 16_000, **options: Any) -> bytes:
    """A recording as a file of any format that libsndfile writes, such as ``format="OGG"``."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, **{"format": "WAV", **options})
    return file.getvalue()


def flac_stream(samples: Any, *, rate_hz: int = 16_000, subtype: str = "PCM_16") -> bytes:
    """A FLAC stream, as libFLAC makes it: frames of 1,152 samples or 4,096."""
    return file_of(samples, rate_hz=rate_hz, format="FLAC", subtype=subtype)


def flac_frames(samples: Samples) -> tuple[bytes, list[bytes]]:
    """The header of a FLAC stream, and its frames one by one."""
    encoder = _encoder("flac")
    packets = _encode(encoder, samples)
    return b"fLaC\x80\x00\x00\x22" + bytes(encoder.extradata), packets


def opus_packets(samples: Samples) -> list[bytes]:
    """Opus packets of 20 ms."""
    return _encode(_encoder("libopus"), samples)


def _encoder(name: str) -> Any:
    encoder: Any = av.CodecContext.create(name, "w")
    encoder.sample_rate = 16_000
    encoder.format = "s16"
    encoder.layout = "mono"
    encoder.bit_rate = 32_000
    encoder.open()
    return encoder


def _encode(encoder: Any, samples: Samples) -> list[bytes]:
    size = encoder.frame_size
    packets = []
    for start in range(0, len(samples), size):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None, start : start + size]), "s16", "mono")
        frame.sample_rate = 16_000
        frame.pts = start
        packets += encoder.encode(frame)
    # The last packet of FLAC is empty: it only carries a renewed header.
    return [bytes(packet) for packet in [*packets, *encoder.encode(None)] if packet.size]
