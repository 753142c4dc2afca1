"""What else is taken for the phrase: by distance, with limits, from clips and from real recordings."""

# ruff: noqa: RUF001 -- the letters of IPA look like others

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanowakeword.evaluation.experiment import score_negatives
from nanowakeword.evaluation.limits import share
from nanowakeword.evaluation.recordings import Recording
from nanowakeword.graph import Graph
from steps.clippack import Clip, Kind, Split, write_clips
from steps.confusables import find_confusables, measure_confusables, measure_keywords
from steps.plots import plot_confusables
from steps.report_card import format_confusables
from steps.settings import Wakeword
from tests.tiny_model import silence, tone, write_tiny_model

# The tiny model's score is the amplitude over 8192.
LOUD, QUIET = 7_000, 1_000
COMPUTER = Wakeword(phrase="computer", name=None, language="en-us", pronunciation=None)


def beep(amplitude: int) -> np.ndarray:
    return np.concatenate([silence(0.2), tone(0.6, amplitude=amplitude), silence(0.2)])


def spoken(kind: Kind, text: str, amplitude: int, split: Split = "test") -> tuple[Clip, np.ndarray]:
    samples = beep(amplitude)
    facts: dict[str, Any] = {"engine": "e", "voice": "v", "speed": 1.0, "licence": "CC0-1.0"}
    return Clip(kind=kind, text=text, split=split, n_samples=len(samples), **facts), samples


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return Graph.load(write_tiny_model(tmp_path_factory.mktemp("model") / "beep.onnx"))


def measure(graph: Graph, folder: Path, clips: Sequence[tuple[Clip, np.ndarray]]) -> dict[str, Any]:
    write_clips(folder, clips)
    confusables = find_confusables("test", wakeword=COMPUTER, clips=folder)
    found = measure_confusables(graph, confusables, threshold=0.5, tail_s=0.5, seed=1)
    return {str(group): of for group, of in found.items()}


def test_clips_of_the_split_are_counted_by_distance(graph: Graph, tmp_path: Path) -> None:
    found = measure(
        graph,
        tmp_path,
        [
            spoken("positive", "computer", LOUD),
            spoken("negative", "banana", LOUD),
            spoken("neighbour", "commuter", LOUD, split="calibration"),
            spoken("neighbour", "commuter", LOUD),
            spoken("neighbour", "commuter", LOUD),
            spoken("neighbour", "commuters", QUIET),
            spoken("neighbour", "committee", QUIET),
            spoken("neighbour", "/kəmpjˈuːɾɚz/", LOUD),
            spoken("partial", "/kəmp/", QUIET),
        ],
    )
    rates = {tenth["from"]: tenth["accepted"] for tenth in found["neighbours"]["tenths"]}
    assert {tenth: (rate["count"], rate["total"]) for tenth, rate in rates.items()} == {
        0.0: (1, 1),
        0.1: (2, 3),
        0.4: (0, 1),
    }
    limits = share(2, 3)
    assert (rates[0.1]["rate"], rates[0.1]["low"], rates[0.1]["high"]) == (limits.rate, limits.low, limits.high)
    assert found["neighbours"]["most_accepted"] == [
        {"text": "commuter", "distance": 0.125, "accepted": 2, "clips": 2},
        {"text": "/kəmpjˈuːɾɚz/", "distance": 0.0, "accepted": 1, "clips": 1},
    ]
    assert found["parts"]["tenths"][0]["accepted"]["total"] == 1
    assert found["parts"]["most_accepted"] == []


def test_without_such_clips_nothing_is_measured(graph: Graph, tmp_path: Path) -> None:
    found = measure(graph, tmp_path, [spoken("positive", "computer", LOUD), spoken("negative", "banana", LOUD)])
    assert found == {}
    text = format_confusables({"threshold": 0.5, "groups": found, "keywords": []})
    assert text == "Whether other words are taken for the phrase was not measured: none were spoken.\n"


def test_real_keywords_are_listed_with_their_distance(graph: Graph) -> None:
    loud = [True, False, True, True, False]
    negatives = [Recording.of_array(beep(LOUD if is_loud else QUIET), name=str(n)) for n, is_loud in enumerate(loud)]
    scores = score_negatives(graph, negatives, seed=1)
    keywords = {"banana": [1, 4], "commuter": [2, 3, 4], "committee": [99]}
    found = measure_keywords(scores, keywords, wakeword=COMPUTER, threshold=0.5, tail_s=0.2)
    assert [(item["text"], item["accepted"]["count"], item["accepted"]["total"]) for item in found] == [
        ("commuter", 2, 3),
        ("banana", 0, 2),
    ]
    assert found[0]["distance"] == 0.125 < found[1]["distance"]


def test_the_report_says_it_in_a_table(graph: Graph, tmp_path: Path) -> None:
    groups = measure(graph, tmp_path, [spoken("neighbour", "commuter", LOUD), spoken("partial", "/kəmp/", QUIET)] * 2)
    keyword = {"text": "alexa", "distance": 0.62, "accepted": vars(share(1, 40))}
    text = format_confusables({"threshold": 0.91, "groups": groups, "keywords": [keyword]})
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert ["0.1-0.2", "100.0 % (15.8-100.0), 2 of 2", ""] in rows
    assert ["0.5-0.6", "", "0.0 % (0.0-84.2), 0 of 2"] in rows
    assert ["alexa", "0.62", "2.5 % (0.1-13.2), 1 of 40"] in rows
    assert {len(row) for row in rows} == {3}
    assert "commuter (0.12), 2 of 2" in text or "commuter (0.13), 2 of 2" in text
    assert "0.9100" in text


@pytest.mark.parametrize("with_groups", [True, False])
@pytest.mark.parametrize("with_keywords", [True, False])
def test_the_picture_is_the_same_each_time(tmp_path: Path, with_groups: bool, with_keywords: bool) -> None:
    tenths = [
        {"from": 0.1, "to": 0.2, "accepted": vars(share(3, 8))},
        {"from": 0.5, "to": 0.6, "accepted": vars(share(0, 9))},
    ]
    found = {
        "threshold": 0.9,
        "groups": {"neighbours": {"tenths": tenths, "most_accepted": []}} if with_groups else {},
        "keywords": [{"text": "alexa", "distance": 0.6, "accepted": vars(share(1, 9))}] if with_keywords else [],
    }
    for name in ("a.png", "b.png"):
        plot_confusables(found, tmp_path / name, phrase="computer")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 5_000
