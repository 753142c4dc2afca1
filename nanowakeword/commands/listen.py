"""``nanowakeword listen M.onnx``: listen to a microphone and tell what is heard."""

from __future__ import annotations

import argparse
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.audio import read_audio
from nanowakeword.commands.listen_report import Report
from nanowakeword.commands.remote_options import add_remote_arguments, remote_arguments
from nanowakeword.errors import AudioError, ConfigError
from nanowakeword.interpreter import NanoInterpreter
from nanowakeword.keep import Keeper
from nanowakeword.listening import Listener
from nanowakeword.microphone import Microphone, list_devices
from nanowakeword.postfilter import check_threshold
from nanowakeword.recording_store import RecordingStore
from nanowakeword.results import DetectionResult
from nanowakeword.timing import HOP_S, HOP_SAMPLES, SAMPLE_RATE_HZ

__all__ = ["add_arguments", "run"]

# Silence after a recording's end, in which a phrase that ends with it may still be heard.
_TAIL_S: Final = 0.5
_MAX_MB: Final = 500.0
_EXAMPLES: Final = """\
examples:
  nanowakeword listen hey_nano.onnx                      a live meter, and what is heard
  nanowakeword listen --list-devices                     which microphones there are
  nanowakeword listen hey_nano.onnx --device USB         one of them, by a part of its name
  nanowakeword listen hey_nano.onnx --budget 0.5/h       at one false accept in two hours
  nanowakeword listen hey_nano.onnx --cascade --json     hey_nano_lite.onnx wakes it; one JSON object per event
  nanowakeword listen hey_nano_lite.onnx --remote 192.168.1.10:8765
                                                         the gate listens here, the model on a server
  nanowakeword listen hey_nano.onnx --record-misses to_train/
                                                         keep what was heard, and what was nearly heard
"""


class _ListDevices(argparse.Action):
    """Prints the microphones and ends, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        devices = list_devices()
        if not devices:
            raise AudioError("no microphone", got="no device that can record", hint="Plug one in")
        for device in devices:
            mark = "*" if device.is_default else " "
            print(f"{mark} {device.index:>3}  {device.name}  ({device.api}, {device.channels} ch, {device.rate_hz} Hz)")
        parser.exit()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Listen to a microphone and print what is heard, until Ctrl-C. On a terminal a line shows the level and the\n"
        "score. A microphone that is unplugged is waited for."
    )
    parser.epilog = _EXAMPLES
    add = parser.add_argument
    add("models", metavar="M.onnx", type=Path, nargs="*", help="model files")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--device", metavar="D", help="microphone: number or part of its name (the system's default)")
    source.add_argument("--file", metavar="RECORDING", type=Path, help="listen to a recording, at once")
    add("--list-devices", action=_ListDevices, nargs=0, help="print the microphones and end; * is the default")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--threshold", metavar="T", type=float, help="score at which it fires (the model's own)")
    where.add_argument("--budget", metavar="B", help="false accepts to live with instead: 0.5/h, 12/day")
    add("--patience", metavar="N", type=int, help="hops of 80 ms in a row that must reach it (1)")
    gate = parser.add_mutually_exclusive_group()
    gate.add_argument("--gate", metavar="M_lite.onnx", type=Path, help="small model that wakes the others")
    gate.add_argument("--cascade", action="store_true", help="the same with NAME_lite.onnx beside NAME.onnx")
    add("--vad", choices=["energy", "silero"], help="run the models only while there is a sound, or speech")
    add("--owner", metavar="FILE", type=Path, help="let only this voice through (nanowakeword enrol)")
    add("--denoise", action="store_true", help="reduce noise first")
    add("--json", dest="as_json", action="store_true", help="print one JSON object per event and line, no meter")
    add("--seconds", metavar="S", type=float, help="end after so long (at Ctrl-C, or at the recording's end)")
    add("--record-misses", metavar="DIR", type=Path, help="keep 3 s around each detection and near miss, as WAV")
    add("--near-miss", metavar="T", type=float, help="score from which a peak is one (a tenth of the threshold's odds)")
    add("--record-max-mb", metavar="MB", type=float, help=f"size of what is kept; the oldest goes first ({_MAX_MB:g})")
    add_remote_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    if options.record_misses is None and not options.near_miss is options.record_max_mb is None:
        raise ConfigError("--near-miss and --record-max-mb say what to keep", expected="--record-misses DIR, too")
    if options.seconds is not None and not options.seconds > 0:
        raise ConfigError("bad --seconds", got=f"{options.seconds:g}", expected="above 0")
    if options.threshold is not None:
        check_threshold(options.threshold)
    interpreter = NanoInterpreter.load_model(
        options.models,
        cascade=options.cascade,
        gate_model=options.gate,
        vad=options.vad,
        enable_noise_reduction=options.denoise,
        budget=options.budget,
        owner=options.owner,
        **remote_arguments(options),
    )
    with interpreter:
        _run(interpreter, options)
    return 0


def _run(interpreter: NanoInterpreter, options: argparse.Namespace) -> None:
    interpreter.wait_ready()
    own = interpreter.info["thresholds"]
    thresholds = {name: own[name] if options.threshold is None else options.threshold for name in own}
    report = Report(
        phrases={name: card.phrase for name, card in interpreter.cards.items()},
        thresholds=thresholds,
        as_json=options.as_json,
        live=options.file is None,
    )
    keeper = _make_keeper(options, thresholds, report)
    try:
        _listen(interpreter, options, report, keeper)
    finally:
        report.clear()


def _make_keeper(options: argparse.Namespace, thresholds: dict[str, float], report: Report) -> Keeper | None:
    if options.record_misses is None:
        return None
    return Keeper(
        RecordingStore(
            options.record_misses, max_mb=_MAX_MB if options.record_max_mb is None else options.record_max_mb
        ),
        thresholds=thresholds,
        near_miss=options.near_miss,
        on_kept=report.show_kept,
        on_problem=report.show_problem,
    )


def _listen(interpreter: NanoInterpreter, options: argparse.Namespace, report: Report, keeper: Keeper | None) -> None:
    if options.file is not None:
        source: Any = _chunks(read_audio(options.file), pause_s=0.0 if options.remote is None else HOP_S)
        name = str(options.file)
    else:
        source = Microphone(options.device, on_event=report.show_microphone)
        name = source.device.name
    began_s = time.monotonic()
    newest: Samples = np.zeros(0, np.int16)

    def hear(chunk: Samples) -> None:
        nonlocal newest
        newest = chunk

    def judge(result: DetectionResult) -> None:
        scores = interpreter.raw_scores
        for detection in result.detections:
            report.show_detection(detection)
        for detection in result.refused:
            report.show_refused(detection)
        report.show_server(result.remote_error)
        report.show_meter(newest, scores, result.gate_score if result.gate_name else None)
        report.show_overflows(getattr(source, "overflows", 0))
        if keeper is not None:
            keeper.feed(newest, scores, result.detections)
        passed_s = listener.heard_s if options.file is not None else time.monotonic() - began_s
        if options.seconds is not None and passed_s >= options.seconds:
            listener.stop()

    listener = Listener(
        interpreter,
        source,
        on_audio=hear,
        on_result=judge,
        on_gap=None if keeper is None else keeper.end,
        options={"threshold": options.threshold, "patience": options.patience},
    )
    report.show_start(name)
    with _EndOnTerm(listener):
        listener.run()
    if keeper is not None:
        keeper.end()
    report.show_end(listener.heard_s)


def _chunks(samples: Samples, *, pause_s: float) -> Iterator[Samples]:
    """A recording in hops, completed with silence; a server gets it at the pace of a microphone."""
    tail = round(_TAIL_S * SAMPLE_RATE_HZ)
    padded = np.pad(samples, (0, tail + -(len(samples) + tail) % HOP_SAMPLES))
    for hop in padded.reshape(-1, HOP_SAMPLES):
        yield hop
        time.sleep(pause_s)


class _EndOnTerm:
    """While it lasts, SIGTERM ends listening as Ctrl-C does: what waits to be kept is kept."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._usable = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._usable:
            self._before = signal.signal(signal.SIGTERM, lambda *_: self._listener.stop())

    def __exit__(self, *_: object) -> None:
        if self._usable:
            signal.signal(signal.SIGTERM, self._before)
