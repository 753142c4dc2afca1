"""How well an owner's verifier tells people apart: each speaker of a manifest in turn is the owner.

python -m benchmarks.owner M.onnx manifest.csv [--clips 3 5 9] [--people 0 1 3 5] [--part test]

The manifest is that of the stage corpus, with speakers' names: rows of the kind ``keyword:<phrase>`` are people who say
the phrase, rows of the kind ``speech`` are what the model may fire at by mistake. An owner is enrolled with some clips,
with two clips each of some other people, and with ten recordings of other speech. Then the verifier judges the owner's
other clips, the clips of all people it has never heard, and the places in the speech where the model's score comes to a
tenth of its threshold, of files it was not enrolled with. Each is judged as in a program: the 2 s that end with the hop
that fires. Clips in which the model does not fire are counted and left out: a verifier never hears them.

Speakers are in one of two parts by a hash of their names; the verifier's design was chosen on the calibration part.
Limits are exact for independent trials. Trials with one owner are not independent, so the spread over owners is shown.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.program import run
from nanowakeword.audio import read_audio
from nanowakeword.evaluation.limits import share
from nanowakeword.graph import Graph
from nanowakeword.logistic import Doubles
from nanowakeword.owner import OwnerVerifier
from nanowakeword.voiceprint import find_phrase, hop_scores, likely_hops, utterance, voiceprints

CALIBRATION_SHARE = 0.4
MOST_CLIPS = 30
CLIPS_OF_OTHERS = 2
SPEECH_FILES = 10
NEAR = 0.1
REPEATS = 4


@dataclass
class Material:
    """Voiceprints: by speaker those of each clip ``[3, d]``; of speech, a file's likeliest and its near misses."""

    people: defaultdict[str, list[Doubles]] = field(default_factory=lambda: defaultdict(list))
    speech: list[Doubles] = field(default_factory=list)
    near: list[Doubles] = field(default_factory=list)
    unheard: int = 0


def part_of(speaker: str) -> str:
    """The part of the experiment that a speaker belongs to."""
    digest = int.from_bytes(hashlib.sha256(f"7 {speaker}".encode()).digest()[:8], "big") / 2**64
    return "calibration" if digest < CALIBRATION_SHARE else "test"


def collect(graph: Graph, manifest: Path, *, part: str) -> Material:
    """Read the recordings of a manifest."""
    found = Material()
    with manifest.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        keyword = row["kind"] == f"keyword:{graph.card.phrase}" and row["speaker"] and part_of(row["speaker"]) == part
        if not keyword and row["kind"] != "speech":
            continue
        clip = read_audio(manifest.parent / row["path"])
        scores = hop_scores(graph, clip)
        if keyword:
            hop = find_phrase(scores, threshold=graph.card.threshold)
            if hop is None:
                found.unheard += 1
            else:
                found.people[row["speaker"]].append(utterance(graph, clip, hop))
            continue
        hops = likely_hops(scores, spacing_hops=50, most=30)
        found.speech.append(voiceprints(graph, clip, hops))
        near = [
            hop
            for hop in likely_hops(scores, spacing_hops=12, most=10**6)
            if scores[hop] >= NEAR * graph.card.threshold
        ]
        found.near.append(voiceprints(graph, clip, near) if near else np.zeros((0, found.speech[-1].shape[1])))
    return found


def passing(verifier: OwnerVerifier, rows: Sequence[Doubles]) -> tuple[int, int]:
    """How many voiceprints ``[d]`` pass, and how many there are."""
    if not len(rows):
        return 0, 0
    log_odds = np.stack(rows) @ verifier.weights + verifier.bias
    return int((1 / (1 + np.exp(-log_odds)) >= verifier.threshold).sum()), len(rows)


def measure(graph: Graph, found: Material, *, owners: Sequence[str], clips: int, people: int) -> None:
    """Print a row: owners enrolled with so many clips, and with so many others who say the phrase."""
    rates: Mapping[str, list[tuple[int, int]]] = {"owner": [], "strangers": [], "near": []}
    for owner in owners:
        counts = {name: np.zeros(2, int) for name in rates}
        for repeat in range(REPEATS):
            random = np.random.default_rng([repeat, int(hashlib.sha256(owner.encode()).hexdigest()[:8], 16)])
            order = random.permutation(len(found.people[owner]))
            others = sorted(name for name in found.people if name != owner)
            random.shuffle(others)
            files = random.permutation(len(found.speech))
            verifier = OwnerVerifier.learn(
                graph,
                owner=[found.people[owner][i] for i in order[:clips]],
                speakers=[prints for name in others[:people] for prints in found.people[name][:CLIPS_OF_OTHERS]],
                others=[found.speech[i] for i in files[:SPEECH_FILES]],
            )
            counts["owner"] += passing(verifier, [found.people[owner][i][0] for i in order[clips:]])
            strangers = [prints[0] for name in others[people:] for prints in found.people[name]]
            counts["strangers"] += passing(verifier, strangers)
            counts["near"] += passing(verifier, [row for i in files[SPEECH_FILES:] for row in found.near[i]])
        for name, (passed, tried) in counts.items():
            rates[name].append((int(passed), int(tried)))
    cells = []
    for counted in rates.values():
        tried = sum(of for _, of in counted)
        # Repeats judge the same clips again; the limits are those of one repeat.
        rate = share(round(sum(passed for passed, _ in counted) / REPEATS), max(1, round(tried / REPEATS)))
        worst, best = np.percentile([100 * passed / of for passed, of in counted if of], [10, 90])
        percent = 100 * sum(passed for passed, _ in counted) / max(1, tried)
        limits = f"({100 * rate.low:4.1f}-{100 * rate.high:5.1f})"
        cells.append(f"{percent:5.1f} {limits} of {rate.total:5.0f} [{worst:3.0f}-{best:3.0f}]")
    print(f"{len(owners):6d} {clips:6d} {people:7d}   " + "   ".join(cells), flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--clips", type=int, nargs="+", default=[3, 5, 9], help="of the owner, enrolled")
    parser.add_argument("--people", type=int, nargs="+", default=[0, 1, 3, 5], help="others enrolled")
    parser.add_argument("--part", choices=("calibration", "test"), default="test")
    options = parser.parse_args()
    graph = Graph.load(options.model)
    found = collect(graph, options.manifest, part=options.part)
    heard = sum(map(len, found.people.values()))
    print(
        f"{graph.card.phrase!r}, {options.part} part: {len(found.people)} speakers, {heard} clips in which it is heard,"
    )
    print(f"{found.unheard} in which it is not; {sum(map(len, found.near))} near misses in speech")
    print("percent that pass (95 % limits) of tries [10th-90th percentile of owners]")
    print(f"owners  clips  people   {'the owner':35s}   {'strangers who say it':35s}   near misses in other speech")
    for clips in options.clips:
        owners = sorted(name for name, own in found.people.items() if clips < len(own) <= MOST_CLIPS)
        for people in options.people if owners else ():
            measure(graph, found, owners=owners, clips=clips, people=people)


if __name__ == "__main__":
    run(main)
