"""One shard of speech in a fresh process: ``python -m steps.tts.worker``, requests in, clips out.

Standard input: JSON ``{"engine", "seed", "requests": [...]}``. Standard output: a NumPy archive with ``audio`` int16,
all clips at 16 kHz end to end, and ``lengths`` int32, one for each request, 0 where the clip was refused.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys

import numpy as np

from nanowakeword.errors import NanoWakewordError
from steps.lifeline import die_with_parent
from steps.trim import finish_clip
from steps.tts.engine import Request
from steps.tts.table import ENGINES

__all__ = ["main", "speak_shard"]


def speak_shard(engine_name: str, requests: list[Request], *, seed: int) -> bytes:
    """Speak a shard in this process; returns the archive's bytes."""
    engine = ENGINES[engine_name]
    clips = []
    for request, samples in zip(requests, engine.speak(requests, seed), strict=True):
        clip = finish_clip(samples, sample_rate_hz=engine.sample_rate_hz, text=request.text, speed=request.speed)
        clips.append(np.zeros(0, np.int16) if clip is None else clip)
    buffer = io.BytesIO()
    audio = np.concatenate([np.zeros(0, np.int16), *clips])
    np.savez(buffer, audio=audio, lengths=np.asarray([len(clip) for clip in clips], np.int32))
    return buffer.getvalue()


def main() -> int:
    """Speak the shard on standard input; returns the exit status."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Engines and their libraries print what they like: the channel of the audio is ours alone.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    job = json.load(sys.stdin)
    requests = [Request(**{**fields, "voices": tuple(fields["voices"])}) for fields in job["requests"]]
    try:
        with channel:
            channel.write(speak_shard(job["engine"], requests, seed=job["seed"]))
    except NanoWakewordError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
