"""``nanowakeword --info M.onnx``: what a model is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanowakeword.graph import Graph
from nanowakeword.timing import HOP_S, HOP_SAMPLES, SAMPLE_RATE_HZ

__all__ = ["show_info"]


def show_info(path: Path, *, as_json: bool) -> None:
    """Print a model's card, its inputs and outputs, and its size.

    Raises:
        ModelError: the file is no model of ours, or cannot be loaded.
    """
    graph = Graph.load(path)
    ports = _ports(graph)
    if as_json:
        facts = {"file": str(path), "bytes": graph.n_bytes, **ports, "card": graph.card.content}
        print(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    rows = [("file", f"{path}, {graph.n_bytes / 2**20:.2f} MiB"), *_facts(graph)]
    for direction in ("inputs", "outputs"):
        rows += [(direction[:-1], f"{name}  {kind}") for name, kind in ports[direction].items()]
    width = max(len(label) for label, _ in rows)
    print("\n".join(f"{label:<{width}}  {text}" for label, text in rows))


def _ports(graph: Graph) -> dict[str, dict[str, str]]:
    state = f"float32 [b, {graph.card.state_size}]"
    frames = "k" if graph.frames_per_hop == 1 else f"{graph.frames_per_hop}*k"
    return {
        "inputs": {"audio": f"int16 [b, {HOP_SAMPLES}*k]", "state": state},
        "outputs": {
            "score": "float32 [b, k]",
            "next_state": state,
            "features": f"float32 [b, {frames}, {graph.n_features}]",
        },
    }


def _facts(graph: Graph) -> list[tuple[str, str]]:
    """The card in words, as far as it goes."""
    card, content = graph.card, graph.card.content
    rows = [
        ("phrase", card.phrase + (f"  /{card.phonemes}/" if card.phonemes else "")),
        ("name", card.name),
        ("language", card.language),
        ("kind", card.kind),
        ("audio", f"{SAMPLE_RATE_HZ} Hz mono, a score every {HOP_S * 1000:g} ms"),
    ]
    if card.receptive_field_samples:
        rows.append(("looks back", f"{card.receptive_field_samples / SAMPLE_RATE_HZ:.2f} s"))
    rows.append(("threshold", f"{card.threshold:g}"))
    rows += [
        (
            "threshold",
            f"{row.threshold:g} for {row.fa_per_hour:g} false accepts per hour, from {row.hours:.2f} h of {row.basis}",
        )
        for row in card.thresholds
    ]
    rows += [("front end", _pairs(item)) for item in content.get("frontends", []) if isinstance(item, Mapping)]
    rows += [(key, _pairs(content[key])) for key in ("architecture", "training", "versions") if content.get(key)]
    rows += [(key, str(content[key])) for key in ("weights", "git_commit", "created") if content.get(key)]
    return [(label, text) for label, text in rows if text]


def _pairs(value: Any) -> str:
    """A JSON value in one line for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_nested(item)}" for key, item in value.items())
    return _nested(value)


def _nested(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_pairs(value)})"
    if isinstance(value, list):
        return "(" + ", ".join(map(_nested, value)) + ")"
    return str(value)
