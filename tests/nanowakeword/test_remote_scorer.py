"""Scores from a server: right, on the scorer's own clock, and never at the price of the audio."""

from __future__ import annotations

import gc
import queue
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanowakeword.arrays import Floats, Samples
from nanowakeword.errors import AudioError, ConfigError
from nanowakeword.graph import Graph
from nanowakeword.postfilter import PostFilter
from nanowakeword.remote_link import MAX_WAITING_HOPS
from nanowakeword.remote_scorer import RemoteScorer
from nanowakeword.scorer import Judged, LocalScorer
from nanowakeword.timing import HOP_SAMPLES
from nanowakeword.v1 import wakeword_pb2 as pb
from tests.nanowakeword.remote_peers import OPENED, REPOSITORY, ServerProcess, peer, wait_for
from tests.tiny_model import silence, tiny_card, tone, write_tiny_head, write_tiny_model

NO_HOPS: Samples = np.zeros(0, np.int16)
BEEP = np.concatenate([silence(0.8), tone(0.8), silence(0.8)])  # 30 hops


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    beep = write_tiny_model(folder / "beep.onnx")
    boop_card = tiny_card(name="boop", phrase="boop", threshold=0.4, receptive_field_samples=None)
    boop = write_tiny_model(folder / "boop.onnx", boop_card)
    write_tiny_head(beep)
    write_tiny_head(boop, boop_card)
    return [beep, boop]


@pytest.fixture(scope="module")
def server(models: list[Path]) -> Iterator[ServerProcess]:
    with ServerProcess(*models) as running:
        yield running


def settle(scorer: RemoteScorer) -> list[Judged]:
    """What is left to come."""
    assert scorer.wait_judged(10.0)
    return scorer.feed(NO_HOPS)


def spread(answers: list[Judged], model: str = "beep") -> dict[int, float]:
    """Score by hop; no hop twice, and in order."""
    found: dict[int, float] = {}
    last = -1
    for answer in answers:
        for hop, score in enumerate(answer.scores[model].tolist(), start=answer.first_hop):
            assert hop > last
            last = hop
            found[hop] = score
    return found


def trouble(scorer: RemoteScorer) -> str:
    return "" if scorer.error is None else str(scorer.error)


def local(model: Path, audio: Samples) -> Floats:
    (judged,) = LocalScorer([Graph.load(model)]).feed(audio)
    return next(iter(judged.scores.values()))


@pytest.mark.parametrize("features", [False, True], ids=["audio", "features"])
@pytest.mark.parametrize("step", [1, 7, 100])
def test_scores_are_those_of_the_local_runtime(
    server: ServerProcess, models: list[Path], features: bool, step: int
) -> None:
    audio = np.concatenate([BEEP] * 3)
    graph = Graph.load(models[0]) if features else None
    answers = []
    with RemoteScorer(server.address, features=graph) as scorer:
        for start in range(0, len(audio), step * HOP_SAMPLES):
            answers += scorer.feed(audio[start : start + step * HOP_SAMPLES])
        answers += settle(scorer)
        assert scorer.error is None
        assert scorer.cards["beep"].threshold == 0.75
        assert scorer.context_hops == 4
    found = spread(answers)
    assert list(found) == list(range(90))
    np.testing.assert_allclose(list(found.values()), local(models[0], audio), atol=1e-6)


def test_several_models_share_a_stream(server: ServerProcess, models: list[Path]) -> None:
    with RemoteScorer(server.address, models=["boop", "beep"]) as scorer:
        scorer.feed(BEEP)
        answers = settle(scorer)
        assert list(scorer.cards) == ["boop", "beep"]
        assert scorer.context_hops == 64, "boop's card does not tell"
    np.testing.assert_array_equal(spread(answers, "boop"), spread(answers, "beep"))


def test_the_caller_may_fill_its_array_again(server: ServerProcess, models: list[Path]) -> None:
    buffer = np.empty(HOP_SAMPLES, np.int16)
    with RemoteScorer(server.address) as scorer:
        answers = []
        for hop in BEEP.reshape(-1, HOP_SAMPLES):
            buffer[:] = hop
            answers += scorer.feed(buffer)
        answers += settle(scorer)
    np.testing.assert_allclose(list(spread(answers).values()), local(models[0], BEEP), atol=1e-6)


def test_reset_begins_anew_and_forgets(server: ServerProcess) -> None:
    with RemoteScorer(server.address) as scorer:
        scorer.wait_answered(10.0)
        for _ in range(5):
            scorer.feed(tone(0.4))  # half of it may be on its way
            scorer.reset()
            scorer.feed(silence(0.16))
            assert spread(settle(scorer)) == {0: 0.0, 1: 0.0}
        scorer.feed(tone(0.4))
        scorer.wait_judged(10.0)  # all of it has come
        scorer.reset()
        assert scorer.feed(NO_HOPS) == []


def test_more_than_may_wait_is_skipped(server: ServerProcess, models: list[Path]) -> None:
    """A whole hour at once: the first ten seconds are judged, then the stream goes on where the audio is."""
    hour = np.zeros(3_600 * 16_000, np.int16)
    with RemoteScorer(server.address) as scorer:
        scorer.feed(hour)
        answers = settle(scorer)
        assert list(spread(answers)) == list(range(MAX_WAITING_HOPS))
        wait_for(lambda: scorer.wait_judged(1.0) and spread(scorer.feed(BEEP)) is not None)
        answers = settle(scorer)
        assert scorer.error is None
    found = spread(answers)
    assert min(found) >= 45_000
    np.testing.assert_allclose(list(found.values())[:30], local(models[0], BEEP), atol=1e-6)


def feed_on(scorer: RemoteScorer, hops: Iterator[Samples], *, seconds: float, pause_s: float) -> list[Judged]:
    """Feed as a microphone does, only faster."""
    answers = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answers += scorer.feed(next(hops))
        time.sleep(pause_s)
    return answers


def test_a_server_that_is_lost_and_comes_back(models: list[Path]) -> None:
    """Beeps before and after are heard at their times; between them nothing is made up."""
    sent: list[Samples] = []

    def hops() -> Iterator[Samples]:
        while True:
            for hop in BEEP.reshape(-1, HOP_SAMPLES):
                sent.append(hop)
                yield hop

    source = hops()
    with ServerProcess(models[0]) as server, RemoteScorer(server.address) as scorer:
        assert scorer.wait_answered(10.0)
        answers = feed_on(scorer, source, seconds=0.7, pause_s=0.01)
        assert trouble(scorer) == ""
        server.kill()
        answers += feed_on(scorer, source, seconds=0.5, pause_s=0.01)
        assert re.search(r"was lost|cannot reach", trouble(scorer))
        lost_at = len(sent)
        server.start()
        while trouble(scorer):
            answers += feed_on(scorer, source, seconds=0.05, pause_s=0.01)
        back_at = len(sent)
        answers += feed_on(scorer, source, seconds=1.0, pause_s=0.01)
        answers += settle(scorer)
    found = spread(answers)
    before, after = [hop for hop in found if hop < lost_at], [hop for hop in found if hop >= lost_at]
    assert len(before) > 30
    assert len(after) > 30
    assert max(before) + 1 < lost_at, "some were skipped"
    assert min(after) >= lost_at
    assert min(after) <= back_at
    # Each stretch of answers has the scores of a stream that began there.
    for stretch in (before, after):
        assert stretch == list(range(stretch[0], stretch[-1] + 1))
        audio = np.concatenate(sent[stretch[0] : stretch[-1] + 1])
        np.testing.assert_allclose([found[hop] for hop in stretch], local(models[0], audio), atol=1e-6)
    events = []
    postfilter = PostFilter()
    for answer in answers:
        postfilter.skip(answer.first_hop - postfilter.hops)
        events += postfilter.push(answer.scores["beep"], threshold=0.75)
    assert all(event.hop % 30 in range(12, 20) for event in events)
    assert any(event.hop < lost_at for event in events)
    assert any(event.hop >= lost_at for event in events)


@pytest.mark.parametrize("features", [False, True], ids=["audio", "features"])
def test_feeding_does_not_wait_for_a_server_that_is_away(models: list[Path], features: bool) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # not listening: connections are refused
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with RemoteScorer(address, features=Graph.load(models[0]) if features else None) as scorer:
            assert not scorer.wait_answered(10.0)
            assert re.match(rf"cannot reach a server at {address}; got .*refused", str(scorer.error))
            assert longest_feed_s(scorer, seconds=1.0) < 0.005
            assert scorer.feed(NO_HOPS) == []
            assert scorer.cards == {}


def longest_feed_s(scorer: RemoteScorer, *, seconds: float) -> float:
    hop = np.zeros(HOP_SAMPLES, np.int16)
    times = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        scorer.feed(hop)
        times.append(time.perf_counter() - began)
        time.sleep(0.005)
    # The one that a busy machine interrupts tells of the machine.
    return sorted(times)[-2]


def test_a_server_that_accepts_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with RemoteScorer(address, timeout_s=0.3) as scorer:
            assert longest_feed_s(scorer, seconds=0.5) < 0.005
            wait_for(lambda: scorer.error)
            assert f"the server at {address} does not answer; expected within 0.3 s" in str(scorer.error)
            began = time.monotonic()
        assert time.monotonic() - began < 1.0


def test_a_name_server_that_never_answers() -> None:
    """The name is looked up by a name server that takes the question and keeps silent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        program = (
            "import os, sys, time\n"
            "os.environ['GRPC_DNS_RESOLVER'] = 'ares'\n"
            "import grpc\n"
            "import nanowakeword.remote_server as remote_server\n"
            "from nanowakeword.remote_scorer import RemoteScorer\n"
            "import numpy as np\n"
            "insecure = grpc.insecure_channel\n"
            f"grpc.insecure_channel = lambda target, **options: insecure('dns://127.0.0.1:{silent.getsockname()[1]}/' "
            "+ target, **options)\n"
            "scorer = RemoteScorer('microphones.example:8765', timeout_s=0.5)\n"
            "slowest, end = 0.0, time.monotonic() + 1.0\n"
            "while time.monotonic() < end:\n"
            "    began = time.perf_counter(); scorer.feed(np.zeros(1280, np.int16))\n"
            "    slowest = max(slowest, time.perf_counter() - began); time.sleep(0.01)\n"
            "print(scorer.error)\n"
            "began = time.monotonic(); scorer.close(); print(slowest, time.monotonic() - began)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=True
        )
        silent.setblocking(False)
        assert silent.recv(512), "the name server was asked"
    error, times = done.stdout.splitlines()
    assert "the server at microphones.example:8765 does not answer; expected within 0.5 s" in error
    slowest_s, closing_s = map(float, times.split())
    assert slowest_s < 0.02
    assert closing_s < 1.0


@pytest.mark.parametrize("opens", [False, True])
def test_a_server_that_gets_stuck(models: list[Path], opens: bool) -> None:
    release: queue.Queue[None] = queue.Queue()
    calls = []

    def stuck(requests: Iterator[pb.DetectRequest]) -> Iterator[pb.DetectResponse]:
        calls.append(next(requests).config)
        if opens:
            yield OPENED
        release.get(timeout=20)

    with peer(stuck, models[0]) as address, RemoteScorer(address, timeout_s=0.3) as scorer:
        assert scorer.wait_answered(10.0)
        assert longest_feed_s(scorer, seconds=0.6) < 0.005
        wait_for(lambda: scorer.error)
        what = "does not judge" if opens else "does not answer"
        assert f"{what}; expected within 0.3 s" in str(scorer.error)
        for _ in range(10):
            release.put(None)
    assert calls[0].output == pb.DETECT_OUTPUT_SCORES


def track(*values: float, start_s: float = 0.0, model: str = "beep") -> pb.DetectResponse:
    return pb.DetectResponse(scores=[pb.ScoreTrack(model=model, start_s=start_s, values=values)])


@pytest.mark.parametrize(
    "answer",
    [
        track(0.1, 0.2, 0.3, 0.4),  # more than there was audio
        track(0.1, start_s=0.08),
        track(float("nan")),
        track(1.5),
        track(-0.5),
        track(0.5, model="alexa"),
    ],
)
def test_answers_that_cannot_be_are_not_passed_on(models: list[Path], answer: pb.DetectResponse) -> None:
    def wrong(requests: Iterator[pb.DetectRequest]) -> Iterator[pb.DetectResponse]:
        next(requests)
        yield OPENED
        next(requests)
        yield answer
        yield from iter(lambda: next(requests, None), None)

    with peer(wrong, models[0]) as address, RemoteScorer(address) as scorer:
        assert scorer.wait_answered(10.0)
        scorer.feed(silence(0.24))
        wait_for(lambda: scorer.error)
        assert "answers wrongly" in str(scorer.error)
        assert scorer.feed(NO_HOPS) == []


def test_pauses_grow_between_tries() -> None:
    tries: list[float] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(10.0)
        with RemoteScorer(f"127.0.0.1:{listener.getsockname()[1]}", timeout_s=0.2):
            while len(tries) < 3:
                connection, _ = listener.accept()
                tries.append(time.monotonic())
                connection.close()
                while True:  # gRPC itself may try again within one try of ours
                    listener.settimeout(0.1)
                    try:
                        listener.accept()[0].close()
                    except TimeoutError:
                        break
                listener.settimeout(10.0)
    pauses = np.diff(tries)
    assert 0.25 <= pauses[0] < 1.0
    assert pauses[1] > 0.5


def test_what_the_server_lacks_is_told(server: ServerProcess, models: list[Path], tmp_path: Path) -> None:
    with RemoteScorer(server.address, models="alexa") as scorer:
        assert not scorer.wait_answered(10.0)
        assert re.search("lacks a model; got beep, boop; expected alexa", str(scorer.error))
    alone = write_tiny_model(tmp_path / "beep.onnx")
    with ServerProcess(alone) as other, RemoteScorer(other.address, features=Graph.load(alone)) as scorer:
        assert not scorer.wait_answered(10.0)
        assert "got PIPELINE_FULL; expected PIPELINE_VERIFIER_ONLY. Put beep_head.onnx" in str(scorer.error)


def test_features_of_other_front_ends_are_refused_by_both_sides(server: ServerProcess, tmp_path: Path) -> None:
    frontends = [{"name": "tone", "frames_per_hop": 1, "n_features": 2, "fingerprint": "beef"}]
    other = Graph.load(write_tiny_model(tmp_path / "other.onnx", tiny_card(name="other", frontends=frontends)))
    with RemoteScorer(server.address, features=other) as scorer:
        assert not scorer.wait_answered(10.0)
        text = str(scorer.error)
        assert "model 'other' makes other features than model 'beep' of the server" in text
        assert "got tone:beef (1 x 2 values per hop); expected tone:f00d (1 x 2 values per hop)" in text


BAD: dict[str, dict[str, Any]] = {
    "address": {"address": "nowhere"},
    "no time": {"timeout_s": 0.0},
    "endless": {"timeout_s": float("inf")},
    "nan": {"timeout_s": float("nan")},
    "twice": {"models": ["beep", "beep"]},
    "no name": {"models": [""]},
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name: str) -> None:
    with pytest.raises(ConfigError):
        RemoteScorer(**{"address": "127.0.0.1:1", **BAD[name]})


@pytest.mark.parametrize(
    "audio", [np.zeros(1_279, np.int16), np.zeros(1_280, np.float32), np.zeros((1, 1_280), np.int16)]
)
def test_wrong_audio(server: ServerProcess, audio: Any) -> None:
    with RemoteScorer(server.address) as scorer, pytest.raises(AudioError, match="for a scorer"):
        scorer.feed(audio)


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("nanowakeword-")]


def test_a_scorer_that_nobody_holds_ends(server: ServerProcess) -> None:
    wait_for(lambda: not ours())
    scorer = RemoteScorer(server.address)
    scorer.feed(BEEP)
    settle(scorer)
    assert len(ours()) == 2
    del scorer
    gc.collect()
    wait_for(lambda: not ours())


def test_closing_twice_and_feeding_after(server: ServerProcess) -> None:
    scorer = RemoteScorer(server.address)
    scorer.close()
    scorer.close()
    assert scorer.feed(BEEP) == []
    wait_for(lambda: not ours())


@pytest.mark.parametrize("away", [False, True])
def test_a_program_that_ends_without_closing_ends(server: ServerProcess, away: bool) -> None:
    program = (
        "import sys, numpy as np\n"
        "from nanowakeword.remote_scorer import RemoteScorer\n"
        "scorer = RemoteScorer(sys.argv[1])\n"
        "scorer.feed(np.zeros(12_800, np.int16))\n"
        "scorer.wait_answered(1.0) and scorer.wait_judged(1.0)\n"
        "print('end')\n"
    )
    address = "127.0.0.1:1" if away else server.address
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program, address],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
    assert time.monotonic() - began < 8.0


def test_importing_needs_no_grpc_and_using_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['grpc'] = None\n"
        "import nanowakeword.remote_scorer as module\n"
        "try: module.RemoteScorer('127.0.0.1:1')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=True
    )
    assert re.match(r"DependencyError .*pip install \"nanowakeword\[remote\]\"", done.stdout), done.stdout
