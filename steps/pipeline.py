"""``dvc.yaml``, derived: the table of stages gives the edges, the import graph gives the code.

``python -m steps pipeline`` writes it; a test compares it with the committed one. A workspace has the same file, with
one dependency more for each manifest and folder that the section ``corpus`` names, and for each file of
``train.npy_sources``: DVC then sees when they change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from steps.closure import closure
from steps.settings import Settings, load_settings
from steps.stage import STAGES, Stage, own_paths

__all__ = ["pipeline_text", "write_pipeline"]

_HEADER: Final = """\
# Made by `python -m steps pipeline` from the table of stages in steps/stage.py and from what each stage imports.
# Run it after adding a stage or an import, and after changing a path of a file of yours; the tests compare.
"""
# Shown by `dvc metrics show` and `dvc plots show`.
_FOOTER: Final = """\
metrics:
  - artifacts/train/report.json
  - artifacts/evaluate/metrics.json

plots:
  - artifacts/train/training.png
  - artifacts/train/curves:
      x: step
      y: stable_loss
  - artifacts/evaluate/det.png
  - artifacts/evaluate/confusables.png
"""


def pipeline_text(settings: Settings) -> str:
    """Text of the ``dvc.yaml`` that belongs to some settings."""
    stages = "\n".join(_stage_text(stage, settings) for stage in STAGES.values())
    return f"{_HEADER}stages:\n{stages}\n{_FOOTER}"


def write_pipeline(workspace: Path) -> bool:
    """Bring the ``dvc.yaml`` of a workspace up to date.

    Returns:
        Whether it had to be changed.

    Raises:
        ConfigError: the settings there are wrong.
    """
    text = pipeline_text(load_settings(workspace / "params.yaml"))
    path = workspace / "dvc.yaml"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    beside = path.with_name(".dvc.yaml.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
    return True


def _stage_text(stage: Stage, settings: Settings) -> str:
    deps = [STAGES[name].out for name in stage.inputs]
    deps += own_paths(stage.name, settings)
    deps += [path.as_posix() for path in closure(f"steps.{stage.name}")]
    # DVC asks a shell: with `exec` the stage takes the shell's place, so that it is DVC's own child whatever the shell.
    return (
        f"  {stage.name}:\n    cmd: exec python -m steps {stage.name}\n"
        + _list("deps", deps)
        + _list("params", ["seed", *stage.sections])
        + _list("outs", [stage.out])
    )


def _list(key: str, items: list[str]) -> str:
    return f"    {key}:\n" + "".join(f"      - {_scalar(item)}\n" for item in items)


def _scalar(text: str) -> str:
    """A YAML string: plain where that is safe, else quoted as in JSON; ``${`` would be a template of DVC's."""
    plain = all(c.isalnum() or c in "/._-" for c in text) and text[0] not in "-."
    return text if plain else json.dumps(text.replace("${", "\\${"), ensure_ascii=False)
