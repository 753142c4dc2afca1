"""A variant of a workspace: other settings in a folder of its own, the same clips and recordings, its heads measured.

root/params.yaml               the workspace's settings, with others laid over them
root/artifacts/                links to the workspace's clips and recordings, and what the stages make

Everything is as the stages of the pipeline make it; only the heads differ between variants.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.detector import Detector
from nanowakeword.errors import ConfigError
from steps.overlay import dump_tree, lay_over, load_tree
from steps.settings import Settings, load_settings
from steps.stage import run_stage

__all__ = ["make_stages", "prepare_variant", "save_result", "train_heads"]


def prepare_variant(root: Path, *, workspace: Path, over: Mapping[str, Any]) -> Settings:
    """Make the folder of a variant, or find it as it was left.

    The gate is not measured here: what only it needs is not computed.

    Args:
        root: of the variant.
        workspace: has the stages synthesize and corpus done.
        over: settings to lay over those of the workspace.

    Raises:
        ConfigError: the folder was begun with other settings.
    """
    (root / "artifacts").mkdir(parents=True, exist_ok=True)
    for stage in ("synthesize", "corpus"):
        link = root / "artifacts" / stage
        if not link.is_symlink():
            link.symlink_to((workspace / "artifacts" / stage).resolve(), target_is_directory=True)
    tree = load_tree(workspace / "params.yaml")
    lay_over(tree, {"features": {"gate_frontend": tree["features"]["frontends"][0]}}, known={})
    lay_over(tree, dict(over), known={})
    text, params = dump_tree(tree), root / "params.yaml"
    if params.is_file() and params.read_text(encoding="utf-8") != text:
        raise ConfigError(f"{root} was begun with other settings", hint="Name another OUT, or delete it")
    params.write_text(text, encoding="utf-8")
    return load_settings(params)


def make_stages(root: Path, *stages: str) -> None:
    """Run the stages that are not done."""
    for stage in stages:
        if not (root / "artifacts" / stage).is_dir():
            run_stage(stage, root=root)


def train_heads(root: Path) -> Detector:
    """Train and average the heads of a variant whose features are there; the detector with the weights kept."""
    make_stages(root, "train", "average")
    shutil.rmtree(root / "checkpoints", ignore_errors=True)
    saved = torch.load(root / "artifacts" / "average" / "detector.pt", weights_only=True)
    return Detector.from_saved(saved)


def save_result(path: Path, found: Mapping[str, Any], *, spent: Path | None) -> None:
    """Keep what was found; only then delete ``spent``, a folder that nothing else needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(found) + "\n", encoding="utf-8")
    beside.rename(path)
    if spent is not None:
        shutil.rmtree(spent)
