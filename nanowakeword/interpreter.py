"""The front door: load a model, feed it audio, act on what it hears.

interpreter = NanoInterpreter.load_model("hey_nano.onnx")
while True:
    result = interpreter.predict(microphone.read())     # int16, 16 kHz, mono, any length
    if result.detected:
        print("heard", result.model_name, result.score)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.audio import check_chunk, read_audio
from nanowakeword.card import ModelCard
from nanowakeword.chain import Chain, plan_chain
from nanowakeword.errors import ConfigError, RemoteError
from nanowakeword.guard import OwnerGuard, plan_guard
from nanowakeword.hearing import Hearing
from nanowakeword.listening import Listener, print_detection
from nanowakeword.postfilter import check_threshold
from nanowakeword.resampling import ToMono16k, check_rate
from nanowakeword.results import DetectionResult
from nanowakeword.rules import PerModel, Rules, make_rules
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ

__all__ = ["NanoInterpreter"]

_NO_AUDIO: Final[Samples] = np.zeros(0, np.int16)
_CLIP_TIMEOUT_S: Final = 10.0  # a recording has time, a microphone has not


class NanoInterpreter:
    """Listens to one stream of audio with one model or several. Use `load_model`.

    Not for several threads at once; load one interpreter per microphone.
    """

    def __init__(
        self,
        make_chain: Callable[[], Chain],
        *,
        budget: PerModel[str | float] = None,
        make_guard: Callable[[], OwnerGuard | None] = lambda: None,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
    ) -> None:
        self._make_chain = make_chain
        self._make_guard = make_guard
        self._budget = budget
        self._sample_rate_hz = sample_rate_hz
        converter = None if sample_rate_hz == SAMPLE_RATE_HZ else ToMono16k(sample_rate_hz)
        self._hearing = Hearing(make_chain(), make_guard(), converter)
        self._rules = make_rules(self.cards, default_budget=budget)
        self._listener: Listener | None = None
        self.reset()

    @classmethod
    def load_model(
        cls,
        model: str | Path | Sequence[str | Path] | None = None,
        cascade: bool = False,
        gate_model: str | Path | None = None,
        gate_threshold: float | None = None,
        remote_verifier: str | None = None,
        remote_pipeline: str = "verifier_only",
        remote_timeout: float = 2.0,
        remote_api_key: str | None = None,
        remote_token: str | None = None,
        remote_ssl_certfile: str | Path | None = None,
        remote_ssl_keyfile: str | Path | None = None,
        remote_ssl_ca_certs: str | Path | None = None,
        *,
        remote_models: str | Sequence[str] = (),
        vad: str | None = None,
        vad_threshold: float = 0.0,
        enable_noise_reduction: bool = False,
        budget: PerModel[str | float] = None,
        owner: str | Path | Mapping[str, str | Path] | None = None,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
    ) -> NanoInterpreter:
        """Load one model, or several that listen to the same audio, or connect to a server that has them.

        Args:
            model: path of an ``.onnx`` file, or a list of paths; models with the same front ends run them once, where
                their ``_head.onnx`` lie beside them. With ``remote_verifier``: the gate (without ``gate_model``), or
                the model that computes the features for the server (with it).
            cascade: let a gate wake the model. Without ``gate_model`` it is ``NAME_lite.onnx`` beside ``NAME.onnx``.
            gate_model: path of the gate, a tiny model of the same phrase; implies ``cascade``.
            gate_threshold: score at which the gate wakes the model. Default: its own.
            remote_verifier: ``host:port`` of a server that runs the models.
            remote_pipeline: ``verifier_only``: features go to the server; ``full``: audio does. Without a gate, all the
                time.
            remote_timeout: seconds to wait for an answer before the server counts as lost.
            remote_api_key: key for the server.
            remote_token: token for the server.
            remote_ssl_certfile: certificate of this client, PEM, for mutual TLS.
            remote_ssl_keyfile: its private key, PEM.
            remote_ssl_ca_certs: certificates that the server's is checked against, PEM; implies TLS.
            remote_models: names of the server's models. Default: its default model.
            vad: name of a voice activity detector, ``energy`` or ``silero``: while it hears nothing, nothing runs.
            vad_threshold: its threshold; 0 for its own. Alone, above 0, it means ``silero``.
            enable_noise_reduction: reduce noise first.
            budget: false accepts per hour to stay within, such as ``"0.5/h"``, for all models or by model name: the
                threshold is the one that the card measured for it. Default: the card's own threshold.
            owner: file of an owner's verifier (``nanowakeword enrol``), or files by model name: only that voice is let
                through.
            sample_rate_hz: of the audio that `predict` gets; others than 16,000 are converted (extra ``audio``).

        Raises:
            ConfigError: arguments contradict each other, are out of range, or two models have the same name.
            DependencyError: an optional package is not installed.
            ModelError: a file is missing, damaged, no model of ours, or newer than this code.
        """
        if vad is None and vad_threshold:
            vad = "silero"
        remote_options = {
            "models": (remote_models,) if isinstance(remote_models, str) else tuple(remote_models),
            "timeout_s": remote_timeout,
            "api_key": remote_api_key,
            "token": remote_token,
            "ssl_certfile": remote_ssl_certfile,
            "ssl_keyfile": remote_ssl_keyfile,
            "ssl_ca_certs": remote_ssl_ca_certs,
        }
        make_chain, models = plan_chain(
            model,
            cascade=cascade,
            gate_model=gate_model,
            gate_threshold=gate_threshold,
            remote_verifier=remote_verifier,
            remote_pipeline=remote_pipeline,
            remote_options=remote_options,
            vad=vad,
            vad_threshold=vad_threshold,
            denoise=enable_noise_reduction,
        )
        return cls(
            make_chain, budget=budget, make_guard=plan_guard(owner, models), sample_rate_hz=check_rate(sample_rate_hz)
        )

    def reset(self) -> None:
        """Start a new stream, as after long silence: nothing that was heard before has any effect."""
        self._hearing.reset()
        self._result = DetectionResult(scores=self._hearing.raw_scores)

    def wait_ready(self, timeout_s: float = 5.0) -> None:
        """Wait until a server has told its models; nothing to wait for with local ones.

        `predict` never waits for a server, so this is for programs that would rather end than go on without it.

        Args:
            timeout_s: at most so long.

        Raises:
            RemoteError: it cannot be reached, refuses, or does not answer in time.
        """
        remote = self._hearing.chain.remote
        if remote is not None and not remote.wait_answered(timeout_s):
            raise remote.error or RemoteError("the server does not answer", expected=f"within {timeout_s:g} s")

    def close(self) -> None:
        """Stop listening and drop the connection to the server, where there is one. Harmless otherwise."""
        try:
            self.stop()
        finally:
            self._hearing.chain.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def predict(
        self,
        chunk: Samples,
        patience: PerModel[int] = None,
        threshold: PerModel[float] = None,
        debounce_time: PerModel[float] = None,
        *,
        budget: PerModel[str | float] = None,
        smoothing: PerModel[int] = None,
        rearm_below: PerModel[float] = None,
    ) -> DetectionResult:
        """Listen to the next piece of audio.

        ``result.detected`` is true once per phrase. ``result.score`` is the highest score of the hops of 80 ms that
        became known with this chunk, and 0.0 if there are none, as for an empty chunk, or while the model sleeps. It
        stays high for some hops after a phrase; with a filter of your own (``patience``, ``smoothing``,
        ``debounce_time``, ``rearm_below``), hops that reach the threshold without firing count as 0.0, so that
        ``result.score > threshold`` is true once, too. `raw_scores` has the scores before that.

        Args:
            chunk: int16 ``[n]``, 16 kHz mono, any ``n``.
            patience: hops in a row that must count; this and all that follow for all models or by model name.
                Default: 1.
            threshold: score at or above which a hop counts. Default: the model's own, or that of its budget.
            debounce_time: seconds after a detection in which the model stays quiet. Default: what its card says.
            budget: false accepts per hour to stay within, in place of a threshold.
            smoothing: hops in a moving average that takes the place of the score. Default: 1, none.
            rearm_below: score below which it must have fallen since a detection to fire again. Default: none.

        Raises:
            AudioError: the audio is not int16 or not mono.
            ConfigError: an argument is out of range or names a model that is not loaded.
        """
        given = not (patience is threshold is debounce_time is budget is smoothing is rearm_below is None)
        withhold = given and not (patience is debounce_time is smoothing is rearm_below is None)

        def rules_now() -> dict[str, Rules]:
            if given:
                return make_rules(
                    self.cards,
                    threshold=threshold,
                    budget=budget,
                    patience=patience,
                    smoothing=smoothing,
                    debounce_time=debounce_time,
                    rearm_below=rearm_below,
                    default_budget=self._budget,
                )
            if len(self._rules) != len(self.cards):  # a server has told its models
                self._rules = make_rules(self.cards, default_budget=self._budget)
            return self._rules

        self._result = self._hearing.hear(check_chunk(chunk), rules_now, withhold=withhold)
        return self._result

    def predict_clip(
        self, clip: str | Path | Samples, chunk_size: int = HOP_SAMPLES, **filters: Any
    ) -> list[DetectionResult]:
        """Listen to a whole recording as to a new stream; the interpreter's own stream is not touched.

        Args:
            clip: path of a recording of any rate, or int16 ``[n]`` at the interpreter's.
            chunk_size: samples at 16 kHz of a chunk.
            filters: ``threshold``, ``patience`` and so on, as in `predict`.

        Returns:
            One result per chunk, a hop of 80 ms, as `predict` gives; the last is completed with silence.

        Raises:
            AudioError: the recording cannot be read or holds no audio, or the array is not int16 or not mono.
            ConfigError: as in `predict`.
            RemoteError: models run on a server, and it cannot be reached, refuses, or does not answer in time.
        """
        if chunk_size < 1:
            raise ConfigError("bad chunk_size", got=chunk_size, expected="1 sample or more")
        if isinstance(clip, str | Path):
            samples = read_audio(clip)
        else:
            samples = ToMono16k(self._sample_rate_hz).feed(check_chunk(clip), last=True)
        samples = np.pad(samples, (0, -len(samples) % HOP_SAMPLES))
        with NanoInterpreter(self._make_chain, budget=self._budget, make_guard=self._make_guard) as fresh:
            starts = range(0, len(samples), chunk_size)
            return [fresh._predict_now(samples[start : start + chunk_size], filters) for start in starts]

    def listen(
        self,
        on_detection: Callable[[str, float], object] | None = None,
        threshold: PerModel[float] = None,
        cooldown: PerModel[float] = None,
        *,
        on_score: Callable[[float, float], object] | None = None,
        on_audio: Callable[[Samples], object] | None = None,
        on_result: Callable[[DetectionResult], object] | None = None,
        blocking: bool = True,
        device: int | str | None = None,
        source: Iterable[Samples | None] | None = None,
        **filters: Any,
    ) -> None:
        """Listen to a microphone until `stop`, or until Ctrl-C if blocking. A new stream each time.

        What a function of yours raises ends the listening and is raised here, or by `stop` if not blocking.

        Args:
            on_detection: called with the name of the model and the score, once per phrase. None, and no ``on_result``:
                a line is printed.
            threshold: as in `predict`.
            cooldown: seconds after a detection in which the model stays quiet, ``debounce_time`` of `predict`.
            on_score: called for each chunk with the highest score of the models and that of the gate, 0.0 without.
            on_audio: called with each chunk before it is listened to, int16 ``[n]``; empty while nothing comes.
            on_result: called with the result of each chunk; its times are seconds since listening began.
            blocking: listen here; or else in a thread, until `stop`.
            device: microphone: its index, its name or a part of it. None: the system's default.
            source: audio from elsewhere, see `Listener`.
            filters: ``patience``, ``budget`` and so on, as in `predict`.

        Raises:
            ConfigError: it listens already, an argument is out of range, or no microphone or several fit ``device``.
            DependencyError: the extra ``audio`` or PortAudio is not installed.
            AudioError: there is no microphone, or it cannot be opened.
        """
        if self._listener is not None and self._listener.running:
            raise ConfigError("this interpreter listens already", hint="Call stop() first, or load another")
        if source is None and self._sample_rate_hz != SAMPLE_RATE_HZ:
            raise ConfigError("a microphone converts its audio itself", hint="Load the model without sample_rate_hz")
        options = {"threshold": threshold, "debounce_time": cooldown, **filters}
        self.reset()
        self.predict(np.zeros(0, np.int16), **options)  # what is wrong is told before a microphone is opened
        if source is None:
            from nanowakeword.microphone import Microphone

            source = Microphone(device)
        self._listener = Listener(
            self,
            source,
            on_detection=print_detection if on_detection is None and on_result is None else on_detection,
            on_score=on_score,
            on_audio=on_audio,
            on_result=on_result,
            options=options,
        )
        self._listener.run() if blocking else self._listener.start()

    def stop(self) -> None:
        """End `listen`, from any thread or from within one of its callbacks; harmless if nothing listens.

        Raises:
            AudioError: the source gives nothing, so that the end does not come.
            Exception: what ended a listening that was not blocking.
        """
        if self._listener is not None:
            self._listener.stop()

    def detected(self, threshold: float | None = None, model: str | None = None) -> bool:
        """Whether the score of the last `predict` reaches a threshold, in each chunk in which it does.

        Args:
            threshold: default: the model's own, or that of its budget.
            model: name of one model. Default: any.

        Raises:
            ConfigError: the threshold is out of range, or no such model is loaded.
        """
        if threshold is not None:
            check_threshold(threshold)
        if model is not None and model not in self.cards:
            raise ConfigError("no such model", got=repr(model), expected=", ".join(self.cards))
        return any(
            self._result.get(name) >= (rules.threshold if threshold is None else threshold)
            for name, rules in self._rules.items()
            if model is None or name == model
        )

    @property
    def model_name(self) -> str:
        """The model of the last result that fired or has the highest score; the first one before there is a result."""
        return self._result.model_name

    @property
    def score(self) -> float:
        """Highest score of the last `predict`."""
        return self._result.score

    @property
    def verifier_score(self) -> float:
        """The same, by the name it has in a cascade."""
        return self._result.score

    @property
    def gate_score(self) -> float:
        """Highest score of the gate in the last `predict`, 0.0 without a gate."""
        return self._result.gate_score

    @property
    def gate_name(self) -> str | None:
        """Name of the gate, None without one."""
        gate = self._hearing.chain.gate
        return None if gate is None else gate.name

    @property
    def is_cascade(self) -> bool:
        """Whether a gate wakes the models."""
        return self._hearing.chain.gate is not None

    @property
    def raw_scores(self) -> dict[str, float]:
        """Highest score of each model in the last `predict`, before the caller's own filters."""
        return dict(self._hearing.raw_scores)

    @property
    def info(self) -> dict[str, Any]:
        """What is loaded and what was heard last, for logs and status pages."""
        chain = self._hearing.chain
        return {
            "model_name": self.model_name,
            "loaded_models": list(self.cards),
            "phrases": {name: card.phrase for name, card in self.cards.items()},
            "thresholds": {name: rules.threshold for name, rules in self._rules.items()},
            "score": self.score,
            "scores": dict(self._result.scores),
            "raw_scores": self.raw_scores,
            "is_cascade": self.is_cascade,
            "gate_name": self.gate_name,
            "gate_threshold": None if chain.gate is None else chain.gate.threshold,
            "gate_score": self.gate_score,
            "is_remote": chain.remote is not None,
            "heard_hops": chain.standbys[-1].hops if chain.standbys else None,
            "run_hops": chain.standbys[0].run_hops if chain.standbys else None,
        }

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """Model cards by model name; a server's once it has told its models."""
        return self._hearing.cards

    def __repr__(self) -> str:
        gate = f" behind {chain.gate.name}" if (chain := self._hearing.chain).gate else ""
        return f"NanoInterpreter({', '.join(self.cards) or 'not connected'}{gate})"

    def _predict_now(self, chunk: Samples, filters: dict[str, Any]) -> DetectionResult:
        """As `predict`, but what a server has to say is waited for."""
        result = self.predict(chunk, **filters)
        if (remote := self._hearing.chain.remote) is None:
            return result
        self.wait_ready(_CLIP_TIMEOUT_S)
        if not remote.wait_judged(_CLIP_TIMEOUT_S):
            raise remote.error or RemoteError("the server does not answer", expected=f"within {_CLIP_TIMEOUT_S:g} s")
        late = self.predict(_NO_AUDIO, **filters)
        scores = {name: max(score, result.get(name)) for name, score in late.scores.items()}
        return replace(result, scores=scores, detections=result.detections + late.detections)
