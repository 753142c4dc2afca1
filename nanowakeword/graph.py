"""One model file: int16 audio and a state in, scores and the next state out.

The contract, with ``b`` streams, ``k`` hops of 1,280 samples, ``r`` feature frames in a hop, ``f`` features:

    audio  int16   [b, 1280*k]   16 kHz mono
    state  float32 [b, s]        all that the network remembers; zeros mean "after digital silence"
    ->
    score      float32 [b, k]        calibrated probability, one per 80 ms
    next_state float32 [b, s]
    features   float32 [b, k*r, f]   what a verifier on a server needs

Feeding a recording whole, hop by hop, or in pieces of any number of hops gives the same scores (to 1e-4).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from nanowakeword.arrays import Floats, Samples
from nanowakeword.card import CARD_KEY, ModelCard
from nanowakeword.errors import AudioError, ConfigError, ModelError
from nanowakeword.timing import HOP_SAMPLES

__all__ = ["Graph", "open_model"]

_INPUTS: Final = {"audio": ("tensor(int16)", 2), "state": ("tensor(float)", 2)}
_OUTPUTS: Final = {
    "score": ("tensor(float)", 2),
    "next_state": ("tensor(float)", 2),
    "features": ("tensor(float)", 3),
}
_ALL: Final = ["score", "next_state", "features"]
# What people hand over by mistake, by the first bytes.
_OTHER_FILES: Final = {
    b"PK\x03\x04": "a zip archive or a PyTorch checkpoint",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
    b"TFL3": "a TensorFlow Lite model",
    b"RIFF": "a WAV file",
    b"fLaC": "a FLAC file",
}


class Graph:
    """A loaded model. Holds no stream: state goes in and comes out, so one graph serves any number of threads.

    Use `load`; attributes are read-only by convention.

    Attributes:
        card: the model card.
        path: the file.
        n_bytes: its size.
        frames_per_hop: ``r``.
        n_features: ``f``.
    """

    def __init__(self, session: ort.InferenceSession, card: ModelCard, path: Path) -> None:
        self.card = card
        self.path = path
        self.n_bytes = path.stat().st_size
        self._run = session.run
        _, _, features = self._trial()
        self.frames_per_hop, self.n_features = features.shape[1:]

    @classmethod
    def load(cls, path: str | Path) -> Graph:
        """Load a model file and try it on one hop of silence.

        Raises:
            ModelError: it is missing, damaged, no model of ours, or newer than this code.
        """
        path = Path(path)
        session, card = open_model(path, inputs=_INPUTS, outputs=_OUTPUTS)
        return cls(session, card, path)

    def run(self, audio: Samples, state: Floats) -> tuple[Floats, Floats, Floats]:
        """Judge whole hops of ``b`` streams at once.

        Args:
            audio: int16 ``[b, 1280*k]``, ``k >= 1``.
            state: float32 ``[b, s]``, `zero_state` or what the last call returned.

        Returns:
            Scores float32 ``[b, k]``, next state ``[b, s]``, features ``[b, k*r, f]``.

        Raises:
            AudioError: the audio is not int16 ``[b, 1280*k]``.
            ConfigError: the state is not float32 ``[b, s]``.
        """
        if audio.dtype != np.int16 or audio.ndim != 2 or audio.shape[1] % HOP_SAMPLES or not audio.size:
            raise AudioError(
                "audio for a model", got=f"{audio.dtype} {list(audio.shape)}", expected=f"int16 [b, {HOP_SAMPLES}*k]"
            )
        if state.dtype != np.float32 or state.shape != (len(audio), self.card.state_size):
            raise ConfigError(
                "state for a model",
                got=f"{state.dtype} {list(state.shape)}",
                expected=f"float32 [{len(audio)}, {self.card.state_size}]",
            )
        score, next_state, features = self._run(_ALL, {"audio": audio, "state": state})
        return score, next_state, features

    def zero_state(self, streams: int = 1) -> Floats:
        """State of new streams, float32 ``[streams, s]``: what digital silence leaves behind."""
        return np.zeros((streams, self.card.state_size), np.float32)

    def _trial(self) -> tuple[Floats, Floats, Floats]:
        """Run two streams of two hops; what a damaged file computes is seen here and not in the user's program."""
        audio = np.zeros((2, 2 * HOP_SAMPLES), np.int16)
        try:
            score, state, features = self.run(audio, self.zero_state(2))
        except Exception as error:  # onnxruntime's exceptions have no common root
            raise ModelError(f"model {self.path} does not run: {_one_line(error)}", hint="Copy it again") from None
        shapes = {"score": score.shape, "next_state": state.shape, "features": features.shape[:1]}
        wanted = {"score": (2, 2), "next_state": (2, self.card.state_size), "features": (2,)}
        for name, shape in shapes.items():
            if shape != wanted[name]:
                raise ModelError(
                    f"model {self.path} answers wrongly",
                    got=f"{name} {list(shape)}",
                    expected=f"{list(wanted[name])}",
                    hint="Export it again",
                )
        if features.shape[1] == 0 or features.shape[1] % 2:
            raise ModelError(f"model {self.path} answers wrongly", got=f"features {list(features.shape)} for two hops")
        if not (np.isfinite(score).all() and score.min() >= 0.0 and score.max() <= 1.0):
            raise ModelError(
                f"model {self.path} answers wrongly", got="a score outside of 0 to 1", hint="Copy it again"
            )
        return score, state, features[:, : features.shape[1] // 2]


def open_model(
    path: Path, *, inputs: Mapping[str, tuple[str, int]], outputs: Mapping[str, tuple[str, int]]
) -> tuple[ort.InferenceSession, ModelCard]:
    """Open an ONNX file of ours whose ports are what they should be.

    Args:
        path: the file.
        inputs: type and number of dimensions of each input, in order.
        outputs: the same of the outputs.

    Raises:
        ModelError: it is missing, damaged, no model of ours, another kind of model, or newer than this code.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError:
        raise ModelError(f"no model at {path}", hint="Give the path of an .onnx file") from None
    except IsADirectoryError:
        raise ModelError(f"{path} is a folder", expected="an .onnx file") from None
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror}") from None
    session = _open_session(path, head)
    try:
        card = _read_card(session, path)
        _check_ports(session, card, path, inputs=inputs, outputs=outputs)
    except UnicodeDecodeError as error:
        raise ModelError(
            f"model {path} is damaged", got=f"text that is no UTF-8 ({error.reason})", hint="Copy it again"
        ) from None
    return session, card


def _open_session(path: Path, head: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # A detector runs for a millisecond, twelve times a second, for years: threads that spin between calls would cost
    # more than the work.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong is raised; nothing is printed beside it
    try:
        # Without the fallback, which could only be to the same provider, nothing is printed.
        return ort.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # onnxruntime's exceptions have no common root
        kind = next((kind for start, kind in _OTHER_FILES.items() if start in head[: len(start) + 4]), None)
        if not head:
            kind = "an empty file"
        raise ModelError(
            f"cannot load model {path}",
            got=kind or f"a file that is not ONNX, or cut short, or damaged ({_one_line(error)})",
            expected="an .onnx file made by NanoWakeword",
            hint=None if kind else "Copy or download it again",
        ) from None


def _read_card(session: ort.InferenceSession, path: Path) -> ModelCard:
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if text is None:
        names = ", ".join(item.name for item in session.get_inputs())
        raise ModelError(
            f"{path} is not a model of ours",
            got=f"an ONNX file without a model card and with the inputs {names or 'none'}",
            expected="a file made by NanoWakeword",
        )
    return ModelCard.from_json(text, source=str(path))


def _check_ports(
    session: ort.InferenceSession,
    card: ModelCard,
    path: Path,
    *,
    inputs: Mapping[str, tuple[str, int]],
    outputs: Mapping[str, tuple[str, int]],
) -> None:
    """Compare names, types and ranks of inputs and outputs with the contract."""
    for wanted, found in ((inputs, session.get_inputs()), (outputs, session.get_outputs())):
        ports = {item.name: item for item in found}
        if list(ports) != list(wanted):
            heads = card.kind == "heads" and "audio" in inputs
            raise ModelError(
                f"{path} is only the head of a detector, for servers that get features" if heads else str(path),
                got=f"{'inputs' if wanted is inputs else 'outputs'} {', '.join(ports) or 'none'}",
                expected=", ".join(wanted),
                hint="Use the detector's file" if heads else None,
            )
        for name, (kind, rank) in wanted.items():
            port: Any = ports[name]
            if port.type != kind or (port.shape is not None and len(port.shape) != rank):
                raise ModelError(
                    str(path), got=f"{name} {port.type} {port.shape}", expected=f"{kind} with {rank} dimensions"
                )
    size = session.get_inputs()[1].shape
    if size[1] != card.state_size:
        raise ModelError(str(path), got=f"a state of {size[1]}", expected=f"{card.state_size}, as its card says")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else text[:157] + "..."
