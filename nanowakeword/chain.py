"""The way from audio to scores: noise reduction, what wakes the models, and the models, here or on a server.

Five arrangements, by where what runs:

    fully local                  models here, all the time
    local cascade                the gate here all the time, the models here once it fires
    gate + remote verifier       the gate here; once it fires, front ends here and heads on the server
    gate + remote full pipeline  the gate here; once it fires, audio goes to the server
    fully remote                 audio goes to the server, all the time
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nanowakeword.denoise import Denoiser
from nanowakeword.errors import ConfigError
from nanowakeword.graph import Graph
from nanowakeword.heads import SharedHeads, load_sharing
from nanowakeword.postfilter import check_threshold
from nanowakeword.scorer import LocalScorer, Scorer
from nanowakeword.standby import GateTrigger, Standby
from nanowakeword.vad import build_vad

if TYPE_CHECKING:
    from nanowakeword.remote_scorer import RemoteScorer

__all__ = ["Chain", "plan_chain"]

_PIPELINES: Final = ("verifier_only", "full")
Paths = str | Path | Sequence[str | Path] | None


@dataclass(frozen=True, kw_only=True)
class Chain:
    """One stream's way from audio to scores.

    Attributes:
        scorer: the end of it, with whatever sleeps in it.
        gate: the cascade's gate.
        standbys: what may sleep in it, the innermost first.
        remote: the connection to the server.
        denoiser: noise reduction, first of all.
    """

    scorer: Scorer
    gate: GateTrigger | None
    standbys: tuple[Standby, ...]
    remote: RemoteScorer | None
    denoiser: Denoiser | None

    def reset(self) -> None:
        """Begin a new stream."""
        self.scorer.reset()
        if self.denoiser is not None:
            self.denoiser.reset()

    def close(self) -> None:
        """Drop the connection, if there is one."""
        if self.remote is not None:
            self.remote.close()


@dataclass(frozen=True, kw_only=True)
class _Models:
    """What is loaded once, for any number of streams."""

    local: Sequence[Graph | SharedHeads]
    gate: Graph | None
    features: Graph | None


def plan_chain(
    model: Paths,
    *,
    cascade: bool,
    gate_model: str | Path | None,
    gate_threshold: float | None,
    remote_verifier: str | None,
    remote_pipeline: str,
    remote_options: Mapping[str, Any],
    vad: str | None,
    vad_threshold: float,
    denoise: bool,
) -> tuple[Callable[[], Chain], Mapping[str, Graph | SharedHeads]]:
    """Check what is asked for, load the models, and return what makes a chain for a stream.

    Args:
        model: path or paths of models. With a server: the gate, if ``gate_model`` is not given, and else the model
            whose features the server's verifier gets.
        cascade: let a gate wake the model; without ``gate_model`` it is ``NAME_lite.onnx`` beside ``NAME.onnx``.
        gate_model: path of the gate.
        gate_threshold: score at which the gate wakes the models; None: its own.
        remote_verifier: ``host:port`` of the server.
        remote_pipeline: ``verifier_only`` (features go to the server) or ``full`` (audio does).
        remote_options: for the connection, as `RemoteScorer` takes them.
        vad: name of a voice activity detector.
        vad_threshold: its threshold, 0 for its own.
        denoise: reduce noise first.

    Returns:
        What makes a chain, and the local models by name.

    Raises:
        ConfigError: arguments contradict each other.
        DependencyError: an optional package is not installed.
        ModelError: a model cannot be loaded.
    """
    paths = [_check_path(item) for item in _listed(model)]
    gate_model = None if gate_model is None else _check_path(gate_model)
    if remote_pipeline not in _PIPELINES:
        raise ConfigError("no such remote_pipeline", got=repr(remote_pipeline), expected=" or ".join(_PIPELINES))
    if gate_threshold is not None:
        check_threshold(gate_threshold)
    if vad is not None:
        build_vad(vad, vad_threshold)
    if remote_verifier is None:
        models = _load_local(paths, cascade=cascade, gate_model=gate_model)
    else:
        models = _load_edge(paths, gate_model=gate_model, features=remote_pipeline == "verifier_only")

    def make() -> Chain:
        remote = None
        scorer: Scorer
        if remote_verifier is None:
            scorer = LocalScorer(models.local)
        else:
            from nanowakeword.remote_scorer import RemoteScorer

            scorer = remote = RemoteScorer(remote_verifier, features=models.features, **remote_options)
        gate = None
        standbys: list[Standby] = []
        if models.gate is not None:
            gate = GateTrigger(models.gate, threshold=gate_threshold)
            scorer = Standby(scorer, gate)
            standbys.append(scorer)
        if vad is not None:
            scorer = Standby(scorer, build_vad(vad, vad_threshold))
            standbys.append(scorer)
        return Chain(
            scorer=scorer,
            gate=gate,
            standbys=tuple(standbys),
            remote=remote,
            denoiser=Denoiser() if denoise else None,
        )

    return make, {item.card.name: item for item in models.local}


def _listed(model: Paths) -> Sequence[Any]:
    if model is None:
        return ()
    return model if isinstance(model, Sequence) and not isinstance(model, str | bytes) else (model,)


def _check_path(path: Any) -> Path:
    if not isinstance(path, str | Path) or not str(path) or "\0" in str(path) or not Path(path).name:
        raise ConfigError("no path of a model", got=repr(path), expected="the path of an .onnx file")
    return Path(path)


def _load_local(paths: Sequence[Path], *, cascade: bool, gate_model: Path | None) -> _Models:
    if not paths:
        raise ConfigError("no model to load", expected="the path of an .onnx file, or a list of paths")
    if cascade and gate_model is None:
        if len(paths) > 1:
            raise ConfigError("a cascade of several models needs to be told its gate", hint="Give gate_model, too")
        beside = paths[0]
        gate_model = beside.with_name(f"{beside.stem}_lite.onnx")
        if not gate_model.is_file():
            raise ConfigError(
                f"no gate beside {beside}", expected=str(gate_model), hint="Copy it there, or give gate_model"
            )
    models = load_sharing(paths)
    names = [item.card.name for item in models]
    if len(set(names)) != len(names):
        raise ConfigError("two models of the same name", got=", ".join(names), expected="each name once")
    gate = None if gate_model is None else Graph.load(gate_model)
    if gate is not None and gate.card.name in names:
        raise ConfigError("the gate is one of the models", got=gate.card.name, expected="another model, NAME_lite.onnx")
    return _Models(local=models, gate=gate, features=None)


def _load_edge(paths: Sequence[Path], *, gate_model: Path | None, features: bool) -> _Models:
    """The models that an edge device needs when the verifier runs on a server."""
    if len(paths) > 1:
        raise ConfigError(
            "several local models and a server",
            got=f"{len(paths)} models",
            expected="a gate, or none",
            hint="Name the server's models with remote_models",
        )
    given = Graph.load(paths[0]) if paths else None
    gate = given if gate_model is None else Graph.load(gate_model)
    if not features:
        if gate_model is not None and given is not None:
            raise ConfigError(
                "model and gate_model, and audio goes to the server",
                expected='one of them, the gate; or remote_pipeline="verifier_only", which takes features from model',
            )
        return _Models(local=(), gate=gate, features=None)
    if gate is None:
        raise ConfigError(
            "a remote verifier gets features, which nothing computes here",
            expected="gate_model, or model, with the same front ends as the server's verifier",
            hint='To send audio: remote_pipeline="full"',
        )
    return _Models(local=(), gate=gate, features=given or gate)
