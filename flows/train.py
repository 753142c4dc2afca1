"""The flow from a phrase to a model: every stage of a workspace, in DVC's order.

A stage that is up to date is DVC's to skip, so a run that was interrupted goes on where it stopped. A stage that dies,
for example for want of memory, is tried once more; an error that the user has to mend is not.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect import flow, get_run_logger, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed, Failed
from prefect.tasks import Task

from flows.reproduce import reproduce, stage_names

__all__ = ["train"]

_ERROR = "error: "


def _died(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a stage died rather than ended with an error for the user."""
    return not (state.message or "").startswith(_ERROR)


@task(task_run_name="{stage}", retries=1, retry_condition_fn=_died, persist_result=False)
def reproduce_stage(stage: str, *, workspace: Path) -> State[Any]:
    """Reproduce one stage."""
    logger = get_run_logger()
    errors: list[str] = []
    bar = _ProgressBar(stage)

    def log(line: str) -> None:
        logger.info(line)
        # A stage's own error, which may have several lines, ends where DVC's begins.
        if line.startswith(_ERROR) or (errors and not line.startswith("ERROR: ")):
            errors.append(line)

    status = reproduce(stage, workspace=workspace, log=log, report=bar.report)
    if status == 0:
        bar.finish()
        return Completed(message=stage)
    return Failed(message="\n".join(errors) or f"stage {stage} died; the lines above say why")


@flow(name="train", flow_run_name="train {workspace.name}", persist_result=False)
def train(workspace: Path) -> State[Any]:
    """Bring a workspace's model up to date.

    Args:
        workspace: folder with ``params.yaml`` and ``dvc.yaml``.
    """
    states: dict[str, State[Any]] = {}
    seconds: list[dict[str, Any]] = []
    for stage, needs in stage_names(workspace).items():
        started = time.monotonic()
        state = reproduce_stage(
            stage, workspace=workspace, wait_for=[states[need] for need in needs], return_state=True
        )
        if not state.is_completed():
            return Failed(message=state.message)
        states[stage] = state
        seconds.append({"stage": stage, "seconds": round(time.monotonic() - started, 1)})
    create_table_artifact(seconds, key="stages", description=f"{workspace.name}: time that each stage took")
    report = workspace / "output" / "report.md"
    if report.is_file():
        create_markdown_artifact(report.read_text(encoding="utf-8"), key="report", description=workspace.name)
    return Completed(message=f"{workspace / 'output'}")


class _ProgressBar:
    """A stage's progress as a Prefect artifact, made at the first report.

    Args:
        stage: its name.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._artifact: UUID | None = None
        self._facts: dict[str, str] = {}

    def report(self, entry: dict[str, Any]) -> None:
        """Show one entry of the file that steps/progress.py writes."""
        self._facts = entry.get("facts", self._facts)
        if entry["total"]:
            text = f"{entry['done']}/{entry['total']} {entry['unit']} {entry['note']}".strip()
            self._show(100.0 * entry["done"] / entry["total"], text)

    def finish(self) -> None:
        """Show the stage as done."""
        if self._artifact is not None:
            self._show(100.0, "done")
        if self._facts:
            rows = [{"fact": name, "value": value} for name, value in self._facts.items()]
            create_table_artifact(rows, key=f"{self._stage}-facts", description=f"{self._stage}: where it ended")

    def _show(self, percent: float, text: str) -> None:
        if self._artifact is None:
            self._artifact = cast(UUID, create_progress_artifact(percent, key=self._stage, description=text))
        else:
            update_progress_artifact(self._artifact, percent, description=text)
